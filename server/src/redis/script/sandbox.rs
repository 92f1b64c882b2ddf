//! Lua, and what a script finds there: what Redis gives scripts, and nothing that reaches further.
//!
//! Each run has a Lua of its own, made in some hundred microseconds: nothing that a script leaves
//! behind can be found by another, whatever it does. (Redis has one for all, which no script can write
//! to.) What is Lua's own stands in `prelude.lua`; here is what it has of us.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use mlua::chunk::ChunkMode;
use mlua::{
    Error, Function, HookTriggers, Lua, LuaOptions, LuaString, MultiValue, Scope, StdLib, Table,
    Value, VmState,
};

use super::budget::{Bounds, Budget, Kills, out_of_memory};
use super::ended::Ended;
use super::library::{error_reply, log, set_repl, sha1hex, status_reply};
use super::raised::{
    PRELUDE, Raised, lua_error, number_argument, place, plain, raise, raised_by, refused,
    text_argument, unwrap, whole,
};
use super::shelf::Script;
use super::strings::{find, raised, told};
use super::{chance, convert, pattern};
use crate::redis::question::Eval;
use crate::redis::reply::{self, Protocol};

const SCRIPT: &str = "@user_script";

/// In Lua's words.
const NO_MEMORY: &[u8] = b"not enough memory";

/// An error that ended a script.
#[derive(Debug)]
struct Failure {
    text: Vec<u8>,
    /// In which source, and in which line.
    place: Option<(String, i64)>,
}

/// What a run has come to besides values.
#[derive(Debug, Default)]
struct Record {
    ended: Option<Ended>,
    failure: Option<Failure>,
}

/// What carries out the commands that a script calls.
pub(super) trait Commands {
    /// Carries one out: its reply, or an error in Redis's words, without a code or behind a `-`.
    fn call(
        &mut self,
        arguments: &[Vec<u8>],
        only_reads: bool,
    ) -> Result<Result<Vec<u8>, Vec<u8>>, Ended>;

    /// Has the commands of scripts speak a version of the protocol; answers with the one before.
    fn speak(&mut self, protocol: Protocol) -> Protocol;
}

/// Whether a script is one; the error is what its client is told.
pub(super) fn check(script: &Script, bounds: Bounds) -> Result<(), Vec<u8>> {
    let lua = lua(bounds).map_err(|error| failed(&error))?;
    compiled(&lua, script).map(drop)
}

/// A script that is run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub(super) script: &'a Script,
    pub(super) eval: &'a Eval,
    /// Whether it may call no command that writes.
    pub(super) only_reads: bool,
    pub(super) bounds: Bounds,
    /// How often kills had been said when it began.
    pub(super) kills_before: u64,
}

impl Run<'_> {
    /// Runs it, and writes what it returns. `compiled` is called once it was found to be Lua.
    pub(super) fn run(
        self,
        commands: &mut dyn Commands,
        kills: &Arc<Kills>,
        is_compiled: impl FnOnce(),
        out: &mut Vec<u8>,
    ) -> Result<(), Ended> {
        let made = lua(self.bounds).map_err(|error| failed(&error));
        let made = made.and_then(|lua| Ok((compiled(&lua, self.script)?, lua)));
        let (function, lua) = match made {
            Ok(made) => made,
            Err(text) => {
                reply::error(out, &text);
                return Ok(());
            }
        };
        is_compiled();
        let shared = Rc::new(RefCell::new(Record::default()));
        let budget = Rc::new(Budget::new(self.bounds, kills, self.kills_before));
        let client = commands.speak(Protocol::Two);
        let (only_reads, eval) = (self.only_reads, self.eval);
        let running = Running { lua: &lua, record: &shared, budget: &budget, only_reads };
        let returned = running.call(commands, function, eval);
        let script = commands.speak(client);
        let record = std::mem::take(&mut *shared.borrow_mut());
        if let Some(ended) = record.ended {
            return Err(ended);
        }
        let written = match (returned, record.failure) {
            (Ok(Ok(value)), _) => {
                let spend = |instructions| spend(&budget, &shared, instructions);
                convert::write(out, &value, client, script, &spend)
            }
            (Ok(Err(_)), Some(failure)) => {
                reply::error(out, &failure.told(&self.script.sha));
                return Ok(());
            }
            // Lua had no room to tell the handler: of memory, or of its stack.
            (Ok(Err(Value::String(why))), None) if &why.as_bytes()[..] != NO_MEMORY => {
                let why = String::from_utf8_lossy(&why.as_bytes()).into_owned();
                let text = format!("ERR Error running script {}, {why:.100}", self.script.sha);
                reply::error(out, text.as_bytes());
                return Ok(());
            }
            (Ok(Err(_)), None) => Err(Error::MemoryError(String::new())),
            (Err(error), _) => Err(error),
        };
        if let Some(ended) = shared.borrow_mut().ended.take() {
            return Err(ended);
        }
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(too_long)) => Err(Ended::Over(too_long.to_string())),
            Err(Error::MemoryError(_)) => Err(Ended::Over(out_of_memory(&self.bounds))),
            Err(error) => {
                reply::error(out, &failed(&error));
                Ok(())
            }
        }
    }
}

