//! Lua's patterns, matched step by step, each of which counts.
//!
//! The library that comes with Lua 5.1 matches in C, which nothing can end: `("a"):rep(99)` against
//! thirty `a*` takes years, and a pattern of a million `a?` the whole stack. What a pattern says is
//! the same here: the reference manual of Lua 5.1, section 5.4.1.

/// As Lua 5.1 has it.
const CAPTURES_MAX: usize = 32;

/// How deep quantified items may stand behind one another: as later versions of Lua have it.
const DEPTH_MAX: usize = 200;

/// Steps between two looks at what the script may take.
const STEPS_A_LOOK: u64 = 1000;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed<E> {
    /// In Lua's words.
    Malformed(&'static str),
    Ended(E),
}

/// Part of the text that a pattern has set apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    Text(usize, usize),
    /// `()`: a place, from 1 on.
    Place(usize),
    /// It was opened and never closed.
    Open,
}

/// Where a pattern was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) captures: Vec<Capture>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Open,
    Place,
    Of(usize),
}

struct Matcher<'a, S> {
    text: &'a [u8],
    pattern: &'a [u8],
    captures: Vec<(usize, Length)>,
    depth: usize,
    steps: u64,
    spend: S,
}

/// Whether a pattern is text and nothing else.
pub(super) fn is_plain(pattern: &[u8]) -> bool {
    !pattern.iter().any(|byte| b"^$*+?.([%-".contains(byte))
}

/// Finds a text, from a place on.
pub(super) fn find_plain(text: &[u8], sought: &[u8], from: usize) -> Option<usize> {
    if sought.is_empty() {
        return Some(from);
    }
    // The longest text is 16 MiB, which the standard library's search, linear in it, walks in a
    // few milliseconds; it is one of texts, hence by first bytes here.
    let last = text.len().checked_sub(sought.len())?;
    (from..=last).find(|at| text[*at] == sought[0] && text[*at..].starts_with(sought))
}

/// Finds a pattern, at a place or from it on. `spend` is told of steps now and then.
pub(super) fn find<E, S: Fn(u64) -> Result<(), E>>(
    text: &[u8],
    pattern: &[u8],
    from: usize,
    is_anchored: bool,
    spend: S,
) -> Result<Option<Found>, Failed<E>> {
    let (captures, depth, steps) = (Vec::new(), 0, 0);
    let mut matcher = Matcher { text, pattern, captures, depth, steps, spend };
    for start in from..=text.len() {
        matcher.captures.clear();
        if let Some(end) = matcher.matched(start, 0)? {
            let captures = matcher.told();
            return Ok(Some(Found { start, end, captures }));
        }
        if is_anchored {
            break;
        }
    }
    (matcher.spend)(matcher.steps % STEPS_A_LOOK).map_err(Failed::Ended)?;
    Ok(None)
}

type Matched<T, E> = Result<T, Failed<E>>;

