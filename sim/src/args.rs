//! The command line. Few flags, so a parser of a page instead of a crate.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::bug::{BUGS, Bug};
use crate::faults::HOSTS_MAX;
use crate::plan::Bounds;

/// What `--help` prints.
pub const HELP: &str = "\
quipu-sim: clusters of Quipu nodes in virtual time, with faults

  --seeds N       run N seeds (default 200)
  --from N        beginning with this one (default 0)
  --seed N        run this one only
  --trace         print every event of every run
  --nodes A..B    clusters of A to B nodes, both included (default 3..7, and now and then up to 24)
  --seconds S     how long faults go on in each run (default 20)
  --in-memory     nodes keep nothing (default: those of every fifth plan)
  --settle        operators ask for settlements
  --absent        members that are away are removed, and splits outlast that (90 s, 3 to 6 nodes)
  --bug NAME      plant a bug, one of those named below
  --no-shrink     print a failing run as it was drawn
";

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Args {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// Whether to print traces.
    pub trace: bool,
    /// Whether to make a failing plan smaller.
    pub shrink: bool,
    /// What plans are drawn within.
    pub bounds: Bounds,
}

/// Why the command line was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// Help was asked for.
    #[error("{HELP}")]
    Help,
    /// No such flag.
    #[error("unknown flag {0:?}; --help lists them")]
    Unknown(String),
    /// A flag without its value.
    #[error("{0} needs a value; --help says which")]
    Missing(String),
    /// A value that is none.
    #[error("{flag}: expected {expected}, found {found:?}")]
    Bad {
        /// Of which flag.
        flag: String,
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: String,
    },
}

/// Reads the command line, without the program's name.
///
/// # Errors
/// See [`ArgsError`].
pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, ArgsError> {
    let bounds = Bounds::default();
    let mut args = Args { from: 0, seeds: 200, trace: false, shrink: true, bounds };
    while let Some(flag) = words.next() {
        let mut value = |expected| {
            let found = words.next().ok_or_else(|| ArgsError::Missing(flag.clone()))?;
            Ok(Value { flag: flag.clone(), expected, found })
        };
        match flag.as_str() {
            "--seeds" => args.seeds = value("a number of seeds")?.read(number)?,
            "--from" => args.from = value("a seed")?.read(number)?,
            "--seed" => {
                args.from = value("a seed")?.read(number)?;
                args.seeds = 1;
            }
            "--nodes" => {
                args.bounds.nodes = value("A..B within 2..32")?.read(nodes)?;
                args.bounds.crowds = false;
            }
            "--seconds" => args.bounds.troubled = value("1 to 3600 seconds")?.read(seconds)?,
            "--bug" => args.bounds.bug = Some(value("the name of a bug")?.read(bug)?),
            "--in-memory" => args.bounds.in_memory = true,
            "--settle" => args.bounds.settles = true,
            "--absent" => args.bounds = Bounds { bug: args.bounds.bug, ..Bounds::absent() },
            "--trace" => args.trace = true,
            "--no-shrink" => args.shrink = false,
            "--help" | "-h" => return Err(ArgsError::Help),
            _ => return Err(ArgsError::Unknown(flag)),
        }
    }
    Ok(args)
}

struct Value {
    flag: String,
    expected: &'static str,
    found: String,
}

impl Value {
    fn read<T>(self, parse: impl Fn(&str) -> Option<T>) -> Result<T, ArgsError> {
        let Value { flag, expected, found } = self;
        parse(&found).ok_or(ArgsError::Bad { flag, expected, found })
    }
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn nodes(text: &str) -> Option<RangeInclusive<usize>> {
    let (fewest, most) = text.split_once("..").unwrap_or((text, text));
    let (fewest, most) = (fewest.parse().ok()?, most.trim_start_matches('=').parse().ok()?);
    (2 <= fewest && fewest <= most && most <= HOSTS_MAX).then_some(fewest..=most)
}

fn seconds(text: &str) -> Option<Duration> {
    number(text).filter(|seconds| (1..=3600).contains(seconds)).map(Duration::from_secs)
}

fn bug(text: &str) -> Option<Bug> {
    BUGS.iter().find(|(name, _)| *name == text).map(|(_, bug)| *bug)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Args, ArgsError> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_are_read() {
        let args = parse_line("--from 7 --seeds 3 --nodes 2..4 --seconds 30 --trace").unwrap();
        assert_eq!((args.from, args.seeds, args.trace), (7, 3, true));
        assert_eq!(args.bounds.nodes, 2..=4);
        assert_eq!(args.bounds.troubled.as_secs(), 30);
        let args = parse_line("--seed 9 --nodes 5").unwrap();
        assert_eq!((args.from, args.seeds, args.bounds.nodes), (9, 1, 5..=5));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_was_expected() {
        for (line, reason) in [
            ("--sseds 3", "unknown flag \"--sseds\""),
            ("--seeds", "--seeds needs a value"),
            ("--seeds many", "expected a number of seeds, found \"many\""),
            ("--nodes 1..3", "expected A..B within 2..32"),
            ("--seconds 0", "expected 1 to 3600 seconds"),
            ("--bug typo", "expected the name of a bug, found \"typo\""),
        ] {
            let error = parse_line(line).unwrap_err().to_string();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
