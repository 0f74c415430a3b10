//! The nightly routine, as an operator does it with `ringframe nightly`: a snapshot on the standby,
//! which starts again; then it is its turn to lead, and who led starts again behind it; at last
//! both archive and prune. It is given up where something takes too long.

use crossbeam_channel::{Receiver, TryRecvError};
use ringframe::snapshot::schedule;
use ringframe::types::Nanos;

use crate::client::Wrong;
use crate::world::World;

/// So long each step may take.
const PATIENCE: u64 = 5 * Nanos::SECOND;

/// Where it is.
pub(crate) struct Nightly {
    step: Step,
    until: Nanos,
}

enum Step {
    /// The standby takes a snapshot, …
    Snapshot { standby: usize, told: Receiver<schedule::Outcome> },
    /// … ends, …
    Ends { standby: usize },
    /// … starts again and catches up, …
    Returns { standby: usize },
    /// … and leads; who led follows it.
    Leads { standby: usize },
}

impl World {
    /// Begins one, where a node leads and another one follows.
    pub(crate) fn begin_night(&mut self) {
        let Some(leader) = self.leader().filter(|_| self.night.is_none()) else { return };
        let standby = 1 - leader;
        let asked = self.nodes[standby].running().and_then(|it| it.snapshots.as_ref()?.request());
        match asked {
            Some(told) => self.on_to(Step::Snapshot { standby, told }),
            None => self.say(|| format!("op: no nightly routine: n{standby} takes no snapshot")),
        }
    }

    fn on_to(&mut self, step: Step) {
        self.night = Some(Nightly { step, until: self.now.after(PATIENCE) });
    }

    /// Goes on with it.
    pub(crate) fn look_at_night(&mut self) -> Result<(), Wrong> {
        let Some(Nightly { step, until }) = self.night.take() else { return Ok(()) };
        if self.now > until {
            self.say(|| "op: the nightly routine takes too long".into());
            return Ok(());
        }
        let next = match step {
            Step::Snapshot { standby, told } => match told.try_recv() {
                Err(TryRecvError::Empty) => Step::Snapshot { standby, told },
                Ok(Ok(_)) if self.leader() == Some(1 - standby) => {
                    self.say(|| format!("op: nightly: n{standby} has a snapshot"));
                    self.drain(Some(standby));
                    self.on_to(Step::Ends { standby });
                    return Ok(());
                }
                _ => {
                    self.say(|| format!("op: nightly: n{standby} has no snapshot"));
                    return Ok(());
                }
            },
            Step::Ends { standby } if self.nodes[standby].running().is_none() => {
                self.on_to(Step::Returns { standby });
                return Ok(());
            }
            Step::Returns { standby } if self.is_followed_by(standby) => {
                self.say(|| format!("op: nightly: n{standby} is back"));
                self.drain(None);
                self.on_to(Step::Leads { standby });
                return Ok(());
            }
            Step::Leads { standby } if self.leader() == Some(standby) => {
                if self.is_followed_by(1 - standby) {
                    self.say(|| "op: nightly: done, archives and prunes".into());
                    self.prune(standby)?;
                    return self.prune(1 - standby);
                }
                Step::Leads { standby }
            }
            waits => waits,
        };
        self.night = Some(Nightly { step: next, until });
        Ok(())
    }

    /// Whether the other node leads, and counts this one as its standby.
    pub(crate) fn is_followed_by(&self, node: usize) -> bool {
        let follows = || {
            let leader = self.nodes[1 - node].running()?;
            Some(leader.facts().followers.iter().any(|follower| follower.stands_by))
        };
        self.leader() == Some(1 - node) && follows() == Some(true)
    }
}
