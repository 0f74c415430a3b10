//! What the commands leave in the directory that `--out` names.

use std::fs;
use std::process::Command;

use loadgen::saved;

/// Nobody listens there: what is refused is refused before.
#[test]
fn loads_that_no_machine_has_are_wrong_usage() {
    let cases = [
        ("run --rate 1000000000 --duration 5m", "no run has more than 100000000: lower --rate"),
        ("run --rate 100 --count 100000001", "give a smaller --count"),
        ("run --rate 100 --arrival bursts --burst 501", "a burst of 501, and only 500 messages"),
        ("run --sessions 100", "--users FILE"),
        ("echo --rate 1000000000 --duration 5m", "lower --rate"),
        ("echo --rate 100 --arrival bursts --burst 4000000000", "smaller --burst"),
        ("sweep --duration 5m", "at --rate-max: 601000000 messages"),
        ("ceiling --count 100000001", "smaller --count"),
    ];
    for (line, why) in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        command.args(line.split(' '));
        if !line.starts_with("echo") && !line.starts_with("ceiling") {
            command.args(["--target", "127.0.0.1:1"]);
        }
        let done = command.output().expect("it starts");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.code() == Some(2) && said.contains(why), "{line}: {done:?}");
    }
}

#[test]
fn where_no_results_can_be_written_nothing_is_run() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("file");
    fs::write(&file, "").expect("a file");
    // Whoever may do anything may also write to a directory that is closed: a file is no directory.
    let out = file.join("results");
    for line in ["run --target 127.0.0.1:1", "sweep --target 127.0.0.1:1", "echo --count 100"] {
        let done = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(line.split(' '))
            .args(["--polite", "--quiet", "--out"])
            .arg(&out)
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(3), "{line}: {done:?}");
        assert!(said.contains("--out: no results can be written"), "{line}: {said}");
        assert!(done.stdout.is_empty(), "{line}: {done:?}");
    }
}

#[test]
fn a_run_leaves_its_page_and_what_a_sync_costs_beside_its_figures() {
    let home = tempfile::tempdir().expect("a directory");
    let out = home.path().join("results");
    let done = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["echo", "--count", "100", "--rate", "1000", "--polite", "--quiet", "--out"])
        .arg(&out)
        .output()
        .expect("it starts");
    assert!(done.status.success(), "{done:?}");
    for name in ["summary.json", "latency.hlog", "latency.hgrm", "report.html"] {
        assert!(fs::metadata(out.join(name)).expect(name).len() > 0, "{name}");
    }
    assert!(String::from_utf8_lossy(&done.stdout).contains("report.html"), "{done:?}");
    let [results] = &saved::runs(&out).expect("one run")[..] else { panic!("one run") };
    let disk = results.host.facts.iter().find(|fact| fact.name == "disk").expect("it was asked");
    assert!(disk.value.contains("fdatasync"), "{disk:?}");
    let page = fs::read_to_string(out.join("report.html")).expect("there");
    assert!(page.contains(&disk.value), "{}", disk.value);
}
