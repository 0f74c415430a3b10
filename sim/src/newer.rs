//! Two builds of the exchange. The newer one is the older one, as clients and journals see it,
//! until its second version is activated; from that command on it takes smaller orders only.

use ringframe::codec;
use ringframe::exchange::command::Command;
use ringframe::exchange::event::Event;
use ringframe::exchange::reject::Reject;
use ringframe::exchange::{Checked, Exchange};
use ringframe::logic::{Emit, Logic, Moment};
use ringframe::stage::Fault;
use ringframe::types::Nanos;
use ringframe_journal::Error;
use serde::{Deserialize, Serialize};

/// What is installed on a machine, or runs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// The exchange as it is.
    Older,
    /// [`Newer`].
    Newer,
}

/// The version that only the newer build has.
pub(crate) const SECOND: u32 = Newer::VERSION;
/// So many shares of an order the second version takes.
pub(crate) const MOST: u32 = 60;

/// What a version of the exchange takes a command for.
pub(crate) fn as_taken(version: u32, command: &Command) -> Command {
    let mut taken = *command;
    if version == SECOND {
        match &mut taken {
            Command::Enter(enter) => enter.quantity = enter.quantity.min(MOST),
            Command::Replace(replace) => replace.quantity = replace.quantity.min(MOST),
            _ => {}
        }
    }
    taken
}

/// The newer build.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Newer {
    /// The active version; 0 before the first command.
    version: u32,
    exchange: Exchange,
}

impl Logic for Newer {
    const NAME: &'static str = Exchange::NAME;
    const VERSION: u32 = Exchange::VERSION + 1;
    const OLDEST: u32 = Exchange::VERSION;
    const SCHEMA: u32 = Exchange::SCHEMA + 1;
    const LOOKAHEAD: usize = Exchange::LOOKAHEAD;

    type Command = Command;
    type Event = Event;
    type Reject = Reject;
    type Checked = Checked;

    fn check(&self, command: &Command, at: &Moment) -> Result<Checked, Reject> {
        assert!(self.version > 0, "no version is active at command {}", at.sequence.0);
        self.exchange.check(&as_taken(self.version, command), at)
    }

    fn apply(&mut self, checked: Checked, at: &Moment, emit: &mut Emit<'_, Event>) {
        self.exchange.apply(checked, at, emit);
    }

    fn refused(&mut self, command: &Command, reject: &Reject, at: &Moment) {
        self.exchange.refused(command, reject, at);
    }

    fn activate(&mut self, version: u32) {
        self.version = version;
    }

    fn tick() -> Option<Command> {
        Exchange::tick()
    }

    fn wakes_at(&self) -> Option<Nanos> {
        self.exchange.wakes_at()
    }

    fn prefetch(&self, upcoming: &[Command]) {
        self.exchange.prefetch(upcoming);
    }

    /// An older build's state does not say which version is active.
    fn migrate(version: u32, schema: u32, bytes: &[u8]) -> Option<Self> {
        let is_older = (version, schema) == (Exchange::VERSION, Exchange::SCHEMA);
        let exchange = codec::decode(bytes).filter(|_| is_older)?;
        Some(Self { version: 0, exchange })
    }
}

/// Whether a build says that it meets what only a newer one can read, and names both versions.
pub(crate) fn is_of_newer(fault: &Fault) -> bool {
    const OLD: u32 = Exchange::VERSION;
    match fault {
        Fault::Version { wanted: SECOND, newest: OLD, .. }
        | Fault::Journal(Error::NewerLogic { found: SECOND, newest: OLD, .. })
        | Fault::EventLog(Error::NewerLogic { found: SECOND, newest: OLD, .. }) => true,
        Fault::Snapshot(why) => names_newer(why),
        _ => false,
    }
}

/// The same of a snapshot that is not used.
pub(crate) fn names_newer(why: &str) -> bool {
    why.contains(&format!(
        "written by version {SECOND} of '{}', this build is version {}",
        Exchange::NAME,
        Exchange::VERSION
    ))
}
