//! Copies sealed segments to the archive, and deletes those that nobody needs any more. It takes
//! minutes where there is much, so it has a thread of its own, of the lowest weight. Whatever stops
//! it, the process's end too, leaves journal and archive whole, and the next call goes on.
#![expect(clippy::disallowed_methods, reason = "what takes minutes has a thread of its own")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use hyper::StatusCode;
use ringframe_journal::{
    ArchiveHome, Error, Fate, MappedStorage, Refusal, Snapshotted, archive, prune,
};
use serde_json::{Value, json};

use super::Shared;
use super::operations::{received, stopped};
use super::routes::Answer;
use crate::snapshot;

/// So often it looks whether it is done.
const LOOK: Duration = Duration::from_millis(20);
/// Everything else goes first.
const NICE: i32 = 19;

type Outcome = Result<Value, (StatusCode, String)>;

pub(super) async fn carry_out(shared: &Shared, prune: bool) -> Answer {
    let Some(place) = shared.options.archive.clone() else {
        let why = "the setting archive is off: name a directory or a URL, and start the node again";
        return Answer::error(StatusCode::CONFLICT, why);
    };
    let begun = begin(shared.options.data.clone(), place, prune);
    let asked = match begun {
        Ok(asked) => asked,
        Err(error) => {
            let why = format!("no thread to archive with: {error}");
            return Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &why);
        }
    };
    match received(&asked, LOOK).await {
        Some(Ok(said)) => Answer::new(StatusCode::OK, &said),
        Some(Err((status, why))) => Answer::error(status, &why),
        None => stopped(),
    }
}

fn begin(data: PathBuf, place: String, prunes: bool) -> std::io::Result<Receiver<Outcome>> {
    let (tell, told) = bounded(1);
    let work = move || {
        // For the kernel a process without a number is the calling thread; where the weight cannot
        // be had the work is the same.
        let _ = rustix::process::setpriority_process(None, NICE);
        let _ = tell.try_send(keep(&data, &place, prunes));
    };
    std::thread::Builder::new().name("archive".into()).spawn(work)?;
    Ok(told)
}

/// What was copied, and what went.
fn keep(data: &Path, place: &str, prunes: bool) -> Outcome {
    let failed = |error: Error| match error {
        Error::Maintained { .. } => (StatusCode::CONFLICT, error.to_string()),
        error => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    let journal = MappedStorage::new(data.join("journal"));
    let home = ArchiveHome::create(place).map_err(failed)?;
    let archived = archive(&journal, &home, &mut |_, _| ()).map_err(failed)?;
    let copied = archived.iter().filter(|segment| segment.copied);
    let bytes: u64 = copied.clone().map(|segment| segment.manifest.compressed_bytes).sum();
    let mut said = json!({
        "place": place,
        "archived": copied.count(),
        "archived_bytes": bytes,
        "segments": archived.len(),
    });
    if prunes {
        let below = oldest_good(data)?;
        let pruned = prune(&journal, &home, Snapshotted(below), false, &mut |_, _| ());
        let pruned = pruned.map_err(failed)?;
        let gone = pruned.iter().filter(|segment| segment.fate == Fate::Deleted);
        let bytes: u64 = gone.clone().map(|segment| segment.bytes).sum();
        let stay = pruned.iter().filter_map(|segment| match &segment.fate {
            // One that was sealed just now is archived the next time.
            Fate::Refused(Refusal::BadArchive(why)) => {
                Some(format!("segment {}: {why}", segment.number))
            }
            _ => None,
        });
        said["below"] = below.into();
        said["pruned"] = gone.count().into();
        said["pruned_bytes"] = bytes.into();
        said["kept_back"] = stay.collect::<Vec<_>>().into();
    }
    Ok(said)
}

/// The oldest snapshot that is whole: a start that cannot use the newest one finds all that it
/// needs for an older one.
fn oldest_good(data: &Path) -> Result<u64, (StatusCode, String)> {
    let store = MappedStorage::new(data.join("snapshots"));
    let infos = snapshot::list(&store)
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let good = infos.iter().filter(|info| snapshot::check(&store, info).is_ok());
    let oldest = good.filter_map(snapshot::Info::sequence).min();
    let why = "archived, but nothing is pruned without a snapshot: `ringframe snapshot` takes one";
    oldest.map(|sequence| sequence.0).ok_or_else(|| (StatusCode::CONFLICT, why.into()))
}
