//! The kernel's network with TLS inside, where this node has a certificate: both ends show theirs.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use rustls::Connection;

use super::{Epoll, Listener, Net, Stream, Tcp, is_nothing};
use crate::tls::{Acceptor, Connector};

/// A record takes so much at most, and one of them waits where the socket is full.
const RECORD_BYTES: usize = 16 << 10;

/// What both ends need.
#[derive(Debug)]
pub struct Keys {
    /// For who comes …
    pub acceptor: Acceptor,
    /// … and to whom we go.
    pub connector: Connector,
}

/// The network; without keys it is as open as [`Tcp`].
#[derive(Clone, Debug, Default)]
pub struct Guarded {
    keys: Option<Arc<Keys>>,
}

impl Guarded {
    /// With these keys, or none.
    pub fn new(keys: Option<Keys>) -> Self {
        Self { keys: keys.map(Arc::new) }
    }

    /// A stream to there for who has nothing else to do: reading and writing wait, for so long.
    pub fn dial(
        &self,
        to: SocketAddr,
        patience: Duration,
        look: Duration,
    ) -> io::Result<GuardedStream> {
        let stream = TcpStream::connect_timeout(&to, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let mut stream = self.outgoing(stream, to)?;
        if let GuardedStream::Inside(tls) = &mut stream {
            tls.session.complete_io(&mut tls.stream)?;
        }
        stream.outer().set_read_timeout(Some(look))?;
        Ok(stream)
    }

    fn outgoing(&self, stream: TcpStream, to: SocketAddr) -> io::Result<GuardedStream> {
        let Some(keys) = &self.keys else { return Ok(GuardedStream::Plain(stream)) };
        let session = keys.connector.connect(&to.to_string()).map_err(io::Error::other)?;
        Ok(GuardedStream::inside(stream, session.into()))
    }
}

impl Net for Guarded {
    type Stream = GuardedStream;
    type Listener = GuardedListener;
    type Watch = Epoll;

    fn bind(&self, address: SocketAddr) -> io::Result<GuardedListener> {
        Ok(GuardedListener { inner: Tcp.bind(address)?, keys: self.keys.clone() })
    }

    fn connect(&self, to: SocketAddr) -> io::Result<GuardedStream> {
        self.outgoing(Tcp.connect(to)?, to)
    }

    fn watch(&self) -> io::Result<Epoll> {
        Epoll::new()
    }
}

/// An address of it.
pub struct GuardedListener {
    inner: TcpListener,
    keys: Option<Arc<Keys>>,
}

impl Listener for GuardedListener {
    type Stream = GuardedStream;

    fn open(&self, backlog: i32) -> io::Result<()> {
        Listener::open(&self.inner, backlog)
    }

    fn accept(&self) -> io::Result<(GuardedStream, SocketAddr)> {
        let (stream, from) = self.inner.accept()?;
        let Some(keys) = &self.keys else { return Ok((GuardedStream::Plain(stream), from)) };
        let session = keys.acceptor.accept().map_err(io::Error::other)?;
        Ok((GuardedStream::inside(stream, session.into()), from))
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

impl AsFd for GuardedListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// One end of a connection.
pub enum GuardedStream {
    /// As it is.
    Plain(TcpStream),
    /// Inside TLS.
    Inside(Box<Inside>),
}

/// A stream with what guards it.
pub struct Inside {
    stream: TcpStream,
    session: Connection,
}

impl GuardedStream {
    fn inside(stream: TcpStream, session: Connection) -> Self {
        Self::Inside(Box::new(Inside { stream, session }))
    }

    fn outer(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Inside(tls) => &tls.stream,
        }
    }
}

impl AsFd for GuardedStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.outer().as_fd()
    }
}

impl Stream for GuardedStream {
    fn prepare(&self) -> io::Result<()> {
        self.outer().prepare()
    }

    fn finish(&self) -> io::Result<()> {
        self.outer().finish()
    }

    fn failure(&self) -> Option<io::Error> {
        self.outer().failure()
    }

    fn holds_some(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Inside(tls) => tls.session.wants_write(),
        }
    }

    fn is_open(&self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Inside(tls) => !tls.session.is_handshaking(),
        }
    }
}

impl Read for GuardedStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Inside(tls) => tls.read(into),
        }
    }
}

impl Write for GuardedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Inside(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Inside(tls) => tls.push(),
        }
    }
}

impl Inside {
    /// What was decrypted does not stay in here while there is room for it: epoll would not tell
    /// of it.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            match self.session.reader().read(&mut into[filled..]) {
                // The other end said that nothing more comes.
                Ok(0) => return Ok(filled),
                Ok(bytes) => {
                    filled += bytes;
                    continue;
                }
                Err(error) if is_nothing(&error) => {}
                Err(error) => return if filled > 0 { Ok(filled) } else { Err(error) },
            }
            match self.session.read_tls(&mut self.stream) {
                Ok(0) => return Ok(filled),
                Ok(_) => {}
                // What is there counts; whatever is wrong is met again.
                Err(_) if filled > 0 => return Ok(filled),
                Err(error) => return Err(error),
            }
            if let Err(error) = self.session.process_new_packets() {
                // It is told why.
                let _ = self.push();
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
            // An answer in the handshake; where there is no room, it goes with what is sent next.
            let _ = self.push();
        }
        Ok(filled)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push()?;
        if self.session.is_handshaking() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let record = &bytes[..bytes.len().min(RECORD_BYTES)];
        let written = self.session.writer().write(record)?;
        match self.push() {
            Err(error) if !is_nothing(&error) => Err(error),
            _ => Ok(written),
        }
    }

    /// Sends what was taken.
    fn push(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            if self.session.write_tls(&mut self.stream)? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}
