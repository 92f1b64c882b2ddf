# slowapi, unchanged: an application of Starlette's and FastAPI's at each node.

from fastapi import FastAPI, Request
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.util import get_remote_address
from starlette.testclient import TestClient

from cluster import *


def application(node):
    app = FastAPI()
    app.state.limiter = Limiter(get_remote_address, storage_uri=url(node), headers_enabled=False)
    app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)

    @app.get("/five")
    @app.state.limiter.limit("5/day")
    async def five(request: Request):
        return "well"

    @app.get("/window")
    @app.state.limiter.limit("1 per 2 second")
    def window(request: Request):
        return "well"

    return app


APPLICATIONS = [application(node) for node in range(3)]


def visit(node, path, visitor="192.0.2.1"):
    answer = TestClient(APPLICATIONS[node], client=(visitor, 1)).get(path)
    agree()
    return answer.status_code


def lets_exactly_its_limit_through():
    expect([200] * 5 + [429] * 4, [visit(node, "/five") for node in around(9)])
    expect([200] * 5 + [429] * 1, [visit(node, "/five", "192.0.2.2") for node in around(6)])


def lets_through_again_when_the_window_ends():
    expect([200, 429, 429], [visit(node, "/window") for node in (SECOND, THIRD, FIRST)])
    until(200, lambda: visit(THIRD, "/window"))
    expect([429, 429], [visit(node, "/window") for node in (FIRST, SECOND)])


def ends_all_limits_at_once():
    visitor = "192.0.2.9"
    expect([200] * 5 + [429], [visit(node, "/five", visitor) for node in around(6)])
    APPLICATIONS[FIRST].state.limiter.reset()
    agree()
    expect([200] * 5 + [429], [visit(node, "/five", visitor) for node in around(6)])


lets_exactly_its_limit_through()
lets_through_again_when_the_window_ends()
ends_all_limits_at_once()
done()
