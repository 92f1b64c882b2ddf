//! Commands of Redis that a replicated counter cannot honour. A client that sends one is told why, and
//! what to use instead: silence, or an error that names nothing, would cost its author an afternoon.

use crate::redis::command::Command;
use crate::redis::errors;

/// Why a command of Redis is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::redis) enum Reason {
    Clusters,
    Debugs,
    Edits,
    Keeps,
    Moves,
    NotACounter,
    NotAnInteger,
    Publishes,
    Functions,
    Replicates,
    Stops,
    Subscribes,
}

/// Commands of Redis that are refused with a reason, by reason: words, in lower case.
pub(in crate::redis) const REFUSED: [(Reason, &str); 12] = [
    (Reason::Edits, "setrange append restore"),
    (Reason::Moves, "rename renamenx move copy swapdb"),
    (Reason::NotAnInteger, "hincrbyfloat"),
    // Of hashes, lists, sets, sorted sets, streams, and the rest.
    (
        Reason::NotACounter,
        "hset hsetnx hmset hincrby hdel hget hgetall hmget hexists hkeys hvals hlen hstrlen \
         hscan hrandfield \
         lpush rpush lpushx rpushx lpop rpop lset lrange llen lindex linsert lrem ltrim lpos \
         lmove lmpop rpoplpush blpop brpop brpoplpush blmove blmpop \
         sadd srem spop smembers scard sismember smismember srandmember smove sscan sunion \
         sinter sdiff sunionstore sinterstore sdiffstore sintercard \
         zadd zincrby zrem zrange zcard zscore zmscore zrank zrevrank zcount zrevrange \
         zrangebyscore zrevrangebyscore zrangebylex zrevrangebylex zlexcount zrangestore \
         zremrangebyrank zremrangebyscore zremrangebylex zpopmin zpopmax bzpopmin bzpopmax \
         zmpop bzmpop zscan zunion zinter zdiff zunionstore zinterstore zdiffstore zintercard \
         zrandmember \
         xadd xlen xrange xrevrange xread xreadgroup xdel xtrim xack xgroup xinfo xpending \
         xclaim xautoclaim xsetid \
         pfadd pfcount pfmerge setbit bitfield geoadd geopos geodist geohash geosearch \
         geosearchstore georadius sort sort_ro",
    ),
    (Reason::Functions, "fcall fcall_ro"),
    (Reason::Publishes, "publish spublish"),
    (Reason::Subscribes, "ssubscribe sunsubscribe monitor"),
    (Reason::Debugs, "debug"),
    (Reason::Keeps, "save bgsave bgrewriteaof"),
    (Reason::Stops, "shutdown"),
    (Reason::Replicates, "replicaof slaveof sync psync failover"),
    (Reason::Clusters, "cluster readonly readwrite asking"),
];

/// Why a command is refused, by its name in either case; nothing of one that is not known.
pub(in crate::redis) fn reason(name: &[u8]) -> Option<Reason> {
    let is_it = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    let of = REFUSED.iter().find(|(_, names)| names.split(' ').any(is_it));
    of.map(|(reason, _)| *reason)
}

impl Reason {
    /// Whether Redis refuses it within a transaction before it looks at anything else.
    pub(in crate::redis) fn is_never_in_a_transaction(self, command: &Command<'_>) -> bool {
        matches!(self, Reason::Stops) || command.is(0, "save")
    }
}

/// The error.
pub(in crate::redis) fn text(command: &Command<'_>, reason: Reason) -> String {
    let name = String::from_utf8_lossy(command.argument(0)).to_ascii_uppercase();
    let why = match reason {
        Reason::Edits => "a counter's value is an integer and has no parts; use SET or INCRBY",
        Reason::Moves => {
            "other nodes count on a name at once, and what they count would be left behind; use \
             GETDEL, and INCRBY with its answer"
        }
        Reason::NotAnInteger => "counters are integers; use INCRBY in a smaller unit, as cents",
        Reason::NotACounter => {
            "there are counters only, which INCR, DECR and GET work on; put fields into the name, \
             as in page:7:views"
        }
        Reason::Functions => "nodes keep no functions; use EVAL, or SCRIPT LOAD and EVALSHA",
        Reason::Publishes => {
            "nodes pass no messages on; counter:<name> tells the value of that counter, which INCR, \
             INCRBY and DECR change, and no other channel tells anything"
        }
        Reason::Subscribes => {
            "what can be listened to are counters; use SUBSCRIBE counter:<name>, or PSUBSCRIBE \
             counter:<pattern>"
        }
        // In Redis's words: so it answers unless its operator lets clients debug it.
        Reason::Debugs => return errors::NO_DEBUGGING.to_owned(),
        Reason::Keeps => {
            "what a node keeps is written down before it is acknowledged, or as --fsync says; \
             snapshots are made when they are due"
        }
        Reason::Stops => "a node is stopped where it runs, by SIGTERM",
        Reason::Replicates => {
            "every node takes writes and tells all others; they find each other by --join, by POST \
             /register or by themselves"
        }
        // In Redis's words, by which clients of its clusters know what they talk to.
        Reason::Clusters => return errors::NO_CLUSTER.to_owned(),
    };
    format!("ERR {name} is refused: {why}")
}
