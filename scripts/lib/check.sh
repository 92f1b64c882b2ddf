# What every check begins with: find the nodes, and say first what is about to be shown.
set -euo pipefail

# shellcheck source=scripts/lib/stage.sh
source scripts/lib/stage.sh
# shellcheck source=scripts/lib/ask.sh
source scripts/lib/ask.sh
# shellcheck source=scripts/lib/wait.sh
source scripts/lib/wait.sh

# What one node knows reaches all others within milliseconds in quiet times; the promise is seconds.
readonly agree_deadline_s=3
# A node that starts or comes back is known within two seconds, and in a container starts in one.
readonly join_deadline_s=8
# A node that never answers, or stops, is off every list within six seconds.
readonly forget_deadline_s=8

# begin TITLE: leaves the running nodes in `nodes`, and where they answer in `url`.
begin() {
    title "$1"
    find_stage
    find_nodes
}

# Several checks compare with the count from before: it must be one count.
await_equal_counts() {
    within "$agree_deadline_s" counts_are_equal ||
        fail "expected equal counts; saw $(show_counts "${nodes[@]}")"
}

# await_counts NUMBER NODE…
await_counts() {
    local number=$1
    shift
    within "$agree_deadline_s" all_count "$number" "$@" ||
        fail "expected $number on $(enumerate "$@") within $agree_deadline_s s; saw $(show_counts "$@")"
    step "$(show_counts "$@"), after $took_ms ms"
}

await_complete_lists() {
    local node
    within "$1" lists_are_complete || {
        for node in "${nodes[@]}"; do
            step "$node is $(address_of "$node"), knows $(show_peers "$node")"
        done
        fail "expected every node to list every other within $1 s"
    }
}

# await_forgotten ADDRESS NODE…
await_forgotten() {
    local address=$1 node
    shift
    within "$forget_deadline_s" none_list "$address" "$@" || {
        for node; do
            step "$node knows $(show_peers "$node")"
        done
        fail "expected $address to be off every list within $forget_deadline_s s"
    }
    step "$address is off the lists of $(enumerate "$@"), after $took_ms ms"
}

# "node1, node2".
enumerate() {
    local joined
    joined=$(printf '%s, ' "$@")
    echo "${joined%, }"
}
