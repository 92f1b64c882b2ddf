# The nodes as processes of this machine, for where there is no Docker: on 127.0.0.1, ports 9088 and
# up, and 6380 and up for clients of Redis.
#
# They find each other by broadcast on the loopback network, as containers do on theirs. Each has a
# pid, a log and a data directory under .run/.

# At twenty looks a second, five seconds, as Docker gives them.
readonly stop_grace_looks=100

local_binary() { echo "${CARGO_TARGET_DIR:-target}/release/quipu"; }

local_build() { cargo build --release --package quipu; }

local_start_three() {
    local number
    rm -f .run/node*.log
    for number in 1 2 3; do
        local_start_node "$number"
    done
}

# local_start_node NUMBER: without a list of the others. PORT and PEERS may be set here for some
# other purpose, and would be obeyed. A session of its own, so that a Ctrl-C at this terminal is not
# the node's.
local_start_node() {
    local redis=127.0.0.1:$((6379 + $1))
    mkdir -p .run
    if port_answers $((6379 + $1)); then
        echo "node$1 serves no Redis clients: another program has port $((6379 + $1))" >&2
        redis=off
    fi
    env --unset=PORT --unset=PEERS setsid "$(local_binary)" --http "127.0.0.1:$((9087 + $1))" \
        --redis "$redis" --data-dir ".run/node$1.data" </dev/null >>".run/node$1.log" 2>&1 &
    echo $! >".run/node$1.pid"
    disown
}

# local_runs NUMBER: whether that node's process is there. Its pid alone does not tell: it may
# belong to another program by now, or to a dead process that nobody has collected, which has no
# command line.
local_runs() {
    local pid program
    [[ -r .run/node$1.pid ]] || return 1
    pid=$(<".run/node$1.pid")
    { read -r -d '' program <"/proc/$pid/cmdline"; } 2>/dev/null || return 1
    [[ ${program##*/} == quipu ]]
}

local_stop_node() {
    local pid look
    if local_runs "$1"; then
        pid=$(<".run/node$1.pid")
        kill -TERM "$pid"
        for ((look = 0; look < stop_grace_looks; look++)); do
            local_runs "$1" || break
            sleep 0.05
        done
        if local_runs "$1"; then
            echo "node$1 (pid $pid) did not stop when it was asked to, and was killed" >&2
            kill -KILL "$pid"
        fi
    fi
    rm -f ".run/node$1.pid"
}

# What a node beside the first three had kept goes with it, as a container's nameless volume does.
local_forget_node() {
    if (($1 > 3)); then
        rm -rf ".run/node$1.data"
    fi
}

local_restart_node() {
    local_stop_node "$1"
    local_start_node "$1"
}

# The numbers of the nodes that have a pid file.
local_numbers() {
    local file
    for file in .run/node*.pid; do
        [[ -e $file ]] || continue
        file=${file#.run/node}
        echo "${file%.pid}"
    done | sort --numeric-sort
}

local_has_node() { local_runs "$1"; }

# One line for each running node: its name and its port on this machine.
local_running() {
    local number
    for number in $(local_numbers); do
        if local_runs "$number"; then
            echo "node$number $((9087 + number))"
        fi
    done
}

local_stop() {
    local number
    for number in $(local_numbers); do
        local_stop_node "$number"
        local_forget_node "$number"
    done
}

# local_logs [--follow]
local_logs() { tail --lines=+1 "$@" .run/node*.log; }
