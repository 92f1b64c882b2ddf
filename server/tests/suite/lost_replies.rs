//! What clients do when a reply is lost: whether they send again by themselves, so that one increment
//! is counted twice, and what prevents it. `docs/clients.md` says so; here its snippets are run, and
//! its table is held against what happens.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::browser::Browser;
use crate::support::lossy::{Loss, LossyProxy};
use crate::support::node::{Node, PROGRAM};
use crate::support::wait::say_loudly;
use redis::{Commands, RedisResult};

/// The page, of which the table and the snippets are tried.
const PAGE: &str = include_str!("../../../docs/clients.md");

/// What ends a line that prevents a second count.
const SETTING: &str = "the setting";

/// Where a client that is not installed is a failure: set by `scripts/test-clients`.
const NEEDED: &str = "QUIPU_CLIENTS_NEEDED";

/// A node behind two proxies, which lose the first reply to an increment of `visits`.
struct Trial {
    node: Node,
    redis: LossyProxy,
    http: LossyProxy,
}

impl Trial {
    fn begin(loss: Loss) -> Trial {
        let node = Node::start(&["--redis", "127.0.0.1:0"]);
        let redis = LossyProxy::before(node.redis(), "incr", loss);
        let http = LossyProxy::before(node.address(), "POST /counters/visits/increment", loss);
        Trial { node, redis, http }
    }

    /// A program as the page has it, sent to the proxies.
    fn addressed(&self, program: &str) -> String {
        let port = |proxy: &LossyProxy| proxy.address().port().to_string();
        program.replace("6380", &port(&self.redis)).replace("8088", &port(&self.http))
    }

    /// How often one increment was counted.
    #[track_caller]
    fn counted(self, said: &str) -> &'static str {
        assert!(self.redis.lost() + self.http.lost() > 0, "no reply was lost: {said}");
        match self.node.value("visits") {
            1 => "once",
            2 => "twice",
            value => panic!("one increment was counted {value} times: {said}"),
        }
    }
}

/// A line of the page's table.
struct Row {
    ended: &'static str,
    silent: &'static str,
    with_the_setting: &'static str,
}

/// The cells of each line of the table.
fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    let lines = PAGE.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let rows = lines.take_while(|line| line.starts_with('|'));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

/// What the page says of a client.
#[track_caller]
fn row(client: &str) -> Row {
    let found: Vec<_> = rows().filter(|cells| cells[0] == client).collect();
    let [cells] = &found[..] else { panic!("expected one line on {client}, found {found:?}") };
    Row { ended: cells[2], silent: cells[3], with_the_setting: cells[4] }
}

/// The snippet behind a heading.
#[track_caller]
fn snippet(heading: &str) -> String {
    let (_, section) = PAGE
        .split_once(&format!("\n### {heading}\n"))
        .unwrap_or_else(|| panic!("no section on {heading}"));
    let section = section.split("\n### ").next().unwrap_or_default();
    let code = section.split("```").nth(1).unwrap_or_else(|| panic!("no snippet on {heading}"));
    code.split_once('\n').expect("a language, and code").1.to_owned()
}

/// Without the lines that prevent a second count.
fn as_installed(snippet: &str) -> String {
    let is_setting = |line: &&str| {
        line.trim_end_matches('`').trim_end_matches(" \\").trim_end_matches('`').ends_with(SETTING)
    };
    snippet.lines().filter(|line| !is_setting(line)).map(|line| format!("{line}\n")).collect()
}

/// How a program of a language is run.
struct Language {
    extension: &'static str,
    /// Succeeds where the client is installed.
    probe: &'static str,
    /// Runs the program `$1`, of which `$1.out` may be made, with the arguments behind it.
    run: &'static str,
}

const C: Language = Language {
    extension: "c",
    probe: "echo '#include <hiredis/hiredis.h>' | ${CC:-cc} -E -x c -",
    run: "${CC:-cc} -Wall -Wextra -Werror -o \"$1.out\" \"$1\" -lhiredis && exec \"$1.out\"",
};
const GO: Language = Language {
    extension: "go",
    // Debian's packages of Go are sources under one GOPATH.
    probe: "GO111MODULE=off GOPATH=/usr/share/gocode go list github.com/gomodule/redigo/redis",
    run: "GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=\"$TARGET/clients/go\" go build -o \"$1.out\" \"$1\" &&
          shift && exec \"$0.out\" \"$@\"",
};
const NODE: Language = Language {
    extension: "js",
    probe: "NODE_PATH=/usr/share/nodejs node -e 'require(\"redis\"), fetch'",
    run: "NODE_PATH=/usr/share/nodejs exec node \"$@\"",
};
const RUBY: Language =
    Language { extension: "rb", probe: "ruby -e 'require \"redis\"'", run: "exec ruby \"$1\"" };
const PHP: Language = Language {
    extension: "php",
    probe: "php -r 'exit(class_exists(\"Redis\") ? 0 : 1);'",
    run: "exec php \"$1\"",
};
const PERL: Language =
    Language { extension: "pl", probe: "perl -MRedis -e 1", run: "exec perl \"$1\"" };
