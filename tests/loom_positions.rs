//! The positions of a node, in every order that the memory model allows: loom's atomics stand in
//! for std's.

use std::sync::Arc;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use positions::{Positions, Progress};
use types::{Nanos, Sequence};

#[path = "../src/pipeline/positions.rs"]
#[allow(dead_code, unreachable_pub, reason = "the rest is used where it lives")]
mod positions;

/// What it stands on, by loom.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

mod types {
    pub(crate) use ringframe::types::{Nanos, Sequence};
}

/// A journal's own positions are tried in `journal/tests/loom_published.rs`: here one word stands
/// for them.
mod journal {
    #[derive(Debug, Default)]
    pub(crate) struct Positions(pub(crate) super::AtomicU64);

    impl Positions {
        pub(crate) fn journaled(&self) -> u64 {
            self.0.load(super::Ordering::Acquire)
        }

        pub(crate) fn synced(&self) -> u64 {
            self.journaled()
        }
    }
}

/// What the processor says when this command is the last that was applied and released. Each emits
/// two events, and sets a timer to its own number.
fn after(command: u64) -> Progress {
    Progress {
        applied: Sequence(command),
        released: Sequence(command),
        emitted: 2 * command,
        handed_on: 2 * command,
        wakes_at: Some(Nanos(command)),
    }
}

fn new() -> Arc<Positions> {
    let journal = || Arc::new(journal::Positions::default());
    Arc::new(Positions::new(journal(), journal(), after(0)))
}

#[test]
fn what_is_read_of_the_processor_fits_together() {
    loom::model(|| {
        let positions = new();
        let processor = {
            let positions = Arc::clone(&positions);
            thread::spawn(move || {
                positions.set_progress(Progress {
                    released: Sequence(0),
                    handed_on: 1,
                    ..after(1)
                });
                positions.set_progress(after(2));
            })
        };
        let Progress { applied, released, emitted, handed_on, .. } = positions.progress();
        assert!(released <= applied, "{released:?} {applied:?}");
        assert!(handed_on <= emitted, "{handed_on} {emitted}");
        assert!(handed_on >= 2 * released.0, "released is what has left: {handed_on} {released:?}");
        assert!(emitted >= 2 * applied.0, "{emitted} {applied:?}");
        processor.join().unwrap();
    });
}

/// The sequencer publishes the next tick by what the last one made of the timers.
#[test]
fn who_sees_a_tick_applied_sees_its_timers() {
    loom::model(|| {
        let positions = new();
        let processor = {
            let positions = Arc::clone(&positions);
            thread::spawn(move || {
                positions.set_progress(after(1));
                positions.set_progress(after(2));
            })
        };
        let ticked = positions.applied();
        let wakes_at = positions.wakes_at().expect("there is a timer");
        assert!(wakes_at.0 >= ticked.0, "{wakes_at:?} {ticked:?}");
        processor.join().unwrap();
    });
}

/// Who drains a node stops it once it is quiet.
#[test]
fn a_quiet_node_has_logged_all_that_was_published() {
    loom::model(|| {
        let positions = new();
        let processor = {
            let positions = Arc::clone(&positions);
            thread::spawn(move || {
                positions.set_progress(after(1));
                positions.events.0.store(2, Ordering::Release);
            })
        };
        positions.set_published(Sequence(1));
        if positions.is_quiet() {
            assert_eq!(positions.events.journaled(), 2, "all is logged");
        }
        processor.join().unwrap();
    });
}
