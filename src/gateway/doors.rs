//! The addresses that clients come by: taken before a node recovers, so that one which cannot be
//! had is known at once, and opened when it is there to answer.

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use super::connection::Door;
use super::mold::Mold;
use super::options::GatewayOptions;
use crate::stage::Fault;

/// So many connections may wait to be taken; the kernel's somaxconn may be less.
const BACKLOG_MAX: i32 = 4096;

/// Sockets with addresses. Who connects before they are opened is refused, and tries elsewhere.
pub struct Doors {
    pub(super) listeners: [(TcpListener, Door); 3],
    pub(super) mold: Option<Mold>,
}

impl Doors {
    /// Takes the addresses.
    pub fn bind(options: &GatewayOptions) -> Result<Self, Fault> {
        let listeners = [
            (bound(options.orders)?, Door::Orders),
            (bound(options.market)?, Door::Market),
            (bound(options.glimpse)?, Door::Glimpse),
        ];
        let mold = options.mold.map(|mold| {
            Mold::new(mold).map_err(|error| {
                Fault::Node(format!(
                    "cannot send market data to {} with requests at {}: {error}; mold and \
                     mold_requests choose other addresses, and mold = off does without",
                    mold.to, mold.requests
                ))
            })
        });
        Ok(Self { listeners, mold: mold.transpose()? })
    }

    /// Lets clients in, as far as the kernel is concerned.
    pub(super) fn open(&self) -> Result<(), Fault> {
        for (listener, _) in &self.listeners {
            // Of a crowd that comes at once the library would let 128 wait.
            listen(listener, BACKLOG_MAX).map_err(|error| match listener.local_addr() {
                Ok(address) => refused(address, &error.into()),
                Err(error) => Fault::Node(format!("cannot listen: {error}")),
            })?;
        }
        Ok(())
    }

    /// Where order entry, market data and its snapshots are, whatever port was asked for.
    pub(super) fn addresses(&self) -> io::Result<[SocketAddr; 3]> {
        let [orders, market, glimpse] = &self.listeners;
        Ok([orders.0.local_addr()?, market.0.local_addr()?, glimpse.0.local_addr()?])
    }
}

fn bound(address: SocketAddr) -> Result<TcpListener, Fault> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None).and_then(|socket| {
        // Connections of the process before may still be on their way out.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &address)?;
        Ok(socket)
    });
    socket.map(TcpListener::from).map_err(|error| refused(address, &error.into()))
}

fn refused(address: SocketAddr, error: &io::Error) -> Fault {
    Fault::Node(format!(
        "cannot listen on {address}: {error}; is another node running? --listen, --market-data \
         and --glimpse choose other addresses"
    ))
}
