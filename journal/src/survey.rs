//! What lies in a journal's directory: one look at every segment's header block.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Context, Damage, DamagedRange, Error};
use crate::segment::{
    BLOCK_BYTES, HEADER_BYTES, Header, SEAL_OFFSET, Seal, Stored, file_name, file_number,
};
use crate::storage::{Access, Storage, StorageFile};
use crate::walk::measure;

/// A segment as its header block and its length describe it.
#[derive(Clone, Debug)]
pub struct SegmentInfo {
    /// The number in its name.
    pub number: u64,
    /// Its file.
    pub path: PathBuf,
    /// Its length.
    pub file_bytes: u64,
    /// Its header; blank in a prepared segment.
    pub header: Stored<Header>,
    /// Its seal; blank until the segment is complete and durable.
    pub seal: Stored<Seal>,
    /// The unused parts of the block are not zero.
    pub stray: bool,
}

impl SegmentInfo {
    /// A damaged range of this segment that holds no frames.
    pub fn damaged(&self, from: u64, to: u64, damage: Damage) -> DamagedRange {
        let path = self.path.clone();
        DamagedRange { path, from, to, sequence_from: 1, sequence_to: 0, damage }
    }

    /// The header, or what is wrong with it.
    pub fn good_header(&self) -> Result<&Header, DamagedRange> {
        match &self.header {
            Stored::Good(header) if header.number == self.number => Ok(header),
            Stored::Good(_) => Err(self.damaged(0, HEADER_BYTES as u64, Damage::Chain)),
            Stored::Blank => Err(self.damaged(0, HEADER_BYTES as u64, Damage::Missing)),
            Stored::Bad(damage) => Err(self.damaged(0, HEADER_BYTES as u64, *damage)),
        }
    }

    /// The seal, or what is wrong with it.
    pub fn good_seal(&self) -> Result<&Seal, DamagedRange> {
        let damage = match &self.seal {
            Stored::Good(seal) => return Ok(seal),
            Stored::Blank => Damage::Missing,
            Stored::Bad(damage) => *damage,
        };
        Err(self.damaged(SEAL_OFFSET, SEAL_OFFSET + HEADER_BYTES as u64, damage))
    }
}

/// Looks at all segments, in the order of their numbers. Changes nothing.
pub fn survey<S: Storage>(storage: &S) -> Result<Vec<SegmentInfo>, Error> {
    let names = match storage.list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other.context("list", storage.path(""))?,
    };
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| file_number(name)).collect();
    numbers.sort_unstable();
    let mut segments = Vec::with_capacity(numbers.len());
    for number in numbers {
        match inspect(storage, number) {
            // Pruned between the listing and the look.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            other => segments.push(other?),
        }
    }
    Ok(segments)
}

/// With which sequence the segments begin, where the first one says it.
pub fn first_sequence<S: Storage>(storage: &S) -> Result<Option<u64>, Error> {
    let infos = survey(storage)?;
    Ok(infos.first().and_then(|info| info.header.good()).map(|header| header.first_sequence))
}

/// The writer may be storing the header at this very moment: a bad one is looked at again so often.
const LOOKS: usize = 3;

/// Looks at one segment.
pub fn inspect<S: Storage>(storage: &S, number: u64) -> Result<SegmentInfo, Error> {
    let name = file_name(number);
    let path = storage.path(&name);
    let file = storage.open(&name, Access::Read).context("open", &path)?;
    let file_bytes = file.bytes().context("read the length of", &path)?;
    let mut block = [0; BLOCK_BYTES as usize];
    let mut header = Stored::Blank;
    for _ in 0..LOOKS {
        file.read_at(0, &mut block).context("read", &path)?;
        header = Header::decode(block[..HEADER_BYTES].try_into().expect("128 bytes"));
        if !matches!(header, Stored::Bad(_)) {
            break;
        }
    }
    let seal_at = SEAL_OFFSET as usize;
    let seal = block[seal_at..seal_at + HEADER_BYTES].try_into().expect("128 bytes");
    let gaps = [&block[HEADER_BYTES..seal_at], &block[seal_at + HEADER_BYTES..]];
    Ok(SegmentInfo {
        number,
        path,
        file_bytes,
        header,
        seal: Seal::decode(seal),
        stray: gaps.concat().iter().any(|&byte| byte != 0),
    })
}

/// The seal of an open segment, if it has a whole one by now.
pub(crate) fn read_seal<F: StorageFile>(file: &F) -> io::Result<Option<Seal>> {
    let mut bytes = [0; HEADER_BYTES];
    file.read_at(SEAL_OFFSET, &mut bytes)?;
    Ok(Seal::decode(&bytes).good().cloned())
}

/// The last sequence that a segment can hold when sequences up to `attested` exist: the segments
/// after it know where they began.
pub(crate) fn last_of(segments: &[SegmentInfo], number: u64, attested: u64) -> u64 {
    let after = segments.iter().filter(|info| info.number > number);
    let begun =
        after.filter_map(|info| info.good_header().ok()).map(|header| header.first_sequence);
    begun.min().map_or(attested, |first| attested.min(first.saturating_sub(1)))
}

/// The first gap in the numbers, if there is one: a file that is missing. Sequences up to
/// `attested` were durable.
pub(crate) fn missing<S: Storage>(
    storage: &S,
    segments: &[SegmentInfo],
    attested: u64,
) -> Result<Option<DamagedRange>, Error> {
    let gap = |pair: &&[SegmentInfo]| pair[1].number != pair[0].number + 1;
    let Some(before) = segments.windows(2).find(gap).map(|pair| &pair[0]) else { return Ok(None) };
    let next = match (&before.seal, before.good_header()) {
        (Stored::Good(seal), _) => seal.last_sequence + 1,
        (_, Ok(header)) => {
            let name = file_name(before.number);
            let file = storage.open(&name, Access::Read).context("open", &before.path)?;
            let extent = measure(&Arc::new(file), header, None, |_| {});
            extent.context("read", &before.path)?.next
        }
        (_, Err(range)) => return Ok(Some(range)),
    };
    let after = last_of(segments, before.number, u64::MAX);
    Ok(Some(DamagedRange {
        path: storage.path(&file_name(before.number + 1)),
        from: 0,
        to: before.file_bytes,
        sequence_from: next,
        sequence_to: if after == u64::MAX { attested } else { after },
        damage: Damage::Missing,
    }))
}
