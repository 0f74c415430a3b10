//! A thread that sleeps without a missed call, and callers who pay for it only while it sleeps.
//!
//! Both sides say something and then look at what the other said: the caller at `asleep`, the
//! sleeper at the work. A fence stands between the two on each side, so at least one of them sees
//! the other. `tests/loom_bell.rs` runs this file in every order that the memory model allows.

use std::sync::OnceLock;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicBool, Ordering, Thread, current, fence, park_timeout};

/// What wakes one thread.
#[derive(Default)]
pub struct Bell {
    asleep: CachePadded<AtomicBool>,
    sleeper: OnceLock<Sleeper>,
}

enum Sleeper {
    /// Parked.
    Thread(Thread),
    /// In a system call that something else ends.
    Elsewhere(Box<dyn Fn() + Send + Sync>),
}

impl Bell {
    /// For a thread that sleeps elsewhere, see [`Self::sleep_elsewhere`]; `wake` ends its sleep,
    /// also one that has not begun yet.
    pub fn waking(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        let bell = Self::default();
        let _ = bell.sleeper.set(Sleeper::Elsewhere(wake));
        bell
    }

    /// Wakes the sleeper, if it sleeps. What it is to find must have been stored before.
    #[inline]
    pub fn ring(&self) {
        Self::ring_all([self]);
    }

    /// Rings several bells, for the price of one while nobody sleeps.
    #[inline]
    pub fn ring_all<'a>(bells: impl IntoIterator<Item = &'a Self>) {
        fence(Ordering::SeqCst);
        for bell in bells {
            if bell.asleep.load(Ordering::Relaxed) {
                bell.wake();
            }
        }
    }

    #[cold]
    fn wake(&self) {
        // Of several callers one makes the system call. Acquire: the sleeper said who it is first.
        if self.asleep.swap(false, Ordering::Acquire)
            && let Some(sleeper) = self.sleeper.get()
        {
            match sleeper {
                Sleeper::Thread(thread) => thread.unpark(),
                Sleeper::Elsewhere(wake) => wake(),
            }
        }
    }

    /// Sleeps until rung or `longest` has passed, unless there turns out to be `work` already; says
    /// whether it was rung. Only ever called by one thread, always the same.
    pub fn sleep(&self, longest: Duration, work: impl FnOnce() -> bool) -> bool {
        self.sleeper.get_or_init(|| Sleeper::Thread(current()));
        self.sleep_elsewhere(work, || park_timeout(longest))
    }

    /// As [`Self::sleep`], in whatever way the caller sleeps: what the bell was made with must end
    /// it.
    pub fn sleep_elsewhere(&self, work: impl FnOnce() -> bool, sleep: impl FnOnce()) -> bool {
        self.asleep.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        if !work() {
            sleep();
        }
        !self.asleep.swap(false, Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Bell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bell").field("asleep", &self.asleep).finish_non_exhaustive()
    }
}
