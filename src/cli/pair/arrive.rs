//! A standby that cannot go on from where its journal ends begins with a copy of what its leader
//! has. The copy grows aside; once it is whole and durable it takes the place of what is there, in
//! steps that the next start goes on with.
//!
//! ```text
//! data/arriving/{journal,events,snapshots,sessions} ─► arriving/whole ─► each: data/X aside, then
//! arriving/X to data/X ─► arriving/ removed
//! ```

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringframe::clock::Clock;
use ringframe::exchange::Exchange;
use ringframe::logic::Logic;
use ringframe::net::Guarded;
use ringframe::node::Stores;
use ringframe::recovery::last_sequence;
use ringframe::replication::{Arrival, Epochs, Holdings};
use ringframe::types::Sequence;
use ringframe_journal::segment::file_number;
use ringframe_journal::storage::{Storage, replace_whole};
use ringframe_journal::{DamagedRange, Error, MappedStorage, Source, maintain, repair};

use super::patiently;
use crate::cli::Failure;

/// The directories of a node that are copied.
const PARTS: [&str; 4] = ["journal", "events", "snapshots", "sessions"];
const ARRIVING: &str = "arriving";
/// Says that the copy is whole, and where what it replaces goes.
const WHOLE: &str = "whole";
/// What it says where what it replaces is empty.
const NOTHING: &str = "-";
/// A leader that is there takes a connection in this time.
const PATIENCE: Duration = Duration::from_secs(1);
/// So long it waits for bytes before it looks what else there is.
const LOOK: Duration = Duration::from_millis(50);
/// So often it says how much has come.
const TELL_BYTES: u64 = 1 << 30;

/// What of a data directory is copied.
pub(in crate::cli) fn holdings(data: &Path) -> Holdings<MappedStorage> {
    let sessions = MappedStorage::new(data.join("sessions"));
    Holdings { stores: Stores::mapped(data), sessions }
}

/// Takes a copy of what the leader has, in the place of what is here; says where that is kept now,
/// if it was anything.
pub(in crate::cli) fn take(
    (net, from): (&Guarded, SocketAddr),
    epochs: &Epochs<MappedStorage>,
    data: &Path,
    clock: Clock,
) -> Result<Option<PathBuf>, Failure> {
    let aside = data.join(ARRIVING);
    remove(&aside)?;
    say!("replication: takes a copy of what {from} has, into {}", aside.display());
    let copied = copy((net, from), None, epochs, &aside, clock);
    // What is left of one that broke off takes room that this node needs.
    let bytes = copied.or_else(|failure| remove(&aside).and(Err(failure)))?;
    let had = last_sequence(&MappedStorage::new(data.join("journal")))?;
    let place = had.map_or(NOTHING.to_owned(), |had| free_name(data, had));
    let written = replace_whole(&MappedStorage::new(aside.clone()), WHOLE, place.as_bytes());
    written.map_err(|error| Failure::Fault(format!("{}: {error}", aside.display())))?;
    settle(data)?;
    say!("replication: the copy is whole, {bytes} bytes");
    let kept = (place != NOTHING).then(|| data.join(place));
    if let Some(kept) = &kept {
        say!(
            "replication: what was here before is kept in {}: remove it once it is of no use",
            kept.display()
        );
    }
    Ok(kept)
}

fn copy(
    (net, from): (&Guarded, SocketAddr),
    segment: Option<u64>,
    epochs: &Epochs<MappedStorage>,
    into: &Path,
    clock: Clock,
) -> Result<u64, Failure> {
    let failed =
        |why: &dyn std::fmt::Display| Failure::Fault(format!("no copy of what {from} has: {why}"));
    let socket = net.dial(from, PATIENCE, LOOK).map_err(|error| failed(&error))?;
    let (what, into) = ((Exchange::NAME, segment), holdings(into));
    let mut arrival = Arrival::new(socket, what, epochs, into, clock.now())?;
    let mut told = 0;
    while !arrival.poll(clock.now()).map_err(|parted| failed(&parted))? {
        if arrival.bytes() - told >= TELL_BYTES {
            told = arrival.bytes();
            say!("replication: {told} bytes of the copy are there");
        }
    }
    Ok(arrival.bytes())
}

/// Where nothing is yet: a directory that was brought back may have been replaced once.
fn free_name(data: &Path, last: Sequence) -> String {
    let names = (0..).map(|times: u32| match times {
        0 => format!("replaced-{}", last.0),
        _ => format!("replaced-{}-{times}", last.0),
    });
    names.into_iter().find(|name| !data.join(name).exists()).expect("one is free")
}

