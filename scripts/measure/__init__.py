"""What `scripts/bench` is made of: the stage on which programs run, the page that is written, and a
file for each part of it."""