impl Failure {
    fn told(&self, sha: &str) -> Vec<u8> {
        let mut told = self.text.clone();
        if let Some((source, line)) = &self.place {
            told.extend_from_slice(format!(" script: {sha}, on {source}:{line}.").as_bytes());
        }
        told
    }
}

/// A fault of ours.
fn failed(error: &Error) -> Vec<u8> {
    format!("ERR Lua failed: {error}").into_bytes()
}

fn lua(bounds: Bounds) -> mlua::Result<Lua> {
    let libraries = StdLib::STRING | StdLib::TABLE | StdLib::MATH;
    let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(false))?;
    lua.set_memory_limit(bounds.memory_bytes)?;
    Ok(lua)
}

fn compiled(lua: &Lua, script: &Script) -> Result<Function, Vec<u8>> {
    let chunk = lua.load(&script.source[..]).set_name(SCRIPT).set_mode(ChunkMode::Text);
    chunk.into_function().map_err(|error| {
        let why = syntax(&error);
        format!("ERR Error compiling script (new function): {why}").into_bytes()
    })
}

/// What is wrong with a text that is no Lua, in Lua's words.
fn syntax(error: &Error) -> String {
    match error {
        Error::SyntaxError { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// What the prelude seeks: in which text, which pattern, from where on, whether only there, and whether
/// it wants what is set apart.
type Sought = (LuaString, LuaString, usize, bool, bool);

/// One that has begun.
struct Running<'a> {
    lua: &'a Lua,
    record: &'a Rc<RefCell<Record>>,
    budget: &'a Rc<Budget>,
    only_reads: bool,
}

impl Running<'_> {
    /// Calls a script: what it returns, or what has ended it.
    fn call(
        &self,
        commands: &mut dyn Commands,
        script: Function,
        eval: &Eval,
    ) -> mlua::Result<Result<Value, Value>> {
        let lua = self.lua;
        let table = |texts: &[bytes::Bytes]| {
            let table = lua.create_table_with_capacity(texts.len(), 0)?;
            for (at, text) in (1..).zip(texts) {
                table.raw_set(at, lua.create_string(text)?)?;
            }
            Ok::<Table, Error>(table)
        };
        let (keys, arguments) = (table(&eval.keys)?, table(&eval.arguments)?);
        let commands = RefCell::new(commands);
        lua.scope(|scope| {
            let native = self.natives()?;
            native.raw_set("redis", self.redis(scope, &commands)?)?;
            let handler = on_error(Rc::clone(self.record), self.budget.bounds);
            let handler = lua.create_function(handler)?;
            let prelude = lua.load(include_str!("prelude.lua")).set_name(PRELUDE);
            let runner: Function = prelude.set_mode(ChunkMode::Text).call(native)?;
            self.watch()?;
            let (holds, value): (bool, Value) = runner.call((script, handler, keys, arguments))?;
            lua.remove_global_hook();
            Ok(if holds { Ok(value) } else { Err(value) })
        })
    }

    /// Has the budget looked at every few instructions, on all threads of this Lua.
    fn watch(&self) -> mlua::Result<()> {
        let (budget, record) = (Rc::clone(self.budget), Rc::clone(self.record));
        let every = self.budget.bounds.instructions_a_look;
        let triggers = HookTriggers::new().every_nth_instruction(every);
        self.lua.set_global_hook(triggers, move |_, _| {
            spend(&budget, &record, every.into())?;
            Ok(VmState::Continue)
        })
    }

    /// What the prelude needs of us.
    fn natives(&self) -> mlua::Result<Table> {
        let lua = self.lua;
        let native = lua.create_table()?;
        native.raw_set("unwrap", lua.create_function(unwrap)?)?;
        native.raw_set("compile", lua.create_function(compile)?)?;
        let ours = || (Rc::clone(self.budget), Rc::clone(self.record));
        let (budget, record) = ours();
        native.raw_set(
            "find",
            lua.create_function(move |lua, given: MultiValue| {
                let spend = |steps| spend(&budget, &record, steps);
                find(lua, "find", &given, true, spend)
            })?,
        )?;
        let (budget, record) = ours();
        native.raw_set(
            "match",
            lua.create_function(move |lua, given: MultiValue| {
                let spend = |steps| spend(&budget, &record, steps);
                find(lua, "match", &given, false, spend)
            })?,
        )?;
        let (budget, record) = ours();
        native.raw_set(
            "seek",
            lua.create_function(move |lua, (text, sought, from, is_anchored, wants): Sought| {
                let spend = |steps| spend(&budget, &record, steps);
                let (text, sought, from) =
                    (text.as_bytes(), sought.as_bytes(), from.saturating_sub(1));
                let found = pattern::find(&text, &sought, from, is_anchored, spend);
                match found.map_err(|failed| raised(lua, failed))? {
                    Some(mut found) => {
                        if !wants {
                            found.captures.clear();
                        }
                        told(lua, &text, &found, true)
                    }
                    None => Ok(MultiValue::new()),
                }
            })?,
        )?;
        let most = self.budget.bounds.memory_bytes;
        let (budget, record) = ours();
        native.raw_set(
            "rep",
            lua.create_function(move |lua, given: MultiValue| {
                let text = text_argument(lua, "rep", &given, 0)?;
                let count = number_argument(lua, "rep", &given, 1)?;
                let count = if count >= 1.0 { count as usize } else { 0 };
                let bytes = text.as_bytes().len().saturating_mul(count);
                if bytes > most {
                    return Err(Error::MemoryError("not enough memory".to_owned()));
                }
                spend(&budget, &record, bytes as u64 / 64)?;
                lua.create_string(if bytes == 0 {
                    Vec::new()
                } else {
                    text.as_bytes().repeat(count)
                })
            })?,
        )?;
        let generator = Rc::new(RefCell::new(chance::Generator::default()));
        let seeded = Rc::clone(&generator);
        native.raw_set(
            "random",
            lua.create_function(move |lua, given: MultiValue| {
                random(lua, &given, generator.borrow_mut().next())
            })?,
        )?;
        native.raw_set(
            "randomseed",
            lua.create_function(move |lua, given: MultiValue| {
                let seed = number_argument(lua, "randomseed", &given, 0)?;
                *seeded.borrow_mut() = chance::Generator::seeded(seed);
                Ok(())
            })?,
        )?;
        Ok(native)
    }

    /// The table `redis`.
    fn redis<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        commands: &'env RefCell<&mut dyn Commands>,
    ) -> mlua::Result<Table>
    where
        'env: 'scope,
    {
        let lua = self.lua;
        let redis = lua.create_table()?;
        let call = move |lua: &Lua, given: MultiValue| self.command(lua, commands, &given);
        redis.raw_set(
            "call",
            scope.create_function(move |lua, given: MultiValue| match call(lua, given)? {
                Ok(value) => Ok(value),
                Err(text) => raise(Raised::Reply(text)),
            })?,
        )?;
        let call = move |lua: &Lua, given: MultiValue| self.command(lua, commands, &given);
        redis.raw_set(
            "pcall",
            scope.create_function(move |lua, given: MultiValue| match call(lua, given)? {
                Ok(value) => Ok(value),
                Err(text) => {
                    let table = convert::error(lua, &text)?;
                    table.raw_set("ignore_error_stats_update", true)?;
                    Ok(Value::Table(table))
                }
            })?,
        )?;
        redis.raw_set(
            "setresp",
            scope.create_function(move |_, given: MultiValue| {
                if given.len() != 1 {
                    return refused("redis.setresp() requires one argument.");
                }
                let protocol = match given.front().and_then(whole) {
                    Some(2) => Protocol::Two,
                    Some(3) => Protocol::Three,
                    _ => return refused("RESP version must be 2 or 3."),
                };
                commands.borrow_mut().speak(protocol);
                Ok(())
            })?,
        )?;
        for (name, function) in [
            ("sha1hex", sha1hex as fn(&Lua, MultiValue) -> mlua::Result<Value>),
            ("error_reply", error_reply),
            ("status_reply", status_reply),
            ("log", log),
            ("set_repl", set_repl),
            ("replicate_commands", |_, _| Ok(Value::Boolean(true))),
            ("breakpoint", |_, _| Ok(Value::Boolean(false))),
            ("debug", |_, _| Ok(Value::Nil)),
        ] {
            redis.raw_set(name, lua.create_function(function)?)?;
        }
        for (name, number) in [
            ("LOG_DEBUG", 0),
            ("LOG_VERBOSE", 1),
            ("LOG_NOTICE", 2),
            ("LOG_WARNING", 3),
            ("REPL_NONE", 0),
            ("REPL_AOF", 1),
            ("REPL_SLAVE", 2),
            ("REPL_REPLICA", 2),
            ("REPL_ALL", 3),
            // 7.0.15, each part in eight bits.
            ("REDIS_VERSION_NUM", 0x07_00_0f),
        ] {
            redis.raw_set(name, number)?;
        }
        redis.raw_set("REDIS_VERSION", crate::redis::REDIS_VERSION)?;
        Ok(redis)
    }

    /// Carries a command out that a script calls: its value, or its error.
    fn command(
        &self,
        lua: &Lua,
        commands: &RefCell<&mut dyn Commands>,
        given: &MultiValue,
    ) -> mlua::Result<Result<Value, Vec<u8>>> {
        if given.is_empty() {
            let text = b"ERR Please specify at least one argument for this redis lib call";
            return Ok(Err(text.to_vec()));
        }
        let arguments: Option<Vec<Vec<u8>>> = given.iter().map(argument).collect();
        let Some(arguments) = arguments else {
            let text = b"ERR Lua redis lib command arguments must be strings or integers";
            return Ok(Err(text.to_vec()));
        };
        spend(self.budget, self.record, 100)?;
        let called = commands.borrow_mut().call(&arguments, self.only_reads);
        match called {
            Ok(Ok(reply)) => match reply.strip_prefix(b"-") {
                Some(error) => Ok(Err(convert::coded(&[b"-", error].concat()))),
                None => Ok(Ok(convert::value(lua, &reply)?)),
            },
            Ok(Err(text)) => Ok(Err(convert::coded(&text))),
            Err(ended) => {
                self.record.borrow_mut().ended = Some(ended);
                raise(Raised::Ends)
            }
        }
    }
}

