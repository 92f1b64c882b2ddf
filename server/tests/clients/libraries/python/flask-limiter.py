# Flask-Limiter, unchanged: an application at each node, and one visitor who comes to one after the other.

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from cluster import *


def application(node):
    app = Flask(__name__)
    limiter = Limiter(
        get_remote_address,
        app=app,
        storage_uri=url(node),
        strategy="fixed-window",
        headers_enabled=True,
        default_limits=["100 per day"],
    )
    both = limiter.shared_limit("4 per day", scope="both")

    @app.get("/")
    def index():
        return "well"

    @app.get("/five")
    @limiter.limit("5 per day")
    def five():
        return "well"

    @app.get("/window")
    @limiter.limit("1 per 2 second")
    def window():
        return "well"

    @app.get("/one")
    @both
    def one():
        return "well"

    @app.get("/other")
    @both
    def other():
        return "well"

    @app.get("/costly")
    @limiter.limit("10 per day", cost=3)
    def costly():
        return "well"

    return app.test_client(), limiter


APPLICATIONS, LIMITERS = zip(*map(application, range(3)))


def visit(node, path, visitor="192.0.2.1"):
    answer = APPLICATIONS[node].get(path, environ_base={"REMOTE_ADDR": visitor})
    agree()
    return answer


def statuses(times, *paths, **visitor):
    return [visit(node, paths[turn % len(paths)], **visitor).status_code for turn, node in enumerate(around(times))]


def lets_exactly_its_limit_through():
    expect([200] * 5 + [429] * 4, statuses(9, "/five"))
    expect([200] * 5 + [429] * 1, statuses(6, "/five", visitor="192.0.2.2"))


def tells_what_is_left():
    left = [visit(node, "/").headers["X-RateLimit-Remaining"] for node in around(6)]
    expect(["99", "98", "97", "96", "95", "94"], left)


def shares_a_limit():
    expect([200] * 4 + [429] * 2, statuses(6, "/one", "/other"))


def counts_what_a_call_costs():
    expect([200] * 3 + [429] * 2, statuses(5, "/costly"))


def lets_through_again_when_the_window_ends():
    expect([200, 429, 429], statuses(3, "/window"))
    until(200, lambda: visit(SECOND, "/window").status_code)
    expect([429, 429], [visit(node, "/window").status_code for node in (FIRST, THIRD)])


def clears_on_all_nodes():
    names = [name for name in NODES[FIRST].keys() if "/192.0.2.2/five/" in name]
    expect(1, len(names))
    LIMITERS[THIRD].storage.clear(names[0].removeprefix("LIMITS:"))
    agree()
    expect([200] * 5 + [429] * 1, statuses(6, "/five", visitor="192.0.2.2"))


def ends_all_limits_at_once():
    expect([200] * 5 + [429], statuses(6, "/five", visitor="192.0.2.9"))
    LIMITERS[SECOND].reset()
    agree()
    expect([200] * 5 + [429], statuses(6, "/five", visitor="192.0.2.9"))


lets_exactly_its_limit_through()
tells_what_is_left()
shares_a_limit()
counts_what_a_call_costs()
lets_through_again_when_the_window_ends()
clears_on_all_nodes()
ends_all_limits_at_once()
done()
