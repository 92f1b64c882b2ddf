//! The same bytes sent to a node and to a real redis-server: the same bytes must come back.
//!
//! What differs by design is listed with its reason, and must differ: so the list stays true.

use std::net::SocketAddr;

use crate::support::node::Node;
use crate::support::redis_server::RedisServer;
use crate::support::resp::{Client, framed};

/// All that a server answers until it closes.
fn answers(server: SocketAddr, stream: &[u8], resp3: bool) -> String {
    let mut client = Client::open(server);
    if resp3 {
        // Who a server is differs.
        assert!(client.ask(&["HELLO", "3"]).starts_with("%7"), "a server that speaks RESP3");
    }
    client.send(&[stream, b"*1\r\n$4\r\nQUIT\r\n"].concat());
    client.rest()
}

/// Typed commands, one a line.
fn typed(lines: &str) -> Vec<u8> {
    lines.trim().lines().flat_map(|line| [line.trim().as_bytes(), b"\r\n"].concat()).collect()
}

/// Streams in order: what one counts, the next ones find.
fn streams() -> Vec<Vec<u8>> {
    let mut streams: Vec<Vec<u8>> = [
        "SCAN 0\nDBSIZE\nKEYS *\nGET nope\nMGET nope nope\nEXISTS nope\nTTL nope\nTYPE nope\nSTRLEN nope",
        "INCR a\nINCRBY a 10\nDECR a\nDECRBY a 4\nGET a\nSTRLEN a\nTTL a\nTYPE a\nincr a\nInCr a",
        "INCRBY a x\nINCRBY a 1.5\nINCRBY a \"\"\nINCRBY a \" 1\"\nINCRBY a +1\nINCRBY a 01\nINCRBY a -0",
        "INCRBY a 9223372036854775808\nDECRBY a 9223372036854775808\nDECRBY a -9223372036854775808\nGET a",
        "INCRBY m 9223372036854775807\nINCR m\nINCRBY m 1\nGET m\nSTRLEN m\nDECR m",
        "DECRBY n 9223372036854775807\nDECR n\nDECR n\nDECRBY n 2\nGET n\nSTRLEN n",
        "INCRBY z 0\nEXISTS z\nEXISTS z z nope\nTYPE z\nTTL z\nMGET z nope a\nGET z\nDBSIZE",
        "INCRBY overflowed 9223372036854775807\nINCRBY overflowed 9223372036854775807\nEXISTS overflowed",
        "PTTL nope\nPTTL a\nEXPIRETIME nope\nEXPIRETIME a\nPEXPIRETIME nope\nPEXPIRETIME a\nTOUCH a nope z a",
        // Arguments too many or too few.
        "PTTL\nPTTL a b\nEXPIRETIME\nPEXPIRETIME a b\nTOUCH\nROLE x\nCLIENT HELP x\nCONFIG HELP x\nPUBSUB HELP x",
        "INCR\nINCR a b\nINCRBY a\nDECR\nDECRBY\nGET\nGET a b\nMGET\nEXISTS\nTTL\nTTL a b\nTYPE\nSTRLEN",
        "WAIT 1\nSCAN\nKEYS\nKEYS a b\nDBSIZE x\nPING a b\nECHO\nECHO a b\nMULTI x\nEXEC x\nDISCARD x",
        "SELECT\nSELECT 0 1\nCLIENT\nCLIENT SETNAME\nCLIENT GETNAME x\nCLIENT ID x\nCONFIG\nCONFIG GET\nRESET x",
        "COMMAND COUNT x\nAUTH\nAUTH a b c d",
        // Names of no counters.
        "FOO\nfoo a b c\n\"\"\nINCRX a\nCLIENT foo\nclient Foo bar\nCONFIG foo\nCOMMAND foo",
        "FOO \"a\\r\\nb\" 'c d' \"\\x00\" \"\\xff\"\n\"FO\\r\\nO\"\n\"F\\x00O\" x",
        // Protocol errors end the connection, after what came before.
        "PING\n*x",
        "PING\n*1\nx1",
        "PING\n*1\n$x",
        "PING\n*1\n$-5",
        "PING\n*2147483648",
        "PING\n*1 1",
        "PING\n*+1",
        "GET \"a",
        "GET 'a'b",
        "GET \"a\"b",
        "PING\nECHO 'a",
        "*-1\nPING\n*0\nPING\n\n  \n\nPING",
        // Quotes.
        "ECHO \"a\\x41\\n\\t\\q\\\\\"\nECHO 'a\\n\\'b'\necho a\"b c\"\nECHO \"\"\nECHO ''\n  PING   hi  ",
        "PING\nPING hi\nECHO hi\nping\nPING \"\"",
        // Transactions.
        "MULTI\nINCR t\nINCRBY t 5\nGET t\nMGET t nope\nEXISTS t\nPING\nECHO x\nEXEC\nGET t",
        "MULTI\nINCR t\nDISCARD\nGET t",
        "MULTI\nEXEC\nMULTI\nMULTI\nPING\nEXEC\nEXEC\nDISCARD",
        "MULTI\nINCR t\nFOO\nINCR t\nEXEC\nGET t",
        "MULTI\nINCR\nEXEC\nGET t",
        "MULTI\nINCR t\nINCRBY t x\nDECRBY t -9223372036854775808\nINCR t\nEXEC\nGET t",
        "MULTI\nSELECT 0\nSELECT x\nCLIENT GETNAME\nCLIENT SETNAME tx\nCLIENT foo\nEXEC\nCLIENT GETNAME",
        "MULTI\nINCRBY t 9223372036854775807\nINCR t\nTYPE t\nTTL t\nSTRLEN t\nEXEC\nGET t",
        "MULTI\nRESET\nEXEC\nPING",
        "UNWATCH\nUNWATCH x\nMULTI\nUNWATCH\nINCR t\nEXEC",
        "CLUSTER INFO\nCLUSTER NODES\nCLUSTER SLOTS\nREADONLY\nREADWRITE\nASKING",
        // Settings, versions, names of connections.
        "SELECT 0\nSELECT x\nSELECT -1\nSELECT 99\nSELECT 1.5\nSELECT 99999999999",
        "HELLO 1\nHELLO 4\nHELLO x\nHELLO 2 FOO\nHELLO 2 SETNAME\nHELLO 2 SETNAME \"a b\"\nHELLO 2 AUTH x\nPING",
        "CLIENT GETNAME\nCLIENT SETNAME me\nCLIENT GETNAME\nCLIENT SETNAME \"a b\"\nCLIENT SETNAME \"\"\nCLIENT GETNAME",
        "CLIENT SETNAME me\nRESET\nCLIENT GETNAME",
        "CONFIG GET save\nCONFIG GET SAVE\nCONFIG GET AppendOnly\nCONFIG GET appendonly\nCONFIG GET nope\nCONFIG GET appendonl?",
        // Who they are, where there are no users.
        "AUTH secret\nAUTH \"\"\nauth default x\nAUTH default \"\"\nAUTH DEFAULT x\nAUTH me x\nAUTH \"\" \"\"\nAUTH default x y",
        "AUTH default \"\\xff\\x00\"\nAUTH \"de\\x00fault\" x\nPING",
        "MULTI\nAUTH default x\nAUTH me x\nAUTH x\nEXEC\nMULTI\nAUTH\nEXEC",
        "SUBSCRIBE counter:a\nAUTH default x\nRESET",
        "HELLO 3 AUTH me x\nGET nope\nHELLO 2 AUTH\nHELLO 2 AUTH default\nHELLO 4 AUTH me x\nHELLO AUTH default x",
        "HELLO 2 AUTH default x AUTH me y\nHELLO 2 AUTH me y AUTH default x\nHELLO 2 AUTH me y FOO\nHELLO 2 AUTH default x FOO",
        "HELLO 2 SETNAME one AUTH me x\nCLIENT GETNAME\nHELLO 2 AUTH me x SETNAME two\nCLIENT GETNAME",
        "HELLO 3 SETNAME three FOO\nCLIENT GETNAME\nHELLO 2 SETNAME four SETNAME \"a b\"\nCLIENT GETNAME\nGET nope",
        "COMMAND INFO nope",
        "COMMAND LIST x\nCOMMAND LIST FILTERBY\nCOMMAND LIST FILTERBY PATTERN\nCOMMAND LIST FILTERBY x incr\nCOMMAND LIST filterby pattern incr x",
        "COMMAND LIST FILTERBY PATTERN INCR\ncommand list filterby pattern [z]\nCOMMAND LIST FILTERBY MODULE x\nCOMMAND LIST FILTERBY ACLCAT x\nCOMMAND LIST x MODULE y",
        // Walks.
        "SCAN x\nSCAN 0 COUNT 0\nSCAN 0 COUNT x\nSCAN 0 COUNT\nSCAN 0 FOO 1\nSCAN 0 MATCH",
        "SCAN 0 MATCH z* COUNT 1000\nSCAN 0 COUNT 1000 MATCH [xyz]\nSCAN 0 MATCH z* COUNT 1000 TYPE string",
        "SCAN 0 COUNT 1000 TYPE hash\nscan 0 match nope* count 1000\nKEYS z*\nKEYS [^a-y]\nKEYS nope\nKEYS over*ed",
        "WAIT 0 0\nWAIT 0 x\nWAIT x 0\nWAIT 0 -1\nWAIT 1 1\nINCR a\nWAIT 0 0\nWAIT 3 1",
        "INCR a\nQUIT\nINCR a",
        "QUIT x",
        // What is asked of functions and debugging where there is none.
        "FUNCTION LIST\nFUNCTION FLUSH\nFUNCTION FLUSH sync\nFUNCTION FLUSH FOO\nFUNCTION FLUSH a b\nFUNCTION DELETE x\nFUNCTION KILL",
        "FUNCTION FOO\nFUNCTION LIST FOO\nFUNCTION LIST LIBRARYNAME\nFUNCTION LIST withcode\nFUNCTION STATS\nFUNCTION\nFUNCTION LOAD",
        "DEBUG OBJECT a\nMULTI\nSAVE\nSHUTDOWN\nDEBUG object a\nEXEC",
        // Settings that change.
        "CONFIG REWRITE\nCONFIG RESETSTAT\nCONFIG RESETSTAT x\nCONFIG SET a\nCONFIG SET a b\nCONFIG SET maxmemory 1 c",
        "CONFIG SET maxmemory x\nCONFIG SET databases 5\nCONFIG SET maxmemory 0 maxmemory 0\nCONFIG SET maxmemory 0 foo 1",
        "CONFIG SET maxmemory 1gb\nCONFIG GET maxmemory\nCONFIG SET maxmemory 2gb databases 5\nCONFIG GET maxmemory\nCONFIG SET MaxMemory 0",
        "CONFIG SET notify-keyspace-events KEA\nCONFIG GET notify-keyspace-events\nCONFIG SET notify-keyspace-events q",
        "CONFIG SET notify-keyspace-events gKn\nCONFIG GET notify-keyspace-events\nCONFIG SET notify-keyspace-events \"\"\nCONFIG GET notify-keyspace-events",
        "CONFIG SET slowlog-log-slower-than -2\nCONFIG SET slowlog-log-slower-than x\nCONFIG GET slowlog-log-slower-than\nCONFIG GET slowlog-max-len",
        "CONFIG SET latency-monitor-threshold -1\nCONFIG GET latency-monitor-threshold\nCONFIG SET slowlog-max-len x\nCONFIG SET slowlog-max-len 128",
        "CONFIG SET save \"\"\nCONFIG SET appendonly no\nCONFIG GET tcp-keepalive\nCONFIG GET timeout\nCONFIG GET requirepass\nCONFIG GET cluster-enabled",
        "MULTI\nCONFIG SET maxmemory 0\nCONFIG GET maxmemory\nCONFIG SET maxmemory bla\nEXEC",
        // Parts of a value, and numbers with a point.
        "INCRBY g 1234\nGETRANGE g 0 2\nGETRANGE g 0 -1\nGETRANGE g -3 -1\nGETRANGE g 5 3\nGETRANGE g 3 5000\nGETRANGE g -5000 10000",
        "GETRANGE g -1 -3\nGETRANGE g -90 -80\nGETRANGE g a b\nGETRANGE g 0\nGETRANGE nope 0 -1\nSUBSTR g 1 2\nGETRANGE g 0 4294967297",
        "GETBIT g 6\nGETBIT g 2\nGETBIT g 31\nGETBIT g 32\nGETBIT g 100000\nGETBIT g -1\nGETBIT g x\nGETBIT g 4294967296\nGETBIT nope 0\nGETBIT g",
        "INCRBYFLOAT f 1\nINCRBYFLOAT f 1e2\nINCRBYFLOAT f inf\nINCRBYFLOAT f -inf\nINCRBYFLOAT f nan\nINCRBYFLOAT f \" 1\"\nINCRBYFLOAT f 1.",
        "INCRBYFLOAT f .0\nINCRBYFLOAT f +1\nINCRBYFLOAT f \"\"\nINCRBYFLOAT f 1e\nINCRBYFLOAT f x\nINCRBYFLOAT f -5.0\nINCRBYFLOAT f\nGET f",
        "MULTI\nINCRBYFLOAT f 1.0\nGETRANGE f 0 0\nGETBIT f 2\nEXEC",
        // Slow commands.
        "SLOWLOG FOO\nSLOWLOG GET x\nSLOWLOG GET -2\nSLOWLOG GET 1 2\nSLOWLOG RESET x\nSLOWLOG RESET\nSLOWLOG LEN x\nSLOWLOG",
        "LATENCY LATEST\nLATENCY HISTORY command\nLATENCY RESET\nLATENCY RESET command\nLATENCY DOCTOR\nLATENCY FOO\nLATENCY HISTORY",
        // Connections.
        "CLIENT KILL\nCLIENT KILL 1.2.3.4:5\nCLIENT KILL ID\nCLIENT KILL ID x\nCLIENT KILL ID 0\nCLIENT KILL ID 99999\nCLIENT KILL TYPE foo",
        "CLIENT KILL USER foo\nCLIENT KILL USER default ID 99999\nCLIENT KILL SKIPME x\nCLIENT KILL TYPE master\nCLIENT KILL ID 1 FOO\nCLIENT KILL FOO 1",
        "CLIENT LIST TYPE pubsub\nCLIENT LIST ID 99999\nCLIENT LIST ID x\nCLIENT LIST ID\nCLIENT LIST FOO\nCLIENT LIST TYPE foo\nCLIENT LIST TYPE master",
        "CLIENT NO-EVICT ON\nCLIENT NO-EVICT OFF\nCLIENT NO-EVICT x\nCLIENT UNBLOCK 99999\nCLIENT UNBLOCK x\nCLIENT UNBLOCK 9 foo\nCLIENT UNBLOCK 9 error x",
        "CLIENT GETREDIR\nCLIENT TRACKINGINFO\nCLIENT TRACKING OFF\nCLIENT TRACKING x\nCLIENT TRACKING\nCLIENT INFO x",
        // Replies that are not wanted.
        "CLIENT REPLY OFF\nINCR r\nPING\nGET r\nMGET r nope\nEXISTS r nope\nTTL r\nCLIENT REPLY ON\nGET r",
        "CLIENT REPLY OFF\nDBSIZE\nSCAN 0\nKEYS nope\nWAIT 0 0\nROLE\nPUBSUB NUMPAT\nINFO\nCLIENT REPLY ON\nPING",
        "CLIENT REPLY OFF\nFOO\nINCR\nINCRBY r x\nCLIENT REPLY\nCLIENT REPLY foo\nclient reply on\nPING",
        "CLIENT REPLY ON\nCLIENT REPLY\nCLIENT REPLY ON x\nCLIENT REPLY foo\nCLIENT REPLY \"\"\nPING",
        "CLIENT REPLY SKIP\nINCR r\nINCR r\nCLIENT REPLY SKIP\nFOO\nFOO\nCLIENT REPLY SKIP\nINCR\nINCR",
        "CLIENT REPLY SKIP\nDBSIZE\nKEYS nope\nCLIENT REPLY SKIP\nMGET r nope\nMGET r nope",
        "CLIENT REPLY SKIP\nWAIT 0 0\nWAIT 0 0\nCLIENT REPLY SKIP\nEXISTS r nope\nEXISTS r",
        // What is no command is one that was skipped.
        "CLIENT REPLY SKIP\n\nPING\nCLIENT REPLY SKIP\n*0\nPING\nCLIENT REPLY SKIP\n*-1\nPING",
        "CLIENT REPLY SKIP\nCLIENT REPLY SKIP\nPING\nPING",
        "CLIENT REPLY SKIP\nCLIENT REPLY ON\nPING",
        "CLIENT REPLY SKIP\nCLIENT REPLY foo\nPING",
        "CLIENT REPLY SKIP\nCLIENT REPLY OFF\nPING\nCLIENT REPLY ON\nPING",
        "CLIENT REPLY OFF\nCLIENT REPLY SKIP\nPING\nCLIENT REPLY ON\nPING\nPING",
        "CLIENT REPLY OFF\nRESET\nPING\nCLIENT REPLY SKIP\nRESET\nPING",
        "CLIENT REPLY SKIP\nHELLO 3\nGET nope\nCLIENT REPLY OFF\nHELLO 2\nCLIENT REPLY ON\nGET nope",
        "MULTI\nCLIENT REPLY OFF\nPING\nINCR r\nEXEC\nPING\nCLIENT REPLY ON\nGET r",
        "MULTI\nPING\nCLIENT REPLY SKIP\nPING\nEXEC\nPING\nPING",
        "MULTI\nPING\nCLIENT REPLY OFF\nMGET r nope\nCLIENT REPLY ON\nPING\nEXEC\nPING",
        "CLIENT REPLY OFF\nMULTI\nPING\nCLIENT REPLY ON\nPING\nEXEC\nPING",
        "CLIENT REPLY OFF\nMULTI\nFOO\nEXEC\nCLIENT REPLY ON\nPING",
        "CLIENT REPLY SKIP\nMULTI\nPING\nEXEC\nMULTI\nCLIENT REPLY SKIP\nEXEC\nPING\nPING",
        "CLIENT REPLY SKIP\nSUBSCRIBE counter:r\nPING",
        "CLIENT REPLY OFF\nSUBSCRIBE counter:r\nPING\nUNSUBSCRIBE\nUNSUBSCRIBE\nCLIENT REPLY ON\nPING",
        "SUBSCRIBE counter:r\nCLIENT REPLY OFF\nRESET\nPING",
    ]
    .iter()
    .map(|lines| typed(lines))
    .collect();
    streams.push(framed(&["ECHO", "a\r\nb"]));
    streams.push(framed(&["FOO", &"x".repeat(200), &"y".repeat(200)]));
    streams.push(framed(&[&"F".repeat(200), "a"]));
    streams.push(framed(&["FOO", &"x".repeat(120), &"y".repeat(200), "z"]));
    streams.push([&framed(&["PING"])[..], b"*1\r\n$1048577000\r\n"].concat());
    streams.push([&framed(&["PING"])[..], b"*1\r\n$3\r\nFOOxxPING\r\n"].concat());
    streams.push(b"PING\r\n*1\r\n\xff4\r\nPING\r\n".to_vec());
    streams
}

