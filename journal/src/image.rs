//! A whole sealed segment as a stream of bytes, judged while it passes: what is archived, restored
//! or repaired is checked by the same few lines.

use std::io;
use std::sync::Arc;

use crate::error::{Context, Damage, Error};
use crate::segment::{
    BLOCK_BYTES, HEADER_BYTES, Header, SEAL_OFFSET, Seal, SegmentHasher, Stored, file_name,
};
use crate::storage::{Access, Storage, StorageFile};
use crate::survey::inspect;
use crate::walk::{Extent, Stop, measure, nonzero_end};

/// Segments pass in pieces of this size.
pub(crate) const PIECE_BYTES: usize = 1 << 20;

/// Takes a segment's bytes from first to last and says whether they are a sealed segment.
#[derive(Default)]
pub(crate) struct ImageCheck {
    block: Vec<u8>,
    head: Option<(Header, Seal, SegmentHasher)>,
    at: u64,
    damage: Option<(u64, Damage)>,
}

impl ImageCheck {
    /// Takes the next bytes.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        if self.at < BLOCK_BYTES {
            let taken = bytes.len().min((BLOCK_BYTES - self.at) as usize);
            self.block.extend_from_slice(&bytes[..taken]);
            self.at += taken as u64;
            bytes = &bytes[taken..];
            if self.at == BLOCK_BYTES {
                self.open_block();
            }
        }
        let Some((_, seal, hasher)) = &mut self.head else { return };
        let frames = bytes.len().min(seal.end.saturating_sub(self.at) as usize);
        hasher.update(&bytes[..frames]);
        if bytes[frames..].iter().any(|&byte| byte != 0) {
            self.damage.get_or_insert((seal.end, Damage::Padding));
        }
        self.at += bytes.len() as u64;
    }

    fn open_block(&mut self) {
        let header = self.block[..HEADER_BYTES].try_into().expect("128 bytes");
        let seal_at = SEAL_OFFSET as usize;
        let seal = self.block[seal_at..seal_at + HEADER_BYTES].try_into().expect("128 bytes");
        let bad = |at, stored: Option<Damage>| (at, stored.unwrap_or(Damage::Missing));
        self.damage = match (Header::decode(header), Seal::decode(seal)) {
            (Stored::Good(header), Stored::Good(seal)) => {
                let padded = self.block == encode_block(&header, Some(&seal));
                let hasher = SegmentHasher::new(&seal.previous, &header);
                self.head = Some((header, seal, hasher));
                (!padded).then_some((HEADER_BYTES as u64, Damage::Padding))
            }
            (Stored::Good(_), Stored::Bad(damage)) => Some(bad(SEAL_OFFSET, Some(damage))),
            (Stored::Good(_), Stored::Blank) => Some(bad(SEAL_OFFSET, None)),
            (Stored::Bad(damage), _) => Some(bad(0, Some(damage))),
            (Stored::Blank, _) => Some(bad(0, None)),
        };
    }

    /// The verdict: header and seal of a whole segment, or where the first damage is.
    pub(crate) fn finish(self) -> Result<(Header, Seal), (u64, Damage)> {
        if let Some(damage) = self.damage {
            return Err(damage);
        }
        let Some((header, seal, hasher)) = self.head else {
            return Err((self.at, Damage::Truncated));
        };
        if self.at != header.segment_bytes {
            return Err((self.at, Damage::Truncated));
        }
        if hasher.finish() != seal.digest {
            return Err((BLOCK_BYTES, Damage::Chain));
        }
        Ok((header, seal))
    }
}

/// The first block of a segment.
pub(crate) fn encode_block(header: &Header, seal: Option<&Seal>) -> Vec<u8> {
    let mut block = vec![0; BLOCK_BYTES as usize];
    block[..HEADER_BYTES].copy_from_slice(&header.encode());
    if let Some(seal) = seal {
        let seal_at = SEAL_OFFSET as usize;
        block[seal_at..seal_at + HEADER_BYTES].copy_from_slice(&seal.encode());
    }
    block
}

/// Hands a file's bytes to `each`, piece by piece.
pub(crate) fn pieces<F: StorageFile>(
    file: &F,
    from: u64,
    to: u64,
    mut each: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES.min((to - from) as usize)];
    let mut at = from;
    while at < to {
        let want = buffer.len().min((to - at) as usize);
        let read = file.read_at(at, &mut buffer[..want])?;
        if read == 0 {
            break;
        }
        each(at, &buffer[..read])?;
        at += read as u64;
    }
    Ok(())
}

/// Checks every byte of a sealed segment's file: the frames one by one and all against the seal.
pub(crate) fn check_file<S: Storage>(storage: &S, number: u64) -> Result<(Header, Seal), Error> {
    let info = inspect(storage, number)?;
    let (header, seal) = (info.good_header(), info.good_seal());
    let (header, seal) = (header.map_err(Error::Damaged)?, seal.map_err(Error::Damaged)?);
    let path = &info.path;
    let file = storage.open(&file_name(number), Access::Read).context("open", path)?;
    let file = Arc::new(file);
    let mut hasher = SegmentHasher::new(&seal.previous, header);
    let extent = measure(&file, header, Some(&mut hasher), |_| {}).context("read", path)?;
    let sealed = Extent {
        end: seal.end,
        next: seal.last_sequence + 1,
        last_timestamp: seal.last_timestamp,
        last_epoch: seal.last_epoch,
        stop: Stop::End,
    };
    let last = seal.last_sequence;
    let (from, lost_from, damage) = match extent.stop {
        Stop::Damage(damage) => (extent.end, extent.next, damage),
        Stop::Blank => (extent.end, extent.next, Damage::Missing),
        Stop::End if extent != sealed || hasher.finish() != seal.digest => {
            (0, header.first_sequence, Damage::Chain)
        }
        Stop::End => {
            let unused = nonzero_end(&*file, seal.end, info.file_bytes).context("read", path)?;
            match (unused > seal.end, info.stray) {
                (_, true) => (HEADER_BYTES as u64, last + 1, Damage::Padding),
                (true, _) => (seal.end, last + 1, Damage::Padding),
                _ if info.file_bytes != header.segment_bytes => {
                    (info.file_bytes, last + 1, Damage::Truncated)
                }
                _ => return Ok((header.clone(), seal.clone())),
            }
        }
    };
    let mut range = info.damaged(from, info.file_bytes, damage);
    (range.sequence_from, range.sequence_to) = (lost_from, last);
    Err(Error::Damaged(range))
}
