//! What a former leader does before it follows: what it ordered and no other node has is taken off
//! its journal and kept aside.

use std::io;
use std::path::PathBuf;

use ringframe_journal::planted::{Bug, is_planted};
use ringframe_journal::segment::LogicId;
use ringframe_journal::storage::Storage;
use ringframe_journal::{Truncation, first_sequence, truncate};

use super::epochs::Epochs;
use crate::event_log;
use crate::logic::Logic;
use crate::node::{Stores, event_log_name};
use crate::snapshot::{self, Info, SnapshotError};
use crate::stage::Fault;
use crate::types::Sequence;

/// A snapshot that does not count any more.
const ASIDE: &str = ".cut";

/// What was taken off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Commands; their bytes are kept.
    pub commands: Option<Truncation>,
    /// Their events, likewise.
    pub events: Option<Truncation>,
    /// Where the snapshots are now that told of them.
    pub snapshots: Vec<PathBuf>,
}

/// Takes everything behind the command `agreed` off a node that does not run. Interrupted, it is to
/// be done again; a start in between finds one history, as long as before or shorter.
pub fn cut<L: Logic, S: Storage>(
    stores: &Stores<S>,
    epochs: &mut Epochs<S>,
    agreed: Sequence,
) -> Result<Cut, Fault> {
    let mut cut = Cut { snapshots: set_aside(&stores.snapshots, agreed)?, ..Cut::default() };
    let logic = |name: String| LogicId { name, version: L::VERSION };
    let extent = event_log::extent(&stores.events, agreed).map_err(Fault::EventLog)?;
    if extent.surplus {
        let events = truncate(&stores.events, &logic(event_log_name::<L>()), extent.last);
        cut.events = events.map_err(Fault::EventLog)?;
    }
    let last = agreed.0 + u64::from(is_planted(Bug::KeepSurplus));
    let commands = truncate(&stores.journal, &logic(L::NAME.into()), last);
    cut.commands = commands.map_err(Fault::Journal)?;
    epochs.cut(agreed)?;
    Ok(cut)
}

/// Whether a start finds anything to begin with in what such a cut leaves: a whole snapshot that
/// the journal goes on from, or all that there ever was. Where nothing does, a copy of the leader's
/// is to be taken in its place.
pub fn leaves_a_beginning<S: Storage>(stores: &Stores<S>, agreed: Sequence) -> Result<bool, Fault> {
    let failed = |error: SnapshotError| Fault::Snapshot(error.to_string());
    // A log without a header is empty, and goes on with its first one.
    let first = first_sequence(&stores.journal).map_err(Fault::Journal)?.unwrap_or(1);
    let is_first = |sequence| sequence == 1;
    if is_first(first)
        && first_sequence(&stores.events).map_err(Fault::EventLog)?.is_none_or(is_first)
    {
        return Ok(true);
    }
    let serves = |info: &&Info| {
        let taken = info.sequence().filter(|taken| *taken <= agreed);
        taken.is_some_and(|taken| taken.next().0 >= first)
    };
    for info in snapshot::list(&stores.snapshots).map_err(failed)?.iter().filter(serves) {
        match snapshot::check(&stores.snapshots, info) {
            Ok(()) => return Ok(true),
            // It may be as good as ever.
            Err(error @ SnapshotError::Io { .. }) => return Err(failed(error)),
            Err(_) => {}
        }
    }
    Ok(false)
}

fn set_aside<S: Storage>(storage: &S, agreed: Sequence) -> Result<Vec<PathBuf>, Fault> {
    let infos = snapshot::list(storage).map_err(|error| Fault::Snapshot(error.to_string()))?;
    let beyond = |info: &&snapshot::Info| info.sequence().is_some_and(|taken| taken > agreed);
    let mut aside = Vec::new();
    for info in infos.iter().filter(beyond) {
        let name = format!("{}{ASIDE}", info.name);
        let moved = |error: io::Error| {
            Fault::Snapshot(format!("cannot rename {}: {error}", info.path.display()))
        };
        storage.rename(&info.name, &name).map_err(moved)?;
        aside.push(storage.path(&name));
    }
    let synced = storage.sync_directory();
    synced.map_err(|error| Fault::Snapshot(format!("{}: {error}", storage.path("").display())))?;
    Ok(aside)
}
