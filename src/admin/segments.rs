//! What lies in the data directory: segments of the journal and of the event log, by their header
//! blocks, and snapshots, by their headers. No frame is read.

use std::path::Path;

use hyper::StatusCode;
use ringframe_journal::segment::{Stored, file_name, file_number};
use ringframe_journal::storage::Storage;
use ringframe_journal::{Error, MappedStorage, SegmentInfo, inspect};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::Shared;
use super::query::Query;
use super::routes::Answer;
use crate::event_log::archived_at;
use crate::snapshot;

/// Segments of each kind, where nobody says how many, …
const SEGMENTS: u64 = 50;
/// … and at most: each is a file that is opened.
const SEGMENTS_MAX: u64 = 500;

/// The newest of each kind, the newest first.
pub(super) async fn told(shared: &Shared, query: Option<&str>) -> Answer {
    let most = Query::read(query, &["limit"]);
    let most = match most.and_then(|query| query.number("limit", SEGMENTS, SEGMENTS_MAX)) {
        Ok(most) => most as usize,
        Err(why) => return Answer::error(StatusCode::BAD_REQUEST, &why),
    };
    let (data, archive) = (shared.options.data.clone(), shared.options.archive.clone());
    let told = spawn_blocking(move || describe(&data, archive.as_deref(), most)).await;
    match told {
        Ok(Ok(said)) => Answer::new(StatusCode::OK, &said),
        Ok(Err(why)) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &why),
        Err(_) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "the look was given up"),
    }
}

fn describe(data: &Path, archive: Option<&str>, most: usize) -> Result<Value, String> {
    // Whether one at a URL has a segment would be a question to somebody else's machine.
    let home = archive.filter(|place| !place.contains("://"));
    let of_events = home.map(archived_at);
    let journal = segments(&MappedStorage::new(data.join("journal")), home, most);
    let events = segments(&MappedStorage::new(data.join("events")), of_events.as_deref(), most);
    Ok(json!({
        "archive": archive,
        "journal": journal.map_err(|error| error.to_string())?,
        "events": events.map_err(|error| error.to_string())?,
        "snapshots": snapshots(data, most)?,
    }))
}

fn segments(storage: &MappedStorage, home: Option<&str>, most: usize) -> Result<Value, Error> {
    let names = match storage.list() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        other => other.map_err(|error| Error::Io {
            operation: "list",
            path: storage.path(""),
            source: std::sync::Arc::new(error),
        })?,
    };
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| file_number(name)).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let (count, mut after, mut described) = (numbers.len(), None, Vec::new());
    for number in numbers.into_iter().take(most) {
        let info = match inspect(storage, number) {
            // Pruned between the listing and the look.
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                continue;
            }
            other => other?,
        };
        described.push(segment(&info, after, home));
        after = info.header.good().map(|header| header.first_sequence).or(after);
    }
    Ok(json!({ "count": count, "newest": described }))
}

/// `after` is where the next segment begins, if it has begun.
fn segment(info: &SegmentInfo, after: Option<u64>, home: Option<&str>) -> Value {
    let (header, seal) = (info.header.good(), info.seal.good());
    let state = match (&info.header, &info.seal) {
        (Stored::Bad(_), _) | (_, Stored::Bad(_)) => "damaged",
        (Stored::Blank, _) => "prepared",
        (Stored::Good(_), Stored::Good(_)) => "sealed",
        (Stored::Good(_), Stored::Blank) => "open",
    };
    let digest = seal.map(|seal| blake3::Hash::from_bytes(seal.digest).to_hex().to_string());
    // As the archive names it: the manifest is written last.
    let manifest = home
        .map(|home| Path::new(home).join(file_name(info.number)).with_extension("segment.json"));
    json!({
        "number": info.number,
        "state": state,
        "first": header.map(|header| header.first_sequence),
        "last": seal.map(|seal| seal.last_sequence).or(after.map(|first| first - 1)),
        "bytes": info.file_bytes,
        "used_bytes": seal.map(|seal| seal.end),
        "epoch": header.map(|header| header.epoch),
        "last_time": seal.map(|seal| seal.last_timestamp),
        "digest": digest,
        "archived": manifest.map(|manifest| manifest.exists()),
    })
}

fn snapshots(data: &Path, most: usize) -> Result<Value, String> {
    let store = MappedStorage::new(data.join("snapshots"));
    let infos = snapshot::list(&store).map_err(|error| error.to_string())?;
    let count = infos.len();
    let described = infos.iter().take(most).map(|info| match &info.header {
        Ok(header) => json!({
            "name": info.name,
            "bytes": info.bytes,
            "sequence": header.applied.sequence.0,
            "events": header.applied.events,
            "time": header.applied.time.0,
            "epoch": header.applied.epoch.0,
            "error": null,
        }),
        Err(why) => json!({ "name": info.name, "bytes": info.bytes, "error": why }),
    });
    Ok(json!({ "count": count, "newest": described.collect::<Vec<_>>() }))
}
