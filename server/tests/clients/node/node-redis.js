// node-redis against a node, unchanged: run by scripts/test-clients with the node's port.

const assert = require("node:assert/strict");
const { once } = require("node:events");
const { createClient, ErrorReply } = require("redis");

const url = `redis://127.0.0.1:${process.argv[2]}`;
const redis = createClient({ url, name: "js", isolationPoolOptions: { max: 4 } });
// It reconnects by itself, and tells of each try that failed.
redis.on("error", () => {});

async function counts() {
    assert.equal(await redis.incr("js"), 1);
    assert.equal(await redis.incrBy("js", 10), 11);
    assert.equal(await redis.decr("js"), 10);
    assert.equal(await redis.decrBy("js", 20), -10);
    assert.equal(await redis.incrBy("js", -5), -15);
    await redis.sendCommand(["INCRBY", "js:large", "9223372036854775807"]);
    await assert.rejects(redis.incr("js:large"), /overflow/);
    assert.equal(await redis.get("js:large"), "9223372036854775807");
}

async function tellsWhatNobodyTouched() {
    assert.equal(await redis.get("js:nobody"), null);
    assert.deepEqual(await redis.mGet(["js", "js:nobody"]), ["-15", null]);
    assert.equal(await redis.exists(["js", "js:nobody"]), 1);
}

async function takesAnyName() {
    assert.equal(await redis.incr('js:größe 数 "q" and spaces'), 1);
    assert.equal(await redis.get('js:größe 数 "q" and spaces'), "1");
}

async function pipelines() {
    // What is asked in one turn leaves as one pipeline.
    const replies = await Promise.all(Array.from({ length: 5000 }, () => redis.incr("js:pipeline")));
    assert.deepEqual(replies, Array.from({ length: 5000 }, (_, n) => n + 1));
}

async function transacts() {
    assert.deepEqual(await redis.multi().incr("js:tx").decrBy("js:tx", 3).get("js:tx").exec(), [1, -2, "-2"]);
}

async function turnsRefusalsIntoErrors() {
    await assert.rejects(redis.append("js", "1"), ErrorReply);
    await assert.rejects(redis.append("js", "1"), /APPEND is refused: /);
    await assert.rejects(redis.rename("js", "other"), /RENAME is refused: /);
    await assert.rejects(redis.incrBy("js", "x"), /not an integer/);
    assert.equal(await redis.sendCommand(["PING", "still"]), "still");
}

async function scans() {
    await Promise.all(Array.from({ length: 100 }, (_, n) => redis.incr(`js:scan:${n}`)));
    const names = new Set();
    for await (const name of redis.scanIterator({ MATCH: "js:scan:*", COUNT: 7 })) names.add(name);
    assert.equal(names.size, 100);
}

async function countsFromManyTasksThroughAPool() {
    const task = () => redis.executeIsolated((lent) => lent.incr("js:pool"));
    await Promise.all(Array.from({ length: 200 }, task));
    assert.equal(await redis.get("js:pool"), "200");
}

async function listens() {
    const listener = redis.duplicate();
    await listener.connect();
    const heard = [];
    let tell;
    const both = new Promise((resolve) => (tell = resolve));
    const hear = (value, channel) => heard.push([value, channel]) === 2 && tell();
    await listener.subscribe("counter:js:heard", hear);
    await listener.pSubscribe("counter:js:hear*", hear);
    assert.equal(await redis.incrBy("js:heard", 5), 5);
    await both;
    assert.deepEqual(heard, [["5", "counter:js:heard"], ["5", "counter:js:heard"]]);
    await listener.unsubscribe();
    await listener.pUnsubscribe();
    assert.equal(await listener.incr("js:heard"), 6, "it counts again when it no longer listens");
    await listener.quit();
}

async function reconnects() {
    console.log("restart");
    await once(process.stdin, "data");
    assert.equal(await redis.incr("js:again"), 1);
    assert.equal(await redis.get("js"), "-15");
    assert.equal(await redis.clientGetName(), "js");
}

(async () => {
    await redis.connect();
    for (const check of [counts, tellsWhatNobodyTouched, takesAnyName, pipelines, transacts, turnsRefusalsIntoErrors,
        scans, countsFromManyTasksThroughAPool, listens, reconnects]) await check();
    console.log("all as expected");
    process.exit();
})();
