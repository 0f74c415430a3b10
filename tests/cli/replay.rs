//! `ringframe replay` as a user meets it: the real program on a journal of many segments with two
//! snapshots, its output and its exit codes.

#![expect(clippy::disallowed_methods, reason = "a test may have threads")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;

use crate::program::{Done, PROGRAM, Serving, apply, orders, ringframe, run};
use ringframe::journal::frame::{Decoded, decode};
use ringframe::journal::{Append, Frame, FrameRef, Journal, MappedStorage, Options, Reader};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

const SMALL: [&str; 4] = ["--set", "segment_bytes=256KiB", "--set", "event_segment_bytes=256KiB"];

/// Orders in three parts, with a snapshot between them; made once, never changed.
static MADE: LazyLock<PathBuf> = LazyLock::new(|| {
    let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replay_cli");
    let _ = fs::remove_dir_all(&data);
    for (part, has_snapshot) in [(1..8_000, true), (8_000..16_000, true), (16_000..24_000, false)] {
        apply(&SMALL, &data, &orders(part)).expect(0, &[]);
        if has_snapshot {
            let mut serving = Serving::start(&SMALL, &data);
            serving.signal(Signal::USR1);
            serving.wait_for(".snapshot");
            serving.drain();
        }
    }
    data
});

/// A copy that a test may change.
fn copied() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    copy(&MADE, directory.path());
    directory
}

/// Copies a directory of directories of files.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn replay(arguments: &[&str], data: &Path) -> Done {
    run(&[&["replay"], arguments].concat(), data)
}

fn json(arguments: &[&str], data: &Path) -> Value {
    let done = replay(&[arguments, &["--json"]].concat(), data).expect(0, &[]);
    serde_json::from_str(&done.out).unwrap()
}

fn sequence(data: &Path) -> u64 {
    json(&["--digest"], data)["sequence"].as_u64().unwrap()
}

/// The snapshots' sequences, oldest first.
fn snapshots(data: &Path) -> Vec<u64> {
    let names = fs::read_dir(data.join("snapshots")).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
    let mut found: Vec<u64> = names
        .filter_map(|entry| name(entry).unwrap().strip_suffix(".snapshot")?.parse().ok())
        .collect();
    found.sort_unstable();
    found
}

