//! What a node is told when it starts: the flags, checked once, so that nothing after this file
//! has to doubt them.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use quipu_core::identity::{Address, AddressError};
use quipu_core::wire::auth::{Secret, SecretTooShort};

use crate::disk::fsync::Fsync;
use crate::flags::{Flags, LogFormat, LogLevel};
use crate::os::memory::Size;

/// The port that is meant where none is given.
pub(crate) const DEFAULT_PORT: u16 = 8088;

/// The port for clients of Redis where none is given: one beyond Redis's own, so that both can run
/// on one machine.
const REDIS_PORT: u16 = 6380;

/// Longest secret file, in bytes. A file that is longer was named by mistake, and may be a device
/// that never ends.
const SECRET_BYTES_MAX: u64 = 4096;

/// Everything that can be set.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) redis: RedisConfig,
    /// As it was given; a port that it lacks is the one that is listened on.
    pub(crate) advertise: Option<String>,
    /// Names for which a node on loopback is asked as well.
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) seeds: Vec<Address>,
    pub(crate) discovery: Option<DiscoveryConfig>,
    pub(crate) cluster: String,
    /// After which time a member with a disk that is away is removed.
    pub(crate) remove_absent_after: Option<Duration>,
    pub(crate) secret: Option<Secret>,
    /// A directory that was named for nothing, since all is kept in memory.
    pub(crate) unused_directory: Option<PathBuf>,
    /// `None` keeps everything in memory.
    pub(crate) keeping: Option<Keeping>,
    /// Threads that serve.
    pub(crate) threads: usize,
    /// `None` is a share of what there is.
    pub(crate) max_memory: Option<Size>,
    pub(crate) log_level: LogLevel,
    pub(crate) log_format: LogFormat,
}

/// Where and how to keep what was counted.
#[derive(Clone, Debug)]
pub(crate) struct Keeping {
    /// `None`: a directory that is named for the port that is listened on.
    pub(crate) directory: Option<PathBuf>,
    pub(crate) fsync: Fsync,
}

/// Where to listen for clients of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedisConfig {
    Off,
    /// Nowhere else.
    At(SocketAddr),
    /// There if no other program does, since no operator asked for it.
    IfFree(SocketAddr),
}

/// How to call others.
#[derive(Clone, Debug)]
pub(crate) struct DiscoveryConfig {
    pub(crate) port: u16,
    /// Instead of the broadcast addresses, if there are any.
    pub(crate) to: Vec<SocketAddr>,
}

/// Why there is no running with these flags.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{flag}: expected {expected}, found {found:?}")]
    Unreadable { flag: &'static str, expected: &'static str, found: String },
    #[error("{flag}: {error}")]
    Address { flag: &'static str, error: AddressError },
    #[error(
        "--advertise: expected an address at which other nodes reach this one, found {0}, which \
         is every address of the client that asks"
    )]
    AdvertisesNothing(IpAddr),
    #[error("--secret-file: cannot read {0}: {1}; name a file that this user may read")]
    SecretUnreadable(PathBuf, io::Error),
    #[error("--secret-file: expected at most {SECRET_BYTES_MAX} bytes in {0}, found more")]
    SecretTooLong(PathBuf),
    #[error("--secret-file: {1} in {0}; make one with: head -c 32 /dev/urandom | base64 > {0}")]
    SecretTooShort(PathBuf, SecretTooShort),
}

impl Config {
    /// Checks the flags. `variable` reads the environment.
    pub(crate) fn new(
        flags: Flags,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let listen = listen_address(&flags.listening.http, &variable)?;
        if let Some(advertise) = &flags.listening.advertise {
            check_advertised(advertise)?;
        }
        let peers = variable("PEERS").unwrap_or_default();
        let mut seeds = addresses("--join", flags.finding.join.iter().map(String::as_str))?;
        seeds.extend(addresses("PEERS", peers.split(','))?);
        let port = flags.finding.discovery_port;
        let to = targets(&flags.finding.discovery_to, port)?;
        Ok(Config {
            listen,
            redis: redis_address(flags.listening.redis.as_deref(), listen)?,
            advertise: flags.listening.advertise,
            allowed_hosts: host_names(&flags.listening.allow_host)?,
            seeds,
            discovery: (!flags.finding.disable_discovery).then_some(DiscoveryConfig { port, to }),
            cluster: flags.cluster.cluster,
            remove_absent_after: flags.cluster.remove_absent_after,
            secret: flags.cluster.secret_file.as_deref().map(read_secret).transpose()?,
            unused_directory: flags.keeping.data_dir.clone().filter(|_| flags.keeping.in_memory),
            keeping: (!flags.keeping.in_memory).then_some(Keeping {
                directory: flags.keeping.data_dir,
                fsync: flags.keeping.fsync,
            }),
            threads: flags.taking.threads.map_or_else(threads, usize::from),
            max_memory: flags.taking.max_memory,
            log_level: flags.logging.log_level,
            log_format: flags.logging.log_format,
        })
    }
}

