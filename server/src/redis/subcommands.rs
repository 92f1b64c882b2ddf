//! The second words that some commands take. As with the commands themselves, one row each: the
//! check, the errors and `HELP` all read from it.

use super::table::{Kind, Spec};

/// A second word that a command takes.
#[derive(Debug)]
pub(super) struct Subcommand {
    of: Kind,
    pub(super) word: &'static str,
    /// With the command, as errors tell it.
    pub(super) name: &'static str,
    /// How many arguments it takes with the command, as in [`Spec::arity`].
    pub(super) arity: i64,
    /// For `HELP`: what follows the word, and what it does.
    usage: &'static str,
    summary: &'static str,
}

const SUBCOMMANDS: [Subcommand; 18] = {
    use Kind::{Client, CommandInfo, Config, PubSub};
    const HELP: &str = "Prints this help.";
    [
        word(Client, "getname", "client|getname", 2, "", "Tells this connection's name."),
        word(Client, "help", "client|help", 2, "", HELP),
        word(Client, "id", "client|id", 2, "", "Tells this connection's number."),
        word(
            Client,
            "reply",
            "client|reply",
            3,
            "ON|OFF|SKIP",
            "Chooses whether commands are replied to; SKIP is for the next one only.",
        ),
        word(
            Client,
            "setinfo",
            "client|setinfo",
            4,
            "LIB-NAME|LIB-VER <text>",
            "Takes which library the client is of.",
        ),
        word(Client, "setname", "client|setname", 3, "<name>", "Names this connection."),
        word(CommandInfo, "count", "command|count", 2, "", "Tells how many commands there are."),
        word(
            CommandInfo,
            "docs",
            "command|docs",
            -2,
            "[<name> ...]",
            "Tells what commands do; of all without a name.",
        ),
        word(CommandInfo, "help", "command|help", 2, "", HELP),
        word(
            CommandInfo,
            "info",
            "command|info",
            -2,
            "[<name> ...]",
            "Tells what commands take; of all without a name.",
        ),
        word(
            CommandInfo,
            "list",
            "command|list",
            -2,
            "[FILTERBY MODULE|ACLCAT|PATTERN <what>]",
            "Tells the names of commands; there are no modules and no categories.",
        ),
        word(
            Config,
            "get",
            "config|get",
            -3,
            "<pattern> [<pattern> ...]",
            "Tells the settings of Redis that have a meaning here.",
        ),
        word(Config, "help", "config|help", 2, "", HELP),
        word(
            Config,
            "set",
            "config|set",
            -4,
            "<setting> <value> ...",
            "Is refused: settings are given by flags when the node starts.",
        ),
        word(
            PubSub,
            "channels",
            "pubsub|channels",
            -2,
            "[<pattern>]",
            "Tells the channels that somebody listens to on this node.",
        ),
        word(PubSub, "help", "pubsub|help", 2, "", HELP),
        word(
            PubSub,
            "numpat",
            "pubsub|numpat",
            2,
            "",
            "Tells how many patterns somebody listens to on this node.",
        ),
        word(
            PubSub,
            "numsub",
            "pubsub|numsub",
            -2,
            "[<channel> ...]",
            "Tells how many listen to channels on this node.",
        ),
    ]
};

const fn word(
    of: Kind,
    word: &'static str,
    name: &'static str,
    arity: i64,
    usage: &'static str,
    summary: &'static str,
) -> Subcommand {
    Subcommand { of, word, name, arity, usage, summary }
}

/// The second words that a command takes, if it takes some.
pub(super) fn words(kind: Kind) -> impl Iterator<Item = &'static Subcommand> {
    SUBCOMMANDS.iter().filter(move |word| word.of == kind)
}

/// What `HELP` says of a command, in lines.
pub(super) fn help(spec: &Spec) -> Vec<String> {
    let name = spec.name.to_uppercase();
    let mut lines =
        vec![format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")];
    for Subcommand { word, usage, summary, .. } in words(spec.kind) {
        lines.push(format!("{} {usage}", word.to_uppercase()).trim_end().to_owned());
        lines.push(format!("    {summary}"));
    }
    lines
}
