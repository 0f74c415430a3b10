//! The one stage that faces clients: it takes bytes from sockets and publishes commands, and turns
//! released events into messages and sends them. It never waits for a socket: one that does not
//! read is cut off, one that brings too much is not read.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use crate::doorman;
use crate::embed::{Front, Intake};
use crate::exchange::command::{Command, Disconnected};
use crate::exchange::{AnyBuild, Exchange};
use crate::history::{Answer, Remark};
use crate::log::Note;
use crate::net::{Interest, Listener, Net, Source as Watched, Stream as _, Tcp, Watch, is_nothing};
use crate::pipeline::{Positions, SlotReader};
use crate::release::Release;
use crate::stage::{Fault, Sleeper, Stage};
use crate::streams::{Stream, Tally, Window};
use crate::traffic::{Count, Traffic};
use crate::types::Nanos;
use crate::wire::mold::Request;
use crate::wire::soup::FromServer;

use connection::{Connection, End, Phase, Source};
use crowds::Crowds;
pub use doors::Doors;
use inbound::PACKET_BYTES_MAX;
pub use mold::MoldOptions;
pub use options::GatewayOptions;
use rooms::{Ended, Rooms};
use slab::Slab;
use socket::Socket;

mod connection;
mod crowds;
mod datagrams;
mod doors;
mod inbound;
mod mold;
mod options;
mod rooms;
mod slab;
mod socket;
mod sweep;

/// So many events at most per poll.
const EVENTS: u64 = 256;
/// After so many packets the other sockets wait, so that answers to the first of them leave.
const PACKETS: usize = 2048;
/// So many commands of clients at most wait in the ring: whoever floods waits before his own socket
/// and not before everybody's, behind a full ring.
pub const AHEAD: u64 = 512;
/// So many of them are one connection's at most, until all of these are applied: whoever floods
/// makes others wait for one turn of his, and not for all the ring's.
pub const TURN: u64 = 64;
/// So many connections at most are taken per poll.
const ACCEPTS: usize = 16;
/// So many connections at most are a step further with TLS after a poll: a step may be a signature
/// and a few checks of others, which take longer than an order does.
const HANDSHAKES: usize = 1;
/// All that is read from a socket in one poll, so that everybody has his turn soon: fewer orders
/// than [`AHEAD`], and however short its packets are no long work.
const READ_BYTES: usize = 16 << 10;
/// So many questions for old datagrams may wait.
const MOLD_ASKS_MAX: usize = 64;
/// Remarks that the history did not take yet: beyond, events wait.
const BACKLOG: usize = 1 << 16;
/// The longest text that a client is told why it is cut off.
const DEBUG_BYTES: usize = 200;

/// What the gateway says to the helpers behind it, and hears from them.
pub struct Helpers {
    /// To the doorman, who knows the users.
    pub requests: Sender<doorman::Request>,
    /// From the doorman.
    pub verdicts: Receiver<doorman::Verdict>,
    /// To the history, which has old messages.
    pub remarks: Sender<Remark>,
    /// From the history.
    pub answers: Receiver<Answer>,
    /// Lines for the log; dropped where nobody takes them.
    pub notes: Sender<Note>,
}

