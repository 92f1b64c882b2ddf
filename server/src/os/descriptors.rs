//! File descriptors: as many as the system allows, and a share of them for each front end.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Most HTTP connections at a time. One that holds half a head takes some 25 KiB (measured), so all
/// of them 250 MiB; and more clients than that would wait for the processor, not for a connection.
const HTTP_CONNECTIONS_MAX: usize = 10_000;

/// Most connections of Redis clients at a time. Those are kept open for days and mostly idle, at
/// some 5 KiB each (measured), and every worker of every service has one: twice as many as Redis
/// allows where its operator sets nothing.
const REDIS_CONNECTIONS_MAX: usize = 20_000;

/// File descriptors that connections leave free however many strangers hold one, so that links,
/// dials and files still get theirs.
const DESCRIPTORS_RESERVED: usize = 256;

/// Connections and links each take a descriptor. The usual soft limit of 1,024 is for programs that
/// use `select`, which nothing here does; a thousand strangers would exhaust it.
pub(crate) fn allow_all() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit of open files stays at {:?}", limit.current);
    }
}

/// How many connections each front end may have. Each has its share, so that strangers at one door
/// do not close the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    pub(crate) http: usize,
    pub(crate) redis: usize,
}

/// As many as leave the process descriptors for itself.
pub(crate) fn shares(serves_redis: bool) -> Shares {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    shares_of(usize::try_from(descriptors).unwrap_or(usize::MAX), serves_redis)
}

fn shares_of(descriptors: usize, serves_redis: bool) -> Shares {
    let spare = descriptors.saturating_sub(DESCRIPTORS_RESERVED).max(descriptors / 2);
    let http = if serves_redis { spare / 3 } else { spare }.clamp(1, HTTP_CONNECTIONS_MAX);
    Shares { http, redis: spare.saturating_sub(http).clamp(1, REDIS_CONNECTIONS_MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_never_take_all_descriptors_and_no_front_end_takes_the_others() {
        for descriptors in [1, 16, 80, 1024, 4096, 20_000, 1 << 20, usize::MAX] {
            let shares = shares_of(descriptors, true);
            assert!(shares.http >= 1 && shares.redis >= shares.http, "{descriptors}: {shares:?}");
            assert!(descriptors <= 16 || shares.http + shares.redis < descriptors - 7);
            assert!(shares_of(descriptors, false).http >= shares.http);
        }
        assert!(shares_of(20_000, true).redis > 10_000, "as many as Redis takes by itself");
    }
}
