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
    // No other logic has days; of one that no header names, less is pruned.
    if logic.is_some_and(|name| name != Exchange::NAME) {
        return Ok(NeededFrom(oldest.events));
    }
    streams::needed_from(sessions, &stores.events, oldest.events, dry_run, given_up).map(NeededFrom)
}

#[cfg(test)]
mod tests {
    use ringframe_journal::{Journal, Options, SimulatedStorage, segment};

    use super::*;

    /// Today's events would be pruned as if no client ever asked for them.
    #[test]
    fn a_journal_without_a_whole_header_is_not_taken_for_another_logics() {
        let disk = SimulatedStorage::new;
        let stores = Stores { journal: disk(), events: disk(), snapshots: disk() };
        let options =
            |name| Options { segment_bytes: Options::SEGMENT_BYTES_MIN, ..Options::new(name, 1) };
        let needed = |stores: &Stores<_>| {
            let oldest = Applied { events: 7, ..Applied::default() };
            events(stores, &disk(), &oldest, false, &AtomicBool::new(false)).unwrap()
        };
        Journal::open(stores.journal.clone(), options(Exchange::NAME)).unwrap().close(0).unwrap();
        assert_eq!(needed(&stores), NeededFrom(0));
        stores.journal.flip(&segment::file_name(1), 30, 0x20);
        assert_eq!(needed(&stores), NeededFrom(0));
        let other = Stores { journal: disk(), ..stores };
        Journal::open(other.journal.clone(), options("other")).unwrap().close(0).unwrap();
        assert_eq!(needed(&other), NeededFrom(7));
    }
}
