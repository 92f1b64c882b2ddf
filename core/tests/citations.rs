//! Every rule that is cited is told in `docs/protocol.md`, and every rule that is told there names
//! tests that are there.
//!
//! What is looked for is a word, "rule", before a name in backticks, and the same word before a
//! number, which would lead nowhere. Comments are read as text, over the ends of their lines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where the protocol is told, from the root of the tree.
const PAGE: &str = "docs/protocol.md";

/// Folders of what may cite it.
const FOLDERS: [&str; 6] = ["core", "server", "sim", "xtask", "scripts", "docs"];

/// Folders in which nothing is written by hand.
const SKIPPED: [&str; 3] = ["target", "corpus", "fixtures"];

/// Kinds of files that may.
const KINDS: [&str; 4] = ["rs", "md", "py", "toml"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file that may cite a rule, by its path from the root, with its text.
fn sources() -> BTreeMap<String, String> {
    let root = root();
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|folder| root.join(folder)).collect();
    let top = std::fs::read_dir(&root).expect("the root of the tree");
    let mut files: Vec<PathBuf> = top.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| path.is_file());
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{folder:?}: {e}"));
        for path in entries.map(|entry| entry.expect("readable").path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !path.is_dir() {
                files.push(path);
            } else if !SKIPPED.contains(&name.as_str()) {
                folders.push(path);
            }
        }
    }
    for path in files {
        if path.extension().is_some_and(|kind| KINDS.iter().any(|known| kind == *known)) {
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
            let from_root = path.strip_prefix(&root).expect("it is below the root");
            found.insert(from_root.to_string_lossy().into_owned(), text);
        }
    }
    found
}

/// The words of a file, those of a comment without what makes it one.
fn words(text: &str) -> Vec<&str> {
    text.lines().flat_map(|line| unmarked(line).split_whitespace()).collect()
}

fn unmarked(line: &str) -> &str {
    let line = line.trim_start();
    ["//!", "///", "//", "#"].iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line)
}

/// Whether a word is "rule" or "rules", whatever stands before it.
fn is_rule(word: &str) -> bool {
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric()).to_ascii_lowercase();
    word == "rule" || word == "rules"
}

/// The name in backticks that a word is, and whether the list of names goes on behind it.
fn name_of(word: &str) -> Option<(&str, bool)> {
    let (name, behind) = word.strip_prefix('`')?.split_once('`')?;
    let is_name = |c: char| c.is_ascii_lowercase() || c == '-';
    (name.contains('-') && name.chars().all(is_name)).then_some((name, behind.starts_with(',')))
}

/// The rules that a text cites, by their names, and what it cites by a number.
fn citations(text: &str) -> (Vec<&str>, Vec<String>) {
    let (mut names, mut numbers) = (Vec::new(), Vec::new());
    let words = words(text);
    for (at, _) in words.iter().enumerate().filter(|(_, word)| is_rule(word)) {
        let mut list = words[at + 1..].iter();
        while let Some(word) = list.next() {
            if word.starts_with(|c: char| c.is_ascii_digit()) {
                numbers.push(format!("{} {word}", words[at]));
            }
            let Some((name, goes_on)) = name_of(word) else { break };
            names.push(name);
            let joined = list.clone().next().is_some_and(|word| ["and", "or"].contains(word));
            if joined {
                list.next();
            } else if !goes_on {
                break;
            }
        }
    }
    (names, numbers)
}

/// A rule's section: its name, and the text up to the next heading.
fn rules(page: &str) -> BTreeMap<&str, &str> {
    let (_, rules) = page.split_once("\n# The rules\n").expect("a part that holds the rules");
    let (rules, _) = rules.split_once("\n# ").expect("a part behind the rules");
    let sections = rules.split("\n### ").skip(1);
    sections
        .map(|section| {
            let (name, text) = section.split_once('\n').expect("a text behind its heading");
            (name, text.split("\n## ").next().unwrap_or(text))
        })
        .collect()
}

