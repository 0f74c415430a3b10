//! An appender that is faster than the device is held back, never broken.

use ringframe_journal::{Append, Frame, Journal, Options, Reader, SimulatedStorage};

fn options() -> Options {
    let segment_bytes = Options::SEGMENT_BYTES_MIN;
    Options { segment_bytes, slice_bytes: segment_bytes, ..Options::new("test", 1) }
}

/// One sync may take longer than the filling of several segments.
#[test]
fn rolls_wait_for_a_syncer_that_does_not_come() {
    let storage = SimulatedStorage::new();
    let Journal { mut writer, mut syncer, mut keeper, .. } =
        Journal::open(storage.clone(), options()).unwrap();
    let payload = vec![7; 20_000];
    let (mut now, mut waits) = (0, 0);
    while waits < 100 {
        now += 1_000_000;
        let sequence = writer.next_sequence();
        let frame =
            Frame { sequence, timestamp: now, epoch: 1, kind: 1, schema: 1, payload: &payload };
        match writer.append(&frame).unwrap() {
            Append::Done => assert!(sequence < 1000, "never held back"),
            Append::Wait => waits += 1,
        }
        writer.publish().unwrap();
        keeper.poll(now).unwrap();
    }
    let last = writer.next_sequence() - 1;
    syncer.poll(now).unwrap();
    assert_eq!(writer.positions().synced(), last);
    for _ in 0..20 {
        keeper.poll(now).unwrap();
    }
    let mut reader = Reader::open(storage, 1).unwrap();
    while reader.next_frame().unwrap().is_some() {}
    assert_eq!(reader.next_sequence(), last + 1);
}
