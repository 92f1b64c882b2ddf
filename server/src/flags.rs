//! What can be typed on the command line, and what the environment may say instead.
//!
//! Nothing more than the words: [`Config`](crate::config::Config) is what they amount to. A flag
//! wins over its variable, but for `PORT` and `PEERS`, which come from the system that this one
//! replaces and are read where the configuration is made.

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use quipu_core::wire::datagram::CLUSTER_BYTES_MAX;

use crate::disk::fsync::Fsync;
use crate::os::memory::Size;
use crate::{cli, lifetime, words};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Yellow.on_default());

/// The shortest time after which a member that is away can be had removed: a restart with a large table,
/// or the upgrade of a machine, takes some part of it.
const ABSENCE_MIN: Duration = Duration::from_secs(60);

/// Most threads that can be asked for: more than the largest machines have processors.
const THREADS_MAX: u16 = 1024;

const EXAMPLES: &str = "\
Examples:
  quipu
      A node for this machine only, on 127.0.0.1:8088. Nodes on one machine find each other:
      start a second one with PORT=8089 quipu, then
      curl -X POST localhost:8088/increment; curl localhost:8089/count
  quipu --http 0.0.0.0:8088 --secret-file /etc/quipu.secret --join counter.example.com
      A node for the network. It takes in, and is taken in by, nodes that hold the same secret.
  quipu add visits 5; quipu get visits; quipu list; quipu peers --json
      Ask a running node: the one that this environment would start, or another with --node.";

/// A distributed counter: every node counts, every node agrees.
///
/// Increments and reads are answered by the node that is asked, cut off from the others or not;
/// nodes that reach each other come to the same counts within milliseconds.
#[derive(Debug, Parser)]
#[command(name = "quipu", version, styles = STYLES, after_help = EXAMPLES)]
#[command(max_term_width = 100)]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) listening: Listening,
    #[command(flatten)]
    pub(crate) finding: Finding,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
    #[command(flatten)]
    pub(crate) keeping: Keeping,
    #[command(flatten)]
    pub(crate) taking: Taking,
    #[command(flatten)]
    pub(crate) logging: Logging,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask a running node whether it is well: exit code 0 if it is, 1 if not
    Health {
        /// Which node [default: the one that this environment would start]
        #[arg(long, value_name = "HOST:PORT")]
        node: Option<String>,
    },
    /// Read a data directory as a start would, without touching it: exit code 0 if it is sound, 1 if
    /// not
    Check {
        /// The directory
        #[arg(value_name = "DIR", value_parser = words::directory)]
        directory: PathBuf,
    },
    /// Mend a damaged data directory: keep all that is sound, set the damaged file aside, and say
    /// what has to come back from peers
    Repair {
        /// The directory; no node may run on it
        #[arg(value_name = "DIR", value_parser = words::directory)]
        directory: PathBuf,
    },
    #[command(flatten)]
    Ask(cli::Command),
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Where it answers")]
pub(crate) struct Listening {
    /// Address to listen on: HTTP and links on TCP, membership on UDP of the same number. PORT in
    /// the environment overrides just the port; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", env = "QUIPU_HTTP", default_value = "127.0.0.1:8088")]
    #[arg(hide_env_values = true)]
    pub(crate) http: String,

    /// Address to listen on for clients of Redis, or off; port 0 takes a free one [default: port 6380
    /// where HTTP is listened on, or nowhere if it is taken]
    #[arg(long, value_name = "IP:PORT|off", env = "QUIPU_REDIS", hide_env_values = true)]
    pub(crate) redis: Option<String>,

    /// Address at which other nodes reach this one [default: the one listened on; for 0.0.0.0 and
    /// [::] that of the default route's interface, IPv4 first]
    #[arg(long, value_name = "HOST[:PORT]", env = "QUIPU_ADVERTISE", hide_env_values = true)]
    pub(crate) advertise: Option<String>,

    /// Names under which a node on loopback answers besides those of this machine: of a proxy before
    /// it that passes on the Host that it was asked for. A node that others reach answers to all
    #[arg(long, value_name = "NAME,…", env = "QUIPU_ALLOW_HOST", hide_env_values = true)]
    #[arg(value_delimiter = ',')]
    pub(crate) allow_host: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "How it finds others")]
