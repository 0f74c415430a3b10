//! When an event may leave the process: as soon as its command is as durable as was promised.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use ringframe_journal::planted::{Bug, is_planted};
use serde::{Serialize, Serializer};

use crate::pipeline::Positions;
use crate::types::Sequence;

/// What a reply means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReleasePolicy {
    /// Its command survives a crash of the process.
    Journaled,
    /// Its command survives a loss of power.
    #[default]
    Synced,
    /// Its command is in the standby's journal, too: it survives the loss of either machine.
    Replicated,
    /// Its command is on both devices: it survives a loss of power of both machines.
    ReplicatedSynced,
}

impl ReleasePolicy {
    /// Whether a reply waits for another node.
    pub fn is_replicated(self) -> bool {
        matches!(self, Self::Replicated | Self::ReplicatedSynced)
    }

    /// What a node can promise alone that wants to promise this.
    pub fn alone(self) -> Self {
        match self {
            it if !it.is_replicated() => it,
            _ if is_planted(Bug::PromiseLess) => Self::Journaled,
            _ => Self::Synced,
        }
    }

    /// The last command whose events may leave.
    #[inline]
    pub fn released(self, positions: &Positions) -> Sequence {
        match self {
            Self::Journaled => positions.journaled(),
            Self::Synced => positions.synced(),
            Self::Replicated if is_planted(Bug::ReleaseEarly) => positions.journaled(),
            Self::Replicated => positions.journaled().min(positions.replicated()),
            Self::ReplicatedSynced => positions.synced().min(positions.replicated_synced()),
        }
    }
}

/// The policy in force, which may change while the node runs.
#[derive(Debug)]
pub struct Release {
    policy: AtomicU8,
    /// The last command that the start found. Who ordered it may have died before it was as durable
    /// as a reply has to be.
    recovered: AtomicU64,
}

impl Release {
    /// In force from the start, which found the commands up to here.
    pub fn new(policy: ReleasePolicy, recovered: Sequence) -> Self {
        let (policy, recovered) = (AtomicU8::new(policy as u8), AtomicU64::new(recovered.0));
        Self { policy, recovered }
    }

    /// In force now.
    #[inline]
    pub fn policy(&self) -> ReleasePolicy {
        POLICIES[usize::from(self.policy.load(Ordering::Acquire))]
    }

    /// In force from the processor's next poll on. What has left stays told.
    pub fn set(&self, policy: ReleasePolicy) {
        self.policy.store(policy as u8, Ordering::Release);
    }

    /// Whether clients may be told of what the start found.
    pub fn tells_recovered(&self, positions: &Positions) -> bool {
        let recovered = Sequence(self.recovered.load(Ordering::Acquire));
        self.policy().released(positions) >= recovered || is_planted(Bug::TellRecovered)
    }

    /// Another node, that was followed, has all that the start found in its journal: there were two
    /// copies of it.
    pub fn found_elsewhere(&self) {
        self.recovered.store(0, Ordering::Release);
    }
}

/// By their numbers.
const POLICIES: [ReleasePolicy; 4] = [
    ReleasePolicy::Journaled,
    ReleasePolicy::Synced,
    ReleasePolicy::Replicated,
    ReleasePolicy::ReplicatedSynced,
];

impl fmt::Display for ReleasePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Journaled => "journaled",
            Self::Synced => "synced",
            Self::Replicated => "replicated",
            Self::ReplicatedSynced => "replicated+synced",
        })
    }
}

/// As it is written and read.
impl Serialize for ReleasePolicy {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl FromStr for ReleasePolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "journaled" => Ok(Self::Journaled),
            "synced" => Ok(Self::Synced),
            "replicated" => Ok(Self::Replicated),
            "replicated+synced" => Ok(Self::ReplicatedSynced),
            _ => Err(format!(
                "'{text}' is no release policy: use journaled, synced, replicated, or \
                 replicated+synced"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Progress;

    /// Who ordered something alone tells nobody of it, also where he leads again: until another
    /// one has it, or says that he leads and has it.
    #[test]
    fn what_a_start_found_is_held_back_until_a_leader_has_it() {
        let journal = || std::sync::Arc::default();
        let positions = Positions::new(journal(), journal(), Progress::default());
        let release = Release::new(ReleasePolicy::Journaled, Sequence(0));
        assert!(release.tells_recovered(&positions));
        let release = Release::new(ReleasePolicy::Journaled, Sequence(5));
        assert!(!release.tells_recovered(&positions));
        release.found_elsewhere();
        assert!(release.tells_recovered(&positions));
    }
}
