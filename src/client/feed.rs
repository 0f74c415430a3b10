//! Market data: ITCH messages in a session of their own.

use std::time::Duration;

use super::{ClientError, Login, Received, Soup};
use crate::wire::itch::Message;

/// A reader of the market's messages.
pub struct Feed(Soup);

impl Feed {
    /// Logs in where market data is. From sequence 1 on, a book can be built from the messages
    /// alone.
    pub fn connect(login: Login) -> Result<Self, ClientError> {
        Soup::connect(login).map(Self)
    }

    /// The next message; `None` when none came in this time.
    pub fn receive(&mut self, timeout: Duration) -> Result<Option<Received<Message>>, ClientError> {
        let Some((number, bytes)) = self.0.receive(timeout)? else { return Ok(None) };
        match Message::decode(bytes) {
            Ok(message) => Ok(Some(Received { number, message })),
            Err(error) => Err(ClientError::Malformed { number, error }),
        }
    }

    /// Goes on behind the last message received, as [`Soup::reconnect`] does.
    pub fn reconnect(&mut self) -> Result<(), ClientError> {
        self.0.reconnect()
    }

    /// The session below.
    pub fn soup(&self) -> &Soup {
        &self.0
    }

    /// As [`Soup::logout`].
    pub fn logout(self) -> Result<(), ClientError> {
        self.0.logout()
    }
}
