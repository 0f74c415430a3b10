//! A client in a few lines: orders by way of [`Client`], market data by way of [`Feed`] (and a
//! [`Book`] made of it), and below both [`Soup`], one session of numbered messages over one TCP
//! connection after the other. It blocks and has no thread of its own; with
//! [`Login::tls`] all of it is inside TLS.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use ringframe::client::{Client, ClientError, Login, limit_order};
//! use ringframe::wire::layout::Alpha;
//! use ringframe::wire::ouch::Side;
//!
//! # fn main() -> Result<(), ClientError> {
//! let mut client = Client::connect(Login::new("127.0.0.1:9001", "TRDR01", "secret"))?;
//! let token = Alpha::new("FIRST").expect("at most 14 letters and digits");
//! let stock = Alpha::new("AAPL").expect("at most 8 letters");
//! client.send(limit_order(token, Side::BUY, 100, stock, 230_0000))?;
//! loop {
//!     match client.receive(Duration::from_secs(1)) {
//!         Ok(Some(received)) => println!("{}: {:?}", received.number, received.message),
//!         Ok(None) => println!("nothing new"),
//!         Err(error) if error.is_lost() => {
//!             // Goes on behind the last message received; what has no answer may be sent again.
//!             client.reconnect()?;
//!             client.resend()?;
//!         }
//!         Err(error) => return Err(error),
//!     }
//! }
//! # }
//! ```
//!
//! **Heartbeats** go out when a call finds them due, so something must be called: a client that
//! calls neither `send` nor `receive` for 15 seconds is cut off. `receive` with any timeout, also
//! none, will do; with a long one it sends them while it waits.
//!
//! **Read what comes.** A server does not wait for slow readers: it cuts them off, too. Nothing is
//! lost by that, since [`Client::reconnect`] asks for the next message that was not yet received.

use std::fmt;
use std::time::Duration;

mod book;
mod connection;
mod error;
mod feed;
mod orders;
mod socket;
mod soup;

pub use book::{Book, Level, Trade};
pub use error::ClientError;
pub use feed::Feed;
pub use orders::{Client, limit_order};
pub use soup::Soup;

use crate::tls::Connector;

/// Who logs in, where, and from which message on.
#[derive(Clone)]
pub struct Login {
    /// As `HOST:PORT`; several are a pair's, of which the one that leads lets clients in: tried in
    /// turn, and first where it was last.
    pub addresses: Vec<String>,
    /// At most 6 letters and digits; case does not matter.
    pub username: String,
    /// At most 10; case does not matter.
    pub password: String,
    /// Which session; empty for the user's current one.
    pub session: String,
    /// The number of the first message wanted: 1 for all from the beginning, 0 for only new ones.
    pub sequence: u64,
    /// Inside TLS; plain without.
    pub tls: Option<Connector>,
    /// How long to wait for what.
    pub timing: Timing,
}

impl Login {
    /// All messages of the user's current session.
    pub fn new(address: &str, username: &str, password: &str) -> Self {
        Self {
            addresses: vec![address.to_owned()],
            username: username.to_owned(),
            password: password.to_owned(),
            session: String::new(),
            sequence: 1,
            tls: None,
            timing: Timing::default(),
        }
    }
}

/// A password is for nobody's log.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("addresses", &self.addresses)
            .field("username", &self.username)
            .field("session", &self.session)
            .field("sequence", &self.sequence)
            .field("tls", &self.tls.is_some())
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// For one server to take a connection, and as long again to answer the login.
    pub connect: Duration,
    /// So long after the last thing said, a heartbeat is.
    pub heartbeat: Duration,
    /// So long after the last thing heard, or with bytes that nobody takes, the connection is lost.
    pub silence: Duration,
    /// Between the first attempt to reconnect and the second; each wait is twice the one before …
    pub retry: Duration,
    /// … but no longer than this.
    pub retry_max: Duration,
    /// So long it goes on trying, to come back or to find the one of several that leads; and so
    /// long it waits for a snapshot, or for more of one.
    pub give_up: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            heartbeat: Duration::from_secs(1),
            silence: Duration::from_secs(15),
            retry: Duration::from_millis(20),
            retry_max: Duration::from_secs(1),
            give_up: Duration::from_mins(1),
        }
    }
}

/// A message and its place in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<M> {
    /// From 1, without gaps.
    pub number: u64,
    /// What was said.
    pub message: M,
}
