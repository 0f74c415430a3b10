//! The new image of a segment: the file as it is with the damaged ranges replaced.

use std::io;
use std::path::PathBuf;

use crate::error::{Context, Damage, DamagedRange, Error};
use crate::image::{ImageCheck, PIECE_BYTES, pieces};
use crate::keeper::{SCRATCH, name, reserve};
use crate::open::keep_aside;
use crate::storage::{Storage, StorageFile};
use crate::survey::SegmentInfo;

/// What replaces one damaged range.
pub(super) struct Patch {
    pub(super) from: u64,
    pub(super) to: u64,
    /// The new bytes; zeros follow if they are fewer than the range has.
    pub(super) bytes: Vec<u8>,
    /// The sequences of the frames in it; an empty range if there are none.
    pub(super) sequences: (u64, u64),
    pub(super) damage: Damage,
}

impl Patch {
    pub(super) fn range(&self, path: PathBuf) -> DamagedRange {
        let (sequence_from, sequence_to) = self.sequences;
        let (from, to, damage) = (self.from, self.to, self.damage);
        DamagedRange { path, from, to, sequence_from, sequence_to, damage }
    }

    pub(super) fn has_no_frames(&self) -> bool {
        self.sequences.0 > self.sequences.1
    }

    fn overlay(&self, at: u64, piece: &mut [u8]) {
        let from = self.from.max(at);
        let to = self.to.min(at + piece.len() as u64);
        for position in from..to {
            let new = self.bytes.get((position - self.from) as usize).copied().unwrap_or(0);
            piece[(position - at) as usize] = new;
        }
    }
}

/// Reads a range of the new image.
pub(super) fn read_patched<F: StorageFile>(
    file: Option<&F>,
    patches: &[Patch],
    at: u64,
    piece: &mut [u8],
) -> io::Result<()> {
    let read = file.map_or(Ok(0), |file| file.read_at(at, piece))?;
    piece[read..].fill(0);
    for patch in patches {
        patch.overlay(at, piece);
    }
    Ok(())
}

/// Hands out the new image piece by piece.
pub(super) fn each_patched<F: StorageFile>(
    file: Option<&F>,
    patches: &[Patch],
    (from, to): (u64, u64),
    mut each: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES.min((to - from) as usize)];
    let mut at = from;
    while at < to {
        let want = buffer.len().min((to - at) as usize);
        read_patched(file, patches, at, &mut buffer[..want])?;
        each(at, &buffer[..want])?;
        at += want as u64;
    }
    Ok(())
}

/// Keeps the damaged bytes aside and puts the new image in the file's place, whole or not at all.
/// Returns the files that keep the old bytes.
pub(super) fn replace<S: Storage>(
    storage: &S,
    own: Option<(&SegmentInfo, &S::File)>,
    (number, segment_bytes, is_sealed): (u64, u64, bool),
    patches: &[Patch],
) -> Result<Vec<PathBuf>, Error> {
    let mut kept_in = Vec::new();
    if let Some((info, file)) = own {
        for patch in patches.iter().filter(|patch| patch.from < info.file_bytes) {
            let to = patch.to.min(info.file_bytes);
            kept_in.push(keep_aside(storage, info, file, patch.from, to, "damaged")?);
        }
        storage.sync_directory().context("sync", storage.path(""))?;
    }
    let path = storage.path(SCRATCH);
    let scratch = reserve(storage, segment_bytes)?;
    // Zeroed for real, as every segment is: appending may go on in this one.
    scratch.zero(0, segment_bytes).context("zero", &path)?;
    let file = own.map(|(_, file)| file);
    each_patched(file, patches, (0, segment_bytes), |at, piece| {
        if piece.iter().all(|&byte| byte == 0) { Ok(()) } else { scratch.write_at(at, piece) }
    })
    .context("write", &path)?;
    if is_sealed {
        let mut check = ImageCheck::default();
        pieces(&scratch, 0, segment_bytes, |_, piece| {
            check.update(piece);
            Ok(())
        })
        .context("read", &path)?;
        if let Err((offset, damage)) = check.finish() {
            let why = format!("the repaired copy reads back wrong at byte {offset}: {damage}");
            return Err(Error::Refused { path, why });
        }
    }
    name(storage, &scratch, number)?;
    Ok(kept_in)
}
