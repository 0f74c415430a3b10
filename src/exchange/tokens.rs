//! Every token of the day has a number, in order of arrival, and keeps it: the log holds tokens by
//! number, the index finds numbers by token, and nothing is removed from either before the day
//! ends. So a token is never executed twice, and an order's number is its reference.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use super::chunks::Chunks;
use super::ids::Token;
use super::orders::NONE;
use crate::prefetch::prefetch;

/// One used token.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Entry {
    pub(super) token: Token,
    pub(super) session: u16,
    pub(super) marks: u16,
    /// Where the order is; [`NONE`] when it is none, or none any more.
    pub(super) slot: u32,
}

const _: () = assert!(size_of::<Entry>() == 20);

/// A session's token, hashed once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    token: Token,
    session: u16,
    hash: u64,
}

impl Key {
    #[inline]
    pub(super) fn new(session: u16, token: Token) -> Self {
        let low = (u64::from(token.middle) << 32) | u64::from(token.low);
        let high = (u64::from(session) << 32) | u64::from(token.high);
        let wide =
            u128::from(low ^ 0x9E37_79B9_7F4A_7C15) * u128::from(high ^ 0xD1B5_4A32_D192_ED03);
        // Without the sum, a factor of 0 would send every token that has it to one place.
        let folded = (wide as u64 ^ (wide >> 64) as u64).wrapping_add(high);
        let hash = folded.wrapping_mul(0x2545_F491_4F6C_DD1D);
        Self { token, session, hash: hash ^ (hash >> 29) }
    }

    #[inline]
    pub(super) fn token(&self) -> Token {
        self.token
    }

    #[inline]
    pub(super) fn session(&self) -> u16 {
        self.session
    }

    #[inline]
    fn tag(&self) -> u16 {
        self.hash as u16
    }

    #[inline]
    fn bucket(&self, buckets: usize) -> usize {
        ((u128::from(self.hash) * buckets as u128) >> 64) as usize
    }

    #[inline]
    fn is(&self, entry: &Entry) -> bool {
        entry.token == self.token && entry.session == self.session
    }
}

const BUCKET: usize = 10;

/// As many numbers as a cache line holds, each with 16 bits of its hash.
#[derive(Clone, Copy, Debug, FromZeros, KnownLayout)]
#[repr(C, align(64))]
struct Bucket {
    numbers: [u32; BUCKET],
    tags: [u16; BUCKET],
    used: u16,
}

impl Bucket {
    /// A bit for each place that may hold the key's number. No branch depends on where it is.
    #[inline]
    fn places(&self, key: &Key) -> u32 {
        let mut places = 0;
        for (place, &tag) in self.tags.iter().enumerate() {
            places |= u32::from(tag == key.tag()) << place;
        }
        places & ((1 << self.used) - 1)
    }
}

/// Buckets that overflow into the next one. Nothing is ever removed, so a search ends at the first
/// bucket with room.
#[derive(Clone, Debug, Default)]
struct Table {
    buckets: Box<[Bucket]>,
    used: usize,
    /// While nothing is in it: buckets whose memory was brought in.
    touched: usize,
}

/// Buckets that lie in one page of memory.
const PAGE_BUCKETS: usize = 4096 / size_of::<Bucket>();

impl Table {
    /// How many buckets these fill as far as is good.
    fn buckets_for(tokens: usize) -> usize {
        (tokens * 5 / 4 / BUCKET + 1).max(64)
    }

    fn with_room_for(tokens: usize) -> Self {
        // Zeroed by the system, page by page, when each is first used.
        let buckets = <[Bucket]>::new_box_zeroed_with_elems(Self::buckets_for(tokens));
        Self { buckets: buckets.expect("memory for a larger index"), used: 0, touched: 0 }
    }

    /// Brings the next page of an empty table in, or says that all are there. Tokens lie anywhere,
    /// so without this the first few would bring in all of them at once: a pause.
    fn touch(&mut self) -> bool {
        let Some(bucket) = self.buckets.get_mut(self.touched) else { return false };
        *std::hint::black_box(bucket) = Bucket::new_zeroed();
        self.touched += PAGE_BUCKETS;
        true
    }

    /// Full enough to begin the next one.
    #[inline]
    fn is_crowded(&self) -> bool {
        self.used * 5 >= self.buckets.len() * BUCKET * 4
    }

    #[inline]
    fn add(&mut self, key: &Key, number: u32) {
        let mut at = key.bucket(self.buckets.len());
        loop {
            let bucket = &mut self.buckets[at];
            let used = bucket.used as usize;
            if used < BUCKET {
                bucket.numbers[used] = number;
                bucket.tags[used] = key.tag();
                bucket.used += 1;
                self.used += 1;
                return;
            }
            at = if at + 1 == self.buckets.len() { 0 } else { at + 1 };
        }
    }
}

/// The day's tokens.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    log: Chunks<Entry>,
    table: Table,
    /// The larger table that takes over once it holds all of the log.
    next: Option<Table>,
}

impl Default for Tokens {
    fn default() -> Self {
        let mut tokens =
            Self { log: Chunks::default(), table: Table::with_room_for(0), next: None };
        tokens.clear();
        tokens
    }
}

/// How many tokens move to a larger table with each new one.
const MOVED_PER_TOKEN: usize = 8;
/// How far ahead of an entry its line of the index is loaded.
const INDEX_AHEAD: u32 = 16;

