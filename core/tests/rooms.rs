//! The tree's rooms: which of them may know which others.
//!
//! A room is a folder or a file at the top of a crate's `src`. The rooms of a crate stand in a row,
//! and one imports only from those before it; and no files of a crate import each other in a
//! circle. Read from the paths that begin with `crate::`, outside of comments and tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The rooms of `core`, from the ground up.
const CORE: &[&str] = &[
    // What everything is made of.
    "time",
    "name",
    "identity",
    "histogram",
    "limit",
    "chance",
    "bug",
    "fingerprint",
    "slot",
    "ending",
    "settlement",
    "membership",
    "absence",
    "condition",
    "update",
    "operation",
    "delta",
    "digest",
    "status",
    "room",
    // What is said: between nodes, by clients, to operators, and what is to be done.
    "wire",
    "query",
    "input",
    "event",
    "effect",
    "turn",
    // What a node holds, and what it does with it.
    "counters",
    "peers",
    "settling",
    "absentees",
    "storage",
    "outbox",
    "links",
    "replication",
    "node",
];

/// The rooms of `server`, from the ground up.
const SERVER: &[&str] = &[
    "count",
    "words",
    "lifetime",
    "timing",
    "metrics",
    "os",
    "dashboard",
    "transport",
    "access",
    "disk",
    "cli",
    "flags",
    "config",
    "logging",
    "inbox",
    "network",
    "start",
    "handle",
    "watch",
    "events",
    "driver",
    "redis",
    "http",
    "run",
];

/// The one room of `server` that knows what connections are made of; the others have its streams.
const TRANSPORT: &str = "transport";

/// Each module of a crate with the modules that it imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// Each module of a crate with its text; those that hold only tests are left out.
fn modules(source: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![source.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{folder:?}: {e}"));
        for path in entries.map(|entry| entry.expect("readable").path()) {
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "tests") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                files.insert(module(path.strip_prefix(source).expect("below it")), text);
            }
        }
    }
    files.remove("lib");
    files.remove("main");
    files.retain(|module, _| module != "tests" && !module.ends_with("::tests"));
    files
}

fn imports(source: &Path) -> Imports {
    let files = modules(source);
    let modules: BTreeSet<String> = files.keys().cloned().collect();
    files
        .iter()
        .map(|(module, text)| {
            let mut found = paths(text)
                .into_iter()
                .filter_map(|path| nearest(&path, &modules))
                .collect::<BTreeSet<String>>();
            // A folder's own file is one with the files in it.
            found.retain(|other| !is_within(other, module) && !is_within(module, other));
            (module.clone(), found)
        })
        .collect()
}

/// `peers/mod.rs` is `peers`, `peers/asks.rs` is `peers::asks`.
fn module(path: &Path) -> String {
    let path = path.with_extension("");
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let parts = if let [folders @ .., last] = &parts[..]
        && last == "mod"
    {
        folders
    } else {
        &parts[..]
    };
    parts.join("::")
}

fn is_within(inner: &str, outer: &str) -> bool {
    inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with("::"))
}

/// The module that a path leads into.
fn nearest(path: &[String], modules: &BTreeSet<String>) -> Option<String> {
    (1..=path.len())
        .rev()
        .map(|length| path[..length].join("::"))
        .find(|module| modules.contains(module))
}

