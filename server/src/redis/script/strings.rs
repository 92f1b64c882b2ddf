//! What finds patterns in texts, as Lua's own functions have it.

use mlua::{Error, Lua, MultiValue, Value};

use super::pattern::{self, Capture, Failed};
use super::raised::{lua_error, number_argument, text_argument};

/// `string.find` and `string.match`.
pub(super) fn find(
    lua: &Lua,
    function: &str,
    given: &MultiValue,
    is_find: bool,
    spend: impl Fn(u64) -> mlua::Result<()>,
) -> mlua::Result<MultiValue> {
    let text = text_argument(lua, function, given, 0)?;
    let sought = text_argument(lua, function, given, 1)?;
    let init = match given.get(2) {
        None | Some(Value::Nil) => 1.0,
        Some(_) => number_argument(lua, function, given, 2)?,
    };
    let (text, sought) = (text.as_bytes(), sought.as_bytes());
    let from = start(init, text.len());
    let is_plain =
        given.get(3).is_some_and(|plain| !matches!(plain, Value::Nil | Value::Boolean(false)));
    if is_find && (is_plain || pattern::is_plain(&sought)) {
        spend((text.len() - from) as u64 / 16)?;
        let found = pattern::find_plain(&text, &sought, from);
        return Ok(match found {
            Some(at) => numbers(&[at + 1, at + sought.len()]),
            None => MultiValue::from_iter([Value::Nil]),
        });
    }
    let (is_anchored, sought) = match sought.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, &sought[..]),
    };
    match pattern::find(&text, sought, from, is_anchored, spend)
        .map_err(|failed| raised(lua, failed))?
    {
        Some(found) => told(lua, &text, &found, is_find),
        None => Ok(MultiValue::from_iter([Value::Nil])),
    }
}

/// Where to begin: from 1 on, or from the end if it is negative.
fn start(init: f64, length: usize) -> usize {
    if init >= 1.0 {
        ((init as usize) - 1).min(length)
    } else if init <= -1.0 {
        length.saturating_sub(-init as usize)
    } else {
        0
    }
}

fn numbers(all: &[usize]) -> MultiValue {
    all.iter().map(|number| Value::Number(*number as f64)).collect()
}

/// What was found: with where it stands, all that was set apart; else that, or the whole.
pub(super) fn told(
    lua: &Lua,
    text: &[u8],
    found: &pattern::Found,
    with_place: bool,
) -> mlua::Result<MultiValue> {
    let mut told =
        if with_place { numbers(&[found.start + 1, found.end]) } else { MultiValue::new() };
    for capture in &found.captures {
        told.push_back(match *capture {
            Capture::Text(start, end) => Value::String(lua.create_string(&text[start..end])?),
            Capture::Place(place) => Value::Number(place as f64),
            Capture::Open => return Err(lua_error(lua, "unfinished capture")),
        });
    }
    if told.is_empty() {
        told.push_back(Value::String(lua.create_string(&text[found.start..found.end])?));
    }
    Ok(told)
}

pub(super) fn raised(lua: &Lua, failed: Failed<Error>) -> Error {
    match failed {
        Failed::Malformed(text) => lua_error(lua, text),
        Failed::Ended(error) => error,
    }
}