/// One processor is left to the journal's thread and to the system's share of every packet. With as
/// many threads as processors these take turns with those that serve, and the driver and its
/// connections wake each other across processors: on two of them that cost a pipeline of 16
/// increments a quarter of its throughput.
fn threads() -> usize {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (processors - 1).max(1)
}

/// Where to listen: an IP address and a port, which `PORT` overrides.
pub(crate) fn listen_address(
    http: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<SocketAddr, ConfigError> {
    let expected = "an IP address and a port, like 127.0.0.1:8088 or 0.0.0.0:8088";
    let mut listen = socket(http, DEFAULT_PORT).ok_or_else(|| ConfigError::Unreadable {
        flag: "--http",
        expected,
        found: http.into(),
    })?;
    if let Some(port) = variable("PORT").filter(|port| !port.is_empty()) {
        let expected = "a port between 0 and 65535";
        listen.set_port(port.parse().map_err(|_| ConfigError::Unreadable {
            flag: "PORT",
            expected,
            found: port,
        })?);
    }
    Ok(listen)
}

fn redis_address(given: Option<&str>, http: SocketAddr) -> Result<RedisConfig, ConfigError> {
    match given {
        None => Ok(RedisConfig::IfFree(SocketAddr::new(http.ip(), REDIS_PORT))),
        Some("off") => Ok(RedisConfig::Off),
        Some(text) => {
            socket(text, REDIS_PORT).map(RedisConfig::At).ok_or_else(|| ConfigError::Unreadable {
                flag: "--redis",
                expected: "off, or an IP address and a port, like 127.0.0.1:6380",
                found: text.into(),
            })
        }
    }
}

/// An IP address with a port, or without one. An IPv4 address that is written as one of IPv6 is that
/// IPv4 address: what is said of loopback must hold for it however it is written.
fn socket(text: &str, default_port: u16) -> Option<SocketAddr> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(match socket.ip().to_canonical() {
            ip @ IpAddr::V4(_) => SocketAddr::new(ip, socket.port()),
            // It may name an interface, which the address alone does not.
            IpAddr::V6(_) => socket,
        });
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let ip: IpAddr = match bare {
        Some(ip) => ip.parse::<Ipv6Addr>().ok()?.into(),
        None => text.parse().ok()?,
    };
    Some(SocketAddr::new(ip.to_canonical(), default_port))
}

fn check_advertised(text: &str) -> Result<(), ConfigError> {
    match Address::parse(text, DEFAULT_PORT) {
        Ok(_) => Ok(()),
        Err(AddressError::NotOne(ip)) if ip.is_unspecified() => {
            Err(ConfigError::AdvertisesNothing(ip))
        }
        Err(error) => Err(ConfigError::Address { flag: "--advertise", error }),
    }
}

/// Names without ports: on which one a proxy is asked makes no difference.
fn host_names(texts: &[String]) -> Result<Vec<String>, ConfigError> {
    let flag = "--allow-host";
    let expected = "names of hosts without a port, like counts.example.com";
    texts
        .iter()
        .map(|text| text.trim().trim_end_matches('.'))
        .filter(|text| !text.is_empty())
        .map(|text| match Address::parse(text, DEFAULT_PORT) {
            Ok(address) if address.host() == text => Ok(text.to_ascii_lowercase()),
            _ => Err(ConfigError::Unreadable { flag, expected, found: text.to_owned() }),
        })
        .collect()
}

/// Empty entries are what a script leaves that had nothing to say, and are passed over.
fn addresses<'a>(
    flag: &'static str,
    texts: impl Iterator<Item = &'a str>,
) -> Result<Vec<Address>, ConfigError> {
    texts
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(|text| Address::parse(text, DEFAULT_PORT))
        .collect::<Result<_, _>>()
        .map_err(|error| ConfigError::Address { flag, error })
}

fn targets(texts: &[String], port: u16) -> Result<Vec<SocketAddr>, ConfigError> {
    let flag = "--discovery-to";
    let expected = "IP addresses with or without a port, like 192.168.1.255";
    texts
        .iter()
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
        .map(|text| {
            socket(text, port)
                .filter(|target| target.port() != 0)
                .ok_or_else(|| ConfigError::Unreadable { flag, expected, found: text.to_owned() })
        })
        .collect()
}

