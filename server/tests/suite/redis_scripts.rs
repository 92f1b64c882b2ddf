//! Scripts as Redis clients send them: byte for byte as a real redis-server answers, bounded, and as
//! one beside all else that counts.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::cluster::AGREEING_TIME_MAX;
use crate::support::data::DataDirectory;
use crate::support::node::Node;
use crate::support::redis_server::RedisServer;
use crate::support::resp::{Client, framed};
use crate::support::wait::wait_until;

const REDIS: [&str; 2] = ["--redis", "127.0.0.1:0"];

/// A script, its keys and its arguments.
type Eval<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

fn eval<'a>((script, keys, arguments): Eval<'a>, count: &'a str) -> Vec<&'a str> {
    [&["EVAL", script, count][..], keys, arguments].concat()
}

fn counts(keys: &[&str]) -> String {
    keys.len().to_string()
}

/// Scripts in order: what one counts, the next ones find.
#[rustfmt::skip]
const SCRIPTS: &[Eval<'_>] = &[
    // What comes back.
    ("return 1", &[], &[]),
    ("return 3.99", &[], &[]),
    ("return -3.99", &[], &[]),
    ("return 1e300", &[], &[]),
    ("return 'a\\r\\nb\\0c'", &[], &[]),
    ("return true", &[], &[]),
    ("return false", &[], &[]),
    ("return nil", &[], &[]),
    ("", &[], &[]),
    ("return {1, 2, {3, 'x', {true, false}}, 'end'}", &[], &[]),
    ("return {1, nil, 3}", &[], &[]),
    ("return {ok = 'fine\\r\\nso'}", &[], &[]),
    ("return {err = 'MY bad\\nthing\\n'}", &[], &[]),
    ("return {double = 3.25}", &[], &[]),
    ("return {double = 0.1}", &[], &[]),
    ("return {map = {a = 1}}", &[], &[]),
    ("return {set = {a = true}}", &[], &[]),
    ("return {big_number = '12345678901234567890'}", &[], &[]),
    ("return {verbatim_string = {format = 'txt', string = 'hello'}}", &[], &[]),
    ("return redis.status_reply('TICK')", &[], &[]),
    ("return redis.error_reply('MY tick')", &[], &[]),
    ("return redis.error_reply('-MY tick')", &[], &[]),
    ("return redis.error_reply('tick')", &[], &[]),
    ("return redis.error_reply()", &[], &[]),
    ("return function() end", &[], &[]),
    ("return {KEYS, ARGV, #KEYS, #ARGV}", &["k1", "k2"], &["a1", "a2", "a3"]),
    ("return redis.sha1hex('')", &[], &[]),
    ("return redis.sha1hex('quipu')", &[], &[]),
    ("return redis.sha1hex()", &[], &[]),
    // Commands.
    ("return redis.call('get', KEYS[1])", &["s"], &[]),
    ("return redis.call('incrby', KEYS[1], ARGV[1])", &["s"], &["5"]),
    ("return redis.call('INCRBY', KEYS[1], 7)", &["s"], &[]),
    ("return {redis.call('get', KEYS[1]), type(redis.call('get', KEYS[1])), type(redis.call('incr', KEYS[1]))}", &["s"], &[]),
    ("return type(redis.call('get', 'nope'))", &[], &[]),
    ("return redis.call('mget', 's', 'nope', 's')", &[], &[]),
    ("local t = redis.call('mget', 's', 'nope') return {type(t), t[1], type(t[2])}", &[], &[]),
    ("local s = redis.call('set', KEYS[1], 3) return {type(s), s.ok, s}", &["t"], &[]),
    ("return redis.call('set', KEYS[1], 4, 'nx')", &["t"], &[]),
    ("return redis.call('set', KEYS[1], 4, 'get', 'xx')", &["t"], &[]),
    ("return {redis.call('setnx', 't', 1), redis.call('setnx', 'u', 1), redis.call('getset', 'u', 2), redis.call('strlen', 't')}", &[], &[]),
    ("return {redis.call('expire', 't', 100), redis.call('ttl', 't'), redis.call('persist', 't'), redis.call('ttl', 't'), redis.call('ttl', 'nope')}", &[], &[]),
    ("return {redis.call('setex', 't', 100, 7), redis.call('ttl', 't'), redis.call('set', 't', 8), redis.call('ttl', 't')}", &[], &[]),
    ("redis.call('pexpire', 't', 1) local a = redis.call('incr', 't') redis.call('persist', 't') return a", &[], &[]),
    ("return {redis.call('exists', 's', 't', 'nope'), redis.call('del', 's', 't', 'nope'), redis.call('exists', 's')}", &[], &[]),
    ("return {redis.call('mset', 'a', 1, 'b', 2), redis.call('msetnx', 'b', 3, 'c', 4), redis.call('msetnx', 'c', 4, 'd', 5), redis.call('mget', 'a', 'b', 'c', 'd')}", &[], &[]),
    ("return {redis.call('type', 'a'), redis.call('type', 'nope'), redis.call('echo', 'x'), redis.call('ping'), redis.call('unlink', 'a')}", &[], &[]),
    ("redis.call('select', 3) return redis.call('incr', 'in3')", &[], &[]),
    ("return redis.call('get', 'in3')", &[], &[]),
    ("return redis.call('incrby', 'big', '9223372036854775807')", &[], &[]),
    ("return redis.call('incrby', 'big', 1)", &[], &[]),
    ("return redis.pcall('incrby', 'big', 1)", &[], &[]),
    ("local e = redis.pcall('incrby', 'big', 1) return {type(e), e.err}", &[], &[]),
    ("return redis.call('incrby', 'fraction', 1.5)", &[], &[]),
    ("return redis.call('incrby', 'whole', 3.0)", &[], &[]),
    ("return redis.call('incrby', 'whole', 1e15)", &[], &[]),
    // As limiters do it: rate-limiter-flexible, rate-limit-redis, django-redis.
    ("redis.call('set', KEYS[1], 0, 'EX', ARGV[2], 'NX') local n = redis.call('incrby', KEYS[1], ARGV[1]) local left = redis.call('pttl', KEYS[1]) return {n, left > 0}", &["flexible"], &["2", "60"]),
    ("local n = redis.call('INCR', KEYS[1]) local left = redis.call('PTTL', KEYS[1]) if left <= 0 or ARGV[1] == '1' then redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[2])) left = tonumber(ARGV[2]) end return {n, left > 0}", &["express"], &["0", "60000"]),
    ("if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('INCRBY', KEYS[1], ARGV[1]) else return false end", &["nope"], &["3"]),
    // What fails.
    ("return redis.call('nosuch')", &[], &[]),
    ("return redis.pcall('nosuch', 'a')", &[], &[]),
    ("return redis.call()", &[], &[]),
    ("return redis.call('get', {})", &[], &[]),
    ("return redis.call('get', nil)", &[], &[]),
    ("return redis.call('get')", &[], &[]),
    ("return redis.call('client', 'nosuch')", &[], &[]),
    ("return redis.call('multi')", &[], &[]),
    ("return redis.call('eval', 'return 1', 0)", &[], &[]),
    ("return redis.call('script', 'flush')", &[], &[]),
    ("return redis.call('watch', 'a')", &[], &[]),
    ("return redis.call('subscribe', 'a')", &[], &[]),
    ("\n\nredis.call('incr', 'kept')\nredis.call('incrby', 'kept', 'x')", &[], &[]),
    ("return redis.call('get', 'kept')", &[], &[]),
    ("local ok, e = pcall(redis.call, 'nosuch') return {tostring(ok), e}", &[], &[]),
    ("local ok, e = pcall(redis.call, 'incrby', 'kept', 'x') return {type(e), e}", &[], &[]),
    ("local ok, e = pcall(error, {err = 'MY own'}) return e", &[], &[]),
    ("local ok, e = pcall(error, 'text', 0) return e", &[], &[]),
    ("local ok, e = xpcall(function() return redis.call('nosuch') end, function(e) return e.err end) return e", &[], &[]),
    ("error('boom')", &[], &[]),
    ("error('boom', 0)", &[], &[]),
    ("error({err = 'MY boom'})", &[], &[]),
    ("error(redis.error_reply('MY boom'))", &[], &[]),
    ("return error(42)", &[], &[]),
    ("error()", &[], &[]),
    ("local a = nil\nreturn a.b", &[], &[]),
    ("return nosuch", &[], &[]),
    ("return nosuch.x", &[], &[]),
    ("x = 1", &[], &[]),
    ("function f() end", &[], &[]),
    ("_G.x = 1", &[], &[]),
    ("tonumber = 1", &[], &[]),
    ("KEYS = 1", &[], &[]),
    ("redis.call = nil", &[], &[]),
    ("string.x = 1", &[], &[]),
    ("rawset(_G, 'x', 1)", &[], &[]),
    ("rawset(redis, 'x', 1)", &[], &[]),
    ("setmetatable(_G, {})", &[], &[]),
    ("return redis.nosuch", &[], &[]),
    ("return redis.nosuch()", &[], &[]),
    ("return print", &[], &[]),
    ("return require", &[], &[]),
    ("return dofile", &[], &[]),
    ("return loadfile", &[], &[]),
    ("return io", &[], &[]),
    ("return os", &[], &[]),
    ("return debug", &[], &[]),
    ("return (", &[], &[]),
    ("return 1 +\n\n* 2", &[], &[]),
    ("local s = 'abc", &[], &[]),
    ("assert(false, 'no')", &[], &[]),
    ("assert(false)", &[], &[]),
    ("return tostring(nil) .. 1 .. {}", &[], &[]),
    ("return 1 < 'x'", &[], &[]),
    // Lua itself.
    ("KEYS[1] = 'changed' return KEYS[1]", &["a"], &[]),
    ("return {string.find('hello world', 'o w'), string.find('a.b', '.', 1, true)}", &[], &[]),
    ("return {string.find('hello', 'l+')}", &[], &[]),
    ("return {string.match('key=val', '(%w+)=(%w+)')}", &[], &[]),
    ("return {string.gsub('hello world', 'o', '0')}", &[], &[]),
    ("return {string.gsub('hello', '', '-')}", &[], &[]),
    ("return {string.gsub('abc', '%w', '%0%0', 2)}", &[], &[]),
    ("return {string.gsub('$name is $age', '%$(%w+)', {name = 'x', age = 3})}", &[], &[]),
    ("return {string.gsub('abc', '.', function(c) return c:upper() end)}", &[], &[]),
    ("return string.gsub('abc', '(', 'x')", &[], &[]),
    ("return string.find('abc', '[a')", &[], &[]),
    ("return string.find()", &[], &[]),
    ("local s = 'x' return s:rep()", &[], &[]),
    ("local t = {} for w in string.gmatch('one two  three', '%a+') do t[#t + 1] = w end return t", &[], &[]),
    ("local t = {} for k, v in string.gmatch('a=1, b=2', '(%w+)=(%w+)') do t[#t + 1] = k .. v end return t", &[], &[]),
    ("local t = {5, 3, 9, 1, 7, 2, 8} table.sort(t) return t", &[], &[]),
    ("local t = {5, 3, 9, 1} table.sort(t, function(a, b) return a > b end) return t", &[], &[]),
    ("return {('ab'):rep(3), ('x'):rep(0), ('abc'):sub(-2), #'abc', ('%05d|%s'):format(42, 'x')}", &[], &[]),
    ("math.randomseed(42) return {math.random(100), math.random(100), math.random(5, 9), tostring(math.random())}", &[], &[]),
    ("return math.random(0)", &[], &[]),
    ("return {math.floor(3.7), math.max(1, 5, 3), tostring(math.huge), tostring(0/0 ~= 0/0), 7 % 3, 2 ^ 10}", &[], &[]),
    ("return {tonumber('0x10'), tonumber('z', 36), tostring(1e15), tostring(0.1), tonumber('nope') == nil}", &[], &[]),
    ("local f = loadstring('return 1 + 1') return f()", &[], &[]),
    ("return {loadstring('return (')}", &[], &[]),
    ("local c = coroutine.wrap(function() coroutine.yield(1) coroutine.yield(2) end) return {c(), c()}", &[], &[]),
    ("local c = coroutine.create(function() return redis.call('nosuch') end) local ok, e = coroutine.resume(c) return {tostring(ok), e.err}", &[], &[]),
    ("local function f(n) return f(n + 1) + 1 end return pcall(f, 1)", &[], &[]),
    ("return {type(_G), _VERSION, redis.REDIS_VERSION, redis.REDIS_VERSION_NUM, redis.LOG_WARNING, redis.REPL_ALL}", &[], &[]),
    ("return redis.log(redis.LOG_DEBUG, 'x')", &[], &[]),
    ("return redis.log('x')", &[], &[]),
    ("return redis.log('x', 'y')", &[], &[]),
    ("return redis.log(9, 'y')", &[], &[]),
    ("return {tostring(redis.replicate_commands()), redis.set_repl(redis.REPL_ALL)}", &[], &[]),
    ("return redis.set_repl(7)", &[], &[]),
    // The other version of the protocol.
    ("redis.setresp(3) return true", &[], &[]),
    ("redis.setresp(3) return false", &[], &[]),
    ("redis.setresp(3) return {type(redis.call('get', 'nope')), redis.call('get', 'nope')}", &[], &[]),
    ("redis.setresp(4)", &[], &[]),
    ("redis.setresp()", &[], &[]),
    // What the script says of itself.
    ("#!lua\nreturn 1", &[], &[]),
    ("#!lua flags=no-writes\nreturn redis.call('incr', 'x')", &[], &[]),
    ("#!lua flags=no-writes\nreturn redis.call('get', 'x')", &[], &[]),
    ("#!lua flags=allow-oom,allow-stale\nreturn redis.call('incr', 'x')", &[], &[]),
    ("#!lua flags=nosuch\nreturn 1", &[], &[]),
    ("#!lua name=x\nreturn 1", &[], &[]),
    ("#!js\nreturn 1", &[], &[]),
    ("#!lua", &[], &[]),
    ("#!lua\n\nreturn nosuch", &[], &[]),
    // What is listed is what there is, and what the script has made or ended itself.
    ("for n = 1, 5 do redis.call('set', 'listed:' .. n, n) end return #redis.call('keys', 'listed:*')", &[], &[]),
    ("redis.call('del', 'listed:1') redis.call('set', 'listed:6', 6) local all = redis.call('keys', 'listed:*') table.sort(all) return all", &[], &[]),
    ("local all = redis.call('keys', KEYS[1]) return redis.call('del', unpack(all))", &["listed:[2-4]"], &[]),
    ("local all = redis.call('keys', KEYS[1]) table.sort(all) return all", &["listed:*"], &[]),
    ("return redis.call('keys')", &[], &[]),
    ("redis.call('select', 3) redis.call('set', 'there', 1) local all = redis.call('keys', '*') redis.call('select', 0) table.sort(all) return all", &[], &[]),
    ("return #redis.call('keys', 'there')", &[], &[]),
];

