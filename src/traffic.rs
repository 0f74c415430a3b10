//! What the gateway counts, and who is connected: written by its thread, read by anyone.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::exchange::reject::Why;
use crate::types::Nanos;

macro_rules! counts {
    ($($(#[$doc:meta])+ $name:ident = $text:literal,)+) => {
        /// Something that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Count { $($(#[$doc])+ $name),+ }

        impl Count {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// What people call it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

counts! {
    /// Connections that were taken.
    Connected = "connections",
    /// Connections that were closed at once, because there were too many.
    TurnedAway = "connections turned away",
    /// Connections that were closed at once, because there were too many from their address.
    Crowded = "connections turned away from a crowded address",
    /// Logins.
    LoggedIn = "logins",
    /// Logins that were refused.
    Refused = "logins refused",
    /// Clients that did not read.
    Slow = "slow readers cut off",
    /// Clients that said nothing.
    Silent = "silent clients cut off",
    /// Clients that broke the protocol.
    Broken = "clients cut off for what they said",
    /// Clients without TLS where it is asked for.
    NoTls = "clients without TLS turned away",
    /// Clients with TLS where there is none.
    OnlyTls = "clients with TLS at a plain port",
    /// Clients that do not trust us, or that we do not trust.
    Handshakes = "failed TLS handshakes",
    /// Sessions that another connection took over.
    TakenOver = "sessions taken over",
    /// Messages that are none, or that nobody could be told about.
    Malformed = "malformed messages",
    /// Times that a socket was not read, because the ring was full or the client too quick.
    HeldBack = "times a client was held back",
    /// Messages that became commands.
    Commands = "messages in",
    /// Snapshots that were asked for.
    Snapshots = "snapshots of the market sent",
    /// Pieces of the past that were asked for.
    PastPieces = "pieces read from the event log",
}

/// So many may wait to hear who is connected.
const ASKS: usize = 4;

/// The counters.
#[derive(Debug)]
pub struct Traffic {
    counts: [AtomicU64; Count::ALL.len()],
    clients: [AtomicU64; 4],
    refused: [AtomicU64; Why::COUNT],
    ahead_max: AtomicU64,
    is_open: AtomicBool,
    asks: Sender<Ask>,
    asked: Receiver<Ask>,
}

/// Somebody wants to know who is connected.
#[derive(Debug)]
pub(crate) struct Ask {
    /// Room for the answer: the gateway asks for no memory.
    pub(crate) room: Vec<Talker>,
    pub(crate) tell: Sender<Vec<Talker>>,
}

/// One who is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Talker {
    /// Whose orders he enters; none for a reader of market data.
    pub session: Option<u16>,
    /// Where he is.
    pub from: SocketAddr,
    /// The number of his stream's next message.
    pub next: u64,
    /// What he is still to be sent of it, in bytes; none for one who reads the past.
    pub behind_bytes: Option<u64>,
    /// When he came …
    pub since: Nanos,
    /// … and when he was heard last.
    pub heard: Nanos,
}

/// Who is connected, as the gateway last looked: a tenth of a second ago.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    /// All connections, also of those who have not logged in.
    pub connections: u64,
    /// Sessions that somebody has.
    pub sessions: u64,
    /// Readers of market data.
    pub readers: u64,
    /// When the day began: its streams are called by it.
    pub began: Nanos,
}

impl Default for Traffic {
    fn default() -> Self {
        let zeros = || AtomicU64::new(0);
        let (asks, asked) = bounded(ASKS);
        Self {
            counts: std::array::from_fn(|_| zeros()),
            clients: std::array::from_fn(|_| zeros()),
            refused: std::array::from_fn(|_| zeros()),
            ahead_max: zeros(),
            is_open: AtomicBool::new(false),
            asks,
            asked,
        }
    }
}

impl Traffic {
    /// How often so far.
    pub fn get(&self, count: Count) -> u64 {
        self.counts[count as usize].load(Ordering::Relaxed)
    }

    /// One more.
    #[inline]
    pub(crate) fn count(&self, count: Count) {
        add_one(&self.counts[count as usize]);
    }

    /// How often the exchange refused something since the start, by its reasons.
    pub fn refused(&self) -> impl Iterator<Item = (Why, u64)> {
        Why::all().map(|why| (why, self.refused[why.place()].load(Ordering::Relaxed)))
    }

    #[inline]
    pub(crate) fn refuse(&self, why: Why) {
        add_one(&self.refused[why.place()]);
    }

    /// The most commands that waited in their ring when the gateway was about to add some.
    pub fn ahead_max(&self) -> u64 {
        self.ahead_max.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn waited(&self, ahead: u64) {
        if ahead > self.ahead_max() {
            self.ahead_max.store(ahead, Ordering::Relaxed);
        }
    }

    /// Whether clients are let in: a node that begins to lead first counts what they were told.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    pub(crate) fn open(&self) {
        self.is_open.store(true, Ordering::Relaxed);
    }

    /// Who is connected. The words are read one by one.
    pub fn clients(&self) -> Clients {
        let [connections, sessions, readers, began] =
            [0, 1, 2, 3].map(|word: usize| self.clients[word].load(Ordering::Relaxed));
        Clients { connections, sessions, readers, began: Nanos(began) }
    }

    /// Asks who is logged in. The answer comes once, when the gateway looks after its clients: at
    /// most so many of them. `None` where many others ask.
    pub fn talkers(&self, most: usize) -> Option<Receiver<Vec<Talker>>> {
        let (tell, told) = bounded(1);
        self.asks.try_send(Ask { room: Vec::with_capacity(most), tell }).ok()?;
        Some(told)
    }

    /// Who asks that, if somebody does.
    pub(crate) fn asked(&self) -> Option<Ask> {
        self.asked.try_recv().ok()
    }

    pub(crate) fn set_clients(&self, clients: Clients) {
        let Clients { connections, sessions, readers, began } = clients;
        for (word, value) in self.clients.iter().zip([connections, sessions, readers, began.0]) {
            word.store(value, Ordering::Relaxed);
        }
    }
}

/// There is one writer, so a load and a store do.
#[inline]
fn add_one(word: &AtomicU64) {
    word.store(word.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}
