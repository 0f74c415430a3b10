//! What a gateway is told about its clients.

use std::net::SocketAddr;
use std::sync::Arc;

use super::MoldOptions;
use crate::tls::Acceptor;
use crate::types::Nanos;

/// How the gateway treats its clients.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// Where order entry listens.
    pub orders: SocketAddr,
    /// Where market data is.
    pub market: SocketAddr,
    /// Where snapshots of it are, for those who come late.
    pub glimpse: SocketAddr,
    /// Market data in datagrams, too.
    pub mold: Option<MoldOptions>,
    /// All three inside TLS; plain without.
    pub tls: Option<Arc<Acceptor>>,
    /// More connections than this are closed at once.
    pub connections_max: usize,
    /// … and more than this from one address, or for IPv6 from one network …
    pub address_max: usize,
    /// … unless it is this machine's: then more than this.
    pub loopback_max: usize,
    /// Who has not logged in after this is cut off.
    pub login_nanos: u64,
    /// A side that said nothing for so long says that it is there.
    pub heartbeat_nanos: u64,
    /// A client that said nothing for so long is cut off, and so is one that takes nothing of a
    /// snapshot for so long.
    pub silence_nanos: u64,
    /// How much of a session's newest messages is kept in memory: so far may its client be behind.
    pub window_bytes: usize,
    /// The same for the market's.
    pub feed_window_bytes: usize,
    /// Messages per second and session, before it is read more slowly; 0 for any.
    pub rate: u32,
    /// Whether a second login to a session takes it over, or is refused.
    pub takes_over: bool,
    /// Malformed messages that a connection may send.
    pub malformed_max: u32,
    /// After a start, clients have so long to come back before their orders are canceled, where
    /// their sessions ask for that.
    pub grace_nanos: u64,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            orders: SocketAddr::from(([127, 0, 0, 1], 9001)),
            market: SocketAddr::from(([127, 0, 0, 1], 9002)),
            glimpse: SocketAddr::from(([127, 0, 0, 1], 9004)),
            mold: None,
            tls: None,
            connections_max: 4096,
            address_max: 1024,
            loopback_max: usize::MAX,
            login_nanos: 10 * Nanos::SECOND,
            heartbeat_nanos: Nanos::SECOND,
            silence_nanos: 15 * Nanos::SECOND,
            window_bytes: 256 << 10,
            feed_window_bytes: 8 << 20,
            rate: 0,
            takes_over: true,
            malformed_max: 16,
            grace_nanos: 10 * Nanos::SECOND,
        }
    }
}
