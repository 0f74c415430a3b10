//! The stages between a node of the exchange and its clients, as the settings say.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crossbeam_channel::Receiver;
use ringframe::config::{Config, PerAddress, SecondLogin};
use ringframe::embed::Front;
use ringframe::exchange::Exchange;
use ringframe::gateway::{Doors, GatewayOptions, MoldOptions};
use ringframe::log::Note;
use ringframe::net::Tcp;
use ringframe::served::{self, Entrance};
use ringframe::stage::{Fault, Stage};
use ringframe::tls::{Acceptor, TlsError};
use ringframe::traffic::{Count, Traffic};
use ringframe::types::Nanos;
use ringframe::users::{DEMO_WARNING, UserList};
use ringframe_journal::MappedStorage;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::Failure;
use super::progress::Progress;

/// The stages that a layout places where clients talk to the node.
pub(super) const STAGES: [&str; 4] = ["gateway", "journaler", "processor", "event_log"];
/// What clients talk to.
pub(super) struct Served {
    addresses: [SocketAddr; 3],
    mold: Option<(SocketAddr, SocketAddr)>,
    /// Lines for the log.
    pub(super) notes: Receiver<Note>,
    traffic: Arc<Traffic>,
    /// The names of those who may log in, by their sessions.
    pub(super) users: BTreeMap<u16, String>,
    tls: Option<Arc<Acceptor>>,
}

impl Served {
    /// Where clients find what.
    pub(super) fn places(&self) -> String {
        let [orders, market, glimpse] = self.addresses;
        let mold = self.mold.map_or_else(String::new, |(to, requests)| {
            format!(", datagrams to {to} and requests for them at {requests}")
        });
        let tls = if self.tls.is_some() { ", inside TLS" } else { "" };
        let market = format!("market data on {market}, its snapshots on {glimpse}");
        format!("order entry on {orders}, {market}{tls}{mold}")
    }

    /// Reads certificates again, and says what came of it.
    pub(super) fn reload(&self, now: Nanos) {
        let Some(tls) = &self.tls else {
            return say!("nothing to read again: tls.certificate is off");
        };
        match tls.reload() {
            Ok(()) => say!("certificates were read again, for connections from now on"),
            Err(error) => say!("certificates stay as they were: {error}"),
        }
        warn_of_dates(tls, now);
    }

    /// What is counted.
    pub(super) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    /// Says what was counted.
    pub(super) fn report(&self) {
        let counts = Count::ALL.iter().map(|count| (self.traffic.get(*count), count.name()));
        for (number, name) in counts.filter(|(number, _)| *number > 0) {
            say!("{number:>10} {name}");
        }
    }
}

/// Reads the files that clients are let in by, and takes the addresses.
pub(super) fn prepare(config: &Config, now: Nanos) -> Result<Entrance<Tcp>, Failure> {
    let users = config.users.load()?;
    let tls = tls(config).map_err(|error| Failure::Usage(format!("no TLS: {error}")))?;
    let sessions = &config.sessions;
    let connections_max = connections(sessions.connections)?;
    let (address_max, loopback_max) = match sessions.connections_per_address {
        PerAddress::Auto => ((connections_max / 4).max(1), usize::MAX),
        PerAddress::Off => (usize::MAX, usize::MAX),
        PerAddress::Most(most) => (most as usize, most as usize),
    };
    let options = GatewayOptions {
        orders: config.listen,
        market: config.market_data,
        glimpse: config.glimpse,
        mold: config.mold.map(|to| MoldOptions { to, requests: config.mold_requests }),
        tls,
        connections_max,
        address_max,
        loopback_max,
        login_nanos: sessions.login_seconds * Nanos::SECOND,
        silence_nanos: sessions.silence_seconds * Nanos::SECOND,
        window_bytes: sessions.window_bytes as usize,
        rate: sessions.rate.unwrap_or(0) as u32,
        takes_over: sessions.second_login == SecondLogin::TakesOver,
        grace_nanos: sessions.grace_seconds * Nanos::SECOND,
        ..GatewayOptions::default()
    };
    let doors = Doors::bind(&options)?;
    if config.users == UserList::Demo {
        tracing::warn!("{DEMO_WARNING}");
    }
    if let Some(warning) = config.warning() {
        tracing::warn!("{warning}");
    }
    if let Some(tls) = &options.tls {
        warn_of_dates(tls, now);
    }
    Ok(Entrance { users, options, doors })
}

fn warn_of_dates(tls: &Acceptor, now: Nanos) {
    for warning in tls.out_of_date(now) {
        tracing::warn!("{warning}");
    }
}

/// Builds the stages.
pub(super) fn front(
    front: Front<Exchange>,
    config: &Config,
    entrance: Entrance<Tcp>,
) -> Result<(Vec<Box<dyn Stage>>, Served), Fault> {
    let store = MappedStorage::new(config.data.join("sessions"));
    let log = MappedStorage::new(config.data.join("events"));
    let last = front.positions.left();
    let mut bar = None;
    let mut told = |event| {
        bar.get_or_insert_with(|| Progress::new("events counted", event, last)).reached(event);
    };
    let (users, tls) = (entrance.users.names(), entrance.options.tls.clone());
    let built = served::serve(front, entrance, store, log, &mut told)?;
    drop(bar);
    if let Some(why) = &built.refused {
        say!("all messages were counted again: {why}");
    }
    let served = Served {
        addresses: built.addresses,
        mold: config.mold.zip(built.mold_requests),
        notes: built.notes,
        traffic: built.traffic,
        users,
        tls,
    };
    Ok((built.stages, served))
}

fn tls(config: &Config) -> Result<Option<Arc<Acceptor>>, TlsError> {
    let Some(own) = config.tls.identity() else { return Ok(None) };
    Ok(Some(Arc::new(Acceptor::new(own, config.tls.clients.clone())?)))
}

/// Files and sockets that the node itself opens, at most.
const OWN_DESCRIPTORS: u64 = 128;

/// How many connections there is room for: no client may take the descriptors that the journal
/// needs.
fn connections(wanted: u64) -> Result<usize, Fault> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let raised = setrlimit(Resource::Nofile, limit);
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let room = limit.saturating_sub(OWN_DESCRIPTORS);
    if room == 0 {
        return Err(Fault::Node(format!(
            "this process may open {limit} files, and the node alone needs {OWN_DESCRIPTORS}: \
             raise `ulimit -n` (LimitNOFILE= in a unit)"
        )));
    }
    if room < wanted {
        let why = raised.err().map_or_else(String::new, |error| format!(" ({error})"));
        say!(
            "{room} connections at most, not {wanted}: this process may open {limit} \
             files{why}; raise `ulimit -n`, or set sessions.connections"
        );
    }
    Ok(wanted.min(room) as usize)
}
