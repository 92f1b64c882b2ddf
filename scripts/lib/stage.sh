# The stage is where the nodes run: `docker` or `local`, two files with the same functions. What is
# asked of the nodes is the same on either.

# shellcheck source=scripts/lib/docker.sh
source scripts/lib/docker.sh
# shellcheck source=scripts/lib/local.sh
source scripts/lib/local.sh

# on STAGE FUNCTION…: that stage's own way of doing it.
on() {
    local stage=$1 what=$2
    shift 2
    "${stage}_$what" "$@"
}

# Where a cluster is to be started. Leaves in `stage_reason` why it is not in containers.
stage_reason=
choose_stage() {
    if [[ ${QUIPU_LOCAL:-} == 1 ]]; then
        stage_reason="QUIPU_LOCAL=1"
    else
        stage_reason=$(docker_lacks)
    fi
    if [[ -n $stage_reason ]]; then
        stage=local
    else
        stage=docker
    fi
}

# Where a cluster runs. Asked of what runs, so that it is right whoever started it.
find_stage() {
    for stage in local docker; do
        if [[ -n $(on "$stage" running) ]]; then
            return
        fi
    done
    echo "no node runs here; start three with: make" >&2
    return 1
}

# Leaves the nodes' names in `nodes`, in order, and where each answers in `url`. The first three
# belong to the cluster whether they run or not: a check must fail when one of them does not. Others
# come and go.
declare -a nodes
declare -A url
find_nodes() {
    local name port
    nodes=(node1 node2 node3)
    url=([node1]=http://127.0.0.1:9088 [node2]=http://127.0.0.1:9089 [node3]=http://127.0.0.1:9090)
    while read -r name port; do
        [[ -n ${url[$name]:-} ]] || nodes+=("$name")
        url[$name]=http://127.0.0.1:$port
    done < <(on "$stage" running)
}

# The first number from 4 up that no node has, and whose ports on this machine are free.
free_number() {
    local number=4
    while on "$stage" has_node "$number" || port_answers $((9087 + number)) ||
        port_answers $((6379 + number)); do
        number=$((number + 1))
    done
    echo "$number"
}

port_answers() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