#[test]
fn a_node_answers_byte_for_byte_as_redis_does() {
    let mut differences = Vec::new();
    for resp3 in [false, true] {
        let Some(redis) = RedisServer::start() else { return };
        let node = Node::start(&["--redis", "127.0.0.1:0"]);
        for stream in streams() {
            let (expected, found) =
                (answers(redis.address(), &stream, resp3), answers(node.redis(), &stream, resp3));
            if expected != found {
                differences.push(format!(
                    "sent      {}\nresp3     {resp3}\nredis     {expected}\nthis node {found}\n",
                    stream.escape_ascii()
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn what_differs_by_design_differs_as_said() {
    let node = Node::start(&["--redis", "127.0.0.1:0"]);
    let redis = RedisServer::start();
    let long = format!("INCR {}", "x".repeat(1025));
    for (commands, expected, _why) in [
        ("SET a x", "-ERR value is not an integer or out of range", "integers"),
        ("APPEND a 1", "-ERR APPEND is refused: a counter", "integers"),
        ("RENAME a b", "-ERR RENAME is refused: other nodes count on a name", "others count on"),
        ("INCRBYFLOAT a 1.5", "-ERR INCRBYFLOAT is refused: counters are integers", "integers"),
        ("HINCRBY a b 1", "-ERR HINCRBY is refused: there are counters only", "counters only"),
        ("ZCARD a", "-ERR ZCARD is refused: there are counters only", "counters only"),
        ("LLEN a", "-ERR LLEN is refused: there are counters only", "counters only"),
        (
            "EVAL 'return redis.call(\"lindex\",KEYS[1],0)' 1 a",
            "-ERR LINDEX is refused: there are counters only",
            "counters only",
        ),
        ("FCALL f 0", "-ERR FCALL is refused: nodes keep no functions", "no functions"),
        ("PUBLISH counter:a 1", "-ERR PUBLISH is refused: nodes pass no messages on", "counters"),
        ("PUBLISH a 1", "-ERR PUBLISH is refused: nodes pass no messages on", "the same"),
        (
            "CONFIG SET timeout 5",
            "-ERR CONFIG SET failed (possibly related to argument \\'timeout\\') - can\\'t set",
            "flags only",
        ),
        ("INCR ''", "-ERR expected a counter name of 1 to 1024 bytes, found none", "names"),
        (&long, "-ERR expected a counter name of 1 to 1024 bytes, found 1025", "names"),
        ("INCR .", "-ERR expected a counter name other than", "names"),
        ("GET ..", "-ERR expected a counter name other than", "names"),
        ("MGET a ..", "-ERR expected a counter name other than", "names"),
        ("EXISTS . a", "-ERR expected a counter name other than", "names"),
        ("INCR \"\\xff\"", "-ERR expected a counter name in UTF-8, found other bytes", "names"),
        ("INCR \"a\\n\"", "-ERR expected a counter name without control characters", "names"),
        (
            "MULTI\nDBSIZE\nEXEC",
            "+OK\\r\\n-ERR Command not allowed inside a transaction\\r\\n-EXECABORT",
            "a batch is operations on counters",
        ),
        (
            "MULTI\nSUBSCRIBE counter:a\nEXEC",
            "+OK\\r\\n-ERR Command not allowed inside a transaction\\r\\n-EXECABORT",
            "the same",
        ),
        ("INFO server", "$", "another program"),
        ("HELLO 2", "*14", "another program"),
    ] {
        let stream = typed(commands);
        let found = answers(node.redis(), &stream, false);
        assert!(found.starts_with(expected), "{commands}: {found}");
        if let Some(redis) = &redis {
            assert_ne!(answers(redis.address(), &stream, false), found, "{commands}");
        }
    }
}
