//! Verification and comparison: every flipped byte is found where it is, a live journal is whole.

use ringframe_journal::segment::file_name;
use ringframe_journal::{
    Append, Cut, Damage, Difference, Frame, Journal, Options, SegmentState, Side, SimulatedStorage,
    Verification, diff, survey, verify,
};

fn options() -> Options {
    Options { segment_bytes: Options::SEGMENT_BYTES_MIN, ..Options::new("test", 1) }
}

/// Appends up to `last`, polling the helpers by hand.
fn append(journal: &mut Journal<SimulatedStorage>, last: u64, first_byte: u8) {
    while journal.writer.next_sequence() <= last {
        let sequence = journal.writer.next_sequence();
        // Long payloads make few frames fill a segment.
        let mut payload = vec![sequence as u8; (sequence * 977 % 12_000) as usize + 1];
        payload[0] = first_byte;
        let frame = Frame {
            sequence,
            timestamp: sequence,
            epoch: 1,
            kind: 1,
            schema: 1,
            payload: &payload,
        };
        let appended = journal.writer.append(&frame).unwrap();
        journal.writer.publish().unwrap();
        if appended == Append::Wait || sequence.is_multiple_of(3) {
            journal.syncer.poll(sequence).unwrap();
            journal.keeper.poll(sequence).unwrap();
        }
    }
}

/// Two sealed segments, one with frames, one prepared; everything in them durable.
fn written(last: u64) -> SimulatedStorage {
    let storage = SimulatedStorage::new();
    let mut journal = Journal::open(storage.clone(), options()).unwrap();
    append(&mut journal, last, 7);
    journal.close(last).unwrap();
    storage
}

fn check(storage: &SimulatedStorage) -> Verification {
    verify(storage, 1, |_, _| {}).unwrap()
}

fn last_number(storage: &SimulatedStorage) -> u64 {
    survey(storage).unwrap().last().unwrap().number
}

#[test]
fn a_whole_journal_has_no_findings_and_all_frames() {
    let storage = written(30);
    for threads in [1, 3, 64] {
        let told = std::sync::Mutex::new((0, 0));
        let verification = verify(&storage, threads, |done, total| {
            let mut told = told.lock().unwrap();
            *told = (told.0.max(done), total);
        })
        .unwrap();
        assert_eq!(verification.findings().count(), 0, "{:?}", verification.findings().next());
        assert_eq!(verification.torn(), None);
        assert_eq!(verification.sequences(), Some((1, 30)));
        assert_eq!((verification.frames(), verification.synced), (30, 30));
        let sealed = verification.segments.iter().filter(|s| s.state == SegmentState::Sealed);
        assert!(sealed.count() >= 2);
        let (done, total) = *told.lock().unwrap();
        assert_eq!(done, total);
    }
}

#[test]
fn every_flipped_byte_is_found_where_it_is() {
    let storage = written(30);
    let whole = check(&storage);
    for report in &whole.segments {
        let name = file_name(report.number);
        let active = report.state == SegmentState::Active;
        let prepared = report.state == SegmentState::Prepared;
        let end = 4096 + report.bytes;
        let block = (0..640).chain((640..4160).step_by(97));
        for offset in block.chain((4160..report.file_bytes).step_by(1009)) {
            storage.flip(&name, offset, 0x10);
            let found = check(&storage);
            let findings: Vec<_> = found.findings().collect();
            let what = format!("segment {} byte {offset}: {findings:?}", report.number);
            if prepared || (active && offset >= end) {
                let here = found.segments.iter().find(|here| here.number == report.number);
                let torn = here.and_then(|here| here.torn.as_ref()).expect(&what);
                assert!(found.torn().is_some(), "{what}");
                assert!(torn.from <= offset && offset < torn.to, "{what} {torn:?}");
                assert!(findings.is_empty(), "{what}");
            } else {
                assert_eq!(findings.len(), 1, "{what}");
                assert_eq!(findings[0].path, report.path, "{what}");
                assert!(findings[0].from <= offset && offset < findings[0].to, "{what}");
                let lost = findings[0].sequence_to + 1 - findings[0].sequence_from;
                let in_frame = (4096..end).contains(&offset);
                assert_eq!(lost, u64::from(in_frame), "{what}");
            }
            storage.flip(&name, offset, 0x10);
        }
    }
}

#[test]
fn two_places_are_two_findings_and_a_hole_is_seen() {
    let storage = written(30);
    let report = &check(&storage).segments[0];
    let name = file_name(1);
    storage.flip(&name, 4096 + 40, 1);
    storage.edit(&name, |bytes| bytes[40_960..45_056].fill(0));
    let found = check(&storage);
    let findings: Vec<_> = found.findings().collect();
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert_eq!((findings[0].sequence_from, findings[0].sequence_to), (1, 1));
    assert!(findings[1].from <= 40_960 && findings[1].to >= 45_056, "{findings:?}");
    assert!(findings[1].sequence_to < report.sequences.unwrap().1);
    assert!(found.segments[0].frames < report.frames);
}

