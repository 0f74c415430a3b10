//! What is seen of the replicator from other threads.

use ringframe_journal::storage::Storage;

use super::{Replicator, Turn};
use crate::logic::Logic;
use crate::net::Net;
use crate::peers::{FollowerFacts, Role};
use crate::types::Nanos;

impl<L: Logic, S: Storage, N: Net> Replicator<L, S, N> {
    /// Says how it is, for who looks on.
    pub(super) fn tell(&mut self, now: Nanos) {
        self.told = now;
        let release = self.release.policy();
        self.shared.tell(|seen| {
            seen.release = release;
            seen.wanted = self.options.release;
            seen.epoch = self.leading.epoch;
            seen.tells = self.release.tells_recovered(&self.positions);
            seen.leader = None;
            seen.lag = 0;
            seen.role = match &self.turn {
                Turn::Ours { .. } => Role::Leader,
                Turn::Theirs { upstream, .. } => {
                    let upstream = upstream.as_ref().filter(|it| it.follows().is_some());
                    seen.leader = upstream.and(self.options.peer);
                    seen.lag = upstream.map_or(0, |upstream| upstream.lag());
                    Role::Follower
                }
            };
            seen.followers.clear();
            let journaled = self.positions.journaled().0;
            seen.followers.extend(self.followers.iter().filter_map(|follower| {
                let have = follower.link.have()?;
                Some(FollowerFacts {
                    address: follower.from,
                    stands_by: follower.link.stands_by(),
                    newest: follower.link.newest(),
                    journaled: have.journaled,
                    synced: have.synced,
                    applied: have.applied,
                    lag: journaled.saturating_sub(have.journaled.0),
                    behind_nanos: now.0.saturating_sub(have.heard.0),
                })
            }));
        });
    }
}
