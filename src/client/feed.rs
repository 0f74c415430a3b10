//! Market data: ITCH messages in a session of their own.

use std::time::Duration;

use super::{ClientError, Login, Received, Soup};
use crate::wire::glimpse;
use crate::wire::itch::Message;

/// So often it begins anew when a day ended meanwhile.
const DAYS: u32 = 3;

/// A reader of the market's messages.
pub struct Feed(Soup);

impl Feed {
    /// Logs in where market data is. From sequence 1 on, a book can be built from the messages
    /// alone.
    pub fn connect(login: Login) -> Result<Self, ClientError> {
        Soup::connect(login).map(Self)
    }

    /// Comes late: all books as they stand, said by one of the servers at `glimpse` in the order of
    /// the queues, and the feed from there on, without a gap or a repeat. `login` says who and
    /// where; its session and sequence do not count.
    pub fn late(login: &Login, glimpse: &[String]) -> Result<(Vec<Message>, Self), ClientError> {
        let first = Login {
            addresses: glimpse.to_vec(),
            session: String::new(),
            sequence: 1,
            ..login.clone()
        };
        for _ in 1..DAYS {
            let (state, session, sequence) = snapshot(first.clone())?;
            match Soup::connect(Login { session, sequence, ..login.clone() }) {
                Ok(soup) => return Ok((state, Self(soup))),
                Err(ClientError::NoSession { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let (state, session, sequence) = snapshot(first)?;
        Soup::connect(Login { session, sequence, ..login.clone() }).map(|soup| (state, Self(soup)))
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

/// What it says, of which session, and where the feed goes on.
fn snapshot(login: Login) -> Result<(Vec<Message>, String, u64), ClientError> {
    let patience = login.timing.give_up;
    let mut soup = Soup::connect(login)?;
    let session = soup.session().to_string();
    let mut state = Vec::new();
    loop {
        // Heartbeats alone make no book.
        let Some((number, bytes)) = soup.receive(patience)? else {
            let why = format!(
                "a server of snapshots let us in and then said nothing of its books for \
                 {patience:?}"
            );
            return Err(ClientError::Lost { why });
        };
        match glimpse::Message::decode(bytes) {
            Ok(glimpse::Message::State(message)) => state.push(message),
            Ok(glimpse::Message::End { next }) => return Ok((state, session, next)),
            Err(error) => return Err(ClientError::Malformed { number, error }),
        }
    }
}
