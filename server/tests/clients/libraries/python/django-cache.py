# Django's own cache, unchanged: once at each node, and once as it reads from nodes that it does not write to.

import concurrent.futures

import django
from django.conf import settings

from cluster import *

BACKEND = "django.core.cache.backends.redis.RedisCache"
settings.configure(
    CACHES={
        "default": {"BACKEND": BACKEND, "LOCATION": url(FIRST)},
        "second": {"BACKEND": BACKEND, "LOCATION": url(SECOND)},
        "third": {"BACKEND": BACKEND, "LOCATION": url(THIRD), "KEY_PREFIX": "", "TIMEOUT": 300},
        "spread": {"BACKEND": BACKEND, "LOCATION": [url(node) for node in range(3)]},
    },
)
django.setup()
from django.core.cache import caches  # noqa: E402, it reads the settings

CACHES = [caches["default"], caches["second"], caches["third"]]
SPREAD = caches["spread"]


def on_all(answer, ask):
    agree()
    expect([answer] * 3, [ask(cache) for cache in CACHES])


def keeps_numbers():
    CACHES[FIRST].set("stock", 20)
    on_all(20, lambda cache: cache.get("stock"))
    CACHES[SECOND].set_many({"stock": 30, "sold": -5}, timeout=None)
    on_all({"stock": 30, "sold": -5}, lambda cache: cache.get_many(["stock", "sold", "nobody"]))
    on_all(None, lambda cache: cache.get("nobody"))
    on_all(True, lambda cache: "stock" in cache)


def counts_on_all_nodes_at_once():
    CACHES[THIRD].set("visits", 0, timeout=None)
    agree()

    def count(turn):
        # A thread has a connection of its own.
        return caches[("default", "second", "third")[turn % 3]].incr("visits", 1 + turn % 2)

    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        list(threads.map(count, range(600)))
    on_all(900, lambda cache: cache.get("visits"))
    expect(880, CACHES[SECOND].decr("visits", 20))
    on_all(880, lambda cache: cache.get("visits"))
    expect_error("not found", lambda: CACHES[SECOND].incr("nobody"))


def adds_once():
    expect([True, False, False], [(cache.add("once", 1, timeout=60), agree())[0] for cache in CACHES])
    expect(1, CACHES[FIRST].get_or_set("once", 7))


def moves_to_another_version():
    CACHES[FIRST].set("page", 3)
    agree()
    expect(2, CACHES[THIRD].incr_version("page"))
    on_all((None, 3), lambda cache: (cache.get("page"), cache.get("page", version=2)))


def expires_on_all_nodes():
    CACHES[THIRD].set("short", 8, timeout=2)
    CACHES[THIRD].set("prolonged", 8, timeout=2)
    on_all((8, 8), lambda cache: (cache.get("short"), cache.get("prolonged")))
    expect(True, CACHES[SECOND].touch("prolonged", 300))
    on_all(8, lambda cache: cache.get("prolonged"))
    for cache in CACHES:
        until(None, lambda: cache.get("short"))
    expect([8] * 3, [cache.get("prolonged") for cache in CACHES])


def deletes_on_all_nodes():
    expect(True, CACHES[SECOND].delete("stock"))
    on_all(None, lambda cache: cache.get("stock"))
    CACHES[THIRD].delete_many(["once", "sold"])
    on_all({}, lambda cache: cache.get_many(["once", "sold"]))


def reads_from_nodes_that_it_does_not_write_to():
    SPREAD.set("spread", 1)
    for value in range(2, 12):
        agree()
        expect(value, SPREAD.incr("spread"))
        agree()
        expect([value] * 6, [SPREAD.get("spread") for _ in range(6)])


def refuses_what_is_no_number():
    for value in ("words", 1.5, True, [1], None):
        expect_error("not an integer", lambda: CACHES[FIRST].set("words", value))
    on_all(None, lambda cache: cache.get("words"))


def clears_on_all_nodes():
    CACHES[SECOND].clear()
    agree()
    expect([[]] * 3, [node.keys() for node in NODES])


keeps_numbers()
counts_on_all_nodes_at_once()
adds_once()
moves_to_another_version()
expires_on_all_nodes()
deletes_on_all_nodes()
reads_from_nodes_that_it_does_not_write_to()
refuses_what_is_no_number()
clears_on_all_nodes()
done()
