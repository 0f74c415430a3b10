//! The cores that this process may use, and how a thread polls on them.
#![expect(clippy::disallowed_methods, reason = "who is to be on one core gets a thread for it")]

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How many threads can run at once, by affinity and quota.
pub fn usable() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Does something on one core: on a thread of its own, so that whoever asked keeps all of theirs,
/// and what it spawns stays with it. It is told which core.
pub fn on_one_core<T: Send>(work: impl FnOnce(usize) -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let core = pin()?;
            work(core)
        });
        worker.join().map_err(|_| io::Error::other("the thread on one core panicked"))?
    })
}

/// Leaves this thread the last of its cores: the first often has the machine's interrupts.
fn pin() -> io::Result<usize> {
    let allowed = sched_getaffinity(None)?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|core| allowed.is_set(*core));
    let core = last.ok_or_else(|| io::Error::other("the kernel names no core for this thread"))?;
    let mut one = CpuSet::new();
    one.set(core);
    sched_setaffinity(None, &one)?;
    // Some sandboxes take the call and do nothing.
    if sched_getaffinity(None)? != one {
        return Err(io::Error::other(format!(
            "the kernel does not leave this thread on core {core} alone: a sandbox may forbid \
             sched_setaffinity"
        )));
    }
    Ok(core)
}

/// The client, who answers it, and the kernel's network thread, with one to spare.
const SPIN_CORES_MIN: usize = 4;

/// What a thread does between two looks when it must not sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Keeps its core.
    Spin,
    /// Offers its core: where there are few, whoever is waited for may need this one, and a thread
    /// that spins keeps it to the end of its turn, which is milliseconds.
    Yield,
}

impl Pause {
    /// For this thread.
    pub(crate) fn fitting() -> Self {
        if usable() < SPIN_CORES_MIN { Self::Yield } else { Self::Spin }
    }

    #[inline]
    pub(crate) fn pause(self) {
        match self {
            Self::Spin => std::hint::spin_loop(),
            Self::Yield => std::thread::yield_now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_one_core_everyone_yields_and_whoever_asked_keeps_all() {
        let before = usable();
        let (here, spawned) = on_one_core(|_| {
            let spawned = std::thread::scope(|scope| scope.spawn(Pause::fitting).join());
            Ok(((usable(), Pause::fitting()), spawned.expect("no panic")))
        })
        .expect("a core");
        assert_eq!((here, spawned), ((1, Pause::Yield), Pause::Yield));
        assert_eq!(usable(), before);
    }
}