fn events(range: &str, data: &Path) -> Vec<Value> {
    let done = replay(&["--events", range], data).expect(0, &[]);
    done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The file of a log that holds these bytes, and where.
fn find(log: &Path, bytes: &[u8]) -> (PathBuf, usize) {
    for entry in fs::read_dir(log).unwrap() {
        let path = entry.unwrap().path();
        let all = fs::read(&path).unwrap();
        if let Some(at) = all.windows(bytes.len()).position(|window| window == bytes) {
            return (path, at);
        }
    }
    panic!("{bytes:?} are nowhere in {}", log.display());
}

/// The bytes of the first frame that `is_meant`.
fn frame(log: &Path, is_meant: impl Fn(&FrameRef<'_>) -> bool) -> Vec<u8> {
    let mut reader = Reader::open_first(MappedStorage::new(log)).unwrap();
    loop {
        let frame = reader.next_frame().unwrap().expect("such a frame");
        if is_meant(&frame) {
            return frame.bytes().to_vec();
        }
    }
}

/// The same frame with one byte of its payload changed, and a checksum to match.
fn with_another_byte(bytes: &[u8], at: usize) -> Vec<u8> {
    let Decoded::Frame(frame) = decode(bytes) else { panic!("it was read as a frame") };
    let mut payload = frame.payload().to_vec();
    payload[at] ^= 1;
    let mut changed = Vec::new();
    Frame { payload: &payload, ..frame.frame() }.encode(&mut changed);
    changed
}

fn overwrite(log: &Path, old: &[u8], new: &[u8]) {
    let (path, at) = find(log, old);
    let mut all = fs::read(&path).unwrap();
    all[at..at + new.len()].copy_from_slice(new);
    fs::write(path, all).unwrap();
}

#[test]
fn the_digest_is_the_same_from_the_start_and_from_any_snapshot() {
    let data = &MADE;
    let last = sequence(data);
    let saved = snapshots(data);
    assert_eq!(saved.len(), 2, "{saved:?}");
    let around = saved.iter().flat_map(|at| [at - 1, *at, at + 1]);
    let untils: Vec<u64> = [1, 100, last - 1, last].into_iter().chain(around).collect();
    let mut digests = Vec::new();
    for until in untils {
        let until = until.to_string();
        let newest = json(&["--until", &until], data);
        assert_eq!(newest["sequence"].to_string(), until);
        let from_start = json(&["--until", &until, "--from-start"], data);
        for field in ["sequence", "digest", "events", "time", "logic_version"] {
            assert_eq!(newest[field], from_start[field], "{field} at {until}");
        }
        digests.push(newest["digest"].as_str().unwrap().to_owned());
    }
    digests.sort_unstable();
    digests.dedup();
    assert!(digests.len() > 5, "{digests:?}");
    // Without --until it is the whole journal; text and JSON say the same.
    let whole = json(&[], data);
    assert_eq!(whole["digest"], json(&["--until", &last.to_string()], data)["digest"]);
    assert_eq!(whole["logic_version"], 1);
    let digest = format!("digest {}", whole["digest"].as_str().unwrap());
    replay(&["--digest"], data).expect(0, &[&digest, &format!("sequence {last}, ")]);
    assert_eq!(json(&["--from-start"], data)["digests_compared"], 1);
}

#[test]
fn a_snapshot_is_used_and_a_damaged_one_is_named_and_passed_over() {
    let copied = copied();
    let data = copied.path();
    let saved = snapshots(data);
    let digest = json(&[], data)["digest"].clone();
    let path = |at: u64| data.join(format!("snapshots/{at:020}.snapshot"));
    let flip = |at: u64, byte: usize| {
        let mut bytes = fs::read(path(at)).unwrap();
        bytes[byte] ^= 1;
        fs::write(path(at), bytes).unwrap();
    };
    // In the state of the newest, then in the header of the older one.
    for (at, byte) in [(saved[1], 10_000), (saved[0], 20)] {
        flip(at, byte);
        let done = replay(&["--json"], data).expect(0, &[]);
        let name = format!("{at:020}.snapshot");
        assert!(done.err.contains(&name), "{name} in {done:#?}");
        assert_eq!(serde_json::from_str::<Value>(&done.out).unwrap()["digest"], digest);
    }
}

#[test]
fn until_takes_a_time() {
    let data = &MADE;
    let last = sequence(data);
    let event = events(&format!("{0}..{0}", last / 2), data).pop();
    let event = event.or_else(|| events(&format!("{0}..{0}", last / 2 + 1), data).pop()).unwrap();
    let (cause, time) = (event["cause"].as_u64().unwrap(), event["time"].as_str().unwrap());
    let found = json(&["--until", time], data);
    let at = found["sequence"].as_u64().unwrap();
    assert!((cause..last).contains(&at), "{at} for {cause}");
    let nanos = json(&["--until", &cause.to_string()], data)["time"].clone();
    assert_eq!(found["time"], nanos);
    assert!(json(&["--until", &(at + 1).to_string()], data)["time"].as_u64() > nanos.as_u64());
    assert_eq!(json(&["--until", "2020-01-01T00:00:00Z"], data)["sequence"], 0);
    assert_eq!(json(&["--until", "2222-01-01T00:00:00Z"], data)["sequence"], last);
}

#[test]
fn views_are_printed_for_people_and_for_scripts() {
    let data = &MADE;
    let views = ["book AAPL", "account 7", "session 3"];
    let prints: Vec<&str> = views.iter().flat_map(|view| ["--print", view]).collect();
    let done = replay(&prints, data);
    let done = done.expect(0, &["AAPL: open, reference", "participant 7: ", "session 3 of "]);
    assert!(!done.out.contains("digest"), "{done:#?}");
    let done = replay(&[&prints[..], &["--json", "--digest"]].concat(), data).expect(0, &[]);
    let lines: Vec<Value> =
        done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["book"]["symbol"], "AAPL");
    assert_eq!(lines[1]["account"]["participant"], 7);
    assert_eq!(lines[2]["session"]["session"], 3);
    assert_eq!(lines[3]["sequence"], sequence(data));
    let orders = lines[0]["book"]["buys"].as_array().unwrap().len();
    assert!(orders > 0, "{done:#?}");
    // The same views from the beginning on, and other ones of an earlier state.
    let again = replay(&[&prints[..], &["--json", "--digest", "--from-start"]].concat(), data);
    let without = |text: &str| text.lines().take(3).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(without(&again.out), without(&done.out));
    let earlier = replay(&["--until", "5000", "--json", "--print", "book AAPL"], data);
    assert_ne!(earlier.out.lines().next(), done.out.lines().next());
}

#[test]
fn events_of_a_range_are_those_of_its_commands() {
    let data = &MADE;
    let all = events("1..18446744073709551615", data);
    assert_eq!(json(&[], data)["events"], all.len());
    for (index, event) in all.iter().enumerate() {
        assert_eq!(event["number"], index + 1);
    }
    let saved = snapshots(data);
    let last = sequence(data);
    for (from, to) in [(1, 600), (700, 700), (saved[0], saved[0] + 5), (last - 5, last)] {
        let part = events(&format!("{from}..{to}"), data);
        let meant = |event: &&Value| (from..=to).contains(&event["cause"].as_u64().unwrap());
        assert!(!part.is_empty(), "{from}..{to}");
        assert!(part.iter().eq(all.iter().filter(meant)), "{from}..{to}");
    }
    assert_eq!(events("700", data), events("700..700", data));
    let until = format!("{}", last / 2);
    let done = replay(&["--events", &format!("{}..{last}", last / 2), "--until", &until], data);
    assert!(done.expect(0, &[]).out.lines().count() <= 8);
}

/// As `| head -1` does it.
#[test]
fn whoever_has_seen_enough_events_is_not_told_of_a_fault() {
    let mut command = ringframe(&["replay", "--events", "1..20000"], &MADE);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 100]).unwrap();
    Done::new(&child.wait_with_output().unwrap()).expect(0, &[]);
}

