//! Between replies and values of Lua, as Redis has it.
//!
//! A command's reply becomes a value of its script: a status and an error are tables with one field, a
//! null is `false`. What a script returns becomes its reply: a number loses what is behind its point,
//! `true` is 1, `false` and `nil` are null, and the first `nil` ends an array.

use mlua::{Lua, Table, Value};

use super::super::reply::{self, Protocol};

/// How deep tables of a reply may stand in one another, so that one that holds itself has an end: each
/// takes half a kilobyte of the stack. Redis ends at the some thousand that its own stack has.
const DEPTH_MAX: usize = 128;

/// Longest reply: as long as the longest command. A table may stand in it many times.
const REPLY_BYTES_MAX: usize = 4 << 20;

/// What a table of a reply takes beside its members: it is asked for eight fields.
const INSTRUCTIONS_A_TABLE: u64 = 50;

/// Why a value is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "ERR the script was ended, since its reply is longer than {} MiB, and nothing of it was done",
    REPLY_BYTES_MAX >> 20
)]
pub(super) struct TooLong;

/// The value of a reply; nothing if it is none, which no command's is.
pub(super) fn value(lua: &Lua, reply: &[u8]) -> mlua::Result<Value> {
    Replies { lua, rest: reply }.next()
}

struct Replies<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
}

impl<'a> Replies<'a> {
    fn line(&mut self) -> &'a [u8] {
        let end = self.rest.windows(2).position(|two| two == b"\r\n").unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        self.rest = self.rest.get(end + 2..).unwrap_or_default();
        line
    }

    fn bytes(&mut self, length: usize) -> &'a [u8] {
        let bytes = &self.rest[..length.min(self.rest.len())];
        self.rest = self.rest.get(length + 2..).unwrap_or_default();
        bytes
    }

    fn table(&self, field: &str, value: Value) -> mlua::Result<Value> {
        let table = self.lua.create_table()?;
        table.raw_set(field, value)?;
        Ok(Value::Table(table))
    }

    fn text(&self, text: &[u8]) -> mlua::Result<Value> {
        Ok(Value::String(self.lua.create_string(text)?))
    }

    fn next(&mut self) -> mlua::Result<Value> {
        let line = self.line();
        let Some((&kind, line)) = line.split_first() else { return Ok(Value::Nil) };
        let length = || super::super::number::integer(line).and_then(|n| usize::try_from(n).ok());
        match (kind, length()) {
            (b'+', _) => self.table("ok", self.text(line)?),
            (b'-', _) => Ok(Value::Table(error(self.lua, line)?)),
            (b':', _) => {
                let number = super::super::number::integer(line).unwrap_or_default();
                // Lua has no other numbers.
                Ok(Value::Number(number as f64))
            }
            (b'$', Some(length)) => {
                let bytes = self.bytes(length);
                self.text(bytes)
            }
            (b'$' | b'*', None) => Ok(Value::Boolean(false)),
            (b'*', Some(length)) => {
                let table = self.lua.create_table()?;
                for at in 1..=length {
                    let value = self.next()?;
                    table.raw_set(at, value)?;
                }
                Ok(Value::Table(table))
            }
            (b'%', Some(length)) => {
                let table = self.lua.create_table()?;
                for _ in 0..length {
                    let (key, value) = (self.next()?, self.next()?);
                    table.raw_set(key, value)?;
                }
                self.table("map", Value::Table(table))
            }
            (b'~', Some(length)) => {
                let table = self.lua.create_table()?;
                for _ in 0..length {
                    let member = self.next()?;
                    table.raw_set(member, true)?;
                }
                self.table("set", Value::Table(table))
            }
            (b'=', Some(length)) => {
                let bytes = self.bytes(length);
                let (format, text) = bytes.split_at(bytes.len().min(3));
                let table = self.lua.create_table()?;
                table.raw_set("string", self.text(text.get(1..).unwrap_or_default())?)?;
                table.raw_set("format", self.text(format)?)?;
                self.table("verbatim_string", Value::Table(table))
            }
            (b'#', _) => Ok(Value::Boolean(line == b"t")),
            (b',', _) => {
                let number = String::from_utf8_lossy(line).parse().unwrap_or(f64::NAN);
                self.table("double", Value::Number(number))
            }
            _ => Ok(Value::Nil),
        }
    }
}

/// An error as scripts see it. It has a code, `ERR` if it was told without.
pub(super) fn error(lua: &Lua, text: &[u8]) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("err", lua.create_string(text)?)?;
    Ok(table)
}

