//! Commands of Redis that a replicated counter cannot honour. A client that sends one is told why, and
//! what to use instead: silence, or an error that names nothing, would cost its author an afternoon.

use crate::redis::command::Command;
use crate::redis::errors;

/// Why a command of Redis is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::redis) enum Reason {
    Assigns,
    Clusters,
    Deletes,
    Expires,
    NotACounter,
    NotAnInteger,
    Publishes,
    Scripts,
    Subscribes,
    Watches,
}

/// Commands of Redis that are refused with a reason, by reason.
pub(in crate::redis) const REFUSED: [(Reason, &[&str]); 10] = [
    (
        Reason::Assigns,
        &[
            "set", "setnx", "setex", "psetex", "getset", "mset", "msetnx", "setrange", "append",
            "restore",
        ],
    ),
    (
        Reason::Deletes,
        &[
            "del", "unlink", "getdel", "flushdb", "flushall", "rename", "renamenx", "move", "copy",
            "swapdb",
        ],
    ),
    (Reason::Expires, &["expire", "pexpire", "expireat", "pexpireat", "persist", "getex"]),
    (Reason::NotAnInteger, &["incrbyfloat", "hincrbyfloat"]),
    (
        Reason::NotACounter,
        &[
            "hset", "hsetnx", "hmset", "hincrby", "hdel", "lpush", "rpush", "lpop", "rpop", "lset",
            "sadd", "srem", "spop", "zadd", "zincrby", "zrem", "xadd", "pfadd", "setbit",
            "bitfield", "geoadd", "hget", "hgetall", "lrange", "smembers", "zrange", "object",
        ],
    ),
    (Reason::Scripts, &["eval", "evalsha", "eval_ro", "evalsha_ro", "script", "function", "fcall"]),
    (Reason::Publishes, &["publish", "spublish"]),
    (Reason::Subscribes, &["ssubscribe", "sunsubscribe", "monitor"]),
    (Reason::Watches, &["watch"]),
    (Reason::Clusters, &["cluster", "readonly", "readwrite", "asking"]),
];

/// The error.
pub(in crate::redis) fn text(command: &Command<'_>, reason: Reason) -> String {
    let name = String::from_utf8_lossy(command.argument(0)).to_ascii_uppercase();
    let why = match reason {
        Reason::Assigns => {
            "several nodes count at once, and a value that is set would undo what the others \
             count; use INCRBY or DECRBY, or raise it by POST /counters/{name}/raise"
        }
        Reason::Deletes => {
            "a counter cannot be taken back, since nodes that were not reached would bring it \
             back; count under a new name, or bring it to zero by DECRBY"
        }
        Reason::Expires => {
            "counters live for ever; put the period into the name, as in visits:2026-11-24"
        }
        Reason::NotAnInteger => "counters are integers; use INCRBY in a smaller unit, as cents",
        Reason::NotACounter => {
            "there are counters only, which INCR, DECR and GET work on; put fields into the name, \
             as in page:7:views"
        }
        Reason::Scripts => "there are no scripts; MULTI and EXEC do several commands as one",
        Reason::Publishes => {
            "nodes pass no messages on; counter:<name> tells the value of that counter, which INCR, \
             INCRBY and DECR change, and no other channel tells anything"
        }
        Reason::Subscribes => {
            "what can be listened to are counters; use SUBSCRIBE counter:<name>, or PSUBSCRIBE \
             counter:<pattern>"
        }
        // In Redis's words, by which clients of its clusters know what they talk to.
        Reason::Clusters => return errors::NO_CLUSTER.to_owned(),
        Reason::Watches => {
            "increments of several clients add up and need not be watched; use MULTI without it"
        }
    };
    format!("ERR {name} is refused: {why}")
}
