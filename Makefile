# Each line below is one command that could be typed by hand. `cargo xtask` runs the program in xtask,
# which is compiled at its first call. The cluster's nodes run in containers where a Docker engine
# answers, as local processes where none does (or with QUIPU_LOCAL=1).

.PHONY: all stop restart clean logs add-node build image bench demo pictures help \
	test test-api test-chaos test-clients test-full test-redis-suite test-sim test-upgrade test-health test-increment test-count test-sync test-all-peers \
	test-peers test-discovery test-remove-existing-peer

all: ## Stop what ran, build, start three nodes, return when they have found each other
	@cargo xtask cluster up

stop: ## Stop every node; counts stay
	@cargo xtask cluster stop

restart: ## Restart the nodes one after the other; counts stay
	@cargo xtask cluster restart

clean: ## Stop, and delete what make made: image, network, counts, .run
	@cargo xtask cluster clean

logs: ## Show the nodes' logs; at a terminal, follow them
	@cargo xtask cluster logs

add-node: ## Start one more node, and return when all know it
	@cargo xtask cluster add

build: ## Build the program, optimised
	cargo build --release --package quipu

image: ## Build the container image around a static binary
	@scripts/image

test: ## Style, lints, and every test that brings its own nodes
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --package quipu --all-targets -- -D warnings
	scripts/test
	cargo test --workspace --doc
	scripts/test-api --or-skip

test-api: ## Every call keeps to what /openapi.json says of it, whatever is sent (schemathesis, PyPI)
	@scripts/test-api

test-clients: ## Redis clients of six languages, and libraries that count on three nodes, unchanged; lost replies (installs them)
	@scripts/test-clients

test-redis-suite: ## Redis's own test suite against a node, for what counters serve (SUITE=FOLDER: its source)
	@scripts/test-redis-suite $(SUITE)

test-chaos: ## Kill nodes for some five minutes: a storm, 50 rounds, every step to the disk
	QUIPU_CHAOS=1 cargo test --package quipu --test suite kill_ -- --nocapture --test-threads 1

test-upgrade: ## The release before and this one count together, and a cluster under load goes from one to the other and back
	QUIPU_UPGRADE=1 cargo test --package quipu --test suite upgrade:: -- --nocapture --test-threads 1

SEEDS ?= 1000
FROM ?= 0
test-sim: ## 1,000 whole clusters in virtual time under every fault (SEEDS=N FROM=N); some two minutes
	cargo run --release --package quipu-sim -- --seeds $(SEEDS) --from $(FROM)

test-health: ## Every node answers /health
	@cargo xtask check health

test-increment: ## An increment on node 1 is seen on every node
	@cargo xtask check increment

test-count: ## The counts of all nodes, equal
	@cargo xtask check count

test-sync: ## /sync with a higher value raises every node; with a lower one changes nothing
	@cargo xtask check sync

test-all-peers: ## The peer list of every node, complete
	@cargo xtask check all-peers

test-peers: ## A peer registered by hand is listed, and forgotten when it never answers
	@cargo xtask check peers

test-discovery: ## A node started without a list is found, has the count, and leaves
	@cargo xtask check discovery

test-remove-existing-peer: ## A removed node stays away until it is registered again
	@cargo xtask check remove-existing-peer

test-full: ## All test-… targets that ask a running cluster, in turn
	@cargo xtask check full

bench: ## Measure this machine
	@scripts/bench

pictures: ## Renew the pictures of the live page and of quipu top
	@scripts/pictures

demo: ## One minute: three nodes under load, one cut off and healed, and the sums
	@cargo xtask demo

help: ## This list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1	\2/p' Makefile | while IFS='	' read -r target what; do printf '%-26s %s\n' "$$target" "$$what"; done