impl Tokens {
    /// How many there are; the last one's number too.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.log.len() - 1
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.log.len() >= NONE as usize - 1
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> &Entry {
        self.log.get(number)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> &mut Entry {
        self.log.get_mut(number)
    }

    /// Whether the number is a live order's.
    #[inline]
    pub(super) fn is_live(&self, number: u32) -> bool {
        self.get(number).slot != NONE
    }

    /// Takes the room for this many tokens now rather than later.
    pub(super) fn reserve(&mut self, tokens: usize) {
        self.log.reserve(tokens + 1);
        if Table::buckets_for(tokens) <= self.table.buckets.len() {
            return;
        }
        self.table = Table::with_room_for(tokens.max(self.log.len()));
        // A write brings each page in now; as it came, it is only promised.
        self.table
            .buckets
            .iter_mut()
            .for_each(|bucket| *std::hint::black_box(bucket) = Bucket::new_zeroed());
        self.next = None;
        self.index_log();
    }

    pub(super) fn bytes(&self) -> usize {
        let buckets = self.table.buckets.len() + self.next.as_ref().map_or(0, |t| t.buckets.len());
        self.log.bytes() + buckets * size_of::<Bucket>()
    }

    /// The number of a token that was used today.
    #[inline]
    pub(super) fn find(&self, key: &Key) -> Option<u32> {
        let mut at = key.bucket(self.table.buckets.len());
        loop {
            let bucket = &self.table.buckets[at];
            let mut places = bucket.places(key);
            while places != 0 {
                let number = bucket.numbers[places.trailing_zeros() as usize % BUCKET];
                if key.is(self.log.get(number)) {
                    return Some(number);
                }
                places &= places - 1;
            }
            if (bucket.used as usize) < BUCKET {
                return None;
            }
            at = if at + 1 == self.table.buckets.len() { 0 } else { at + 1 };
        }
    }

    /// The number that [`Tokens::find`] will most likely give, without looking at the log.
    #[inline]
    pub(super) fn guess(&self, key: &Key) -> Option<u32> {
        let bucket = &self.table.buckets[key.bucket(self.table.buckets.len())];
        let places = bucket.places(key);
        (places != 0).then(|| bucket.numbers[places.trailing_zeros() as usize % BUCKET])
    }

    /// Uses the token up: the next number is its own.
    #[inline]
    pub(super) fn add(&mut self, key: &Key, marks: u16, slot: u32) -> u32 {
        let number = self.log.len() as u32;
        self.log.push(Entry { token: key.token, session: key.session, marks, slot });
        self.table.add(key, number);
        if self.next.is_some() || self.table.is_crowded() {
            self.move_on();
        }
        number
    }

    /// Brings the larger table's memory in, a page with each new token, then fills it from the log,
    /// a few with each, and changes over when it holds as many.
    #[cold]
    fn move_on(&mut self) {
        let next = self
            .next
            .get_or_insert_with(|| Table::with_room_for(self.table.buckets.len() * BUCKET * 2));
        if next.touch() {
            return;
        }
        let last = self.log.len() - 1;
        for number in (next.used + 1..=last).take(MOVED_PER_TOKEN) {
            let entry = self.log.get(number as u32);
            next.add(&Key::new(entry.session, entry.token), number as u32);
        }
        if next.used == last
            && let Some(next) = self.next.take()
        {
            self.table = next;
        }
    }

    /// A line of the index is far from the one before it, so each is asked for well ahead.
    fn index_log(&mut self) {
        let key = |log: &Chunks<Entry>, number| {
            let entry = log.get(number);
            Key::new(entry.session, entry.token)
        };
        let len = self.log.len() as u32;
        for number in 1..len {
            let ahead = number + INDEX_AHEAD;
            if ahead < len {
                self.prefetch(&key(&self.log, ahead));
            }
            self.table.add(&key(&self.log, number), number);
        }
    }

    /// Forgets them all; the room stays.
    pub(super) fn clear(&mut self) {
        self.log.clear();
        // Number 0 is nobody's.
        self.log.push(Entry { token: Token::default(), session: 0, marks: 0, slot: NONE });
        self.next = None;
        self.table.used = 0;
        for bucket in &mut self.table.buckets {
            bucket.used = 0;
        }
    }

    /// The line that [`Tokens::find`] reads first.
    #[inline]
    pub(super) fn prefetch(&self, key: &Key) {
        prefetch(&self.table.buckets[key.bucket(self.table.buckets.len())]);
    }
}

/// The log is the state; the index follows from it.
impl Serialize for Tokens {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.log.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let log = Chunks::<Entry>::deserialize(deserializer)?;
        if log.len() == 0 {
            return Err(D::Error::custom("a token log without its number 0"));
        }
        let mut tokens = Self { table: Table::with_room_for(log.len()), log, next: None };
        tokens.index_log();
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A client chooses its tokens. One line of the index for many of them is slow for everybody.
    #[test]
    fn tokens_fall_apart_where_the_hash_is_weakest() {
        let low = 0x9E37_79B9_7F4A_7C15_u64;
        for (middle, low) in [(0, 0), (u32::MAX, u32::MAX), ((low >> 32) as u32, low as u32)] {
            let places: BTreeSet<usize> = (0..1_000)
                .map(|high| Key::new(1, Token { high, middle, low }).bucket(1 << 20))
                .collect();
            assert!(places.len() > 990, "1000 tokens in {} places", places.len());
        }
    }
}
