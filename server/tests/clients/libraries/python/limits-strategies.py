# limits, unchanged: a limiter at each node.

import concurrent.futures

from limits import parse, storage, strategies

from cluster import *

STORES = [storage.storage_from_string(url(node)) for node in range(3)]
LIMITERS = [strategies.FixedWindowRateLimiter(store) for store in STORES]


def hit(node, item, who, **cost):
    allowed = LIMITERS[node].hit(item, who, **cost)
    agree()
    return allowed


def remaining(item, who):
    return [limiter.get_window_stats(item, who).remaining for limiter in LIMITERS]


def lets_exactly_its_limit_through():
    item = parse("10/day")
    expect([True] * 10 + [False] * 5, [hit(node, item, "all") for node in around(15)])
    expect([False] * 3, [limiter.test(item, "all") for limiter in LIMITERS])
    expect([True] * 3, [limiter.test(item, "another") for limiter in LIMITERS])


def counts_what_each_hit_costs():
    item = parse("10/day")
    expect(True, hit(SECOND, item, "cost", cost=7))
    expect([3] * 3, remaining(item, "cost"))
    expect(False, hit(THIRD, item, "cost", cost=4))


def counts_hits_that_come_at_once():
    item = parse("100/day")
    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        allowed = list(threads.map(lambda turn: LIMITERS[turn % 3].hit(item, "at once"), range(300)))
    agree()
    # Nodes that judge at the same moment may let more through, never fewer, and every hit counts.
    assert allowed.count(True) >= 100, allowed.count(True)
    expect([300] * 3, [store.get(item.key_for("at once")) for store in STORES])


def clears_on_all_nodes():
    item = parse("2/day")
    expect([True, True, False], [hit(node, item, "cleared") for node in around(3)])
    LIMITERS[THIRD].clear(item, "cleared")
    agree()
    expect([2] * 3, remaining(item, "cleared"))
    expect([True, True, False], [hit(node, item, "cleared") for node in around(3)])


def lets_through_again_when_the_window_ends():
    item = parse("1/2 second")
    expect(True, hit(FIRST, item, "window"))
    expect([False] * 3, [limiter.test(item, "window") for limiter in LIMITERS])
    for limiter in LIMITERS:
        until(True, lambda: limiter.test(item, "window"))
    expect([True, False], [hit(THIRD, item, "window"), hit(FIRST, item, "window")])


def slides_within_its_first_window():
    # When that ends the script renames the counter.
    sliding = [strategies.SlidingWindowCounterRateLimiter(store) for store in STORES]
    item = parse("3/2 second")

    def hit(node):
        allowed = sliding[node].hit(item, "sliding")
        agree()
        return allowed

    def is_renamed():
        try:
            expect(False, hit(THIRD))
        except redis.ResponseError as error:
            return "RENAME is refused" in str(error)

    expect([True] * 3 + [False], [hit(node) for node in around(4)])
    within(is_renamed, lambda: "it still slides")


def ends_all_limits_at_once():
    item = parse("2/day")
    expect([True, True, False], [hit(node, item, "ended") for node in around(3)])
    ended = STORES[THIRD].reset()
    agree()
    assert ended >= 1, ended
    expect([2] * 3, remaining(item, "ended"))


def is_refused():
    moving = strategies.MovingWindowRateLimiter(STORES[SECOND])
    expect_error("LINDEX is refused", lambda: moving.hit(parse("3/day"), "moving"))


lets_exactly_its_limit_through()
counts_what_each_hit_costs()
counts_hits_that_come_at_once()
clears_on_all_nodes()
lets_through_again_when_the_window_ends()
slides_within_its_first_window()
ends_all_limits_at_once()
is_refused()
done()
