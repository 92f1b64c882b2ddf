# The nodes as containers: node1, node2, node3 from compose.yaml, and any number beside them.
#
# What runs is found by asking the engine for containers of our image on our network, never from
# notes of our own: so a node that somebody started by hand is seen, and stopped, like the others.

readonly image=quipu
readonly network=quipu_mynetwork
readonly ours=(--filter "label=org.opencontainers.image.title=quipu" --filter "network=$network")
readonly stop_grace_s=5

docker_answers() { timeout 5 docker version >/dev/null 2>&1; }

# Why containers cannot be used here, or nothing.
docker_lacks() {
    if [[ $(uname) != Linux ]]; then
        echo "containers need a Linux host to build the binary"
    elif ! docker_answers; then
        echo "no Docker engine answers"
    elif ! docker_compose version >/dev/null 2>&1; then
        echo "neither 'docker compose' nor 'docker-compose' is installed"
    fi
}

docker_compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose --project-name quipu "$@"
    else
        docker-compose --project-name quipu "$@"
    fi
}

docker_build() { scripts/image; }

# Compose reports by redrawing lines, which is worth reading only when it fails.
docker_start_three() {
    local log=.run/compose.log
    mkdir -p .run
    docker_compose up --detach --no-build >"$log" 2>&1 || {
        cat "$log" >&2
        return 1
    }
}

# docker_start_node NUMBER: one more, without a list of the others.
docker_start_node() {
    docker run --detach --name "node$1" --network "$network" \
        --env "PORT=$((8087 + $1))" --publish "127.0.0.1:$((9087 + $1)):$((8087 + $1))" \
        --publish "127.0.0.1:$((6379 + $1)):6380" \
        --read-only --cap-drop ALL --security-opt no-new-privileges:true \
        "$image" >/dev/null
}

docker_stop_node() {
    docker stop --time "$stop_grace_s" "node$1" >/dev/null
    docker rm --force --volumes "node$1" >/dev/null
}

# Its nameless volume has gone with the container.
docker_forget_node() { :; }

docker_restart_node() { docker restart --time "$stop_grace_s" "node$1" >/dev/null; }

# docker_has_node NUMBER: whether its name is taken, be it by a container that stopped.
docker_has_node() { docker container inspect "node$1" >/dev/null 2>&1; }

# One line for each running node that can be reached from here: its name and its HTTP port on this
# machine.
docker_running() {
    timeout 5 docker ps "${ours[@]}" --format '{{.Names}} {{.Ports}}' 2>/dev/null |
        sed -nE 's/[^ ]*->6380\/tcp//g; s/^(node[0-9]+) .*:([0-9]+)->[0-9]+\/tcp.*/\1 \2/p' |
        sort --version-sort
}

docker_stop() {
    local containers
    containers=$(docker ps --all --quiet "${ours[@]}")
    if [[ -n $containers ]]; then
        # A container that was started with --rm goes by itself between these two, and Docker
        # complains of that. What they fail to end keeps its network from being removed below, and
        # is named there. --volumes takes the nameless ones; compose.yaml's outlive a stop.
        xargs docker stop --time "$stop_grace_s" <<<"$containers" >/dev/null 2>&1 || true
        xargs docker rm --force --volumes <<<"$containers" >/dev/null 2>&1 || true
    fi
    if docker network inspect "$network" >/dev/null 2>&1; then
        docker network rm "$network" >/dev/null
    fi
}

# What a stop leaves: the image, and the volumes that compose.yaml names.
docker_clean() {
    local volumes
    volumes=$(docker volume ls --quiet --filter 'name=^quipu_node[123]$')
    [[ -z $volumes ]] || xargs docker volume rm <<<"$volumes" >/dev/null
    if docker image inspect "$image" >/dev/null 2>&1; then
        docker image rm "$image" >/dev/null
    fi
}

# docker_logs [--follow]: of stopped containers too, which are the ones that one wants to read.
docker_logs() {
    local name
    while read -r name; do
        docker logs "$@" "$name" 2>&1 | sed --unbuffered "s/^/$name | /" &
    done < <(docker ps --all "${ours[@]}" --format '{{.Names}}' | sort --version-sort)
    wait
}