#[test]
fn verify_finds_what_is_otherwise_and_says_where() {
    let whole = replay(&["--verify"], &MADE).expect(0, &["1 digests of the journal compared"]);
    assert!(whole.out.contains("events are as in the log, 0 are not in it yet"), "{whole:#?}");
    let whole = json(&["--verify"], &MADE);
    assert_eq!((&whole["digests_compared"], &whole["agrees"]), (&1.into(), &true.into()));
    let counts = (&whole["events_compared"], &whole["events_missing"]);
    assert_eq!(counts, (&whole["events"], &0.into()));

    // A flipped bit.
    let copied_ = copied();
    let log = copied_.path().join("events");
    let old = frame(&log, |frame| frame.sequence() == 9_000);
    let mut new = old.clone();
    new[40] ^= 4;
    overwrite(&log, &old, &new);
    let (path, _) = find(&log, &new);
    let name = path.file_name().unwrap().to_str().unwrap();
    replay(&["--verify"], copied_.path()).expect(1, &[name, "9000"]);

    // Another event, whole in itself.
    let copied_ = copied();
    let log = copied_.path().join("events");
    let new = with_another_byte(&old, 20);
    overwrite(&log, &old, &new);
    let said = ["event 9000 of the log is not what replay gives: the log has {\"number\":9000"];
    let done = replay(&["--verify"], copied_.path()).expect(1, &said);
    assert!(!done.out.contains("digest"), "no digest was compared: {done:#?}");
    let done = replay(&["--verify", "--json"], copied_.path());
    let found: Value = serde_json::from_str(&done.expect(1, &[]).out).unwrap();
    assert_eq!(found["agrees"], false);
    assert!(found["differs"].as_str().unwrap().starts_with(said[0]), "{found}");

    // Another digest.
    let copied_ = copied();
    let journal = copied_.path().join("journal");
    let old = frame(&journal, |frame| frame.kind() == 0x4001);
    let new = with_another_byte(&old, 8);
    overwrite(&journal, &old, &new);
    for arguments in [&["--verify"][..], &["--verify", "--json"]] {
        replay(arguments, copied_.path()).expect(1, &["diverged", "16384", "says digest "]);
    }
}

