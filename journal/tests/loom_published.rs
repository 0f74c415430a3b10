//! The hand-over from the writer to the sync helper, and from it to whoever releases, in every
//! order that the memory model allows: loom's atomics stand in for std's.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use published::Published;

#[path = "../src/published.rs"]
#[allow(dead_code, reason = "the rest is used where it lives")]
mod published;

/// What it stands on, by loom.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

/// Where the frame of a sequence ends.
const FRAME: u64 = 8;

#[test]
fn what_is_synced_covers_what_is_told() {
    loom::model(|| {
        // Published, synced, and how far the device is.
        let shared = Arc::new((Published::default(), AtomicU64::new(0), AtomicU64::new(0)));
        let (for_writer, for_syncer) = (Arc::clone(&shared), Arc::clone(&shared));
        let writer = thread::spawn(move || {
            for sequence in 1..=2 {
                for_writer.0.store(sequence, sequence * FRAME);
            }
        });
        let syncer = thread::spawn(move || {
            let (published, synced, device) = &*for_syncer;
            let (sequence, place) = published.both();
            assert!(place >= sequence * FRAME, "the place covers the sequence");
            device.store(place, Ordering::Relaxed);
            synced.store(sequence, Ordering::Release);
        });
        let (published, synced, device) = &*shared;
        let told = synced.load(Ordering::Acquire);
        assert!(device.load(Ordering::Relaxed) >= told * FRAME, "it is on the device");
        assert!(published.sequence() >= told, "synced is never ahead of journaled");
        writer.join().unwrap();
        syncer.join().unwrap();
    });
}
