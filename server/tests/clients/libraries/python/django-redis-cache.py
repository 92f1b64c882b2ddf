# django-redis, unchanged: what it has beyond Django's own cache, at each node.

import django
from django.conf import settings

from cluster import *

BACKEND = "django_redis.cache.RedisCache"
NAMES = ["default", "second", "third"]
settings.configure(
    CACHES={name: {"BACKEND": BACKEND, "LOCATION": f"{url(node)}/0"} for node, name in enumerate(NAMES)}
    | {"spread": {"BACKEND": BACKEND, "LOCATION": [f"{url(node)}/0" for node in range(3)]}},
)
django.setup()
from django.core.cache import caches  # noqa: E402, it reads the settings
from django_redis import get_redis_connection  # noqa: E402

CACHES = [caches[name] for name in NAMES]
SPREAD = caches["spread"]


def on_all(answer, ask):
    agree()
    expect([answer] * 3, [ask(cache) for cache in CACHES])


def keeps_numbers():
    CACHES[FIRST].set("stock", 20)
    on_all(20, lambda cache: cache.get("stock"))
    CACHES[SECOND].set_many({"stock": 30, "sold": -5}, timeout=None)
    on_all({"stock": 30, "sold": -5}, lambda cache: cache.get_many(["stock", "sold", "nobody"]))


def counts_on_all_nodes():
    CACHES[THIRD].set("visits", 0, timeout=300)
    agree()
    for turn in range(300):
        CACHES[turn % 3].incr("visits", 2)
    on_all(600, lambda cache: cache.get("visits"))
    expect(590, CACHES[SECOND].decr("visits", 10))
    on_all((590, True), lambda cache: (cache.get("visits"), 0 < cache.ttl("visits") <= 300))
    expect_error("not found", lambda: CACHES[SECOND].incr("nobody"))
    expect(4, CACHES[SECOND].incr("somebody", 4, ignore_key_check=True))
    on_all(4, lambda cache: cache.get("somebody"))


def sets_with_conditions():
    expect([True, False, False], [(cache.set("once", 1, nx=True), agree())[0] for cache in CACHES])
    expect([True, False], [CACHES[THIRD].set("once", 2, xx=True), CACHES[THIRD].set("nobody", 2, xx=True)])
    on_all(2, lambda cache: cache.get("once"))


def moves_to_another_version():
    CACHES[FIRST].set("page", 3)
    agree()
    expect(2, CACHES[THIRD].incr_version("page"))
    on_all((None, 3), lambda cache: (cache.get("page"), cache.get("page", version=2)))


def has_lifetimes():
    CACHES[FIRST].set("life", 1, timeout=None)
    on_all((None, 0), lambda cache: (cache.ttl("life"), cache.ttl("nobody")))
    expect(True, CACHES[SECOND].expire("life", 100))
    on_all(True, lambda cache: 0 < cache.ttl("life") <= 100 and cache.pttl("life") <= 100_000)
    expect(True, CACHES[THIRD].persist("life"))
    on_all(None, lambda cache: cache.ttl("life"))
    expect(True, CACHES[FIRST].pexpire("life", 1500))
    on_all(1, lambda cache: cache.get("life"))
    for cache in CACHES:
        until(None, lambda: cache.get("life"))


def finds_and_deletes_by_patterns():
    for turn in range(30):
        CACHES[turn % 3].set(f"found:{turn}", turn)
    agree()
    for cache in CACHES:
        expect({f"found:{turn}" for turn in range(30)}, set(cache.iter_keys("found:*", itersize=7)))
        expect(10, len(cache.keys("found:1?")))
    expect(30, CACHES[SECOND].delete_pattern("found:*"))
    on_all([], lambda cache: cache.keys("found:*"))


def reads_from_nodes_that_it_does_not_write_to():
    SPREAD.set("spread", 1)
    agree()
    expect(2, SPREAD.incr("spread"))
    agree()
    expect([2] * 6, [SPREAD.get("spread") for _ in range(6)])


def lends_its_connection():
    expect(7, get_redis_connection("second").incrby("lent", 7))
    agree()
    expect(b"7", get_redis_connection("third").get("lent"))


def locks_with_a_token_that_is_a_number():
    locks = [cache.lock("lock", timeout=300) for cache in CACHES]
    taken = [(lock.acquire(blocking=False, token=4000 + node), agree())[0] for node, lock in enumerate(locks)]
    expect([True, False, False], taken)
    locks[FIRST].release()
    agree()
    expect(True, locks[THIRD].acquire(blocking=False, token=5000))
    expect(True, locks[THIRD].owned())


def refuses_what_is_no_number():
    for value in ("words", 1.5, True, [1], None):
        expect_error("not an integer", lambda: CACHES[FIRST].set("words", value))
    expect_error("not an integer", lambda: CACHES[FIRST].lock("another").acquire())
    expect_error("SADD is refused", lambda: CACHES[FIRST].sadd("set", 1))
    expect_error("HSET is refused", lambda: CACHES[FIRST].hset("hash", "field", 1))
    on_all([], lambda cache: cache.keys("words") + cache.keys("another"))


def clears_on_all_nodes():
    CACHES[SECOND].clear()
    agree()
    expect([[]] * 3, [node.keys() for node in NODES])


keeps_numbers()
counts_on_all_nodes()
sets_with_conditions()
moves_to_another_version()
has_lifetimes()
finds_and_deletes_by_patterns()
reads_from_nodes_that_it_does_not_write_to()
lends_its_connection()
locks_with_a_token_that_is_a_number()
refuses_what_is_no_number()
clears_on_all_nodes()
done()
