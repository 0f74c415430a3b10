//! A session: messages with numbers, over one connection after the other.
#![expect(clippy::disallowed_methods, reason = "a client waits before it tries again")]

use std::time::Duration;

use super::connection::{Arrived, Connection, after};
use super::{ClientError, Login};
use crate::clock::Clock;
use crate::wire::layout::Alpha;
use crate::wire::soup::{
    FromClient, HEADER_BYTES, LoginAccepted, LoginReject, LoginRequest, PACKET_BYTES_MAX, Password,
    Session, Username,
};

/// One session of any protocol inside `SoupBinTCP`: bytes out, numbered bytes in.
pub struct Soup {
    login: Login,
    username: Username,
    password: Password,
    /// Blank until a server has said which.
    session: Session,
    /// The number of the next message; 0 until a server has said which.
    next: u64,
    /// Which of the addresses let it in last: the first to be tried.
    place: usize,
    link: Link,
    clock: Clock,
}

/// What came of all addresses, where none let it in.
#[derive(Default)]
struct Tried {
    /// The first refusal of a server.
    said: Option<ClientError>,
    /// Why the first that could not be reached was not.
    lost: Option<String>,
}

impl Tried {
    /// What a server says counts more than that another is not there.
    fn into_error(self) -> ClientError {
        let lost = || self.lost.unwrap_or_else(|| "there is no address to try".into());
        self.said.unwrap_or_else(|| ClientError::Lost { why: lost() })
    }
}

enum Link {
    Up(Box<Connection>),
    /// Why there is none.
    Down(String),
    /// The session is over for good.
    Ended,
}

impl Soup {
    /// Logs in, at the first of the addresses that lets it. Several are a pair's, one of which may
    /// be about to lead: while none can be reached it waits and tries again, as
    /// [`Self::reconnect`] does. A single one is tried once.
    pub fn connect(login: Login) -> Result<Self, ClientError> {
        let field = |field, letters_max| ClientError::Login { field, letters_max };
        let mut soup = Self {
            username: Alpha::new(&login.username).ok_or_else(|| field("username", 6))?,
            password: Alpha::new(&login.password).ok_or_else(|| field("password", 10))?,
            session: Alpha::new(&login.session).ok_or_else(|| field("session", 10))?,
            next: login.sequence,
            place: 0,
            link: Link::Down("not yet connected".into()),
            clock: Clock::new(),
            login,
        };
        if soup.login.addresses.len() > 1 {
            soup.log_in_with_patience(|tried| tried.said.is_some())?;
        } else {
            soup.log_in().map_err(Tried::into_error)?;
        }
        Ok(soup)
    }

    /// Logs in to the same session again, from the next message on, at whichever of the addresses
    /// lets it. Waits and tries again while no server can be reached. What a server says is final,
    /// but for this: that it lacks the session, or messages that were received, says of one of
    /// several that it does not lead any more, as long as another one cannot be reached.
    pub fn reconnect(&mut self) -> Result<(), ClientError> {
        if matches!(self.link, Link::Ended) {
            return Err(self.ended());
        }
        self.link = Link::Down("not yet connected again".into());
        self.log_in_with_patience(|tried| {
            let others_may = tried.lost.is_some();
            tried.said.as_ref().is_some_and(|said| !(others_may && is_outdated(said)))
        })
    }

    /// Tries all addresses until one lets it in, `is_final` finds that no later try will, or time
    /// is up.
    fn log_in_with_patience(&mut self, is_final: fn(&Tried) -> bool) -> Result<(), ClientError> {
        let timing = self.login.timing;
        let give_up = after(self.clock.now(), timing.give_up);
        let mut wait = timing.retry;
        for attempts in 1.. {
            let Err(tried) = self.log_in() else { return Ok(()) };
            if is_final(&tried) {
                return Err(tried.into_error());
            }
            if self.clock.now() >= give_up {
                return Err(match tried.into_error() {
                    ClientError::Lost { why } => ClientError::GaveUp { attempts, why },
                    said => said,
                });
            }
            // All clients lose a server at once: they should not come back at once.
            std::thread::sleep(wait / 2 + (wait / 100) * fastrand::u32(0..=50));
            wait = (wait * 2).min(timing.retry_max);
        }
        unreachable!("the attempts do not end by themselves")
    }

    /// The session's name.
    pub fn session(&self) -> Session {
        self.session
    }

    /// The number of the message that [`Self::receive`] gives next: after a restart, log in with
    /// this one.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Sends a message. `Ok` does not say that it arrived: only an answer does.
    pub fn send(&mut self, message: &[u8]) -> Result<(), ClientError> {
        if HEADER_BYTES + message.len() > PACKET_BYTES_MAX {
            return Err(ClientError::TooLong { bytes: message.len() });
        }
        let sent = self.up()?.send(FromClient::Data(message));
        sent.map_err(|why| self.lost(why))
    }

