//! What a client is told when it gets no answer. Where Redis has words for it they are Redis's,
//! byte for byte, since clients look for them.

use quipu_core::name::NameError;
use quipu_core::operation::Refusal;

use super::command::Command;

pub(super) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
pub(super) const LOADING: &str = "LOADING Redis is loading the dataset in memory";
pub(super) const NO_CLUSTER: &str = "ERR This instance has cluster support disabled";
/// A fault of this program. What became of the operation is not known then.
pub(super) const NO_RESULT: &str =
    "ERR the node gave no result for this operation, and may have done it or not";
pub(super) const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";
pub(super) const DENIED_CHANNEL: &str =
    "NOPERM this user has no permissions to access one of the channels used as arguments";
pub(super) const SYNTAX: &str = "ERR syntax error";
pub(super) const WRONG_PASSWORD: &str =
    "WRONGPASS invalid username-password pair or user is disabled.";

pub(super) const NO_DEBUGGING: &str = "ERR DEBUG command not allowed. If the enable-debug-command option is \
    set to \"local\", you can run it from a local connection, otherwise you need to set this option in \
    the configuration file, and then restart the server.";
pub(super) const NOT_IN_A_TRANSACTION: &str = "ERR Command not allowed inside a transaction";

/// How much of an unknown command is repeated, and of its arguments.
const ECHO_BYTES_MAX: usize = 128;

/// An operation that was refused.
pub(super) fn refusal(refusal: Refusal) -> String {
    match refusal {
        Refusal::OutOfMemory => OUT_OF_MEMORY.to_owned(),
        Refusal::Behind(_) => format!("TRYAGAIN {refusal}"),
        other => format!("ERR {other}"),
    }
}

/// A command that its caller may not have.
pub(super) fn denied(command: &[u8]) -> String {
    let name = String::from_utf8_lossy(command).to_ascii_lowercase();
    format!("NOPERM this user has no permissions to run the '{name}' command")
}

/// A key that cannot be a counter's name.
pub(super) fn name(error: NameError) -> String {
    format!("ERR {error}")
}

/// A lifetime that is none, or ends beyond what a clock can tell.
pub(super) fn expire_time(command: &str) -> String {
    format!("ERR invalid expire time in '{command}' command")
}

pub(super) fn arity(command: &str) -> String {
    format!("ERR wrong number of arguments for '{command}' command")
}

pub(super) fn unknown(command: &Command<'_>) -> Vec<u8> {
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(start(command.argument(0), ECHO_BYTES_MAX));
    text.extend_from_slice(b"', with args beginning with: ");
    let before = text.len();
    for argument in command.arguments(1) {
        let Some(room @ 1..) = ECHO_BYTES_MAX.checked_sub(text.len() - before) else { break };
        text.push(b'\'');
        text.extend_from_slice(start(argument, room));
        text.extend_from_slice(b"' ");
    }
    text
}

pub(super) fn unknown_subcommand(command: &Command<'_>, name: &str) -> Vec<u8> {
    told_to_try_help("ERR unknown subcommand '", command, name)
}

/// As [`unknown_subcommand`], where the word is known and what follows it is too much.
pub(super) fn subcommand_syntax(command: &Command<'_>, name: &str) -> Vec<u8> {
    told_to_try_help("ERR unknown subcommand or wrong number of arguments for '", command, name)
}

/// What is wrong with the second word of the command `name`, in Redis's words.
fn told_to_try_help(what: &str, command: &Command<'_>, name: &str) -> Vec<u8> {
    let mut text = what.as_bytes().to_vec();
    text.extend_from_slice(start(command.argument(1), ECHO_BYTES_MAX));
    text.extend_from_slice(b"'. Try ");
    text.extend(name.bytes().map(|byte| byte.to_ascii_uppercase()));
    text.extend_from_slice(b" HELP.");
    text
}

/// A command of one who listens, in version 2.
pub(super) fn listens(command: &str) -> String {
    format!(
        "ERR Can't execute '{command}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
         RESET are allowed in this context"
    )
}

/// What of a client's word is repeated: Redis ends it at a NUL.
fn start(word: &[u8], bytes_max: usize) -> &[u8] {
    let word = &word[..word.len().min(bytes_max)];
    word.split(|byte| *byte == 0).next().unwrap_or_default()
}