/// An error's text from what a script or a command has said: behind a `-` stands its code first.
pub(super) fn coded(said: &[u8]) -> Vec<u8> {
    // As far as C reads it.
    let said = said.split(|byte| *byte == 0).next().unwrap_or_default();
    let (code, message) = match said.strip_prefix(b"-") {
        None => (b"ERR".as_slice(), said),
        Some(said) => match said.iter().position(|byte| *byte == b' ') {
            None => (b"ERR".as_slice(), said),
            Some(blank) => (&said[..blank], &said[blank + 1..]),
        },
    };
    [code, b" ", trimmed(message)].concat()
}

fn trimmed(text: &[u8]) -> &[u8] {
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let start = text.iter().position(|byte| !is_end(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_end(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}

/// Writes what a script returned, to a client that speaks `client`; `script` is what the script speaks.
/// `spend` is told what that takes, in instructions.
pub(super) fn write(
    out: &mut Vec<u8>,
    value: &Value,
    client: Protocol,
    script: Protocol,
    spend: &dyn Fn(u64) -> mlua::Result<()>,
) -> mlua::Result<Result<(), TooLong>> {
    let most = out.len() + REPLY_BYTES_MAX;
    Writer { client, script, most, spend }.write(out, value, 0)
}

struct Writer<'a> {
    client: Protocol,
    script: Protocol,
    most: usize,
    spend: &'a dyn Fn(u64) -> mlua::Result<()>,
}

type Written = mlua::Result<Result<(), TooLong>>;

impl Writer<'_> {
    fn write(&self, out: &mut Vec<u8>, value: &Value, depth: usize) -> Written {
        if out.len() > self.most {
            return Ok(Err(TooLong));
        }
        if depth > DEPTH_MAX {
            reply::error(out, b"ERR reached lua stack limit");
            return Ok(Ok(()));
        }
        match value {
            Value::String(text) => reply::bulk(out, &text.as_bytes()),
            Value::Boolean(holds) => self.boolean(out, *holds),
            Value::Integer(number) => reply::integer(out, *number),
            Value::Number(number) => reply::integer(out, cut(*number)),
            Value::Table(table) => return self.table(out, table, depth),
            _ => reply::null(out, self.client),
        }
        Ok(Ok(()))
    }

    fn boolean(&self, out: &mut Vec<u8>, holds: bool) {
        match (self.script, self.client) {
            (Protocol::Two, _) if holds => reply::integer(out, 1),
            (Protocol::Two, client) => reply::null(out, client),
            (Protocol::Three, Protocol::Two) => reply::integer(out, i64::from(holds)),
            (Protocol::Three, Protocol::Three) => {
                out.extend_from_slice(if holds { b"#t\r\n" } else { b"#f\r\n" });
            }
        }
    }

    fn table(&self, out: &mut Vec<u8>, table: &Table, depth: usize) -> Written {
        (self.spend)(INSTRUCTIONS_A_TABLE)?;
        if let Value::String(text) = table.raw_get("err")? {
            reply::error(out, as_c_reads(trimmed_end(&text.as_bytes())));
        } else if let Value::String(text) = table.raw_get("ok")? {
            line(out, b'+', as_c_reads(&text.as_bytes()));
        } else if let Some(number) = exact(&table.raw_get("double")?) {
            self.double(out, number);
        } else if let Value::String(digits) = table.raw_get("big_number")? {
            match self.client {
                Protocol::Two => reply::bulk(out, &without_ends(&digits.as_bytes())),
                Protocol::Three => line(out, b'(', &digits.as_bytes()),
            }
        } else if let Some((format, text)) = verbatim(table)? {
            match self.client {
                Protocol::Two => reply::bulk(out, &text),
                Protocol::Three => {
                    let mut format = format;
                    format.resize(3, b' ');
                    reply::verbatim_of(out, &format, &text);
                }
            }
        } else if let Value::Table(map) = table.raw_get("map")? {
            return self.pairs(out, &map, depth);
        } else if let Value::Table(set) = table.raw_get("set")? {
            return self.set(out, &set, depth);
        } else {
            return self.array(out, table, depth);
        }
        Ok(Ok(()))
    }

    fn double(&self, out: &mut Vec<u8>, number: f64) {
        let text = match number {
            _ if number.is_infinite() => if number > 0.0 { "inf" } else { "-inf" }.to_owned(),
            _ => shortest(number),
        };
        match self.client {
            Protocol::Two => reply::bulk(out, text.as_bytes()),
            Protocol::Three => line(out, b',', text.as_bytes()),
        }
    }

    fn array(&self, out: &mut Vec<u8>, table: &Table, depth: usize) -> Written {
        let (mut members, mut count) = (Vec::new(), 0);
        loop {
            let member: Value = table.raw_get(count + 1)?;
            if member.is_nil() {
                break;
            }
            if let Err(too_long) = self.write(&mut members, &member, depth + 1)? {
                return Ok(Err(too_long));
            }
            count += 1;
        }
        reply::array(out, count);
        out.append(&mut members);
        Ok(Ok(()))
    }

    fn pairs(&self, out: &mut Vec<u8>, map: &Table, depth: usize) -> Written {
        let (mut members, mut count) = (Vec::new(), 0);
        for pair in map.pairs::<Value, Value>() {
            let (key, value) = pair?;
            for member in [key, value] {
                if let Err(too_long) = self.write(&mut members, &member, depth + 1)? {
                    return Ok(Err(too_long));
                }
            }
            count += 1;
        }
        reply::map(out, self.client, count);
        out.append(&mut members);
        Ok(Ok(()))
    }

    fn set(&self, out: &mut Vec<u8>, set: &Table, depth: usize) -> Written {
        let (mut members, mut count) = (Vec::new(), 0);
        for pair in set.pairs::<Value, Value>() {
            let (member, _) = pair?;
            if let Err(too_long) = self.write(&mut members, &member, depth + 1)? {
                return Ok(Err(too_long));
            }
            count += 1;
        }
        reply::set(out, self.client, count);
        out.append(&mut members);
        Ok(Ok(()))
    }
}

/// A number, and no text that reads like one.
fn exact(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => Some(*number),
        Value::Integer(number) => Some(*number as f64),
        _ => None,
    }
}

