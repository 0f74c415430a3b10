//! What scripts and random commands run on: the naive exchange, and any logic with the same words.

use ringframe::exchange::command::Command;
use ringframe::logic::Moment;

use crate::naive::{Naive, Outcome};

pub(crate) trait Engine: Default {
    fn step(&mut self, command: &Command, at: &Moment) -> Vec<Outcome>;
}

impl Engine for Naive {
    fn step(&mut self, command: &Command, at: &Moment) -> Vec<Outcome> {
        Self::step(self, command, at)
    }
}
