//! `loadgen report` and `loadgen compare` as commands: what they write, say, and exit with.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::sample::{self, Shape};

fn loadgen(home: &Path, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_loadgen");
    Command::new(program).current_dir(home).args(arguments).output().expect("the program runs")
}

fn save(directory: &Path, median_ns: f64, seed: u64) {
    let run = sample::run("a run", Shape { median_ns, stall: None, wrong: None, seed });
    fs::create_dir_all(directory).expect("a directory");
    fs::write(directory.join("summary.json"), serde_json::to_string(&run).expect("plain data"))
        .expect("a file");
}

fn assert_says(output: &Output, code: i32, text: &str) {
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.code() == Some(code) && said.contains(text), "{}: {said}", output.status);
}

#[test]
fn a_report_goes_beside_its_run_or_where_it_is_told() {
    let home = tempfile::tempdir().expect("a directory");
    save(&home.path().join("one"), 9_400.0, 1);
    assert_says(&loadgen(home.path(), &["report", "one"]), 0, "wrote one/report.html");
    let page = fs::read_to_string(home.path().join("one/report.html")).expect("written");
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("a run"));
    let told = ["report", "one/summary.json", "--out", "told.html"];
    assert_says(&loadgen(home.path(), &told), 0, "wrote told.html");
    assert_eq!(fs::read_to_string(home.path().join("told.html")).expect("written"), page);
    let nowhere = ["report", "one", "--out", "nowhere/told.html"];
    assert_says(&loadgen(home.path(), &nowhere), 3, "cannot write nowhere/told.html");
}

#[test]
fn a_comparison_answers_with_its_exit_code() {
    let home = tempfile::tempdir().expect("a directory");
    for seed in 1..=5 {
        let noise = 1.0 + seed as f64 / 1_000.0;
        save(&home.path().join(format!("before/{seed}")), 9_400.0 * noise, seed);
        save(&home.path().join(format!("after/{seed}")), 11_500.0 * noise, seed + 9);
    }
    let worse = loadgen(home.path(), &["compare", "before", "after", "--out", "page.html"]);
    assert_says(&worse, 1, "after is worse than before");
    assert!(home.path().join("page.html").is_file());
    let bound = ["compare", "before", "after", "--bound", "50%"];
    assert_says(&loadgen(home.path(), &bound), 0, "No regression of after past 50 % of before");
    let better = loadgen(home.path(), &["compare", "after", "before"]);
    assert_says(&better, 0, "Better: p50");
    let one = loadgen(home.path(), &["compare", "before/1", "after/1"]);
    assert_says(&one, 0, "Too few runs to tell");
}

#[test]
fn files_that_hold_no_results_are_named_with_advice() {
    let home = tempfile::tempdir().expect("a directory");
    let bad = |name: &str, text: &str, expected: &str| {
        fs::write(home.path().join(name), text).expect("a file");
        assert_says(&loadgen(home.path(), &["report", name]), 2, expected);
    };
    bad("other.json", "{\"name\": 1}", "other.json holds no results of a run: missing field");
    bad("torn.json", "{\"format\": 1, \"tit", "torn.json holds no results");
    bad("binary.json", "\u{0}\u{1}", "binary.json holds no results");
    bad("newer.json", "{\"format\": 99}", "newer.json has format 99, and this loadgen knows");
    fs::create_dir(home.path().join("empty")).expect("a directory");
    assert_says(&loadgen(home.path(), &["report", "empty"]), 2, "empty holds no summary.json");
    assert_says(&loadgen(home.path(), &["compare", "none", "empty"]), 2, "cannot read none");
}
