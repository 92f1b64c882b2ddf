"""The load generator of server/examples/load, and what it says."""

from .stage import Failed, example, output


def load(command, *options):
    """Names and numbers of the line that it prints."""
    words = output(example("load"), command, *options).split()
    return {name: float(number) for name, number in zip(words[::2], words[1::2])}


def throughput(urls, connections, seconds, *options):
    places = [word for url in urls for word in ("--url", url)]
    line = load(
        "throughput", *places, "--connections", connections, "--seconds", max(1, round(seconds)),
        *options,
    )
    if line["refused"]:
        raise Failed(f"expected no refusal; {line['refused']:.0f} of {line['acknowledged']:.0f}")
    return line
