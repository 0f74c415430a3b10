//! The bytes of a connection, as they are or inside TLS.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};

use super::ClientError;
use crate::tls::Connector;

pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Socket {
    /// Connects, and with TLS comes to trust the server; no step of it takes longer than `time`.
    pub(super) fn open(
        address: &str,
        tls: Option<&Connector>,
        time: Duration,
    ) -> Result<Self, ClientError> {
        let time = at_least_a_little(time);
        let lost = |error: io::Error| ClientError::Lost { why: format!("{address}: {error}") };
        let mut stream = connect(address, time).map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        let Some(tls) = tls else { return Ok(Self::Plain(stream)) };
        let untrusted = |why: String| ClientError::NotTrusted { address: address.to_owned(), why };
        let mut session = tls.connect(address).map_err(|error| untrusted(error.to_string()))?;
        stream.set_read_timeout(Some(time)).map_err(lost)?;
        stream.set_write_timeout(Some(time)).map_err(lost)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream).map_err(|error| {
                match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                    Some(error) => untrusted(error.to_string()),
                    None => lost(error),
                }
            })?;
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(session, stream))))
    }

    /// The one below.
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }

    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(room),
            Self::Tls(stream) => stream.read(room),
        }
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }
}

fn connect(address: &str, time: Duration) -> io::Result<TcpStream> {
    let mut error = io::Error::new(io::ErrorKind::NotFound, "this name stands for no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, time) {
            Ok(stream) => return Ok(stream),
            Err(it) => error = it,
        }
    }
    Err(error)
}

/// For sockets a time of nothing is for ever.
pub(super) fn at_least_a_little(time: Duration) -> Duration {
    time.max(Duration::from_micros(1))
}
