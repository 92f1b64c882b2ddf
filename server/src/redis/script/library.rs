//! The functions of the table `redis` that need nothing of a run.

use mlua::{Lua, LuaString, MultiValue, Value};

use super::convert;
use super::raised::{refused, whole};
use super::shelf::{hex, sha};

pub(super) fn sha1hex(lua: &Lua, given: MultiValue) -> mlua::Result<Value> {
    if given.len() != 1 {
        return refused("wrong number of arguments");
    }
    let text = given.front().and_then(|value| lua.coerce_string(value.clone()).ok().flatten());
    let bytes = text.map(|text| text.as_bytes().to_vec()).unwrap_or_default();
    Ok(Value::String(lua.create_string(hex(&sha(&bytes)))?))
}

/// The only argument, if it is a text; else what the script gets for it.
fn only_text(lua: &Lua, given: &MultiValue) -> mlua::Result<Result<LuaString, Value>> {
    match given.front() {
        Some(Value::String(text)) if given.len() == 1 => Ok(Ok(text.clone())),
        _ => {
            let text = b"ERR wrong number or type of arguments";
            Ok(Err(Value::Table(convert::error(lua, text)?)))
        }
    }
}

pub(super) fn error_reply(lua: &Lua, given: MultiValue) -> mlua::Result<Value> {
    let text = match only_text(lua, &given)? {
        Ok(text) => text,
        Err(wrong) => return Ok(wrong),
    };
    let text = text.as_bytes();
    let text = text.strip_prefix(b"-").unwrap_or(&text);
    Ok(Value::Table(convert::error(lua, &convert::coded(&[b"-", text].concat()))?))
}

pub(super) fn status_reply(lua: &Lua, given: MultiValue) -> mlua::Result<Value> {
    let text = match only_text(lua, &given)? {
        Ok(text) => text,
        Err(wrong) => return Ok(wrong),
    };
    let table = lua.create_table()?;
    table.raw_set("ok", text)?;
    Ok(Value::Table(table))
}

/// What a script says is of what it has seen, which may not be safe yet and which it may see anew: so
/// nothing of it is written down.
pub(super) fn log(_: &Lua, given: MultiValue) -> mlua::Result<Value> {
    if given.len() < 2 {
        return refused("redis.log() requires two arguments or more.");
    }
    match given.front().map(whole) {
        Some(Some(0..=3)) => Ok(Value::Nil),
        Some(Some(_)) => refused("Invalid debug level."),
        _ => refused("First argument must be a number (log level)."),
    }
}

pub(super) fn set_repl(_: &Lua, given: MultiValue) -> mlua::Result<Value> {
    if given.len() != 1 {
        return refused("redis.set_repl() requires two arguments.");
    }
    match given.front().map_or(Some(0), |value| Some(whole(value).unwrap_or(0))) {
        Some(0..=3) => Ok(Value::Nil),
        _ => {
            refused("Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
        }
    }
}
