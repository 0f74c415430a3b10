//! The addresses that clients come by: taken before a node recovers, so that one which cannot be
//! had is known at once, and opened when it is there to answer.

use std::io;
use std::net::SocketAddr;

use super::connection::Door;
use super::mold::Mold;
use super::options::GatewayOptions;
use crate::net::{Listener, Net, Tcp};
use crate::stage::Fault;

/// So many connections may wait to be taken; the kernel's somaxconn may be less.
const BACKLOG_MAX: i32 = 4096;

/// Sockets with addresses. Who connects before they are opened is refused, and tries elsewhere.
pub struct Doors<N: Net = Tcp> {
    pub(super) net: N,
    pub(super) listeners: [(N::Listener, Door); 3],
    pub(super) mold: Option<Mold>,
}

impl Doors {
    /// Takes the addresses of this machine.
    pub fn bind(options: &GatewayOptions) -> Result<Self, Fault> {
        Self::bind_in(Tcp, options)
    }
}

impl<N: Net> Doors<N> {
    /// Takes the addresses; those for datagrams are the kernel's, whatever network this is.
    pub fn bind_in(net: N, options: &GatewayOptions) -> Result<Self, Fault> {
        let bound = |address| net.bind(address).map_err(|error| refused(address, &error));
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
        Ok(Self { listeners, mold: mold.transpose()?, net })
    }

    /// Lets clients in, as far as the network is concerned.
    pub(super) fn open(&self) -> Result<(), Fault> {
        for (listener, _) in &self.listeners {
            // Of a crowd that comes at once the library would let 128 wait.
            listener.open(BACKLOG_MAX).map_err(|error| match listener.address() {
                Ok(address) => refused(address, &error),
                Err(error) => Fault::Node(format!("cannot listen: {error}")),
            })?;
        }
        Ok(())
    }

    /// Where order entry, market data and its snapshots are, whatever port was asked for.
    pub(super) fn addresses(&self) -> io::Result<[SocketAddr; 3]> {
        let [orders, market, glimpse] = &self.listeners;
        Ok([orders.0.address()?, market.0.address()?, glimpse.0.address()?])
    }
}

fn refused(address: SocketAddr, error: &io::Error) -> Fault {
    Fault::Node(format!(
        "cannot listen on {address}: {error}; is another node running? --listen, --market-data \
         and --glimpse choose other addresses"
    ))
}
