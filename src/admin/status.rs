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
use super::{Life, NodeState, Shared, lock};
use crate::counters::Counters;
use crate::embed::Observer;
use crate::machine::Standing;
use crate::peers::Facts;
use crate::snapshot;
use crate::streams::Day;
use crate::traffic::{Count, Traffic};
use crate::types::Nanos;

/// A processor that is longer at something, such as a snapshot in-line, does not answer in time.
const PATIENCE: Duration = Duration::from_secs(1);
/// A directory grows in steps: in less time one says nothing.
const GROWTH_SECONDS_MIN: u64 = 60;
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
    /// recovering, following, waiting, serving, draining.
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
    /// What the exchange refused since the start, by its reasons.
    pub(super) refused: Vec<Refused>,
    /// Calls to this server that were refused.
    pub(super) calls_refused: u64,
    /// Digests in the journal that were compared with own ones since the start, and agreed.
    pub(super) digests_compared: Option<u64>,
    /// Of sampled orders; null where `spans.to` is off.
    pub(super) spans: Option<Spans>,
    pub(super) page_faults: PageFaults,
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
    /// The most commands that waited when clients' came.
    pub(super) commands_max: u64,
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
    /// All these ages together.
    pub(super) ages_nanos: u64,
    /// The same of how long its polls took; together `busy_nanos`.
    pub(super) took: Vec<(u64, u64)>,
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
pub(super) struct Refused {
    pub(super) why: String,
    pub(super) count: u64,
}

/// What became of spans: of so many orders.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Spans {
    pub(super) sent: u64,
    /// The collector did not take them.
    pub(super) dropped: u64,
}

/// Of the process since its start.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct PageFaults {
    /// Without the disk.
    pub(super) minor: u64,
    /// That waited for it.
    pub(super) major: u64,
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
    /// When nothing is free any more, if the directory goes on growing as since the start: none in
    /// its first minute, and where it does not grow.
    pub(super) seconds_to_full: Option<u64>,
}

/// Collects it; an error where the data directory cannot be looked at.
pub(super) async fn collect(shared: &Shared) -> Result<Status, String> {
    let seen = lock(&shared.seen).clone();
    let spans = seen.as_ref().and_then(|it| it.spans.as_deref());
    let spans = spans.map(|it| Spans { sent: it.sent(), dropped: it.dropped() });
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
    let life = shared.life();
    let state = NodeState::of(life, others.as_ref(), traffic.as_deref()).name();
    let recovery = match life {
        Life::Recovering { applied, last } => Some(Recovery { applied: applied.0, last: last.0 }),
        Life::Serving | Life::Draining => None,
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
        rings: observer.as_ref().map(|it| {
            rings(it, shared.options.ring_slots, traffic.as_ref().map_or(0, |it| it.ahead_max()))
        }),
        stages: observer.iter().flat_map(|it| stages(&it.counters, uptime_nanos)).collect(),
        clients: traffic.as_deref().map(clients),
        traffic: traffic.iter().flat_map(|it| counted(it)).collect(),
        refused: traffic.iter().flat_map(|it| refused(it)).collect(),
        calls_refused: shared.options.access.refused(),
        digests_compared: standing.map(|standing| standing.compared),
        spans,
        page_faults: page_faults().unwrap_or_default(),
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

fn rings(observer: &Observer, slots: usize, commands_max: u64) -> Rings {
    let waiting = observer.positions.waiting();
    let (commands, events) = (waiting.commands, waiting.events);
    Rings { slots: slots as u64, commands, events, commands_max: commands_max.max(commands) }
}

fn stages(
    counters: &[std::sync::Arc<Counters>],
    uptime_nanos: u64,
) -> impl Iterator<Item = StageFacts> {
    counters.iter().map(move |counters| {
        let (counts, ages) = (counters.read(), counters.ages());
        StageFacts {
            name: counters.stage(),
            polls: counts.polls,
            worked: counts.worked,
            items: counts.items,
            largest: counts.largest,
            busy_nanos: counts.busy_nanos,
            busy_share: counts.busy_nanos as f64 / uptime_nanos.max(1) as f64,
            ages: ages.counts,
            ages_nanos: ages.nanos,
            took: counters.took().counts,
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

fn refused(traffic: &Traffic) -> impl Iterator<Item = Refused> {
    traffic.refused().map(|(why, count)| Refused { why: snake_case(&format!("{why:?}")), count })
}

/// `DuplicateToken` is `duplicate_token`.
fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// As the kernel counts them; none where it does not tell.
fn page_faults() -> Option<PageFaults> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name is in parentheses and may have spaces; what follows has none.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let minor = fields.nth(7)?.parse().ok()?;
    let major = fields.nth(1)?.parse().ok()?;
    Some(PageFaults { minor, major })
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
    let [journal_bytes, events_bytes, snapshots_bytes] =
        [bytes("journal")?, bytes("events")?, bytes("snapshots")?];
    let held = journal_bytes + events_bytes + snapshots_bytes;
    let free_bytes = space.f_bavail * space.f_frsize;
    let now = shared.now();
    let (since, at_first) = *lock(&shared.held_at_first).get_or_insert((now, held));
    let seconds = (now.0 - since.0) / Nanos::SECOND;
    let grown = held.saturating_sub(at_first);
    let is_known = seconds >= GROWTH_SECONDS_MIN && grown > 0;
    let to_full = || (u128::from(free_bytes) * u128::from(seconds) / u128::from(grown)) as u64;
    Ok(Disk {
        archive: shared.options.archive.clone(),
        journal_bytes,
        events_bytes,
        snapshots_bytes,
        seconds_to_full: is_known.then(to_full),
        free_bytes,
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
