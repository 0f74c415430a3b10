//! What a node needs of a network: streams that never wait, who comes, and which of them have
//! something. It has two homes, the kernel's sockets ([`Tcp`]) and a simulated network; the
//! gateway and the replicator are the same over either.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, UdpSocket};

use crate::stage::Sleeper;

pub use epoll::Epoll;
pub use guarded::{Guarded, GuardedStream, Keys};
pub use tcp::Tcp;

mod epoll;
mod guarded;
mod tcp;

/// A network, as one process sees it.
pub trait Net: Clone + Send + 'static {
    /// One end of a connection.
    type Stream: Stream;
    /// An address that others come by.
    type Listener: Listener<Stream = Self::Stream>;
    /// Tells what is ready.
    type Watch: Watch<Self>;

    /// Takes an address. Who connects before [`Listener::open`] is refused.
    fn bind(&self, address: SocketAddr) -> io::Result<Self::Listener>;
    /// A stream on its way to there: until it has arrived it takes nothing and brings nothing.
    fn connect(&self, to: SocketAddr) -> io::Result<Self::Stream>;
    /// Watches streams and listeners.
    fn watch(&self) -> io::Result<Self::Watch>;
}

/// One end of a connection. Reading and writing never wait: where there is nothing, or no room,
/// they say [`io::ErrorKind::WouldBlock`].
pub trait Stream: Read + Write + Send + 'static {
    /// Makes one that was accepted as it is to be.
    fn prepare(&self) -> io::Result<()>;
    /// Says that nothing more comes, and goes on listening.
    fn finish(&self) -> io::Result<()>;
    /// Why it is broken, where that is known.
    fn failure(&self) -> Option<io::Error>;

    /// Whether something was taken and has not left, for which writing nothing is enough.
    fn holds_some(&self) -> bool {
        false
    }

    /// Whether it takes anything yet.
    fn is_open(&self) -> bool {
        true
    }
}

/// An address that others come by.
pub trait Listener: Send + 'static {
    /// Who comes.
    type Stream;

    /// From here on others may come, and so many of them wait to be taken.
    fn open(&self, backlog: i32) -> io::Result<()>;
    /// The next who came, and from where.
    fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)>;
    /// Where it is, whatever port was asked for.
    fn address(&self) -> io::Result<SocketAddr>;
}

/// Tells which of the sockets of one thread have something. What is ready stays ready, so that
/// nothing is forgotten by whoever reads only a part.
pub trait Watch<N: Net>: Send + 'static {
    /// Watches one more; `token` names it.
    fn add(&self, what: Source<'_, N>, token: u64, interest: Interest) -> io::Result<()>;
    /// Watches it for something else.
    fn change(&self, what: Source<'_, N>, token: u64, interest: Interest) -> io::Result<()>;
    /// Watches it no more.
    fn remove(&self, what: Source<'_, N>) -> io::Result<()>;
    /// Looks, without waiting, and says how many there are: see [`Self::ready`].
    fn look(&mut self) -> io::Result<usize>;
    /// One of those that [`Self::look`] found.
    fn ready(&self, index: usize) -> Ready;
    /// Where the thread that owns the sockets sleeps.
    fn sleeper(&self) -> io::Result<Box<dyn Sleeper>>;
}

/// What is watched.
pub enum Source<'a, N: Net> {
    /// A connection.
    Stream(&'a N::Stream),
    /// Who comes.
    Listener(&'a N::Listener),
    /// Datagrams, which only the kernel has.
    Datagrams(&'a UdpSocket),
}

/// What a socket is watched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Something came, or somebody.
    pub read: bool,
    /// There is room to send.
    pub write: bool,
}

impl Interest {
    /// For what comes alone.
    pub const READ: Self = Self { read: true, write: false };
}

/// What a socket has. One that is broken is said to have everything, whatever it is watched for:
/// using it tells why.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Which.
    pub token: u64,
    /// Something came.
    pub read: bool,
    /// There is room.
    pub write: bool,
    /// It is of no use any more.
    pub broken: bool,
}

/// Not now, rather than never.
pub fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
