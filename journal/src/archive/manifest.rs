//! What an archive says about one segment, in JSON beside the object.

use serde::{Deserialize, Serialize};

use crate::segment::{Digest, Header, LogicId, Seal, file_name};

/// The version of the manifest's layout.
const FORMAT: u32 = 1;

/// One archived segment. It is written after the object and counts only while the object is what
/// it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// The segment's number.
    pub number: u64,
    /// The sequence of its first frame.
    pub first_sequence: u64,
    /// The sequence of its last frame.
    pub last_sequence: u64,
    /// The timestamp of its last frame.
    pub last_timestamp: u64,
    /// The name of the logic whose commands it holds.
    pub logic: String,
    /// The version of the logic when the segment began.
    pub logic_version: u32,
    /// The size of the segment's file.
    pub segment_bytes: u64,
    /// Where its frames end.
    pub end: u64,
    /// Its digest.
    #[serde(with = "hex")]
    pub digest: Digest,
    /// The digest of the segment before.
    #[serde(with = "hex")]
    pub previous: Digest,
    /// The size of the object.
    pub compressed_bytes: u64,
    /// The BLAKE3 hash of the object.
    #[serde(with = "hex")]
    pub compressed_blake3: [u8; 32],
}

impl Manifest {
    pub(crate) fn new(header: &Header, seal: &Seal, compressed: (u64, [u8; 32])) -> Self {
        let LogicId { name, version } = &header.logic;
        Self {
            format: FORMAT,
            number: header.number,
            first_sequence: header.first_sequence,
            last_sequence: seal.last_sequence,
            last_timestamp: seal.last_timestamp,
            logic: name.clone(),
            logic_version: *version,
            segment_bytes: header.segment_bytes,
            end: seal.end,
            digest: seal.digest,
            previous: seal.previous,
            compressed_bytes: compressed.0,
            compressed_blake3: compressed.1,
        }
    }

    /// The manifest of the same segment with this header and seal.
    pub(crate) fn describes(&self, header: &Header, seal: &Seal) -> bool {
        *self == Self::new(header, seal, (self.compressed_bytes, self.compressed_blake3))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("numbers and strings have a JSON");
        bytes.push(b'\n');
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match manifest.format {
            FORMAT => Ok(manifest),
            other => Err(format!("manifest format {other}, this program reads {FORMAT}")),
        }
    }
}

/// The name of a segment's object.
pub(crate) fn object_name(number: u64) -> String {
    format!("{}.zst", file_name(number))
}

/// The name of a segment's manifest.
pub(crate) fn manifest_name(number: u64) -> String {
    format!("{}.json", file_name(number))
}

mod hex {
    use std::fmt::Write;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(64);
        for byte in bytes {
            write!(text, "{byte:02x}").expect("a string takes everything");
        }
        to.serialize_str(&text)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        let wrong = || D::Error::custom("expected 64 hexadecimal digits");
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).map_err(|_| wrong())?;
        }
        Ok(bytes)
    }
}
