//! Copies sealed segments to the archive, and deletes those that nobody needs any more. It takes
//! minutes where there is much, so it has a thread of its own, at a low priority. Whatever stops
//! it, the process's end too, leaves journal and archive whole, and the next call goes on. It is
//! given up when the node ends: one that is to follow another needs its files for itself.
#![expect(clippy::disallowed_methods, reason = "what takes minutes has a thread of its own")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::bounded;
use hyper::StatusCode;
use ringframe_journal::{
    ArchiveHome, Error, Fate, MappedStorage, NeededFrom, Refusal, archive, prune,
};
use serde_json::{Value, json};

use super::operations::{not_serving, received, stopped};
use super::routes::Answer;
use super::{Life, Shared, lock};
use crate::event_log::archived_at;
use crate::node::Stores;
use crate::retention::{self, NO_SNAPSHOT};
use crate::snapshot;
use crate::types::Applied;

/// So often it looks whether it is done.
const LOOK: Duration = Duration::from_millis(20);
/// A tenth of a core where all of them are full: enough to come to an end before the next night.
const NICE: i32 = 10;

type Wrong = (StatusCode, String);
type Outcome = Result<Value, Wrong>;

/// The threads that are at work, and whether they are to end.
#[derive(Default)]
pub(super) struct Archiving {
    given_up: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Archiving {
    /// They end soon.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Waits until they have.
    pub(super) fn wait(&self) {
        for thread in lock(&self.threads).drain(..) {
            // A panic has been printed.
            let _ = thread.join();
        }
    }

    fn begin(&self, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let mut threads = lock(&self.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.push(std::thread::Builder::new().name("archive".into()).spawn(work)?);
        Ok(())
    }
}

pub(super) async fn carry_out(shared: &Shared, prune: bool) -> Answer {
    if let Life::Recovering { .. } = shared.life() {
        return not_serving(shared);
    }
    let Some(place) = shared.options.archive.clone() else {
        let why = "the setting archive is off: name a directory or a URL, and start the node again";
        return Answer::error(StatusCode::CONFLICT, why);
    };
    let data = shared.options.data.clone();
    let given_up = Arc::clone(&shared.archiving.given_up);
    let (tell, told) = bounded(1);
    let begun = shared.archiving.begin(move || {
        // For the kernel a process without a number is the calling thread; where the weight cannot
        // be had the work is the same.
        let _ = rustix::process::setpriority_process(None, NICE);
        let _ = tell.try_send(keep(&data, &place, prune, &given_up));
    });
    if let Err(error) = begun {
        let why = format!("no thread to archive with: {error}");
        return Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &why);
    }
    match received(&told, LOOK).await {
        Some(Ok(said)) => Answer::new(StatusCode::OK, &said),
        Some(Err((status, why))) if !shared.archiving.is_given_up() => Answer::error(status, &why),
        _ => stopped(),
    }
}

/// What was copied, and what went: of the journal, and then of the event log.
fn keep(data: &Path, place: &str, prunes: bool, given_up: &Arc<AtomicBool>) -> Outcome {
    let stores = Stores::mapped(data);
    let (home, mut said) = copy(&stores.journal, place, given_up)?;
    let oldest = if prunes { Some(oldest_good(&stores.snapshots)?) } else { None };
    if let Some(oldest) = oldest {
        remove(&stores.journal, &home, NeededFrom(oldest.sequence.0), &mut said)?;
    }
    let (home, mut said_of_events) =
        copy(&stores.events, &archived_at(place), given_up).map_err(|(code, why)| {
            (code, format!("the journal is archived; of the event log: {why}"))
        })?;
    if let Some(oldest) = oldest {
        let sessions = MappedStorage::new(data.join("sessions"));
        let needed = retention::events(&stores, &sessions, &oldest, false, given_up);
        remove(&stores.events, &home, needed.map_err(broken)?, &mut said_of_events)?;
    }
    said["events"] = said_of_events;
    Ok(said)
}

fn copy(
    segments: &MappedStorage,
    place: &str,
    given_up: &Arc<AtomicBool>,
) -> Result<(ArchiveHome, Value), Wrong> {
    let home = ArchiveHome::create(place).map_err(failed)?.unless(Arc::clone(given_up));
    let archived = archive(segments, &home, &mut |_, _| ()).map_err(failed)?;
    let copied = archived.iter().filter(|segment| segment.copied);
    let bytes: u64 = copied.clone().map(|segment| segment.manifest.compressed_bytes).sum();
    let said = json!({
        "place": place,
        "archived": copied.count(),
        "archived_bytes": bytes,
        "segments": archived.len(),
    });
    Ok((home, said))
}

fn remove(
    segments: &MappedStorage,
    home: &ArchiveHome,
    below: NeededFrom,
    said: &mut Value,
) -> Result<(), Wrong> {
    let pruned = prune(segments, home, below, false, &mut |_, _| ()).map_err(failed)?;
    let gone = pruned.iter().filter(|segment| segment.fate == Fate::Deleted);
    let bytes: u64 = gone.clone().map(|segment| segment.bytes).sum();
    let stay = pruned.iter().filter_map(|segment| match &segment.fate {
        // One that was sealed just now is archived the next time.
        Fate::Refused(Refusal::BadArchive(why)) => {
            Some(format!("segment {}: {why}", segment.number))
        }
        _ => None,
    });
    said["below"] = below.0.into();
    said["pruned"] = gone.count().into();
    said["pruned_bytes"] = bytes.into();
    said["kept_back"] = stay.collect::<Vec<_>>().into();
    Ok(())
}

fn failed(error: Error) -> Wrong {
    match error {
        Error::Maintained { .. } => (StatusCode::CONFLICT, error.to_string()),
        error => broken(error),
    }
}

fn broken(why: impl std::fmt::Display) -> Wrong {
    (StatusCode::INTERNAL_SERVER_ERROR, why.to_string())
}

fn oldest_good(snapshots: &MappedStorage) -> Result<Applied, Wrong> {
    let oldest = snapshot::oldest_good(snapshots).map_err(broken)?;
    oldest.ok_or_else(|| (StatusCode::CONFLICT, format!("archived, but {NO_SNAPSHOT}")))
}
