<?php
// Laravel's cache and rate limiter, unchanged, over phpredis and over Predis: once at each node.

require __DIR__ . '/cluster.php';
require 'Predis/Autoloader.php';
require 'Illuminate/Cache/autoload.php';
Predis\Autoloader::register();

use Illuminate\Cache\RateLimiter;
use Illuminate\Cache\RedisStore;
use Illuminate\Cache\Repository;
use Illuminate\Redis\RedisManager;

function cache($client, $node) {
    global $ports;
    $server = ['host' => '127.0.0.1', 'port' => $ports[$node], 'database' => 0];
    $redis = new RedisManager(null, $client, ['default' => $server, 'options' => ['prefix' => 'laravel:']]);
    return new Repository(new RedisStore($redis, 'cache:'));
}

class Checks {
    private $caches, $limiters;

    function __construct($client) {
        $this->caches = array_map(fn($node) => cache($client, $node), range(0, 2));
        $this->limiters = array_map(fn($cache) => new RateLimiter($cache), $this->caches);
    }

    private function on_all($wanted, $ask) {
        agree();
        expect([$wanted, $wanted, $wanted], array_map($ask, $this->caches));
    }

    private function attempts($times, $key, $limit, $seconds) {
        return around($times, fn($node) => $this->limiters[$node]->attempt($key, $limit, fn() => 'well', $seconds));
    }

    function lets_exactly_its_limit_through() {
        $wanted = ['well', 'well', 'well', 'well', 'well', false, false, false, false];
        expect($wanted, $this->attempts(9, 'five', 5, 86_400));
        expect([0, 0, 0], around(3, fn($node) => $this->limiters[$node]->remaining('five', 5)));
        $left_s = $this->limiters[THIRD]->availableIn('five');
        expect(true, 86_000 < $left_s && $left_s <= 86_400);
    }

    function clears_on_all_nodes() {
        agree($this->limiters[THIRD]->clear('five'));
        expect([5, 5, 5], around(3, fn($node) => $this->limiters[$node]->remaining('five', 5)));
        expect(['well', 'well', 'well', 'well', 'well', false], $this->attempts(6, 'five', 5, 86_400));
    }

    function lets_through_again_when_the_window_ends() {
        expect(['well', false, false], $this->attempts(3, 'window', 1, 2));
        foreach ($this->limiters as $limiter) wait_for(false, fn() => $limiter->tooManyAttempts('window', 1));
        $attempt = fn($node) => agree($this->limiters[$node]->attempt('window', 1, fn() => 'well', 2));
        expect(['well', false, false], array_map($attempt, [THIRD, SECOND, FIRST]));
    }

    function keeps_and_counts() {
        expect(true, $this->caches[FIRST]->put('stock', 20, 300));
        agree();
        foreach (range(0, 299) as $turn) $this->caches[$turn % 3]->increment('stock', 2);
        $this->on_all(620, fn($cache) => (int) $cache->get('stock'));
        expect(615, $this->caches[SECOND]->decrement('stock', 5));
        expect(true, $this->caches[THIRD]->forever('sold', -5));
        expect(true, $this->caches[THIRD]->putMany(['a' => 1, 'b' => 2], 300));
        $wanted = ['stock' => '615', 'sold' => '-5', 'a' => '1', 'b' => '2', 'nobody' => null];
        $this->on_all($wanted, fn($cache) => $cache->many(array_keys($wanted)));
    }

    function adds_once() {
        expect([true, false, false], around(3, fn($node) => $this->caches[$node]->add('once', 1, 300)));
        expect('1', $this->caches[SECOND]->remember('once', 300, fn() => 7));
        expect(7, $this->caches[THIRD]->remember('remembered', 300, fn() => 7));
        $this->on_all('7', fn($cache) => $cache->get('remembered'));
    }

    function expires_and_deletes_on_all_nodes() {
        $this->caches[SECOND]->put('short', 8, 1);
        $this->on_all('8', fn($cache) => $cache->get('short'));
        foreach ($this->caches as $cache) wait_for(null, fn() => $cache->get('short'));
        expect(true, $this->caches[THIRD]->forget('stock'));
        $this->on_all(false, fn($cache) => $cache->has('stock'));
        expect('-5', $this->caches[FIRST]->pull('sold'));
        $this->on_all(false, fn($cache) => $cache->has('sold'));
    }

    function locks_for_an_owner_that_is_a_number() {
        $locks = array_map(fn($node) => $this->caches[$node]->lock('lock', 300, (string) (4000 + $node)), range(0, 2));
        expect([true, false, false], around(3, fn($node) => $locks[$node]->get()));
        expect([false, false, true], array_map(fn($node) => agree($locks[$node]->release()), [SECOND, THIRD, FIRST]));
        expect(true, $locks[THIRD]->get());
    }

    function refuses_what_is_no_number() {
        foreach (['words', [1], true] as $value) {
            expect_refusal('not an integer', fn() => $this->caches[FIRST]->put('words', $value, 300));
        }
        expect_refusal('not an integer', fn() => $this->caches[FIRST]->lock('another', 300)->get());
        $this->on_all(false, fn($cache) => $cache->has('words') || $cache->has('another'));
    }

    function flushes_all_nodes() {
        global $nodes;
        expect(true, $this->caches[SECOND]->flush());
        agree();
        expect([], shown($nodes[THIRD]));
    }
}

foreach (['phpredis', 'predis'] as $client) {
    $checks = new Checks($client);
    foreach (get_class_methods($checks) as $check) {
        if ($check !== '__construct') $checks->$check();
    }
}
echo "all as expected\n";
