//! What can go wrong for a client, and what to do then.

use std::fmt;

use crate::wire::layout::Malformed;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// A field of the login cannot be said in the protocol.
    Login {
        /// Which.
        field: &'static str,
        /// How many letters it may have.
        letters_max: usize,
    },
    /// The server does not know this user, or not with this password.
    NotAuthorized {
        /// Which server.
        address: String,
        /// Who.
        username: String,
    },
    /// The server lacks the session, or messages that were asked for.
    NoSession {
        /// Which server.
        address: String,
        /// Which session; blank for the current one.
        session: String,
        /// The message wanted next.
        sequence: u64,
    },
    /// The server would go on in another session or with another message than was asked for.
    NotWhatWasAsked {
        /// Which server.
        address: String,
        /// What it offered.
        offered: String,
        /// What was wanted.
        wanted: String,
    },
    /// With TLS the two sides do not trust each other, or one of them does not speak it.
    NotTrusted {
        /// Which server.
        address: String,
        /// Why.
        why: String,
    },
    /// There is no connection any more, or not yet.
    Lost {
        /// Why.
        why: String,
    },
    /// It did not come back in time.
    GaveUp {
        /// How often it was tried.
        attempts: u32,
        /// Why the last attempt failed.
        why: String,
    },
    /// The server ended the session for good.
    Ended {
        /// Which.
        session: String,
    },
    /// A message that this library does not know. It was received: the next one can be asked for.
    Malformed {
        /// Its place in the session.
        number: u64,
        /// What is wrong with it.
        error: Malformed,
    },
    /// A message that no packet has room for.
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// What was sent before the connection was lost has no answer yet.
    InDoubt {
        /// How many messages.
        count: usize,
    },
}

impl ClientError {
    /// Whether `reconnect` is what to do next.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::GaveUp { .. })
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login { field, letters_max } => write!(
                f,
                "the {field} is not at most {letters_max} printable ASCII letters: the protocol \
                 has room for no other"
            ),
            Self::NotAuthorized { address, username } => write!(
                f,
                "{address} does not let user '{username}' in with this password: check both, \
                 and that the server's list of users has them (`ringframe user list`)"
            ),
            Self::NoSession { address, session, sequence } => {
                let session = if session.is_empty() { "the current one" } else { session };
                write!(
                    f,
                    "{address} cannot serve message {sequence} of session {session}: with a \
                     session's name left empty and sequence 1 all there is comes; a server that \
                     lacks messages already received is not the one that sent them"
                )
            }
            Self::NotWhatWasAsked { address, offered, wanted } => write!(
                f,
                "{address} offers {offered} where {wanted} was asked for: messages would be \
                 missing or repeated, so connect anew, from sequence 1 or 0"
            ),
            Self::NotTrusted { address, why } => write!(
                f,
                "no TLS with {address}: {why}; check that this port has it, and that the \
                 authority, the pinned certificate and the name are the server's"
            ),
            Self::Lost { why } => {
                write!(f, "no connection: {why}; reconnect, and nothing is missed")
            }
            Self::GaveUp { attempts, why } => write!(
                f,
                "no connection after {attempts} attempts, the last: {why}; see whether the server \
                 runs and the address is right, then reconnect, and nothing is missed"
            ),
            Self::Ended { session } => write!(
                f,
                "session {session} is over for good: for the next one, connect anew with the \
                 session's name left empty"
            ),
            Self::Malformed { number, error } => write!(
                f,
                "message {number} is not understood: {error}; it counts as received, a newer \
                 client may know it"
            ),
            Self::TooLong { bytes } => {
                write!(f, "a message of {bytes} bytes has no room in a packet: at most 65534 have")
            }
            Self::InDoubt { count } => write!(
                f,
                "{count} messages were sent before the connection was lost and have no answer \
                 yet: resend them (what was executed is not executed again) or forget them first"
            ),
        }
    }
}

impl std::error::Error for ClientError {}
