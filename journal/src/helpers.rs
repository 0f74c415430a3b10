//! Runs the syncer and the keeper on threads of their own, for everyone who has no runner. The
//! crate's only clock, and its only threads but for a tool's; a simulator polls the parts by hand.
#![expect(clippy::disallowed_methods, reason = "the one place with threads and a clock")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::Error;
use crate::keeper::Keeper;
use crate::position::Positions;
use crate::storage::Storage;
use crate::syncer::Syncer;
use crate::writer::Writer;

/// How often the syncer looks again before it sleeps: about 20 µs. A frame that comes meanwhile
/// costs the appender no wake-up.
const SPINS: u32 = 1_000;
/// The syncer wakes by itself to settle the watermark, …
const SETTLE: Duration = Duration::from_millis(1);
/// … and for an interval policy; a frame rings the bell.
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// The keeper looks this often while frames come, …
const KEEPER_BUSY: Duration = Duration::from_millis(1);
/// … and this often while none do.
const KEEPER_IDLE: Duration = Duration::from_millis(10);

/// The helper threads of an open journal.
pub struct Helpers<S: Storage> {
    stop: Arc<AtomicBool>,
    positions: Arc<Positions>,
    syncer: JoinHandle<Syncer<S>>,
    keeper: JoinHandle<Keeper<S>>,
}

impl<S: Storage> Helpers<S> {
    /// Starts both threads.
    pub fn spawn(mut syncer: Syncer<S>, mut keeper: Keeper<S>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let positions = Arc::clone(syncer.positions());
        let stopped = Arc::clone(&stop);
        let syncer = thread("journal-syncer", move || {
            run_syncer(&mut syncer, &stopped);
            syncer
        })?;
        let stopped = Arc::clone(&stop);
        let keeper = thread("journal-keeper", move || {
            run_keeper(&mut keeper, &stopped);
            keeper
        })?;
        Ok(Self { stop, positions, syncer, keeper })
    }

    /// Stops both threads, makes everything that was published durable and seals what is complete.
    pub fn close(self, mut writer: Writer<S>) -> Result<(), Error> {
        let published = writer.publish();
        self.stop.store(true, Ordering::SeqCst);
        self.positions.bell.ring();
        self.keeper.thread().unpark();
        let died = |_| Error::Misuse("a journal helper thread panicked".into());
        let mut syncer = self.syncer.join().map_err(died)?;
        let mut keeper = self.keeper.join().map_err(died)?;
        published?;
        syncer.finish(now())?;
        keeper.finish()
    }
}

fn thread<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

/// Nanoseconds since 1970.
pub fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

fn run_syncer<S: Storage>(syncer: &mut Syncer<S>, stop: &AtomicBool) {
    let mut spins = 0;
    while !stop.load(Ordering::SeqCst) {
        match syncer.poll(now()) {
            // The fault is kept in the positions, where the writer finds it.
            Err(_) => return,
            Ok(0) if syncer.has_work() => {}
            Ok(0) if spins < SPINS => {
                spins += 1;
                std::hint::spin_loop();
            }
            Ok(0) => {
                let longest = if syncer.is_settled() { SLEEP_MAX } else { syncer.pause(SETTLE) };
                let bell = &syncer.positions.bell;
                bell.sleep(longest, || syncer.has_work() || stop.load(Ordering::SeqCst));
            }
            Ok(_) => spins = 0,
        }
    }
}

fn run_keeper<S: Storage>(keeper: &mut Keeper<S>, stop: &AtomicBool) {
    let mut journaled = 0;
    while !stop.load(Ordering::SeqCst) {
        match keeper.poll(now()) {
            Err(_) => return,
            Ok(0) => {
                let before = std::mem::replace(&mut journaled, keeper.positions.journaled());
                let idle = before == journaled;
                std::thread::park_timeout(if idle { KEEPER_IDLE } else { KEEPER_BUSY });
            }
            Ok(_) => {}
        }
    }
}
