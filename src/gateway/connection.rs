//! One connection: what came and was not understood yet, and what is still to be sent.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::poller::Interest;
use crate::streams::{Stream, Window};
use crate::types::Nanos;
use crate::wire::soup::{FromServer, LoginRequest};

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// Order entry.
    Orders,
    /// Market data.
    Market,
}

/// How far a conversation is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// Nothing was said yet.
    Fresh,
    /// Who that is is being looked up.
    Verifying(LoginRequest),
    /// Logged in.
    Live(Stream),
    /// What is in `own` is still sent, and nothing else is heard or said.
    Leaving,
}

/// Where the next messages come from.
#[derive(Debug)]
pub(super) enum Source {
    /// There are none before the login.
    Nowhere,
    /// The stream's window, from this position on.
    Window(u64),
    /// The event log.
    Past(Past),
}

/// Old messages on their way to a client.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) packets: Vec<u8>,
    pub(super) sent: usize,
    /// The number of the message after them.
    pub(super) next: u64,
    /// The history was asked for it.
    pub(super) asked: bool,
}

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client closed it, or logged out.
    Closed,
    /// The network did.
    Failed(io::Error),
    /// It did not read, and what it was to get is no longer in the window.
    Slow,
    /// Nothing came for too long.
    Silent,
    /// It said something that no client may say.
    Broken(String),
    /// Another connection has its session now.
    TakenOver,
    /// Old messages are gone.
    Lost(String),
    /// It was to leave, and is done.
    Left,
}

pub(super) struct Connection {
    pub(super) socket: TcpStream,
    pub(super) token: u64,
    pub(super) from: SocketAddr,
    pub(super) door: Door,
    pub(super) phase: Phase,
    pub(super) source: Source,
    /// Bytes that came and are not used up: the start of a packet, or more where nobody takes them.
    pub(super) inbound: Vec<u8>,
    /// Waits for room in the ring, for its login, or for its turn: nothing is read meanwhile.
    pub(super) stalled: bool,
    /// Packets that belong to no stream.
    own: Vec<u8>,
    own_sent: usize,
    pub(super) interest: Interest,
    pub(super) opened: Nanos,
    pub(super) heard: Nanos,
    pub(super) said: Nanos,
    pub(super) malformed: u32,
    /// When the next message may come without being early.
    pub(super) due: Nanos,
}

impl Connection {
    pub(super) fn new(
        socket: TcpStream,
        from: SocketAddr,
        door: Door,
        token: u64,
        now: Nanos,
    ) -> Self {
        Self {
            socket,
            token,
            from,
            door,
            phase: Phase::Fresh,
            source: Source::Nowhere,
            inbound: Vec::new(),
            stalled: false,
            own: Vec::new(),
            own_sent: 0,
            interest: Interest::READ,
            opened: now,
            heard: now,
            said: now,
            malformed: 0,
            due: now,
        }
    }

    pub(super) fn stream(&self) -> Option<Stream> {
        match self.phase {
            Phase::Live(stream) => Some(stream),
            _ => None,
        }
    }

    /// Says something that belongs to no stream, between two messages.
    pub(super) fn say(&mut self, packet: &FromServer<'_>) {
        let mut bytes = [0; 256];
        let used = packet.encode(&mut bytes).expect("own packets are short");
        self.own.extend_from_slice(&bytes[..used]);
    }

    /// Takes over what it has to get of a stream that ends, as far as it is in memory.
    pub(super) fn keep_rest(&mut self, window: &Window) -> Result<(), End> {
        match std::mem::replace(&mut self.source, Source::Nowhere) {
            Source::Nowhere => {}
            Source::Window(position) if window.holds(position) => {
                let (one, other) = window.from(position);
                self.own.extend_from_slice(one);
                self.own.extend_from_slice(other);
            }
            Source::Window(_) => return Err(End::Slow),
            // What was begun is finished, so that the next packet is seen as one.
            Source::Past(past) => self.own.extend_from_slice(&past.packets[past.sent..]),
        }
        Ok(())
    }

    /// Whether the last packet that was begun is also sent to its end, and nothing waits.
    pub(super) fn is_idle(&self, window: Option<&Window>) -> bool {
        self.own_sent == self.own.len()
            && match (&self.source, window) {
                (Source::Nowhere, _) | (Source::Window(_), None) => true,
                (Source::Window(position), Some(window)) => *position == window.end(),
                (Source::Past(past), _) => past.sent == past.packets.len(),
            }
    }

    /// Reads what there is, behind what is kept at the start of `buffer`.
    pub(super) fn read(&mut self, buffer: &mut [u8], kept: usize) -> Result<usize, End> {
        match self.socket.read(&mut buffer[kept..]) {
            Ok(0) => Err(End::Closed),
            Ok(bytes) => Ok(bytes),
            Err(error) if is_nothing(&error) => Ok(0),
            Err(error) => Err(End::Failed(error)),
        }
    }

    /// Sends as much as the socket takes.
    pub(super) fn flush(&mut self, window: Option<&Window>, now: Nanos) -> Result<(), End> {
        self.interest.write = false;
        loop {
            let (sent, all) = self.send_some(window)?;
            if sent > 0 {
                self.said = now;
            }
            if sent < all {
                self.interest.write = true;
                return Ok(());
            }
            if all == 0 {
                break;
            }
        }
        match self.phase {
            Phase::Leaving => Err(End::Left),
            _ => Ok(()),
        }
    }

    /// Sends the next bytes that stand together; says how many it sent, of how many.
    fn send_some(&mut self, window: Option<&Window>) -> Result<(usize, usize), End> {
        if self.own_sent < self.own.len() {
            let sent = write(&self.socket, &self.own[self.own_sent..])?;
            let all = self.own.len() - self.own_sent;
            self.own_sent += sent;
            if self.own_sent == self.own.len() {
                self.own.clear();
                self.own_sent = 0;
            }
            return Ok((sent, all));
        }
        match (&mut self.source, window) {
            (Source::Window(position), Some(window)) => {
                if !window.holds(*position) {
                    return Err(End::Slow);
                }
                let (bytes, _) = window.from(*position);
                if bytes.is_empty() {
                    return Ok((0, 0));
                }
                let sent = write(&self.socket, bytes)?;
                *position += sent as u64;
                Ok((sent, bytes.len()))
            }
            (Source::Past(past), _) if past.sent < past.packets.len() => {
                let bytes = &past.packets[past.sent..];
                let sent = write(&self.socket, bytes)?;
                let all = bytes.len();
                past.sent += sent;
                Ok((sent, all))
            }
            _ => Ok((0, 0)),
        }
    }
}

fn write(mut socket: &TcpStream, bytes: &[u8]) -> Result<usize, End> {
    match socket.write(bytes) {
        Ok(sent) => Ok(sent),
        Err(error) if is_nothing(&error) => Ok(0),
        Err(error) => Err(End::Failed(error)),
    }
}

/// Not now, rather than never.
pub(super) fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed | Self::Left => write!(f, "it is closed"),
            Self::Failed(error) => write!(f, "{error}"),
            Self::Slow => write!(f, "it does not read: log in again for the rest"),
            Self::Silent => write!(f, "it said nothing for too long"),
            Self::Broken(why) => f.write_str(why),
            Self::TakenOver => write!(f, "another connection logged in to its session"),
            Self::Lost(why) => write!(f, "the messages that it wants are gone: {why}"),
        }
    }
}
