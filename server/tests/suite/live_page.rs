//! The live page in a real browser, in front of real nodes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Duration;

use crate::support::browser::{Browser, SHOWING_TIME_MAX};
use crate::support::cluster::{
    AGREEING_TIME_MAX, LEAVING_TIME_MAX, Meeting, RETURNING_TIME_MAX, named,
};
use crate::support::data::DataDirectory;
use crate::support::load::Load;
use crate::support::node::Node;
use crate::support::wait::wait_until;
use serde_json::json;

/// The Enter key, as WebDriver has it.
const ENTER: &str = "\u{e007}";

/// A page looks at its cluster once a second.
const LOOKING_TIME_MAX: Duration = Duration::from_secs(3);

fn page_of(node: &Node) -> String {
    format!("http://{}/", node.address())
}

fn value(node: &Node, name: &str) -> i64 {
    node.get(&format!("/counters/{name}")).json()["value"].as_i64().expect("a value")
}

fn add(node: &Node, name: &str, by: i64) {
    let path = format!("/counters/{name}/increment");
    assert_eq!(node.post(&path, &format!(r#"{{"by":{by}}}"#)).status, 200);
}

/// The state that the page shows of a node.
fn state(id: &str) -> String {
    format!("[data-node='{id}'] .state")
}

fn counter(name: &str, what: &str) -> String {
    format!("[data-counter='{name}'] {what}")
}

/// Opens the page, and waits until it hears of what happens.
fn open(browser: &Browser, node: &Node) {
    browser.open(&page_of(node));
    browser.wait_for("#connection", SHOWING_TIME_MAX, |text| text == "live");
    browser.wait_for("#me", SHOWING_TIME_MAX, |text| text == node.id());
}

#[track_caller]
fn expect_no_complaints(browser: &Browser) {
    assert_eq!(browser.complaints(), Vec::<String>::new(), "the console complains");
}

/// Whether red is what an element is written in.
fn is_red(browser: &Browser, selector: &str) -> bool {
    let script = format!("return getComputedStyle(document.querySelector({selector:?})).color");
    let color = browser.run(&script);
    let color = color.as_str().unwrap_or_default();
    let parts: Vec<u32> =
        color.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect();
    matches!(parts[..], [red, green, blue, ..] if red > 2 * green && red > 2 * blue)
}

#[test]
fn a_click_counts_on_all_nodes_and_what_they_count_is_shown() {
    let Some(browser) = Browser::start() else { return };
    let nodes = Meeting::by_broadcast().start_together(3, &[]);
    add(&nodes[1], "visits", 41);
    wait_until("it is here", AGREEING_TIME_MAX, || value(&nodes[0], "visits"), |v| *v == 41);
    open(&browser, &nodes[0]);
    for node in &nodes {
        browser.wait_for(&state(&node.id()), SHOWING_TIME_MAX, |text| text == "alive");
    }
    browser.wait_for(&counter("visits", ".value"), SHOWING_TIME_MAX, |text| text == "41");
    browser.click(&counter("visits", "td:last-child button"));
    browser.wait_for(&counter("visits", ".value"), SHOWING_TIME_MAX, |text| text == "42");
    for node in &nodes {
        wait_until("every node has it", AGREEING_TIME_MAX, || value(node, "visits"), |v| *v == 42);
    }

    add(&nodes[2], "visits", 958);
    add(&nodes[2], "fresh", 3);
    browser.wait_for(&counter("visits", ".value"), SHOWING_TIME_MAX, |text| text == "1,000");
    browser.wait_for(&counter("fresh", ".value"), SHOWING_TIME_MAX, |text| text == "3");

    browser.click(&counter("visits", ".opens"));
    let origins =
        browser.wait_for(".details tbody", SHOWING_TIME_MAX, |text| text.lines().count() == 3);
    for (node, added) in nodes.iter().zip(["1", "41", "958"]) {
        let is_told = |line: &str| line.contains(&node.id()) && line.contains(added);
        assert!(origins.lines().any(is_told), "{added} of {}: {origins}", node.id());
    }
    browser.write(".details input", "\u{e009}a\u{e000}-500");
    browser.press(ENTER);
    browser.wait_for(&counter("visits", ".value"), SHOWING_TIME_MAX, |text| text == "500");
    expect_no_complaints(&browser);
}

#[test]
fn a_killed_node_is_red_and_said_to_be_down_and_returns() {
    let Some(browser) = Browser::start() else { return };
    let meeting = Meeting::by_broadcast();
    let mut nodes = meeting.start_together(3, &[]);
    open(&browser, &nodes[0]);
    let of_third = state(&nodes[2].id());
    browser.wait_for(&of_third, SHOWING_TIME_MAX, |text| text == "alive");
    assert!(!is_red(&browser, &of_third));
    let load = Load::on(&[&nodes[0]]);
    let shows_a_rate = |text: &str| !["–", "0"].contains(&text);
    browser.wait_for("#tile-rate", SHOWING_TIME_MAX, shows_a_rate);
    browser.wait_for("#tile-lag", SHOWING_TIME_MAX, |text| text.ends_with("s") && text != "0 ms");

    nodes[2].kill();
    let within = LEAVING_TIME_MAX + LOOKING_TIME_MAX;
    browser.wait_for(&of_third, within, |text| text == "down");
    assert!(is_red(&browser, &of_third));
    assert_eq!(browser.text("#tile-nodes"), "2 of 3");
    let is_told = format!("peer {} is down", nodes[2].id());
    browser.wait_for("#events", SHOWING_TIME_MAX, |text| text.contains(&is_told));

    nodes[2] = meeting.start_at(nodes[2].address().port());
    browser.wait_for(&of_third, RETURNING_TIME_MAX + LOOKING_TIME_MAX, |text| text == "alive");
    assert!(!is_red(&browser, &of_third));
    assert_eq!(browser.text("#tile-nodes"), "3 of 3");
    load.stop();
    expect_no_complaints(&browser);
}

#[test]
fn a_page_that_has_lost_its_node_says_so_and_finds_it_again() {
    let Some(browser) = Browser::start() else { return };
    let meeting = Meeting::by_hand();
    let mut node = meeting.start(&[]);
    add(&node, "a", 7);
    open(&browser, &node);
    browser.wait_for(&counter("a", ".value"), SHOWING_TIME_MAX, |text| text == "7");
    node.kill();
    browser.wait_for("#connection", SHOWING_TIME_MAX, |text| text == "node lost");
    let words = format!("This page has lost its node {}", node.id());
    let said = browser.wait_for("#lost", SHOWING_TIME_MAX, |text| text.contains(&words));
    assert!(said.contains("It keeps trying"), "{said}");
    assert_eq!(browser.text(&counter("a", ".value")), "7", "what it heard last stays");

    node = meeting.start_at(node.address().port());
    browser.wait_for("#connection", SHOWING_TIME_MAX, |text| text == "live");
    assert_eq!(browser.text("#lost"), "");
    // What it kept in memory is gone with it.
    browser.wait_for("#place", SHOWING_TIME_MAX, |text| text == "no counter");
    add(&node, "b", 1);
    browser.wait_for(&counter("b", ".value"), SHOWING_TIME_MAX, |text| text == "1");
}

#[test]
fn a_search_finds_one_of_thousands_and_a_phone_scrolls_in_one_direction_only() {
    let Some(browser) = Browser::start() else { return };
    let node = Node::start(&[]);
    for part in 0..3 {
        let op = |n: i32| format!(r#"{{"op":"increment","name":"page/{n:05}","by":{n}}}"#);
        let ops: Vec<_> = (1 + 1000 * part..=1000 * (part + 1)).map(op).collect();
        let answer = node.post("/batch", &format!(r#"{{"operations":[{}]}}"#, ops.join(",")));
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let long = "a-name-that-is-long-enough-to-be-wider-than-any-phone-".repeat(4);
    add(&node, &long, 9_223_372_036_854_775_807);
    open(&browser, &node);
    let rows = || browser.run("return document.querySelectorAll('[data-counter]').length");
    wait_until("a page of rows", SHOWING_TIME_MAX, rows, |rows| *rows == 50);
    assert_eq!(browser.text(&counter(&long, ".value")), "9,223,372,036,854,775,807");

    browser.click("#next");
    browser.wait_for("#place", SHOWING_TIME_MAX, |text| text == "page 2, 50 counters");
    browser.wait_for(&counter("page/00050", ".value"), SHOWING_TIME_MAX, |text| text == "50");
    // What is on the screen is listened to, wherever it stands.
    add(&node, "page%2F00060", 1000);
    browser.wait_for(&counter("page/00060", ".value"), SHOWING_TIME_MAX, |text| text == "1,060");

    browser.write("#prefix", "page/0123");
    browser.wait_for("#place", SHOWING_TIME_MAX, |text| text == "10 counters");
    assert_eq!(browser.text(&counter("page/01234", ".value")), "1,234");
    browser.write("#prefix", "4x");
    browser.wait_for("#create", SHOWING_TIME_MAX, |text| text == "Add 1 to “page/01234x”");
    browser.click("#create");
    wait_until("it counts", AGREEING_TIME_MAX, || value(&node, "page%2F01234x"), |v| *v == 1);

    browser.write("#prefix", "\u{e009}a\u{e000}\u{e003}");
    wait_until("a page of rows", SHOWING_TIME_MAX, rows, |rows| *rows == 50);
    for (width, height) in [(390, 844), (320, 640), (1440, 1000)] {
        browser.resize(width, height, width < 500);
        let is_wider =
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.run(is_wider), 0, "{width} pixels wide");
        let small = "return [...document.querySelectorAll('#rows button:not(.opens)')].filter((b) => b.getBoundingClientRect().right > innerWidth).length";
        assert_eq!(browser.run(small), 0, "buttons beyond the edge at {width} pixels");
    }
    expect_no_complaints(&browser);
}

#[test]
fn the_first_by_value_and_by_rate_are_found_among_all_and_not_among_those_on_the_screen() {
    let Some(browser) = Browser::start() else { return };
    let node = Node::start(&[]);
    for n in 0..120 {
        add(&node, &format!("c{n:03}"), 1);
    }
    add(&node, "c118", 500);
    add(&node, "c119", 1000);
    open(&browser, &node);
    let nth = |n: usize| format!("#rows tr:nth-child({n}) .name");
    browser.wait_for(&nth(1), SHOWING_TIME_MAX, |text| text == "c000");

    browser.click("[data-sort='value']");
    browser.wait_for(&nth(1), SHOWING_TIME_MAX, |text| text == "c119");
    browser.wait_for(&nth(2), SHOWING_TIME_MAX, |text| text == "c118");
    browser.wait_for("#place", SHOWING_TIME_MAX, |text| text.contains("the first of all 120"));

    // The load is on a counter whose name comes last.
    let load = Load::on(&[&node]);
    browser.click("[data-sort='rate']");
    browser.wait_for(&nth(1), SHOWING_TIME_MAX, |text| text == "default");
    load.stop();

    browser.click("[data-sort='name']");
    browser.wait_for(&nth(1), SHOWING_TIME_MAX, |text| text == "c000");
    expect_no_complaints(&browser);
}

/// Numbers that a double does not hold, and one beyond 64 bits, which two nodes have counted.
#[test]
fn whole_numbers_of_any_size_are_shown_added_and_ordered_digit_by_digit() {
    let Some(browser) = Browser::start() else { return };
    let meeting = Meeting::by_hand();
    let nodes = [meeting.start(&[]), meeting.start(&[])];
    for node in &nodes {
        add(node, "beyond", i64::MAX);
        add(node, "below", i64::MIN);
    }
    assert_eq!(nodes[0].post("/register", &named(&nodes[1].id())).status, 200);
    let exact = || nodes[0].get("/counters/beyond").json()["exact"].clone();
    wait_until("both have it", AGREEING_TIME_MAX, exact, |exact| *exact == "18446744073709551614");
    for (name, value) in [
        ("largest", i64::MAX),
        ("next", i64::MAX - 1),
        ("odd", 9_007_199_254_740_993),
        ("even", 9_007_199_254_740_992),
        ("small", 7),
        ("smallest", i64::MIN),
    ] {
        add(&nodes[0], name, value);
    }
    open(&browser, &nodes[0]);
    let shows = |name: &str, digits: &str| {
        browser.wait_for(&counter(name, ".value"), SHOWING_TIME_MAX, |text| text == digits);
    };
    shows("beyond", "18,446,744,073,709,551,614");
    shows("below", "-18,446,744,073,709,551,616");
    shows("smallest", "-9,223,372,036,854,775,808");
    shows("odd", "9,007,199,254,740,993");

    browser.click("[data-sort='value']");
    let names = || {
        browser.run("return [...document.querySelectorAll('#rows [data-counter]')].map((row) => row.dataset.counter)")
    };
    let order = ["beyond", "largest", "next", "odd", "even", "small", "smallest", "below"];
    wait_until("all are in order", SHOWING_TIME_MAX, names, |names| *names == json!(order));
    assert_eq!(browser.text("#place"), "8 counters", "no complaint");
    browser.click("[data-sort='rate']");
    let grows = || {
        add(&nodes[0], "odd", 2);
        browser.text("#rows tr:nth-child(1) .name")
    };
    wait_until("what grows is the first by its rate", SHOWING_TIME_MAX, grows, |name| {
        name == "odd"
    });
    let odd = value(&nodes[0], "odd").to_string();
    let is_odd = |text: &str| text.replace(',', "") == odd;
    browser.wait_for(&counter("odd", ".value"), SHOWING_TIME_MAX, is_odd);
    browser.click("[data-sort='name']");

    browser.click(&counter("small", ".opens"));
    for (by, sum) in [
        ("9007199254740993", "9,007,199,254,741,000"),
        ("-9007199254740993", "7"),
        ("+9223372036854775800", "9,223,372,036,854,775,807"),
    ] {
        browser.write(".details input", &format!("\u{e009}a\u{e000}{by}"));
        browser.press(ENTER);
        shows("small", sum);
    }
    assert_eq!(value(&nodes[0], "small"), i64::MAX);
    // What is no whole number is not sent at all.
    browser.write(".details input", "\u{e009}a\u{e000}1.5");
    browser.press(ENTER);
    assert_eq!(
        browser.run("return document.querySelector('.details input').validity.valid"),
        false
    );
    browser.click(&counter("even", "td:last-child button"));
    shows("even", "9,007,199,254,740,993");
    assert_eq!(value(&nodes[0], "small"), i64::MAX);
    expect_no_complaints(&browser);
}

#[test]
fn a_counter_is_set_reset_and_deleted_on_the_page_and_leaves_the_list_when_it_ends() {
    let Some(browser) = Browser::start() else { return };
    let node = Node::start(&[]);
    for name in ["a", "b", "brief"] {
        add(&node, name, 5);
    }
    open(&browser, &node);
    let shows = |name: &str, digits: &str| {
        browser.wait_for(&counter(name, ".value"), SHOWING_TIME_MAX, |text| text == digits);
    };
    shows("a", "5");
    browser.click(&counter("a", ".opens"));
    browser.wait_for(".lifetime", SHOWING_TIME_MAX, |text| text == "Does not expire");
    browser.write(".controls form:nth-of-type(2) input", "\u{e009}a\u{e000}-7");
    browser.press(ENTER);
    shows("a", "-7");
    assert_eq!(node.post("/counters/a/expire", r#"{"ttl":"2h"}"#).status, 200);
    browser.wait_for(".lifetime", SHOWING_TIME_MAX, |text| text.starts_with("Expires in 1 h 59"));
    browser.click(".controls .reset");
    shows("a", "0");
    assert!(node.get("/counters/a").json()["ttl_ms"].is_u64(), "it keeps its lifetime");

    browser.click(".controls .delete");
    let question = browser.text("#question-text");
    assert!(question.starts_with("Delete “a”? It is 0."), "{question}");
    browser.click("#question-no");
    assert!(node.get("/counters/a").json()["exists"].is_null(), "nothing was done");
    browser.click(".controls .delete");
    browser.click("#question-yes");
    browser.wait_for("#place", SHOWING_TIME_MAX, |text| text == "2 counters");
    assert_eq!(node.get("/counters/a").json()["exists"], false);
    let focus = browser.run("return document.activeElement.id");
    assert_eq!(focus, "counters", "the keyboard goes on where the row was");

    // By another client, and by itself.
    assert_eq!(node.request("DELETE", "/counters/b", "").status, 200);
    browser.wait_for("#place", SHOWING_TIME_MAX, |text| text == "1 counter");
    assert_eq!(node.post("/counters/brief/expire", r#"{"ttl":"1s"}"#).status, 200);
    browser.wait_for("#place", SHOWING_TIME_MAX, |text| text == "no counter");
    add(&node, "a", 1);
    shows("a", "1");
    expect_no_complaints(&browser);
}

/// Which a browser takes out of a path.
#[test]
fn a_counter_named_by_a_dot_segment_leads_to_no_other_counter() {
    let Some(browser) = Browser::start() else { return };
    let data = DataDirectory::of_dot_names();
    let node = Node::start(&data.flags());
    open(&browser, &node);
    for name in [".", ".."] {
        browser.wait_for(&counter(name, ".value"), SHOWING_TIME_MAX, |text| text == "2");
        browser.click(&counter(name, "td:last-child button"));
        let words = format!("{name}: expected a counter name other than");
        browser.wait_for("#place", SHOWING_TIME_MAX, |text| text.starts_with(&words));
        browser.click(&counter(name, ".opens"));
        browser.write(".details input", "\u{e009}a\u{e000}5");
        browser.press(ENTER);
        browser.click(&counter(name, ".opens"));
    }
    let empty = Node::start(&[]);
    open(&browser, &empty);
    for name in [".", ".."] {
        browser.write("#prefix", &format!("\u{e009}a\u{e000}{name}"));
        browser.wait_for("#create", SHOWING_TIME_MAX, |text| text == format!("Add 1 to “{name}”"));
        browser.click("#create");
        let words = "expected a counter name other than";
        browser.wait_for("#place", SHOWING_TIME_MAX, |text| text.starts_with(words));
    }
    for node in [&node, &empty] {
        assert_eq!(node.count(), 0);
        assert!(node.get("/metrics").body.contains("quipu_increments_total 0\n"));
    }
    expect_no_complaints(&browser);
}

#[test]
fn the_focus_stays_where_the_work_is() {
    let Some(browser) = Browser::start() else { return };
    let node = Node::start(&[]);
    for n in 0..60 {
        add(&node, &format!("c{n:02}"), 1);
    }
    open(&browser, &node);
    browser.wait_for("#place", SHOWING_TIME_MAX, |text| text == "page 1, 50 counters");
    let focus =
        || browser.run("return document.activeElement.id || document.activeElement.innerText");
    let expect_focus = |wanted: &str| {
        wait_until("the focus goes on", SHOWING_TIME_MAX, focus, |focus| *focus == wanted);
    };
    browser.write("#prefix", "new");
    browser.wait_for("#create", SHOWING_TIME_MAX, |text| text == "Add 1 to “new”");
    browser.press("\u{e004}");
    expect_focus("create");
    browser.press(ENTER);
    browser.wait_for(&counter("new", ".value"), SHOWING_TIME_MAX, |text| text == "1");
    expect_focus("new");

    // Another client makes it first.
    browser.write("#prefix", "\u{e009}a\u{e000}other");
    browser.wait_for("#create", SHOWING_TIME_MAX, |text| text == "Add 1 to “other”");
    browser.press("\u{e004}");
    expect_focus("create");
    add(&node, "other", 1);
    expect_focus("other");

    browser.write("#prefix", "\u{e009}a\u{e000}c");
    browser.wait_for("#place", SHOWING_TIME_MAX, |text| text == "page 1, 50 counters");
    browser.click("#next");
    browser.wait_for("#place", SHOWING_TIME_MAX, |text| text == "page 2, 10 counters");
    expect_focus("previous");
    browser.press(ENTER);
    browser.wait_for("#place", SHOWING_TIME_MAX, |text| text == "page 1, 50 counters");
    expect_focus("next");
    expect_no_complaints(&browser);
}

#[test]
fn what_happens_is_told_as_a_list_within_a_log() {
    let Some(browser) = Browser::start() else { return };
    let meeting = Meeting::by_broadcast();
    let mut nodes = meeting.start_together(2, &[]);
    open(&browser, &nodes[0]);
    nodes[1].kill();
    let is_told = format!("peer {} is down", nodes[1].id());
    let within = LEAVING_TIME_MAX + SHOWING_TIME_MAX;
    browser.wait_for("[role=log] > ol > li", within, |text| text.contains(&is_told));
    // A list whose role is another one is no list to a reader of the screen.
    let lists = "return document.querySelectorAll('ol[role], ul[role], dl[role]').length";
    assert_eq!(browser.run(lists), 0);
    assert_eq!(
        browser.run("return getComputedStyle(document.querySelector('#no-events')).display"),
        "none"
    );
}

#[test]
fn operations_and_amounts_have_names_of_their_own() {
    let Some(browser) = Browser::start() else { return };
    let node = Node::start(&[]);
    open(&browser, &node);
    let words = browser.run("return document.body.innerText");
    let words = words.as_str().expect("text");
    assert!(!words.contains("Increments/s") && words.contains("Added/s"), "{words}");
    let number = |text: &str| text.replace(',', "").parse::<f64>().unwrap_or_default();
    // Ten operations of 100 each in some seconds: a hundred times as much is added as there are.
    let seen = wait_until(
        "a rate of both",
        SHOWING_TIME_MAX,
        || {
            add(&node, "c", 100);
            let note = browser.text("#tile-rate-note");
            let here = note.split_once("; here ").map_or("", |(_, here)| here);
            let operations = number(here.strip_suffix(" increments/s").unwrap_or_default());
            (number(&browser.text("#tile-rate")), operations)
        },
        |(added, operations)| *added > 0.0 && *operations > 0.0,
    );
    let each = seen.0 / seen.1;
    assert!((50.0..200.0).contains(&each), "{seen:?}");
}

#[test]
fn the_page_can_be_used_by_keyboard_and_every_control_has_a_name() {
    let Some(browser) = Browser::start() else { return };
    let node = Node::start(&[]);
    add(&node, "a", 1);
    open(&browser, &node);
    browser.wait_for(&counter("a", ".value"), SHOWING_TIME_MAX, |text| text == "1");
    let tab = "\u{e004}";
    let has_focus = |selector: &str| {
        browser.run(&format!("return document.activeElement.matches({selector:?})")) == true
    };
    // The first stop leads past everything to the counters, and from there on to a row's button.
    browser.press(tab);
    assert!(has_focus(".skip"));
    browser.press(ENTER);
    let button = "[data-counter='a'] td:last-child button";
    for _ in 0..10 {
        browser.press(tab);
        if has_focus(button) {
            break;
        }
    }
    assert!(has_focus(button));
    browser.press(ENTER);
    browser.wait_for(&counter("a", ".value"), SHOWING_TIME_MAX, |text| text == "2");
    browser.wait_for("#said", SHOWING_TIME_MAX, |_| {
        browser.run("return document.querySelector('#said').textContent") == "a is now 2"
    });
    let nameless = browser.run(
        "return [...document.querySelectorAll('button, input, a')].filter((control) => \
         !control.hidden && !(control.innerText || control.ariaLabel || control.labels?.length))\
         .map((control) => control.outerHTML)",
    );
    assert_eq!(nameless, serde_json::json!([]));
    expect_no_complaints(&browser);
}

#[test]
fn a_page_of_another_site_cannot_make_a_browser_count() {
    let Some(browser) = Browser::start() else { return };
    let node = Node::start(&[]);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            // Browsers open connections that they may never use.
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let page = "<!doctype html><title>elsewhere</title><p>Come in.</p>";
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
                let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{page}", page.len());
            });
        }
    });
    let refused = |path: &str| {
        let metrics = node.get("/metrics").body;
        let label = format!("route=\"{path}\"");
        let is_refusal = |line: &&str| line.contains(&label) && line.contains("4xx");
        let line = metrics.lines().find(is_refusal);
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    // Another site, and another port of the same one.
    for (number, host) in (1..).zip(["localhost", "127.0.0.1"]) {
        browser.open(&format!("http://{host}:{port}/"));
        browser.wait_for("p", SHOWING_TIME_MAX, |text| text == "Come in.");
        let node_url = page_of(&node);
        browser.run(&format!(
            "return fetch('{node_url}increment', {{method: 'POST', mode: 'no-cors'}}).then(() => 1)"
        ));
        assert_eq!(refused("/increment"), number, "the call has come, and was refused");
        browser.run(&format!(
            "const form = document.createElement('form'); form.method = 'post'; \
             form.action = '{node_url}counters/a/increment'; document.body.append(form); form.submit()"
        ));
        let path = "/counters/{name}/increment";
        wait_until("the form has come", SHOWING_TIME_MAX, || refused(path), |n| *n == number);
    }
    assert_eq!((node.count(), value(&node, "a")), (0, 0));
    // The same call from the node's own page.
    open(&browser, &node);
    browser.run("return fetch('/increment', {method: 'POST'}).then((answer) => answer.status)");
    assert_eq!(node.count(), 1);
}

#[test]
fn the_page_is_asked_for_anew_only_when_it_has_changed_and_loads_nothing_from_elsewhere() {
    let node = Node::start(&[]);
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/page/main.js", "text/javascript; charset=utf-8"),
        ("/page/style.css", "text/css; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
    ] {
        let answer = node.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)));
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let etag = answer.header("etag").expect("a tag").to_owned();
        let mut connection = node.connect().expect("a connection");
        let mut again = |known: &str| {
            let known = format!("If-None-Match: {known}");
            connection.request("GET", path, &[&known], "").expect("an answer")
        };
        let unchanged = again(&etag);
        assert_eq!((unchanged.status, unchanged.body.as_str()), (304, ""));
        assert_eq!(again("\"of-another-release\"").status, 200);
    }
}
