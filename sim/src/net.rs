//! A network in memory: streams between hosts that deliver late, in pieces, or not at all. Time is
//! set from outside; what is random comes from one seed.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use fastrand::Rng;
use ringframe::net::{Listener, Net, Stream};
use ringframe::types::Nanos;

use watch::SimWatch;

mod watch;

/// The two nodes, the machine of all clients, and perhaps a third node.
pub(crate) const HOSTS: usize = 4;
/// Where clients are.
pub(crate) const CLIENTS: usize = 2;
/// Where a node is that nobody waits for.
pub(crate) const THIRD: usize = 3;

/// How a network behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// The least and the longest delay on the way.
    pub(crate) delay_nanos: (u64, u64),
    /// So much is under way or unread at most.
    pub(crate) room: usize,
    /// A write or a read takes so much at most.
    pub(crate) piece: usize,
}

impl Weather {
    /// As between two racks.
    pub(crate) fn fair(rng: &mut Rng) -> Self {
        let least = rng.u64(5_000..200_000);
        let delay_nanos = (least, least + rng.u64(0..2_000_000));
        let piece = if rng.u8(0..4) == 0 { rng.usize(100..1_000) } else { 1 << 16 };
        Self { delay_nanos, room: rng.usize(2_000..64_000), piece }
    }

    /// As between two continents: who follows is always behind.
    pub(crate) fn slow(rng: &mut Rng) -> Self {
        let least = rng.u64(5_000_000..40_000_000);
        let delay_nanos = (least, least + rng.u64(0..10_000_000));
        Self { delay_nanos, room: rng.usize(1_000..8_000), piece: 1 << 16 }
    }
}

/// What travels.
#[derive(Debug)]
enum Parcel {
    Hello,
    Welcome,
    Bytes(Vec<u8>),
    Finish,
    Reset,
}

/// One end of a connection.
#[derive(Debug)]
struct End {
    host: usize,
    /// A process has it.
    is_held: bool,
    is_up: bool,
    is_broken: bool,
    /// The other end says nothing more.
    has_ended: bool,
    /// Nor does this one.
    has_finished: bool,
    inbox: VecDeque<u8>,
    /// From here to the other end, in order.
    way: VecDeque<(Nanos, Parcel)>,
    under_way: usize,
}

impl End {
    fn new(host: usize) -> Self {
        Self {
            host,
            is_held: false,
            is_up: false,
            is_broken: false,
            has_ended: false,
            has_finished: false,
            inbox: VecDeque::new(),
            way: VecDeque::new(),
            under_way: 0,
        }
    }
}

#[derive(Debug)]
struct Wire {
    to: SocketAddr,
    from: SocketAddr,
    ends: [End; 2],
}

#[derive(Debug, Default)]
struct Door {
    is_open: bool,
    waiting: VecDeque<u64>,
}

/// All hosts and what is between them.
#[derive(Debug)]
pub(crate) struct Wires {
    now: Nanos,
    rng: Rng,
    weather: Weather,
    lines: BTreeMap<u64, Wire>,
    doors: BTreeMap<SocketAddr, Door>,
    is_on: [bool; HOSTS],
    /// Nothing gets from one host to another before this time.
    shut: [[Nanos; HOSTS]; HOSTS],
    next_wire: u64,
    /// Nothing arrives before.
    next_at: Nanos,
    /// When a write was last cut short though there was room: somebody goes on soon.
    short_at: Nanos,
}

/// Where a host is.
pub(crate) fn address(host: usize, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, host as u8 + 1)), port)
}

fn host_of(address: SocketAddr) -> usize {
    match address.ip() {
        IpAddr::V4(ip) => usize::from(ip.octets()[3]) - 1,
        IpAddr::V6(_) => panic!("simulated hosts have IPv4"),
    }
}

impl Wires {
    fn new(rng: Rng, weather: Weather) -> Self {
        Self {
            now: Nanos(0),
            rng,
            weather,
            lines: BTreeMap::new(),
            doors: BTreeMap::new(),
            is_on: [true; HOSTS],
            shut: Default::default(),
            next_wire: 0,
            next_at: Nanos(u64::MAX),
            short_at: Nanos(0),
        }
    }

