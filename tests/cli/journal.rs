//! The journal's commands as a user meets them: the real program, its output and its exit codes.
#![expect(clippy::disallowed_methods, reason = "a test may wait and look at the clock")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::PROGRAM;

/// The smallest segment that holds the largest frame.
const SEGMENT_BYTES: &str = "73728";

/// A child process that ends with the test, also when the test fails.
struct Running(Option<Child>);

impl Running {
    fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        self.0.as_ref().unwrap()
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A data directory that goes away with the test.
struct Data(tempfile::TempDir);

impl Data {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With these lines in its journal.
    fn with(lines: impl IntoIterator<Item = String>) -> Self {
        let data = Self::new();
        let output = data.append(lines);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        data
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn append(&self, lines: impl IntoIterator<Item = String>) -> Output {
        let mut child = self.spawn(&["append", "--segment-bytes", SEGMENT_BYTES], Stdio::piped());
        let mut stdin = child.stdin.take().unwrap();
        // A writer that refuses to start does not read.
        let _ = lines.into_iter().try_for_each(|line| writeln!(stdin, "{line}"));
        drop(stdin);
        child.output()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("journal").args(args).arg("--data").arg(self.path());
        command
    }

    fn spawn(&self, args: &[&str], stdin: Stdio) -> Running {
        let mut command = self.command(args);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(Some(command.spawn().unwrap()))
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must end with this code; returns its standard output.
    fn code(&self, args: &[&str], code: i32) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn segment(&self, number: u64) -> PathBuf {
        self.path().join(format!("journal/{number:010}.segment"))
    }

    fn flip(&self, number: u64, offset: usize) {
        let path = self.segment(number);
        let mut bytes = fs::read(&path).unwrap();
        bytes[offset] ^= 1;
        fs::write(path, bytes).unwrap();
    }
}

fn lines(count: u64) -> impl Iterator<Item = String> {
    (1..=count).map(|number| format!("line {number} {}", "x".repeat(100)))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The lines of a dump in JSON.
fn frames(text: &str) -> Vec<Value> {
    text.lines().map(json).collect()
}

fn sequences(text: &str) -> Vec<u64> {
    frames(text).iter().map(|frame| frame["sequence"].as_u64().unwrap()).collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn wrong_usage_is_2_and_every_help_has_an_example() {
    let data = Data::new();
    let all = ["info", "verify", "dump", "tail", "diff", "append", "repair", "archive", "prune"];
    for command in all {
        let help = Command::new(PROGRAM).args(["journal", command, "--help"]).output().unwrap();
        assert_eq!(help.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&help.stdout).contains("Example"), "{command}");
        data.code(&[command, "--no-such-option"], 2);
    }
    for command in ["info", "verify", "dump", "tail"] {
        let output = data.run(&[command]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        assert!(stderr(&output).contains("no journal there"), "{command}: {output:?}");
        assert!(!data.path().join("journal").exists(), "{command} created something");
    }
    data.code(&["append", "--sync", "sometimes"], 2);
    data.code(&["append", "--segment-bytes", "5000"], 2);
    data.code(&["dump", "--since", "yesterday"], 2);
}

#[test]
fn info_shows_what_was_appended() {
    let data = Data::with(lines(2000));
    let text = data.code(&["info"], 0);
    assert!(text.contains("lines, version 1") && text.contains("1..=2000"), "{text}");
    assert!(text.contains("none seen"), "{text}");
    let info = json(&data.code(&["info", "--json"], 0));
    assert_eq!((info["first"].as_u64(), info["last"].as_u64()), (Some(1), Some(2000)));
    assert_eq!((info["synced"].as_u64(), info["damaged"].as_u64()), (Some(2000), Some(0)));
    assert_eq!(info["logic"]["name"], "lines");
    let segments = info["segments"].as_array().unwrap();
    assert_eq!(segments[0]["state"], "sealed");
    assert!(segments.len() >= 4);
}

#[test]
fn info_names_the_writer_and_a_second_one_is_refused() {
    let data = Data::with(lines(3));
    let mut writer = data.spawn(&["append", "--report"], Stdio::piped());
    writer.stdin.as_mut().unwrap().write_all(b"one more\n").unwrap();
    let mut said = BufReader::new(writer.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "journaled 4");
    assert_eq!(said.next().unwrap().unwrap(), "synced 4");
    let info = json(&data.code(&["info", "--json"], 0));
    assert_eq!(info["writer"].as_u64(), Some(u64::from(writer.id())));
    let second = data.append(lines(1));
    assert_eq!(second.status.code(), Some(3), "{second:?}");
    assert!(stderr(&second).contains("another process writes"), "{second:?}");
    drop(writer.stdin.take());
    assert!(writer.wait().unwrap().success());
}

#[test]
fn verify_is_0_when_whole_and_1_with_the_range_when_not() {
    let data = Data::with(lines(2000));
    let text = data.code(&["verify", "--threads", "2"], 0);
    assert!(text.lines().last().unwrap().starts_with("whole: 2000 frames, 1..=2000"), "{text}");
    assert_eq!(json(&data.code(&["verify", "--json"], 0))["whole"], true);

    data.flip(2, 10_000);
    let text = data.code(&["verify"], 1);
    assert!(text.lines().last().unwrap().starts_with("DAMAGED: 1 range"), "{text}");
    let found = json(&data.code(&["verify", "--json", "--threads", "1"], 1));
    let findings = found["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1);
    assert!(findings[0]["file"].as_str().unwrap().ends_with("0000000002.segment"));
    assert!(findings[0]["from"].as_u64().unwrap() <= 10_000);
    assert!(findings[0]["to"].as_u64().unwrap() > 10_000);
    assert_eq!(findings[0]["first_lost"], findings[0]["last_lost"]);
    // Reading up to the damage works, and says where it ends.
    let dump = data.run(&["dump", "--format", "json"]);
    assert_eq!(dump.status.code(), Some(3));
    let last = *sequences(&String::from_utf8_lossy(&dump.stdout)).last().unwrap();
    assert_eq!(findings[0]["first_lost"].as_u64(), Some(last + 1));
    assert!(stderr(&dump).contains("0000000002.segment"), "{}", stderr(&dump));
}

#[test]
fn dump_takes_ranges_by_sequence_and_by_time() {
    let data = Data::with(lines(50));
    let text = data.code(&["dump", "--from", "7", "--to", "9"], 0);
    assert_eq!(text.lines().count(), 3);
    assert!(text.lines().next().unwrap().contains("line 7 xxx"), "{text}");
    std::thread::sleep(Duration::from_millis(5));
    data.append((51..=60).map(|number| format!("late {number}")));
    let all = frames(&data.code(&["dump", "--format", "json"], 0));
    assert_eq!(all.len(), 60);
    assert_eq!(all[50]["text"], "late 51");
    assert_eq!(all[50]["payload"], "6c617465203531");
    // As nanoseconds and as RFC 3339 the same.
    let nanoseconds = all[50]["timestamp"].as_u64().unwrap();
    for since in [nanoseconds.to_string(), all[50]["time"].as_str().unwrap().to_owned()] {
        let late = data.code(&["dump", "--format", "json", "--since", &since], 0);
        assert_eq!(sequences(&late), (51..=60).collect::<Vec<_>>());
    }
    let until = (nanoseconds - 1).to_string();
    let early = data.code(&["dump", "--format", "json", "--from", "48", "--until", &until], 0);
    assert_eq!(sequences(&early), [48, 49, 50]);
    data.code(&["dump", "--from", "500"], 2);
    data.code(&["dump", "--from", "9", "--to", "7"], 2);
}

#[test]
fn payloads_that_are_no_text_are_shown_as_digits() {
    let data = Data::new();
    let mut writer = data.spawn(&["append"], Stdio::piped());
    writer.stdin.take().unwrap().write_all(b"\x00\xFF\n\x1B[31m\n\nlast").unwrap();
    assert!(writer.wait().unwrap().success());
    let found = frames(&data.code(&["dump", "--format", "json"], 0));
    let payloads: Vec<_> = found.iter().map(|frame| frame["payload"].as_str().unwrap()).collect();
    assert_eq!(payloads, ["00ff", "1b5b33316d", "", "6c617374"]);
    assert_eq!((&found[0]["text"], &found[1]["text"]), (&Value::Null, &Value::Null));
    assert!(!data.code(&["dump"], 0).contains('\x1b'));
}

#[test]
fn diff_names_the_first_frame_that_differs() {
    let data = Data::with(lines(300));
    let copy = Data::new();
    copy_journal(&data, &copy);
    let diff = |one: &Data, two: &Data| {
        let mut command = Command::new(PROGRAM);
        command.args(["journal", "diff"]).arg(one.path()).arg(two.path());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = diff(&data, &copy);
    assert_eq!((code, text.starts_with("equal: 300 frames")), (Some(0), true), "{text}");
    copy.append(["one more".to_owned()]);
    let (code, text) = diff(&data, &copy);
    assert_eq!(code, Some(1));
    assert!(text.contains("has no sequence 301"), "{text}");
    data.append(["another".to_owned()]);
    let (code, text) = diff(&data, &copy);
    assert_eq!(code, Some(1));
    assert!(text.starts_with("sequence 301 differs"), "{text}");
    assert!(text.contains("one more") && text.contains("another"), "{text}");
    assert_eq!(diff(&data, &Data::new()).0, Some(2));
}

fn copy_journal(from: &Data, to: &Data) {
    fs::create_dir(to.path().join("journal")).unwrap();
    for entry in fs::read_dir(from.path().join("journal")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join("journal").join(entry.file_name())).unwrap();
    }
}

#[test]
fn append_refuses_another_logic_and_too_long_lines() {
    let data = Data::with(lines(3));
    let output = data.command(&["append", "--logic", "other"]).stdin(Stdio::null()).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains("'lines', not to 'other'"), "{output:?}");
    let output = data.append(["good".to_owned(), "y".repeat(70_000)]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains("line 2"), "{output:?}");
    // What came before the refused line is kept.
    assert_eq!(sequences(&data.code(&["dump", "--format", "json"], 0)), [1, 2, 3, 4]);
}

#[test]
fn a_torn_tail_is_no_damage_and_append_cuts_it() {
    let data = Data::with(lines(10));
    let info = json(&data.code(&["info", "--json"], 0));
    let end = 4096 + info["segments"][0]["bytes"].as_u64().unwrap() as usize;
    let path = data.segment(1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[end..end + 100].fill(0xEE);
    fs::write(&path, bytes).unwrap();
    let text = data.code(&["verify"], 0);
    assert!(text.contains("torn tail at bytes") && text.contains("whole: 10 frames"), "{text}");
    let output = data.append(lines(1));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stderr(&output).contains("cut ") && stderr(&output).contains(".cut"), "{output:?}");
    assert_eq!(json(&data.code(&["info", "--json"], 0))["last"].as_u64(), Some(11));
}

#[test]
fn what_is_archived_is_mended_and_pruned() {
    let data = Data::with(lines(2000));
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("archive");
    let place = place.to_str().unwrap();
    let prune = ["prune", "--below", "2000", "--archive", place];
    assert!(stderr(&data.run(&prune)).contains("archive"), "there is none yet");
    let text = data.code(&["archive", "--to", place], 0);
    assert!(text.ends_with(" were there already\n") && text.contains("sequences 1..="), "{text}");
    let verify = ["journal", "archive", "--to", place, "--verify"];
    let verified = Command::new(PROGRAM).args(verify).output().unwrap();
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");

    data.flip(1, 10_000);
    data.code(&["verify"], 1);
    assert!(data.code(&["repair"], 1).contains("NOT REPAIRED"));
    let text = data.code(&["repair", "--from", place, "--dry-run"], 0);
    assert!(text.contains("would replace"), "{text}");
    data.code(&["verify"], 1);
    assert!(data.code(&["repair", "--from", place], 0).contains("1 segments mended"));
    data.code(&["verify"], 0);
    assert!(data.code(&["repair"], 0).contains("nothing to repair"));

    let dry: Vec<&str> = prune.into_iter().chain(["--dry-run"]).collect();
    assert!(data.code(&dry, 0).contains("would be deleted"));
    assert!(data.segment(1).exists());
    assert!(data.code(&prune, 0).contains("the last segment before what is needed always stays"));
    assert!(!data.segment(1).exists());
    data.code(&["verify"], 0);
}

#[test]
fn tail_follows_a_live_writer_and_verify_runs_beside_it() {
    let data = Data::with(lines(20));
    let mut tail = data.spawn(&["tail", "-n", "3", "--format", "json"], Stdio::null());
    let mut shown = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || json(&shown.next().unwrap().unwrap())["sequence"].as_u64().unwrap();
    assert_eq!([next(), next(), next()], [18, 19, 20]);
    let args = ["append", "--quiet", "--segment-bytes", SEGMENT_BYTES];
    let mut writer = data.spawn(&args, Stdio::piped());
    let mut stdin = writer.stdin.take().unwrap();
    for batch in 0..10 {
        lines(300).for_each(|line| writeln!(stdin, "{line}").unwrap());
        // While the writer takes them, and perhaps rolls.
        data.code(&["verify"], 0);
        for number in 1..=300 {
            assert_eq!(next(), 20 + 300 * batch + number);
        }
    }
    assert_eq!(json(&data.code(&["info", "--json"], 0))["damaged"].as_u64(), Some(0));
    signal(&writer, "TERM");
    assert!(writer.wait().unwrap().success(), "SIGTERM closes the journal cleanly");
    drop(stdin);
    assert_eq!(json(&data.code(&["info", "--json"], 0))["synced"].as_u64(), Some(3020));
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
    assert!(status.unwrap().success());
}

#[test]
fn a_closed_pipe_ends_a_dump_quietly() {
    let data = Data::with(lines(3000));
    let mut dump = data.spawn(&["dump"], Stdio::null());
    let mut first = String::new();
    BufReader::with_capacity(64, dump.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = dump.output();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

/// It must not wait for a frame that never comes.
#[test]
fn a_closed_pipe_ends_a_tail_quietly() {
    let data = Data::with(lines(3));
    let mut tail = data.spawn(&["tail"], Stdio::null());
    let mut shown = BufReader::new(tail.stdout.take().unwrap()).lines();
    assert!(shown.by_ref().take(3).all(|line| line.is_ok()));
    assert_eq!(tail.try_wait().unwrap(), None, "it follows");
    drop(shown);
    let begun = Instant::now();
    while tail.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody listens and it goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = tail.output();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

/// `RINGFRAME_KILL_CYCLES` makes it longer.
#[test]
fn nothing_journaled_is_lost_when_the_writer_is_killed() {
    let cycles = std::env::var("RINGFRAME_KILL_CYCLES").map_or(5, |text| text.parse().unwrap());
    let data = Data::new();
    let input = data.path().join("input");
    let mut file = BufWriter::new(File::create(&input).unwrap());
    (0..200_000).for_each(|number| writeln!(file, "{number}").unwrap());
    file.into_inner().unwrap();
    let (mut starts, mut killed_in_time) = (vec![1], 0);
    for cycle in 0..cycles {
        let stdin = File::open(&input).unwrap();
        let args = ["append", "--report", "--quiet", "--segment-bytes", "262144"];
        let mut writer = data.spawn(&args, stdin.into());
        // Killed after so many promises: no clock decides, so slow machines kill mid-way too.
        let patience = fastrand::usize(1..40);
        let (mut journaled, mut synced) = (0, 0);
        for (count, text) in BufReader::new(writer.stdout.take().unwrap()).lines().enumerate() {
            let text = text.unwrap();
            let (what, number) = text.split_once(' ').unwrap();
            let position = if what == "synced" { &mut synced } else { &mut journaled };
            *position = number.parse().unwrap();
            if count == patience {
                writer.kill().unwrap();
            }
        }
        killed_in_time += u32::from(!writer.wait().unwrap().success());
        data.code(&["verify"], 0);
        let output = data.append([]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let info = json(&data.code(&["info", "--json"], 0));
        let last = info["last"].as_u64().unwrap_or(0);
        assert!(journaled.max(synced) <= last, "{cycle}: {synced} {journaled} {last}");
        starts.push(last + 1);
    }
    assert!(killed_in_time > 0, "every writer was done before it was killed");
    let text = data.code(&["dump"], 0);
    let (mut cycle, mut start, mut found) = (0, 1, 0);
    for (expected, frame) in (1_u64..).zip(text.lines()) {
        while starts.get(cycle) == Some(&expected) {
            (start, cycle) = (expected, cycle + 1);
        }
        let fields: Vec<_> = frame.split_whitespace().collect();
        assert_eq!(fields[0], expected.to_string());
        // Every writer began with the first line again.
        assert_eq!(*fields.last().unwrap(), (expected - start).to_string());
        found = expected;
    }
    assert_eq!(found + 1, *starts.last().unwrap());
}