/// The tests that a section names, each with the file in which it says that they are.
fn tests_of(section: &str) -> Vec<(&str, &str)> {
    let Some((_, paragraph)) = section.split_once("\nTests: ") else { return Vec::new() };
    let paragraph = paragraph.split("\n\n").next().unwrap_or(paragraph);
    let mut file = "";
    let mut tests = Vec::new();
    for quoted in paragraph.split('`').skip(1).step_by(2) {
        if quoted.ends_with(".rs") {
            file = quoted;
        } else {
            tests.push((file, quoted));
        }
    }
    tests
}

fn defines(text: &str, test: &str) -> bool {
    text.contains(&format!("fn {test}("))
}

#[test]
fn every_rule_that_is_cited_is_told() {
    let sources = sources();
    let rules = rules(&sources[PAGE]);
    let mut unknown = BTreeSet::new();
    let mut cited = 0;
    for (path, text) in &sources {
        let (names, _) = citations(text);
        cited += names.len();
        let not_told = names.into_iter().filter(|name| !rules.contains_key(name));
        unknown.extend(not_told.map(|name| format!("{path}: rule `{name}`")));
    }
    assert!(cited > 100, "only {cited} citations are found: are they written in another way?");
    assert!(unknown.is_empty(), "expected rules of {PAGE}, found {unknown:#?}");
}

#[test]
fn no_rule_is_cited_by_a_number() {
    let mut found = Vec::new();
    for (path, text) in &sources() {
        let (_, numbers) = citations(text);
        found.extend(numbers.into_iter().map(|number| format!("{path}: {number}")));
        let named = (0..10).filter(|digit| text.contains(&format!("rule_{digit}")));
        found.extend(named.map(|digit| format!("{path}: a name that begins with rule_{digit}")));
    }
    assert!(found.is_empty(), "expected names of rules, found {found:#?}");
}

#[test]
fn every_rule_names_tests_that_are_there() {
    let sources = sources();
    let rules = rules(&sources[PAGE]);
    assert!(rules.len() >= 30, "only {} rules are found", rules.len());
    let mut missing = Vec::new();
    for (rule, section) in &rules {
        let tests = tests_of(section);
        if tests.is_empty() {
            missing.push(format!("{rule}: expected a paragraph that begins with \"Tests: \""));
        }
        for (file, test) in tests {
            if sources.get(file).is_some_and(|text| defines(text, test)) {
                continue;
            }
            let holders = sources.iter().filter(|(_, text)| defines(text, test));
            let holders: Vec<&String> = holders.map(|(path, _)| path).collect();
            missing.push(format!("{rule}: expected {test} in {file}, found it in {holders:?}"));
        }
    }
    assert!(missing.is_empty(), "in {PAGE}: {missing:#?}");
}

#[test]
fn every_rule_says_what_goes_wrong_without_it() {
    let sources = sources();
    for (rule, section) in rules(&sources[PAGE]) {
        assert!(section.contains("\n*Without it:* "), "{rule}: expected \"*Without it:*\"");
    }
}

#[test]
fn a_citation_is_found_over_the_end_of_a_comments_line_and_in_a_list() {
    // Not written out, since this file is looked at as well.
    let rule = "rule";
    let text = format!(
        "//! It waits ({rule}\n//! `a-b`), and by {rule}s `c-d`,\n    /// `e-f` and `g-h`: `i-j`."
    );
    assert_eq!(citations(&text), (vec!["a-b", "c-d", "e-f", "g-h"], vec![]));
    for (text, found) in [
        (format!("({rule}\n// {}'s trace)", 6), format!("({rule} {}'s", 6)),
        (format!("{rule}s {} to {}", 1, 5), format!("{rule}s {}", 1)),
    ] {
        assert_eq!(citations(&text), (vec![], vec![found]));
    }
    assert_eq!(citations("a rule of thumb, `not-one`; a ruler `nor-this`"), (vec![], vec![]));
}