pub(crate) struct Finding {
    /// Nodes to ask for the cluster, by address or name; all addresses of a name are asked, again
    /// and again while alone. PEERS in the environment adds to them
    #[arg(long, value_name = "HOST[:PORT],…", env = "QUIPU_JOIN", hide_env_values = true)]
    #[arg(value_delimiter = ',')]
    pub(crate) join: Vec<String>,

    /// UDP port on which nodes call each other, by broadcast or by IPv6 multicast
    #[arg(long, value_name = "PORT", env = "QUIPU_DISCOVERY_PORT", default_value_t = 7000)]
    #[arg(hide_env_values = true, value_parser = words::port)]
    pub(crate) discovery_port: u16,

    /// Where to call [default: the broadcast addresses of the networks listened on, and with IPv6 the
    /// group ff12::7175]
    #[arg(long, value_name = "IP[:PORT],…", env = "QUIPU_DISCOVERY_TO", hide_env_values = true)]
    #[arg(value_delimiter = ',')]
    pub(crate) discovery_to: Vec<String>,

    /// Neither call nor answer calls; --join and POST /register still work
    #[arg(long)]
    pub(crate) disable_discovery: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Whom it belongs with")]
pub(crate) struct Cluster {
    /// Name of the cluster; nodes of another are not heard
    #[arg(long, value_name = "NAME", env = "QUIPU_CLUSTER", default_value = "quipu")]
    #[arg(hide_env_values = true, value_parser = cluster)]
    pub(crate) cluster: String,

    /// Have a member with a disk that was away for so long, like 24h, removed by a majority of all; it is
    /// taken back when it answers. One minute at least: a restart or an upgrade takes some seconds.
    /// Give it to all nodes: each agrees by its own. Members in memory go after ten minutes [default:
    /// members with a disk stay]
    #[arg(long, value_name = "TIME", env = "QUIPU_REMOVE_ABSENT_AFTER", hide_env_values = true)]
    #[arg(value_parser = absence)]
    pub(crate) remove_absent_after: Option<Duration>,

    /// File with the secret that all nodes of the cluster share, 16 bytes or more. Without one,
    /// any client that reaches this node can join and count
    #[arg(long, value_name = "FILE", env = "QUIPU_SECRET_FILE", hide_env_values = true)]
    pub(crate) secret_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What it keeps, and when that is safe")]
pub(crate) struct Keeping {
    /// Directory for what was counted; no two nodes may share one [default: ./quipu-<port>.data]
    #[arg(long, value_name = "DIR", env = "QUIPU_DATA_DIR", hide_env_values = true)]
    #[arg(value_parser = words::directory)]
    pub(crate) data_dir: Option<PathBuf>,

    /// When the disk is made to keep it: always (before anything is acknowledged or sent; a power
    /// cut takes nothing back), every:1s (a power cut may take back so much), or never (when the
    /// system likes). A crash of the process alone loses nothing in any of them
    #[arg(long, value_name = "WHEN", default_value = "always")]
    pub(crate) fsync: Fsync,

    /// Keep nothing on disk: a restarted node gets its counts from its peers, and a cluster that
    /// stops as a whole forgets them
    #[arg(long)]
    pub(crate) in_memory: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What it takes of the machine")]
pub(crate) struct Taking {
    /// Threads that serve; the journal and snapshots have one more each [default: one less than
    /// there are processors, and one at least]
    #[arg(long, value_name = "N", env = "QUIPU_THREADS", hide_env_values = true)]
    #[arg(value_parser = words::whole(1..=THREADS_MAX))]
    pub(crate) threads: Option<u16>,

    /// Memory beyond which new names are refused while known ones count on, like 512MiB or 2GiB;
    /// 0 is no bound, as Redis's maxmemory has it [default: 80% of what its cgroup may have, or of
    /// the machine's]
    #[arg(long, value_name = "SIZE", env = "QUIPU_MAX_MEMORY", hide_env_values = true)]
    pub(crate) max_memory: Option<Size>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What it says")]
pub(crate) struct Logging {
    /// Least important lines to log, to stderr
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: LogLevel,

