# Waiting for a condition: for the scripts that start nodes of their own.
#
# A script that sleeps "long enough" is slow on every machine and too quick on some. Conditions are
# polled instead, each with a deadline.

# How long a poll rests. A look at every node costs about as much.
readonly poll_pause_s=0.05

now_ms() {
    local microseconds=${EPOCHREALTIME/[.,]/}
    echo "${microseconds%???}"
}

# within SECONDS CONDITION…: polls until the condition holds; fails at the deadline. What a condition
# complains of while it does not hold yet is not worth a line at every look.
within() {
    local deadline_ms
    deadline_ms=$(($(now_ms) + $1 * 1000))
    shift
    until "$@" 2>/dev/null; do
        (($(now_ms) < deadline_ms)) || return 1
        sleep "$poll_pause_s"
    done
}

title() { printf '%s\n' "$*"; }
step() { printf '  %s\n' "$*"; }
fail() {
    printf '  FAILED: %s\n' "$*" >&2
    exit 1
}
