//! Order entry: OUCH messages, and which of them still wait for an answer.

use std::collections::VecDeque;
use std::time::Duration;

use super::{ClientError, Login, Received, Soup};
use crate::wire::ouch::{
    CancelReason, Capacity, Cross, Customer, Display, Enter, Firm, Inbound, Outbound, Side, Stock,
    Sweep, Token, time_in_force,
};

/// An order that waits in the book until the market closes, seen by all; change what differs.
pub fn limit_order(token: Token, side: Side, shares: u32, stock: Stock, price: u32) -> Enter {
    Enter {
        token,
        side,
        shares: shares.into(),
        stock,
        price: price.into(),
        time_in_force: time_in_force::MARKET_HOURS.into(),
        firm: Firm::BLANK,
        display: Display::ANONYMOUS,
        capacity: Capacity::AGENCY,
        sweep: Sweep::NO,
        minimum: 0.into(),
        cross: Cross::NONE,
        customer: Customer::DEFAULT,
    }
}

/// A session of order entry.
pub struct Client {
    soup: Soup,
    /// In the order in which they were sent, and will be sent again.
    unanswered: VecDeque<Inbound>,
    /// Whether they were sent by a connection that is gone.
    are_in_doubt: bool,
}

impl Client {
    /// Logs in where order entry is.
    pub fn connect(login: Login) -> Result<Self, ClientError> {
        let soup = Soup::connect(login)?;
        Ok(Self { soup, unanswered: VecDeque::new(), are_in_doubt: false })
    }

    /// Sends a message. From then on it is unanswered, also if that failed: nobody knows how much
    /// of it arrived.
    pub fn send(&mut self, message: impl Into<Inbound>) -> Result<(), ClientError> {
        if self.are_in_doubt {
            return Err(ClientError::InDoubt { count: self.unanswered.len() });
        }
        let message = message.into();
        self.unanswered.push_back(message);
        self.write(&message)
    }

    /// The next message; `None` when none came in this time.
    pub fn receive(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<Received<Outbound>>, ClientError> {
        let Some((number, bytes)) = self.soup.receive(timeout)? else { return Ok(None) };
        match Outbound::decode(bytes) {
            Ok(message) => {
                self.settle(&message);
                Ok(Some(Received { number, message }))
            }
            Err(error) => Err(ClientError::Malformed { number, error }),
        }
    }

    /// Goes on behind the last message received, as [`Soup::reconnect`] does, and says how many
    /// messages are in doubt: it is not known whether they arrived. [`Self::resend`] or
    /// [`Self::forget`] them before anything new is sent.
    pub fn reconnect(&mut self) -> Result<usize, ClientError> {
        self.soup.reconnect()?;
        self.are_in_doubt = !self.unanswered.is_empty();
        Ok(self.unanswered.len())
    }

    /// What was sent and has no answer yet. A cancel, replace or modify that came too late never
    /// has one of its own: it is dropped when an answer shows that the server has gone past it.
    pub fn unanswered(&self) -> impl ExactSizeIterator<Item = &Inbound> {
        self.unanswered.iter()
    }

    /// Sends all unanswered messages once more, in their order. What had arrived is not executed
    /// again: the server knows tokens that were used, and quantities are totals.
    pub fn resend(&mut self) -> Result<usize, ClientError> {
        for index in 0..self.unanswered.len() {
            let message = self.unanswered[index];
            self.write(&message)?;
        }
        self.are_in_doubt = false;
        Ok(self.unanswered.len())
    }

    /// Gives up on all unanswered messages. Some of them may have been executed: then answers come.
    pub fn forget(&mut self) -> Vec<Inbound> {
        self.are_in_doubt = false;
        self.unanswered.drain(..).collect()
    }

    /// The session below.
    pub fn soup(&self) -> &Soup {
        &self.soup
    }

    /// As [`Soup::logout`].
    pub fn logout(self) -> Result<(), ClientError> {
        self.soup.logout()
    }

    fn write(&mut self, message: &Inbound) -> Result<(), ClientError> {
        let mut bytes = [0; Inbound::BYTES_MAX];
        let length = message.encode(&mut bytes).expect("room for every message");
        self.soup.send(&bytes[..length])
    }

    /// Drops what `said` answers. The server takes messages in their order, so an answer to one is
    /// an answer to all before it: those without one of their own were met with silence.
    fn settle(&mut self, said: &Outbound) {
        let is_answered = |sent: &Inbound| match (said, sent) {
            (Outbound::Accepted(it), Inbound::Enter(sent)) => sent.token == it.order.token,
            (Outbound::Rejected(it), Inbound::Enter(sent)) => sent.token == it.token,
            (Outbound::Rejected(it), Inbound::Replace(sent)) => sent.new == it.token,
            (Outbound::Replaced(it), Inbound::Replace(sent)) => sent.new == it.order.token,
            (Outbound::Modified(it), Inbound::Modify(sent)) => sent.token == it.token,
            _ => false,
        };
        if let Some(index) = self.unanswered.iter().position(is_answered) {
            self.unanswered.drain(..=index);
            return;
        }
        // Others may cancel this order, too, so it says nothing of what was sent before.
        let canceled = match said {
            Outbound::Canceled(it) if it.reason == CancelReason::USER => it.token,
            Outbound::CancelPending(it) => it.token,
            Outbound::CancelRejected(it) => it.token,
            _ => return,
        };
        let is_cancel =
            |sent: &Inbound| matches!(sent, Inbound::Cancel(sent) if sent.token == canceled);
        if let Some(index) = self.unanswered.iter().position(is_cancel) {
            self.unanswered.remove(index);
        }
    }
}