/// The stage, in front of any build of the exchange.
pub struct Gateway<N: Net = Tcp, L: AnyBuild = Exchange> {
    options: GatewayOptions,
    intake: Intake<L>,
    /// So many commands may come before it is looked again how many wait.
    room: u64,
    events: SlotReader,
    positions: Arc<Positions>,
    release: Arc<Release>,
    helpers: Helpers,
    traffic: Arc<Traffic>,
    watch: N::Watch,
    doors: Doors<N>,
    connections: Slab<N::Stream>,
    crowds: Crowds,
    tally: Tally,
    rooms: Rooms,
    /// Who asked for messages that are no longer in the window.
    mold_asks: BTreeMap<u64, (SocketAddr, Request)>,
    mold_asked: u64,
    /// Commands of our own that the ring had no room for.
    waiting: VecDeque<Command>,
    /// Connections whose bytes wait, in the order of their turns.
    stalled: VecDeque<u64>,
    /// Those of them that have had their turn.
    served: Vec<u64>,
    /// Nobody had one last time.
    was_passed: bool,
    /// Whose turn it is first, of the sockets that have something.
    first: usize,
    /// Connections that read the past.
    behind: Vec<u64>,
    /// Snapshots that know more than we heard yet.
    early: Vec<Answer>,
    /// Room to go through some connections while they may go.
    tokens: Vec<u64>,
    buffer: Box<[u8]>,
    /// In this poll.
    handshakes: usize,
    swept: Nanos,
    /// Until the next sweep nobody is let in.
    doors_are_shut: bool,
    tallied: (Nanos, u64),
    /// When the first event's command was ordered of those that the last poll took.
    oldest: Option<Nanos>,
    /// When sessions whose clients did not come back lose their orders.
    grace_ends: Option<Nanos>,
    /// Whether clients are let in: once this node leads.
    is_open: bool,
    /// The last event of what was here when this node began to lead, once that is known.
    inherited: Option<u64>,
}

impl<N: Net, L: AnyBuild> Gateway<N, L> {
    /// Opens the doors of a node that leads; nothing is taken before the first poll. One that
    /// follows counts what is said, and opens them when it is to lead. `tally` has counted all
    /// events there are.
    pub fn new(
        options: GatewayOptions,
        doors: Doors<N>,
        front: Front<L>,
        tally: Tally,
        helpers: Helpers,
    ) -> Result<Self, Fault> {
        let watch = doors.net.watch().map_err(|error| unwatched(&error))?;
        let GatewayOptions { feed_window_bytes, window_bytes, .. } = options;
        let Front { intake, events, positions, release } = front;
        let mut gateway = Self {
            rooms: Rooms::new(tally.next(Stream::Feed), feed_window_bytes, window_bytes),
            tallied: (Nanos::default(), tally.event()),
            oldest: None,
            options,
            intake,
            room: 0,
            events,
            positions,
            release,
            helpers,
            traffic: Arc::default(),
            watch,
            doors,
            connections: Slab::new(),
            crowds: Crowds::default(),
            tally,
            mold_asks: BTreeMap::new(),
            mold_asked: 0,
            waiting: VecDeque::new(),
            stalled: VecDeque::new(),
            served: Vec::new(),
            was_passed: false,
            first: 0,
            behind: Vec::new(),
            early: Vec::new(),
            tokens: Vec::new(),
            buffer: vec![0; socket::room(PACKET_BYTES_MAX + READ_BYTES)].into(),
            handshakes: 0,
            swept: Nanos::default(),
            doors_are_shut: false,
            grace_ends: None,
            is_open: false,
            inherited: None,
        };
        if gateway.may_open() {
            gateway.open()?;
        }
        Ok(gateway)
    }

    /// Not before all is counted that was here when this node began to lead: it would let clients
    /// in to a day that is over, and refuse those who were told more by the leader before it.
    fn may_open(&mut self) -> bool {
        if !self.intake.leads() || !self.release.tells_recovered(&self.positions) {
            return false;
        }
        let progress = self.positions.progress();
        if self.inherited.is_none() && progress.released >= self.intake.sequencer().inherited() {
            self.inherited = Some(progress.handed_on);
        }
        self.inherited.is_some_and(|event| self.tally.event() >= event)
    }

    /// From here on clients are let in.
    fn open(&mut self) -> Result<(), Fault> {
        self.doors.open()?;
        for (index, (listener, _)) in self.doors.listeners.iter().enumerate() {
            let added =
                self.watch.add(Watched::Listener(listener), DOORS - index as u64, Interest::READ);
            added.map_err(|error| unwatched(&error))?;
        }
        if let Some(mold) = &mut self.doors.mold {
            mold.go_on_behind(self.rooms.window(Stream::Feed).expect("the market has one"));
            let added = self.watch.add(Watched::Datagrams(mold.requests()), MOLD, Interest::READ);
            added.map_err(|error| unwatched(&error))?;
        }
        self.is_open = true;
        self.traffic.open();
        Ok(())
    }