    fn put(&mut self, wire: u64, side: usize, parcel: Parcel) {
        let (least, longest) = self.weather.delay_nanos;
        let at = self.now.after(self.rng.u64(least..=longest));
        let Some(it) = self.lines.get_mut(&wire) else { return };
        let end = &mut it.ends[side];
        let at = end.way.back().map_or(at, |(last, _)| at.max(*last));
        if let Parcel::Bytes(bytes) = &parcel {
            end.under_way += bytes.len();
        }
        end.way.push_back((at, parcel));
        self.next_at = self.next_at.min(at);
    }

    /// Lets arrive what is due; how much that was.
    pub(crate) fn deliver(&mut self) -> usize {
        if self.now < self.next_at {
            return 0;
        }
        let now = self.now;
        let is_due = |end: &End| end.way.front().is_some_and(|(at, _)| *at <= now);
        let due = self.lines.iter().filter(|(_, wire)| wire.ends.iter().any(is_due));
        // What is put on its way meanwhile is not due yet.
        let ids: Vec<u64> = due.map(|(id, _)| *id).collect();
        let mut work = 0;
        for id in ids {
            for side in 0..2 {
                work += self.deliver_from(id, side);
            }
        }
        self.lines.retain(|_, wire| wire.ends.iter().any(|end| end.is_held || !end.way.is_empty()));
        let heads = self.lines.values().flat_map(|wire| {
            (0..2).filter_map(|side| {
                let (from, to) = (wire.ends[side].host, wire.ends[1 - side].host);
                let (at, _) = wire.ends[side].way.front()?;
                Some((*at).max(self.shut[from][to]))
            })
        });
        self.next_at = heads.min().unwrap_or(Nanos(u64::MAX));
        work
    }

    fn deliver_from(&mut self, id: u64, side: usize) -> usize {
        let mut work = 0;
        loop {
            let Some(wire) = self.lines.get_mut(&id) else { return work };
            let (from, to) = (wire.ends[side].host, wire.ends[1 - side].host);
            if self.shut[from][to] > self.now
                || wire.ends[side].way.front().is_none_or(|(at, _)| *at > self.now)
            {
                return work;
            }
            let Some((_, parcel)) = wire.ends[side].way.pop_front() else { return work };
            if let Parcel::Bytes(bytes) = &parcel {
                wire.ends[side].under_way -= bytes.len();
            }
            work += 1;
            if self.is_on[to] {
                self.arrive(id, 1 - side, parcel);
            }
        }
    }

    fn arrive(&mut self, id: u64, side: usize, parcel: Parcel) {
        let Some(wire) = self.lines.get_mut(&id) else { return };
        let end = &mut wire.ends[side];
        match parcel {
            Parcel::Hello => {
                let door = self.doors.get_mut(&wire.to).filter(|door| door.is_open);
                let answer = match door {
                    Some(door) => {
                        door.waiting.push_back(id);
                        (end.is_held, end.is_up) = (true, true);
                        Parcel::Welcome
                    }
                    None => Parcel::Reset,
                };
                self.put(id, side, answer);
            }
            Parcel::Reset => {
                end.is_broken = true;
                end.way.clear();
                end.under_way = 0;
            }
            // What was said behind the break came too late for whoever hears of it.
            _ if end.is_broken => {}
            _ if !end.is_held => self.put(id, side, Parcel::Reset),
            Parcel::Welcome => end.is_up = true,
            Parcel::Bytes(bytes) => end.inbox.extend(bytes),
            Parcel::Finish => end.has_ended = true,
        }
    }

    /// A process lets go of its end.
    fn close(&mut self, id: u64, side: usize) {
        let Some(wire) = self.lines.get_mut(&id) else { return };
        let end = &mut wire.ends[side];
        if !end.is_held {
            return;
        }
        end.is_held = false;
        let parcel = if end.inbox.is_empty() { Parcel::Finish } else { Parcel::Reset };
        end.inbox.clear();
        if !end.is_broken {
            self.put(id, side, parcel);
        }
    }