fn answers(server: SocketAddr, resp3: bool) -> Vec<(String, String)> {
    let mut client = Client::open(server);
    if resp3 {
        client.ask(&["HELLO", "3"]);
    }
    let script = |each: &Eval<'_>| (each.0.to_owned(), client.ask(&eval(*each, &counts(each.1))));
    let mut answers: Vec<_> = SCRIPTS.iter().map(script).collect();
    for line in COMMANDS {
        let words: Vec<&str> = line.split('|').collect();
        answers.push(((*line).to_owned(), client.ask(&words)));
    }
    answers
}

/// What else belongs to scripts, word by word.
const COMMANDS: &[&str] = &[
    "EVAL|return 1",
    "EVAL|return 1|x",
    "EVAL|return 1|-1",
    "EVAL|return 1|1",
    "EVAL_RO|return redis.call('get', KEYS[1])|1|u",
    "EVAL_RO|return redis.call('incr', KEYS[1])|1|u",
    "EVAL_RO|#!lua\nreturn 1|0",
    "EVALSHA|ffffffffffffffffffffffffffffffffffffffff|0",
    "EVALSHA|nope|0",
    "EVALSHA_RO|nope|0",
    "SCRIPT|LOAD|return 'loaded'",
    "SCRIPT|LOAD|return (",
    "SCRIPT|EXISTS|bb2feb7ef2b1ea49ef3eac4c47e3f2f1bbf2b2f8|e0e1f9fabfc9d4800c877a703b823ac0578ff8db",
    "EVALSHA|e0e1f9fabfc9d4800c877a703b823ac0578ff8db|0",
    "EVALSHA|E0E1F9FABFC9D4800C877A703B823AC0578FF8DB|0",
    "EVALSHA_RO|e0e1f9fabfc9d4800c877a703b823ac0578ff8db|0",
    "SCRIPT|KILL",
    "SCRIPT|NOPE",
    "SCRIPT|EXISTS",
    "SCRIPT|FLUSH|NOPE",
    "SCRIPT|FLUSH|SYNC",
    "EVALSHA|e0e1f9fabfc9d4800c877a703b823ac0578ff8db|0",
    "MULTI",
    "INCR|m",
    "EVAL|return redis.call('incrby', KEYS[1], 10)|1|m",
    "EVALSHA|nope|0",
    "EVAL|return redis.call('nosuch')|0",
    "SCRIPT|LOAD|return 1",
    "GET|m",
    "EXEC",
    "GET|m",
    "MULTI",
    "EVAL|return 1",
    "EXEC",
    "WATCH|m",
    "EVAL|return redis.call('incr', KEYS[1])|1|m",
    "MULTI",
    "EVAL|return redis.call('incr', KEYS[1])|1|m",
    "EXEC",
    "GET|m",
];

