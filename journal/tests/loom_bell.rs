//! The bell in every order that the memory model allows: loom's atomics stand in for std's.

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use std::time::Duration;

use bell::Bell;

#[path = "../src/bell.rs"]
#[allow(unreachable_pub, reason = "it is public where it lives")]
mod bell;

/// What the bell stands on, by loom. A sleep without end: a call that is missed is a deadlock, and
/// loom finds it.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};
    pub(crate) use loom::thread::{Thread, current};

    pub(crate) fn park_timeout(_longest: std::time::Duration) {
        loom::thread::park();
    }
}

fn sleep_until(bell: &Bell, position: &AtomicU64, sequence: u64) {
    while position.load(Ordering::Acquire) < sequence {
        bell.sleep(Duration::MAX, || position.load(Ordering::Acquire) >= sequence);
    }
}

#[test]
fn no_call_is_missed() {
    loom::model(|| {
        let shared = Arc::new((Bell::default(), AtomicU64::new(0)));
        let caller = Arc::clone(&shared);
        let caller = thread::spawn(move || {
            for sequence in 1..=2 {
                caller.1.store(sequence, Ordering::Release);
                caller.0.ring();
            }
        });
        sleep_until(&shared.0, &shared.1, 2);
        caller.join().unwrap();
    });
}

#[test]
fn two_callers_miss_no_sleeper() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let shared = Arc::new((Bell::default(), AtomicU64::new(0)));
        let callers = [(); 2].map(|()| {
            let caller = Arc::clone(&shared);
            thread::spawn(move || {
                caller.1.fetch_add(1, Ordering::Release);
                caller.0.ring();
            })
        });
        sleep_until(&shared.0, &shared.1, 2);
        for caller in callers {
            caller.join().unwrap();
        }
    });
}

/// Each sleeps until the other has answered, as two groups of stages do.
#[test]
fn two_who_ring_each_other_never_sleep_both() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let bells = Arc::new([Bell::default(), Bell::default()]);
        let positions = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let (other_bells, other_positions) = (Arc::clone(&bells), Arc::clone(&positions));
        let other = thread::spawn(move || {
            sleep_until(&other_bells[1], &other_positions[0], 1);
            other_positions[1].store(1, Ordering::Release);
            Bell::ring_all([&other_bells[0]]);
        });
        positions[0].store(1, Ordering::Release);
        Bell::ring_all([&bells[1]]);
        sleep_until(&bells[0], &positions[1], 1);
        other.join().unwrap();
    });
}

/// One sleeps where the bell only has a way to wake him, as on sockets.
#[test]
fn no_call_is_missed_by_one_who_sleeps_elsewhere() {
    loom::model(|| {
        let bed = Arc::new((Mutex::new(false), Condvar::new()));
        let waker = Arc::clone(&bed);
        let bell = Bell::waking(Box::new(move || {
            *waker.0.lock().unwrap() = true;
            waker.1.notify_one();
        }));
        let sleep = || {
            let mut called = bed.0.lock().unwrap();
            while !*called {
                called = bed.1.wait(called).unwrap();
            }
            *called = false;
        };
        let shared = Arc::new((bell, AtomicU64::new(0)));
        let caller = Arc::clone(&shared);
        let caller = thread::spawn(move || {
            for sequence in 1..=2 {
                caller.1.store(sequence, Ordering::Release);
                caller.0.ring();
            }
        });
        let (bell, position) = &*shared;
        while position.load(Ordering::Acquire) < 2 {
            bell.sleep_elsewhere(|| position.load(Ordering::Acquire) >= 2, sleep);
        }
        caller.join().unwrap();
    });
}
