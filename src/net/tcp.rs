//! The kernel's network.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, listen, socket_with, sockopt,
};

use super::{Epoll, Listener, Net, Stream};

/// The kernel's network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Net for Tcp {
    type Stream = TcpStream;
    type Listener = TcpListener;
    type Watch = Epoll;

    fn bind(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = socket(address)?;
        // Connections of the process before may still be on their way out.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &address)?;
        Ok(TcpListener::from(socket))
    }

    fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = socket(to)?;
        match connect(&socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let socket = TcpStream::from(socket);
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    fn watch(&self) -> io::Result<Epoll> {
        Epoll::new()
    }
}

fn socket(address: SocketAddr) -> io::Result<std::os::fd::OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(family, SocketType::STREAM, flags, None)?)
}

impl Stream for TcpStream {
    fn prepare(&self) -> io::Result<()> {
        self.set_nonblocking(true)?;
        self.set_nodelay(true)
    }

    fn finish(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn failure(&self) -> Option<io::Error> {
        self.take_error().ok().flatten()
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    fn open(&self, backlog: i32) -> io::Result<()> {
        Ok(listen(self, backlog)?)
    }

    fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        Self::accept(self)
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}
