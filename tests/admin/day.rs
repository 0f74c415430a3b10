//! A day ends while clients are connected, and the next one begins, without a restart.

use std::path::Path;
use std::process::Command;

use ringframe::exchange::command::State;
use ringframe::wire::ouch::{Day, Outbound, Side};
use ringframe::wire::soup::LoginReject;
use serde_json::Value;

use crate::http::{admin, change, end_day, get, operate, post, status, status_when};
use crate::peer::{Heard, PRICE, Peer, answered, order, token};
use crate::program::{Done, PROGRAM, Serving, run};

const USER: u16 = 5;

/// All that comes until the connection is closed, which an end of session announces.
#[track_caller]
fn to_the_end(peer: &mut Peer) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    loop {
        match peer.next() {
            Heard::Message(_, bytes) => messages.push(bytes),
            Heard::Heartbeat => {}
            Heard::End => break,
            other => panic!("{other:?} after {} messages", messages.len()),
        }
    }
    assert_eq!(peer.hear_the_end(), []);
    messages
}

#[test]
fn a_day_ends_under_clients_and_the_next_begins() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let serving = Serving::start(&["--release", "journaled"], data);
    let (to, [orders, market]) = (admin(&serving), serving.addresses);
    let mut sessions = Vec::new();
    for day in 0..3 {
        let mut peer = Peer::from(orders, USER, 1);
        let mut reader = Peer::from(market, USER, 1);
        assert!(peer.session == reader.session && !sessions.contains(&peer.session));
        let first = Outbound::decode(&peer.message().1).unwrap();
        assert!(matches!(first, Outbound::SystemEvent(said) if said.event == Day::START));
        // The same tokens, every day.
        for number in 0..3 {
            peer.order(&order(number, Side::BUY, 100, PRICE)).unwrap();
            assert!(matches!(peer.told(), Outbound::Accepted(_)), "day {day}");
        }
        let said = status_when(to, |it| it["clients"]["day"] == peer.session.to_string());
        assert_eq!(said["state"], "serving");
        // While an instrument is open, a day does not end.
        let said = end_day(to);
        assert_eq!(said["accepted"], false, "{said}");
        change(to, State::Closed);
        let said = end_day(to);
        assert_eq!(said["accepted"], true, "{said}");
        assert!(said["events"][0]["day_ended"]["tokens"].as_u64() >= Some(3), "{said}");
        let told = to_the_end(&mut peer);
        let last = Outbound::decode(told.last().unwrap()).unwrap();
        assert!(matches!(last, Outbound::SystemEvent(said) if said.event == Day::END), "{last:?}");
        let seen = to_the_end(&mut reader);
        let last = seen.last().unwrap();
        assert!(last[0] == b'S' && last.last() == Some(&b'C'), "{last:?}");
        sessions.push(peer.session);
        for address in [orders, market] {
            let gone = Peer::log_in(address, USER, peer.session, 1).err();
            assert_eq!(gone, Some(LoginReject::SessionNotAvailable));
        }
        change(to, State::PreOpen);
        change(to, State::Open);
    }
    let said = status(to);
    let (at, digest) = (said["sequence"].to_string(), said["digest"].as_str().unwrap());
    operate(to, &["drain"], "").expect(0, &["drained at"]);
    serving.end().expect(0, &["drained"]);
    run(&["replay", "--digest", "--until", &at], data).expect(0, &[digest]);
    // What was done by hand is in the journal, and agrees with the log.
    run(&["replay", "--verify"], data).expect(0, &[]);
}

