//! Sockets between nodes: none of them waits; and where the thread sleeps that has them.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect as begin, socket_with};

use crate::stage::Sleeper;

/// A socket on its way to there: until it has arrived it takes nothing and brings nothing.
pub(super) fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match begin(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let socket = TcpStream::from(socket);
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// A socket that was accepted.
pub(super) fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)
}

/// Nobody rings where nobody waits for what this stage does: an order of a node without a standby
/// costs no wake-up.
pub(super) struct Bed {
    inner: Box<dyn Sleeper>,
    is_wanted: Arc<AtomicBool>,
}

impl Bed {
    pub(super) fn new(inner: Box<dyn Sleeper>, is_wanted: Arc<AtomicBool>) -> Self {
        Self { inner, is_wanted }
    }
}

impl Sleeper for Bed {
    fn sleep(&mut self, longest: Duration) {
        self.inner.sleep(longest);
    }

    fn waker(&self) -> Box<dyn Fn() + Send + Sync> {
        let (inner, is_wanted) = (self.inner.waker(), Arc::clone(&self.is_wanted));
        Box::new(move || {
            if is_wanted.load(Ordering::Relaxed) {
                inner();
            }
        })
    }
}
