//! A growable array that never moves what it holds: growing costs one chunk, not a copy of all.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteBuf;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// A chunk of 32-byte values is a huge page long.
const CHUNK: usize = 1 << 16;

/// Values by 32-bit index.
#[derive(Clone, Debug)]
pub(super) struct Chunks<T> {
    chunks: Vec<Box<[T; CHUNK]>>,
    len: usize,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T: Copy + FromZeros> Chunks<T> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Takes the room for this many values now rather than later.
    pub(super) fn reserve(&mut self, values: usize) {
        while self.chunks.len() * CHUNK < values {
            self.add_chunk();
            // A write brings each page in now; as it came, it is only promised.
            let chunk = self.chunks.last_mut().into_iter().flat_map(|chunk| chunk.iter_mut());
            chunk.for_each(|value| *std::hint::black_box(value) = T::new_zeroed());
        }
    }

    #[cold]
    fn add_chunk(&mut self) {
        self.chunks.push(<[T; CHUNK]>::new_box_zeroed().expect("memory for one more chunk"));
    }

    #[inline]
    pub(super) fn push(&mut self, value: T) {
        if self.len == self.chunks.len() * CHUNK {
            self.add_chunk();
        }
        self.chunks[self.len / CHUNK][self.len % CHUNK] = value;
        self.len += 1;
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> &T {
        &self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> &mut T {
        &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    /// Forgets the values and keeps the room.
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// What the values take, unused room included.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<T>()
    }
}

/// As the bytes that the values are.
impl<T: Copy + FromZeros + IntoBytes + Immutable> Serialize for Chunks<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts: Vec<_> = (self.chunks.iter().enumerate())
            .map(|(chunk, values)| &values[..CHUNK.min(self.len.saturating_sub(chunk * CHUNK))])
            .take_while(|values| !values.is_empty())
            .map(|values| serde_bytes::Bytes::new(values.as_bytes()))
            .collect();
        parts.serialize(serializer)
    }
}

impl<'de, T: Copy + FromBytes + Immutable + IntoBytes + KnownLayout> Deserialize<'de>
    for Chunks<T>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Parts(Self::default()))
    }
}

/// Takes one chunk's bytes after the other, so that only one is in memory twice.
struct Parts<T>(Chunks<T>);

impl<'de, T: Copy + FromBytes + Immutable + IntoBytes + KnownLayout> Visitor<'de> for Parts<T> {
    type Value = Chunks<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("chunks, each as bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Chunks<T>, A::Error> {
        let Self(mut chunks) = self;
        while let Some(part) = parts.next_element::<ByteBuf>()? {
            if !part.len().is_multiple_of(size_of::<T>()) || part.len() > CHUNK * size_of::<T>() {
                return Err(A::Error::custom(format!("{} bytes are no chunk", part.len())));
            }
            if !chunks.len.is_multiple_of(CHUNK) {
                return Err(A::Error::custom("a chunk after one that is not full"));
            }
            let values = part.len() / size_of::<T>();
            if values > 0 {
                chunks.add_chunk();
            }
            if let Some(chunk) = chunks.chunks.last_mut() {
                chunk[..values].as_mut_bytes().copy_from_slice(&part);
            }
            chunks.len += values;
        }
        Ok(chunks)
    }
}
