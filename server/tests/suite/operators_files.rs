//! What `deploy/` holds is true of a node that runs: every number that a rule or a panel asks for is
//! there under its name and with its labels, and the tools that read these files take them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::support::cluster::{AGREEING_TIME_MAX, Meeting, wait_until_counted};
use crate::support::data::DataDirectory;
use crate::support::node::Node;
use crate::support::resp::Client;
use crate::support::wait::{say_loudly, wait_until};
use serde_json::Value;

/// Labels that Prometheus adds when it scrapes.
const ADDED_LABELS: [&str; 2] = ["instance", "job"];

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A line of `/metrics`.
#[derive(Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

fn samples(metrics: &str) -> Vec<Sample> {
    metrics.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').expect(line);
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    Sample {
        name: name.to_owned(),
        labels: matchers(labels.trim_end_matches('}'))
            .map(|(label, _, value)| (label.to_owned(), value.to_owned()))
            .collect(),
        value: value.parse().expect(line),
    }
}

/// `label="value"` and its like, by commas: label, operator, value.
fn matchers(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    text.split("\",").filter(|part| !part.trim().is_empty()).map(|part| {
        let (head, value) = part.split_once('"').expect(part);
        let at = head.find(['=', '!']).expect(part);
        (head[..at].trim(), head[at..].trim(), value.trim_end_matches('"'))
    })
}

/// The series that an expression asks for: a name, and what stands in braces behind it.
fn selectors(expression: &str) -> Vec<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(is_part) {
        let word = &rest[start..];
        let end = word.find(|c| !is_part(c)).unwrap_or(word.len());
        let (name, behind) = word.split_at(end);
        rest = behind;
        let in_braces = behind.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        if let Some((inside, behind)) = in_braces {
            found.push((name, inside));
            rest = behind;
        } else if name.starts_with("quipu_") {
            found.push((name, ""));
        }
    }
    found
}

/// The labels by which an expression groups.
fn groups(expression: &str) -> impl Iterator<Item = &str> {
    let lists = expression.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    lists.flat_map(|list| list.split(',').map(str::trim))
}

/// What is wrong with an expression, judged by what a node shows.
fn faults(expression: &str, shown: &[Sample]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut labels: BTreeSet<&str> = ADDED_LABELS.into();
    let selectors = selectors(expression);
    if selectors.is_empty() {
        faults.push("asks for nothing".to_owned());
    }
    for (name, inside) in selectors {
        // Prometheus's own, of every target.
        if name == "up" {
            continue;
        }
        let series: Vec<&Sample> = shown.iter().filter(|sample| sample.name == name).collect();
        if series.is_empty() {
            faults.push(format!("no node shows {name}"));
        }
        labels.extend(series.iter().flat_map(|s| s.labels.iter().map(|(label, _)| label.as_str())));
        for (label, _, wanted) in matchers(inside) {
            for wanted in wanted.split('|').filter(|_| !ADDED_LABELS.contains(&label)) {
                let has = |s: &&Sample| s.labels.iter().any(|(l, v)| l == label && v == wanted);
                if !series.iter().any(has) {
                    faults.push(format!("no node shows {name} with {label} {wanted:?}"));
                }
            }
        }
    }
    let unknown = groups(expression).filter(|label| !labels.contains(label));
    faults.extend(unknown.map(|label| format!("groups by {label}, which is no label there")));
    faults
}