    /// Whether something came to one of these hosts that nobody has taken, or somebody is in the
    /// middle of a long word: who was cut short goes on in this time.
    pub(crate) fn is_busy(&self, at: [bool; HOSTS], goes_on: u64) -> bool {
        if self.now < self.short_at.after(goes_on) {
            return true;
        }
        let mut ends = self.lines.values().flat_map(|wire| &wire.ends);
        ends.any(|end| end.is_held && at[end.host] && !end.inbox.is_empty())
    }

    /// When the next thing arrives.
    pub(crate) fn next_at(&self) -> Nanos {
        self.next_at
    }

    /// The time.
    pub(crate) fn set_now(&mut self, now: Nanos) {
        self.now = now;
    }

    /// Nothing gets from one host to the other before this time.
    pub(crate) fn shut(&mut self, from: usize, to: usize, until: Nanos) {
        self.shut[from][to] = self.shut[from][to].max(until);
    }

    /// Whether things get from one host to the other, and back.
    pub(crate) fn is_passable(&self, one: usize, other: usize) -> bool {
        self.shut[one][other] <= self.now && self.shut[other][one] <= self.now
    }

    /// Everything gets everywhere.
    pub(crate) fn clear_up(&mut self) {
        self.shut = Default::default();
        self.next_at = self.now;
    }

    /// All connections between two hosts break: a part of what was under way still arrives.
    pub(crate) fn cut(&mut self, one: usize, other: usize) -> usize {
        let between = |wire: &Wire| {
            let [left, right] = &wire.ends;
            (left.host, right.host) == (one, other) || (left.host, right.host) == (other, one)
        };
        let ids: Vec<u64> =
            self.lines.iter().filter(|(_, wire)| between(wire)).map(|(id, _)| *id).collect();
        for &id in &ids {
            for side in 0..2 {
                let wire = self.lines.get_mut(&id).expect("it is there");
                let end = &mut wire.ends[side];
                let kept = self.rng.usize(0..=end.way.len());
                end.way.truncate(kept);
                if let Some((_, Parcel::Bytes(bytes))) = end.way.back_mut() {
                    let kept = self.rng.usize(0..=bytes.len());
                    bytes.truncate(kept);
                }
                end.under_way = end.way.iter().map(|(_, parcel)| parcel.bytes()).sum();
                self.put(id, side, Parcel::Reset);
            }
        }
        ids.len()
    }

    /// The host loses power: nobody hears of it, and what it had is gone.
    pub(crate) fn power_off(&mut self, host: usize) {
        self.is_on[host] = false;
        for end in self.lines.values_mut().flat_map(|wire| &mut wire.ends) {
            if end.host == host {
                end.is_held = false;
                end.inbox.clear();
            }
        }
    }

    /// It is back.
    pub(crate) fn power_on(&mut self, host: usize) {
        self.is_on[host] = true;
    }
}

impl Parcel {
    fn bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

/// The network as a host's processes see it.
#[derive(Clone, Debug)]
pub(crate) struct SimNet {
    wires: Arc<Mutex<Wires>>,
    host: usize,
}

impl SimNet {
    /// A new network, as one of its hosts sees it.
    pub(crate) fn new(rng: Rng, weather: Weather, host: usize) -> Self {
        Self { wires: Arc::new(Mutex::new(Wires::new(rng, weather))), host }
    }

    /// The same network, for another host.
    pub(crate) fn of(&self, host: usize) -> Self {
        Self { wires: Arc::clone(&self.wires), host }
    }

    pub(crate) fn wires(&self) -> MutexGuard<'_, Wires> {
        self.wires.lock().expect("one thread")
    }
}

impl Net for SimNet {
    type Stream = SimStream;
    type Listener = SimListener;
    type Watch = SimWatch;

    fn bind(&self, address: SocketAddr) -> io::Result<SimListener> {
        let mut wires = self.wires();
        if wires.doors.contains_key(&address) {
            return Err(ErrorKind::AddrInUse.into());
        }
        wires.doors.insert(address, Door::default());
        drop(wires);
        Ok(SimListener { net: self.clone(), address })
    }

