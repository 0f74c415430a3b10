//! A small journal, cleanly closed, then damaged everywhere: every byte flipped, every length cut.
//! Nothing panics, no wrong frame is read, and the verdict names the file, the bytes and the
//! sequences.
//!
//! Sampled, because every byte behaves the same there: the zeros behind the frames, the zeros
//! around header and seal, and the inside of one 64 KiB payload.

use crate::common::{PAGE, check_seals, options, seal_of};
use ringframe_journal::frame::{Decoded, decode};
use ringframe_journal::segment::file_name;
use ringframe_journal::storage::Storage;
use ringframe_journal::{
    Append, DamagedRange, Error, Frame, Journal, Reader, SimulatedStorage, Survival, attest, survey,
};

const SYNCED: &str = "synced";
/// Payload sizes: the second segment begins with the big one, the third with the one after the 40.
const SIZES: [usize; 14] = [0, 1, 700, 1500, 9, 64, 2000, 300, 64 * 1024, 40, 3990, 17, 0, 333];

fn payload(sequence: u64) -> Vec<u8> {
    let mut random = crate::common::Random(sequence);
    (0..SIZES[sequence as usize - 1]).map(|_| random.next() as u8).collect()
}

fn frames() -> u64 {
    SIZES.len() as u64
}

fn closed_journal() -> SimulatedStorage {
    let disk = SimulatedStorage::new();
    let mut journal = Journal::open(disk.clone(), options()).unwrap();
    for sequence in 1..=frames() {
        let payload = payload(sequence);
        let (timestamp, epoch) = (sequence * 1000, 1);
        let frame = Frame { sequence, timestamp, epoch, kind: 1, schema: 1, payload: &payload };
        while journal.writer.append(&frame).unwrap() == Append::Wait {
            journal.syncer.poll(0).unwrap();
            journal.keeper.poll(0).unwrap();
        }
        journal.writer.publish().unwrap();
        journal.syncer.poll(0).unwrap();
        // The keeper seals in slices, and leaves the device alone while it is ahead.
        while journal.keeper.poll(0).unwrap() > 0 {}
    }
    journal.close(0).unwrap();
    assert!(seal_of(&disk, 1).is_some() && seal_of(&disk, 2).is_some());
    assert!(layout(&disk, 3).len() == 4 && seal_of(&disk, 3).is_none());
    disk.copy()
}

/// Every frame of a segment, the End frame included: sequence, begin, end.
fn layout(disk: &SimulatedStorage, number: u64) -> Vec<(u64, u64, u64)> {
    let bytes = disk.contents(&file_name(number)).unwrap();
    let mut frames = Vec::new();
    let mut at = PAGE as usize;
    while let Decoded::Frame(frame) = decode(&bytes[at..]) {
        let from = at;
        at += frame.bytes().len();
        frames.push((frame.sequence(), from as u64, at as u64));
    }
    frames
}

/// Reads until the end or an error; every frame must be the one that was appended.
fn read(disk: &SimulatedStorage) -> (u64, Result<(), Error>) {
    let mut reader = match Reader::open_first(disk.clone()) {
        Ok(reader) => reader,
        Err(error) => return (0, Err(error)),
    };
    let mut last = 0;
    loop {
        match reader.next_frame() {
            Ok(Some(frame)) => {
                last += 1;
                assert_eq!((frame.sequence(), frame.timestamp()), (last, last * 1000));
                assert_eq!(frame.payload(), payload(last), "frame {last}");
            }
            Ok(None) => return (last, Ok(())),
            Err(error) => return (last, Err(error)),
        }
    }
}

fn damaged<T>(result: Result<T, Error>, what: &str) -> DamagedRange {
    match result {
        Err(Error::Damaged(range)) => range,
        Err(error) => panic!("{what}: {error}"),
        Ok(_) => panic!("{what}: accepted"),
    }
}

fn open(disk: &SimulatedStorage) -> Result<Journal<SimulatedStorage>, Error> {
    Journal::open(disk.clone(), options())
}

fn read_whole(disk: &SimulatedStorage, what: &str) {
    let (last, result) = read(disk);
    assert!(result.is_ok() && last == frames(), "{what}: {last}, {result:?}");
}

