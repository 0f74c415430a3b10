//! `ringframe apply` on the real program: the same lines under every layout and policy, and the
//! journal they leave says the same as what was told.
#![expect(clippy::disallowed_methods, reason = "a pipe is fed while it is drained")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::program::PROGRAM;

const LINES: usize = 3_000;

fn ringframe(arguments: &[&str], data: &Path, input: &str) -> Output {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .arg("--data")
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Less than a pipe holds is written before anyone reads; more needs the reader at work.
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that refused its arguments reads nothing.
            let _ = stdin.write_all(input.as_bytes());
        });
        child.wait_with_output().unwrap()
    })
}

fn orders() -> String {
    let line = |number: usize| {
        let side = if number.is_multiple_of(2) { "buy" } else { "sell" };
        let session = number % 90 + 1;
        let price = 2_300_000 + 100 * (number * 7 % 13);
        format!(
            "{{\"enter\":{{\"session\":{session},\"symbol\":\"AAPL\",\"token\":\"#{number:x}\",\
             \"side\":\"{side}\",\"price\":{price},\"quantity\":{}}}}}\n",
            number % 50 + 1
        )
    };
    (1..=LINES).map(line).collect()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What was told, without the times.
fn without_times(line: &str) -> String {
    let (head, rest) = line.split_once(",\"time\"").unwrap();
    let (_, rest) = rest.split_once("\"nanos\":").unwrap();
    let (_, rest) = rest.split_once(',').unwrap();
    format!("{head},{rest}")
}

#[test]
fn every_layout_and_policy_tells_the_same() {
    let small = ["--set", "segment_bytes=1MiB", "--set", "event_segment_bytes=1MiB"];
    let mut first: Option<Vec<String>> = None;
    for layout in ["1", "2", "4", "auto", "intake|journaler|processor|event_log|egress"] {
        for (release, mode) in [("synced", "shadow"), ("journaled", "inline"), ("synced", "off")] {
            let directory = tempfile::tempdir().unwrap();
            let data = directory.path();
            let mode = format!("snapshots.mode={mode}");
            let often = ["--set", &mode, "--set", "snapshots.every_commands=500"];
            let node = ["apply", "--layout", layout, "--release", release];
            let output = ringframe(&[&node[..], &small, &often].concat(), data, &orders());
            assert!(output.status.success(), "{layout}: {}", text(&output.stderr));
            let told: Vec<String> = text(&output.stdout).lines().map(without_times).collect();
            assert!(told.len() > LINES);
            // A cause's number depends on how many digests and ticks were in between: none, here.
            assert!(first.get_or_insert_with(|| told.clone()) == &told, "{layout} {release}");
            let verified = ringframe(&["replay", "--verify"], data, "");
            assert!(verified.status.success(), "{layout}: {}", text(&verified.stdout));
            let all = format!("{} events are as in the log, 0 are not", told.len());
            assert!(text(&verified.stdout).contains(&all), "{}", text(&verified.stdout));
            let digests = [&["replay", "--json"][..], &["replay", "--json", "--from-start"]]
                .map(|replay| text(&ringframe(replay, data, "").stdout).to_owned());
            assert_eq!(digests[0], digests[1], "from a snapshot and from the start");
        }
    }
}

#[test]
fn a_line_that_is_no_command_ends_it_after_the_ones_before() {
    let directory = tempfile::tempdir().unwrap();
    let input = "{\"tick\":{}}\n{\"cancle\":{}}\n";
    let output = ringframe(&["apply", "--empty"], directory.path(), input);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("line 2: \"cancle\" is no command"), "{said}");
    let output = ringframe(&["replay", "--json"], directory.path(), "");
    assert!(text(&output.stdout).contains("\"sequence\":2"), "{}", text(&output.stdout));
}

/// As `| head -1` does it.
#[test]
fn when_nobody_reads_its_output_it_ends_what_it_took_and_says_no() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(PROGRAM)
        .args(["apply", "--data"])
        .arg(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let lines = orders();
    let (first, more) = lines.split_at(lines.len() / 2);
    stdin.write_all(first.as_bytes()).unwrap();
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdout);
    // It may have seen that by now. The input does not end: nobody waits for it.
    let _ = stdin.write_all(more.as_bytes());
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("pipe"), "{}", text(&output.stderr));
    let verified = ringframe(&["replay", "--verify"], directory.path(), "");
    assert!(verified.status.success(), "{}", text(&verified.stdout));
    assert!(text(&verified.stdout).contains(" 0 are not in it yet"), "it was no orderly end");
}
