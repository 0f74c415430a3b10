//! A stage whose sync takes its time: the others have their turns meanwhile.
//!
//! A stage is polled, and waits for its disk in the midst of that. So such a poll has a thread of
//! its own, which goes on only while its world waits for it: nothing runs beside anything else, and
//! the seed alone says who is next.

use std::panic::resume_unwind;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use fastrand::Rng;
use ringframe::pipeline::Positions;
use ringframe::stage::{Fault, Stage};
use ringframe::types::Nanos;
use ringframe_journal::during_syncs;

use crate::world::MILLISECOND;
use crate::{live_in, lives};

/// Who does little but sync. The link and the history sync, too, now and then; in the simulator
/// that takes no time.
const SYNCING: [&str; 5] = ["syncer", "keeper", "event_syncer", "event_keeper", "shadow"];

/// A stage that waits for its disk.
pub(crate) struct Away {
    /// Which one.
    pub(super) number: usize,
    /// Its disk takes so long.
    pub(super) until: Nanos,
    goes_on: Sender<()>,
    comes: Receiver<Comes>,
    thread: Option<JoinHandle<()>>,
}

enum Comes {
    Syncs,
    Back(Back),
}

/// A stage that has had its turn, and what came of it.
type Back = (Box<dyn Stage>, Result<usize, Fault>);

impl Away {
    /// Whether this turn of a stage may take its time.
    pub(super) fn is_drawn(stage: &dyn Stage, positions: &Positions, rng: &mut Rng) -> bool {
        let name = stage.name();
        // A turn without a sync is a thread for nothing; of the others it is not known before.
        let is_due = name == SYNCING[0] && positions.synced() < positions.journaled();
        SYNCING.contains(&name) && rng.u8(0..if is_due { 8 } else { 64 }) == 0
    }

    /// Lets a stage have its turn.
    #[expect(clippy::disallowed_methods, reason = "its world waits for it: nothing runs beside it")]
    pub(super) fn begin(number: usize, mut stage: Box<dyn Stage>, now: Nanos) -> Self {
        let (goes_on, may_go_on) = bounded(1);
        let (tell, comes) = bounded(1);
        let seed = lives();
        let thread = thread::spawn(move || {
            live_in(seed);
            let syncs = Sender::clone(&tell);
            let waits = move || {
                let _ = syncs.send(Comes::Syncs);
                let _ = may_go_on.recv();
            };
            let polled = during_syncs(waits, || stage.poll(now));
            let _ = tell.send(Comes::Back((stage, polled)));
        });
        Self { number, until: now, goes_on, comes, thread: Some(thread) }
    }

    /// Waits until it is back, or is in the midst of a sync, which takes a while.
    pub(super) fn wait(&mut self, now: Nanos, rng: &mut Rng) -> Option<Back> {
        let back = self.back();
        if back.is_none() {
            let longest = MILLISECOND << rng.u8(0..8);
            self.until = now.after(rng.u64(0..longest));
        }
        back
    }

    /// No sync takes its time any more.
    pub(super) fn hurry(mut self) -> Back {
        loop {
            self.go_on();
            if let Some(back) = self.back() {
                return back;
            }
        }
    }

    fn back(&mut self) -> Option<Back> {
        match self.comes.recv() {
            Ok(Comes::Back(back)) => Some(back),
            Ok(Comes::Syncs) => None,
            Err(_) => match self.thread.take().map(JoinHandle::join) {
                Some(Err(panic)) => resume_unwind(panic),
                _ => unreachable!("it says so when it is back"),
            },
        }
    }

    /// The disk has what it was to have.
    pub(super) fn go_on(&self) {
        let _ = self.goes_on.send(());
    }
}

/// Its process is gone; where it died, whatever it still does is done to disks that are off.
impl Drop for Away {
    fn drop(&mut self) {
        while let Ok(Comes::Syncs) = {
            self.go_on();
            self.comes.recv()
        } {}
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Stands in its place.
pub(super) struct Absent(pub(super) &'static str);

impl Stage for Absent {
    fn name(&self) -> &'static str {
        self.0
    }

    fn poll(&mut self, _now: Nanos) -> Result<usize, Fault> {
        Ok(0)
    }
}
