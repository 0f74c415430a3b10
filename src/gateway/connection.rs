//! One connection: what came and was not understood yet, and what is still to be sent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::socket::Socket;
use crate::net::{Interest, Stream as Way};
use crate::streams::{Snapshot, Stream, Window};
use crate::types::{Nanos, Sequence};
use crate::wire::soup::{FromServer, LoginRequest};

/// Commands that wait in the ring at the same time, of one connection.
#[derive(Debug, Default)]
pub(super) struct Turn {
    commands: u64,
    last: Sequence,
}

impl Turn {
    /// Whether there may be one more.
    #[inline]
    pub(super) fn may_go_on(&mut self, applied: impl FnOnce() -> Sequence) -> bool {
        if self.commands >= super::TURN && applied() >= self.last {
            self.commands = 0;
        }
        self.commands < super::TURN
    }

    /// There is one more.
    #[inline]
    pub(super) fn ordered(&mut self, sequence: Sequence) {
        self.commands += 1;
        self.last = sequence;
    }
}

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// Order entry.
    Orders,
    /// Market data.
    Market,
    /// How the market stands, for those who come late.
    Glimpse,
}

/// So much at most is sent to one connection before others have their turn.
const FLUSH_BYTES: usize = 64 << 10;
/// A snapshot must be read in this time: others may need its room …
pub(super) const SNAPSHOT_NANOS: u64 = 300 * Nanos::SECOND;
/// … and anything else that is said at the end in this.
const LINGER_NANOS: u64 = 10 * Nanos::SECOND;

/// How far a conversation is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// Nothing was said yet.
    Fresh,
    /// Who that is is being looked up.
    Verifying(LoginRequest),
    /// Logged in.
    Live(Stream),
    /// Logged in, and waits for a snapshot.
    Late,
    /// What is in `own` is still sent, and nothing else is heard or said.
    Leaving,
    /// All is said, and its socket closed for writing. Closed for reading, too, it would take back
    /// what the client did not read yet, as soon as that one says a word: so until the client
    /// closes, or this time has come, what it says is read and thrown away.
    Left(Nanos),
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
    /// A snapshot, and how much of it was sent.
    Snapshot(Arc<Snapshot>, usize),
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
    /// It speaks no TLS, and is asked to.
    NoTls,
    /// It speaks TLS, and is not asked to.
    OnlyTls,
    /// The two sides do not trust each other.
    Handshake(String),
    /// Another connection has its session now.
    TakenOver,
    /// Old messages are gone.
    Lost(String),
    /// It was to leave, and is done.
    Left,
}

pub(super) struct Connection<S: Way> {
    pub(super) socket: Socket<S>,
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
    pub(super) turn: Turn,
    /// Goes with it: who does something for it elsewhere sees that it is still there.
    pub(super) presence: Arc<()>,
}