/// Takes what a script did off its budget, and ends it if that is used up: again at every look, so
/// that nothing in the script can catch it and go on.
fn spend(budget: &Budget, record: &RefCell<Record>, instructions: u64) -> mlua::Result<()> {
    if record.borrow().ended.is_some() {
        return raise(Raised::Ends);
    }
    budget.spend(instructions).or_else(|over| {
        record.borrow_mut().ended = Some(over.into());
        raise(Raised::Ends)
    })
}

/// An argument of a command: a text, or a number with all its digits.
fn argument(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Integer(number) => Some(convert::shortest(*number as f64).into_bytes()),
        Value::Number(number) => Some(convert::shortest(*number).into_bytes()),
        _ => None,
    }
}

/// Takes down what ends a script, and where.
fn on_error(
    record: Rc<RefCell<Record>>,
    bounds: Bounds,
) -> impl Fn(&Lua, Value) -> mlua::Result<()> {
    move |lua, raised| {
        let text = match &raised {
            Value::Error(error) => match raised_by(error) {
                Some(Raised::Ends) => return Ok(()),
                Some(Raised::Reply(text)) => text.clone(),
                Some(Raised::Text(text)) => format!("ERR {text}").into_bytes(),
                None if plain(error).as_bytes() == NO_MEMORY => {
                    record.borrow_mut().ended = Some(Ended::Over(out_of_memory(&bounds)));
                    return Ok(());
                }
                None => format!("ERR {}", plain(error)).into_bytes(),
            },
            Value::Table(table) => match table.raw_get::<Value>("err")? {
                Value::String(text) => text.as_bytes().to_vec(),
                _ => b"ERR unknown error".to_vec(),
            },
            Value::String(text) => [b"ERR ", &text.as_bytes()[..]].concat(),
            other => format!("ERR {}", other.to_string()?).into_bytes(),
        };
        record.borrow_mut().failure = Some(Failure { text, place: place(lua) });
        Ok(())
    }
}