fn verbatim(table: &Table) -> mlua::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let Value::Table(inner) = table.raw_get("verbatim_string")? else { return Ok(None) };
    let (format, text) = (inner.raw_get("format")?, inner.raw_get("string")?);
    Ok(match (format, text) {
        (Value::String(format), Value::String(text)) => {
            Some((as_c_reads(&format.as_bytes()).to_vec(), text.as_bytes().to_vec()))
        }
        _ => None,
    })
}

fn as_c_reads(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn trimmed_end(text: &[u8]) -> &[u8] {
    let last = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
    &text[..last.map_or(0, |last| last + 1)]
}

fn without_ends(text: &[u8]) -> Vec<u8> {
    let shown = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
    text.iter().map(shown).collect()
}

fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    out.append(&mut without_ends(text));
    out.extend_from_slice(b"\r\n");
}

/// A number without what is behind its point. One that no 64 bits hold is what processors make of it.
fn cut(number: f64) -> i64 {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if (-BEYOND..BEYOND).contains(&number) { number as i64 } else { i64::MIN }
}

/// A number as C writes it with `%.17g`: with 17 digits, those at the end left out that are zero.
pub(super) fn shortest(number: f64) -> String {
    if number.is_nan() {
        return if number.is_sign_negative() { "-nan" } else { "nan" }.to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:.16e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..17).contains(&exponent) {
        let behind = usize::try_from(16 - exponent).unwrap_or(0);
        return without_zeros(&format!("{number:.behind$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_zeros(digits), exponent.unsigned_abs())
}

fn without_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_c_writes_them() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.10000000000000001"),
            (3.99, "3.9900000000000002"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123_456_789_012_345_678.0, "1.2345678901234568e+17"),
            (1e-4, "0.0001"),
            (1e-5, "1.0000000000000001e-05"),
            (f64::INFINITY, "inf"),
            (1e300, "1.0000000000000001e+300"),
        ] {
            assert_eq!(shortest(number), text);
        }
        assert_eq!([cut(3.99), cut(-3.99), cut(1e300), cut(f64::NAN)], [3, -3, i64::MIN, i64::MIN]);
    }

    #[test]
    fn an_error_has_a_code() {
        for (said, coded_as) in [
            ("My error", "ERR My error"),
            ("-MY error", "MY error"),
            ("-lonely", "ERR lonely"),
            ("-MY error\r\n", "MY error"),
        ] {
            assert_eq!(coded(said.as_bytes()), coded_as.as_bytes());
        }
    }
}
