//! `ringframe feed`: whole days of the market's messages as files. Other people's readers are in
//! `tests/itch_readers.sh`.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;

use ringframe::wire::itch::{Day, Message};

use crate::program::{Done, ringframe, run};

const DAY: &str = r#"{"change_state":{"symbol":"AAPL","state":"pre_open"}}
{"change_state":{"symbol":"AAPL","state":"open"}}
{"enter":{"session":1,"symbol":"AAPL","token":"A1","side":"buy","quantity":300,"price":"101.2500"}}
{"change_state":{"symbol":"AAPL","state":"closed"}}
{"end_day":{}}
"#;
const WORLD: &str = r#"
{"add_instrument":{"symbol":"AAPL","tick":"0.01","lowest":"0.01","highest":"900.00"}}
{"set_participant":{"participant":1}}
{"set_session":{"session":1,"participant":1}}
"#;

fn apply(data: &Path, lines: &str) {
    let mut command = ringframe(&["apply", "--empty", "--release", "journaled"], data);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// The messages of a file, which ends with its mark.
fn messages(mut file: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    loop {
        let (length, rest) = file.split_first_chunk().unwrap();
        let (message, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        file = rest;
        if message.is_empty() {
            assert!(file.is_empty(), "{file:?} behind the end");
            return messages;
        }
        messages.push(Message::decode(message).unwrap());
    }
}

fn is_event(message: &Message, event: Day) -> bool {
    matches!(message, Message::SystemEvent(it) if it.event == event)
}

/// The feed by --out, which is the one on standard output.
fn feed(data: &Path, day: &[&str]) -> Vec<Message> {
    let path = data.join("feed.itch");
    let out = path.to_str().unwrap();
    run(&[&["feed", "--out", out][..], day].concat(), data).expect(0, &["messages"]);
    let file = fs::read(&path).unwrap();
    assert!(!data.join("feed.itch.part").exists());
    let printed = ringframe(&[&["feed"][..], day].concat(), data).output().unwrap();
    assert_eq!(printed.stdout, file, "{}", String::from_utf8_lossy(&printed.stderr));
    messages(&file)
}

#[test]
fn each_day_is_a_file_that_begins_and_ends() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let data = directory.path();
    apply(data, &[WORLD, DAY, DAY].concat());
    let days = [feed(data, &["--day", "1"]), feed(data, &["--day", "2"])];
    for day in &days {
        assert!(is_event(&day[0], Day::MESSAGES_START), "{day:?}");
        assert!(is_event(day.last().unwrap(), Day::MESSAGES_END), "{day:?}");
        let added = day.iter().filter(|message| matches!(message, Message::Added(_)));
        assert_eq!(added.count(), 1, "{day:?}");
    }
    assert_eq!(feed(data, &["--day", "all"]), days.concat());
    assert_eq!(feed(data, &[]), days[1], "nothing was said on the third day yet");
    assert_eq!(feed(data, &["--day", "3"]), []);
    apply(data, DAY.lines().next().unwrap());
    let third = feed(data, &[]);
    assert!(is_event(&third[0], Day::MESSAGES_START), "{third:?}");
    assert!(!third.iter().any(|message| is_event(message, Day::MESSAGES_END)), "it goes on");
}

#[test]
fn a_day_has_the_name_of_its_session() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let data = directory.path();
    apply(data, &[WORLD, DAY, DAY].concat());
    let no = run(&["feed", "--day", "4"], data).expect(2, &["--day 4", "days 1 to 3"]);
    let name = no.err.trim_end().rsplit(' ').next().unwrap();
    assert_eq!(name.len(), 10, "{name}");
    assert_eq!(feed(data, &["--day", name]), []);
    run(&["feed", "--day", "NOSUCH"], data).expect(2, &["--day NOSUCH"]);
}

#[test]
fn what_is_missing_is_named() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let data = directory.path();
    run(&["feed"], data).expect(2, &["events: no event log there", "--data takes"]);
    apply(data, &[WORLD, DAY].concat());
    let nowhere = data.join("nowhere").join("feed");
    let Done { err, .. } = run(&["feed", "--out", nowhere.to_str().unwrap()], data)
        .expect(3, &["cannot create", "nowhere/feed.part"]);
    assert!(!err.contains("messages"), "{err}");
    let socket = data.join("socket");
    let _socket = UnixListener::bind(&socket).unwrap();
    for out in [".", "/", "..", data.to_str().unwrap(), socket.to_str().unwrap()] {
        run(&["feed", "--out", out], data).expect(2, &["--out", out, "no regular file"]);
    }
    assert!(!Path::new("..part").exists() && !data.join("socket.part").exists());
    // A log that was begun later, as --begin-event-log does where it was lost.
    fs::remove_dir_all(data.join("events")).unwrap();
    run(&["feed"], data).expect(2, &["no event log there"]);
}
