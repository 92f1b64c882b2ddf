//! Patterns of names as `KEYS` and `SCAN` take them: `*`, `?`, `[a-z]`, `[^a]`, and `\` before a
//! character that shall stand for itself.
//!
//! Only the last star is ever tried again, since a match that the stars before it could find, it
//! finds as well. So the time is at most pattern times name; trying every star again, a pattern of
//! many stars could hold a thread for hours.

/// Whether the whole name matches. Bytes are compared, not characters, as Redis does.
pub(crate) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to go on when what follows the last star does not match: behind the star, with one
    // more byte of the name given to it.
    let mut retry = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, n));
            continue;
        }
        match (name.get(n), pattern.get(p)) {
            (None, None) => return true,
            (None, Some(_)) => return false,
            (Some(byte), Some(_)) => {
                let (is_match, next) = one(pattern, p, *byte);
                if is_match {
                    (p, n) = (next, n + 1);
                    continue;
                }
            }
            (Some(_), None) => {}
        }
        let Some((after, taken)) = retry else { return false };
        retry = Some((after, taken + 1));
        (p, n) = (after, taken + 1);
    }
}

/// Whether a byte matches what stands in the pattern at `p`, and what stands behind that.
fn one(pattern: &[u8], p: usize, byte: u8) -> (bool, usize) {
    match pattern[p] {
        b'?' => (true, p + 1),
        b'[' => set(pattern, p + 1, byte),
        b'\\' if p + 1 < pattern.len() => (pattern[p + 1] == byte, p + 2),
        literal => (literal == byte, p + 1),
    }
}

/// A set that is not closed ends with the pattern.
fn set(pattern: &[u8], mut p: usize, byte: u8) -> (bool, usize) {
    let is_negated = pattern.get(p) == Some(&b'^');
    p += usize::from(is_negated);
    let mut is_member = false;
    while let Some(&first) = pattern.get(p) {
        match (first, &pattern[p + 1..]) {
            (b'\\', [escaped, ..]) => {
                is_member |= *escaped == byte;
                p += 2;
            }
            (b']', _) => {
                p += 1;
                break;
            }
            (start, [b'-', end, ..]) => {
                let (low, high) = (start.min(*end), start.max(*end));
                is_member |= (low..=high).contains(&byte);
                p += 3;
            }
            (literal, _) => {
                is_member |= literal == byte;
                p += 1;
            }
        }
    }
    (is_member != is_negated, p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h*l*o", "hello world, o", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h[a-c]llo", "hdllo", false),
            (r"h\*llo", "h*llo", true),
            (r"h\*llo", "hello", false),
            (r"[\]]", "]", true),
            ("[a", "a", true),
            ("page:*", "page:1", true),
            ("page:*", "user:1", false),
            ("*:1", "page:1", true),
            ("a*b*c", "abcbc", true),
            ("a*b*c", "abcbd", false),
            ("[^", "a", true),
            ("a\\", "a\\", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        let pattern = "a*".repeat(100) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(255).as_bytes()));
    }
}
