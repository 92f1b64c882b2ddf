//! For tests: a command as a line.

use bytes::BytesMut;

use crate::redis::command::Command;
use crate::redis::frames::Frames;
use crate::redis::parser::Parser;

/// Does something with the command that a line holds.
pub(super) fn typed<T>(line: &str, read: impl FnOnce(&Command<'_>) -> T) -> T {
    let (mut parser, mut frames) = (Parser::default(), Frames::default());
    let mut input = BytesMut::from(format!("{line}\r\n").as_str());
    parser.parse(&mut input, &mut frames).expect("a command");
    read(&Command::new(&input.freeze(), frames.command(0)))
}
