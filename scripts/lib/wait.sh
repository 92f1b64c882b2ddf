# Waiting for a condition, and saying how it went.
#
# A script that sleeps "long enough" is slow on every machine and too quick on some. Conditions are
# polled instead, each with a deadline, and the time that one took is part of what is shown.

# How long a poll rests. A look at every node costs about as much.
readonly poll_pause_s=0.05

now_ms() {
    local microseconds=${EPOCHREALTIME/[.,]/}
    echo "${microseconds%???}"
}

# within SECONDS CONDITION…: polls until the condition holds; fails at the deadline.
# Leaves in `took_ms` how long that was. What a condition complains of while it does not hold yet is
# not worth a line at every look.
took_ms=0
within() {
    local start_ms deadline_ms
    start_ms=$(now_ms)
    deadline_ms=$((start_ms + $1 * 1000))
    shift
    until "$@" 2>/dev/null; do
        (($(now_ms) < deadline_ms)) || return 1
        sleep "$poll_pause_s"
    done
    took_ms=$(($(now_ms) - start_ms))
}

# throughout SECONDS CONDITION…: watches for so long; fails as soon as the condition does not hold.
# That something does not happen can only be seen by watching. Leaves in `looks` how often it looked.
looks=0
throughout() {
    local deadline_ms
    deadline_ms=$(($(now_ms) + $1 * 1000))
    shift
    looks=0
    while (($(now_ms) < deadline_ms)); do
        "$@" || return 1
        looks=$((looks + 1))
        sleep "$poll_pause_s"
    done
}

title() { printf '%s\n' "$*"; }
step() { printf '  %s\n' "$*"; }
fail() {
    printf '  FAILED: %s\n' "$*" >&2
    exit 1
}
