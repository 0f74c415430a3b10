//! The stages between a node of the exchange and its clients, built from what there is to resume.

use std::net::SocketAddr;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};
use ringframe_journal::storage::Storage;

use crate::doorman::{Door, Doorman};
use crate::embed::Front;
use crate::exchange::AnyBuild;
use crate::gateway::{Doors, Gateway, GatewayOptions, Helpers};
use crate::history::History;
use crate::log::Note;
use crate::net::Net;
use crate::stage::{Fault, Stage};
use crate::streams;
use crate::traffic::Traffic;
use crate::users::Users;

/// Lines for the log that may wait.
const QUEUE: usize = 1024;
/// Pieces of the past that may wait, of 64 KiB and more.
const PIECES: usize = 64;
/// Marks and other remarks on their way to the history: as many as it takes in a poll, more wait at
/// the gateway. The room for all of them is taken at each start.
const REMARKS: usize = 1 << 12;

/// What clients talk to.
pub struct Served {
    /// Gateway, history, doorman.
    pub stages: Vec<Box<dyn Stage>>,
    /// Where order entry, market data and its snapshots are.
    pub addresses: [SocketAddr; 3],
    /// Where requests for datagrams are taken, if any are sent.
    pub mold_requests: Option<SocketAddr>,
    /// Lines for the log.
    pub notes: Receiver<Note>,
    /// What is counted.
    pub traffic: Arc<Traffic>,
    /// Why all messages were counted again, if there was something of no use.
    pub refused: Option<String>,
}

/// What clients are let in by.
pub struct Entrance<N: Net> {
    /// Who may come.
    pub users: Users,
    /// How they are treated.
    pub options: GatewayOptions,
    /// Where they come.
    pub doors: Doors<N>,
}

/// Counts what there is to resume, opens the doors, and builds the stages. `store` keeps the counts
/// of `log`, and `told` hears how far they are.
pub fn serve<L: AnyBuild, S: Storage, N: Net>(
    front: Front<L>,
    entrance: Entrance<N>,
    store: S,
    log: S,
    told: &mut dyn FnMut(u64),
) -> Result<Served, Fault> {
    let opened = streams::open(&store, &log, front.positions.left(), told)?;
    let Entrance { users, options, doors } = entrance;
    let (doorman, Door { requests, verdicts }) = Doorman::new(users);
    let (remarks, remarked) = bounded(REMARKS);
    let (answered, answers) = bounded(PIECES);
    let (notes, noted) = bounded(QUEUE);
    let helpers = Helpers { requests, verdicts, remarks, answers, notes };
    let tally = opened.checkpoint.tally.clone();
    let gateway = Gateway::new(options, doors, front, tally, helpers)?;
    let broken = |error: std::io::Error| Fault::Node(format!("cannot listen: {error}"));
    let addresses = gateway.addresses().map_err(broken)?;
    let mold_requests = gateway.mold_requests_at().map_err(broken)?;
    let traffic = gateway.traffic();
    let history = History::new(remarked, answered, opened.checkpoint, store, log)?;
    Ok(Served {
        stages: vec![Box::new(gateway), Box::new(history), Box::new(doorman)],
        addresses,
        mold_requests,
        notes: noted,
        traffic,
        refused: opened.refused,
    })
}