impl<E, S: Fn(u64) -> Result<(), E>> Matcher<'_, S> {
    fn step(&mut self) -> Matched<(), E> {
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS_A_LOOK) {
            (self.spend)(STEPS_A_LOOK).map_err(Failed::Ended)?;
        }
        Ok(())
    }

    fn matched(&mut self, at: usize, item: usize) -> Matched<Option<usize>, E> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Failed::Malformed("pattern too complex"));
        }
        let end = self.matched_here(at, item);
        self.depth -= 1;
        end
    }

    fn matched_here(&mut self, mut at: usize, mut item: usize) -> Matched<Option<usize>, E> {
        loop {
            self.step()?;
            let pattern = self.pattern;
            let Some(&byte) = pattern.get(item) else { return Ok(Some(at)) };
            let next = pattern.get(item + 1).copied();
            match (byte, next) {
                (b'(', Some(b')')) => return self.opened(at, item + 2, Length::Place),
                (b'(', _) => return self.opened(at, item + 1, Length::Open),
                (b')', _) => return self.closed(at, item + 1),
                (b'%', Some(b'b')) => match self.balanced(at, item + 2)? {
                    Some(end) => (at, item) = (end, item + 4),
                    None => return Ok(None),
                },
                (b'%', Some(b'f')) => {
                    let set = item + 2;
                    if pattern.get(set) != Some(&b'[') {
                        return Err(Failed::Malformed("missing '[' after '%f' in pattern"));
                    }
                    let end = self.item_end(set)?;
                    let before = at.checked_sub(1).map_or(0, |before| self.text[before]);
                    let here = self.text.get(at).copied().unwrap_or(0);
                    if is_in_set(&pattern[set..end], before) || !is_in_set(&pattern[set..end], here)
                    {
                        return Ok(None);
                    }
                    item = end;
                }
                (b'%', Some(digit)) if digit.is_ascii_digit() => match self.repeated(at, digit)? {
                    Some(end) => (at, item) = (end, item + 2),
                    None => return Ok(None),
                },
                (b'$', None) => return Ok((at == self.text.len()).then_some(at)),
                _ => {
                    let end = self.item_end(item)?;
                    let fits = at < self.text.len() && self.fits(at, item, end);
                    match pattern.get(end) {
                        Some(b'?') => {
                            if fits && let Some(end) = self.matched(at + 1, end + 1)? {
                                return Ok(Some(end));
                            }
                            item = end + 1;
                        }
                        Some(b'*') => return self.most(at, item, end, 0),
                        Some(b'+') => {
                            return if fits { self.most(at, item, end, 1) } else { Ok(None) };
                        }
                        Some(b'-') => return self.fewest(at, item, end),
                        _ if fits => (at, item) = (at + 1, end),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    /// Where the item that begins there ends, without what says how often.
    fn item_end(&self, item: usize) -> Matched<usize, E> {
        let pattern = self.pattern;
        match pattern[item] {
            b'%' if item + 1 == pattern.len() => {
                Err(Failed::Malformed("malformed pattern (ends with '%')"))
            }
            b'%' => Ok(item + 2),
            b'[' => {
                let mut at = item + 1;
                if pattern.get(at) == Some(&b'^') {
                    at += 1;
                }
                loop {
                    // The first bracket is itself.
                    let missing = Failed::Malformed("malformed pattern (missing ']')");
                    let byte = *pattern.get(at).ok_or(missing)?;
                    at += if byte == b'%' && at + 1 < pattern.len() { 2 } else { 1 };
                    if pattern.get(at) == Some(&b']') {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(item + 1),
        }
    }

    fn fits(&self, at: usize, item: usize, end: usize) -> bool {
        let byte = self.text[at];
        match self.pattern[item] {
            b'.' => true,
            b'%' => is_of_class(byte, self.pattern[item + 1]),
            b'[' => is_in_set(&self.pattern[item..end], byte),
            own => own == byte,
        }
    }

    fn most(
        &mut self,
        at: usize,
        item: usize,
        end: usize,
        least: usize,
    ) -> Matched<Option<usize>, E> {
        let mut count = 0;
        while at + count < self.text.len() && self.fits(at + count, item, end) {
            self.step()?;
            count += 1;
        }
        loop {
            if let Some(end) = self.matched(at + count, end + 1)? {
                return Ok(Some(end));
            }
            if count == least {
                return Ok(None);
            }
            count -= 1;
        }
    }

    fn fewest(&mut self, mut at: usize, item: usize, end: usize) -> Matched<Option<usize>, E> {
        loop {
            if let Some(end) = self.matched(at, end + 1)? {
                return Ok(Some(end));
            }
            if at >= self.text.len() || !self.fits(at, item, end) {
                return Ok(None);
            }
            at += 1;
        }
    }

    fn opened(&mut self, at: usize, item: usize, length: Length) -> Matched<Option<usize>, E> {
        if self.captures.len() == CAPTURES_MAX {
            return Err(Failed::Malformed("too many captures"));
        }
        self.captures.push((at, length));
        let end = self.matched(at, item)?;
        if end.is_none() {
            self.captures.pop();
        }
        Ok(end)
    }

    fn closed(&mut self, at: usize, item: usize) -> Matched<Option<usize>, E> {
        let open = self.captures.iter().rposition(|(_, length)| *length == Length::Open);
        let open = open.ok_or(Failed::Malformed("invalid pattern capture"))?;
        self.captures[open].1 = Length::Of(at - self.captures[open].0);
        let end = self.matched(at, item)?;
        if end.is_none() {
            self.captures[open].1 = Length::Open;
        }
        Ok(end)
    }

    fn balanced(&mut self, at: usize, item: usize) -> Matched<Option<usize>, E> {
        let (Some(&open), Some(&close)) = (self.pattern.get(item), self.pattern.get(item + 1))
        else {
            return Err(Failed::Malformed("unbalanced pattern"));
        };
        if self.text.get(at) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1;
        for here in at + 1..self.text.len() {
            self.step()?;
            let byte = self.text[here];
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(here + 1));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    fn repeated(&mut self, at: usize, digit: u8) -> Matched<Option<usize>, E> {
        let invalid = Failed::Malformed("invalid capture index");
        let which = usize::from(digit).checked_sub(usize::from(b'1'));
        let Some(&(start, Length::Of(length))) = which.and_then(|which| self.captures.get(which))
        else {
            return Err(invalid);
        };
        let again = &self.text[start..start + length];
        self.steps += u64::try_from(length).unwrap_or(u64::MAX) / 16;
        Ok(self.text[at..].starts_with(again).then_some(at + length))
    }

    fn told(&self) -> Vec<Capture> {
        let told = |(start, length): &(usize, Length)| match length {
            Length::Of(length) => Capture::Text(*start, start + length),
            Length::Place => Capture::Place(start + 1),
            Length::Open => Capture::Open,
        };
        self.captures.iter().map(told).collect()
    }
}

/// Whether a byte is in a set, as it stands between its brackets.
fn is_in_set(set: &[u8], byte: u8) -> bool {
    let inner = &set[1..set.len() - 1];
    let (is_in, mut rest) = match inner.strip_prefix(b"^") {
        Some(rest) => (false, rest),
        None => (true, inner),
    };
    while let Some((&first, behind)) = rest.split_first() {
        match (first, behind) {
            (b'%', [class, behind @ ..]) => {
                if is_of_class(byte, *class) {
                    return is_in;
                }
                rest = behind;
            }
            (low, [b'-', high, behind @ ..]) => {
                if (low..=*high).contains(&byte) {
                    return is_in;
                }
                rest = behind;
            }
            _ => {
                if first == byte {
                    return is_in;
                }
                rest = behind;
            }
        }
    }
    !is_in
}

fn is_of_class(byte: u8, class: u8) -> bool {
    let holds = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    holds != class.is_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found, and what is set apart, a place as its number.
    fn found(text: &str, pattern: &str) -> Option<Vec<String>> {
        let (is_anchored, pattern) = match pattern.strip_prefix('^') {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        let spend = |_| Ok::<(), ()>(());
        let found = find(text.as_bytes(), pattern.as_bytes(), 0, is_anchored, spend).unwrap()?;
        let mut all = vec![text[found.start..found.end].to_owned()];
        all.extend(found.captures.iter().map(|capture| match capture {
            Capture::Text(start, end) => text[*start..*end].to_owned(),
            Capture::Place(place) => place.to_string(),
            Capture::Open => "open".to_owned(),
        }));
        Some(all)
    }

    #[test]
    fn a_pattern_finds_what_the_manual_says() {
        for (text, pattern, expected) in [
            ("hello world", "o w", Some(vec!["o w"])),
            ("key = value", "(%w+)%s*=%s*(%w+)", Some(vec!["key = value", "key", "value"])),
            ("a[b[c]d]e", "%b[]", Some(vec!["[b[c]d]"])),
            ("THE (quick) fox", "%f[%a]%a+%f[%A]", Some(vec!["THE"])),
            ("say 'it' now", "(['\"])(.-)%1", Some(vec!["'it'", "'", "it"])),
            ("flaaap", "()aa()", Some(vec!["aa", "3", "5"])),
            ("abc", "^b", None),
            ("abc", "^a.-$", Some(vec!["abc"])),
            ("x-1]", "[]1-]+", Some(vec!["-1]"])),
            ("a^b", "[^a]", Some(vec!["^"])),
            ("aXb", "%u", Some(vec!["X"])),
            ("aaa", "a-b", None),
            ("ab", "a?b?c?", Some(vec!["ab"])),
            ("", ".*", Some(vec![""])),
            ("ab", "(a", Some(vec!["a", "open"])),
        ] {
            let expected = expected.map(|all| all.into_iter().map(str::to_owned).collect());
            assert_eq!(found(text, pattern), expected, "{pattern} in {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_in_the_words_of_lua() {
        for (pattern, why) in [
            ("%", "malformed pattern (ends with '%')"),
            ("[a", "malformed pattern (missing ']')"),
            ("[", "malformed pattern (missing ']')"),
            ("[^", "malformed pattern (missing ']')"),
            ("[]", "malformed pattern (missing ']')"),
            ("[%", "malformed pattern (missing ']')"),
            ("a)", "invalid pattern capture"),
            ("%1", "invalid capture index"),
            ("%0", "invalid capture index"),
            ("%f", "missing '[' after '%f' in pattern"),
            ("%b", "unbalanced pattern"),
            (&"(".repeat(33), "too many captures"),
            (&"a?".repeat(1_000), "pattern too complex"),
        ] {
            let text = "a".repeat(1_000);
            let found = find(text.as_bytes(), pattern.as_bytes(), 0, false, |_| Ok::<(), ()>(()));
            assert_eq!(found, Err(Failed::Malformed(why)), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_would_take_years_is_ended() {
        let (text, pattern) = ("a".repeat(99), "a*".repeat(30) + "b");
        let spent = std::cell::Cell::new(0);
        let spend = |steps| {
            spent.set(spent.get() + steps);
            if spent.get() > 100_000 { Err(()) } else { Ok(()) }
        };
        let found = find(text.as_bytes(), pattern.as_bytes(), 0, false, spend);
        assert_eq!(found, Err(Failed::Ended(())));
    }

    #[test]
    fn no_pattern_breaks_it() {
        let mut state = 1_u64;
        let mut drawn = |from: &[u8]| {
            let mut draw = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as usize
            };
            let length = draw() % 12;
            (0..length).map(|_| from[draw() % from.len()]).collect::<Vec<u8>>()
        };
        for _ in 0..20_000 {
            let (text, pattern) = (drawn(b"ab(%"), drawn(b"ab.%()[]^$*+-?1fbw"));
            let spent = std::cell::Cell::new(0);
            let spend = |steps| {
                spent.set(spent.get() + steps);
                if spent.get() > 100_000 { Err(()) } else { Ok(()) }
            };
            let _ = find(&text, &pattern, 0, false, spend);
        }
    }
}
