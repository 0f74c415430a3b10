//! An appender that is faster than the device is held back, never broken.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use ringframe_journal::{
    Append, Frame, Journal, Options, Reader, SimulatedStorage, Survival, Writer, during_syncs,
};

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

/// What is appended while a sync takes its time is not in it, and not reported by it: a loss of
/// power right behind it may take that.
#[test]
fn a_sync_tells_of_what_was_there_when_it_began() {
    let storage = SimulatedStorage::new();
    let Journal { writer, mut syncer, .. } = Journal::open(storage.clone(), options()).unwrap();
    let positions = Arc::clone(syncer.positions());
    let writer = Rc::new(RefCell::new(writer));
    let append = |writer: &RefCell<Writer<SimulatedStorage>>| {
        let mut writer = writer.borrow_mut();
        let (sequence, payload) = (writer.next_sequence(), vec![7; 9_000]);
        let frame =
            Frame { sequence, timestamp: 1, epoch: 1, kind: 1, schema: 1, payload: &payload };
        assert_eq!(writer.append(&frame).unwrap(), Append::Done);
        writer.publish().unwrap();
    };
    append(&writer);
    let (during, syncs) = (Rc::clone(&writer), Rc::new(Cell::new(0)));
    let count = Rc::clone(&syncs);
    let meanwhile = move || {
        count.set(count.get() + 1);
        append(&during);
    };
    during_syncs(meanwhile, || syncer.poll(1)).unwrap();
    assert!(syncs.get() > 0, "nothing was synced");
    assert_eq!(positions.journaled(), 1 + syncs.get());
    assert_eq!(positions.synced(), 1, "of {} syncs", syncs.get());
    let restarted = Journal::open(storage.after_crash(Survival::Nothing), options()).unwrap();
    assert_eq!(restarted.recovery.next, 2);
}
