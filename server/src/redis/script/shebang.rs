//! The first line of a script that says what it needs: `#!lua flags=no-writes,allow-oom`.

use crate::redis::frames::Frames;
use crate::redis::inline;

/// What a script has said of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    /// Whether it has such a line: then it may write only if it does not say otherwise.
    pub(super) are_said: bool,
    pub(super) no_writes: bool,
}

/// All that Redis knows. Only one of them means something here: there are no replicas and no slots,
/// and who may not take more memory may still count.
const KNOWN: [&[u8]; 5] =
    [b"allow-oom", b"no-writes", b"allow-stale", b"no-cluster", b"allow-cross-slot-keys"];

/// Reads a script's first line; answers with how long it is, too. The error is Redis's.
pub(super) fn read(body: &[u8]) -> Result<(Flags, usize), Vec<u8>> {
    if !body.starts_with(b"#!") {
        return Ok((Flags::default(), 0));
    }
    let length = body.iter().position(|byte| *byte == b'\n');
    let length = length.ok_or(b"ERR Invalid script shebang".as_slice())?;
    let words = words(&body[..length]);
    let words = words.ok_or(b"ERR Invalid engine in script shebang".as_slice())?;
    let (engine, options) =
        words.split_first().ok_or(b"ERR Invalid engine in script shebang".as_slice())?;
    if engine != b"#!lua" {
        return Err([b"ERR Unexpected engine in script shebang: ", &engine[..]].concat());
    }
    let mut flags = Flags { are_said: true, ..Flags::default() };
    for option in options {
        let Some(said) = option.strip_prefix(b"flags=") else {
            return Err([b"ERR Unknown lua shebang option: ", &option[..]].concat());
        };
        // As Redis splits it, nothing at all is no flag.
        for flag in said.split(|byte| *byte == b',').filter(|_| !said.is_empty()) {
            if !KNOWN.contains(&flag) {
                return Err([b"ERR Unexpected flag in script shebang: ", flag].concat());
            }
            flags.no_writes |= flag == b"no-writes";
        }
    }
    Ok((flags, length))
}

/// The words of a line; nothing if its quotes do not close, or a NUL stands in it.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut bytes, mut frames) = (line.to_vec(), Frames::default());
    inline::split(&mut bytes, 0..line.len(), usize::MAX, &mut frames).ok()?;
    frames.end_command();
    let spans = if frames.is_empty() { &[] } else { frames.command(0) };
    Some(spans.iter().map(|span| bytes[span.range()].to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_says_what_a_script_needs_or_is_refused() {
        let plain = Ok((Flags::default(), 0));
        assert_eq!(read(b"return 1"), plain);
        let said = |no_writes, length| Ok((Flags { are_said: true, no_writes }, length));
        assert_eq!(read(b"#!lua\nreturn 1"), said(false, 5));
        assert_eq!(read(b"#!lua flags=\nreturn 1"), said(false, 12));
        assert_eq!(read(b"#!lua flags=allow-oom,no-writes\n"), said(true, 31));
        for (body, error) in [
            ("#!lua", "ERR Invalid script shebang"),
            ("#!lua \"x\n", "ERR Invalid engine in script shebang"),
            ("#!js\n", "ERR Unexpected engine in script shebang: #!js"),
            ("#!lua name=x\n", "ERR Unknown lua shebang option: name=x"),
            ("#!lua flags=a,b\n", "ERR Unexpected flag in script shebang: a"),
        ] {
            assert_eq!(read(body.as_bytes()), Err(error.as_bytes().to_vec()), "{body}");
        }
    }
}