const REDIS_PY: Language = Language {
    extension: "py",
    probe: "\"$TARGET/redis-py/bin/python\" -c 'import redis'",
    run: "exec \"$TARGET/redis-py/bin/python\" \"$1\"",
};
const PYTHON: Language =
    Language { extension: "py", probe: "python3 -c 'import requests'", run: "exec python3 \"$@\"" };
const CURL: Language = Language { extension: "sh", probe: "curl --version", run: "exec sh \"$1\"" };
const WGET: Language = Language { extension: "sh", probe: "wget --version", run: "exec sh \"$1\"" };

/// A shell command in the workspace, with `$0` and `$1` the first argument.
fn shell(command: &str, arguments: &[&str]) -> Command {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).args(arguments.first()).args(arguments);
    shell.env("TARGET", workspace.join("target")).stdin(Stdio::null());
    shell
}

impl Language {
    /// Whether programs can be run; said loudly where not.
    #[track_caller]
    fn is_installed(&self, client: &str) -> bool {
        let probed = shell(self.probe, &[]).output().expect("a shell");
        if probed.status.success() {
            return true;
        }
        assert!(std::env::var_os(NEEDED).is_none(), "{client} is not installed: {probed:?}");
        say_loudly(&format!(
            "SKIPPED, nothing was tested: {client} is not installed; scripts/test-clients installs it"
        ));
        false
    }

    /// Runs a program to its end; what it said.
    #[track_caller]
    fn run(&self, program: &str, arguments: &[&str], called: &str) -> String {
        let called = called.replace([' ', '/', ','], "-");
        let scratch = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let file = scratch.join(format!("lost-reply-{called}.{}", self.extension));
        fs::write(&file, program).expect("a file can be written");
        let file = file.to_str().expect("a path of UTF-8");
        let output = shell(self.run, &[&[file], arguments].concat()).output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}\n{output:?}");
        said
    }
}

/// Runs a snippet of the page as it stands, and without its setting.
#[track_caller]
fn try_snippet(client: &str, heading: &str, language: &Language) {
    if !language.is_installed(client) {
        return;
    }
    let (shown, page) = (snippet(heading), row(client));
    let installed = as_installed(&shown);
    for (loss, expected) in [(Loss::Ends, page.ended), (Loss::FallsSilent, page.silent)] {
        let trial = Trial::begin(loss);
        let said = language.run(&trial.addressed(&installed), &[], &format!("{client}-{loss:?}"));
        let is_unsure = said.contains("not known");
        let counted = trial.counted(&said);
        assert_eq!(counted, expected, "{client}, the connection {loss:?}: {said}");
        assert!(is_unsure || counted == "twice", "{client} reports no error: {said}");
        if installed == shown {
            assert_eq!(page.with_the_setting, "", "there is no setting of {client}");
            continue;
        }
        let trial = Trial::begin(loss);
        let said = language.run(&trial.addressed(&shown), &[], &format!("{client}-{loss:?}-set"));
        assert!(said.contains("not known"), "{client} with the setting reports no error: {said}");
        let counted = trial.counted(&said);
        assert_eq!(counted, page.with_the_setting, "{client} with the setting: {said}");
    }
}

/// Tries what has no snippet on the page.
#[track_caller]
fn try_other(client: &str, mut attempt: impl FnMut(&Trial) -> String) {
    let page = row(client);
    for (loss, expected) in [(Loss::Ends, page.ended), (Loss::FallsSilent, page.silent)] {
        let trial = Trial::begin(loss);
        let said = attempt(&trial);
        assert_eq!(trial.counted(&said), expected, "{client}, the connection {loss:?}: {said}");
    }
    assert_eq!(page.with_the_setting, "", "{client} has no snippet with a setting");
}

fn port(proxy: &LossyProxy) -> String {
    proxy.address().port().to_string()
}

#[test]
fn python_redis_py_does_as_the_page_says() {
    try_snippet("redis-py", "redis-py", &REDIS_PY);
}

/// A pipeline and a transaction are sent again as a whole, and not with the setting.
#[test]
fn python_redis_py_does_the_same_with_pipelines() {
    if !REDIS_PY.is_installed("redis-py") {
        return;
    }
    let single = "quipu.incr(\"visits\")";
    let shown = snippet("redis-py");
    assert!(shown.contains(single), "{shown}");
    for of in ["transaction=False", "transaction=True"] {
        let program =
            shown.replace(single, &format!("quipu.pipeline({of}).incr(\"visits\").execute()"));
        for (program, expected) in [(as_installed(&program), "twice"), (program.clone(), "once")] {
            let trial = Trial::begin(Loss::Ends);
            let called = format!("redis-py-pipeline-{of}-{expected}");
            let said = REDIS_PY.run(&trial.addressed(&program), &[], &called);
            assert_eq!(trial.counted(&said), expected, "{of}: {said}");
        }
    }
}

