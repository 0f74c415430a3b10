//! Walking the frames of one segment file, whoever asks: readers, recovery, verification, repair.

use std::io;
use std::sync::Arc;

use crate::error::Damage;
use crate::frame::{
    ALIGN, BadFrame, Decoded, FRAME_BYTES_MAX, FrameRef, HEADER_BYTES, KIND_END, decode, u32_at,
    u64_at,
};
use crate::segment::{BLOCK_BYTES, Header, SegmentHasher};
use crate::storage::StorageFile;

const READ_BYTES_MIN: usize = 4096;
const READ_BYTES_MAX: usize = 1 << 20;

/// A buffered cursor over the frames of one file. It reads through the file descriptor, never
/// through a mapping: a bad sector or a truncated file is an error here, not a signal.
#[derive(Debug)]
pub(crate) struct Walker<F> {
    file: Arc<F>,
    /// The offset of the frame at the cursor.
    offset: u64,
    /// The end of the segment.
    limit: u64,
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    /// Reads grow while they are used up, so that tailing is cheap and replaying is fast.
    ahead: usize,
}

impl<F: StorageFile> Walker<F> {
    pub(crate) fn new(file: Arc<F>, offset: u64, limit: u64) -> Self {
        Self { file, offset, limit, buffer: Vec::new(), start: 0, filled: 0, ahead: READ_BYTES_MIN }
    }

    /// The same buffer for another file.
    pub(crate) fn reopen(&mut self, file: Arc<F>, offset: u64, limit: u64) {
        (self.file, self.offset, self.limit) = (file, offset, limit);
        self.forget();
    }

    pub(crate) fn file(&self) -> &Arc<F> {
        &self.file
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Drops what was read beyond the cursor, so that the next look sees the file as it is now.
    pub(crate) fn forget(&mut self) {
        (self.start, self.filled, self.ahead) = (0, 0, READ_BYTES_MIN);
    }

    /// Whether nothing is left that was read ahead: the next look sees the file as it is now.
    #[inline]
    pub(crate) fn is_drained(&self) -> bool {
        self.start == self.filled
    }

    /// What stands at the cursor.
    #[inline]
    pub(crate) fn peek(&mut self) -> io::Result<Decoded<'_>> {
        if self.lacks().is_some() {
            self.fill_frame()?;
        }
        Ok(decode(&self.buffer[self.start..self.filled]))
    }

    /// How many bytes are needed to judge what stands at the cursor, if more than there are.
    #[inline]
    fn lacks(&self) -> Option<usize> {
        let bytes = &self.buffer[self.start..self.filled];
        if bytes.len() < HEADER_BYTES {
            return Some(HEADER_BYTES);
        }
        let needed = (u32_at(bytes, 4) as usize).next_multiple_of(ALIGN);
        (bytes.len() < needed && needed <= FRAME_BYTES_MAX).then_some(needed)
    }

    /// Reads on: first the header that may be lacking, then what it asks for.
    #[cold]
    fn fill_frame(&mut self) -> io::Result<()> {
        for _ in 0..2 {
            if let Some(needed) = self.lacks() {
                self.fill(needed)?;
            }
        }
        Ok(())
    }

    /// Moves the cursor over a frame of so many bytes, which the last [`Self::peek`] returned.
    #[inline]
    pub(crate) fn advance(&mut self, stored_bytes: usize) {
        self.start += stored_bytes;
        self.offset += stored_bytes as u64;
        assert!(self.start <= self.filled);
    }

    /// Moves over a frame like [`Self::advance`] and hands it out.
    #[inline]
    pub(crate) fn take(&mut self, stored_bytes: usize) -> FrameRef<'_> {
        self.advance(stored_bytes);
        FrameRef::decoded_before(&self.buffer[self.start - stored_bytes..self.start])
    }

    fn fill(&mut self, needed: usize) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        let at = self.offset + self.filled as u64;
        let left = self.limit.saturating_sub(at).min(READ_BYTES_MAX as u64) as usize;
        let want = self.ahead.max(needed - self.filled).min(left);
        // Who looks at one frame alone pays for no more than that.
        if self.buffer.len() < self.filled + want {
            self.buffer.resize(self.filled + want, 0);
        }
        self.filled += self.file.read_at(at, &mut self.buffer[self.filled..self.filled + want])?;
        self.ahead = (self.ahead * 2).min(READ_BYTES_MAX);
        Ok(())
    }
}

/// How far the frames of a segment are whole, and what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Where the whole frames end (an End frame included).
    pub(crate) end: u64,
    /// The sequence that belongs there.
    pub(crate) next: u64,
    pub(crate) last_timestamp: u64,
    pub(crate) last_epoch: u32,
    pub(crate) stop: Stop,
}

/// Why a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// At the End frame: the segment is complete.
    End,
    /// At zeros.
    Blank,
    /// At bytes that do not belong there.
    Damage(Damage),
}

