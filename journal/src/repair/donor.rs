//! Where a repair takes frames from: an archive, or another journal of the same commands.

use std::collections::BTreeMap;

use crate::archive::{ArchiveHome, Manifest, fetch, manifests};
use crate::error::Error;
use crate::frame::{Decoded, KIND_END, decode};
use crate::reader::Reader;
use crate::segment::{BLOCK_BYTES, HEADER_BYTES, Header, SEAL_OFFSET, Seal};
use crate::storage::Storage;
use crate::survey::{SegmentInfo, survey};

/// What `--from` names.
#[derive(Debug)]
pub enum Source<S: Storage> {
    /// An archive: it holds sealed segments only.
    Archive(ArchiveHome),
    /// Another journal, whose segments may begin elsewhere. It is only read.
    Journal(S),
}

/// A source with what was read of it so far.
pub(super) enum Donor<'a, S: Storage> {
    Archive {
        home: &'a ArchiveHome,
        manifests: BTreeMap<u64, Manifest>,
        /// The segment that was fetched last, and a place in it.
        image: Option<Image>,
    },
    Journal {
        storage: &'a S,
        segments: Vec<SegmentInfo>,
        reader: Option<Box<Reader<S>>>,
    },
}

/// One archived segment in memory.
pub(super) struct Image {
    number: u64,
    bytes: Vec<u8>,
    /// The frame at `offset` carries sequence `next`.
    offset: usize,
    next: u64,
}

impl<'a, S: Storage> Donor<'a, S> {
    pub(super) fn new(source: &'a Source<S>) -> Result<Self, Error> {
        Ok(match source {
            Source::Archive(home) => {
                Self::Archive { home, manifests: manifests(home)?, image: None }
            }
            Source::Journal(storage) => {
                Self::Journal { storage, segments: survey(storage)?, reader: None }
            }
        })
    }

    /// The source's header of the segment with this number, if it has a whole one.
    pub(super) fn header(&mut self, number: u64) -> Result<Option<Header>, Error> {
        Ok(match self {
            Self::Archive { .. } => self.image(number)?.and_then(|image| {
                let bytes = image.bytes[..HEADER_BYTES].try_into().expect("128 bytes");
                Header::decode(bytes).good().cloned()
            }),
            Self::Journal { segments, .. } => {
                let info = segments.iter().find(|info| info.number == number);
                info.and_then(|info| info.good_header().ok().cloned())
            }
        })
    }

    /// The source's seal of the segment with this number, if it has a whole one.
    pub(super) fn seal(&mut self, number: u64) -> Result<Option<Seal>, Error> {
        Ok(match self {
            Self::Archive { .. } => self.image(number)?.and_then(|image| {
                let at = SEAL_OFFSET as usize;
                let bytes = image.bytes[at..at + HEADER_BYTES].try_into().expect("128 bytes");
                Seal::decode(bytes).good().cloned()
            }),
            Self::Journal { segments, .. } => {
                let info = segments.iter().find(|info| info.number == number);
                info.and_then(|info| info.seal.good().cloned())
            }
        })
    }

    /// The whole frame with this sequence as it stands in a segment, if the source has it.
    pub(super) fn frame(&mut self, sequence: u64) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Archive { manifests, .. } => {
                let holds = |manifest: &&Manifest| {
                    (manifest.first_sequence..=manifest.last_sequence).contains(&sequence)
                };
                let Some(number) = manifests.values().find(holds).map(|found| found.number) else {
                    return Ok(None);
                };
                Ok(self.image(number)?.and_then(|image| image.frame(sequence)))
            }
            Self::Journal { storage, reader, .. } => {
                if reader.as_ref().is_none_or(|reader| reader.next_sequence() != sequence) {
                    *reader = match Reader::open((*storage).clone(), sequence) {
                        Err(Error::OutOfRange { .. }) => return Ok(None),
                        other => Some(Box::new(other?)),
                    };
                }
                let reader = reader.as_mut().expect("opened above");
                let frame = match reader.next_frame() {
                    // Pruned meanwhile.
                    Err(Error::OutOfRange { .. }) => None,
                    other => other?,
                };
                Ok(frame.filter(|frame| frame.sequence() == sequence).map(|f| f.bytes().to_vec()))
            }
        }
    }

    /// Fetches an archived segment, unless it is the one at hand.
    fn image(&mut self, number: u64) -> Result<Option<&mut Image>, Error> {
        let Self::Archive { home, manifests, image } = self else { return Ok(None) };
        let Some(manifest) = manifests.get(&number) else { return Ok(None) };
        if image.as_ref().is_none_or(|image| image.number != number) {
            let mut bytes = Vec::new();
            fetch(home, manifest, |_, piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            })?;
            let (offset, next) = (BLOCK_BYTES as usize, manifest.first_sequence);
            *image = Some(Image { number, bytes, offset, next });
        }
        Ok(image.as_mut())
    }
}

impl Image {
    fn frame(&mut self, sequence: u64) -> Option<Vec<u8>> {
        if sequence < self.next {
            let header = self.bytes[..HEADER_BYTES].try_into().expect("128 bytes");
            self.next = Header::decode(header).good()?.first_sequence;
            self.offset = BLOCK_BYTES as usize;
        }
        while let Decoded::Frame(frame) = decode(&self.bytes[self.offset..]) {
            if frame.sequence() != self.next || frame.kind() == KIND_END {
                return None;
            }
            self.next += 1;
            self.offset += frame.bytes().len();
            if frame.sequence() == sequence {
                return Some(frame.bytes().to_vec());
            }
        }
        None
    }
}
