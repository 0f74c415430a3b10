//! The examples come to their end, and say what their readers are told they say: each is this very
//! program once more, which runs the example's `main` and nothing else.
#![allow(clippy::print_stdout, reason = "the examples print")]

use std::process::Command;

#[path = "../examples/ledger/main.rs"]
mod accounts;
#[path = "../examples/one_order.rs"]
mod one_order;

/// Set for the program that runs an example.
const TELLS: &str = "RINGFRAME_TELLS";

/// What a test prints that runs an example.
fn said(test: &str) -> String {
    let mut again = Command::new(std::env::current_exe().unwrap());
    let output = again.args([test, "--exact", "--nocapture"]).env(TELLS, "").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (said, complained) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{test}: {}\n{said}{complained}", output.status);
    assert!(said.contains("1 passed"), "{said}");
    said
}

#[test]
fn tell_of_one_order() {
    if std::env::var_os(TELLS).is_some() {
        one_order::main().unwrap();
    }
}

#[test]
fn one_order_is_executed_and_both_sides_hear_of_it() {
    let said = said("tell_of_one_order");
    let told = |line: &&str| line.contains(" of command 10: ");
    let told: Vec<&str> = said.lines().filter(told).collect();
    assert_eq!(told.len(), 2, "{said}");
    assert!(told[0].contains("event 9 of command 10: Ok(Accepted("), "{said}");
    assert!(told[1].contains("event 10 of command 10: Ok(Traded("), "{said}");
    assert!(told[1].contains("quantity: 30, maker_remaining: 70,"), "{said}");
}

#[test]
fn tell_of_the_ledger() {
    if std::env::var_os(TELLS).is_some() {
        accounts::main().unwrap();
    }
}

#[test]
fn the_ledger_goes_on_from_its_snapshot() {
    let said = said("tell_of_the_ledger");
    assert!(said.contains("it starts from the snapshot at command 13\n"), "{said}");
    let accounts = "\
account  version  debits (pending)  credits (pending)
      1        1    1000         0        0         0
      2        7     921         0     1000         0
      3        4       0         0      501         0
      4        2       0         0      420         0

digest of everything emitted: ";
    assert!(said.contains(accounts), "{said}");
}

#[test]
fn the_tutorial_shows_the_code_that_is_run() {
    let read = |path: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let files = ["seats", "tests", "main"].map(|it| read(&format!("examples/seats/{it}.rs")));
    let page = read("docs/TUTORIAL.md");
    let blocks: Vec<&str> = (page.split("```rust\n").skip(1))
        .map(|rest| rest.split("```").next().expect("what comes before"))
        .collect();
    assert_eq!(blocks.len(), 8, "the blocks of the page");
    for block in &blocks {
        let is_shown = files.iter().any(|file| file.contains(block));
        assert!(is_shown, "docs/TUTORIAL.md has what no file of examples/seats has:\n{block}");
    }
    // The logic is shown whole, but for what it uses.
    let (_, logic) = files[0].split_once("\n\n/// What comes in.").expect("its first type");
    for line in logic.lines() {
        let is_shown = blocks.iter().any(|block| block.contains(line));
        assert!(is_shown, "docs/TUTORIAL.md does not show this line of seats.rs: {line}");
    }
}
