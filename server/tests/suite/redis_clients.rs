//! Clients that people use, unchanged: redis-cli, redis-benchmark, redis-py, and the crate `redis`.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::node::Node;
use crate::support::wait::say_loudly;
use redis::{Commands, ProtocolVersion, RedisResult};

fn start() -> Node {
    Node::start(&["--redis", "127.0.0.1:0"])
}

/// Runs a program to its end; `None`, said loudly, where it is not installed.
fn run(program: &str, install: &str, args: &[&str]) -> Option<Output> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    match output {
        Ok(output) => Some(output),
        Err(error) => {
            say_loudly(&format!(
                "SKIPPED, nothing was tested: {program}: {error}; {install} installs it"
            ));
            None
        }
    }
}

/// What it said on standard output, given that it ended well.
#[track_caller]
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn redis_cli_counts_in_both_versions_of_the_protocol() {
    let node = start();
    let port = node.redis().port().to_string();
    for version in ["-2", "-3"] {
        let cli = |words: &[&str]| {
            let args = [&["-p", port.as_str(), version], words].concat();
            run("redis-cli", "scripts/packages", &args).map(|output| said(&output))
        };
        let Some(one) = cli(&["INCRBY", &format!("cli{version}"), "5"]) else { return };
        assert_eq!(one.trim(), "5");
        assert_eq!(cli(&["GET", "nope"]).as_deref(), Some("\n"));
        assert_eq!(cli(&["--no-raw", "GET", "nope"]).as_deref(), Some("(nil)\n"));
        let names = cli(&["--scan", "--pattern", "cli*"]).unwrap_or_default();
        assert!(names.contains(&format!("cli{version}")), "{names}");
        let refused = cli(&["APPEND", "a", "1"]).unwrap_or_default();
        assert!(refused.contains("is refused"), "{refused}");
        assert!(cli(&["INFO", "server"]).unwrap_or_default().contains("quipu_version:"));
    }
}

#[test]
fn redis_benchmark_counts_exactly() {
    let node = start();
    let port = node.redis().port().to_string();
    for pipeline in ["1", "16"] {
        let args = ["-p", &port, "-t", "incr", "-n", "4000", "-c", "10", "-P", pipeline, "-q"];
        let Some(output) = run("redis-benchmark", "scripts/packages", &args) else { return };
        let text = said(&output);
        assert!(text.contains("requests per second") && !text.contains("WARNING"), "{text}");
    }
    let name = "counter:__rand_int__";
    let value = node.get(&format!("/counters/{name}")).json()["value"].as_i64();
    assert!(value.is_some_and(|value| value >= 8000), "{value:?}");
}

#[test]
fn redis_py_counts_in_both_versions_of_the_protocol() {
    let node = start();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let python = workspace.join("target/redis-py/bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/redis_py.py");
    let port = node.redis().port().to_string();
    let args = [script.to_str().expect("text"), port.as_str()];
    let python = python.to_str().expect("text");
    let Some(output) = run(python, "scripts/redis-py", &args) else { return };
    assert_eq!(said(&output).trim(), "all as expected");
}

#[test]
fn the_crate_redis_counts_in_both_versions_of_the_protocol() -> RedisResult<()> {
    let node = start();
    for protocol in [ProtocolVersion::RESP2, ProtocolVersion::RESP3] {
        let name = format!("crate:{protocol:?}");
        let url = format!(
            "redis://{}/?protocol={}",
            node.redis(),
            match protocol {
                ProtocolVersion::RESP3 => "resp3",
                _ => "resp2",
            }
        );
        let mut redis = redis::Client::open(url)?.get_connection()?;
        assert_eq!(redis.incr::<_, _, i64>(&name, 5)?, 5);
        assert_eq!(redis.decr::<_, _, i64>(&name, 7)?, -2);
        assert_eq!(redis.get::<_, Option<i64>>("nope")?, None);
        assert_eq!(redis.mget::<_, Vec<Option<i64>>>(&[&name, "nope"])?, [Some(-2), None]);
        assert!(redis.exists::<_, bool>(&name)?);
        let names: Vec<String> = redis.scan_match("crate:*")?.collect::<RedisResult<_>>()?;
        assert!(names.contains(&name), "{names:?}");
        let (one, two): (i64, i64) =
            redis::pipe().atomic().incr(&name, 1).incr(&name, 1).query(&mut redis)?;
        assert_eq!((one, two), (-1, 0));
        let mut pipeline = redis::pipe();
        for _ in 0..100 {
            pipeline.incr(&name, 1);
        }
        let values: Vec<i64> = pipeline.query(&mut redis)?;
        assert_eq!(values, (1..=100).collect::<Vec<_>>());
        let refused = redis.append::<_, _, ()>(&name, 1).expect_err("a refusal").to_string();
        assert!(refused.contains("is refused"), "{refused}");
    }
    Ok(())
}