#[test]
fn a_log_that_ends_too_early_is_told_and_one_that_has_more_is_a_difference() {
    let copied = copied();
    let data = copied.path();
    let log = data.join("events");
    let number = json(&[], data)["events"].as_u64().unwrap() + 1;
    let options = Options::new("ringframe exchange events", 1);
    let mut more = Journal::open(MappedStorage::new(&log), options).unwrap();
    let payload = [sequence(data).to_le_bytes(), [0; 8]].concat();
    let timestamp = more.writer.last_timestamp();
    let (epoch, kind, schema) = (0, 1, 1);
    let frame = Frame { sequence: number, timestamp, epoch, kind, schema, payload: &payload };
    assert_eq!(more.writer.append(&frame).unwrap(), Append::Done);
    more.writer.publish().unwrap();
    drop(more);
    replay(&["--verify"], data).expect(1, &[&format!("event {number} of the log is of command")]);

    fs::remove_dir_all(&log).unwrap();
    let anew = ["--begin-event-log"];
    apply(&anew, data, "").expect(3, &["the journal has its beginning"]);
    replay(&["--verify"], data).expect(0, &["0 events are as in the log"]);
    let missing = json(&["--verify"], data);
    assert_eq!(
        (&missing["events_compared"], &missing["events_missing"]),
        (&0.into(), &(number - 1).into())
    );
}

#[test]
fn files_of_another_build_are_refused_with_2_whichever_part_says_so() {
    for (kind, schema, said) in
        [(0x4000, 1, "activates version 99 of"), (1, 99, "of schema version 99")]
    {
        let copied = copied();
        let data = copied.path();
        append(data, kind, schema, &99_u32.to_le_bytes());
        replay(&["--verify"], data).expect(2, &[said, "use "]);
        apply(&SMALL, data, "").expect(2, &[said, "use "]);
    }
}

#[test]
fn wrong_usage_is_told_with_advice() {
    let data = &MADE;
    let last = sequence(data);
    let (beyond, far) = ((last + 1).to_string(), format!("{}..{}", last + 1, last + 9));
    let cases: [(&[&str], &[&str]); 13] = [
        (&["--print", "shelf AAPL"], &["shelf", "book, account or session"]),
        (&["--print", "book"], &["book", "expected"]),
        (&["--print", "book NOPE"], &["no instrument NOPE", "AAPL"]),
        (&["--print", "account 70000"], &["70000", "65535"]),
        (&["--print", "account 500"], &["no participant 500"]),
        (&["--events", "10..5"], &["10..5", "the first and the last"]),
        (&["--events", "0..5"], &["0..5", "the first and the last"]),
        (&["--events", "some"], &["some", "the first and the last"]),
        (&["--events", &far], &[&far, &last.to_string()]),
        (&["--until", &beyond], &[&beyond, &format!("ends with command {last}")]),
        (&["--until", "yesterday"], &["yesterday", "neither a sequence nor a time"]),
        (&["--until", "1969-01-01T00:00:00Z"], &["before 1970"]),
        (&["--verify", "--events", "1..2"], &["--verify", "--events"]),
    ];
    for (arguments, said) in cases {
        let done = replay(arguments, data).expect(2, said);
        assert!(done.out.is_empty(), "{done:#?}");
    }
    let nowhere = tempfile::tempdir().unwrap();
    replay(&[], nowhere.path()).expect(2, &["no journal there", "--data"]);
}

#[test]
fn a_journal_of_another_logic_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let mut append = ringframe(&["journal", "append", "--logic", "ledger"], directory.path());
    append.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = append.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"one\ntwo\n").unwrap();
    assert!(child.wait().unwrap().success());
    for arguments in [&[][..], &["--verify"], &["--events", "1..2"], &["--until", "1"]] {
        replay(arguments, directory.path()).expect(2, &["'ledger'", "'ringframe exchange'"]);
    }
}

