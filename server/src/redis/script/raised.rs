//! Errors out of Rust, in Lua: who raises one says what Redis or Lua would, and where the script stands.

use mlua::{Error, Lua, LuaString, MultiValue, Value};

use super::convert;

/// What the prelude's own functions are said to stand in.
pub(super) const PRELUDE: &str = "=prelude";

/// What Rust raises in Lua. No value of Lua's: see the prelude's `unwrap`.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Raised {
    /// As Lua's own functions raise it, with where the caller stands.
    #[error("{0}")]
    Text(String),
    /// As commands raise it, in a table.
    #[error("an error of a command")]
    Reply(Vec<u8>),
    /// The script ends.
    #[error("the script was ended")]
    Ends,
}

pub(super) fn raise<T>(raised: Raised) -> mlua::Result<T> {
    Err(Error::external(raised))
}

pub(super) fn refused<T>(text: &str) -> mlua::Result<T> {
    raise(Raised::Reply(convert::coded(text.as_bytes())))
}

pub(super) fn raised_by(error: &Error) -> Option<&Raised> {
    error.downcast_ref()
}

/// Makes what Rust has raised into what Redis would have, and tells whether it ends the script.
pub(super) fn unwrap(lua: &Lua, value: Value) -> mlua::Result<(Value, bool)> {
    let Value::Error(error) = &value else { return Ok((value, false)) };
    match raised_by(error) {
        Some(Raised::Ends) => Ok((value, true)),
        Some(Raised::Text(text)) => Ok((Value::String(lua.create_string(text)?), false)),
        Some(Raised::Reply(text)) => Ok((Value::Table(convert::error(lua, text)?), false)),
        None => Ok((Value::String(lua.create_string(plain(error))?), false)),
    }
}

/// An error of Lua's that has come through Rust.
pub(super) fn plain(error: &Error) -> String {
    match error {
        Error::CallbackError { cause, .. } => plain(cause),
        Error::MemoryError(_) => "not enough memory".to_owned(),
        other => other.to_string(),
    }
}

/// Where the script stands: what it called is passed over.
pub(super) fn place(lua: &Lua) -> Option<(String, i64)> {
    for level in 1.. {
        let found = lua.inspect_stack(level, |debug| {
            let source = debug.source();
            let line = debug.current_line().and_then(|line| i64::try_from(line).ok());
            (source.source.map(|source| source.into_owned()), line.unwrap_or(-1))
        })?;
        match found {
            (Some(source), line) if source != "=[C]" && source != PRELUDE => {
                return Some((source, line));
            }
            _ => {}
        }
    }
    None
}

/// As Lua's own functions raise an error: behind where their caller stands.
pub(super) fn lua_error(lua: &Lua, text: &str) -> Error {
    let place = lua.inspect_stack(1, |debug| {
        let source = debug.source().short_src.map(|source| source.into_owned());
        source.zip(debug.current_line())
    });
    Error::external(Raised::Text(match place.flatten() {
        Some((source, line)) => format!("{source}:{line}: {text}"),
        None => text.to_owned(),
    }))
}

fn bad_argument(lua: &Lua, function: &str, at: usize, expected: &str, given: &MultiValue) -> Error {
    let got = match given.get(at) {
        None => "no value",
        Some(value) => value.type_name(),
    };
    let is_method = lua.inspect_stack(0, |debug| debug.names().name_what == Some("method"));
    let text = match (is_method, at) {
        (Some(true), 0) => {
            format!("calling '{function}' on bad self ({expected} expected, got {got})")
        }
        (Some(true), at) => {
            format!("bad argument #{at} to '{function}' ({expected} expected, got {got})")
        }
        (_, at) => {
            let at = at + 1;
            format!("bad argument #{at} to '{function}' ({expected} expected, got {got})")
        }
    };
    lua_error(lua, &text)
}

pub(super) fn text_argument(
    lua: &Lua,
    function: &str,
    given: &MultiValue,
    at: usize,
) -> mlua::Result<LuaString> {
    match given.get(at) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(value @ (Value::Number(_) | Value::Integer(_))) => {
            let text = lua.coerce_string(value.clone())?;
            text.ok_or_else(|| bad_argument(lua, function, at, "string", given))
        }
        _ => Err(bad_argument(lua, function, at, "string", given)),
    }
}

pub(super) fn number_argument(
    lua: &Lua,
    function: &str,
    given: &MultiValue,
    at: usize,
) -> mlua::Result<f64> {
    given.get(at).and_then(number).ok_or_else(|| bad_argument(lua, function, at, "number", given))
}

/// A number, or a text that reads like one, without what is behind its point.
pub(super) fn whole(value: &Value) -> Option<i64> {
    number(value).map(|number| number as i64)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        Value::String(text) => text.to_str().ok()?.trim().parse().ok(),
        _ => None,
    }
}