    /// Lines for people or for machines
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// What is left to be said when the command line is not one to run.
#[derive(Debug)]
pub(crate) enum Said {
    /// Help or version, asked for.
    Text(clap::Error),
    /// One line: what is wrong, and what to do.
    Complaint(String),
}

/// The command line, and what of the environment was passed over.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) flags: Flags,
    /// Variables that tell of a service, and not of a flag.
    pub(crate) service_links: Vec<String>,
}

/// Reads the command line and the variables that stand for its flags.
pub(crate) fn parse() -> Result<Parsed, Said> {
    let mut service_links = Vec::new();
    let command = Flags::command().mut_args(|arg| {
        let name = arg.get_env().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if env::var(&name).is_ok_and(|value| is_service_link(&name, &value)) {
            service_links.push(name);
            arg.env(None::<&'static str>)
        } else {
            arg
        }
    });
    let matches = command.try_get_matches();
    let flags = matches.and_then(|matches| Flags::from_arg_matches(&matches));
    match flags {
        Ok(flags) => Ok(Parsed { flags, service_links }),
        Err(error) => Err(match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Said::Text(error),
            _ => Said::Complaint(one_line(&error.render().to_string(), env::args())),
        }),
    }
}

/// Whether a variable tells of a service: Kubernetes gives each pod `QUIPU_DISCOVERY_PORT` =
/// `tcp://10.0.0.1:7000` where there is a service of the name `quipu-discovery`, as Docker did for
/// links. All other names that they make are no flag's.
fn is_service_link(name: &str, value: &str) -> bool {
    let address = ["tcp://", "udp://", "sctp://"].iter().find_map(|kind| value.strip_prefix(kind));
    name.ends_with("_PORT") && address.is_some_and(|address| address.parse::<SocketAddr>().is_ok())
}

/// clap explains itself in paragraphs, which end with its usage; a log wants one line, that ends
/// with where to read more of the command that was meant.
fn one_line(paragraphs: &str, mut arguments: impl Iterator<Item = String>) -> String {
    let explanation = paragraphs
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .filter(|line| !line.is_empty())
        .map(|line| line.strip_prefix("error: ").unwrap_or(line));
    let explanation = explanation.collect::<Vec<_>>().join("; ").replace(":;", ":");
    let explanation =
        explanation.replace("the following required arguments were not provided:", "missing:");
    let commands = Flags::command();
    let meant = arguments.find(|word| commands.find_subcommand(word).is_some());
    let meant = meant.map_or_else(String::new, |command| format!("{command} "));
    format!("{explanation}; see quipu {meant}--help")
}

/// How long a member may be away.
fn absence(text: &str) -> Result<Duration, String> {
    let time = lifetime::read(text).map(Duration::from_millis);
    time.ok().filter(|time| *time >= ABSENCE_MIN).ok_or_else(|| {
        format!(
            "expected a time of 1m or more, like 30m or 24h, found {text:?}: a member that is \
             started again is away for some seconds, and is not to be removed for that"
        )
    })
}

fn cluster(text: &str) -> Result<String, String> {
    match text.len() {
        1..=CLUSTER_BYTES_MAX => Ok(text.to_owned()),
        length => Err(format!("expected 1 to {CLUSTER_BYTES_MAX} bytes, found {length}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Flags::command().debug_assert();
    }

    #[test]
    fn a_complaint_is_one_line_with_what_to_do() {
        let line = |arguments: &[&str]| {
            let error = Flags::try_parse_from(arguments).unwrap_err();
            one_line(&error.render().to_string(), arguments.iter().map(|word| (*word).to_owned()))
        };
        let missing = line(&["quipu", "--log-level", "info", "add"]);
        assert_eq!(missing, "missing: <NAME>; see quipu add --help");
        let line = line(&["quipu", "--htttp", "x"]);
        assert!(line.starts_with("unexpected argument '--htttp' found; tip: "), "{line}");
        assert!(line.ends_with("'--http'; see quipu --help"), "{line}");
    }

    #[test]
    fn a_member_may_be_away_for_a_minute_at_least() {
        assert_eq!(absence("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(absence("24h"), Ok(Duration::from_secs(86_400)));
        for text in ["59s", "0s", "", "1", "-5m", "soon", "1h30m"] {
            let error = absence(text).unwrap_err();
            assert!(error.contains("expected a time of 1m or more"), "{text}: {error}");
        }
    }

    #[test]
    fn a_cluster_name_has_a_length_that_fits_a_beacon() {
        assert!(cluster("").is_err());
        assert!(cluster(&"x".repeat(64)).is_ok());
        assert!(cluster(&"x".repeat(65)).is_err());
    }
}