#[test]
fn a_node_answers_scripts_byte_for_byte_as_redis_does() {
    let mut differences = Vec::new();
    for resp3 in [false, true] {
        let Some(redis) = RedisServer::start() else { return };
        let node = Node::start(&REDIS);
        let (expected, found) = (answers(redis.address(), resp3), answers(node.redis(), resp3));
        for ((asked, expected), (_, found)) in expected.into_iter().zip(found) {
            if expected != found {
                differences.push(format!(
                    "sent      {asked}\nresp3     {resp3}\nredis     {expected}\nthis node {found}\n"
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// A script that would take for ever, or all memory, is ended, and nothing of it is done.
#[test]
fn a_script_that_takes_too_much_is_ended_and_nothing_of_it_is_done() {
    let node = Node::start(&REDIS);
    let mut client = Client::open(node.redis());
    let mut other = Client::open(node.redis());
    let nested = format!("return {}1{}", "(".repeat(300), ")".repeat(300));
    for (script, expected) in [
        ("while true do end", "-ERR the script was ended after "),
        (
            "while true do pcall(function() while true do end end) end",
            "-ERR the script was ended after ",
        ),
        (
            "local c = coroutine.wrap(function() while true do end end) while true do pcall(c) end",
            "-ERR the script was ended after ",
        ),
        (
            "while true do xpcall(function() while true do end end, function() while true do end end) end",
            "-ERR the script was ended after ",
        ),
        ("repeat redis.pcall('get', 'x') until false", "-ERR the script was ended after "),
        ("return string.rep('x', 2 ^ 40)", "-ERR "),
        ("return string.rep('', 2 ^ 40)", "$0"),
        ("local t = {} while true do t[#t + 1] = string.rep('x', 2 ^ 16) .. #t end", "-ERR "),
        ("local s = 'x' while true do s = s .. s end", "-ERR "),
        (
            "return string.find(string.rep('a', 99), string.rep('a*', 30) .. 'b')",
            "-ERR the script was ended after ",
        ),
        (
            "return string.gsub(string.rep('a', 99), string.rep('a*', 30) .. 'b', '')",
            "-ERR the script was ended after ",
        ),
        (
            "return string.find(string.rep('a', 2 ^ 10), string.rep('a?', 2 ^ 18))",
            "-ERR user_script:1: pattern too complex",
        ),
        ("local function f() return 1 + f() end return f()", "-ERR user_script:1: stack overflow"),
        ("local t = {} t[1] = t return t", "*1"),
        ("local t = {} for i = 1, 40 do t = {t, t} end return t", "-ERR "),
        (
            "local t = setmetatable({}, {__index = function(t, k) return t[k] end}) return t.x",
            "-ERR ",
        ),
        (&nested, "-ERR Error compiling script"),
        ("return newproxy(true)", "-ERR user_script:1: Script attempted to access nonexistent"),
        ("return collectgarbage()", ":0"),
        ("return loadstring(string.char(27) .. 'Lua')", "$-1"),
    ] {
        let script = format!("redis.call('incr', KEYS[1]) {script}");
        let began = Instant::now();
        let answer = client.ask(&["EVAL", &script, "1", "touched"]);
        let took = began.elapsed();
        assert!(answer.starts_with(expected), "{script:.200}: {answer:.200}");
        assert!(took < Duration::from_secs(10), "{script:.200}: {took:?}");
        let is_ended = answer.contains("nothing of it was done");
        let touched = other.ask(&["GETDEL", "touched"]);
        assert_eq!(
            touched == "$-1\\r\\n",
            is_ended || answer.contains("compiling"),
            "{script:.200}: {touched}"
        );
    }
}

#[test]
fn others_count_on_while_a_script_runs_for_long() {
    let node = Node::start(&REDIS);
    let (mut slow, mut other) = (Client::open(node.redis()), Client::open(node.redis()));
    slow.send(&framed(&["EVAL", "redis.call('incr', 'slow') while true do end", "0"]));
    let began = Instant::now();
    for n in 1..=100 {
        assert_eq!(other.ask(&["INCR", "quick"]), format!(":{n}\\r\\n"));
    }
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    assert!(slow.reply().contains("nothing of it was done"));
    assert_eq!(other.ask(&["GET", "slow"]), "$-1\\r\\n");
}

#[test]
fn script_kill_ends_what_runs() {
    let node = Node::start(&REDIS);
    let (mut slow, mut other) = (Client::open(node.redis()), Client::open(node.redis()));
    slow.send(&framed(&["EVAL", "while true do end", "0"]));
    let kill = || other.ask(&["SCRIPT", "KILL"]);
    wait_until("SCRIPT KILL", AGREEING_TIME_MAX, kill, |answer| answer == "+OK\\r\\n");
    assert!(slow.reply().starts_with("-ERR Script killed by user with SCRIPT KILL..."));
    assert_eq!(slow.ask(&["GET", "slow"]), "$-1\\r\\n");
}

/// As Flask-Limiter's fixed window has it: counts, and has it end with the first.
const FIXED_WINDOW: &str = "
    local current = redis.call('incrby', KEYS[1], ARGV[2])
    if tonumber(current) == tonumber(ARGV[2]) then redis.call('expire', KEYS[1], ARGV[1]) end
    return current";

/// Asks before it counts: two at once must not both find the last place.
const GUARDED: &str = "
    local count = tonumber(redis.call('get', KEYS[#KEYS]) or '0')
    if count >= tonumber(ARGV[1]) then return 0 end
    redis.call('incr', KEYS[#KEYS])
    return 1";

/// Clients at once, each asking so often; the answers of all.
fn crowd(node: &Node, clients: usize, each: usize, words: &[&str]) -> Vec<String> {
    let server = node.redis();
    thread::scope(|scope| {
        let ask = || {
            let mut client = Client::open(server);
            (0..each).map(|_| client.ask(words)).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a client")).collect()
    })
}

#[test]
fn of_all_who_ask_at_once_exactly_as_many_pass_as_may() {
    let data = DataDirectory::empty();
    for flags in [&[][..], &data.flags()[..]] {
        let node = Node::start(&[&REDIS[..], flags].concat());
        let answers = crowd(&node, 16, 25, &["EVAL", GUARDED, "1", "limit", "100"]);
        let passed = answers.iter().filter(|answer| *answer == ":1\\r\\n").count();
        let refused = answers.iter().filter(|answer| *answer == ":0\\r\\n").count();
        assert_eq!((passed, refused), (100, 300), "{answers:?}");
        assert_eq!(Client::open(node.redis()).ask(&["GET", "limit"]), "$3\\r\\n100\\r\\n");
    }
}

/// Scripts with another first key take no turns: they run at once, and the node does none of them whose
/// counter has changed meanwhile.
#[test]
fn scripts_that_take_no_turns_let_exactly_as_many_pass_as_may() {
    let node = Node::start(&REDIS);
    let server = node.redis();
    let answers: Vec<String> = thread::scope(|scope| {
        let ask = |client: usize| {
            let own = format!("own-{client}");
            let mut client = Client::open(server);
            let words = ["EVAL", GUARDED, "2", &own, "limit", "100"];
            (0..25).map(|_| client.ask(&words)).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..16).map(|client| scope.spawn(move || ask(client))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a client")).collect()
    });
    let passed = answers.iter().filter(|answer| *answer == ":1\\r\\n").count();
    assert_eq!(passed, 100, "{answers:?}");
    assert_eq!(Client::open(server).ask(&["GET", "limit"]), "$3\\r\\n100\\r\\n");
}

#[test]
fn a_script_passes_while_others_never_cease_to_count() {
    let node = Node::start(&REDIS);
    let server = node.redis();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let stopped = || stop.load(std::sync::atomic::Ordering::Relaxed);
    let increments = framed(&["INCR", "hot"]).repeat(64);
    let answers = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::open(server);
                while !stopped() {
                    client.send(&increments);
                    (0..64).for_each(|_| drop(client.reply()));
                }
            });
        }
        let script = "local a = redis.call('get', 'hot') local b = redis.call('get', 'hot')
                      redis.call('incr', 'mine') return {a == b and 1 or 0}";
        let mut client = Client::open(server);
        let answers: Vec<_> = (0..200).map(|_| client.ask(&["EVAL", script, "1", "hot"])).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        answers
    });
    let passed = answers.iter().filter(|answer| *answer == "*1\\r\\n:1\\r\\n").count();
    assert_eq!(passed, 200, "{answers:?}");
    assert_eq!(Client::open(server).ask(&["GET", "mine"]), "$3\\r\\n200\\r\\n");
}

#[test]
fn a_watched_counter_that_was_changed_and_changed_back_has_changed() {
    let node = Node::start(&REDIS);
    let (mut one, mut other) = (Client::open(node.redis()), Client::open(node.redis()));
    one.ask(&["SET", "w", "5"]);
    one.ask(&["WATCH", "w"]);
    other.ask(&["INCR", "w"]);
    other.ask(&["DECR", "w"]);
    one.ask(&["MULTI"]);
    one.ask(&["INCR", "w"]);
    assert_eq!(one.ask(&["EXEC"]), "*-1\\r\\n");
    assert_eq!(one.ask(&["GET", "w"]), "$1\\r\\n5\\r\\n");
    one.ask(&["WATCH", "w", "nope"]);
    one.ask(&["MULTI"]);
    one.ask(&["INCR", "w"]);
    assert_eq!(one.ask(&["EXEC"]), "*1\\r\\n:6\\r\\n");
}

#[test]
fn of_watched_transactions_and_of_plain_increments_none_is_lost() {
    let node = Node::start(&REDIS);
    let server = node.redis();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::open(server);
                let mut done = 0;
                while done < 50 {
                    client.ask(&["WATCH", "w"]);
                    let seen = client.ask(&["GET", "w"]);
                    let seen: i64 =
                        seen.split("\\r\\n").nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
                    client.ask(&["MULTI"]);
                    client.ask(&["SET", "w", &(seen + 1).to_string()]);
                    done += usize::from(client.ask(&["EXEC"]).starts_with("*1"));
                }
            });
            scope.spawn(|| {
                let mut client = Client::open(server);
                (0..50).for_each(|_| drop(client.ask(&["INCR", "w"])));
            });
        }
    });
    assert_eq!(Client::open(server).ask(&["GET", "w"]), "$3\\r\\n400\\r\\n");
}

/// Flask-Limiter, `limits`: what its windows leave behind is what Redis would have.
#[test]
fn a_fixed_window_counts_and_ends() {
    let node = Node::start(&REDIS);
    let answers = crowd(&node, 8, 10, &["EVAL", FIXED_WINDOW, "1", "window", "100", "1"]);
    let mut counts: Vec<i64> = answers
        .iter()
        .filter_map(|answer| answer[1..].strip_suffix("\\r\\n")?.parse().ok())
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=80).collect::<Vec<_>>(), "{answers:?}");
    let left = Client::open(node.redis()).ask(&["TTL", "window"]);
    assert!(
        [":100\\r\\n", ":99\\r\\n", ":98\\r\\n", ":97\\r\\n"].contains(&left.as_str()),
        "{left}"
    );
}