impl<S: Way> Connection<S> {
    pub(super) fn new(
        socket: Socket<S>,
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
            turn: Turn::default(),
            presence: Arc::new(()),
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

    /// What the window has for it that was not handed to its socket; none where it reads the past.
    pub(super) fn behind_bytes(&self, window: Option<&Window>) -> Option<u64> {
        match (&self.source, window) {
            (Source::Window(position), Some(window)) => Some(window.end() - position),
            (Source::Window(_) | Source::Nowhere, _) => Some(0),
            (Source::Past(_) | Source::Snapshot(..), _) => None,
        }
    }

    /// Whether the history was asked for something, and has not answered.
    pub(super) fn has_asked(&self) -> bool {
        match &self.source {
            Source::Past(past) => past.asked,
            _ => matches!(self.phase, Phase::Late),
        }
    }

    /// Takes over all that the stream still has for it, because the window goes; `false` when that
    /// is not all here.
    pub(super) fn keep_rest(&mut self, window: &Window) -> bool {
        let position = match &self.source {
            Source::Nowhere | Source::Snapshot(..) => return true,
            Source::Window(position) => Some(*position).filter(|it| window.holds(*it)),
            Source::Past(past) => {
                let position = window.position(past.next);
                if position.is_some() {
                    self.own.extend_from_slice(&past.packets[past.sent..]);
                }
                position
            }
        };
        let Some(position) = position else { return false };
        let (one, other) = window.from(position);
        self.own.extend_from_slice(one);
        self.own.extend_from_slice(other);
        self.source = Source::Nowhere;
        true
    }

    /// Whether the last packet that was begun is also sent to its end, and nothing waits.
    pub(super) fn is_idle(&self, window: Option<&Window>) -> bool {
        self.own_sent == self.own.len()
            && !self.socket.holds_some()
            && match (&self.source, window) {
                (Source::Nowhere, _) | (Source::Window(_), None) => true,
                (Source::Window(position), Some(window)) => *position == window.end(),
                (Source::Past(past), _) => past.sent == past.packets.len(),
                (Source::Snapshot(all, sent), _) => *sent == all.packets.len(),
            }
    }

    /// Reads what there is, behind what is kept at the start of `buffer`.
    pub(super) fn read(&mut self, buffer: &mut [u8], kept: usize) -> Result<usize, End> {
        self.socket.read(&mut buffer[kept..])
    }

    /// Sends as much as the socket takes.
    pub(super) fn flush(&mut self, window: Option<&Window>, now: Nanos) -> Result<(), End> {
        self.interest.write = false;
        let mut turn = 0;
        loop {
            let (sent, all) = self.send_some(window)?;
            if sent > 0 {
                self.said = now;
            }
            turn += sent;
            // Others want their turn: the socket is ready again at once.
            if sent < all || turn >= FLUSH_BYTES {
                self.interest.write = true;
                return Ok(());
            }
            if all == 0 {
                break;
            }
        }
        if !self.socket.send()? {
            self.interest.write = true;
            return Ok(());
        }
        match self.phase {
            Phase::Leaving => self.leave(now),
            _ => Ok(()),
        }
    }

    /// Says that nothing more comes, and waits for the client to close.
    fn leave(&mut self, now: Nanos) -> Result<(), End> {
        if !self.socket.finish()? {
            self.interest.write = true;
            return Ok(());
        }
        let is_late = matches!(self.source, Source::Snapshot(..));
        self.phase = Phase::Left(now.after(if is_late { SNAPSHOT_NANOS } else { LINGER_NANOS }));
        self.source = Source::Nowhere;
        self.inbound = Vec::new();
        (self.stalled, self.interest.read) = (false, true);
        Ok(())
    }

    /// Sends the next bytes that stand together; says how many it sent, of how many.
    fn send_some(&mut self, window: Option<&Window>) -> Result<(usize, usize), End> {
        if self.own_sent < self.own.len() {
            let sent = self.socket.write(&self.own[self.own_sent..])?;
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
                let sent = self.socket.write(bytes)?;
                *position += sent as u64;
                Ok((sent, bytes.len()))
            }
            (Source::Past(past), _) if past.sent < past.packets.len() => {
                let bytes = &past.packets[past.sent..];
                let bytes = &bytes[..bytes.len().min(FLUSH_BYTES)];
                let sent = self.socket.write(bytes)?;
                let all = bytes.len();
                past.sent += sent;
                Ok((sent, all))
            }
            (Source::Snapshot(snapshot, position), _) => {
                let bytes = &snapshot.packets[*position..];
                let bytes = &bytes[..bytes.len().min(FLUSH_BYTES)];
                if bytes.is_empty() {
                    return Ok((0, 0));
                }
                let sent = self.socket.write(bytes)?;
                *position += sent;
                Ok((sent, bytes.len()))
            }
            _ => Ok((0, 0)),
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed | Self::Left => write!(f, "it is closed"),
            Self::Failed(error) => write!(f, "{error}"),
            Self::Slow => write!(f, "it does not read: log in again for the rest"),
            Self::Silent => write!(f, "it said nothing for too long"),
            Self::Broken(why) => f.write_str(why),
            Self::NoTls => write!(f, "it speaks no TLS, which this port asks for"),
            Self::OnlyTls => write!(
                f,
                "it speaks TLS, and this port does not: tls.certificate and tls.key turn it on"
            ),
            Self::Handshake(why) => write!(f, "no TLS with it: {why}"),
            Self::TakenOver => write!(f, "another connection logged in to its session"),
            Self::Lost(why) => write!(f, "the messages that it wants are gone: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    fn packed(numbers: std::ops::RangeInclusive<u8>) -> Vec<u8> {
        numbers.flat_map(|number| [0, 3, b'S', number, number]).collect()
    }

    /// What a client reads whose stream ends while it is in the middle of it.
    fn rest(source: Source, window: &Window) -> Option<Vec<u8>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, from) = listener.accept().unwrap();
        let socket = Socket::new(socket, None);
        let mut connection = Connection::new(socket, from, Door::Orders, 1, Nanos::default());
        connection.source = source;
        if !connection.keep_rest(window) {
            return None;
        }
        connection.say(&FromServer::End);
        connection.flush(None, Nanos::default()).unwrap();
        drop(connection);
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).unwrap();
        Some(heard)
    }

    #[test]
    fn a_stream_that_ends_is_told_to_its_end_or_not_ended() {
        let mut window = Window::new(4, 4096);
        for number in 4..=6_u8 {
            window.push(&[number; 2]);
        }
        let end = [0, 1, b'Z'];
        let past =
            |next, sent| Source::Past(Past { packets: packed(1..=3), sent, next, asked: false });
        assert_eq!(rest(past(4, 7), &window), Some([&packed(1..=6)[7..], &end].concat()));
        assert_eq!(rest(past(3, 7), &window), None, "the window does not go back so far");
        assert_eq!(rest(Source::Window(6), &window), Some([&packed(4..=6)[6..], &end].concat()));
        for _ in 0..1_000 {
            window.push(&[9; 2]);
        }
        assert_eq!(rest(Source::Window(6), &window), None, "it was overwritten");
    }
}
