//! The second words that some commands take. As with the commands themselves, one row each: the
//! check, the errors and `HELP` all read from it.

/// A second word that a command takes.
#[derive(Debug)]
pub(super) struct Subcommand {
    pub(super) word: &'static str,
    /// With the command, as errors tell it.
    pub(super) name: &'static str,
    /// How many arguments it takes with the command, as in [`Spec::arity`](super::spec::Spec::arity).
    pub(super) arity: i64,
    /// For `HELP`: what follows the word, and what it does.
    usage: &'static str,
    summary: &'static str,
}

/// What `HELP` says of itself.
pub(super) const HELP: &str = "Prints this help.";

pub(super) const fn word(
    word: &'static str,
    name: &'static str,
    arity: i64,
    usage: &'static str,
    summary: &'static str,
) -> Subcommand {
    Subcommand { word, name, arity, usage, summary }
}

/// What `HELP` says of a command, in lines.
pub(super) fn help(name: &str, words: &[Subcommand]) -> Vec<String> {
    let name = name.to_uppercase();
    let mut lines =
        vec![format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")];
    for Subcommand { word, usage, summary, .. } in words {
        lines.push(format!("{} {usage}", word.to_uppercase()).trim_end().to_owned());
        lines.push(format!("    {summary}"));
    }
    lines
}
