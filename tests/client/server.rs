//! A server that does what a test says, on loopback.
#![expect(clippy::disallowed_methods, reason = "a test may have threads")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use ringframe::client::{Login, Timing, limit_order};
use ringframe::wire::layout::Alpha;
use ringframe::wire::ouch::{
    Accepted, BboWeight, Enter, Inbound, Order, OrderState, Outbound, Side, Token,
};
use ringframe::wire::soup::{
    FromClient, FromServer, LoginAccepted, LoginRequest, PACKET_BYTES_MAX, Session,
};

/// Nothing that a test waits for takes longer, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    pub(crate) address: String,
    script: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(script: impl FnOnce(&TcpListener) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self { address, script: std::thread::spawn(move || script(&listener)) }
    }

    /// What is quick for a test, and never too quick for a busy machine.
    pub(crate) fn login(&self) -> Login {
        let timing =
            Timing { connect: PATIENCE, retry: Duration::from_millis(1), ..Timing::default() };
        Login { timing, ..Login::new(&self.address, "trdr01", "secret") }
    }

    /// The script must have come to its end, well.
    pub(crate) fn end(self) {
        if let Err(why) = self.script.join() {
            std::panic::resume_unwind(why);
        }
    }
}

/// What a client said, read from one connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Login(LoginRequest),
    Message(Inbound),
    Heartbeat,
    Logout,
    /// It, or the script's cut, ended the connection.
    Gone,
}

pub(crate) struct Peer {
    stream: TcpStream,
    input: Vec<u8>,
    /// How many bytes more are read, and written, before the connection is cut.
    pub(crate) read_left: usize,
    pub(crate) write_left: usize,
}

impl Peer {
    pub(crate) fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, input: Vec::new(), read_left: usize::MAX, write_left: usize::MAX }
    }

    pub(crate) fn bytes(&mut self, bytes: &mut [u8]) {
        self.stream.read_exact(bytes).unwrap();
    }

    pub(crate) fn next(&mut self) -> Said {
        loop {
            if let Some((packet, bytes)) = FromClient::split(&self.input, PACKET_BYTES_MAX).unwrap()
            {
                let said = match packet {
                    FromClient::Login(login) => Said::Login(login),
                    FromClient::Data(message) => Said::Message(Inbound::decode(message).unwrap()),
                    FromClient::Heartbeat => Said::Heartbeat,
                    FromClient::Logout => Said::Logout,
                    FromClient::Debug(_) => unreachable!("this client has nothing to debug"),
                };
                self.input.drain(..bytes);
                return said;
            }
            let mut chunk = [0; 4096];
            let room = chunk.len().min(self.read_left);
            match self.stream.read(&mut chunk[..room]) {
                Ok(0) | Err(_) => return Said::Gone,
                Ok(read) => {
                    self.read_left -= read;
                    self.input.extend_from_slice(&chunk[..read]);
                }
            }
        }
    }

    /// What it says besides heartbeats.
    pub(crate) fn next_said(&mut self) -> Said {
        loop {
            match self.next() {
                Said::Heartbeat => {}
                said => return said,
            }
        }
    }

    pub(crate) fn login(&mut self) -> LoginRequest {
        match self.next() {
            Said::Login(login) => login,
            other => panic!("{other:?} and no login"),
        }
    }

    /// `false` when the connection was cut.
    pub(crate) fn send(&mut self, packet: FromServer<'_>) -> bool {
        let mut bytes = [0; 1024];
        let length = packet.encode(&mut bytes).unwrap();
        let now = length.min(self.write_left);
        self.write_left -= now;
        // The client may be gone.
        let _ = self.stream.write_all(&bytes[..now]);
        now == length
    }

    pub(crate) fn accept_login(&mut self, sequence: u64) -> LoginRequest {
        let login = self.login();
        self.send(accepted(sequence));
        login
    }

    pub(crate) fn say(&mut self, message: &Outbound) -> bool {
        self.send(FromServer::Data(&bytes_of(message)))
    }

    /// Reads until the client has gone.
    pub(crate) fn hear_it_go(mut self) {
        while !matches!(self.next(), Said::Gone | Said::Logout) {}
    }
}

pub(crate) fn accepted(sequence: u64) -> FromServer<'static> {
    FromServer::Accepted(LoginAccepted { session: session(), sequence })
}

pub(crate) fn session() -> Session {
    Alpha::new("S1").unwrap()
}

pub(crate) fn bytes_of(message: &Outbound) -> Vec<u8> {
    let mut bytes = vec![0; Outbound::BYTES_MAX];
    let length = message.encode(&mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

pub(crate) fn token(number: u64) -> Token {
    Alpha::new(&format!("T{number}")).unwrap()
}

pub(crate) fn order(number: u64) -> Enter {
    limit_order(token(number), Side::BUY, 100, Alpha::new("AAPL").unwrap(), 230_0000)
}

/// How the host takes an order.
pub(crate) fn taken(enter: &Enter) -> Outbound {
    let order = Order {
        token: enter.token,
        side: enter.side,
        shares: enter.shares,
        stock: enter.stock,
        price: enter.price,
        time_in_force: enter.time_in_force,
        firm: enter.firm,
        display: enter.display,
        reference: 7.into(),
        capacity: enter.capacity,
        sweep: enter.sweep,
        minimum: enter.minimum,
        cross: enter.cross,
        state: OrderState::LIVE,
    };
    Accepted { time: 1.into(), order, bbo: BboWeight::NONE }.into()
}
