//! Market data in datagrams: what comes by them, and by requests for those that were lost, is what
//! comes over the connection.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::program::{Serving, apply, orders};
use ringframe::client::{Feed, Login};
use ringframe::wire::mold::{Datagram, Request, Said, Session};

/// No datagram on loopback takes longer, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const ORDERS: u64 = 3_000;

/// A receiver that knows what it has.
struct Receiver {
    socket: UdpSocket,
    session: Option<Session>,
    messages: Vec<Vec<u8>>,
}

impl Receiver {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, session: None, messages: Vec::new() }
    }

    /// Takes the next datagram; returns the number that it ends before.
    fn receive(&mut self) -> u64 {
        let mut bytes = [0; 2_000];
        let (length, _) = self.socket.recv_from(&mut bytes).expect("a datagram");
        assert!(length <= 1_400);
        let datagram = Datagram::decode(&bytes[..length]).expect("a datagram");
        assert_eq!(*self.session.get_or_insert(datagram.session), datagram.session);
        let have = self.messages.len() as u64;
        let mut number = datagram.sequence;
        if let Said::Messages(blocks) = datagram.said {
            for message in blocks {
                if number == self.messages.len() as u64 + 1 {
                    self.messages.push(message.to_vec());
                }
                number += 1;
            }
        }
        assert!(self.messages.len() as u64 >= have);
        number
    }

    /// Asks for what is missing until all is there.
    fn complete(&mut self, requests: SocketAddr, end: u64) {
        while (self.messages.len() as u64) < end - 1 {
            let sequence = self.messages.len() as u64 + 1;
            let request = Request { session: self.session.unwrap(), sequence, count: 500 };
            self.socket.send_to(&request.encode(), requests).unwrap();
            self.receive();
        }
    }
}

fn requests_of(line: &str) -> SocketAddr {
    let (_, at) = line.split_once("requests for them at ").unwrap();
    at.split(',').next().unwrap().parse().unwrap()
}

#[test]
fn datagrams_and_requests_carry_the_feed() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    // Before it is served, so that the first messages are in the log only.
    apply(&[], data, &orders(0..ORDERS)).expect(0, &[]);
    let mut receiver = Receiver::new();
    let to = receiver.socket.local_addr().unwrap().to_string();
    let settings = ["--mold", &to, "--mold-requests", "127.0.0.1:0"];
    let serving = Serving::start(&settings, data);
    let requests = requests_of(&serving.places);
    let end = receiver.receive();
    assert!(end > ORDERS, "a heartbeat says what comes next");
    assert!(receiver.messages.is_empty(), "nothing is said twice to who did not ask");
    for nonsense in [&b"x"[..], &[0; 20], &[b' '; 21], &[0xFF; 1_000]] {
        receiver.socket.send_to(nonsense, requests).unwrap();
    }
    receiver.complete(requests, end);
    let login = Login::new(&serving.addresses[1].to_string(), "TRDR01", "secret");
    let mut feed = Feed::connect(login).unwrap();
    for (number, message) in (1..).zip(&receiver.messages) {
        let received = feed.receive(PATIENCE).unwrap().expect("a message");
        assert_eq!(received.number, number);
        let mut bytes = [0; 64];
        let length = received.message.encode(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], message, "message {number}");
    }
    serving.drain();
}
