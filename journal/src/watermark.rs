//! The node's own knowledge of what it made durable, in the file `synced`.
//!
//! After a crash it tells a torn tail (never promised to anyone, so it may be cut) from damage
//! (promised, so it must not be). It stands beside the segments and not in the frames because it is
//! a fact about this node's disk: a standby's segments are byte for byte the primary's, its
//! watermark is its own.
//!
//! Two slots in blocks of their own are written in turn, so that a torn write leaves the other. A
//! mark is written only after the sync that it speaks of: whichever mark survives is true, an old
//! one merely says less.

use std::io;

use crate::frame::{crc32c, u32_at, u64_at};
use crate::storage::{Access, Storage, StorageFile};

/// The file's name.
pub(crate) const FILE: &str = "synced";
const MAGIC: [u8; 8] = *b"RINGMARK";
const SLOT_BYTES: u64 = 4096;
const MARK_BYTES: usize = 48;

/// Everything up to here was made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The last durable sequence.
    pub sequence: u64,
    /// The segment that it lies in.
    pub number: u64,
    /// Where it ends in that segment.
    pub offset: u64,
}

impl Mark {
    fn encode(&self, count: u64) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&count.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.number.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.offset.to_le_bytes());
        let crc = crc32c(&bytes[..MARK_BYTES - 4]);
        bytes[MARK_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; MARK_BYTES]) -> Option<(u64, Self)> {
        let crc = crc32c(&bytes[..MARK_BYTES - 4]);
        let good = bytes[..8] == MAGIC && crc == u32_at(bytes, MARK_BYTES - 4);
        good.then(|| {
            let mark = Self {
                sequence: u64_at(bytes, 16),
                number: u64_at(bytes, 24),
                offset: u64_at(bytes, 32),
            };
            (u64_at(bytes, 8), mark)
        })
    }
}

/// The newest whole mark in an open file, with its count.
fn newest<F: StorageFile>(file: &F) -> io::Result<Option<(u64, Mark)>> {
    let read_slot = |slot: u64| {
        let mut bytes = [0; MARK_BYTES];
        let read = file.read_at(slot * SLOT_BYTES, &mut bytes)?;
        io::Result::Ok(if read == MARK_BYTES { Mark::decode(&bytes) } else { None })
    };
    Ok([read_slot(0)?, read_slot(1)?].into_iter().flatten().max_by_key(|(count, _)| *count))
}

/// Reads the mark of a journal that may be in use.
#[derive(Debug)]
pub struct MarkReader<S: Storage> {
    file: Option<S::File>,
}

impl<S: Storage> MarkReader<S> {
    /// Opens the file if there is one.
    pub fn open(storage: &S) -> io::Result<Self> {
        match storage.open(FILE, Access::Read) {
            Ok(file) => Ok(Self { file: Some(file) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self { file: None }),
            Err(error) => Err(error),
        }
    }

    /// The newest mark, if the file holds a whole one.
    pub fn read(&self) -> io::Result<Option<Mark>> {
        let Some(file) = &self.file else { return Ok(None) };
        Ok(newest(file)?.map(|(_, mark)| mark))
    }
}

/// Writes the marks of a journal.
#[derive(Debug)]
pub(crate) struct MarkWriter<S: Storage> {
    file: S::File,
    count: u64,
}

impl<S: Storage> MarkWriter<S> {
    /// Opens the file, creating it durably if there is none.
    pub(crate) fn open(storage: &S) -> io::Result<Self> {
        match storage.open(FILE, Access::Write) {
            Ok(file) if file.bytes()? == 2 * SLOT_BYTES => {
                let count = newest(&file)?.map_or(0, |(count, _)| count);
                return Ok(Self { file, count });
            }
            Ok(_) => storage.remove(FILE)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let file = storage.create(FILE)?;
        file.zero(0, 2 * SLOT_BYTES)?;
        file.sync()?;
        storage.sync_directory()?;
        Ok(Self { file, count: 0 })
    }

    /// Writes a mark. It survives the process at once, a power cut after [`Self::sync`].
    pub(crate) fn write(&mut self, mark: Mark) -> io::Result<()> {
        self.count += 1;
        self.file.write_at(self.count % 2 * SLOT_BYTES, &mark.encode(self.count))
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::simulated::SimulatedStorage;

    #[test]
    fn a_damaged_slot_leaves_the_mark_before() {
        let storage = SimulatedStorage::new();
        let mut writer = MarkWriter::open(&storage).unwrap();
        for sequence in 1..=5 {
            writer.write(Mark { sequence, number: 1, offset: sequence * 64 }).unwrap();
        }
        let read = |storage: &SimulatedStorage| MarkReader::open(storage).unwrap().read().unwrap();
        assert_eq!(read(&storage).unwrap().sequence, 5);
        storage.flip(FILE, SLOT_BYTES + 17, 1);
        assert_eq!(read(&storage).unwrap().sequence, 4);
        storage.flip(FILE, 17, 1);
        assert_eq!(read(&storage), None);
    }
}
