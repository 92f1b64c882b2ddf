<?php
// The three nodes that each program of this directory works on: PROGRAM PORT PORT PORT.

error_reporting(E_ALL & ~E_DEPRECATED);
set_error_handler(function ($level, $message, $file, $line) {
    // Debian's libraries are older than its PHP, which finds some of their signatures deprecated.
    if (error_reporting() & $level) throw new ErrorException($message, 0, $level, $file, $line);
});

// How long what is waited for may take: of a cluster on one machine, some milliseconds.
const DEADLINE_S = 10;
const POLL_US = 10_000;
const FIRST = 0, SECOND = 1, THIRD = 2;
$ports = array_map('intval', array_slice($argv, 1));
$nodes = array_map(function ($port) {
    $node = new Redis();
    $node->connect('127.0.0.1', $port, 10);
    return $node;
}, $ports);

function expect($wanted, $found) {
    if ($wanted !== $found) {
        throw new Exception('expected ' . json_encode($wanted) . ', found ' . json_encode($found));
    }
}

// Predis throws what is answered, phpredis makes false of it.
function expect_refusal($words, $action) {
    try {
        expect(false, $action());
    } catch (Predis\Response\ServerException $error) {
        if (!str_contains($error->getMessage(), $words)) throw $error;
    }
}

// Waits for an answer.
function wait_for($wanted, $ask) {
    $deadline = microtime(true) + DEADLINE_S;
    while (($found = $ask()) !== $wanted) {
        if (microtime(true) > $deadline) expect($wanted, $found);
        usleep(POLL_US);
    }
}

// What a node shows: every name, its value, and when it expires.
function shown($node) {
    $names = $node->keys('*');
    sort($names);
    return array_map(fn($name) => [$name, $node->get($name), $node->rawCommand('PEXPIRETIME', $name)], $names);
}

// Waits until all nodes show the same: then each has what was written on any of them before. It passes on
// what the write was answered.
function agree($answer = null) {
    global $nodes;
    wait_for(1, fn() => count(array_unique(array_map(fn($node) => json_encode(shown($node)), $nodes))));
    return $answer;
}

// Deletes what the program before has left.
function begin() {
    global $nodes;
    agree();
    agree($nodes[SECOND]->flushAll());
    expect([], shown($nodes[THIRD]));
}

// What is answered by each node in turn.
function around($times, $ask) {
    return array_map(fn($turn) => agree($ask($turn % 3)), range(0, $times - 1));
}

begin();