#[test]
fn c_hiredis_does_as_the_page_says() {
    try_snippet("hiredis", "hiredis", &C);
}

#[test]
fn go_redigo_does_as_the_page_says() {
    try_snippet("redigo", "redigo", &GO);
}

#[test]
fn node_redis_does_as_the_page_says() {
    try_snippet("node-redis", "node-redis", &NODE);
}

#[test]
fn ruby_redis_rb_does_as_the_page_says() {
    try_snippet("redis-rb", "redis-rb", &RUBY);
}

#[test]
fn php_phpredis_does_as_the_page_says() {
    try_snippet("phpredis", "phpredis", &PHP);
}

#[test]
fn perl_redis_does_as_the_page_says() {
    try_snippet("Redis.pm", "Redis.pm", &PERL);
}

fn with_the_crate(url: &str) -> RedisResult<String> {
    let client = redis::Client::open(url)?;
    let mut quipu = client.get_connection()?;
    quipu.set_read_timeout(Some(Duration::from_secs(1)))?;
    let before: Option<i64> = quipu.get("visits")?;
    let counted = quipu.incr::<_, _, i64>("visits", 1);
    match counted {
        Ok(value) => Ok(format!("counted: {value}, before: {before:?}")),
        Err(error) => Ok(format!("not known: {error}")),
    }
}

#[test]
fn the_crate_redis_does_as_the_page_says() {
    let url = "\"redis://127.0.0.1:6380\"";
    let source = include_str!("lost_replies.rs");
    for line in snippet("The crate redis").lines() {
        let line = line.replace(url, "url");
        assert!(
            source.contains(&format!("    {line}\n")),
            "the page shows what is not tried: {line}"
        );
    }
    try_other("the crate redis", |trial| {
        with_the_crate(&format!("redis://{}", trial.redis.address())).expect("a connection")
    });
}

#[test]
fn curl_does_as_the_page_says() {
    if !CURL.is_installed("curl") {
        return;
    }
    for flags in ["", " --retry 2", " --retry 2 --retry-all-errors"] {
        try_other(&format!("curl{flags}"), |trial| {
            let program = format!(
                "curl --silent --max-time 1{flags} --request POST \
                 http://127.0.0.1:8088/counters/visits/increment || true"
            );
            CURL.run(&trial.addressed(&program), &[], &format!("curl{flags}"))
        });
    }
    try_snippet("curl, on a connection used before", "curl", &CURL);
}

#[test]
fn wget_does_as_the_page_says() {
    try_snippet("wget", "wget", &WGET);
}

#[test]
fn python_requests_does_as_the_page_says() {
    try_snippet("requests", "requests", &PYTHON);
    if PYTHON.is_installed("requests") {
        let program = include_str!("../clients/lost-reply/every-method.py");
        try_other("requests, retrying every method", |trial| {
            PYTHON.run(program, &[&port(&trial.http)], "every-method")
        });
    }
}

#[test]
fn go_net_http_does_as_the_page_says() {
    if !GO.is_installed("Go") {
        return;
    }
    let program = include_str!("../clients/lost-reply/net-http.go");
    try_other("Go net/http", |trial| GO.run(program, &[&port(&trial.http)], "net-http"));
    try_other("Go net/http, with an Idempotency-Key", |trial| {
        GO.run(program, &[&port(&trial.http), "a-key"], "net-http-with-key")
    });
}

#[test]
fn node_fetch_does_as_the_page_says() {
    if NODE.is_installed("Node") {
        let program = include_str!("../clients/lost-reply/fetch.js");
        try_other("Node fetch", |trial| NODE.run(program, &[&port(&trial.http)], "fetch"));
    }
}

#[test]
fn chromium_does_as_the_page_says() {
    let Some(browser) = Browser::start() else { return };
    try_other("Chromium", |trial| {
        browser.open(&format!("http://{}/health", trial.http.address()));
        let said = browser.run(
            "return fetch('/count').then((before) => before.text()).then(() => \
             fetch('/counters/visits/increment', { method: 'POST', signal: AbortSignal.timeout(1000) }))\
             .then((answer) => answer.text(), (error) => 'not known: ' + error)",
        );
        said.to_string()
    });
}

#[test]
fn the_program_itself_does_as_the_page_says() {
    try_other("quipu add", |trial| {
        let node = trial.http.address().to_string();
        let output = Command::new(PROGRAM)
            .args(["add", "visits", "1", "--node", &node])
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .expect("the program can be started");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        format!("{output:?}")
    });
}

/// A line that no test looks for would be believed untried.
#[test]
fn every_line_of_the_table_is_tried() {
    let source = include_str!("lost_replies.rs");
    for cells in rows() {
        let [client, _, "once" | "twice", "once" | "twice", "" | "once"] = cells[..] else {
            panic!("expected a client, a version, and how often, found {cells:?}");
        };
        let is_tried = source.contains(&format!("(\"{client}\"")) || client.starts_with("curl");
        assert!(is_tried, "{client} is on the page and not tried");
    }
    assert!(rows().count() >= 20, "the table is not found");
}
