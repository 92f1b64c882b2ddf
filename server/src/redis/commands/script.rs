//! `SCRIPT LOAD | EXISTS | FLUSH | KILL`

use bytes::Bytes;

use crate::redis::errors;
use crate::redis::question::{AskedOfShelf, Question, Scripts};
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::subcommands::{HELP, Subcommand, word};

pub(in crate::redis) const SPEC: Spec =
    Spec::new("script", Class::Script, -2, run, "Keeps scripts for EVALSHA").words(&WORDS);

const WORDS: [Subcommand; 6] = [
    word("debug", "script|debug", 3, "NO", "Answer OK: there is no debugger."),
    word("exists", "script|exists", -3, "<sha1> [<sha1> ...]", "Tell which scripts are kept."),
    word("flush", "script|flush", -2, "[ASYNC|SYNC]", "Forget all scripts."),
    word("help", "script|help", 2, "", HELP),
    word("kill", "script|kill", 2, "", "End the scripts that run."),
    word("load", "script|load", 3, "<script>", "Keep a script without running it."),
];

fn run(call: &mut Call<'_>) -> Next {
    let command = call.command;
    let copied = |at| Bytes::copy_from_slice(command.argument(at));
    let asked = if command.is(1, "load") {
        Scripts::Load(copied(2))
    } else if command.is(1, "exists") {
        Scripts::Shelf(AskedOfShelf::Exist((2..command.len()).map(copied).collect()))
    } else if command.is(1, "kill") {
        Scripts::Shelf(AskedOfShelf::Kill)
    } else if command.is(1, "debug") {
        return match command.is(2, "no") {
            true => call.say(|out| crate::redis::reply::simple(out, "OK")),
            false => call.fail("ERR SCRIPT DEBUG is refused: there is no debugger"),
        };
    } else if command.is(1, "flush") {
        let is_known = command.len() == 2
            || command.len() == 3 && (command.is(2, "sync") || command.is(2, "async"));
        if !is_known {
            return call.fail("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
        }
        Scripts::Shelf(AskedOfShelf::Flush)
    } else {
        return call.fail(errors::subcommand_syntax(&command, "script"));
    };
    Next::Ask(Question::Scripts(asked, call.served))
}
