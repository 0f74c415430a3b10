//! A node that starts asks the other one what it is, as long as `serve` does.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use ringframe::exchange::Exchange;
use ringframe::logic::Logic;
use ringframe::net::{Net, is_nothing};
use ringframe::replication::{Asking, Other};
use ringframe::types::Nanos;

use super::Prepared;
use crate::net::{SimNet, SimStream};

/// As long as a starting node waits for an answer, and so often it asks.
const PATIENCE: u64 = Nanos::SECOND;
const ASKS: u32 = 5;

/// A node that starts, and asks the other one what it is.
pub(crate) struct Asks {
    pub(super) prepared: Prepared,
    stream: Option<SimStream>,
    asking: Asking,
    unsaid: Vec<u8>,
    until: Nanos,
    left: u32,
}

impl Asks {
    pub(super) fn begin(prepared: Prepared, now: Nanos) -> Self {
        let unsaid = Asking::question(&prepared.epochs, Exchange::NAME);
        let left = if prepared.epochs.terms().is_empty() { 1 } else { ASKS };
        let (stream, asking) = (None, Asking::new(prepared.epochs.history()));
        Self { prepared, stream, asking, unsaid, until: now, left }
    }

    /// Nothing yet, or what the other node is, if it said so.
    #[expect(clippy::option_option, reason = "an answer may be that there is none")]
    pub(super) fn poll(
        &mut self,
        net: &SimNet,
        to: SocketAddr,
        now: Nanos,
    ) -> Option<Option<Other>> {
        if now >= self.until {
            if self.left == 0 {
                return Some(None);
            }
            self.left -= 1;
            self.until = now.after(PATIENCE);
            self.unsaid = Asking::question(&self.prepared.epochs, Exchange::NAME);
            let asking = Asking::new(self.prepared.epochs.history());
            (self.stream, self.asking) = (net.connect(to).ok(), asking);
        }
        let Some(stream) = &mut self.stream else { return Some(None) };
        match stream.write(&self.unsaid) {
            Ok(count) => drop(self.unsaid.drain(..count)),
            Err(error) if is_nothing(&error) => {}
            Err(_) => return Some(None),
        }
        let mut piece = [0; 512];
        match stream.read(&mut piece) {
            Ok(count) => match self.asking.hear(&piece[..count]) {
                Ok(None) => None,
                Ok(Some(other)) => Some(Some(other)),
                Err(_) => Some(None),
            },
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(_) => Some(None),
        }
    }
}
