//! What scripts and random commands run on: the naive exchange, and the real one.

use ringframe::codec;
use ringframe::exchange::Exchange;
use ringframe::exchange::command::Command;
use ringframe::exchange::event::Event;
use ringframe::exchange::reject::Reject;
use ringframe::logic::{Moment, Outbox, step};

use crate::naive::{Naive, Outcome};

pub(crate) trait Engine: Default {
    fn step(&mut self, command: &Command, at: &Moment) -> Vec<Outcome>;
}

impl Engine for Naive {
    fn step(&mut self, command: &Command, at: &Moment) -> Vec<Outcome> {
        Self::step(self, command, at)
    }
}

/// The exchange, as a node runs it.
#[derive(Default)]
pub(crate) struct Real {
    pub(crate) logic: Exchange,
    pub(crate) outbox: Outbox<Event, Reject>,
}

impl Engine for Real {
    fn step(&mut self, command: &Command, at: &Moment) -> Vec<Outcome> {
        self.outbox.clear();
        step(&mut self.logic, command, at, &mut self.outbox);
        self.outbox.outcomes().collect()
    }
}

impl Real {
    /// The state, as a snapshot holds it.
    pub(crate) fn saved(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        codec::save(&self.logic, &mut bytes).expect("a vector takes everything");
        bytes
    }

    /// The same, from its snapshot on.
    pub(crate) fn restarted(&self) -> Self {
        let logic = codec::load(&self.saved()).expect("a snapshot");
        Self { logic, outbox: Outbox::resume(self.outbox.digest()) }
    }
}
