//! The nightly routine, as an operator does it with `ringframe nightly`: a snapshot on the standby,
//! which starts again; both say the same digest after the same command; then it is its turn to
//! lead, and who led starts again behind it; their digests are compared again, and at last both
//! archive and prune. It is given up where something takes too long.

use crossbeam_channel::{Receiver, TryRecvError, bounded};
use ringframe::snapshot::schedule;
use ringframe::types::{Nanos, Sequence};

use crate::client::Wrong;
use crate::node::Order;
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
    /// … has the same digest, …
    Compares { standby: usize, comparing: Comparing },
    /// … and leads; who led follows it, …
    Leads { standby: usize },
    /// … and has the same digest.
    ComparesAgain { standby: usize, comparing: Comparing },
}

/// Both are to say their digest after the same command, which is put into the journal for that.
struct Comparing {
    marked: Receiver<Sequence>,
    at: Option<Sequence>,
    asked: [Option<Receiver<Option<u128>>>; 2],
    digests: [Option<u128>; 2],
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
                let comparing = self.mark(1 - standby);
                self.on_to(Step::Compares { standby, comparing });
                return Ok(());
            }
            Step::Compares { standby, mut comparing } => {
                if self.is_same_digest(&mut comparing)? {
                    self.drain(None);
                    self.on_to(Step::Leads { standby });
                    return Ok(());
                }
                Step::Compares { standby, comparing }
            }
            Step::Leads { standby }
                if self.leader() == Some(standby) && self.is_followed_by(1 - standby) =>
            {
                let comparing = self.mark(standby);
                self.on_to(Step::ComparesAgain { standby, comparing });
                return Ok(());
            }
            Step::ComparesAgain { standby, mut comparing } => {
                if self.is_same_digest(&mut comparing)? {
                    self.say(|| "op: nightly: done, archives and prunes".into());
                    self.prune(standby)?;
                    return self.prune(1 - standby);
                }
                Step::ComparesAgain { standby, comparing }
            }
            waits => waits,
        };
        self.night = Some(Nightly { step: next, until });
        Ok(())
    }

    /// Lets the leader mark a command.
    fn mark(&self, leader: usize) -> Comparing {
        let (tell, marked) = bounded(1);
        if let Some(running) = self.nodes[leader].running() {
            running.order(Order::Mark(tell));
        }
        Comparing { marked, at: None, asked: [None, None], digests: [None, None] }
    }

    /// Whether both have said it; wrong where it is not the same.
    fn is_same_digest(&mut self, comparing: &mut Comparing) -> Result<bool, Wrong> {
        let Comparing { marked, at, asked, digests } = comparing;
        *at = at.or_else(|| marked.try_recv().ok());
        let Some(at) = *at else { return Ok(false) };
        for node in 0..2 {
            let Some(running) = self.nodes[node].running() else { return Ok(false) };
            let told = asked[node].take().map(|asked| (asked.try_recv(), asked));
            match told {
                Some((Ok(Some(digest)), _)) => digests[node] = Some(digest),
                Some((Err(TryRecvError::Empty), waits)) => asked[node] = Some(waits),
                _ if digests[node].is_none() => asked[node] = Some(running.ask_digest_at(at)),
                _ => {}
            }
        }
        match *digests {
            [Some(one), Some(other)] if one == other => {
                self.say(|| format!("op: nightly: after command {} both have {one:032x}", at.0));
                Ok(true)
            }
            [Some(one), Some(other)] => Err(format!(
                "nightly: after command {} n0 has the digest {one:032x}, n1 {other:032x}",
                at.0
            )),
            _ => Ok(false),
        }
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
