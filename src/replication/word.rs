//! What two nodes say to each other besides the journal's frames. A word is a frame, too: its epoch
//! is the speaker's, its time the speaker's clock, its sequence what the word is about.

use ringframe_journal::{Frame, FrameRef};

use super::epochs::{Term, parse_terms, put_terms};
use crate::types::{Epoch, Nanos, Sequence};

/// No command of a journal has a kind from here on but the one that closes a segment.
const FIRST: u16 = 0xFF00;
const HELLO: u16 = FIRST;
const WELCOME: u16 = FIRST + 1;
const REFUSED: u16 = FIRST + 2;
const BEAT: u16 = FIRST + 3;
const HAVE: u16 = FIRST + 4;
const TAKE_OVER: u16 = FIRST + 5;
/// Of all words; another one is refused by its number.
const VERSION: u16 = 1;
/// A text is cut here.
const TEXT_BYTES_MAX: usize = 1024;

/// A word, with who said it when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// The speaker's.
    pub(super) epoch: Epoch,
    pub(super) at: Nanos,
    pub(super) says: Says,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// The follower's first word: whose journal it has, and how much of it; and whether replies may
    /// wait for it.
    Hello { stands_by: bool, logic: String, last: Sequence, terms: Vec<Term> },
    /// The leader's answer: what both have, and how segments are cut.
    Welcome { agreed: Sequence, segment_bytes: u64, terms: Vec<Term> },
    /// The other answer, and the last word: why, and how much the one has that refuses.
    Refused { last: Sequence, why: String },
    /// The leader is there, and has journaled so much.
    Beat { journaled: Sequence },
    /// The follower has so much; and the leader's time that it heard last, for who measures.
    Have { journaled: Sequence, synced: Sequence, applied: Sequence, heard: Nanos },
    /// The leader orders nothing behind this command any more: the follower is to lead.
    TakeOver { last: Sequence },
}

/// Whether the frame is a word and none of the journal's.
pub(super) fn is_word(kind: u16) -> bool {
    kind >= FIRST
}

impl Word {
    pub(super) fn put(&self, into: &mut Vec<u8>) {
        let mut payload = Vec::new();
        let (kind, sequence) = match &self.says {
            Says::Hello { stands_by, logic, last, terms } => {
                payload.extend([u8::from(*stands_by), logic.len() as u8]);
                payload.extend(logic.as_bytes());
                put_terms(&mut payload, terms);
                (HELLO, *last)
            }
            Says::Welcome { agreed, segment_bytes, terms } => {
                payload.extend(segment_bytes.to_le_bytes());
                put_terms(&mut payload, terms);
                (WELCOME, *agreed)
            }
            Says::Refused { last, why } => {
                let end = why.floor_char_boundary(TEXT_BYTES_MAX);
                payload.extend(&why.as_bytes()[..end]);
                (REFUSED, *last)
            }
            Says::Beat { journaled } => (BEAT, *journaled),
            Says::TakeOver { last } => (TAKE_OVER, *last),
            Says::Have { journaled, synced, applied, heard } => {
                for number in [synced.0, applied.0, heard.0] {
                    payload.extend(number.to_le_bytes());
                }
                (HAVE, *journaled)
            }
        };
        let frame = Frame {
            sequence: sequence.0,
            timestamp: self.at.0,
            epoch: self.epoch.0,
            kind,
            schema: VERSION,
            payload: &payload,
        };
        frame.encode(into);
    }

    /// Reads a word; an error says what is wrong with it.
    pub(super) fn read(frame: FrameRef<'_>) -> Result<Self, String> {
        if frame.schema() != VERSION {
            return Err(format!(
                "it speaks version {} of the link, this build {VERSION}: run the same build on \
                 both nodes, the standby's first",
                frame.schema()
            ));
        }
        let says = says(frame.kind(), Sequence(frame.sequence()), frame.payload());
        let says = says.ok_or_else(|| format!("a word of kind {} makes no sense", frame.kind()))?;
        Ok(Self { epoch: Epoch(frame.epoch()), at: Nanos(frame.timestamp()), says })
    }
}

fn says(kind: u16, sequence: Sequence, payload: &[u8]) -> Option<Says> {
    Some(match kind {
        HELLO => {
            let (&[stands_by @ 0..=1, length], rest) = payload.split_first_chunk()? else {
                return None;
            };
            let (logic, terms) = rest.split_at_checked(length.into())?;
            let logic = String::from_utf8(logic.to_vec()).ok()?;
            let stands_by = stands_by == 1;
            Says::Hello { stands_by, logic, last: sequence, terms: parse_terms(terms)? }
        }
        WELCOME => {
            let (segment_bytes, terms) = payload.split_first_chunk()?;
            Says::Welcome {
                agreed: sequence,
                segment_bytes: u64::from_le_bytes(*segment_bytes),
                terms: parse_terms(terms)?,
            }
        }
        REFUSED => {
            Says::Refused { last: sequence, why: String::from_utf8_lossy(payload).into_owned() }
        }
        BEAT if payload.is_empty() => Says::Beat { journaled: sequence },
        TAKE_OVER if payload.is_empty() => Says::TakeOver { last: sequence },
        HAVE => {
            let ([synced, applied, heard], []) = payload.as_chunks::<8>() else { return None };
            Says::Have {
                journaled: sequence,
                synced: Sequence(u64::from_le_bytes(*synced)),
                applied: Sequence(u64::from_le_bytes(*applied)),
                heard: Nanos(u64::from_le_bytes(*heard)),
            }
        }
        _ => return None,
    })
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
                last: Sequence(9),
                terms: terms.clone(),
            },
            Says::Welcome { agreed: Sequence(7), segment_bytes: 1 << 20, terms },
            Says::Refused { last: Sequence(3), why: "läuft nicht".into() },
            Says::Beat { journaled: Sequence(5) },
            Says::TakeOver { last: Sequence(6) },
            Says::Have {
                journaled: Sequence(4),
                synced: Sequence(3),
                applied: Sequence(2),
                heard: Nanos(1),
            },
        ];
        for says in words {
            let word = Word { epoch: Epoch(3), at: Nanos(77), says };
            let mut bytes = Vec::new();
            word.put(&mut bytes);
            let Decoded::Frame(frame) = decode(&bytes) else { panic!("{word:?}") };
            assert!(is_word(frame.kind()));
            assert_eq!(Word::read(frame), Ok(word.clone()));
            if let Says::Refused { .. } = word.says {
                continue;
            }
            for length in 0..frame.payload().len() {
                let cut = says_of(frame.kind(), &frame.payload()[..length]);
                assert_ne!(cut, Some(word.says.clone()), "{length} bytes");
            }
        }
    }

    fn says_of(kind: u16, payload: &[u8]) -> Option<Says> {
        says(kind, Sequence(9), payload)
    }
}
