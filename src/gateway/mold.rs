//! Market data in datagrams: the feed's messages to a group or an address, as they come, and again
//! for those who ask. Datagrams get lost, so nothing here waits for anyone.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use crate::net::is_nothing;
use crate::streams::Window;
use crate::types::Nanos;
use crate::wire::mold::{DATAGRAM_BYTES, HEADER_BYTES, Packer, Request, Session};
use crate::wire::soup::FromServer;

/// So many datagrams at most are sent per poll, so that orders do not wait behind a burst.
const DATAGRAMS: usize = 64;
/// So many requests at most are read per poll.
const REQUESTS: usize = 16;
/// What is sent while there is nothing to say, and so often the end of a session is repeated.
const HEARTBEAT_NANOS: u64 = Nanos::SECOND;
/// The end of a session is said so often.
const ENDS: u32 = 3;

/// Where market data goes in datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoldOptions {
    /// A group, or one receiver. To a group of IPv4 they leave by the network of `requests`.
    pub to: SocketAddr,
    /// Where requests for lost messages are taken.
    pub requests: SocketAddr,
}

/// The sender, and the server of requests.
pub(super) struct Mold {
    socket: UdpSocket,
    to: SocketAddr,
    requests: UdpSocket,
    /// None before the first event of a node's life.
    session: Option<Session>,
    /// The number of the next message to send …
    next: u64,
    /// … and where it stands in the window.
    position: u64,
    said: Nanos,
    /// The session that is over, how many messages it had, and how often that is still to be said.
    over: Option<(Session, u64, u32)>,
}

impl Mold {
    pub(super) fn new(options: MoldOptions) -> io::Result<Self> {
        let from: SocketAddr = match (options.to, options.requests) {
            // On loopback only what leaves from there is seen.
            (SocketAddr::V4(to), _) if to.ip().is_loopback() => ([127, 0, 0, 1], 0).into(),
            // The network where its listeners ask for what they lost.
            (SocketAddr::V4(to), SocketAddr::V4(requests)) if to.ip().is_multicast() => {
                (*requests.ip(), 0).into()
            }
            (SocketAddr::V4(_), _) => ([0, 0, 0, 0], 0).into(),
            (SocketAddr::V6(_), _) => ([0_u16; 8], 0).into(),
        };
        let socket = UdpSocket::bind(from)?;
        let requests = UdpSocket::bind(options.requests)?;
        socket.set_nonblocking(true)?;
        requests.set_nonblocking(true)?;
        Ok(Self {
            socket,
            to: options.to,
            requests,
            session: None,
            next: 1,
            position: 0,
            said: Nanos::default(),
            over: None,
        })
    }

    /// What the window has by now, and what came before, is for the server of requests.
    pub(super) fn go_on_behind(&mut self, window: &Window) {
        (self.next, self.position) = (window.next(), window.end());
    }

    /// What is to be watched for requests.
    pub(super) fn requests(&self) -> &UdpSocket {
        &self.requests
    }

    /// The session that goes on, if none was named yet.
    pub(super) fn begin(&mut self, session: impl FnOnce() -> Session) {
        self.session.get_or_insert_with(session);
    }

    /// Sends what the window has that was not sent yet; says how many datagrams that were.
    pub(super) fn send(&mut self, window: &Window, now: Nanos) -> usize {
        let Some(session) = self.session else { return 0 };
        let mut sent = 0;
        while self.next < window.next() && sent < DATAGRAMS {
            if !window.holds(self.position) {
                // What fell out of the window meanwhile is for the server of requests.
                self.next = window.first();
                self.position = window.position(self.next).expect("the first is there");
            }
            let mut datagram = [0; DATAGRAM_BYTES];
            let (bytes, count, position) =
                pack(&mut datagram, session, (self.next, self.position), window, u64::MAX);
            match self.socket.send_to(bytes, self.to) {
                Err(error) if is_nothing(&error) => break,
                // Nobody listens there: a datagram that is lost, as any other.
                Ok(_) | Err(_) => (self.next, self.position) = (self.next + count, position),
            }
            sent += 1;
            self.said = now;
        }
        sent
    }

    /// Says that there is nothing, or that a session is over, when it is time to.
    pub(super) fn keep_alive(&mut self, now: Nanos) {
        let Some(session) = self.session else { return };
        if now < self.said.after(HEARTBEAT_NANOS) {
            return;
        }
        self.said = now;
        let mut datagram = [0; HEADER_BYTES];
        if let Some((over, next, times)) = &mut self.over {
            let packer = Packer::new(&mut datagram, *over, *next).expect("a header has room");
            let _ = self.socket.send_to(packer.end(), self.to);
            *times -= 1;
            if *times == 0 {
                self.over = None;
            }
        }
        let packer = Packer::new(&mut datagram, session, self.next);
        let _ = self.socket.send_to(packer.expect("a header has room").finish(), self.to);
    }