#[test]
fn an_expression_that_asks_for_what_no_node_shows_is_found_out() {
    let shown = samples("quipu_a_total 1\nquipu_b{reason=\"x\",peer=\"n:1\"} 2.5\nup_to 3\n");
    assert_eq!(shown[1].labels[1], ("peer".to_owned(), "n:1".to_owned()));
    let wrong = |expression| faults(expression, &shown);
    assert!(wrong("sum by (instance, peer) (rate(quipu_b{reason=~\"x\"}[5m])) > 0").is_empty());
    assert!(wrong("up{job=\"quipu\"} == 0").is_empty());
    assert_eq!(wrong("quipu_a > 1"), ["no node shows quipu_a"]);
    assert_eq!(wrong("quipu_b{reason=~\"x|y\"}"), [r#"no node shows quipu_b with reason "y""#]);
    assert_eq!(wrong("quipu_b{route=\"x\"}"), [r#"no node shows quipu_b with route "x""#]);
    assert_eq!(
        wrong("sum by (reason) (quipu_a_total)"),
        ["groups by reason, which is no label there"]
    );
    assert_eq!(wrong("1 + 1"), ["asks for nothing"]);
}

/// Two nodes that keep their data and have had clients of every kind.
fn busy_pair() -> (Vec<Node>, [DataDirectory; 2]) {
    let meeting = Meeting::by_hand();
    let kept = [DataDirectory::empty(), DataDirectory::empty()];
    let nodes: Vec<Node> = kept
        .iter()
        .map(|kept| meeting.start(&[&kept.flags()[..], &["--redis", "127.0.0.1:0"]].concat()))
        .collect();
    nodes[0].post("/register", &format!(r#"{{"id":"{}"}}"#, nodes[1].id()));
    for _ in 0..20 {
        assert_eq!(nodes[0].post("/increment", "").status, 200);
        assert_eq!(nodes[1].post("/increment", "").status, 200);
    }
    let mut redis = Client::open(nodes[0].redis());
    assert_eq!(redis.ask(&["INCR", "visits"]), ":1\\r\\n");
    wait_until_counted(&nodes.iter().collect::<Vec<_>>(), 40, AGREEING_TIME_MAX);
    (nodes, kept)
}

/// What a busy node shows once the other one has confirmed its changes over a link.
fn shown_by(node: &Node) -> (String, Vec<Sample>) {
    let total = |shown: &[Sample], name: &str| {
        shown.iter().find(|sample| sample.name == name).map_or(0.0, |sample| sample.value)
    };
    let metrics = wait_until(
        "a link stands, and a push on it was confirmed",
        Duration::from_secs(10),
        || {
            node.post("/increment", "");
            node.get("/metrics").body
        },
        |metrics| total(&samples(metrics), "quipu_confirmation_time_seconds_count") > 0.0,
    );
    let shown = samples(&metrics);
    for name in [
        "quipu_confirmation_time_seconds_sum",
        "quipu_convergence_lag_seconds_count",
        "quipu_convergence_lag_seconds_sum",
        "quipu_reply_latency_seconds_count",
        "quipu_reply_latency_seconds_sum",
        "quipu_journal_syncs_total",
        "quipu_increments_total",
    ] {
        assert!(total(&shown, name) > 0.0, "{name} in:\n{metrics}");
    }
    (metrics, shown)
}

/// Every expression in the dashboard, with the legend that names what it shows.
fn queries(json: &Value, into: &mut Vec<(String, String)>) {
    match json {
        Value::Object(fields) => {
            if let Some(Value::String(expression)) = fields.get("expr") {
                let legend = fields.get("legendFormat").or_else(|| fields.get("titleFormat"));
                let legend = legend.and_then(Value::as_str).unwrap_or_default();
                into.push((expression.clone(), legend.to_owned()));
            }
            if let Some(Value::String(definition)) = fields.get("definition") {
                into.push((definition.clone(), String::new()));
            }
            fields.values().for_each(|value| queries(value, into));
        }
        Value::Array(values) => values.iter().for_each(|value| queries(value, into)),
        _ => {}
    }
}

#[test]
fn what_the_dashboard_and_the_alerts_ask_for_is_what_a_running_node_shows() {
    let (nodes, _kept) = busy_pair();
    let (metrics, shown) = shown_by(&nodes[0]);
    let mut asked = Vec::new();
    let dashboard = read(&deploy("grafana/quipu.json"));
    queries(&serde_json::from_str(&dashboard).expect("the dashboard is JSON"), &mut asked);
    assert!(asked.len() > 30, "{} queries", asked.len());
    let rules = read(&deploy("prometheus/alerts.yml"));
    let expressions: Vec<String> = rules
        .split("expr:")
        .skip(1)
        .map(|rest| {
            let end = ["\n        for:", "\n        labels:"].map(|next| rest.find(next));
            rest[..end.into_iter().flatten().min().expect("labels stand behind")].to_owned()
        })
        .collect();
    assert_eq!(expressions.len(), rules.matches("- alert:").count());
    asked.extend(expressions.into_iter().map(|expression| (expression, String::new())));
    let mut wrong = Vec::new();
    for (expression, legend) in &asked {
        let names = legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
        // A legend may name a label that the expression keeps.
        let kept: BTreeSet<&str> = if expression.contains(" by (") || expression.starts_with("sum(")
        {
            groups(expression).collect()
        } else {
            let names: Vec<&str> =
                selectors(expression).into_iter().map(|(name, _)| name).collect();
            let of_these = shown.iter().filter(|sample| names.contains(&sample.name.as_str()));
            let labels = of_these.flat_map(|sample| sample.labels.iter().map(|(l, _)| l.as_str()));
            labels.chain(ADDED_LABELS).collect()
        };
        let mut found = faults(expression, &shown);
        let lost = names.filter(|name| !kept.contains(name));
        found.extend(lost.map(|name| format!("its legend names {name}, which it does not keep")));
        wrong.extend(found.into_iter().map(|fault| format!("{}: {fault}", expression.trim())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}\n{metrics}");
}

#[test]
fn every_alert_is_seen_to_speak_by_its_tests() {
    let tests = read(&deploy("prometheus/alerts_test.yml"));
    let rules = read(&deploy("prometheus/alerts.yml"));
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap_or_default();
        let spoken = format!("alertname=\"{name}\"");
        let is_tested = tests.contains(&spoken) || tests.contains(&format!("alertname: {name}\n"));
        assert!(is_tested, "{name}");
    }
}

/// Runs a tool that may be missing; `None`, said loudly, if it is.
fn run(tool: &str, package: &str, arguments: &[&str], input: &str) -> Option<Output> {
    let mut command = Command::new(tool);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    match command.spawn() {
        Ok(mut child) => {
            let mut stdin = child.stdin.take().expect("it was asked for");
            // A tool that does not read its input has said why it ended.
            let _ = stdin.write_all(input.as_bytes());
            drop(stdin);
            Some(child.wait_with_output().expect("a child can be waited for"))
        }
        Err(error) => {
            say_loudly(&format!(
                "SKIPPED, nothing was tested: {tool}: {error}. It comes with Debian's {package}; \
                 scripts/packages installs it"
            ));
            None
        }
    }
}

#[track_caller]
fn must_be_content(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn promtool(arguments: &[&str], input: &str) -> Option<Output> {
    run("promtool", "prometheus", arguments, input)
}

#[test]
fn prometheus_takes_the_scrape_configuration_and_the_alerts_pass_their_tests() {
    let path = |file: &str| deploy(file).to_str().expect("a path that is text").to_owned();
    for arguments in [
        ["check", "config", &path("prometheus/prometheus.yml")],
        ["check", "rules", &path("prometheus/alerts.yml")],
        ["test", "rules", &path("prometheus/alerts_test.yml")],
    ] {
        let Some(output) = promtool(&arguments, "") else { return };
        must_be_content(&output);
    }
}

#[test]
fn prometheus_finds_nothing_to_complain_of_in_what_a_node_shows() {
    let (nodes, _kept) = busy_pair();
    let (metrics, _) = shown_by(&nodes[0]);
    let Some(output) = promtool(&["check", "metrics"], &metrics) else {
        return;
    };
    must_be_content(&output);
    let Some(output) = promtool(&["check", "metrics"], "no_help_and_a_bad_name_total 1\n") else {
        return;
    };
    assert!(!output.status.success(), "the tool does complain where there is something to find");
}

#[test]
fn systemd_takes_the_unit_and_finds_little_that_it_may_do() {
    let unit = read(&deploy("systemd/quipu.service"));
    let here = unit.replace("/usr/local/bin/quipu", env!("CARGO_BIN_EXE_quipu"));
    assert_ne!(here, unit, "the unit starts the program");
    let place = DataDirectory::empty();
    let file = place.file("quipu.service");
    fs::write(&file, here).expect("a file can be written");
    let file = file.to_str().expect("a path that is text");
    for arguments in [
        &["verify", "--man=no", file][..],
        // From 0, nothing allowed, to 100.
        &["security", "--offline=true", "--threshold=20", file],
    ] {
        let Some(output) = run("systemd-analyze", "systemd", arguments, "") else { return };
        must_be_content(&output);
        assert!(!String::from_utf8_lossy(&output.stderr).contains("nknown"), "{output:?}");
    }
}
