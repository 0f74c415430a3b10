//! The part of a node that knows of another one: whether it leads, in which term, and the stage
//! that others talk to.

use std::net::SocketAddr;

use ringframe_journal::storage::Storage;

use crate::logic::Logic;
use crate::net::Net;
use crate::node::{Node, NodeOptions, Order};
use crate::peers::{Handle, OnStandbyLoss};
use crate::release::ReleasePolicy;
use crate::replication::{Beginning, Epochs, Holdings, Replicator, ReplicatorOptions, Term};
use crate::stage::Fault;
use crate::types::{Epoch, Nanos, Sequence};

/// The stage, and what others see of it.
pub type Joined<L, S, N> = (Replicator<L, S, N>, Handle);

/// What a node is told about the other one.
#[derive(Clone, Debug)]
pub struct PairOptions {
    /// Where it is, if it is known.
    pub other: Option<SocketAddr>,
    /// Whether replies may wait for this node, while it follows.
    pub stands_by: bool,
    /// What a reply means, with a standby.
    pub release: ReleasePolicy,
    /// When there is none.
    pub on_standby_loss: OnStandbyLoss,
    /// Whether this build's version of the logic becomes the active one when this node leads.
    pub activate: bool,
}

/// What is known of the pair before there is a node.
pub struct Pair<S: Storage, N: Net> {
    /// The network between them.
    pub net: N,
    /// Where others come, if they can.
    pub listener: Option<N::Listener>,
    /// The terms of this node's journal.
    pub epochs: Epochs<S>,
    /// What this node begins as.
    pub beginning: Beginning,
    /// The rest.
    pub options: PairOptions,
}

impl<S: Storage, N: Net> Pair<S, N> {
    /// Whether another node orders.
    pub fn follows(&self) -> bool {
        self.beginning == Beginning::Follows
    }

    /// How the node is opened.
    pub fn node_options(&self, options: &NodeOptions) -> NodeOptions {
        let order = if self.follows() { Order::Elsewhere } else { Order::Later };
        NodeOptions { order, release: self.release(), ..options.clone() }
    }

    /// What leaves at first: a follower's events go to its log alone, and to clients when it leads.
    fn release(&self) -> ReleasePolicy {
        match self.options.on_standby_loss {
            OnStandbyLoss::Halt if !self.follows() => self.options.release,
            _ => self.options.release.alone(),
        }
    }

    /// Begins a term, where this node leads, and builds the stage; none where there are no others.
    pub fn join<L: Logic>(
        mut self,
        node: &mut Node<L, S>,
        holdings: Holdings<S>,
        options: &NodeOptions,
        now: Nanos,
    ) -> Result<Option<Joined<L, S, N>>, Fault> {
        let applied = node.start.applied;
        self.epochs.heard(applied.epoch)?;
        if self.epochs.terms().is_empty() && applied.sequence > Sequence(0) {
            // From a build that knew of no terms.
            self.epochs.begin(Term { epoch: Epoch(0), first: Sequence(1) })?;
        }
        let first = applied.sequence.next();
        let began = self.epochs.terms().last().map_or(first, |term| term.first);
        let leads_on = matches!(self.beginning, Beginning::Leads { .. });
        if leads_on && self.options.other.is_some() && began > first {
            // What is gone is not of this term: who ordered it may have told clients of it.
            let had = Sequence(began.0 - 1);
            return Err(Fault::Short { had, has: applied.sequence });
        }
        if let Beginning::Leads { other_has } = self.beginning
            && other_has >= first
            // By the other policies nobody was told of what is not durable here.
            && self.options.release.is_replicated()
        {
            return Err(Fault::Node(format!(
                "this node ordered commands up to {} and lost those after {}: the other node has \
                 them, and clients may have been told of them. Let that one lead, by `ringframe \
                 promote` there, and start this one again: it follows",
                other_has.0, applied.sequence.0
            )));
        }
        let epoch = match self.beginning {
            Beginning::Follows | Beginning::Unknown => None,
            Beginning::Leads { .. } => Some(self.epochs.resume(first, now)?),
            Beginning::TakesOver => Some(self.epochs.promote(first, now)?),
        };
        let PairOptions { other, stands_by, release, on_standby_loss, activate } = self.options;
        if let Some(epoch) = epoch {
            node.lead(epoch, activate, now);
        }
        if self.listener.is_none() && other.is_none() {
            return Ok(None);
        }
        let options = ReplicatorOptions {
            peer: other,
            stands_by,
            release,
            on_standby_loss,
            segment_bytes: options.segment_bytes,
            ring_slots: options.ring_slots,
        };
        let (net, listener, epochs) = (self.net, self.listener, self.epochs);
        let (positions, release) = (node.positions.clone(), node.release.clone());
        Replicator::new(options, net, listener, epochs, holdings, positions, release).map(Some)
    }
}