#[test]
fn a_journal_that_lost_its_beginning_is_replayed_from_a_snapshot_or_refused() {
    let copied = copied();
    let data = copied.path();
    let digest = json(&[], data)["digest"].clone();
    pruned(data, snapshots(data)[1]);
    for arguments in [&[][..], &["--from-start"], &["--verify"]] {
        assert_eq!(json(arguments, data)["digest"], digest, "{arguments:?}");
    }
    replay(&["--verify"], data).expect(0, &["0 are not in it yet"]);
    replay(&["--until", "1000"], data).expect(2, &["begins with command", "from an archive"]);
    replay(&["--events", "1..5"], data).expect(2, &["begins with command", "from an archive"]);
    replay(&["--until", "2020-01-01T00:00:00Z"], data).expect(2, &["begins with command"]);
    // And a node starts from it.
    apply(&SMALL, data, &orders(24_000..24_010)).expect(0, &["from the snapshot at"]);
    // Without its event log only when it is told to begin another.
    let anew = [&SMALL[..], &["--begin-event-log"]].concat();
    let refused = ["the event log holds events up to", "move events/ away"];
    apply(&anew, data, "").expect(3, &refused);
    fs::remove_dir_all(data.join("events")).unwrap();
    let advice = ["begins with command", "the event log ends with 0", "--begin-event-log"];
    apply(&SMALL, data, "").expect(3, &advice);
    apply(&anew, data, &orders(24_010..24_020)).expect(0, &["from the snapshot at"]);
    apply(&SMALL, data, &orders(24_020..24_030)).expect(0, &["from the snapshot at"]);
    let last = json(&["--verify"], data);
    assert_eq!(last["events_missing"], 0);
    assert!(last["events_compared"].as_u64().unwrap() > 1_000, "{last}");
    // One that was lost again before it had an event.
    fs::remove_dir_all(data.join("events")).unwrap();
    apply(&anew, data, "").expect(0, &[]);
    apply(&SMALL, data, "").expect(0, &["from the snapshot at"]);
    fs::remove_dir_all(data.join("snapshots")).unwrap();
    replay(&[], data).expect(2, &["begins with command", "from an archive"]);
    apply(&SMALL, data, "").expect(3, &["begins with command", "journal archive"]);
}

/// One more frame at the journal's end.
fn append(data: &Path, kind: u16, schema: u16, payload: &[u8]) {
    let options = Options::new("ringframe exchange", 1);
    let mut journal = Journal::open(MappedStorage::new(data.join("journal")), options).unwrap();
    let (sequence, timestamp) = (journal.writer.next_sequence(), journal.writer.last_timestamp());
    let frame = Frame { sequence, timestamp, epoch: 0, kind, schema, payload };
    assert_eq!(journal.writer.append(&frame).unwrap(), Append::Done);
    journal.writer.publish().unwrap();
}

#[test]
fn a_digest_that_cannot_be_compared_is_not_passed_over_in_silence() {
    let copied = copied();
    let data = copied.path();
    // Of a command after which nobody takes one.
    append(data, 0x4001, 1, &[&5_u64.to_le_bytes()[..], &[7; 16]].concat());
    let said = ["1 digests of the journal compared", "1 digests of the journal could not be"];
    replay(&["--verify"], data).expect(0, &[said[0], said[1], "which this build takes none"]);
    assert_eq!(json(&["--verify"], data)["digests_unchecked"], 1);
    assert_eq!(json(&["--verify"], &MADE)["digests_unchecked"], 0);
    // And of one from before the snapshot that a pruned journal begins with.
    pruned(data, snapshots(data)[1]);
    let said = "they are of commands before the snapshot that replay began with";
    replay(&["--verify"], data).expect(0, &["1 digests of the journal could not be", said]);
    assert_eq!(json(&["--verify"], data)["digests_unchecked"], 1);
}

/// Deletes what a snapshot makes superfluous.
fn pruned(data: &Path, below: u64) {
    let archive = tempfile::tempdir().unwrap();
    let archive = archive.path().to_str().unwrap();
    run(&["journal", "archive", "--to", archive], data).expect(0, &[]);
    let below = below.to_string();
    let pruned = run(&["journal", "prune", "--below", &below, "--archive", archive], data);
    pruned.expect(0, &["  deleted"]);
}

#[test]
fn against_another_build_both_begin_with_the_same_snapshot() {
    let copied = copied();
    let data = copied.path();
    let saved = snapshots(data);
    pruned(data, saved[0]);
    let directory = tempfile::tempdir().unwrap();
    let against = |binary: &str| replay(&["--against", binary], data);
    against(PROGRAM).expect(0, &["are the same, 0 differ"]);
    // A build that cannot load the one that this one begins with, and knows another.
    let path = data.join(format!("snapshots/{:020}.snapshot", saved[0]));
    let aside = directory.path().join("aside");
    let (path, aside) = (path.display(), aside.display());
    let other = script(directory.path(), &format!("mv {path} {aside}; {PROGRAM} \"$@\""));
    let named = format!("--from-snapshot {}: there is no such snapshot", saved[0]);
    let refused = ["exit status: 2", "begin with the snapshot at", &saved[0].to_string(), &named];
    against(&other).expect(3, &refused);
}