    /// The next message and its number; `None` when none came in this time. Heartbeats are sent as
    /// they are due.
    pub fn receive(&mut self, timeout: Duration) -> Result<Option<(u64, &[u8])>, ClientError> {
        let until = after(self.clock.now(), timeout);
        let at = match self.up()?.wait(until) {
            Ok(Some(Arrived::Message(at))) => at,
            Ok(None) => return Ok(None),
            Ok(Some(Arrived::End)) => {
                self.link = Link::Ended;
                return Err(self.ended());
            }
            Ok(Some(Arrived::Accepted(_) | Arrived::Rejected(_))) => {
                return Err(self.lost("the server answered a login twice".into()));
            }
            Err(why) => return Err(self.lost(why)),
        };
        let number = self.next;
        self.next += 1;
        Ok(Some((number, self.up()?.message(at))))
    }

    /// Says good-bye, and waits until the server has heard it and closed, but no longer than for a
    /// login. What comes meanwhile is not received: a later login gets it.
    pub fn logout(mut self) -> Result<(), ClientError> {
        let until = after(self.clock.now(), self.login.timing.connect);
        let connection = self.up()?;
        connection.send(FromClient::Logout).map_err(|why| ClientError::Lost { why })?;
        while let Ok(Some(_)) = connection.wait(until) {}
        Ok(())
    }

    /// Tries every address once, and first where it was last.
    fn log_in(&mut self) -> Result<(), Tried> {
        let mut tried = Tried::default();
        let addresses = self.login.addresses.clone();
        for step in 0..addresses.len() {
            let place = (self.place + step) % addresses.len();
            match self.log_in_at(&addresses[place]) {
                Ok(()) => {
                    self.place = place;
                    return Ok(());
                }
                Err(ClientError::Lost { why }) => {
                    tried.lost.get_or_insert(why);
                }
                Err(error) => {
                    tried.said.get_or_insert(error);
                }
            }
        }
        Err(tried)
    }

    fn log_in_at(&mut self, address: &str) -> Result<(), ClientError> {
        let lost = |why: String| ClientError::Lost { why: format!("{address}: {why}") };
        let timing = self.login.timing;
        let mut connection = Connection::open(address, &self.login, self.clock)?;
        let request = LoginRequest {
            username: self.username,
            password: self.password,
            session: self.session,
            sequence: self.next,
            timeout: None,
        };
        connection.send(FromClient::Login(request)).map_err(lost)?;
        let until = after(self.clock.now(), timing.connect);
        match connection.wait(until).map_err(lost)? {
            Some(Arrived::Accepted(accepted)) => {
                self.check(address, &accepted)?;
                self.session = accepted.session;
                self.next = accepted.sequence;
                self.link = Link::Up(Box::new(connection));
                Ok(())
            }
            Some(Arrived::Rejected(LoginReject::NotAuthorized)) => {
                Err(ClientError::NotAuthorized {
                    address: address.to_owned(),
                    username: self.username.to_string(),
                })
            }
            Some(Arrived::Rejected(LoginReject::SessionNotAvailable) | Arrived::End) => {
                Err(ClientError::NoSession {
                    address: address.to_owned(),
                    session: self.session.to_string(),
                    sequence: self.next,
                })
            }
            Some(Arrived::Message(_)) => {
                Err(lost("it sent messages before it answered the login".into()))
            }
            None => Err(lost(format!("no answer to the login for {:?}", timing.connect))),
        }
    }

    /// A server that clamps what it lacks would make a gap that nobody sees.
    fn check(&self, address: &str, accepted: &LoginAccepted) -> Result<(), ClientError> {
        let is_session = self.session.is_blank() || accepted.session == self.session;
        let is_next = self.next == 0 || accepted.sequence == self.next;
        if is_session && is_next {
            return Ok(());
        }
        let name = |session: Session, next| format!("message {next} of session '{session}'");
        Err(ClientError::NotWhatWasAsked {
            address: address.to_owned(),
            offered: name(accepted.session, accepted.sequence),
            wanted: name(self.session, self.next),
        })
    }

    fn up(&mut self) -> Result<&mut Connection, ClientError> {
        match &mut self.link {
            Link::Up(connection) => Ok(connection),
            Link::Down(why) => Err(ClientError::Lost { why: why.clone() }),
            Link::Ended => Err(ClientError::Ended { session: self.session.to_string() }),
        }
    }

    fn lost(&mut self, why: String) -> ClientError {
        self.link = Link::Down(why.clone());
        ClientError::Lost { why }
    }

    fn ended(&self) -> ClientError {
        ClientError::Ended { session: self.session.to_string() }
    }
}

/// Whether that is what a server says which has missed something, and so does not lead.
fn is_outdated(said: &ClientError) -> bool {
    matches!(said, ClientError::NoSession { .. } | ClientError::NotWhatWasAsked { .. })
}
