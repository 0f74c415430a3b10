//! How many frames fit without a wait: what `room_for` promises is kept, and asking changes nothing
//! about where segments end.

use crate::common::{MARKS, Random, frame, options, payload};
use ringframe_journal::frame::FRAME_BYTES_MAX;
use ringframe_journal::segment::file_name;
use ringframe_journal::{Append, Error, Frame, Journal, Options, SimulatedStorage};

const FRAMES: u64 = 600;
/// The largest frame of the batches, as its payload.
const PAYLOAD_MAX: usize = 2000;

fn stored_max() -> usize {
    Frame { payload: &[0; PAYLOAD_MAX], ..frame(1, 1, &[]) }.stored_bytes()
}

fn short_payload(sequence: u64) -> Vec<u8> {
    let mut payload = payload(sequence, 1);
    payload.truncate(PAYLOAD_MAX);
    payload
}

fn poll(journal: &mut Journal<SimulatedStorage>, now: &mut u64) {
    *now += 1_000_000;
    journal.syncer.poll(*now).unwrap();
    journal.keeper.poll(*now).unwrap();
}

/// Appends in batches as large as there is room, the helpers polled at random; returns the disk
/// and how often there was no room at all.
fn in_batches(seed: u64) -> (SimulatedStorage, u32) {
    let disk = SimulatedStorage::new();
    let mut journal = Journal::open(disk.clone(), options()).unwrap();
    let (mut random, mut now, mut waits) = (Random(seed), 0, 0);
    while journal.writer.next_sequence() <= FRAMES {
        let room = journal.writer.room_for(stored_max()).unwrap() as u64;
        waits += u32::from(room == 0);
        let next = journal.writer.next_sequence();
        for sequence in next..(next + room).min(FRAMES + 1) {
            let payload = short_payload(sequence);
            let appended = journal.writer.append(&frame(sequence, 1, &payload)).unwrap();
            assert_eq!(appended, Append::Done, "seed {seed}: no room for {sequence} after all");
        }
        journal.writer.publish().unwrap();
        if room == 0 || random.one_in(3) {
            poll(&mut journal, &mut now);
        }
    }
    journal.close(now).unwrap();
    (disk, waits)
}

/// The same frames one by one, each offered until it is taken.
fn one_by_one() -> SimulatedStorage {
    let disk = SimulatedStorage::new();
    let mut journal = Journal::open(disk.clone(), options()).unwrap();
    let mut now = 0;
    for sequence in 1..=FRAMES {
        let payload = short_payload(sequence);
        while journal.writer.append(&frame(sequence, 1, &payload)).unwrap() == Append::Wait {
            poll(&mut journal, &mut now);
        }
        journal.writer.publish().unwrap();
    }
    journal.close(now).unwrap();
    disk
}

#[test]
fn what_there_is_room_for_never_waits_and_segments_end_where_they_would() {
    let expected = one_by_one();
    let there = |name: &String| expected.contents(name).is_some();
    let segments: Vec<String> = (1..FRAMES).map(file_name).take_while(there).collect();
    assert!(segments.len() > 3, "no rolls: {segments:?}");
    let mut waits = 0;
    for seed in 0..20 {
        let (found, waited) = in_batches(seed);
        waits += waited;
        for name in &segments {
            assert!(found.contents(name) == expected.contents(name), "seed {seed}: {name} differs");
        }
    }
    assert!(waits > 0, "there was always room");
}

#[test]
fn without_room_the_shortage_is_told_and_goes_away() {
    let disk = SimulatedStorage::new();
    disk.limit_free_bytes(Options::SEGMENT_BYTES_MIN + MARKS + 9000);
    let mut journal = Journal::open(disk.clone(), options()).unwrap();
    let mut now = 0;
    poll(&mut journal, &mut now);
    let error = loop {
        match journal.writer.room_for(stored_max()) {
            Ok(0) => panic!("no room and no reason"),
            Ok(_) => {
                let sequence = journal.writer.next_sequence();
                let payload = short_payload(sequence);
                let appended = journal.writer.append(&frame(sequence, 1, &payload)).unwrap();
                assert_eq!(appended, Append::Done);
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::NoSpace { free: 9000, .. }), "{error}");
    disk.limit_free_bytes(u64::MAX);
    now += 2_000_000_000;
    wait_for_room(&mut journal, &mut now, stored_max());
}

/// The keeper prepares no faster than frames come, unless it is asked.
#[test]
fn without_room_the_next_segment_is_asked_for() {
    let disk = SimulatedStorage::new();
    let mut journal = Journal::open(disk, options()).unwrap();
    assert_eq!(journal.writer.append(&frame(1, 1, &[7; 6000])).unwrap(), Append::Done);
    assert_eq!(journal.writer.room_for(FRAME_BYTES_MAX).unwrap(), 0);
    wait_for_room(&mut journal, &mut 0, FRAME_BYTES_MAX);
}

fn wait_for_room(journal: &mut Journal<SimulatedStorage>, now: &mut u64, stored_bytes: usize) {
    for _ in 0..100 {
        poll(journal, now);
        // The shortage may not be over yet.
        if journal.writer.room_for(stored_bytes).is_ok_and(|room| room > 0) {
            return;
        }
    }
    panic!("the segment that is wanted never comes");
}
