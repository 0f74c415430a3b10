//! A client that hides nothing: packets out, packets in.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ringframe::client::limit_order;
use ringframe::wire::layout::Alpha;
use ringframe::wire::ouch::{Enter, Inbound, Outbound, Side, Token};
use ringframe::wire::soup::{
    FromClient, FromServer, LoginReject, LoginRequest, PACKET_BYTES_MAX, Session,
};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};

/// Nothing takes longer, on the busiest machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
/// So often somebody looks who waits.
const LOOK: Duration = Duration::from_millis(10);
/// So often a client says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The price that all who trade agree about.
pub(crate) const PRICE: u32 = 230_0000;

/// A connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    input: Vec<u8>,
    /// The number of the next message.
    pub(crate) next: u64,
    /// As the server called it.
    pub(crate) session: Session,
    said: Instant,
    /// Whether it says now and then that it is there.
    pub(crate) is_alive: bool,
}

/// Waits until it is so; `what` says what.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < give_up, "it never comes to this: {what}");
        sleep(LOOK);
    }
}

/// Tells other threads to stop, also where an assertion ends this one.
pub(crate) struct Stops<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Accepted,
    Rejected(LoginReject),
    Message(u64, Vec<u8>),
    Heartbeat,
    Debug(String),
    End,
    /// The connection is no more.
    Gone,
}

