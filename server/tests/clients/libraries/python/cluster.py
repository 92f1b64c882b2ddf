"""The three nodes that each program of this directory works on: PROGRAM PORT PORT PORT."""

import sys
import time

import redis

# How long what is waited for may take: of a cluster on one machine, some milliseconds.
DEADLINE_S = 10
POLL_S = 0.01

PORTS = [int(port) for port in sys.argv[1:]]
NODES = [redis.Redis(port=port, decode_responses=True) for port in PORTS]
FIRST, SECOND, THIRD = range(3)


def url(node):
    return f"redis://127.0.0.1:{PORTS[node]}"


def expect(wanted, found):
    assert wanted == found, f"expected {wanted!r}, found {found!r}"


def expect_error(words, action):
    try:
        found = action()
    except Exception as error:  # each library has errors of its own
        said = f"{error} {error.__cause__}"
        assert words in said, f"expected an error with {words!r}, found {said}"
    else:
        raise AssertionError(f"expected an error with {words!r}, found {found!r}")


def within(holds, complaint):
    """Polls until it holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"after {DEADLINE_S} s {complaint()}"
        time.sleep(POLL_S)


def until(wanted, ask):
    """Waits for an answer."""
    answers = []

    def holds():
        answers.append(ask())
        return answers[-1] == wanted

    within(holds, lambda: f"expected {wanted!r}, found {answers[-1]!r}")


def shown(node):
    """What a node shows: every name, its value, and when it expires."""
    names = sorted(node.keys())
    pipeline = node.pipeline(transaction=False)
    for name in names:
        pipeline.get(name).pexpiretime(name)
    answers = pipeline.execute()
    return list(zip(names, answers[::2], answers[1::2]))


def agree():
    """Waits until all nodes show the same in database 0: then each has what was written on any of them before."""
    looks = []

    def holds():
        looks[:] = [shown(node) for node in NODES]
        return looks[FIRST] == looks[SECOND] == looks[THIRD]

    within(holds, lambda: f"the nodes do not agree: {looks}")


def begin():
    """Deletes what the program before has left."""
    agree()
    NODES[SECOND].flushall()
    agree()
    expect([], shown(NODES[THIRD]))


def around(times):
    """Node after node."""
    return [turn % len(PORTS) for turn in range(times)]


def done():
    print("all as expected")


begin()
