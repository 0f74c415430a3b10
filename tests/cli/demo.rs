//! `ringframe demo`: a node killed under load, whose clients miss nothing.

use std::fs;
use std::process::Command;

use crate::program::PROGRAM;

#[test]
fn the_demo_ends_with_a_verdict_and_leaves_its_report() {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let out = home.path().join("out");
    let output = Command::new(PROGRAM)
        .args(["demo", "--kills", "1", "--messages", "5000", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("bare echo") && text.contains("p99_9"), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("Nothing was lost: 1 kill"), "{text}");
    // They came back, so the node was gone while they traded.
    assert!(!last.contains(" 0 reconnects") && last.contains(" 5000 messages"), "{text}");
    let page = out.join("report.html");
    assert!(text.contains(page.to_str().unwrap()), "{text}");
    assert!(fs::read_to_string(page).unwrap().contains("each of 5,000 messages"));
}