impl Peer {
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
    }

    /// From an address of its own, with room for little that comes.
    pub(crate) fn open_from(from: Ipv4Addr, address: SocketAddr, room: usize) -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        sockopt::set_socket_recv_buffer_size(&socket, room).unwrap();
        bind(&socket, &SocketAddr::from((from, 0))).unwrap();
        connect(&socket, &address).unwrap();
        Self::over(TcpStream::from(socket))
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(HEARTBEAT)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            input: Vec::new(),
            next: 0,
            session: Session::BLANK,
            said: Instant::now(),
            is_alive: true,
        }
    }

    /// Logs a demo user in, to a session by its name or the current one.
    pub(crate) fn log_in(
        address: SocketAddr,
        user: u16,
        session: Session,
        sequence: u64,
    ) -> Result<Self, LoginReject> {
        let mut peer = Self::open(address);
        peer.say(FromClient::Login(login(user, session, sequence))).unwrap();
        match peer.next() {
            Heard::Accepted => Ok(peer),
            Heard::Rejected(why) => Err(why),
            other => panic!("{other:?} for a login"),
        }
    }

    /// All of the current session, from a message on.
    pub(crate) fn from(address: SocketAddr, user: u16, sequence: u64) -> Self {
        Self::log_in(address, user, Session::BLANK, sequence).unwrap()
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.said = Instant::now();
        self.stream.write_all(bytes)
    }

    pub(crate) fn say(&mut self, packet: FromClient<'_>) -> io::Result<()> {
        self.write(&packed(packet))
    }

    pub(crate) fn order(&mut self, order: &Enter) -> io::Result<()> {
        self.write(&packed_order(order))
    }

    /// What is the next whole packet of the bytes that came.
    fn parse(&mut self) -> Option<Heard> {
        let (packet, used) = FromServer::split(&self.input, PACKET_BYTES_MAX).unwrap()?;
        let heard = match packet {
            FromServer::Accepted(accepted) => {
                (self.session, self.next) = (accepted.session, accepted.sequence);
                Heard::Accepted
            }
            FromServer::Rejected(why) => Heard::Rejected(why),
            FromServer::Data(message) => {
                self.next += 1;
                Heard::Message(self.next - 1, message.to_vec())
            }
            FromServer::Heartbeat => Heard::Heartbeat,
            FromServer::Debug(text) => Heard::Debug(String::from_utf8_lossy(text).into_owned()),
            FromServer::End => Heard::End,
        };
        self.input.drain(..used);
        Some(heard)
    }

    /// All that came by now.
    pub(crate) fn heard(&mut self) -> Vec<Heard> {
        let mut chunk = [0; 16 << 10];
        self.stream.set_nonblocking(true).unwrap();
        let is_gone = loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => break true,
                Ok(read) => self.input.extend_from_slice(&chunk[..read]),
                Err(error) if is_timeout(&error) => break false,
                Err(_) => break true,
            }
        };
        self.stream.set_nonblocking(false).unwrap();
        let mut heard: Vec<Heard> = std::iter::from_fn(|| self.parse()).collect();
        heard.extend(is_gone.then_some(Heard::Gone));
        heard
    }

    /// Says as much of it as goes now.
    pub(crate) fn pour(&mut self, bytes: &[u8]) -> usize {
        self.stream.set_nonblocking(true).unwrap();
        let poured = self.stream.write(bytes);
        self.stream.set_nonblocking(false).unwrap();
        match poured {
            Err(error) if is_timeout(&error) => 0,
            poured => poured.unwrap(),
        }
    }

    /// What comes next; says meanwhile that it is there.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Heard {
        let give_up = Instant::now() + PATIENCE;
        let mut chunk = [0; 16 << 10];
        loop {
            if self.is_alive && self.said.elapsed() > HEARTBEAT {
                // The server may be gone: reading says so.
                let _ = self.say(FromClient::Heartbeat);
            }
            if let Some(heard) = self.parse() {
                return heard;
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Heard::Gone,
                Ok(read) => self.input.extend_from_slice(&chunk[..read]),
                Err(error) if is_timeout(&error) => {
                    assert!(Instant::now() < give_up, "it says nothing");
                }
                Err(_) => return Heard::Gone,
            }
        }
    }

    /// The next message; no other packet but heartbeats may come before it.
    #[track_caller]
    pub(crate) fn message(&mut self) -> (u64, Vec<u8>) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < give_up, "message {} does not come", self.next);
            match self.next() {
                Heard::Message(number, bytes) => return (number, bytes),
                Heard::Heartbeat => {}
                other => panic!("{other:?} where message {} was expected", self.next),
            }
        }
    }

    /// The next message of order entry.
    #[track_caller]
    pub(crate) fn told(&mut self) -> Outbound {
        Outbound::decode(&self.message().1).unwrap()
    }

    /// So many messages, and then a heartbeat: there are no more.
    #[track_caller]
    pub(crate) fn all(&mut self, count: usize) -> Vec<Vec<u8>> {
        let messages = (0..count).map(|_| self.message().1).collect();
        match self.next() {
            Heard::Heartbeat => messages,
            other => panic!("{other:?} after {count} messages"),
        }
    }

    /// Reads exactly so many bytes, and gives the whole messages among them.
    pub(crate) fn messages_of(&mut self, bytes: usize) -> Vec<Vec<u8>> {
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        self.input.resize(bytes, 0);
        self.stream.read_exact(&mut self.input).unwrap();
        let heard = std::iter::from_fn(|| self.parse());
        let messages = heard.filter_map(|heard| match heard {
            Heard::Message(_, bytes) => Some(bytes),
            _ => None,
        });
        messages.collect()
    }

    /// Waits until the server ends the connection, and gives what it said to that, besides
    /// messages.
    #[track_caller]
    pub(crate) fn hear_the_end(&mut self) -> Vec<Heard> {
        let (mut all, give_up) = (Vec::new(), Instant::now() + PATIENCE);
        loop {
            assert!(Instant::now() < give_up, "it is not cut, but says {all:?}");
            match self.next() {
                Heard::Gone => return all,
                Heard::Heartbeat | Heard::Message(..) => {}
                heard => all.push(heard),
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

pub(crate) fn login(user: u16, session: Session, sequence: u64) -> LoginRequest {
    LoginRequest {
        username: Alpha::new(&format!("trdr{user:02}")).unwrap(),
        password: Alpha::new("secret").unwrap(),
        session,
        sequence,
        timeout: None,
    }
}

pub(crate) fn packed(packet: FromClient<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    let length = packet.encode(&mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

pub(crate) fn packed_order(order: &Enter) -> Vec<u8> {
    let mut bytes = [0; Inbound::BYTES_MAX];
    let length = Inbound::from(*order).encode(&mut bytes).unwrap();
    packed(FromClient::Data(&bytes[..length]))
}

pub(crate) fn token(number: u64) -> Token {
    Alpha::new(&format!("T{number}")).unwrap()
}

/// An order for AAPL.
pub(crate) fn order(number: u64, side: Side, shares: u32, price: u32) -> Enter {
    limit_order(token(number), side, shares, Alpha::new("AAPL").unwrap(), price)
}

/// The order that this message is the one answer to.
pub(crate) fn answered(message: &Outbound) -> Option<Token> {
    match message {
        Outbound::Accepted(accepted) => Some(accepted.order.token),
        Outbound::Rejected(rejected) => Some(rejected.token),
        _ => None,
    }
}
