"""redis-py against a node, unchanged: run by tests/redis_clients.rs with the node's port."""

import sys

import redis


def check(protocol: int, port: int) -> None:
    client = redis.Redis(port=port, protocol=protocol, decode_responses=True, client_name="py")
    name = f"py:{protocol}"
    assert client.ping()
    assert client.incr(name) == 1
    assert client.incrby(name, 10) == 11
    assert client.decr(name, 4) == 7
    assert client.get(name) == "7"
    assert client.get("nope") is None
    assert client.mget(name, "nope") == ["7", None]
    assert client.exists(name, "nope") == 1
    assert client.ttl(name) == -1 and client.ttl("nope") == -2
    assert client.type(name) == "string"
    assert client.strlen(name) == 1
    assert name in set(client.scan_iter(match="py:*", count=3))
    assert name in client.keys("py:*")
    assert client.dbsize() >= 1
    assert client.client_getname() == "py"
    assert client.client_id() > 0
    assert client.info()["redis_mode"] == "standalone"
    assert client.config_get("save") == {"save": ""}
    assert client.wait(0, 10) == 0
    assert "incr" in client.command()

    listen(client, name)

    with client.pipeline(transaction=False) as pipeline:
        for _ in range(1000):
            pipeline.incr(name)
        assert pipeline.execute() == list(range(8, 1008))
    with client.pipeline(transaction=True) as pipeline:
        pipeline.incr(name).decr(name).get(name)
        assert pipeline.execute() == [1008, 1007, "1007"]

    for refused in (
        lambda: client.append(name, 1),
        lambda: client.rename(name, "other"),
        lambda: client.copy(name, "other"),
    ):
        try:
            refused()
        except redis.ResponseError as error:
            assert "is refused: " in str(error), error
        else:
            raise AssertionError("expected a refusal")


def listen(client: redis.Redis, name: str) -> None:
    channel, pattern = f"counter:{name}", f"counter:{name}*"
    listener = client.pubsub()
    listener.subscribe(channel)
    listener.psubscribe(pattern)
    confirmed = [listener.get_message(timeout=10) for _ in range(2)]
    assert [told["type"] for told in confirmed] == ["subscribe", "psubscribe"], confirmed
    assert client.pubsub_channels(pattern) == [channel]
    assert client.pubsub_numsub(channel, "counter:nobody") == [(channel, 1), ("counter:nobody", 0)]
    assert client.pubsub_numpat() == 1

    now = str(client.incr(name))
    told = [listener.get_message(timeout=10) for _ in range(2)]
    assert [(one["type"], one["channel"], one["data"]) for one in told] == [
        ("message", channel, now),
        ("pmessage", channel, now),
    ], told
    client.decr(name)
    listener.unsubscribe()
    listener.punsubscribe()
    kinds = []
    while "punsubscribe" not in kinds:
        kinds.append(listener.get_message(timeout=10)["type"])
    assert "unsubscribe" in kinds, kinds
    assert client.pubsub_channels() == [] and client.pubsub_numpat() == 0
    listener.close()


for version in (2, 3):
    check(version, int(sys.argv[1]))
print("all as expected")
