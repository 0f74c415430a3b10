//! A gateway that is polled by hand, at times that the test chooses, and the node behind it, which
//! goes on only when the test lets it: what a client can do to others depends on no thread here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use ringframe::doorman::{Request, Verdict};
use ringframe::embed::{Front, Input, Intake};
use ringframe::exchange::Exchange;
use ringframe::exchange::command::Command;
use ringframe::exchange::demo;
use ringframe::gateway::{Doors, Gateway, GatewayOptions, Helpers, MoldOptions};
use ringframe::history::{Answer, Ask, Remark};
use ringframe::journal::MappedStorage;
use ringframe::node::{Node, NodeOptions, Stores};
use ringframe::pipeline::Positions;
use ringframe::release::ReleasePolicy;
use ringframe::stage::Stage;
use ringframe::streams::Tally;
use ringframe::traffic::Clients;
use ringframe::types::Nanos;
use ringframe::users::User;
use ringframe::wire::layout::Alpha;
use ringframe::wire::soup::{FromClient, Session};

use crate::peer::{Heard, PATIENCE, Peer, login};

/// Commands of the test that may wait: all of the opening, and a day's end.
const COMMANDS: usize = 1 << 12;
const REMARKS: usize = 1 << 12;
const OTHERS: usize = 256;

/// The gateway, what it talks to, and the time.
pub(crate) struct Polled {
    pub(crate) gateway: Gateway,
    pub(crate) now: Nanos,
    /// Order entry, market data, its snapshots.
    pub(crate) addresses: [SocketAddr; 3],
    pub(crate) positions: Arc<Positions>,
    /// Questions for the past, which the test answers, or nobody does.
    pub(crate) asks: Vec<Ask>,
    pub(crate) answers: Sender<Answer>,
    commands: Sender<Input<Exchange>>,
    requests: Receiver<Request>,
    verdicts: Sender<Verdict>,
    remarks: Receiver<Remark>,
    /// Journaler, processor, event log, and the helpers of both journals.
    behind: Vec<Box<dyn Stage>>,
    _directory: tempfile::TempDir,
}

impl Polled {
    /// The demo exchange is open.
    pub(crate) fn open(options: GatewayOptions) -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let now = Nanos(1_767_364_200 * Nanos::SECOND);
        let node_options = NodeOptions {
            release: ReleasePolicy::Journaled,
            segment_bytes: 8 << 20,
            event_segment_bytes: 8 << 20,
            ..NodeOptions::default()
        };
        let stores = Stores::mapped(directory.path());
        let node: Node<Exchange, MappedStorage> =
            Node::open(&stores, &node_options, now, &mut |_, _| ()).unwrap();
        let positions = Arc::clone(&node.positions);
        let (commands, queue) = bounded(COMMANDS);
        let front = Front {
            intake: Intake::new(queue, node.sequencer, Arc::new(AtomicBool::new(false))),
            events: node.egress,
            positions: Arc::clone(&positions),
            release: Arc::clone(&node.release),
        };
        let (request, requests) = bounded(OTHERS);
        let (verdicts, verdict) = bounded(OTHERS);
        let (remark, remarks) = bounded(REMARKS);
        let (answers, answer) = bounded(OTHERS);
        let (notes, _) = bounded(1);
        let helpers = Helpers {
            requests: request,
            verdicts: verdict,
            remarks: remark,
            answers: answer,
            notes,
        };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = GatewayOptions { orders: any, market: any, glimpse: any, ..options };
        let doors = Doors::bind(&options).unwrap();
        let gateway = Gateway::new(options, doors, front, Tally::default(), helpers).unwrap();
        let mut polled = Self {
            addresses: gateway.addresses().unwrap(),
            gateway,
            now,
            positions,
            asks: Vec::new(),
            answers,
            commands,
            requests,
            verdicts,
            remarks,
            behind: vec![
                Box::new(node.journaler),
                Box::new(node.processor),
                Box::new(node.event_log),
                Box::new(node.syncer),
                Box::new(node.keeper),
                Box::new(node.event_syncer),
                Box::new(node.event_keeper),
            ],
            _directory: directory,
        };
        polled.submit(demo::opening());
        polled
    }

    /// Lets all of these happen, and everything that comes of them.
    pub(crate) fn submit(&mut self, commands: impl IntoIterator<Item = Command>) {
        for command in commands {
            self.commands.try_send(Input::Command { command, tell: None }).unwrap();
        }
        let positions = Arc::clone(&self.positions);
        while !self.commands.is_empty()
            || !positions.is_quiet()
            || positions.left() < positions.progress().emitted
        {
            self.turn();
        }
    }

    /// The gateway alone; says how much it did.
    pub(crate) fn poll(&mut self) -> usize {
        self.gateway.poll(self.now).unwrap()
    }

    /// Everybody once.
    pub(crate) fn turn(&mut self) {
        self.poll();
        self.turn_behind();
    }

    /// Everybody but the gateway. All passwords are right, and nobody reads the past.
    pub(crate) fn turn_behind(&mut self) {
        for stage in &mut self.behind {
            stage.poll(self.now).unwrap();
        }
        for Request { ticket, username, .. } in self.requests.try_iter() {
            let session = std::str::from_utf8(&username[4..]).unwrap().parse().unwrap();
            let user = User { name: Alpha(username), session, market_data: true };
            self.verdicts.try_send(Verdict { ticket, user: Ok(user) }).unwrap();
        }
        self.asks.extend(self.remarks.try_iter().filter_map(|remark| match remark {
            Remark::Ask(ask) | Remark::AskSnapshot(ask) => Some(ask),
            _ => None,
        }));
    }

    /// Logs a user in at one of the doors, from a message of the day on; 0 is the next.
    #[track_caller]
    pub(crate) fn log_in(&mut self, door: usize, user: u16, sequence: u64) -> Peer {
        let mut peer = Peer::open(self.addresses[door]);
        peer.say(FromClient::Login(login(user, Session::BLANK, sequence))).unwrap();
        until(|| {
            self.turn();
            let heard = peer.heard();
            assert!(matches!(&heard[..], [] | [Heard::Accepted, ..]), "{heard:?}");
            !heard.is_empty()
        });
        peer
    }

    /// Who is connected, as of now.
    pub(crate) fn clients(&mut self) -> Clients {
        // It looks ten times a second.
        self.now = self.now.after(Nanos::SECOND / 5);
        self.poll();
        self.gateway.traffic().clients()
    }

    /// Where requests for datagrams go.
    pub(crate) fn requests_at(&self) -> SocketAddr {
        self.gateway.mold_requests_at().unwrap().unwrap()
    }
}

/// Tries until it is so.
#[track_caller]
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it does not come to that");
    }
}

/// Datagrams to there.
pub(crate) fn mold_to(to: SocketAddr) -> MoldOptions {
    MoldOptions { to, requests: ([127, 0, 0, 1], 0).into() }
}