/// Reading and opening lose nothing.
fn nothing_lost(disk: &SimulatedStorage, what: &str) -> Journal<SimulatedStorage> {
    read_whole(disk, what);
    let journal = open(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(journal.recovery.next, frames() + 1, "{what}");
    read_whole(disk, what);
    check_seals(disk);
    journal
}

/// The verdict for a damaged frame: exactly its bytes, exactly its sequence.
fn names_frame(range: &DamagedRange, disk: &SimulatedStorage, number: u64, at: u64, what: &str) {
    let frames = layout(disk, number);
    let index = frames.iter().position(|(_, _, to)| at < *to).expect("in a frame");
    let (sequence, from, _) = frames[index];
    let next = frames.get(index + 1);
    let is_end = index + 1 == frames.len() && number < 3;
    assert_eq!((&range.path, range.from), (&path(number), from), "{what}: {range}");
    match next {
        Some(&(after, to, _)) => {
            assert_eq!((range.to, range.sequence_to), (to, after - 1), "{what}");
        }
        None => assert!(range.to > at, "{what}: {range}"),
    }
    let to = if is_end { sequence - 1 } else { sequence };
    assert_eq!((range.sequence_from, range.sequence_to), (sequence, to), "{what}: {range}");
}

fn path(number: u64) -> std::path::PathBuf {
    std::path::Path::new("simulated").join(file_name(number))
}

fn flip(whole: &SimulatedStorage, number: u64, at: u64, mask: u8) {
    let what = format!("segment {number} byte {at} mask {mask:#x}");
    let disk = whole.copy();
    disk.flip(&file_name(number), at, mask);
    let end = layout(whole, number).last().unwrap().2;
    let sealed = number < 3;
    match at {
        0..128 => {
            let (last, result) = read(&disk);
            assert_eq!(last, layout(whole, number)[0].0 - 1, "{what}");
            for range in [damaged(result, &what), damaged(open(&disk), &what)] {
                assert!(range.path == path(number) && range.from == 0 && at < range.to, "{what}");
                assert!(range.sequence_from > range.sequence_to, "{what}: {range}");
            }
        }
        512..640 if number == 1 => {
            let range = damaged(open(&disk), &what);
            assert_eq!((&range.path, range.from, range.to), (&path(1), 512, 640), "{what}");
        }
        512..640 => {
            // The newest seal is made again from the frames; in the active segment it is cleared.
            nothing_lost(&disk, &what);
            assert_eq!(seal_of(&disk, number), seal_of(whole, number), "{what}");
        }
        128..4096 => assert_eq!(nothing_lost(&disk, &what).recovery.cut, None, "{what}"),
        _ if at < end => {
            let (last, result) = read(&disk);
            let range = damaged(result, &what);
            assert_eq!(last + 1, range.sequence_from, "{what}");
            names_frame(&range, whole, number, at, &what);
            if sealed && !at.is_multiple_of(16) {
                return;
            }
            if sealed {
                // Opening trusts what was sealed; reading and verifying do not.
                open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
            } else {
                names_frame(&damaged(open(&disk), &what), whole, number, at, &what);
            }
        }
        _ if sealed => assert_eq!(nothing_lost(&disk, &what).recovery.cut, None, "{what}"),
        _ => {
            let torn =
                disk.contents(&file_name(number)).unwrap()[end as usize..=at as usize].to_vec();
            let cut = nothing_lost(&disk, &what).recovery.cut.expect("a cut");
            assert_eq!((cut.path, cut.from, cut.to), (path(number), end, at + 1), "{what}");
            let kept = cut.kept_in[0].file_name().unwrap().to_str().unwrap().to_owned();
            assert_eq!(kept, format!("{number:010}.{end}-{}.cut", at + 1));
            assert!(disk.contents(&kept).unwrap() == torn, "{what}");
            let name = file_name(number);
            assert!(disk.contents(&name) == whole.contents(&name), "{what}: not cut");
        }
    }
}

/// The bytes to try: all, but for a sample where they behave the same.
fn places(disk: &SimulatedStorage, number: u64) -> Vec<u64> {
    let big = layout(disk, 2)[0];
    let end = layout(disk, number).last().unwrap().2;
    let bytes = disk.contents(&file_name(number)).unwrap().len() as u64;
    let sampled = |at: u64| {
        (128..504).contains(&at)
            || (648..4088).contains(&at)
            || number == 2 && (big.1 + 64..big.2 - 64).contains(&at)
            || (end + 64..bytes - 64).contains(&at)
    };
    (0..bytes).filter(|&at| !sampled(at) || at.is_multiple_of(211)).collect()
}

#[test]
fn every_flipped_byte_is_judged() {
    let whole = closed_journal();
    for number in 1..=3 {
        for at in places(&whole, number) {
            flip(&whole, number, at, 1 << (at % 8));
        }
    }
}

#[test]
fn a_flip_in_the_watermark_loses_nothing() {
    let whole = closed_journal();
    for at in (0..64).chain(4096..4160).chain((64..8192).step_by(211)) {
        for mask in [1, 0x80] {
            let disk = whole.copy();
            disk.flip(SYNCED, at, mask);
            assert_eq!(nothing_lost(&disk, &format!("mark {at}")).recovery.cut, None);
        }
    }
}

#[test]
fn every_truncated_length_is_judged() {
    let whole = closed_journal();
    for number in 1..=3 {
        let frames = layout(&whole, number);
        let end = frames.last().unwrap().2;
        for length in places(&whole, number) {
            let what = format!("segment {number} of length {length}");
            let disk = whole.copy();
            disk.edit(&file_name(number), |bytes| bytes.truncate(length as usize));
            if length >= end {
                assert_eq!(nothing_lost(&disk, &what).recovery.cut, None, "{what}");
                continue;
            }
            let (last, result) = read(&disk);
            let lost = frames.iter().find(|(_, _, to)| length < *to).unwrap().0;
            let lost = if length < 128 { frames[0].0 } else { lost };
            assert_eq!(last + 1, lost, "{what}");
            let last_there = frames.last().unwrap().0 - u64::from(number < 3);
            for range in [damaged(result, &what), damaged(open(&disk), &what)] {
                assert!(range.path == path(number) && range.to >= length, "{what}: {range}");
                assert!(range.from <= length.max(PAGE), "{what}: {range}");
                if length >= PAGE {
                    let lost = (range.sequence_from, range.sequence_to);
                    assert_eq!(lost, (last + 1, last_there), "{what}: {range}");
                }
            }
        }
    }
    for length in (0..128).chain(4000..4200).chain((128..8192).step_by(97)) {
        let disk = whole.copy();
        disk.edit(SYNCED, |bytes| bytes.truncate(length));
        nothing_lost(&disk, &format!("mark of length {length}"));
    }
}

#[test]
fn a_missing_file_is_named() {
    let whole = closed_journal();
    let without = |name: &str| {
        let disk = whole.copy();
        disk.remove(name).unwrap();
        disk
    };
    for number in 2..=3 {
        let disk = without(&file_name(number));
        let what = format!("without segment {number}");
        let (first, last) = if number == 2 { (9, 10) } else { (11, 14) };
        let (read_to, result) = read(&disk);
        assert_eq!(read_to, first - 1);
        for range in [damaged(result, &what), damaged(open(&disk), &what)] {
            assert_eq!(range.path, path(number), "{what}");
            assert_eq!((range.sequence_from, range.sequence_to), (first, last), "{what}: {range}");
        }
    }
    nothing_lost(&without(SYNCED), "without the watermark");
    let empty = without(&file_name(1));
    for number in 2..=4 {
        let _ = empty.remove(&file_name(number));
    }
    assert_eq!(damaged(open(&empty), "without segments").sequence_to, frames());
    assert_eq!(damaged(read(&empty).1, "without segments").sequence_to, frames());
}

#[test]
fn a_hole_of_zeros_is_refused_with_its_exact_range() {
    let disk = SimulatedStorage::new();
    crate::common::life(&disk, 3, 200, 6);
    let newest = survey(&disk).unwrap();
    let newest = newest.iter().rfind(|info| info.header.good().is_some()).unwrap().number;
    let frames = layout(&disk, newest);
    assert!(frames.last().unwrap().2 > 5 * PAGE, "the active segment is too empty to damage");
    let copy = disk.copy();
    copy.edit(&file_name(newest), |bytes| bytes[8192..12288].fill(0));
    let first = frames.iter().find(|(_, _, to)| *to > 8192).unwrap();
    let after = frames.iter().find(|(_, from, _)| *from >= 12288).unwrap();
    let mut reader = Reader::open(copy.clone(), 1).unwrap();
    let read = loop {
        match reader.next_frame() {
            Ok(frame) => assert!(frame.is_some(), "the hole was not seen"),
            Err(error) => break Err::<(), _>(error),
        }
    };
    for range in [damaged(open(&copy), "hole"), damaged(read, "hole")] {
        assert_eq!((range.from, range.to), (first.1, after.1), "{range}");
        assert_eq!((range.sequence_from, range.sequence_to), (first.0, after.0 - 1), "{range}");
    }
}

/// A journal that came as files brings no mark: without one, what is hurt at its end is taken for a
/// torn tail.
#[test]
fn what_is_attested_is_no_torn_tail() {
    let disk = closed_journal();
    disk.remove(SYNCED).unwrap();
    let (sequence, from, _) = layout(&disk, 3)[1];
    let hurt = |disk: SimulatedStorage| {
        disk.flip(&file_name(3), from + 17, 4);
        disk
    };
    let cut = Journal::open(hurt(disk.copy()), options()).unwrap().recovery;
    assert!(cut.cut.is_some() && cut.next == sequence, "{cut:?}");
    attest(&disk).unwrap();
    let kept = hurt(disk.after_crash(Survival::Nothing));
    let Err(Error::Damaged(range)) = Journal::open(kept, options()) else { panic!("it opens") };
    assert_eq!(range.sequence_from, sequence);
    assert_eq!(Journal::open(disk, options()).unwrap().recovery.next, frames() + 1);
}
