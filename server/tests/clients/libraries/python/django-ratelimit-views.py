# django-ratelimit, unchanged, over Django's own cache: a view at each node.

import django
from django.conf import settings

from cluster import *

BACKEND = "django.core.cache.backends.redis.RedisCache"
NAMES = ["default", "second", "third"]
settings.configure(
    CACHES={name: {"BACKEND": BACKEND, "LOCATION": url(node)} for node, name in enumerate(NAMES)},
    RATELIMIT_USE_CACHE="default",
)
django.setup()
from django.http import HttpResponse  # noqa: E402, it reads the settings
from django.test import RequestFactory  # noqa: E402
from django_ratelimit.core import get_usage  # noqa: E402
from django_ratelimit.decorators import ratelimit  # noqa: E402
from django_ratelimit.exceptions import Ratelimited  # noqa: E402


def view(rate):
    @ratelimit(key="ip", rate=rate, group=rate)
    def answer(request):
        return HttpResponse("well")

    return answer


def visit(node, rate, visitor="192.0.2.1"):
    # Each node's application has settings of its own.
    settings.RATELIMIT_USE_CACHE = NAMES[node]
    try:
        return view(rate)(RequestFactory().get("/", REMOTE_ADDR=visitor)).status_code
    except Ratelimited:
        return 403
    finally:
        agree()


def usage(node, rate):
    settings.RATELIMIT_USE_CACHE = NAMES[node]
    found = get_usage(RequestFactory().get("/", REMOTE_ADDR="192.0.2.1"), group=rate, key="ip", rate=rate)
    return found["count"], found["should_limit"]


def lets_exactly_its_limit_through():
    expect([200] * 5 + [403] * 4, [visit(node, "5/d") for node in around(9)])
    expect([200] * 5 + [403] * 1, [visit(node, "5/d", "192.0.2.2") for node in around(6)])
    expect([(9, True)] * 3, [usage(node, "5/d") for node in range(3)])


def lets_through_again_when_the_window_ends():
    # A window begins at a moment that depends on whom it is for, so that the first may have ended at once.
    until(200, lambda: visit(SECOND, "1/2s"))
    until(200, lambda: visit(THIRD, "1/2s"))
    expect([403, 403], [visit(node, "1/2s") for node in (FIRST, SECOND)])
    until(200, lambda: visit(FIRST, "1/2s"))
    expect([403, 403], [visit(node, "1/2s") for node in (SECOND, THIRD)])


lets_exactly_its_limit_through()
lets_through_again_when_the_window_ends()
done()