#[test]
fn a_missing_segment_a_swapped_one_and_a_short_one_are_found() {
    use ringframe_journal::storage::Storage;
    let storage = written(30);
    storage.remove(&file_name(2)).unwrap();
    let found = check(&storage);
    assert_eq!(found.missing.len(), 1);
    assert_eq!(found.missing[0].damage, Damage::Missing);

    // The same sequences, whole in themselves, but not this journal's.
    let storage = written(30);
    let other = SimulatedStorage::new();
    let mut journal = Journal::open(other.clone(), options()).unwrap();
    append(&mut journal, 30, 8);
    journal.close(30).unwrap();
    let foreign = other.contents(&file_name(2)).unwrap();
    storage.edit(&file_name(2), |bytes| bytes.clone_from(&foreign));
    let found = check(&storage);
    let places: Vec<_> = found.findings().map(|range| (range.path.clone(), range.damage)).collect();
    assert!(places.contains(&(storage.path(&file_name(2)), Damage::Chain)), "{places:?}");

    let storage = written(30);
    let sealed = check(&storage).segments[1].bytes;
    storage.edit(&file_name(2), |bytes| bytes.truncate(4096 + sealed as usize / 2));
    let found = check(&storage);
    let range = found.findings().next().unwrap();
    assert_eq!(range.path, storage.path(&file_name(2)));
    assert_eq!(range.sequence_to, check(&written(30)).segments[1].sequences.unwrap().1);

    // Everything after the first segment is gone, but the watermark remembers.
    let storage = written(30);
    for number in 2..=last_number(&storage) {
        storage.remove(&file_name(number)).unwrap();
    }
    let found = check(&storage);
    assert_eq!(found.missing[0].sequence_to, 30);
}

#[test]
fn a_journal_being_written_is_whole_at_every_step() {
    let storage = SimulatedStorage::new();
    let mut journal = Journal::open(storage.clone(), options()).unwrap();
    for last in 1..=40 {
        append(&mut journal, last, 7);
        let found = check(&storage);
        assert_eq!(found.findings().count(), 0, "{last}: {:?}", found.findings().next());
        assert_eq!(found.torn(), None, "{last}");
        assert_eq!(found.sequences(), Some((1, last)));
    }
}

#[test]
fn diff_names_the_first_frame_that_differs_or_the_end() {
    let left = written(30);
    assert_eq!(
        diff(left.clone(), written(30)).unwrap(),
        Difference::Nothing { frames: 30, next: 31 }
    );
    let ends = diff(left.clone(), written(20)).unwrap();
    assert_eq!(ends, Difference::Ends { side: Side::Right, sequence: 21, frames: 20 });
    let empty = SimulatedStorage::new();
    let ends = diff(empty, left.clone()).unwrap();
    assert_eq!(ends, Difference::Ends { side: Side::Left, sequence: 1, frames: 0 });

    let right = SimulatedStorage::new();
    let mut journal = Journal::open(right.clone(), options()).unwrap();
    append(&mut journal, 17, 7);
    append(&mut journal, 30, 8);
    journal.close(30).unwrap();
    let Difference::Frame { left, right } = diff(left, right).unwrap() else {
        panic!("they differ")
    };
    assert_eq!((left.frame().sequence(), right.frame().sequence()), (18, 18));
    assert_eq!((left.number, left.offset), (right.number, right.offset));
    assert_eq!((left.frame().payload()[0], right.frame().payload()[0]), (7, 8));
}

#[test]
fn verify_and_opening_agree_on_what_a_crash_left() {
    let (mut torn, mut steps) = (0, 0);
    for lazy in [6, 50] {
        let storage = SimulatedStorage::new();
        crate::common::life(&storage, 1, 100, lazy);
        steps += storage.steps();
        for step in (0..=storage.steps()).step_by(3) {
            let storage = SimulatedStorage::new();
            storage.crash_at(step);
            crate::common::life(&storage, 1, 100, lazy);
            for survival in crate::common::survivals(step) {
                let left = storage.after_crash(survival);
                let found = check(&left);
                let cut = Journal::open(left, crate::common::options()).unwrap().recovery.cut;
                let what = format!("lazy {lazy}, step {step}, {survival:?}");
                assert_eq!(found.findings().next(), None, "{what}");
                let place = |cut: &Cut| Cut { kept_in: Vec::new(), ..cut.clone() };
                assert_eq!(found.torn().map(place), cut.as_ref().map(place), "{what}");
                torn += u64::from(cut.is_some());
            }
        }
    }
    assert!(torn > steps / 10, "{torn} of {steps} crashes tore anything");
}