    /// The counters, for whoever wants to know.
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    /// Where order entry, market data and its snapshots are, whatever port was asked for.
    pub fn addresses(&self) -> io::Result<[SocketAddr; 3]> {
        self.doors.addresses()
    }

    /// Turns released events into messages, and sends them.
    fn hear(&mut self, now: Nanos) -> Result<usize, Fault> {
        self.oldest = None;
        self.hand_over_remarks();
        if self.rooms.remarks.len() >= BACKLOG {
            return Ok(0);
        }
        let mut work = 0;
        if let Ok(mut events) = self.events.take(EVENTS) {
            for slot in &mut events {
                let frame = slot.frame();
                self.oldest.get_or_insert(Nanos(frame.timestamp));
                if let Some(why) = self.tally.on_event(&frame, &mut self.rooms)? {
                    self.traffic.refuse(why);
                }
                work += 1;
            }
        }
        if work > 0 {
            self.send_dirty(now);
            self.positions.set_left(self.tally.event());
        }
        Ok(work)
    }

    /// Where requests for datagrams are taken, if any are sent.
    pub fn mold_requests_at(&self) -> io::Result<Option<SocketAddr>> {
        self.doors.mold.as_ref().map(|mold| mold.requests().local_addr()).transpose()
    }

    fn hand_over_remarks(&mut self) {
        while let Some(remark) = self.rooms.remarks.pop_front() {
            if let Err(refused) = self.helpers.remarks.try_send(remark) {
                self.rooms.remarks.push_front(refused.into_inner());
                break;
            }
        }
    }

    fn send_dirty(&mut self, now: Nanos) {
        for Ended { stream, window, listeners, next } in self.rooms.take_ended() {
            for token in listeners {
                self.end_of_day(token, &window, now);
            }
            if stream == Stream::Feed {
                self.end_late();
            }
            if let (Stream::Feed, Some(mold)) = (stream, &mut self.doors.mold)
                && self.is_open
            {
                mold.new_day(&window, next.name(), now);
                self.mold_asks.clear();
            }
        }
        let mut tokens = std::mem::take(&mut self.tokens);
        self.rooms.take_dirty(&mut tokens);
        for &token in &tokens {
            self.flush(token, now);
        }
        self.tokens = tokens;
    }

    fn end_of_day(&mut self, token: u64, window: &Window, now: Nanos) {
        let Some(connection) = self.connections.get(token) else { return };
        if !connection.keep_rest(window) {
            let why = "the day ended before it had read them".into();
            return self.end(token, &End::Lost(why));
        }
        connection.say(&FromServer::End);
        connection.phase = Phase::Leaving;
        // It has as long to read the rest as others have to log in.
        connection.opened = now;
        self.flush(token, now);
    }

    /// The history forgets who waits for a snapshot of a day that is over.
    fn end_late(&mut self) {
        for place in 0..self.connections.places() {
            let Some(token) = self.connections.at(place) else { continue };
            let connection = self.connections.get(token).expect("it is there");
            if matches!(connection.phase, Phase::Late) {
                self.end(token, &End::Lost("the day ended before there was a snapshot".into()));
            }
        }
    }

    /// Sends what the connection has to get, as far as its socket takes it.
    fn flush(&mut self, token: u64, now: Nanos) {
        let Some(connection) = self.connections.get(token) else { return };
        let watched = connection.interest;
        let window = connection.stream().and_then(|stream| self.rooms.window(stream));
        match connection.flush(window, now) {
            Err(end) => self.end(token, &end),
            Ok(()) if connection.interest == watched => {}
            Ok(()) => self.watch(token),
        }
    }

    fn watch(&mut self, token: u64) {
        let Some(connection) = self.connections.get(token) else { return };
        if let Err(error) =
            self.watch.change(connection.socket.watched(), token, connection.interest)
        {
            self.end(token, &End::Failed(error));
        }
    }

