//! What two nodes say to each other besides the journal's frames. A word is a frame, too: its epoch
//! is the speaker's, its time the speaker's clock, its sequence what the word is about, and its
//! payload begins with the history that the speaker's journal is of.

use ringframe_journal::{Frame, FrameRef};

use super::Parted;
use super::epochs::{HistoryId, Term, parse_terms, put_terms};
use crate::types::{Epoch, Nanos, Sequence};

/// No command of a journal has a kind from here on but the one that closes a segment.
const FIRST: u16 = 0xFF00;
const HELLO: u16 = FIRST;
const WELCOME: u16 = FIRST + 1;
const REFUSED: u16 = FIRST + 2;
const BEAT: u16 = FIRST + 3;
const HAVE: u16 = FIRST + 4;
const TAKE_OVER: u16 = FIRST + 5;
const BEHIND: u16 = FIRST + 6;
const COPY: u16 = FIRST + 7;
const FILE: u16 = FIRST + 8;
const PIECE: u16 = FIRST + 9;
const WHOLE: u16 = FIRST + 10;
const RECOVERS: u16 = FIRST + 11;
/// Of all words; another one is refused by its number.
const VERSION: u16 = 4;
/// A text is cut here.
const TEXT_BYTES_MAX: usize = 1024;

/// A word, with who said it when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Both the speaker's.
    pub(super) history: HistoryId,
    pub(super) epoch: Epoch,
    pub(super) at: Nanos,
    pub(super) says: Says,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// The follower's first word: whose journal it has, the newest version of that logic which its
    /// build has, how much of the journal; and whether replies may wait for it.
    Hello { stands_by: bool, logic: String, newest: u32, last: Sequence, terms: Vec<Term> },
    /// The leader's answer: what both have, how segments are cut, and the checksum of the last
    /// command that both have; 0 where the leader has none.
    Welcome { agreed: Sequence, segment_bytes: u64, checksum: u32, terms: Vec<Term> },
    /// The other answer, and the last word: why, and how much the one has that refuses.
    Refused { last: Sequence, why: String },
    /// The leader is there, and has journaled so much.
    Beat { journaled: Sequence },
    /// The follower has so much; and the leader's time that it heard last, for who measures.
    Have { journaled: Sequence, synced: Sequence, applied: Sequence, heard: Nanos },
    /// The leader orders nothing behind this command any more: the follower is to lead.
    TakeOver { last: Sequence },
    /// The leader's other answer: a copy of what it has is the way, or a shorter one.
    Behind { first: Sequence },
    /// The first word of who wants a copy of what the leader has, or of one segment of anybody's.
    Copy { logic: String, segment: Option<u64> },
    /// A file follows: in which store, how long, and how it is called.
    File { store: u8, bytes: u64, name: String },
    /// So stand its bytes from here on; between pieces there are zeros.
    Piece { at: u64, bytes: Vec<u8> },
    /// The copy is whole: the journal in it is of these terms.
    Whole { terms: Vec<Term> },
    /// The only answer of a node that still recovers: whoever asks is to come again.
    Recovers,
}

/// Whether the frame is a word and none of the journal's.
pub(super) fn is_word(kind: u16) -> bool {
    kind >= FIRST
}

impl Word {
    pub(super) fn put(&self, into: &mut Vec<u8>) {
        let mut payload = Vec::from(self.history.0.to_le_bytes());
        let (kind, sequence) = self.says.put(&mut payload);
        let frame = Frame {
            sequence,
            timestamp: self.at.0,
            epoch: self.epoch.0,
            kind,
            schema: VERSION,
            payload: &payload,
        };
        frame.encode(into);
    }

    /// Reads a word; one of another version is refused, what is none makes no sense.
    pub(super) fn read(frame: FrameRef<'_>) -> Result<Self, Parted> {
        if frame.schema() != VERSION {
            return Err(Parted::Refused(format!(
                "it speaks version {} of the link, this build {VERSION}: run the same build on \
                 both nodes, the standby's first",
                frame.schema()
            )));
        }
        let read = || {
            let (history, payload) = frame.payload().split_first_chunk()?;
            let says = says(frame.kind(), frame.sequence(), payload)?;
            Some((HistoryId(u64::from_le_bytes(*history)), says))
        };
        let nonsense = || Parted::Wrong(format!("a word of kind {}", frame.kind()));
        let (history, says) = read().ok_or_else(nonsense)?;
        Ok(Self { history, epoch: Epoch(frame.epoch()), at: Nanos(frame.timestamp()), says })
    }
}

