//! A rule that was never seen to fail may check nothing.

use crate::source::Source;
use crate::{FILE_LINES_MAX, FUNCTION_LINES_MAX, LINE_COLUMNS_MAX, check, check_dead_files};

/// What the checks say of one snippet, without the question whether the file is reached.
fn findings_in(path: &str, text: &str) -> Vec<String> {
    let mut findings = check(&[Source::new(path, text)]);
    findings.retain(|finding| !finding.contains("no `mod` line"));
    findings
}

#[test]
fn each_rule_is_seen_to_fail() {
    let long_line = format!("const A: u8 = {};", "1".repeat(LINE_COLUMNS_MAX));
    let long_file = "\n".repeat(FILE_LINES_MAX + 1);
    let long_function = format!("fn long() {{{}}}", "\n".repeat(FUNCTION_LINES_MAX));
    let cases: &[(&str, &str, &str)] = &[
        ("src/a.rs", &long_line, "src/a.rs:1: 115 columns"),
        ("src/a.rs", &long_file, "src/a.rs: 601 lines"),
        ("src/a.rs", &long_function, "src/a.rs:1: fn long has 71 lines"),
        ("src/gateway/mod.rs", "\nuse std::time::{Duration, Instant};", ":2: no `Instant` here"),
        ("journal/src/writer.rs", "let at = SystemTime::now();", "take `now` as an argument"),
        ("src/feed.rs", "std::thread::spawn(|| {});", "write a stage that is polled"),
        ("src/feed.rs", "use std::thread::{self, sleep};", "return `Ok(0)`"),
        ("journal/src/reader.rs", "thread::Builder::new()", "no `thread::Builder`"),
        ("src/exchange/book.rs", "use std::collections::{BTreeMap, HashMap};", "use BTreeMap"),
        ("journal/src/open.rs", "let seen: HashSet<u64>;", "use BTreeSet"),
        ("src/exchange/risk.rs", "use std::{fmt, fs};", "effects on the world are events"),
        ("src/logic.rs", "disruptor::Producer", "effects on the world are events"),
        ("src/exchange/book.rs", "fn mid() -> f64 { 0.5 }", "count in the smallest unit"),
        ("journal/src/frame.rs", "pub price: Price,", "what they mean belongs to `record`"),
        ("src/feed.rs", "unsafe { *p }", "name the new island"),
        ("journal/tests/real_files.rs", "unsafe { *p }", "name the new island"),
        ("src/feed.rs", "todo!()", "finish it"),
        ("src/feed.rs", "fn f() { unimplemented!(\"later\") }", "finish it"),
        ("tests/a.rs", "dbg!(x);", "use an assertion"),
        ("tests/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}", ":2: no `#[ignore` here"),
        ("src/exchange/book.rs", "use crate::journaler::Journaler;", "may not see `journaler`"),
        ("src/exchange/mod.rs", "use super::pipeline::Ring;", "may not see `pipeline`"),
        ("src/exchange/book.rs", "use super::super::clock;", "may not see `clock`"),
        ("src/logic.rs", "use crate::exchange::Book;", "may not see `exchange`"),
        ("wire/src/soup.rs", "use ringframe::gateway::Session;", "may not see `gateway`"),
        ("src/feed.rs", "use crate::processor::Processor;", "only `node` may see the stage"),
        ("src/runner.rs", "super::gateway::Gateway", "only `node` may see the stage"),
        ("journal/src/lib.rs", "use ringframe::types::Price;", "may not see `types`"),
        ("loadgen/src/main.rs", "use ringframe::gateway::Gateway;", "may not see `gateway`"),
        ("loadgen/src/main.rs", "use ringframe_journal::Reader;", "uses the wire only"),
    ];
    for (path, text, says) in cases {
        let findings = findings_in(path, text);
        assert!(
            findings.iter().any(|f| f.contains(says)),
            "{text}\nshould say {says}: {findings:?}"
        );
    }
}

#[test]
fn what_is_allowed_passes() {
    let tested =
        format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\nuse std::time::Instant;\n{}", "}");
    let cases: &[(&str, &str)] = &[
        ("src/clock.rs", "use std::time::Instant;"),
        ("src/runner.rs", "std::thread::Builder::new()"),
        ("src/feed.rs", "// todo!() and HashMap\nlet text = \"unsafe Instant\"; /* dbg!() */"),
        ("src/feed.rs", "#![deny(unsafe_code)]\nuse std::time::Duration;"),
        ("src/feed.rs", &tested),
        ("tests/speed.rs", "use std::time::Instant; std::thread::spawn(f);"),
        ("src/exchange/book.rs", "use super::level::Level;\nuse crate::{logic::Logic, types};"),
        ("src/exchange/book/deep.rs", "use super::super::risk::Risk;"),
        ("src/node.rs", "use crate::{gateway::Gateway, processor::Processor};"),
        ("src/gateway/mod.rs", "use crate::gateway::session;\nuse crate::sequencer::Sequencer;"),
        ("journal/src/reader.rs", "use crate::frame::Frame;"),
        ("loadgen/src/main.rs", "use ringframe_wire::{ouch, soup};"),
    ];
    for (path, text) in cases {
        assert_eq!(findings_in(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn files_that_no_mod_line_reaches_are_found() {
    let tree = [
        ("src/lib.rs", "pub mod a;\npub(crate) mod b;"),
        ("src/a.rs", "mod deep;"),
        ("src/a/deep.rs", ""),
        ("src/b/mod.rs", "// mod gone;\n#[cfg(test)]\nmod tests;"),
        ("src/b/tests.rs", ""),
        ("src/b/gone.rs", ""),
        ("tests/alone.rs", "mod common;"),
        ("tests/common/mod.rs", ""),
        ("tests/simulation/main.rs", "mod disk;"),
        ("tests/simulation/disk.rs", ""),
        ("tests/simulation/net.rs", ""),
    ];
    let mut findings = Vec::new();
    check_dead_files(&tree.map(|(path, text)| Source::new(path, text)), &mut findings);
    let dead: Vec<&str> = findings.iter().filter_map(|f| f.split(':').next()).collect();
    assert_eq!(dead, ["src/b/gone.rs", "tests/simulation/net.rs"]);
}
