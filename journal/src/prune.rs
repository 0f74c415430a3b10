//! Pruning: deleting segments that are needed no more, and only those.
//!
//! A segment goes when a verified snapshot covers it *and* the archive holds it, which is proved by
//! fetching it again. The oldest goes first and each removal is durable before the next, so that
//! whatever happens meanwhile, what is left has no gap.

use std::fmt;

use crate::archive::{ArchiveHome, OnProgress, fetch, maintain, read_manifest};
use crate::error::{Context, Error};
use crate::planted::{Bug, is_planted};
use crate::segment::{Header, Seal, file_name};
use crate::storage::Storage;
use crate::survey::{SegmentInfo, missing, survey};

/// The first sequence that is needed still: of commands, that of a snapshot that was verified
/// (reloaded, its digest compared); of events, the first that anybody asks for. Making one is
/// the caller's word that nobody needs what is before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeededFrom(pub u64);

/// What became of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// The segment's number.
    pub number: u64,
    /// Its last sequence, if it is sealed.
    pub last_sequence: Option<u64>,
    /// The size of its file.
    pub bytes: u64,
    /// What was done, or why not.
    pub fate: Fate,
}

/// What was done with a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is gone.
    Deleted,
    /// A dry run found nothing against deleting it.
    WouldDelete,
    /// It stays.
    Refused(Refusal),
}

/// Why a segment stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It still takes frames, or soon will, or its header block is damaged.
    NotSealed,
    /// It is the last one that the snapshot covers: the next one chains from it, also when that is
    /// cut back and loses its seal.
    LastCovered,
    /// Its last one is not before what is needed: a cut back to the snapshot, if that is of its
    /// last command, writes on in it.
    StillNeeded,
    /// The archive holds no such segment.
    NotArchived,
    /// The archive holds something else, or something broken.
    BadArchive(String),
    /// An older segment stays, and there must be no gap.
    OlderStays(u64),
}

impl Refusal {
    /// Whether the segment would be gone if only the archive held it.
    pub fn is_about_the_archive(&self) -> bool {
        matches!(self, Self::NotArchived | Self::BadArchive(_))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSealed => write!(f, "not sealed"),
            Self::LastCovered => {
                write!(
                    f,
                    "the last segment before what is needed always stays: the next chains from it"
                )
            }
            Self::StillNeeded => write!(f, "it holds what is needed still"),
            Self::NotArchived => {
                write!(f, "not archived; run `ringframe journal archive`, or with --events, first")
            }
            Self::BadArchive(why) => f.write_str(why),
            Self::OlderStays(number) => write!(f, "segment {number} before it stays"),
        }
    }
}

/// Deletes the segments that a verified snapshot and a verified archive copy make superfluous, and
/// tells every segment's fate. Works beside a running writer.
pub fn prune<S: Storage>(
    storage: &S,
    home: &ArchiveHome,
    below: NeededFrom,
    dry_run: bool,
    progress: OnProgress<'_>,
) -> Result<Vec<Pruned>, Error> {
    let _lock = maintain(storage)?;
    let segments = survey(storage)?;
    if let Some(range) = missing(storage, &segments, 0)? {
        return Err(Error::Damaged(range));
    }
    // One that ends at the snapshot is the one that a cut back to there begins to write again.
    let is_covered = |info: &SegmentInfo| {
        info.seal.good().is_some_and(|seal| seal.last_sequence < below.0)
            && !is_planted(Bug::PruneTooMuch)
    };
    let last_covered = segments.iter().rposition(is_covered);
    let mut pruned = Vec::with_capacity(segments.len());
    let mut stays = None;
    for (index, info) in segments.iter().enumerate() {
        progress(index, segments.len());
        let fate = match refusal(info, last_covered == Some(index), below, home, stays)? {
            Some(refusal) => {
                stays.get_or_insert(info.number);
                Fate::Refused(refusal)
            }
            None if dry_run => Fate::WouldDelete,
            None => {
                storage.remove(&file_name(info.number)).context("remove", &info.path)?;
                storage.sync_directory().context("sync", storage.path(""))?;
                Fate::Deleted
            }
        };
        let last_sequence = info.seal.good().map(|seal| seal.last_sequence);
        pruned.push(Pruned { number: info.number, last_sequence, bytes: info.file_bytes, fate });
    }
    Ok(pruned)
}

fn refusal(
    info: &SegmentInfo,
    is_last_covered: bool,
    below: NeededFrom,
    home: &ArchiveHome,
    stays: Option<u64>,
) -> Result<Option<Refusal>, Error> {
    let (Ok(header), Some(seal)) = (info.good_header(), info.seal.good()) else {
        return Ok(Some(Refusal::NotSealed));
    };
    if is_last_covered {
        return Ok(Some(Refusal::LastCovered));
    }
    let reaches =
        if is_planted(Bug::PruneTooMuch) { header.first_sequence } else { seal.last_sequence };
    if reaches >= below.0 {
        return Ok(Some(Refusal::StillNeeded));
    }
    if let Some(number) = stays {
        return Ok(Some(Refusal::OlderStays(number)));
    }
    if is_planted(Bug::PruneUnarchived) {
        return Ok(None);
    }
    archived(home, header, seal)
}

/// Fetches the archived copy and compares it with what is to be deleted.
fn archived(home: &ArchiveHome, header: &Header, seal: &Seal) -> Result<Option<Refusal>, Error> {
    let manifest = match read_manifest(home, header.number)? {
        None => return Ok(Some(Refusal::NotArchived)),
        Some(Err(why)) => return Ok(Some(Refusal::BadArchive(format!("manifest: {why}")))),
        Some(Ok(manifest)) => manifest,
    };
    if !manifest.describes(header, seal) {
        let why = "the archive holds another segment under this number";
        return Ok(Some(Refusal::BadArchive(why.into())));
    }
    match fetch(home, &manifest, |_, _| Ok(())) {
        Ok(()) => Ok(None),
        Err(error) => Ok(Some(Refusal::BadArchive(error.to_string()))),
    }
}
