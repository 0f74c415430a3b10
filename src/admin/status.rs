//! Everything that is known of a running node, collected from what it tells anyway. Only the digest
//! is asked for: the processor answers at the end of a poll.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use ringframe_journal::MappedStorage;
use rustix::fs::statvfs;
use serde::Serialize;
use tokio::time::timeout;

use super::operations::received;
use super::{Life, Shared, lock};
use crate::counters::Counters;
use crate::embed::Observer;
use crate::machine::Standing;
use crate::peers::{Facts, Role};
use crate::snapshot;
use crate::streams::Day;
use crate::traffic::{Count, Traffic};
use crate::types::Nanos;

/// A processor that is longer at something, such as a snapshot in-line, does not answer in time.
const PATIENCE: Duration = Duration::from_secs(1);
/// So often it looks whether the answer is there.
pub(super) const LOOK: Duration = Duration::from_millis(1);

/// What `/status` says.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Status {
    /// Of the program.
    pub(super) version: &'static str,
    pub(super) pid: u32,
    /// When, since 1970: with `pid` it tells one start from another.
    pub(super) started: u64,
    pub(super) uptime_nanos: u64,
    /// recovering, following, serving, draining.
    pub(super) state: &'static str,
    /// How far replay is, while it recovers.
    pub(super) recovery: Option<Recovery>,
    /// What a reply means.
    pub(super) release: String,
    /// What other nodes are to it.
    pub(super) replication: Option<Facts>,
    pub(super) logic: LogicFacts,
    /// The last applied command; it and what follows is null while the processor does not say.
    pub(super) sequence: Option<u64>,
    /// What `replay --digest` says there.
    pub(super) digest: Option<String>,
    pub(super) events: Option<u64>,
    /// The last command's.
    pub(super) time: Option<u64>,
    pub(super) epoch: Option<u32>,
    pub(super) positions: Option<Positions>,
    pub(super) event_log: Option<EventLog>,
    pub(super) rings: Option<Rings>,
    pub(super) stages: Vec<StageFacts>,
    pub(super) clients: Option<Clients>,
    pub(super) traffic: Vec<Counted>,
    pub(super) snapshots: Snapshots,
    pub(super) disk: Disk,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Recovery {
    pub(super) applied: u64,
    pub(super) last: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct LogicFacts {
    pub(super) name: &'static str,
    /// The version that the journal asked for.
    pub(super) active: Option<u32>,
    /// The newest that this build has.
    pub(super) newest: u32,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Positions {
    pub(super) published: u64,
    pub(super) journaled: u64,
    pub(super) synced: u64,
    pub(super) applied: u64,
    pub(super) released: u64,
    pub(super) snapshotted: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct EventLog {
    pub(super) emitted: u64,
    pub(super) handed_on: u64,
    pub(super) journaled: u64,
    pub(super) synced: u64,
    /// What clients were told.
    pub(super) left: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Rings {
    pub(super) slots: u64,
    /// Commands that wait …
    pub(super) commands: u64,
    /// … and events.
    pub(super) events: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct StageFacts {
    pub(super) name: &'static str,
    pub(super) polls: u64,
    pub(super) worked: u64,
    pub(super) items: u64,
    pub(super) largest: u64,
    pub(super) busy_nanos: u64,
    /// Of the time since the start.
    pub(super) busy_share: f64,
    /// How old the oldest command of a batch was when the stage was done with it: an age in
    /// nanoseconds, and in how many batches it was no older, and older than the one before.
    pub(super) ages: Vec<(u64, u64)>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Clients {
    pub(super) connections: u64,
    pub(super) sessions: u64,
    /// Of market data.
    pub(super) readers: u64,
    /// What the day's streams are called.
    pub(super) day: String,
    pub(super) day_began: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Counted {
    pub(super) what: &'static str,
    pub(super) count: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Snapshots {
    /// Whether anybody takes some.
    pub(super) taken: bool,
    /// Of the newest that is whole; 0 without one.
    pub(super) sequence: u64,
    pub(super) bytes: u64,
    pub(super) age_seconds: Option<u64>,
    /// Since the start.
    pub(super) failures: u64,
    pub(super) last_failure: Option<String>,
    pub(super) commands_since: u64,
    /// How long a start would replay.
    pub(super) recovery_nanos: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Disk {
    /// Where sealed segments are copied to; none where the setting is off.
    pub(super) archive: Option<String>,
    pub(super) journal_bytes: u64,
    pub(super) events_bytes: u64,
    pub(super) snapshots_bytes: u64,
    pub(super) free_bytes: u64,
    pub(super) total_bytes: u64,
}

/// Collects it; an error where the data directory cannot be looked at.
pub(super) async fn collect(shared: &Shared) -> Result<Status, String> {
    let seen = lock(&shared.seen).clone();
    let (observer, traffic, others) =
        seen.map_or((None, None, None), |it| (Some(it.observer), it.traffic, it.others));
    let others = others.map(|others| others.facts());
    let standing = match &observer {
        Some(observer) => standing(observer).await,
        None => None,
    };
    let uptime_nanos = shared.now().0 - shared.started.0;
    let applied = standing.map(|standing| standing.applied);
    let snapshots = snapshots(shared, observer.as_ref())?;
    let (state, recovery) = match shared.life() {
        Life::Recovering { applied, last } => {
            ("recovering", Some(Recovery { applied: applied.0, last: last.0 }))
        }
        Life::Serving if others.as_ref().is_some_and(|it| it.role == Role::Follower) => {
            ("following", None)
        }
        Life::Serving => ("serving", None),
        Life::Draining => ("draining", None),
    };
    let (name, newest) = shared.options.logic;
    Ok(Status {
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        started: shared.started.0,
        uptime_nanos,
        state,
        recovery,
        release: others
            .as_ref()
            .map_or(shared.options.release, |others| others.release)
            .to_string(),
        replication: others,
        logic: LogicFacts { name, active: applied.map(|it| it.version), newest },
        sequence: applied.map(|it| it.sequence.0),
        digest: standing.map(|standing| standing.digest.to_string()),
        events: applied.map(|it| it.events),
        time: applied.map(|it| it.time.0),
        epoch: applied.map(|it| it.epoch.0),
        positions: observer.as_ref().map(|it| positions(it, snapshots.sequence)),
        event_log: observer.as_ref().map(event_log),
        rings: observer.as_ref().map(|it| rings(it, shared.options.ring_slots)),
        stages: observer.iter().flat_map(|it| stages(&it.counters, uptime_nanos)).collect(),
        clients: traffic.as_deref().map(clients),
        traffic: traffic.iter().flat_map(|it| counted(it)).collect(),
        snapshots,
        disk: disk(shared)?,
    })
}

async fn standing(observer: &Observer) -> Option<Standing> {
    let asked = observer.standing()?;
    timeout(PATIENCE, received(&asked, LOOK)).await.ok()?
}

fn positions(observer: &Observer, snapshotted: u64) -> Positions {
    // From the last to the first, so that none is ahead of what must be ahead of it.
    let progress = observer.positions.progress();
    let synced = observer.positions.synced().0;
    Positions {
        snapshotted,
        released: progress.released.0,
        applied: progress.applied.0,
        synced,
        journaled: observer.positions.journaled().0,
        published: observer.positions.published().0,
    }
}

fn event_log(observer: &Observer) -> EventLog {
    let left = observer.positions.left();
    let synced = observer.positions.events.synced();
    let journaled = observer.positions.events.journaled();
    let progress = observer.positions.progress();
    let (handed_on, emitted) = (progress.handed_on, progress.emitted);
    EventLog { emitted, handed_on, journaled, synced, left }
}

fn rings(observer: &Observer, slots: usize) -> Rings {
    let waiting = observer.positions.waiting();
    Rings { slots: slots as u64, commands: waiting.commands, events: waiting.events }
}

fn stages(
    counters: &[std::sync::Arc<Counters>],
    uptime_nanos: u64,
) -> impl Iterator<Item = StageFacts> {
    counters.iter().map(move |counters| {
        let counts = counters.read();
        StageFacts {
            name: counters.stage(),
            polls: counts.polls,
            worked: counts.worked,
            items: counts.items,
            largest: counts.largest,
            busy_nanos: counts.busy_nanos,
            busy_share: counts.busy_nanos as f64 / uptime_nanos.max(1) as f64,
            ages: counters.ages(),
        }
    })
}

fn clients(traffic: &Traffic) -> Clients {
    let clients = traffic.clients();
    // A day is called by its time.
    let day = Day { event: 0, time: clients.began };
    Clients {
        connections: clients.connections,
        sessions: clients.sessions,
        readers: clients.readers,
        day: day.name().to_string(),
        day_began: clients.began.0,
    }
}

fn counted(traffic: &Traffic) -> impl Iterator<Item = Counted> {
    Count::ALL.iter().map(|it| Counted { what: it.name(), count: traffic.get(*it) })
}

fn snapshots(shared: &Shared, observer: Option<&Observer>) -> Result<Snapshots, String> {
    let store = MappedStorage::new(shared.options.data.join("snapshots"));
    let infos = snapshot::list(&store).map_err(|error| error.to_string())?;
    let newest = infos.iter().find(|info| info.sequence().is_some());
    let age = |path: &Path| {
        let written = std::fs::metadata(path).ok()?.mtime();
        Some((shared.now().0 / Nanos::SECOND).saturating_sub(written.unsigned_abs()))
    };
    let handle = observer.and_then(|observer| observer.snapshots.as_ref());
    let known = handle.map(crate::snapshot::schedule::Handle::status).unwrap_or_default();
    Ok(Snapshots {
        taken: handle.is_some(),
        sequence: newest.and_then(snapshot::Info::sequence).unwrap_or_default().0,
        bytes: newest.map_or(0, |info| info.bytes),
        age_seconds: newest.and_then(|info| age(&info.path)),
        failures: known.failures,
        last_failure: known.failed.map(|failed| failed.error.to_string()),
        commands_since: known.commands_since,
        recovery_nanos: known.recovery_nanos,
    })
}

fn disk(shared: &Shared) -> Result<Disk, String> {
    let data = &shared.options.data;
    let failed = |error: std::io::Error| format!("cannot look at {}: {error}", data.display());
    let space = statvfs(data).map_err(|error| failed(error.into()))?;
    let bytes = |part: &str| bytes_in(&data.join(part)).map_err(failed);
    Ok(Disk {
        archive: shared.options.archive.clone(),
        journal_bytes: bytes("journal")?,
        events_bytes: bytes("events")?,
        snapshots_bytes: bytes("snapshots")?,
        free_bytes: space.f_bavail * space.f_frsize,
        total_bytes: space.f_blocks * space.f_frsize,
    })
}

/// The sizes of a directory's files; 0 where there is none yet.
fn bytes_in(directory: &Path) -> std::io::Result<u64> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        other => other?,
    };
    let mut sum = 0;
    for entry in entries {
        // One that was pruned meanwhile takes nothing any more.
        sum += entry?.metadata().map_or(0, |file| file.len());
    }
    Ok(sum)
}