    /// Closes a connection and says why.
    fn end(&mut self, token: u64, end: &End) {
        let Some(mut connection) = self.connections.remove(token) else { return };
        self.crowds.leave(connection.from.ip());
        let _ = self.watch.remove(connection.socket.watched());
        let stream = connection.stream();
        if let Some(stream) = stream {
            self.rooms.leave(stream, token);
        }
        if connection.has_asked() {
            self.rooms.remarks.push_back(Remark::Gone(token));
        }
        let count = match end {
            End::Slow => Some(Count::Slow),
            End::Silent => Some(Count::Silent),
            End::Broken(_) => Some(Count::Broken),
            End::NoTls => Some(Count::NoTls),
            End::OnlyTls => Some(Count::OnlyTls),
            End::Handshake(_) => Some(Count::Handshakes),
            End::TakenOver => Some(Count::TakenOver),
            End::Closed | End::Failed(_) | End::Lost(_) | End::Left => None,
        };
        let session = match stream {
            Some(Stream::Session(session)) => Some(session),
            _ => None,
        };
        if let Some(count) = count {
            self.traffic.count(count);
            let line = format!("{}: cut off: {end}", connection.from);
            self.note(Note { line, session, ..Note::default() });
            // Where the last packet is whole the client may read why.
            let window = stream.and_then(|stream| self.rooms.window(stream));
            if connection.is_idle(window) && !connection.socket.is_shaking_hands() {
                let why = format!("cut off: {end}");
                connection.say(&FromServer::Debug(&why.as_bytes()[..why.len().min(DEBUG_BYTES)]));
                connection.source = Source::Nowhere;
                let _ = connection.flush(None, Nanos::default());
            }
        } else if let End::Failed(_) | End::Lost(_) = end {
            let line = format!("{}: {end}", connection.from);
            self.note(Note { line, session, ..Note::default() });
        }
        connection.socket.say_good_bye();
        if let Some(session) = session.filter(|_| !matches!(end, End::TakenOver)) {
            self.disconnected(session);
        }
    }

    /// The exchange cancels its orders, where the session asked for that.
    fn disconnected(&mut self, session: u16) {
        if self.tally.names().sessions().any(|(it, cancels)| it == session && cancels) {
            self.waiting.push_back(Disconnected { session }.into());
        }
    }

    fn note(&self, note: impl Into<Note>) {
        let _ = self.helpers.notes.try_send(note.into());
    }

    /// Publishes our own commands, and takes what other threads submit.
    fn publish_own(&mut self, now: Nanos) -> Result<usize, Fault> {
        let mut work = self.intake.poll(now)?;
        while let Some(command) = self.waiting.front() {
            if self.intake.sequencer().offer(command, now).is_none() {
                break;
            }
            self.waiting.pop_front();
            work += 1;
        }
        Ok(work)
    }

    fn look(&mut self, now: Nanos) -> Result<usize, Fault> {
        let found = self.watch.look();
        let found = found.map_err(|error| unwatched(&error))?;
        let mut work = 0;
        self.handshakes = 0;
        // Who is left out is found again, because what is ready stays ready, and is the first then.
        let first = self.first;
        for index in (0..found).map(|step| (first + step) % found) {
            if work >= PACKETS {
                self.first = index;
                break;
            }
            let ready = self.watch.ready(index);
            if ready.token == MOLD {
                work += self.mold_requests();
                continue;
            }
            if ready.token > MOLD {
                work += self.accept((DOORS - ready.token) as usize, now);
                continue;
            }
            if ready.broken && self.end_broken(ready.token) {
                work += 1;
                continue;
            }
            if ready.write {
                self.flush(ready.token, now);
                work += 1;
            }
            if ready.read {
                work += self.read(ready.token, now);
            }
        }
        Ok(work)
    }

    /// Ends a connection that is broken and waits: nobody reads it, and epoll would tell of it for
    /// ever. What it has said and was not taken is lost, as it would be on its way.
    fn end_broken(&mut self, token: u64) -> bool {
        let Some(connection) = self.connections.get(token).filter(|it| it.stalled) else {
            return false;
        };
        let end = End::Failed(connection.socket.failure());
        self.end(token, &end);
        true
    }

