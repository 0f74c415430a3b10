//! What the commands leave in the directory that `--out` names.

use std::fs;
use std::process::Command;

use loadgen::saved;

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
