//! A journal whose files were edited at will: reading, looking and opening never panic, a frame
//! that is read is a frame that was appended, and a journal that opens takes frames and
//! gives them back.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use ringframe_journal::storage::Storage;
use ringframe_journal::{
    Append, Frame, Journal, Keeper, Options, Reader, SimulatedStorage, Writer, survey,
};

const FRAMES: u64 = 24;
const MORE: u64 = 8;
/// An edit in the input: what, which file, where, how long, a byte.
const EDIT_BYTES: usize = 10;
const EDITS_MAX: usize = 8;

fn options() -> Options {
    let segment_bytes = Options::SEGMENT_BYTES_MIN;
    Options { segment_bytes, slice_bytes: segment_bytes, ..Options::new("fuzz", 1) }
}

/// A payload follows from its sequence, so whoever reads knows what must be there.
fn payload(sequence: u64) -> Vec<u8> {
    vec![sequence as u8 | 1; (sequence * 911 % 12_000) as usize]
}

fn append(writer: &mut Writer<SimulatedStorage>) -> Append {
    let sequence = writer.next_sequence();
    let (epoch, payload) = (writer.epoch().max(1), payload(sequence));
    let frame =
        Frame { sequence, timestamp: sequence, epoch, kind: 1, schema: 1, payload: &payload };
    writer.append(&frame).expect("the next frame is taken")
}

/// Enough slices to prepare a segment and to seal one; the keeper paces itself by the given time.
fn keep(keeper: &mut Keeper<SimulatedStorage>) {
    for second in 1..=12 {
        keeper.poll(second * 1_000_000_000).unwrap();
    }
}

/// Three segments: one sealed, one complete, one that takes frames.
fn fresh() -> SimulatedStorage {
    static JOURNAL: OnceLock<SimulatedStorage> = OnceLock::new();
    let made = JOURNAL.get_or_init(|| {
        let storage = SimulatedStorage::new();
        let mut journal = Journal::open(storage.clone(), options()).unwrap();
        while journal.writer.next_sequence() <= FRAMES {
            while append(&mut journal.writer) == Append::Wait {
                keep(&mut journal.keeper);
            }
            journal.writer.publish().unwrap();
            // The last frames are not durable: a torn tail is possible.
            if journal.writer.next_sequence() <= FRAMES - 3 {
                journal.syncer.poll(0).unwrap();
            }
        }
        storage.copy()
    });
    made.copy()
}

fn edit(storage: &SimulatedStorage, edit: &[u8; EDIT_BYTES]) {
    let [what, file, place @ ..] = edit;
    let mut names = storage.list().unwrap();
    names.sort();
    let Some(name) = names.get(*file as usize % names.len().max(1)) else { return };
    let at = u32::from_le_bytes(place[..4].try_into().unwrap()) as usize;
    let count = usize::from(u16::from_le_bytes([place[4], place[5]]));
    let (byte, repeat) = (place[6], place[7]);
    let length = storage.contents(name).map_or(0, |bytes| bytes.len());
    let from = if length == 0 { 0 } else { at % length };
    let to = (from + count).min(length);
    match what % 7 {
        0 if from < length => storage.flip(name, from as u64, byte),
        1 => storage.edit(name, |bytes| bytes[from..to].fill(byte)),
        2 => storage.edit(name, |bytes| bytes[from..to].fill(0)),
        3 => storage.edit(name, |bytes| bytes.truncate(from)),
        4 => storage.edit(name, |bytes| bytes.resize(length + count, byte)),
        // A range copied elsewhere: good frames in the wrong place.
        5 => storage.edit(name, |bytes| {
            let target = (from + usize::from(repeat) * 8).min(length);
            let count = count.min(length - target);
            bytes.copy_within(from..(from + count).min(length), target);
        }),
        6 => storage.remove(name).unwrap(),
        _ => {}
    }
}

/// Reads all there is; whatever is read must be what was appended.
fn read(storage: &SimulatedStorage, from: Option<u64>) -> u64 {
    let reader = match from {
        Some(sequence) => Reader::open(storage.clone(), sequence),
        None => Reader::open_first(storage.clone()),
    };
    let Ok(mut reader) = reader else { return 0 };
    let mut last = 0;
    while let Ok(Some(frame)) = reader.next_frame() {
        assert!(last == 0 || frame.sequence() == last + 1, "a gap after {last}");
        last = frame.sequence();
        assert!(frame.payload() == payload(last), "a wrong frame {last} was accepted");
        assert_eq!((frame.timestamp(), frame.epoch(), frame.kind()), (last, 1, 1));
    }
    last
}

fuzz_target!(|input: &[u8]| {
    let storage = fresh();
    for (bytes, _) in input.chunks_exact(EDIT_BYTES).zip(0..EDITS_MAX) {
        edit(&storage, bytes.try_into().unwrap());
    }
    let before: Vec<_> = storage.list().unwrap().iter().map(|n| storage.contents(n)).collect();
    let _ = survey(&storage);
    read(&storage, None);
    read(&storage, Some(3));
    let after: Vec<_> = storage.list().unwrap().iter().map(|n| storage.contents(n)).collect();
    assert!(before == after, "reading changed something");

    let Ok(mut journal) = Journal::open(storage.clone(), options()) else { return };
    // Opening does not read what is sealed again, verifying does: older frames may be damaged.
    let from = journal.recovery.next;
    let last = from + MORE - 1;
    while journal.writer.next_sequence() <= last {
        while append(&mut journal.writer) == Append::Wait {
            journal.syncer.poll(0).unwrap();
            keep(&mut journal.keeper);
        }
        journal.writer.publish().unwrap();
    }
    journal.close(0).unwrap();
    assert_eq!(read(&storage, Some(from)), last, "not all is there from {from}");
    let again = Journal::open(storage, options()).expect("a journal that was closed opens");
    assert_eq!(again.recovery.next, last + 1);
    assert_eq!(again.recovery.cut, None);
});