    fn connect(&self, to: SocketAddr) -> io::Result<SimStream> {
        let mut wires = self.wires();
        let id = wires.next_wire;
        wires.next_wire += 1;
        let port = 10_000 + (id % 50_000) as u16;
        let from = address(self.host, port);
        let mut ends = [End::new(self.host), End::new(host_of(to))];
        ends[0].is_held = true;
        wires.lines.insert(id, Wire { to, from, ends });
        wires.put(id, 0, Parcel::Hello);
        drop(wires);
        Ok(SimStream { net: self.clone(), id, side: 0 })
    }

    fn watch(&self) -> io::Result<SimWatch> {
        Ok(SimWatch::new(self.clone()))
    }
}

/// One end of a connection, as a process has it.
#[derive(Debug)]
pub(crate) struct SimStream {
    net: SimNet,
    id: u64,
    side: usize,
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.net.wires().close(self.id, self.side);
    }
}

impl io::Read for SimStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut wires = self.net.wires();
        let piece = wires.weather.piece;
        let most = wires.rng.usize(1..=piece);
        let Some(wire) = wires.lines.get_mut(&self.id) else { return Err(reset()) };
        let end = &mut wire.ends[self.side];
        let count = end.inbox.len().min(into.len()).min(most);
        if count > 0 {
            let (front, back) = end.inbox.as_slices();
            let first = count.min(front.len());
            into[..first].copy_from_slice(&front[..first]);
            into[first..count].copy_from_slice(&back[..count - first]);
            end.inbox.drain(..count);
            return Ok(count);
        }
        if end.is_broken {
            Err(reset())
        } else if end.has_ended || into.is_empty() {
            Ok(0)
        } else {
            Err(ErrorKind::WouldBlock.into())
        }
    }
}

impl io::Write for SimStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut wires = self.net.wires();
        let piece = wires.weather.piece;
        let most = wires.rng.usize(1..=piece);
        let Some(wire) = wires.lines.get_mut(&self.id) else { return Err(reset()) };
        let end = &wire.ends[self.side];
        if end.is_broken || end.has_finished {
            return Err(reset());
        }
        let count = bytes.len().min(wires.room(self.id, self.side)).min(most);
        if count == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        if count == most && count < bytes.len() {
            wires.short_at = wires.now;
        }
        wires.put(self.id, self.side, Parcel::Bytes(bytes[..count].to_vec()));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Wires {
    fn room(&self, id: u64, side: usize) -> usize {
        let Some(wire) = self.lines.get(&id) else { return 0 };
        let (end, other) = (&wire.ends[side], &wire.ends[1 - side]);
        if !end.is_up {
            return 0;
        }
        self.weather.room.saturating_sub(end.under_way + other.inbox.len())
    }
}

impl Stream for SimStream {
    fn prepare(&self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&self) -> io::Result<()> {
        let mut wires = self.net.wires();
        let Some(wire) = wires.lines.get_mut(&self.id) else { return Err(reset()) };
        wire.ends[self.side].has_finished = true;
        wires.put(self.id, self.side, Parcel::Finish);
        Ok(())
    }

    fn failure(&self) -> Option<io::Error> {
        Some(reset())
    }
}

fn reset() -> io::Error {
    ErrorKind::ConnectionReset.into()
}

/// An address of a host.
#[derive(Debug)]
pub(crate) struct SimListener {
    net: SimNet,
    address: SocketAddr,
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let mut wires = self.net.wires();
        let door = wires.doors.remove(&self.address);
        for id in door.into_iter().flat_map(|door| door.waiting) {
            wires.close(id, 1);
        }
    }
}

impl Listener for SimListener {
    type Stream = SimStream;

    fn open(&self, _backlog: i32) -> io::Result<()> {
        let mut wires = self.net.wires();
        wires.doors.get_mut(&self.address).expect("it is bound").is_open = true;
        Ok(())
    }

    fn accept(&self) -> io::Result<(SimStream, SocketAddr)> {
        let mut guard = self.net.wires();
        let wires = &mut *guard;
        let door = wires.doors.get_mut(&self.address).expect("it is bound");
        while let Some(id) = door.waiting.pop_front() {
            if let Some(wire) = wires.lines.get(&id) {
                let from = wire.from;
                drop(guard);
                return Ok((SimStream { net: self.net.clone(), id, side: 1 }, from));
            }
        }
        Err(ErrorKind::WouldBlock.into())
    }

    fn address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
