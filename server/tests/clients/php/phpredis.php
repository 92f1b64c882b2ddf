<?php
// phpredis against a node, unchanged: run by scripts/test-clients with the node's port.

$port = (int) $argv[1];

function connected(): Redis
{
    $redis = new Redis();
    // Persistent, as pools of PHP are: the next request finds the connection open.
    $redis->pconnect('127.0.0.1', $GLOBALS['port'], 10.0, 'php', 0, 10.0);
    return $redis;
}

function expect(mixed $wanted, mixed $found): void
{
    if ($wanted !== $found) {
        throw new Exception('expected ' . var_export($wanted, true) . ', found ' . var_export($found, true));
    }
}

// This client answers an error by false, and keeps its words.
function expect_refusal(string $words, mixed $found): void
{
    global $redis;
    expect(false, $found);
    expect(true, str_contains((string) $redis->getLastError(), $words));
    $redis->clearLastError();
}

function counts(Redis $redis): void
{
    expect(1, $redis->incr('php'));
    expect(11, $redis->incrBy('php', 10));
    expect(10, $redis->decr('php'));
    expect(-10, $redis->decrBy('php', 20));
    expect(-15, $redis->incrBy('php', -5));
    expect(PHP_INT_MAX, $redis->incrBy('php:large', PHP_INT_MAX));
    expect_refusal('overflow', $redis->incr('php:large'));
    expect('9223372036854775807', $redis->get('php:large'));
}

function tells_what_nobody_touched(Redis $redis): void
{
    expect(false, $redis->get('php:nobody'));
    expect(null, $redis->getLastError());
    expect(['-15', false], $redis->mGet(['php', 'php:nobody']));
    expect(1, $redis->exists('php', 'php:nobody'));
}

function takes_any_name(Redis $redis): void
{
    expect(1, $redis->incr('php:größe 数 "q" and spaces'));
    expect('1', $redis->get('php:größe 数 "q" and spaces'));
}

function pipelines(Redis $redis): void
{
    $pipeline = $redis->pipeline();
    for ($n = 0; $n < 5000; $n++) {
        $pipeline->incr('php:pipeline');
    }
    expect(range(1, 5000), $pipeline->exec());
}

function transacts(Redis $redis): void
{
    expect([1, -2, '-2'], $redis->multi()->incr('php:tx')->decrBy('php:tx', 3)->get('php:tx')->exec());
}

function turns_refusals_into_errors(Redis $redis): void
{
    expect_refusal('APPEND is refused: ', $redis->append('php', '1'));
    expect_refusal('RENAME is refused: ', $redis->rename('php', 'other'));
    expect_refusal('not an integer', $redis->rawCommand('INCRBY', 'php', 'x'));
    expect('still', $redis->ping('still'));
}

function scans(Redis $redis): void
{
    for ($n = 0; $n < 100; $n++) {
        $redis->incr("php:scan:$n");
    }
    $redis->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
    $names = [];
    $cursor = null;
    while ($found = $redis->scan($cursor, 'php:scan:*', 7)) {
        $names = array_merge($names, $found);
    }
    expect(100, count(array_unique($names)));
}

// In a process of its own: this client listens until its process ends.
function tell_first_message(Redis $redis, string $subscribe, string $topic): void
{
    $redis->$subscribe([$topic], function (Redis $redis, string ...$message) {
        echo implode(' ', $message);
        $redis->close();
        exit;
    });
}

function listens(Redis $redis): void
{
    global $argv, $port;
    $heard = function (string $subscribe, string $topic) use ($redis, $argv, $port): string {
        $words = [PHP_BINARY, $argv[0], $port, $subscribe, $topic];
        $listener = popen(implode(' ', array_map('escapeshellarg', $words)), 'r');
        while ($redis->pubsub('numsub', [$topic])[$topic] + $redis->pubsub('numpat') === 0) {
            // Between two looks at the condition above; the server tells no one of new listeners.
            usleep(1000);
        }
        $redis->incrBy('php:heard', 5);
        return stream_get_contents($listener);
    };
    expect('counter:php:heard 5', $heard('subscribe', 'counter:php:heard'));
    expect('counter:php:hear* counter:php:heard 10', $heard('psubscribe', 'counter:php:hear*'));
}

function reconnects(Redis $redis): void
{
    echo "restart\n";
    fgets(STDIN);
    expect(1, $redis->incr('php:again'));
    expect('-15', $redis->get('php'));
}

$redis = connected();
if (isset($argv[2])) {
    tell_first_message($redis, $argv[2], $argv[3]);
}
counts($redis);
tells_what_nobody_touched($redis);
takes_any_name($redis);
pipelines($redis);
transacts($redis);
turns_refusals_into_errors($redis);
scans(connected());
listens($redis);
reconnects($redis);
echo "all as expected\n";
