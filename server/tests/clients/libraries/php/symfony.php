<?php
// What Symfony's cache, rate limiter and locks do where only numbers are kept, since they keep objects and lists.

require __DIR__ . '/cluster.php';
require 'Symfony/Component/Cache/autoload.php';
require 'Symfony/Component/Lock/autoload.php';
require 'Symfony/Component/RateLimiter/autoload.php';

use Symfony\Component\Cache\Adapter\RedisAdapter;
use Symfony\Component\Lock\Exception\LockAcquiringException;
use Symfony\Component\Lock\LockFactory;
use Symfony\Component\Lock\Store\RedisStore;
use Symfony\Component\RateLimiter\RateLimiterFactory;
use Symfony\Component\RateLimiter\Storage\CacheStorage;

$connection = RedisAdapter::createConnection("redis://127.0.0.1:$ports[1]");
$cache = new RedisAdapter($connection);

function the_cache_keeps_nothing($cache) {
    expect(false, $cache->save($cache->getItem('number')->set(5)));
    expect(false, $cache->getItem('number')->isHit());
}

function the_limiter_limits_nothing($cache) {
    $config = ['id' => 'two', 'policy' => 'fixed_window', 'limit' => 2, 'interval' => '1 day'];
    $limiters = new RateLimiterFactory($config, new CacheStorage($cache));
    expect([true, true, true, true], around(4, fn() => $limiters->create('me')->consume()->isAccepted()));
}

function the_lock_is_refused($connection) {
    $lock = (new LockFactory(new RedisStore($connection)))->createLock('lock', 300);
    try {
        $found = $lock->acquire();
    } catch (LockAcquiringException $error) {
        expect(true, str_contains($error->getPrevious()->getMessage(), 'ZREMRANGEBYSCORE is refused'));
        return;
    }
    throw new Exception('expected an error, found ' . json_encode($found));
}

the_cache_keeps_nothing($cache);
the_limiter_limits_nothing($cache);
the_lock_is_refused($connection);
expect([], shown($nodes[SECOND]));
echo "all as expected\n";
