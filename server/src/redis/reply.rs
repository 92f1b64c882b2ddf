//! Replies as bytes, in the two versions of the protocol.
//!
//! Written straight into the buffer that leaves: a value in between would be made, looked at once
//! and dropped, for every increment.

/// Which version a connection speaks; 2 until its `HELLO` says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Protocol {
    #[default]
    Two,
    Three,
}

impl Protocol {
    pub(super) fn number(self) -> i64 {
        match self {
            Protocol::Two => 2,
            Protocol::Three => 3,
        }
    }
}

pub(super) fn integer(out: &mut Vec<u8>, number: i64) {
    headed(out, b':', number);
}

/// A line that holds no line's end, as all that are given here.
pub(super) fn simple(out: &mut Vec<u8>, text: &str) {
    out.push(b'+');
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Code and explanation; a line's end within would end the reply, and becomes a blank.
pub(super) fn error(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'-');
    let printable = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
    out.extend(text.iter().map(printable));
    out.extend_from_slice(b"\r\n");
}

pub(super) fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    headed(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// A number as text, which is how the values of keys are told.
pub(super) fn bulk_number(out: &mut Vec<u8>, number: i64) {
    bulk(out, itoa::Buffer::new().format(number).as_bytes());
}

/// Text of a kind, of which three letters tell; version 3 only.
pub(super) fn verbatim_of(out: &mut Vec<u8>, kind: &[u8], text: &[u8]) {
    headed(out, b'=', text.len() + 4);
    out.extend_from_slice(kind);
    out.push(b':');
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// Text for people, which clients show as it is.
pub(super) fn verbatim(out: &mut Vec<u8>, protocol: Protocol, text: &str) {
    match protocol {
        Protocol::Two => bulk(out, text.as_bytes()),
        Protocol::Three => verbatim_of(out, b"txt", text.as_bytes()),
    }
}

pub(super) fn null(out: &mut Vec<u8>, protocol: Protocol) {
    out.extend_from_slice(match protocol {
        Protocol::Two => b"$-1\r\n",
        Protocol::Three => b"_\r\n",
    });
}

/// Null in place of an array, which version 2 tells apart.
pub(super) fn null_array(out: &mut Vec<u8>, protocol: Protocol) {
    out.extend_from_slice(match protocol {
        Protocol::Two => b"*-1\r\n".as_slice(),
        Protocol::Three => b"_\r\n",
    });
}

/// So many replies follow.
pub(super) fn array(out: &mut Vec<u8>, length: usize) {
    headed(out, b'*', length);
}

/// So many replies follow, which are no replies to a command; in version 2 nothing sets them apart.
pub(super) fn push(out: &mut Vec<u8>, protocol: Protocol, length: usize) {
    match protocol {
        Protocol::Two => array(out, length),
        Protocol::Three => headed(out, b'>', length),
    }
}

/// So many pairs of replies follow.
pub(super) fn map(out: &mut Vec<u8>, protocol: Protocol, pairs: usize) {
    match protocol {
        Protocol::Two => headed(out, b'*', 2 * pairs),
        Protocol::Three => headed(out, b'%', pairs),
    }
}

/// So many different replies follow.
pub(super) fn set(out: &mut Vec<u8>, protocol: Protocol, length: usize) {
    match protocol {
        Protocol::Two => array(out, length),
        Protocol::Three => headed(out, b'~', length),
    }
}

fn headed(out: &mut Vec<u8>, kind: u8, number: impl itoa::Integer) {
    let mut digits = itoa::Buffer::new();
    out.push(kind);
    out.extend_from_slice(digits.format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_reply_is_spelled_as_its_version_has_it() {
        use Protocol::{Three, Two};
        assert_eq!(written(|out| integer(out, i64::MIN)), ":-9223372036854775808\r\n");
        assert_eq!(written(|out| bulk(out, b"")), "$0\r\n\r\n");
        assert_eq!(written(|out| null(out, Two)), "$-1\r\n");
        assert_eq!(written(|out| null(out, Three)), "_\r\n");
        assert_eq!(written(|out| map(out, Two, 2)), "*4\r\n");
        assert_eq!(written(|out| map(out, Three, 2)), "%2\r\n");
        assert_eq!(written(|out| verbatim(out, Three, "a")), "=5\r\ntxt:a\r\n");
    }

    #[test]
    fn an_error_is_one_line_whatever_a_client_put_into_it() {
        assert_eq!(written(|out| error(out, b"ERR 'a\r\n+OK'")), "-ERR 'a  +OK'\r\n");
    }
}
