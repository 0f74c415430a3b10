//! `ringframe demo`: a pair whose leader is killed under load, and whose clients miss nothing.

use std::fs;
use std::process::Command;

use crate::program::PROGRAM;

#[test]
fn the_demo_ends_with_a_verdict_and_leaves_its_report() {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let out = home.path().join("out");
    let output = Command::new(PROGRAM)
        .args(["demo", "--kills", "1", "--messages", "15000", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("bare echo") && text.contains("p99_9"), "{text}");
    for told in ["kill -9 of node 1 after ", "node 2 leads", "node 1 is back", "both nodes end at"]
    {
        assert!(text.contains(told), "{told} in {text}");
    }
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("Nothing was lost: 1 kill"), "{text}");
    // They came back, so no node led for a while as they traded.
    assert!(!last.contains(" 0 reconnects") && last.contains(" 15000 messages"), "{text}");
    let page = out.join("report.html");
    assert!(text.contains(page.to_str().unwrap()), "{text}");
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("each of 15,000 messages") && page.contains("kill -9 of node 1"));
}
