# celery-once and celery-singleton, unchanged: tasks that are queued from each node's side.

import time

from celery import Celery
from celery_once import AlreadyQueued, QueueOnce
from celery_singleton import Singleton

from cluster import *


class UntilWhen:
    """A backend for celery-once that keeps a number, the time until which a task is locked, where its own keeps a UUID."""

    def __init__(self, settings):
        self.redis = redis.Redis.from_url(settings["url"])

    def raise_or_lock(self, key, timeout):
        if not self.redis.set(key, int(time.time()) + timeout, nx=True, ex=timeout):
            raise AlreadyQueued(self.redis.pttl(key) / 1000)

    def clear_lock(self, key):
        return self.redis.delete(key)


def task(node, backend, name="task"):
    # The queue is elsewhere: a counter store has none.
    app = Celery(f"at-{node}", broker="memory://")
    app.conf.ONCE = {"backend": backend, "settings": {"url": url(node), "default_timeout": 3600}}

    @app.task(base=QueueOnce, name=name)
    def work(of):
        return of

    return work


def queue(work, of, **once):
    try:
        work.apply_async(args=[of], once=once)
    except AlreadyQueued as refusal:
        assert 0 < refusal.countdown <= 3600, refusal.countdown
        return False
    finally:
        agree()
    return True


def queues_once():
    tasks = [task(node, "__main__.UntilWhen") for node in range(3)]
    expect([True, False, False], [queue(work, 1) for work in tasks])
    expect([True, False, False], [queue(tasks[node], 2) for node in (THIRD, SECOND, FIRST)])
    # As a worker at another node does when it is through.
    tasks[SECOND].after_return("SUCCESS", None, "id", [1], {}, None)
    agree()
    expect([True, False, False], [queue(tasks[node], 1) for node in (THIRD, SECOND, FIRST)])


def queues_again_when_the_lock_ends():
    tasks = [task(node, "__main__.UntilWhen") for node in range(3)]
    expect([True, False, False], [queue(tasks[node], 3, timeout=2) for node in (SECOND, THIRD, FIRST)])
    until(True, lambda: queue(tasks[FIRST], 3, timeout=2))
    expect([False, False], [queue(tasks[node], 3) for node in (SECOND, THIRD)])


def is_refused():
    expect_error("not an integer", lambda: queue(task(FIRST, "celery_once.backends.Redis"), 1))
    app = Celery("alone", broker="memory://")
    app.conf.singleton_backend_url = url(SECOND)

    @app.task(base=Singleton)
    def alone():
        pass

    expect_error("not an integer", alone.delay)


queues_once()
queues_again_when_the_lock_ends()
is_refused()
done()