/// `math.random`, of a number from 0 up to 1.
fn random(lua: &Lua, given: &MultiValue, chance: f64) -> mlua::Result<f64> {
    let (low, high) = match given.len() {
        0 => return Ok(chance),
        1 => (1.0, number_argument(lua, "random", given, 0)?.trunc()),
        2 => {
            let low = number_argument(lua, "random", given, 0)?.trunc();
            (low, number_argument(lua, "random", given, 1)?.trunc())
        }
        _ => return Err(lua_error(lua, "wrong number of arguments")),
    };
    if low > high {
        let at = given.len();
        let text = format!("bad argument #{at} to 'random' (interval is empty)");
        return Err(lua_error(lua, &text));
    }
    Ok((chance * (high - low + 1.0)).floor() + low)
}

/// Lua of a text, or why it is none.
fn compile(lua: &Lua, (text, name): (LuaString, LuaString)) -> mlua::Result<(Value, Value)> {
    let name = String::from_utf8_lossy(&name.as_bytes()).into_owned();
    let chunk = lua.load(text.as_bytes().to_vec()).set_name(name).set_mode(ChunkMode::Text);
    Ok(match chunk.into_function() {
        Ok(function) => (Value::Function(function), Value::Nil),
        Err(error) => (Value::Nil, Value::String(lua.create_string(syntax(&error))?)),
    })
}
