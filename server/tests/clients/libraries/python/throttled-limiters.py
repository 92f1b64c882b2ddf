# throttled-py, unchanged: a store at each node.

from datetime import timedelta

from throttled import RateLimiterType, Throttled, per_day, per_duration, store

from cluster import *

STORES = [store.RedisStore(server=f"{url(node)}/0") for node in range(3)]


def throttles(using, quota, key):
    return [Throttled(key=key, using=using.value, quota=quota, store=kept) for kept in STORES]


def hit(throttle, cost=1):
    limited = throttle.limit(cost=cost).limited
    agree()
    return limited


def lets_exactly_its_limit_through(using):
    limited = throttles(using, per_day(5), f"{using.value}:exact")
    expect([False] * 5 + [True] * 4, [hit(limited[node]) for node in around(9)])
    costly = throttles(using, per_day(10), f"{using.value}:costly")
    expect([False, False, True], [hit(costly[node], cost=4) for node in around(3)])


def peeks():
    limited = throttles(RateLimiterType.FIXED_WINDOW, per_day(5), "peeked")
    expect([False] * 2, [hit(limited[node]) for node in (FIRST, THIRD)])
    expect([3] * 3, [throttle.peek("peeked").remaining for throttle in limited])


def lets_through_again_when_the_window_ends(using):
    limited = throttles(using, per_duration(timedelta(seconds=2), 1), f"{using.value}:window")

    # A window begins at a multiple of its length, so that the first may have ended at once.
    until(False, lambda: hit(limited[SECOND]))
    until(False, lambda: hit(limited[THIRD]))
    expect([True, True], [hit(limited[node]) for node in (FIRST, SECOND)])
    until(False, lambda: hit(limited[FIRST]))
    expect([True, True], [hit(limited[node]) for node in (SECOND, THIRD)])


def is_refused(using, words):
    expect_error(words, lambda: hit(throttles(using, per_day(5), "refused")[SECOND]))


for kind in (RateLimiterType.FIXED_WINDOW, RateLimiterType.SLIDING_WINDOW):
    lets_exactly_its_limit_through(kind)
    lets_through_again_when_the_window_ends(kind)
peeks()
is_refused(RateLimiterType.TOKEN_BUCKET, "HMGET is refused")
is_refused(RateLimiterType.LEAKING_BUCKET, "HMGET is refused")
is_refused(RateLimiterType.GCRA, "not an integer")
done()