fn read_secret(path: &Path) -> Result<Secret, ConfigError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| ConfigError::SecretUnreadable(path.to_owned(), error))?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(ConfigError::SecretTooLong(path.to_owned()));
    }
    Secret::new(&bytes).map_err(|error| ConfigError::SecretTooShort(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn config(flags: &[&str], variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let flags = Flags::try_parse_from([&["quipu"], flags].concat()).unwrap();
        Config::new(flags, |name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn without_flags_a_node_listens_on_loopback_only_and_calls_on_port_7000() {
        let config = config(&[], &[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8088");
        assert_eq!(config.discovery.unwrap().port, 7000);
        assert!(config.seeds.is_empty() && config.secret.is_none() && config.advertise.is_none());
    }

    #[test]
    fn redis_clients_are_listened_for_where_http_is_unless_told_otherwise() {
        let redis = |flags: &[&str]| config(flags, &[]).map(|config| config.redis);
        let at = |text: &str| text.parse().unwrap();
        assert_eq!(redis(&[]).unwrap(), RedisConfig::IfFree(at("127.0.0.1:6380")));
        let everywhere = redis(&["--http", "0.0.0.0:9000"]).unwrap();
        assert_eq!(everywhere, RedisConfig::IfFree(at("0.0.0.0:6380")));
        let given = redis(&["--redis", "127.0.0.1:0", "--http", "0.0.0.0"]).unwrap();
        assert_eq!(given, RedisConfig::At(at("127.0.0.1:0")));
        assert_eq!(redis(&["--redis", "::1"]).unwrap(), RedisConfig::At(at("[::1]:6380")));
        assert_eq!(redis(&["--redis=off"]).unwrap(), RedisConfig::Off);
    }

    #[test]
    fn the_variable_port_overrides_the_port_and_nothing_else() {
        let listen = |http: &str, port: &str| {
            config(&["--http", http], &[("PORT", port)]).map(|config| config.listen.to_string())
        };
        assert_eq!(listen("0.0.0.0:1", "8091").unwrap(), "0.0.0.0:8091");
        assert_eq!(listen("0.0.0.0", "").unwrap(), "0.0.0.0:8088");
        assert_eq!(listen("[::1]:5", "0").unwrap(), "[::1]:0");
        let error = listen("0.0.0.0:1", "http").unwrap_err().to_string();
        assert_eq!(error, r#"PORT: expected a port between 0 and 65535, found "http""#);
    }

    #[test]
    fn an_ipv6_address_is_listened_on_with_and_without_a_port_and_brackets() {
        for (http, listen) in [
            ("[::]:8088", "[::]:8088"),
            ("[::]", "[::]:8088"),
            ("::", "[::]:8088"),
            ("::1", "[::1]:8088"),
            ("[::ffff:127.0.0.1]:9", "127.0.0.1:9"),
            ("::ffff:127.0.0.1", "127.0.0.1:8088"),
            ("[fe80::1%2]:9", "[fe80::1%2]:9"),
        ] {
            assert_eq!(config(&["--http", http], &[]).unwrap().listen.to_string(), listen);
        }
        for http in ["[127.0.0.1]", "[::1", "[]", "[::1]x", ":::1"] {
            assert!(config(&["--http", http], &[]).is_err(), "{http}");
        }
    }

    #[test]
    fn seeds_come_from_the_flag_and_from_peers_and_empty_entries_are_no_nodes() {
        let config = config(&["--join", "a:1,,b"], &[("PEERS", " c:3 ,")]).unwrap();
        let seeds: Vec<_> = config.seeds.iter().map(Address::as_str).collect();
        assert_eq!(seeds, ["a:1", "b:8088", "c:3"]);
    }

    #[test]
    fn allowed_hosts_are_names_in_whatever_letters_and_an_empty_list_is_none() {
        let allowed = |names: &str| config(&["--allow-host", names], &[]).unwrap().allowed_hosts;
        assert_eq!(allowed("Counts.Example., b , [::1]"), ["counts.example", "b", "[::1]"]);
        assert_eq!(allowed(""), [""; 0]);
    }

    #[test]
    fn targets_of_calls_get_the_discovery_port_unless_they_have_their_own() {
        let flags = ["--discovery-port=7100", "--discovery-to", "10.0.0.255,10.1.0.255:9"];
        let to = config(&flags, &[]).unwrap().discovery.unwrap().to;
        assert_eq!(to, ["10.0.0.255:7100".parse().unwrap(), "10.1.0.255:9".parse().unwrap()]);
        assert!(config(&["--disable-discovery"], &[]).unwrap().discovery.is_none());
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_the_name_of_its_flag() {
        for (flags, words) in [
            (&["--http", "localhost:8088"][..], "--http: expected an IP address and a port"),
            (&["--http", "127.0.0.1:99999"], "--http: expected"),
            (&["--redis", "on"], "--redis: expected off, or an IP address and a port"),
            (&["--advertise", "0.0.0.0:1"], "--advertise: expected an address at which other"),
            (&["--advertise", "http://a"], "--advertise: expected"),
            (&["--allow-host", "a:80"], "--allow-host: expected names of hosts without a port"),
            (&["--allow-host", "a,*"], "without a port, like counts.example.com, found \"*\""),
            (&["--allow-host", "http://a"], "--allow-host: expected names"),
            (&["--join", "a:0"], "--join: expected a port"),
            (&["--discovery-to", "example.com"], "--discovery-to: expected IP addresses"),
            (&["--secret-file", "/nowhere"], "--secret-file: cannot read /nowhere: "),
            (&["--secret-file", "/dev/zero"], "--secret-file: expected at most 4096 bytes"),
            (&["--secret-file", "/dev/null"], "of at least 16 bytes, found 0 in /dev/null; make"),
        ] {
            let error = config(flags, &[]).unwrap_err().to_string();
            assert!(error.contains(words), "{flags:?}: {error}");
        }
    }
}