impl Says {
    /// Appends the payload; the frame's kind and sequence.
    fn put(&self, payload: &mut Vec<u8>) -> (u16, u64) {
        match self {
            Self::Hello { stands_by, logic, newest, last, terms } => {
                payload.extend([u8::from(*stands_by), logic.len() as u8]);
                payload.extend(logic.as_bytes());
                payload.extend(newest.to_le_bytes());
                put_terms(payload, terms);
                (HELLO, last.0)
            }
            Self::Welcome { agreed, segment_bytes, checksum, terms } => {
                payload.extend(segment_bytes.to_le_bytes());
                payload.extend(checksum.to_le_bytes());
                put_terms(payload, terms);
                (WELCOME, agreed.0)
            }
            Self::Refused { last, why } => {
                let end = why.floor_char_boundary(TEXT_BYTES_MAX);
                payload.extend(&why.as_bytes()[..end]);
                (REFUSED, last.0)
            }
            Self::Recovers => (RECOVERS, 0),
            Self::Beat { journaled } => (BEAT, journaled.0),
            Self::TakeOver { last } => (TAKE_OVER, last.0),
            Self::Have { journaled, synced, applied, heard } => {
                for number in [synced.0, applied.0, heard.0] {
                    payload.extend(number.to_le_bytes());
                }
                (HAVE, journaled.0)
            }
            Self::Behind { first } => (BEHIND, first.0),
            Self::Copy { logic, segment } => {
                payload.extend(logic.as_bytes());
                (COPY, segment.unwrap_or_default())
            }
            Self::File { store, bytes, name } => {
                payload.push(*store);
                payload.extend(name.as_bytes());
                (FILE, *bytes)
            }
            Self::Piece { at, bytes } => {
                payload.extend(bytes);
                (PIECE, *at)
            }
            Self::Whole { terms } => {
                put_terms(payload, terms);
                (WHOLE, 0)
            }
        }
    }
}

fn says(kind: u16, number: u64, payload: &[u8]) -> Option<Says> {
    let sequence = Sequence(number);
    Some(match kind {
        HELLO => {
            let (&[stands_by @ 0..=1, length], rest) = payload.split_first_chunk()? else {
                return None;
            };
            let (logic, rest) = rest.split_at_checked(length.into())?;
            let (newest, terms) = rest.split_first_chunk()?;
            let (stands_by, logic) = (stands_by == 1, text(logic)?);
            let (newest, terms) = (u32::from_le_bytes(*newest), parse_terms(terms)?);
            Says::Hello { stands_by, logic, newest, last: sequence, terms }
        }
        WELCOME => {
            let (segment_bytes, rest) = payload.split_first_chunk()?;
            let (checksum, terms) = rest.split_first_chunk()?;
            Says::Welcome {
                agreed: sequence,
                segment_bytes: u64::from_le_bytes(*segment_bytes),
                checksum: u32::from_le_bytes(*checksum),
                terms: parse_terms(terms)?,
            }
        }
        REFUSED => {
            Says::Refused { last: sequence, why: String::from_utf8_lossy(payload).into_owned() }
        }
        RECOVERS if payload.is_empty() => Says::Recovers,
        BEAT if payload.is_empty() => Says::Beat { journaled: sequence },
        TAKE_OVER if payload.is_empty() => Says::TakeOver { last: sequence },
        BEHIND if payload.is_empty() => Says::Behind { first: sequence },
        HAVE => {
            let ([synced, applied, heard], []) = payload.as_chunks::<8>() else { return None };
            Says::Have {
                journaled: sequence,
                synced: Sequence(u64::from_le_bytes(*synced)),
                applied: Sequence(u64::from_le_bytes(*applied)),
                heard: Nanos(u64::from_le_bytes(*heard)),
            }
        }
        COPY => Says::Copy { logic: text(payload)?, segment: (number > 0).then_some(number) },
        FILE => {
            let (&store, name) = payload.split_first()?;
            Says::File { store, bytes: number, name: text(name)? }
        }
        PIECE => Says::Piece { at: number, bytes: payload.to_vec() },
        WHOLE => Says::Whole { terms: parse_terms(payload)? },
        _ => return None,
    })
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use ringframe_journal::frame::{Decoded, decode};

    use super::*;

    #[test]
    fn every_word_comes_back_and_none_cut_short_does() {
        let terms = vec![Term { epoch: Epoch(1), first: Sequence(1) }];
        let words = [
            Says::Hello {
                stands_by: true,
                logic: "exchange".into(),
                newest: 2,
                last: Sequence(9),
                terms: terms.clone(),
            },
            Says::Welcome {
                agreed: Sequence(7),
                segment_bytes: 1 << 20,
                checksum: 0x1234_5678,
                terms: terms.clone(),
            },
            Says::Refused { last: Sequence(3), why: "läuft nicht".into() },
            Says::Beat { journaled: Sequence(5) },
            Says::TakeOver { last: Sequence(6) },
            Says::Have {
                journaled: Sequence(4),
                synced: Sequence(3),
                applied: Sequence(2),
                heard: Nanos(1),
            },
            Says::Behind { first: Sequence(8) },
            Says::Copy { logic: "exchange".into(), segment: None },
            Says::Copy { logic: "exchange".into(), segment: Some(9) },
            Says::File { store: 2, bytes: 1 << 20, name: "0000000001.segment".into() },
            Says::Piece { at: 4096, bytes: vec![1, 2, 3] },
            Says::Whole { terms },
            Says::Recovers,
        ];
        for says in words {
            let word = Word { history: HistoryId(5), epoch: Epoch(3), at: Nanos(77), says };
            let mut bytes = Vec::new();
            word.put(&mut bytes);
            let Decoded::Frame(frame) = decode(&bytes) else { panic!("{word:?}") };
            assert!(is_word(frame.kind()));
            assert_eq!(Word::read(frame).unwrap(), word);
            let payload = &frame.payload()[8..];
            for length in 0..payload.len() {
                let cut = says_of(frame.kind(), &payload[..length]);
                assert_ne!(cut, Some(word.says.clone()), "{length} bytes");
            }
        }
    }

    fn says_of(kind: u16, payload: &[u8]) -> Option<Says> {
        says(kind, 9, payload)
    }
}
