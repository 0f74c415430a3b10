//! Repairing a journal that nobody writes: cutting a torn tail, and putting back durable bytes that
//! are gone or changed, taken from an archive or from another journal.
//!
//! Segment by segment, oldest first: `rebuild` decides what the file must be and refuses unless
//! everything fits, `patch` writes it. A damaged file is never written to: its new image is made
//! aside, checked, and renamed over it, after the damaged bytes were copied to `*.damaged`.

mod donor;
mod patch;
mod rebuild;

use std::path::PathBuf;

pub use donor::Source;

use crate::archive::maintain;
use crate::error::{Context, DamagedRange, Error};
use crate::open::{cut_tail, lock, remove_scratch};
use crate::recover::{Cut, judge};
use crate::storage::Storage;
use donor::Donor;
use rebuild::Rebuild;

/// What a repair did, or would do.
#[derive(Debug, Default)]
pub struct Repair {
    /// The segments that were mended, oldest first.
    pub mended: Vec<Mended>,
    /// The torn tail that was taken off, if there was one. A dry run says so only for a journal
    /// that has no other damage.
    pub cut: Option<Cut>,
    /// Why the repair stopped, if it did; what is listed above is done all the same.
    pub refused: Option<Error>,
}

/// One segment that was put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mended {
    /// The segment's number.
    pub number: u64,
    /// What was damaged.
    pub ranges: Vec<DamagedRange>,
    /// The files that keep the damaged bytes; none in a dry run or if the file was missing.
    pub kept_in: Vec<PathBuf>,
}

/// Repairs a journal; without a source, a torn tail is all that can be repaired. Takes the writer's
/// lock. A dry run changes nothing.
pub fn repair<S: Storage>(
    storage: &S,
    source: Option<&Source<S>>,
    dry_run: bool,
    progress: crate::archive::OnProgress<'_>,
) -> Result<Repair, Error> {
    let _writer = lock(storage)?;
    let _lock = maintain(storage)?;
    if !dry_run {
        remove_scratch(storage)?;
    }
    let mut repair = Repair::default();
    let donor = source.map(Donor::new).transpose()?;
    let mut rebuild = Rebuild::new(storage, donor)?;
    let total = rebuild.numbers().count();
    for (done, number) in rebuild.numbers().enumerate() {
        progress(done, total);
        match rebuild.segment(number, dry_run) {
            Ok(None) => {}
            Ok(Some(mended)) => repair.mended.push(mended),
            Err(error) => return stopped(repair, error),
        }
    }
    if dry_run && !repair.mended.is_empty() {
        return Ok(repair);
    }
    match judge(storage, None, 1) {
        Ok(mut verdict) => {
            repair.cut = verdict.cut.take();
            if let Some(cut) = repair.cut.as_mut().filter(|_| !dry_run) {
                cut_tail(storage, cut, &verdict.active, &verdict.behind)?;
            }
            Ok(repair)
        }
        Err(error) => stopped(repair, error),
    }
}

/// Damage that cannot be mended is an answer, anything else a fault.
fn stopped(mut repair: Repair, error: Error) -> Result<Repair, Error> {
    match error {
        Error::Damaged(_) | Error::Refused { .. } | Error::Archive { .. } => {
            repair.refused = Some(error);
            Ok(repair)
        }
        fault => Err(fault),
    }
}

/// Opens a segment's file, if it is there.
fn open_segment<S: Storage>(storage: &S, number: u64) -> Result<Option<S::File>, Error> {
    let name = crate::segment::file_name(number);
    match storage.open(&name, crate::storage::Access::Read) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        other => other.context("open", storage.path(&name)).map(Some),
    }
}
