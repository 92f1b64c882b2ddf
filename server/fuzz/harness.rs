//! One input, put through the parser of the Redis protocol whole, and cut in two at every byte.
//!
//! Fuzzing (`fuzz_targets/redis_parser.rs`) and the ordinary test over the corpus
//! (`tests/redis_fuzz.rs`) call the same [`feed`]. Nothing may panic; what is found must not depend
//! on how the bytes arrived; and nothing may be found that is not in them.

#[path = "../src/redis/frames.rs"]
mod frames;
#[path = "../src/redis/inline.rs"]
mod inline;
#[path = "../src/redis/number.rs"]
mod number;
#[path = "../src/redis/parser.rs"]
mod parser;

use frames::Frames;
use parser::{ARGUMENT_BYTES_MAX, ARGUMENTS_MAX, LINE_BYTES_MAX, Parser, ProtocolError};

/// Longest input of which every cut is tried: the time grows with its square.
const CUT_BYTES_MAX: usize = 512;

/// Commands, and the error behind them.
type Found = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// Puts one input through.
pub(crate) fn feed(bytes: &[u8]) {
    let whole = parse(&[bytes]);
    let arguments: usize = whole.0.iter().map(Vec::len).sum();
    assert!(arguments <= bytes.len(), "an argument takes a byte at least");
    for command in &whole.0 {
        assert!(command.len() <= ARGUMENTS_MAX);
        let bytes: usize = command.iter().map(Vec::len).sum();
        assert!(bytes <= command.len() * ARGUMENT_BYTES_MAX.max(LINE_BYTES_MAX));
    }
    if bytes.len() <= CUT_BYTES_MAX {
        for cut in 1..bytes.len() {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(parse(&[first, second]), whole, "cut at byte {cut}");
        }
        assert_eq!(parse(&bytes.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    }
}

/// Reads parts as they arrive, taking whole commands away as a connection does.
fn parse(parts: &[&[u8]]) -> Found {
    let (mut parser, mut frames) = (Parser::default(), Frames::default());
    let (mut input, mut commands) = (Vec::new(), Vec::new());
    for part in parts {
        input.extend_from_slice(part);
        loop {
            let parsed = parser.parse(&mut input, &mut frames);
            let whole = parser.whole();
            assert!(whole <= input.len(), "nothing is taken that has not arrived");
            for at in 0..frames.len() {
                let argument = |span: &frames::Span| input[span.range()].to_vec();
                commands.push(frames.command(at).iter().map(argument).collect());
            }
            input.drain(..whole);
            parser.took(whole);
            let is_idle = frames.is_empty();
            frames.forget(whole);
            if let Err(error) = parsed {
                return (commands, Some(error));
            }
            if is_idle {
                break;
            }
        }
    }
    (commands, None)
}
