//! What of a node's files is needed still, and may not be pruned: of the journal, what comes from
//! its oldest whole snapshot on, so that a start which cannot use the newest one finds all that it
//! needs for an older one; of the event log, what stands in here.

use std::sync::atomic::AtomicBool;

use ringframe_journal::storage::Storage;
use ringframe_journal::{NeededFrom, survey};

use crate::exchange::Exchange;
use crate::logic::Logic;
use crate::node::Stores;
use crate::stage::Fault;
use crate::streams;
use crate::types::Applied;

/// Why nothing may go where there is no snapshot.
pub const NO_SNAPSHOT: &str =
    "nothing is pruned without a snapshot: `ringframe snapshot` takes one";

/// Which events are needed where the oldest whole snapshot tells of `oldest`. Clients of the
/// exchange ask for all that they were told today: what `sessions` keeps of the day's beginning is
/// written there, unless it is to change nothing. Once it is given up it ends with an error.
pub fn events<S: Storage>(
    stores: &Stores<S>,
    sessions: &S,
    oldest: &Applied,
    dry_run: bool,
    given_up: &AtomicBool,
) -> Result<NeededFrom, Fault> {
    let segments = survey(&stores.journal).map_err(Fault::Journal)?;
    let logic = segments.iter().find_map(|info| Some(info.header.good()?.logic.name.as_str()));
    // No other logic has days.
    if logic != Some(Exchange::NAME) {
        return Ok(NeededFrom(oldest.events));
    }
    streams::needed_from(sessions, &stores.events, oldest.events, dry_run, given_up).map(NeededFrom)
}