    /// A day ends: what is left of it is sent, and that it is over.
    pub(super) fn new_day(&mut self, rest: &Window, session: Session, now: Nanos) {
        while self.send(rest, now) > 0 {}
        if let Some(over) = self.session {
            let mut datagram = [0; HEADER_BYTES];
            let packer = Packer::new(&mut datagram, over, rest.next());
            let _ = self.socket.send_to(packer.expect("a header has room").end(), self.to);
            self.over = Some((over, rest.next(), ENDS));
        }
        (self.session, self.next, self.position) = (Some(session), 1, 0);
    }

    /// The next request for messages of this session, if there is one: who asks, and from where on.
    pub(super) fn request(&mut self) -> Option<(SocketAddr, Request)> {
        for _ in 0..REQUESTS {
            let mut datagram = [0; HEADER_BYTES + 1];
            let (bytes, from) = self.requests.recv_from(&mut datagram).ok()?;
            let request = Request::decode(&datagram[..bytes]);
            if let Some(request) = request.filter(|request| {
                let count = request.count > 0 && request.sequence > 0;
                count && Some(request.session) == self.session && request.sequence < self.next
            }) {
                return Some((from, request));
            }
        }
        None
    }

    /// Answers from the window with as many as go into one datagram; false where it does not have
    /// the first of them any more.
    pub(super) fn answer(&self, to: SocketAddr, request: &Request, window: &Window) -> bool {
        let Some(position) = window.position(request.sequence) else { return false };
        let mut datagram = [0; DATAGRAM_BYTES];
        let most = u64::from(request.count).min(self.next - request.sequence);
        let from = (request.sequence, position);
        let (bytes, ..) = pack(&mut datagram, request.session, from, window, most);
        let _ = self.requests.send_to(bytes, to);
        true
    }

    /// Answers with packets that came from the event log.
    pub(super) fn answer_old(&self, to: SocketAddr, request: &Request, packets: &[u8]) {
        let mut datagram = [0; DATAGRAM_BYTES];
        let mut packer =
            Packer::new(&mut datagram, request.session, request.sequence).expect("it has room");
        for message in messages(packets).take(usize::from(request.count)) {
            if !packer.push(message) {
                break;
            }
        }
        let _ = self.requests.send_to(packer.finish(), to);
    }
}

/// Puts messages of the window into a datagram, from a number and its position on and at most so
/// many; says how many, and where the next one stands.
fn pack<'a>(
    datagram: &'a mut [u8],
    session: Session,
    (number, position): (u64, u64),
    window: &Window,
    most: u64,
) -> (&'a [u8], u64, u64) {
    let mut packer = Packer::new(datagram, session, number).expect("a header has room");
    let mut count = 0;
    let after = window.each(position, |message| {
        let goes_on = count < most && packer.push(message);
        count += u64::from(goes_on);
        goes_on
    });
    (packer.finish(), count, after)
}

/// The messages in packets of a server.
fn messages(mut packets: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (packet, used) = FromServer::split(packets, usize::MAX).ok()??;
        packets = &packets[used..];
        match packet {
            FromServer::Data(message) => Some(message),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::mold::Datagram;

    /// A node that followed has the day's last messages in its window when it begins to lead.
    #[test]
    fn what_the_window_had_before_is_not_sent_under_later_numbers() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_nonblocking(true).unwrap();
        let requests = ([127, 0, 0, 1], 0).into();
        let to = receiver.local_addr().unwrap();
        let mut mold = Mold::new(MoldOptions { to, requests }).unwrap();
        let mut window = Window::new(1, 1 << 16);
        window.push(b"one");
        window.push(b"two");
        mold.go_on_behind(&window);
        mold.begin(|| Session::BLANK);
        assert_eq!(mold.send(&window, Nanos(1)), 0);
        window.push(b"three");
        assert_eq!(mold.send(&window, Nanos(2)), 1);
        let mut bytes = [0; DATAGRAM_BYTES];
        let length = receiver.recv(&mut bytes).unwrap();
        let datagram = Datagram::decode(&bytes[..length]).unwrap();
        assert_eq!(datagram.sequence, 3);
        assert!(bytes[..length].ends_with(b"three") && !bytes[..length].ends_with(b"two"));
        assert_eq!(length, HEADER_BYTES + 2 + b"three".len());
    }
}