/// Takes what is damaged of the journal from the other node, segment by segment, and nothing else:
/// the chain of digests says that it is the same.
pub(in crate::cli) fn mend(
    (net, from): (&Guarded, SocketAddr),
    damaged: &DamagedRange,
    epochs: &Epochs<MappedStorage>,
    data: &Path,
    clock: Clock,
) -> Result<(), Failure> {
    let aside = data.join(ARRIVING);
    let journal = MappedStorage::new(data.join("journal"));
    let mut damaged = damaged.clone();
    loop {
        let name = damaged.path.file_name().and_then(|name| name.to_str());
        let Some(number) = name.and_then(file_number) else {
            return Err(Error::Damaged(damaged).into());
        };
        tracing::warn!("the journal is damaged, {damaged}: asks {from} for segment {number}");
        remove(&aside)?;
        copy((net, from), Some(number), epochs, &aside, clock)?;
        let donor = Source::Journal(MappedStorage::new(aside.join("journal")));
        let done = patiently(|| Ok(repair(&journal, Some(&donor), false, &mut |_, _| ())?))?;
        for mended in &done.mended {
            let kept: Vec<String> =
                mended.kept_in.iter().map(|path| path.display().to_string()).collect();
            say!(
                "segment {} was mended with what {from} has; the damaged bytes are kept in {}",
                mended.number,
                kept.join(", ")
            );
        }
        match done.refused {
            None => break,
            Some(Error::Damaged(next)) if next.path != damaged.path => damaged = next,
            Some(error) => return Err(error.into()),
        }
    }
    remove(&aside)
}

/// Finishes what an earlier start began: a whole copy takes its place, what is left of another one
/// goes.
pub(in crate::cli) fn settle(data: &Path) -> Result<(), Failure> {
    let aside = data.join(ARRIVING);
    let place = match fs::read_to_string(aside.join(WHOLE)) {
        Ok(place) => place,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return remove(&aside),
        Err(error) => return Err(Failure::Fault(format!("{}: {error}", aside.display()))),
    };
    let kept = (place != NOTHING).then(|| data.join(place));
    // Who goes through the old segments by their names would meet new ones under them.
    let Stores { journal, events, .. } = Stores::mapped(data);
    // A lock makes its directory, which may have been put aside before a crash.
    let there: Vec<_> =
        [journal, events].into_iter().filter(|store| store.path("").is_dir()).collect();
    let _locks = patiently(|| Ok(there.iter().map(maintain).collect::<Result<Vec<_>, _>>()?))?;
    exchange(data, &aside, kept.as_deref()).map_err(|error| {
        Failure::Fault(format!(
            "cannot put the copy in {} in the place of what is there: {error}; it goes on with \
             that at the next start",
            aside.display()
        ))
    })?;
    remove(&aside)
}

fn exchange(data: &Path, aside: &Path, kept: Option<&Path>) -> io::Result<()> {
    if let Some(kept) = kept {
        fs::create_dir_all(kept)?;
    }
    for part in PARTS {
        let (new, old) = (aside.join(part), data.join(part));
        if !new.is_dir() {
            // It has its place already.
            continue;
        }
        if old.is_dir() {
            match kept {
                Some(kept) => fs::rename(&old, kept.join(part))?,
                None => fs::remove_dir_all(&old)?,
            }
        }
        fs::rename(&new, &old)?;
    }
    kept.map_or(Ok(()), sync)?;
    sync(aside)?;
    sync(data)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn remove(directory: &PathBuf) -> Result<(), Failure> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::Fault(format!("cannot remove {}: {error}", directory.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wherever the machine stops while a copy takes its place, the next start goes on.
    #[test]
    fn a_copy_takes_its_place_from_wherever_it_had_come_to() {
        for done in 0..=PARTS.len() {
            for half in [false, true] {
                let directory = tempfile::tempdir().unwrap();
                let data = directory.path();
                let (aside, kept) = (data.join(ARRIVING), data.join("replaced"));
                fs::create_dir_all(&kept).unwrap();
                for (index, part) in PARTS.iter().enumerate() {
                    let (came, is_moved) = (aside.join(part), index < done);
                    let new = if is_moved { data.join(part) } else { came };
                    let is_put_aside = is_moved || (half && index == done);
                    let old = if is_put_aside { kept.join(part) } else { data.join(part) };
                    for (place, text) in [(new, "new"), (old, "old")] {
                        fs::create_dir_all(&place).unwrap();
                        fs::write(place.join("file"), text).unwrap();
                    }
                }
                fs::create_dir_all(&aside).unwrap();
                fs::write(aside.join(WHOLE), "replaced").unwrap();
                settle(data).unwrap();
                for part in PARTS {
                    let read = |place: PathBuf| fs::read_to_string(place.join("file")).unwrap();
                    assert_eq!(read(data.join(part)), "new", "{part}, after {done}, {half}");
                    assert_eq!(read(kept.join(part)), "old", "{part}, after {done}, {half}");
                }
                assert!(!aside.exists());
            }
        }
    }
}
