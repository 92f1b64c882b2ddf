# What a node is asked over HTTP, and what is read from its answer.
#
# The answers are small and their shape is known, so they are read by pattern: a JSON tool would be
# one more program to install before `make test-full` can run.

# /sync may wait two seconds before it answers; a node that takes longer than this is as good as gone.
readonly answer_deadline_s=5

# ask NODE PATH [BODY]: GET, or POST where there is a body (which may be empty). Prints the answer;
# fails unless it is 200, saying what came instead.
ask() {
    local node=$1 path=$2 request=GET answer
    local options=(--silent --show-error --noproxy '*' --max-time "$answer_deadline_s")
    if (($# > 2)); then
        request=POST
        options+=(--data "$3")
    fi
    if ! answer=$(curl "${options[@]}" --write-out '\n%{http_code}' "${url[$node]}$path" 2>&1); then
        echo "$node does not answer $request $path: ${answer%%$'\n'*}" >&2
        return 1
    fi
    if [[ ${answer##*$'\n'} != 200 ]]; then
        echo "$node answers $request $path with ${answer##*$'\n'}: ${answer%$'\n'*}" >&2
        return 1
    fi
    printf '%s\n' "${answer%$'\n'*}"
}

# field NAME: the value of that key, a string or a number, in the answer on stdin.
field() { sed -nE 's/.*"'"$1"'":"?([^",}]*).*/\1/p'; }

count_of() { ask "$1" /count | field count; }

# A node's own address, which is what the others list it by.
address_of() { ask "$1" /health | field node_id; }

# One address a line, in order.
peers_of() { ask "$1" /peers | tr -d '[]" ' | tr ',' '\n' | sed '/^$/d' | sort; }

# includes ADDRESS LIST
includes() { grep --quiet --fixed-strings --line-regexp -- "$1" <<<"$2"; }

# all_list ADDRESS NODE…: whether each of these nodes lists it.
all_list() {
    local address=$1 node peers
    shift
    for node; do
        peers=$(peers_of "$node") && includes "$address" "$peers" || return 1
    done
}

# none_list ADDRESS NODE…: whether each of these nodes answers, and does not list it.
none_list() {
    local address=$1 node peers
    shift
    for node; do
        peers=$(peers_of "$node") || return 1
        if includes "$address" "$peers"; then
            return 1
        fi
    done
}

# all_count NUMBER NODE…: whether each of these nodes shows that count.
all_count() {
    local number=$1 node
    shift
    for node; do
        [[ $(count_of "$node") == "$number" ]] || return 1
    done
}

counts_are_equal() {
    local count
    count=$(count_of "${nodes[0]}") && all_count "$count" "${nodes[@]}"
}

# Whether every node lists every other: all addresses that any node has or knows, less its own.
lists_are_complete() {
    local node known
    declare -A own=() listed=()
    for node in "${nodes[@]}"; do
        own[$node]=$(address_of "$node") || return 1
        listed[$node]=$(peers_of "$node") || return 1
    done
    known=$(printf '%s\n' "${own[@]}" "${listed[@]}" | sed '/^$/d' | sort --unique)
    for node in "${nodes[@]}"; do
        [[ ${listed[$node]} == "$(grep --fixed-strings --line-regexp --invert-match -- "${own[$node]}" <<<"$known")" ]] ||
            return 1
    done
}

# For people: "node1 7, node2 7, node3 7".
show_counts() {
    local node shown=
    for node; do
        shown+="${shown:+, }$node $(count_of "$node")"
    done
    echo "$shown"
}

# For people: the peers of one node on one line.
show_peers() {
    local peers
    peers=$(peers_of "$1" | paste --serial --delimiters=' ')
    echo "${peers:-nobody}"
}