/// The event log would fill a disk in a week: what was told before today goes to the archive.
#[test]
fn what_was_told_before_today_is_pruned_and_today_is_told_again() {
    let directory = tempfile::tempdir().unwrap();
    let data = &directory.path().join("data");
    let place = directory.path().join("archive");
    let place = place.to_str().unwrap();
    let set = ["--set", "event_segment_bytes=72KiB", "--set", "segment_bytes=72KiB"];
    let settings = [&["--release", "journaled", "--archive", place][..], &set].concat();
    let serving = Serving::start(&settings, data);
    let (to, orders) = (admin(&serving), serving.addresses[0]);
    let trade = |from: u64| {
        let mut peer = Peer::from(orders, USER, 0);
        for number in from..from + 1_000 {
            peer.order(&order(number, Side::BUY, 100, PRICE)).unwrap();
            assert!(matches!(peer.told(), Outbound::Accepted(_)));
        }
    };
    let first = |to| {
        let (_, said) = get(to, "/segments");
        let said: Value = serde_json::from_str(&said).unwrap();
        let events = said["events"]["newest"].as_array().unwrap();
        events.last().unwrap()["first"].as_u64().unwrap()
    };
    let kept = |to| {
        assert_eq!(post(to, "/snapshot", "").0, 200);
        let (code, said) = post(to, "/archive?prune=true", "");
        assert_eq!(code, 200, "{said}");
        said["events"].clone()
    };
    trade(0);
    let said = kept(to);
    let none = said["pruned"] == 0 && said["below"] == 0;
    assert!(none && said["archived"].as_u64() > Some(0) && first(to) == 1, "{said}");
    change(to, State::Closed);
    assert_eq!(end_day(to)["accepted"], true);
    for state in [State::PreOpen, State::Open] {
        change(to, state);
    }
    trade(0);
    // As long as there is a snapshot of the day before, a start may need what it tells of.
    let said = kept(to);
    assert!(said["below"] == 0 && first(to) == 1, "{said}");
    for snapshots in 0.. {
        trade(1_000 * (snapshots + 1));
        let said = kept(to);
        assert!(said["kept_back"] == serde_json::json!([]) && snapshots < 10, "{said}");
        if said["pruned"].as_u64() > Some(0) {
            assert!(said["below"].as_u64() >= Some(first(to)) && first(to) > 1, "{said}");
            break;
        }
    }
    let began = first(to);
    serving.drain();
    // The counts of the day are enough, also where those of the last moment are lost.
    std::fs::remove_file(data.join("sessions/streams")).unwrap();
    let serving = Serving::start(&settings, data);
    let mut peer = Peer::from(serving.addresses[0], USER, 1);
    let start = Outbound::decode(&peer.message().1).unwrap();
    assert!(matches!(start, Outbound::SystemEvent(said) if said.event == Day::START), "{start:?}");
    for number in 0..1_000 {
        let told = peer.told();
        let is_it = answered(&told) == Some(token(number));
        assert!(is_it && matches!(told, Outbound::Accepted(_)), "{number}: {told:?}");
    }
    serving.drain();
    run(&["replay", "--verify"], data).expect(0, &["events are as in the log"]);
    let journal = |arguments: &[&str]| {
        let arguments = [&["journal"][..], arguments].concat();
        run(&arguments, data)
    };
    let info = journal(&["info", "--events"]).expect(0, &["event"]).out;
    assert!(info.contains(&format!("frames     {began}..=")), "{info}");
    journal(&["verify", "--events"]).expect(0, &["whole: "]);
    let prune = ["prune", "--events", "--archive", place];
    journal(&[&prune[..], &["--dry-run"]].concat()).expect(0, &["0 of "]);
    let nowhere = ["prune", "--events", "--archive", "nowhere"];
    journal(&nowhere).expect(3, &["nowhere/events: no such directory", "with --events"]);
    let archive = ["journal", "archive", "--to", place, "--events"];
    let whole = directory.path().join("whole");
    let into = whole.to_str().unwrap();
    for (what, said) in
        [(&["--verify"][..], "whole: "), (&["--restore", "--into", into], "restored")]
    {
        let done = Command::new(PROGRAM).args(archive).args(what).output().unwrap();
        Done::new(&done).expect(0, &[said]);
    }
    run(&["journal", "info", "--events"], &whole).expect(0, &["frames     1..="]);
    // With those that are not archived yet, it is the same market of today.
    for file in std::fs::read_dir(data.join("events")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), whole.join("events").join(file.file_name())).unwrap();
    }
    let feed = |data: &Path, day: &str| {
        let out = directory.path().join(day);
        run(&["feed", "--day", day, "--out", out.to_str().unwrap()], data).expect(0, &[]);
        std::fs::read(out).unwrap()
    };
    assert!(feed(data, "1") == feed(&whole, "2") && feed(&whole, "1") != feed(&whole, "2"));
}