/// Where a walk begins, and what must stand there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) offset: u64,
    pub(crate) next: u64,
    pub(crate) epoch: u32,
}

impl Start {
    /// At a segment's first frame.
    pub(crate) fn of(header: &Header) -> Self {
        Self { offset: BLOCK_BYTES, next: header.first_sequence, epoch: header.epoch }
    }
}

/// Walks a segment from its first frame. `hasher` is fed what is whole.
pub(crate) fn measure<F: StorageFile>(
    file: &Arc<F>,
    header: &Header,
    hasher: Option<&mut SegmentHasher>,
    each: impl FnMut(FrameRef<'_>),
) -> io::Result<Extent> {
    measure_from(file, Start::of(header), header.segment_bytes, hasher, each)
}

/// Walks a segment from any frame on.
pub(crate) fn measure_from<F: StorageFile>(
    file: &Arc<F>,
    start: Start,
    limit: u64,
    mut hasher: Option<&mut SegmentHasher>,
    mut each: impl FnMut(FrameRef<'_>),
) -> io::Result<Extent> {
    let mut walker = Walker::new(Arc::clone(file), start.offset, limit);
    let (mut next, mut last_epoch, mut last_timestamp) = (start.next, start.epoch, 0);
    loop {
        let stop = match walker.peek()? {
            Decoded::Frame(frame) => match belongs(frame, next, last_epoch) {
                Ok(()) => {
                    let stored_bytes = frame.bytes().len();
                    let ends = frame.kind() == KIND_END;
                    if let Some(hasher) = &mut hasher {
                        hasher.update(frame.bytes());
                    }
                    if !ends {
                        each(frame);
                        (last_epoch, last_timestamp) = (frame.epoch(), frame.timestamp());
                        next += 1;
                    }
                    walker.advance(stored_bytes);
                    if !ends {
                        continue;
                    }
                    Stop::End
                }
                Err(bad) => Stop::Damage(Damage::Frame(bad)),
            },
            Decoded::Blank => Stop::Blank,
            Decoded::Short { .. } => Stop::Damage(Damage::Truncated),
            Decoded::Bad(bad) => Stop::Damage(Damage::Frame(bad)),
        };
        return Ok(Extent { end: walker.offset(), next, last_timestamp, last_epoch, stop });
    }
}

/// Whether a whole frame is the one that must come next.
#[inline]
pub(crate) fn belongs(frame: FrameRef<'_>, next: u64, epoch: u32) -> Result<(), BadFrame> {
    if frame.sequence() != next {
        return Err(BadFrame::Sequence(frame.sequence()));
    }
    if frame.epoch() < epoch {
        return Err(BadFrame::Epoch(frame.epoch()));
    }
    Ok(())
}

/// The first whole frame after a damaged place: its offset and sequence. Damage may hide where
/// frames begin, so every aligned offset is tried.
pub(crate) fn resynchronise<F: StorageFile>(
    file: &F,
    from: u64,
    limit: u64,
    next: u64,
) -> io::Result<Option<(u64, u64)>> {
    let length = file.bytes()?.min(limit);
    let mut buffer = vec![0; READ_BYTES_MAX + FRAME_BYTES_MAX];
    let mut at = from + ALIGN as u64;
    while at < length {
        let filled = file.read_at(at, &mut buffer)?.min((length - at) as usize);
        for start in (0..filled.min(READ_BYTES_MAX)).step_by(ALIGN) {
            let bytes = &buffer[start..filled];
            if bytes.len() < HEADER_BYTES || u32_at(bytes, 4) == 0 {
                continue;
            }
            let sequence = u64_at(bytes, 8);
            // Between two frames there is room for one more at most every 32 bytes.
            let most = next + (limit - from) / HEADER_BYTES as u64;
            if (next..=most).contains(&sequence)
                && let Decoded::Frame(_) = decode(bytes)
            {
                return Ok(Some((at + start as u64, sequence)));
            }
        }
        at += READ_BYTES_MAX as u64;
    }
    Ok(None)
}

/// The end of the last non-zero byte in the range, or `from` if all are zero.
pub(crate) fn nonzero_end<F: StorageFile>(file: &F, from: u64, to: u64) -> io::Result<u64> {
    let mut buffer = vec![0; to.saturating_sub(from).min(READ_BYTES_MAX as u64) as usize];
    let mut end = from;
    let mut at = from;
    while at < to {
        let want = buffer.len().min((to - at) as usize);
        let read = file.read_at(at, &mut buffer[..want])?;
        if read == 0 {
            break;
        }
        // Whole words first: this looks at every byte of a segment's unused part at start-up.
        if !buffer[..read]
            .chunks(4096)
            .all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
            && let Some(last) = buffer[..read].iter().rposition(|&byte| byte != 0)
        {
            end = at + last as u64 + 1;
        }
        at += read as u64;
    }
    Ok(end)
}
