//! The journal on real files: the same promises as on the simulated disk, with real helpers.
#![expect(clippy::disallowed_methods, reason = "a test may wait and look at the clock")]

use std::time::{Duration, Instant};

use ringframe_journal::{
    Append, Error, Frame, Helpers, Journal, MappedStorage, Options, Reader, survey,
};

fn options() -> Options {
    Options { segment_bytes: Options::SEGMENT_BYTES_MIN, ..Options::new("test", 1) }
}

fn payload(sequence: u64) -> Vec<u8> {
    vec![sequence as u8; (sequence * 37 % 500) as usize]
}

fn append(journal: &mut ringframe_journal::Writer<MappedStorage>, count: u64) {
    for _ in 0..count {
        let sequence = journal.next_sequence();
        let payload = payload(sequence);
        let frame = Frame {
            sequence,
            timestamp: sequence,
            epoch: 1,
            kind: 1,
            schema: 1,
            payload: &payload,
        };
        while journal.append(&frame).unwrap() == Append::Wait {
            std::thread::yield_now();
        }
        journal.publish().unwrap();
    }
}

fn check(storage: &MappedStorage, last: u64) {
    let mut reader = Reader::open(storage.clone(), 1).unwrap();
    for sequence in 1..=last {
        let frame = reader.next_frame().unwrap().expect("a frame");
        assert_eq!(frame.sequence(), sequence);
        assert_eq!(frame.payload(), payload(sequence));
    }
    assert!(reader.next_frame().unwrap().is_none());
}

#[test]
fn frames_survive_rolls_and_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let storage = MappedStorage::new(directory.path());
    for round in 1..=3_u64 {
        let journal = Journal::open(storage.clone(), options()).unwrap();
        assert_eq!(journal.recovery.next, (round - 1) * 1000 + 1);
        assert_eq!(journal.recovery.cut, None);
        let Journal { mut writer, syncer, keeper, .. } = journal;
        let helpers = Helpers::spawn(syncer, keeper).unwrap();
        append(&mut writer, 1000);
        let positions = std::sync::Arc::clone(writer.positions());
        helpers.close(writer).unwrap();
        assert_eq!(positions.synced(), round * 1000);
        check(&storage, round * 1000);
    }
    let sealed = survey(&storage).unwrap().iter().filter(|info| info.seal.good().is_some()).count();
    assert!(sealed >= 5, "{sealed} segments were sealed");
}

#[test]
fn the_second_writer_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let storage = MappedStorage::new(directory.path());
    let first = Journal::open(storage.clone(), options()).unwrap();
    assert!(matches!(Journal::open(storage.clone(), options()), Err(Error::Locked { .. })));
    drop(first);
    Journal::open(storage, options()).unwrap();
}

#[test]
fn readers_follow_a_live_writer_through_rolls() {
    const FRAMES: u64 = 20_000;
    let directory = tempfile::tempdir().unwrap();
    let storage = MappedStorage::new(directory.path());
    let Journal { mut writer, syncer, keeper, .. } =
        Journal::open(storage.clone(), options()).unwrap();
    let helpers = Helpers::spawn(syncer, keeper).unwrap();
    let follow = |start: u64| {
        let storage = storage.clone();
        move || {
            let mut reader = Reader::open(storage, 1).unwrap();
            let mut sequence = 1;
            let deadline = Instant::now() + Duration::from_mins(2);
            while sequence <= FRAMES {
                assert!(Instant::now() < deadline, "stuck before {sequence}");
                match reader.next_frame().unwrap() {
                    Some(frame) => {
                        assert_eq!(frame.sequence(), sequence);
                        assert_eq!(frame.payload(), payload(sequence), "from {start}");
                        sequence += 1;
                    }
                    None => std::thread::yield_now(),
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let followers = [scope.spawn(follow(1)), scope.spawn(follow(2))];
        append(&mut writer, FRAMES);
        for follower in followers {
            follower.join().unwrap();
        }
    });
    helpers.close(writer).unwrap();
    assert!(survey(&storage).unwrap().len() > 50);
}