    fn accept(&mut self, door: usize, now: Nanos) -> usize {
        let mut work = 0;
        // Of connections that come while we end, the next start hears.
        while work < ACCEPTS && !self.intake.has_ended() {
            let (listener, door) = &self.doors.listeners[door];
            let (socket, from) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if is_nothing(&error) => break,
                Err(error) => {
                    // Too many open files: whoever waits goes on waiting until there may be room.
                    self.note(format!("a connection could not be taken: {error}"));
                    self.watch_doors(Interest::default());
                    self.doors_are_shut = true;
                    break;
                }
            };
            work += 1;
            let door = *door;
            if let Some((count, why)) = self.is_full_for(from.ip()) {
                self.traffic.count(count);
                self.note(format!("{from}: turned away: {why}"));
                continue;
            }
            let ready = socket.prepare();
            let session = match self.options.tls.as_ref().map(|tls| tls.accept()).transpose() {
                Ok(session) => session,
                Err(error) => {
                    self.note(format!("{from}: no TLS for it: {error}"));
                    continue;
                }
            };
            let socket = Socket::new(socket, session);
            let token =
                self.connections.add(|token| Connection::new(socket, from, door, token, now));
            self.crowds.join(from.ip());
            let connection = self.connections.get(token).expect("just added");
            let added = self.watch.add(connection.socket.watched(), token, connection.interest);
            match ready.and(added) {
                Ok(()) => self.traffic.count(Count::Connected),
                Err(error) => self.end(token, &End::Failed(error)),
            }
        }
        work
    }

    /// Why one more connection from there would be too many.
    fn is_full_for(&self, from: IpAddr) -> Option<(Count, String)> {
        let GatewayOptions { connections_max, address_max, loopback_max, .. } = self.options;
        if self.connections.len() >= connections_max {
            let why = format!("there are {connections_max} connections, the most that are taken");
            return Some((Count::TurnedAway, why));
        }
        let most = if from.to_canonical().is_loopback() { loopback_max } else { address_max };
        let is_full = self.crowds.count(from) >= most;
        is_full.then(|| {
            let why = format!(
                "{most} connections come from its address, the most that one may have: \
                 sessions.connections_per_address says how many"
            );
            (Count::Crowded, why)
        })
    }

    fn watch_doors(&self, interest: Interest) {
        for (index, (listener, _)) in self.doors.listeners.iter().enumerate() {
            // Where even this fails they are looked at too often, and nothing is lost.
            let _ = self.watch.change(Watched::Listener(listener), DOORS - index as u64, interest);
        }
    }
}

impl<N: Net, L: AnyBuild> Stage for Gateway<N, L> {
    fn name(&self) -> &'static str {
        "gateway"
    }

    fn poll(&mut self, now: Nanos) -> Result<usize, Fault> {
        let mut work = self.hear(now)?;
        work += self.publish_own(now)?;
        if !self.is_open {
            self.keep_tally(now);
            if !self.may_open() {
                return Ok(work);
            }
            self.open()?;
        }
        work += self.go_on(now);
        // Who comes is served before those who wait, but not every time.
        if self.was_passed {
            work += self.take_turns(now);
            work += self.look(now)?;
        } else {
            work += self.look(now)?;
            work += self.take_turns(now);
        }
        work += self.send_datagrams(now);
        self.sweep(now);
        Ok(work)
    }

    fn oldest(&self) -> Option<Nanos> {
        self.oldest
    }

    fn sleeper(&mut self) -> Option<Box<dyn Sleeper>> {
        // Without one the thread looks fifty times a second.
        self.watch.sleeper().ok()
    }

    fn close(&mut self, now: Nanos) -> Result<(), Fault> {
        self.hear(now)?;
        self.rooms.remarks.push_back(Remark::Tally(Box::new(self.tally.clone())));
        self.hand_over_remarks();
        Ok(())
    }
}

fn unwatched(error: &io::Error) -> Fault {
    Fault::Node(format!("cannot watch sockets: {error}"))
}

/// The tokens of listeners go down from here.
const DOORS: u64 = u64::MAX;
/// The token of the socket that takes requests for datagrams, and of the questions it leads to.
const MOLD: u64 = DOORS - 3;
