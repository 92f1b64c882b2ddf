# The rate limiters of dramatiq, unchanged: a backend at each node.

from dramatiq.rate_limits import Barrier, BucketRateLimiter, ConcurrentRateLimiter, WindowRateLimiter
from dramatiq.rate_limits.backends import RedisBackend

from cluster import *

BACKENDS = [RedisBackend(url=url(node)) for node in range(3)]
DAY_MS = 24 * 60 * 60 * 1000


def acquire(limiter):
    with limiter.acquire(raise_on_failure=False) as acquired:
        agree()
        return acquired


def fills_a_bucket():
    buckets = [BucketRateLimiter(backend, "bucket", limit=5, bucket=DAY_MS) for backend in BACKENDS]
    expect([True] * 5 + [False] * 4, [acquire(buckets[node]) for node in around(9)])


def empties_a_bucket():
    buckets = [BucketRateLimiter(backend, "short", limit=1, bucket=2000) for backend in BACKENDS]

    # A bucket begins at a multiple of its length, so that the first may have ended at once.
    until(True, lambda: acquire(buckets[SECOND]))
    until(True, lambda: acquire(buckets[THIRD]))
    expect([False, False], [acquire(buckets[node]) for node in (FIRST, SECOND)])
    until(True, lambda: acquire(buckets[FIRST]))
    expect([False, False], [acquire(buckets[node]) for node in (SECOND, THIRD)])


def keeps_a_window():
    windows = [WindowRateLimiter(backend, "window", limit=4, window=5) for backend in BACKENDS]
    expect([True] * 4 + [False] * 2, [acquire(windows[node]) for node in around(6)])
    for window in windows:
        until(True, lambda: acquire(window))


def bounds_how_many_work_at_once():
    works = [ConcurrentRateLimiter(backend, "works", limit=3) for backend in BACKENDS]
    with works[FIRST].acquire():
        agree()
        with works[SECOND].acquire(), works[SECOND].acquire():
            agree()
            expect([False] * 3, [acquire(work) for work in works])
        agree()
        expect([True] * 3, [acquire(work) for work in works])
    agree()
    expect("0", NODES[THIRD].get("works"))


def counts_who_came_to_a_barrier():
    barriers = [Barrier(backend, "barrier", ttl=DAY_MS) for backend in BACKENDS]
    expect([True, False], [barriers[FIRST].create(parties=3), barriers[FIRST].create(parties=3)])
    agree()
    # The last one tells those who wait, through a list.
    expect([False, False], [(barriers[node].wait(block=False), agree())[0] for node in (SECOND, THIRD)])
    expect_error("RPUSH is refused", lambda: barriers[FIRST].wait(block=False))


fills_a_bucket()
empties_a_bucket()
keeps_a_window()
bounds_how_many_work_at_once()
counts_who_came_to_a_barrier()
done()
