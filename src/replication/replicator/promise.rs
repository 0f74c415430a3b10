//! What a reply of the leader means, with a standby and without one.

use std::sync::Arc;

use ringframe_journal::planted::{Bug, is_planted};
use ringframe_journal::storage::Storage;

use super::{Leading, Replicator, Turn};
use crate::logic::Logic;
use crate::net::Net;
use crate::peers::OnStandbyLoss;
use crate::release::ReleasePolicy;

impl<L: Logic, S: Storage, N: Net> Replicator<L, S, N> {
    /// A reply means something else from now on, or will when this node leads.
    pub(super) fn mean(&mut self, release: ReleasePolicy, on_standby_loss: Option<OnStandbyLoss>) {
        self.options.release = release;
        self.options.on_standby_loss = on_standby_loss.unwrap_or(self.options.on_standby_loss);
        // What was promised before stays promised.
        let is_promised = self.leading.is_promised || release.is_replicated();
        self.leading = Arc::new(Leading { is_promised, ..(*self.leading).clone() });
        let Turn::Ours { has_standby, successor, .. } = &mut self.turn else { return };
        if matches!(successor, Some((_, true))) {
            // It is the other one's turn: nothing leaves here any more.
            return;
        }
        // Nothing leaves by less than it could mean all along.
        let found = has_standby.take() == Some(true);
        let waits = found || self.options.on_standby_loss == OnStandbyLoss::Halt;
        self.release.set(if waits { release } else { release.alone() });
        self.note(format!("replication: a reply is to mean: {release}"));
    }

    /// A reply means what it can mean.
    pub(super) fn promise(&mut self, found: bool) {
        let Turn::Ours { has_standby, .. } = &mut self.turn else { return };
        if *has_standby == Some(found) || !self.options.release.is_replicated() {
            return;
        }
        let before = has_standby.replace(found);
        let (wanted, alone) = (self.options.release, self.options.release.alone());
        match (found, self.options.on_standby_loss) {
            (true, _) => {
                if !is_planted(Bug::StayAlone) {
                    self.release.set(wanted);
                }
                self.note(format!("replication: a standby is there; a reply means: {wanted}"));
            }
            (false, OnStandbyLoss::Degrade) => {
                self.release.set(alone);
                self.note(format!(
                    "WARNING: replication: no standby has what is acknowledged from now on; a \
                     reply means: {alone}"
                ));
            }
            (false, OnStandbyLoss::Halt) => {
                let lost = if before.is_some() { "the standby is gone" } else { "no standby yet" };
                self.note(format!(
                    "WARNING: replication: {lost}: nothing is acknowledged until one is there \
                     (on_standby_loss = halt)"
                ));
            }
        }
    }
}