/// A program of a few lines of shell.
fn script(directory: &Path, text: &str) -> String {
    let path = directory.join("other");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn against(binary: &str) -> Done {
    replay(&["--against", binary], &MADE)
}

/// What this build writes for another.
fn frames() -> Vec<u8> {
    let mut frames = Vec::new();
    let mut child =
        ringframe(&["replay", "--frames"], &MADE).stdout(Stdio::piped()).spawn().unwrap();
    child.stdout.take().unwrap().read_to_end(&mut frames).unwrap();
    assert!(child.wait().unwrap().success());
    frames
}

/// The offset of an event's frame.
fn offset(frames: &[u8], event: u64) -> usize {
    let mut at = 0;
    loop {
        let Decoded::Frame(frame) = decode(&frames[at..]) else { panic!("whole frames") };
        if frame.sequence() == event {
            return at;
        }
        at += frame.bytes().len();
    }
}

#[test]
fn against_itself_nothing_differs() {
    let last = sequence(&MADE);
    let events = json(&[], &MADE)["events"].to_string();
    let said = format!("{last} commands: {events} events are the same, 0 differ");
    against(PROGRAM).expect(0, &[&said]);
}

#[test]
fn against_another_build_the_first_difference_is_shown_of_both() {
    let directory = tempfile::tempdir().unwrap();
    let mut frames = frames();
    let at = offset(&frames, 9_000);
    let end = offset(&frames, 9_001);
    let changed = with_another_byte(&frames[at..end], 20);
    frames[at..end].copy_from_slice(&changed);
    let file = directory.path().join("frames");
    fs::write(&file, &frames).unwrap();
    let other = script(directory.path(), &format!("cat {}", file.display()));
    let done = against(&other).expect(1, &[" 1 differ", "the first that differs"]);
    let both: Vec<&str> = done.out.lines().filter(|line| line.contains("\":9000,")).collect();
    assert_eq!(both.len(), 2, "{done:#?}");
    assert!(both[0].contains("this build") && both[1].contains("the other"), "{done:#?}");
    assert_ne!(both[0].split_once('{'), both[1].split_once('{'));

    // One that has more, and one that has less.
    let last = offset(&frames, json(&[], &MADE)["events"].as_u64().unwrap());
    let more = script(
        directory.path(),
        &format!("{PROGRAM} \"$@\"; tail -c +{} {}", last + 1, file.display()),
    );
    against(&more).expect(1, &["0 differ", "has 1 more"]);
    let less = script(directory.path(), &format!("{PROGRAM} \"$@\" | head -c {last}"));
    against(&less).expect(1, &["1 differ", "nothing more"]);
}

#[test]
fn against_something_else_says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let at = offset(&frames(), 9_000);
    let cases = [
        ("echo Hello, this is another program altogether", "is it a ringframe?"),
        (&format!("{PROGRAM} \"$@\" | head -c {}", at + 10), "ended within an event"),
        (&format!("{PROGRAM} \"$@\" | head -c {at}; exit 7"), "exit status: 7"),
        ("echo sorry >&2; exit 2", "exit status: 2"),
    ];
    for (text, said) in cases {
        let other = script(directory.path(), text);
        against(&other).expect(3, &["--against", &other, said]);
    }
    let missing = directory.path().join("missing");
    against(missing.to_str().unwrap()).expect(2, &["--against", "missing", "cannot run it"]);
    against(directory.path().to_str().unwrap()).expect(2, &["--against", "cannot run it"]);
}

#[test]
fn a_journal_is_replayed_while_a_node_writes_it() {
    let copied = copied();
    let data = copied.path();
    let before = sequence(data);
    let arguments = [&["apply"], &SMALL[..]].concat();
    let mut command = ringframe(&arguments, data);
    let mut apply = Serving::spawn(command.stdin(Stdio::piped()));
    let mut stdin = apply.child.stdin.take().unwrap();
    let feeding =
        std::thread::spawn(move || stdin.write_all(orders(30_000..60_000).as_bytes()).unwrap());
    apply.wait_for("\"number\"");
    let mut seen = Vec::new();
    for arguments in [&["--from-start"][..], &[], &["--verify"], &["--until", "500"]] {
        let found = json(arguments, data);
        seen.push(found["sequence"].as_u64().unwrap());
    }
    assert!(seen[0] > before, "{seen:?}");
    assert_eq!(seen[3], 500);
    feeding.join().unwrap();
    apply.end().expect(0, &[]);
    replay(&["--verify"], data).expect(0, &["0 are not in it yet"]);
    run(&["journal", "verify"], data).expect(0, &[]);
}