/// A file without its comments and tests.
fn code(text: &str) -> String {
    text.lines()
        .take_while(|line| !line.starts_with("mod tests {"))
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The paths behind each `crate::`, those in braces one by one.
fn paths(text: &str) -> Vec<Vec<String>> {
    let code = code(text);
    let mut found = Vec::new();
    for (at, start) in code.match_indices("crate::") {
        let is_other =
            code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
        if !is_other {
            tree(&code[at + start.len()..], &mut Vec::new(), &mut found);
        }
    }
    found
}

/// Reads one path, or several in braces, and answers how long it is.
fn tree(code: &str, above: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let depth = above.len();
    let mut at = 0;
    loop {
        let rest = &code[at..];
        if let Some(braced) = rest.strip_prefix('{') {
            at += 1;
            let mut inside = braced;
            while !inside.starts_with('}') {
                let skipped = inside.len() - inside.trim_start_matches([' ', '\n', ',']).len();
                at += skipped;
                inside = &inside[skipped..];
                if inside.starts_with('}') || inside.is_empty() {
                    break;
                }
                let length = tree(inside, above, found).max(1);
                at += length;
                inside = &inside[length..];
            }
            at += 1;
            break;
        }
        let length = rest.find(|letter| !is_name(letter)).unwrap_or(rest.len());
        if length > 0 {
            above.push(rest[..length].to_owned());
        }
        at += length;
        if code[at..].starts_with("::") {
            at += 2;
        } else {
            found.push(above.clone());
            break;
        }
    }
    above.truncate(depth);
    at
}

fn room(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

/// What is wrong: rooms that are not in the row, and arrows that lead up in it.
fn upward(imports: &Imports, rooms: &[&str]) -> Vec<String> {
    let floor = |module: &str| rooms.iter().position(|known| *known == room(module));
    let mut wrong = Vec::new();
    for (module, others) in imports {
        if floor(module).is_none() {
            wrong.push(format!("{module} is in no room of the row"));
            continue;
        }
        for other in others.iter().filter(|other| room(other) != room(module)) {
            if floor(other) >= floor(module) {
                wrong.push(format!("{module} imports {other}, which stands above it"));
            }
        }
    }
    wrong
}

/// Modules that reach themselves.
fn circle(imports: &Imports) -> Vec<String> {
    let reached = |from: &String| {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&String> = imports[from].iter().collect();
        while let Some(module) = next.pop() {
            if reached.insert(module) {
                next.extend(imports.get(module).into_iter().flatten());
            }
        }
        reached
    };
    imports.keys().filter(|module| reached(module).contains(module)).cloned().collect()
}

/// The names of TCP's sockets, and of the parts of such, that a file speaks of.
fn sockets_of_tcp(text: &str) -> Vec<&'static str> {
    const NAMES: [&str; 4] = ["TcpStream", "TcpListener", "TcpSocket", "net::tcp"];
    let code = code(text);
    NAMES.into_iter().filter(|name| code.contains(name)).collect()
}

fn check(source: &str, rooms: &[&str]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(source);
    let imports = imports(&source);
    assert!(imports.len() > rooms.len(), "hardly anything found in {source:?}");
    assert_eq!(circle(&imports), [""; 0], "these import each other in a circle");
    assert_eq!(upward(&imports, rooms), [""; 0], "expected arrows that lead down only");
    let used: BTreeSet<&str> = imports.keys().map(|module| room(module)).collect();
    let gone: Vec<_> = rooms.iter().filter(|room| !used.contains(**room)).collect();
    assert!(gone.is_empty(), "the row names rooms that are not there: {gone:?}");
}

#[test]
fn the_rooms_of_core_import_downwards_only() {
    check("core/src", CORE);
}

#[test]
fn the_rooms_of_the_server_import_downwards_only() {
    check("server/src", SERVER);
}

#[test]
fn no_room_of_the_server_but_transport_knows_what_a_connection_is_made_of() {
    let modules = modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/src"));
    let (transport, others): (Vec<_>, Vec<_>) =
        modules.iter().partition(|(module, _)| room(module) == TRANSPORT);
    let known = |(_, text): &(&String, &String)| !sockets_of_tcp(text).is_empty();
    assert!(transport.iter().any(known), "{TRANSPORT} knows no socket");
    let found: Vec<&String> = others.into_iter().filter(known).map(|(module, _)| module).collect();
    assert_eq!(found, [""; 0], "expected streams of {TRANSPORT}, found sockets of TCP");
}

/// Where the node asks for itself, which is judged nowhere.
const OWN: &str = "access::own";

/// Those who may, since they ask on behalf of callers that were judged.
const ASK_FOR_THE_NODE: [&str; 1] = ["watch::hub"];

#[test]
fn no_front_end_asks_in_the_name_of_the_node() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/src");
    let (modules, imports) = (modules(&source), imports(&source));
    let asks =
        |module: &&String| imports[*module].contains(OWN) || code(&modules[*module]).contains(OWN);
    let found: Vec<&String> = modules.keys().filter(asks).collect();
    assert_eq!(found, ASK_FOR_THE_NODE, "expected a caller, found the node's own questions");
}

#[test]
fn sockets_are_found_in_code_and_nowhere_else() {
    let found = sockets_of_tcp("use tokio::net::tcp::ReadHalf;\nfn f(s: &TcpStream) {}");
    assert_eq!(found, ["TcpStream", "net::tcp"]);
    let passed_over = "// TcpStream\nmod tests {\nuse std::net::TcpListener;";
    assert_eq!(sockets_of_tcp(passed_over), [""; 0]);
}

#[test]
fn a_circle_and_an_arrow_upwards_are_found() {
    let to = |others: &[&str]| others.iter().map(|other| (*other).to_owned()).collect();
    let imports = Imports::from([
        ("a".to_owned(), to(&["b::inner"])),
        ("b::inner".to_owned(), to(&["c"])),
        ("c".to_owned(), to(&["a"])),
        ("d".to_owned(), to(&["a"])),
    ]);
    assert_eq!(circle(&imports), ["a", "b::inner", "c"]);
    let wrong = upward(&imports, &["c", "b", "a"]);
    assert_eq!(wrong, ["c imports a, which stands above it", "d is in no room of the row"]);
}

#[test]
fn paths_are_read_in_every_spelling() {
    let text = "use crate::a::{self, b::{C, d}, E};\n// use crate::no;\npub use crate::f;\n\
                let x = crate::g::h(quipu_crate::i);\nmod tests {\nuse crate::no;";
    let found: Vec<String> = paths(text).iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["a::self", "a::b::C", "a::b::d", "a::E", "f", "g::h"]);
}
