//! Queues of orders by price. A ladder knows no side: it is ordered by *rank*, and a lower rank is
//! better. Asks rank by their tick, bids by its complement, so that one code serves both.
//!
//! ```text
//! pages, in order of rank     one page: 64 neighbouring ranks
//! ┌──────────┬──────────┬─    ┌──────┬──────┬─ ─ ─┬──────┐   each level: first and last order of
//! │ 64 bits  │ 64 bits  │     │level │level │     │level │   a list in order of time
//! └──────────┴──────────┴─    └──────┴──────┴─ ─ ─┴──────┘
//! ```
//!
//! A bit per level and a bit per page find the next better level without touching the levels; there
//! is no tree to walk and nothing to rebalance.

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::orders::{NONE, Order, Orders};
use crate::prefetch::prefetch;

/// A list of orders in order of time.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub(super) struct Queue {
    head: u32,
    tail: u32,
}

impl Queue {
    pub(super) const EMPTY: Self = Self { head: NONE, tail: NONE };

    /// The oldest order.
    #[inline]
    pub(super) fn first(self) -> Option<u32> {
        (self.head != NONE).then_some(self.head)
    }

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.head == NONE
    }

    /// Puts the order last.
    #[inline]
    pub(super) fn push(&mut self, slot: u32, orders: &mut Orders) {
        let tail = std::mem::replace(&mut self.tail, slot);
        let order = orders.get_mut(slot);
        order.prev = tail;
        order.next = NONE;
        order.flags |= Order::LINKED;
        if tail == NONE {
            self.head = slot;
        } else {
            orders.get_mut(tail).next = slot;
        }
    }

    /// Takes the order out, wherever it stands.
    #[inline]
    pub(super) fn unlink(&mut self, slot: u32, orders: &mut Orders) {
        let order = orders.get_mut(slot);
        let (prev, next) = (order.prev, order.next);
        order.flags &= !Order::LINKED;
        if prev == NONE {
            self.head = next;
        } else {
            orders.get_mut(prev).next = next;
        }
        if next == NONE {
            self.tail = prev;
        } else {
            orders.get_mut(next).prev = prev;
        }
    }

    /// The newest order.
    #[inline]
    pub(super) fn last(self) -> Option<u32> {
        (self.tail != NONE).then_some(self.tail)
    }

    /// Its orders, oldest first.
    pub(super) fn iter<'a>(&self, orders: &'a Orders) -> impl Iterator<Item = (u32, &'a Order)> {
        let mut slot = self.head;
        std::iter::from_fn(move || {
            let order = (slot != NONE).then(|| orders.get(slot))?;
            Some((std::mem::replace(&mut slot, order.next), order))
        })
    }
}

/// Takes an order out that has one before it and one behind it.
#[inline]
fn unlink_between(slot: u32, orders: &mut Orders) {
    let order = orders.get_mut(slot);
    let (prev, next) = (order.prev, order.next);
    order.flags &= !Order::LINKED;
    orders.get_mut(prev).next = next;
    orders.get_mut(next).prev = prev;
}

/// No level is there.
pub(super) const EMPTY: u32 = u32::MAX;

const LEVELS: u32 = 64;

type Page = [Queue; LEVELS as usize];

/// At least so many pages are asked for at a time: 32 KiB.
const PAGES_MORE: usize = 64;

/// Queues by rank; a cache line, and what is seldom needed aside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(align(64))]
pub(super) struct Ladder {
    /// The lowest rank that has an order.
    best: u32,
    /// The first page that `index` speaks of.
    base: u32,
    /// For each page from `base` on, what is in it.
    index: Vec<Span>,
    #[serde(with = "page_bytes")]
    pages: Vec<Page>,
    cold: Box<Cold>,
}

const _: () = assert!(size_of::<Ladder>() == 64);

/// 64 neighbouring ranks.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Span {
    /// Which of them have orders.
    ranks: u64,
    /// Where their page is; [`NONE`] when none has orders.
    place: u32,
}

impl Span {
    const EMPTY: Self = Self { ranks: 0, place: NONE };
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Cold {
    /// A bit for each span that has orders.
    summary: Vec<u64>,
    /// Pages that wait for a span.
    free: Vec<u32>,
}

impl Default for Ladder {
    fn default() -> Self {
        Self { best: EMPTY, base: 0, index: Vec::new(), pages: Vec::new(), cold: Box::default() }
    }
}

impl Ladder {
    /// The best rank that has an order, or [`EMPTY`].
    #[inline]
    pub(super) fn best(&self) -> u32 {
        self.best
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.best == EMPTY
    }

    /// The oldest order of the best level.
    #[inline]
    pub(super) fn first(&self) -> Option<u32> {
        if self.is_empty() { None } else { self.level(self.best).first() }
    }

    #[inline]
    fn span(&self, rank: u32) -> Option<&Span> {
        self.index.get((rank / LEVELS).wrapping_sub(self.base) as usize)
    }

    /// The level of any rank.
    pub(super) fn queue(&self, rank: u32) -> Queue {
        match self.span(rank) {
            Some(&Span { place, .. }) if place != NONE => {
                self.pages[place as usize][(rank % LEVELS) as usize]
            }
            _ => Queue::EMPTY,
        }
    }

    /// The level of a rank that has orders.
    #[inline]
    fn level(&self, rank: u32) -> &Queue {
        let place = self.index[(rank / LEVELS - self.base) as usize].place;
        &self.pages[place as usize][(rank % LEVELS) as usize]
    }

    /// Puts the order last in its level.
    #[inline]
    pub(super) fn push(&mut self, rank: u32, slot: u32, orders: &mut Orders) {
        let place = match self.span(rank) {
            Some(&Span { place, .. }) if place != NONE => place,
            _ => self.open_page(rank / LEVELS),
        };
        let queue = &mut self.pages[place as usize][(rank % LEVELS) as usize];
        if queue.is_empty() {
            let page = (rank / LEVELS - self.base) as usize;
            self.index[page].ranks |= 1 << (rank % LEVELS);
            self.best = self.best.min(rank);
        }
        queue.push(slot, orders);
    }

    /// Takes the order out of its level.
    #[inline]
    pub(super) fn unlink(&mut self, rank: u32, slot: u32, orders: &mut Orders) {
        let order = orders.get(slot);
        if order.prev != NONE && order.next != NONE {
            // Between two others the level need not be touched.
            return unlink_between(slot, orders);
        }
        let page = (rank / LEVELS - self.base) as usize;
        let place = self.index[page].place;
        let queue = &mut self.pages[place as usize][(rank % LEVELS) as usize];
        queue.unlink(slot, orders);
        if queue.is_empty() {
            self.empty_level(rank, page);
        }
    }

    /// The best rank after this one that has an order, or [`EMPTY`].
    #[inline]
    pub(super) fn after(&self, rank: u32) -> u32 {
        let page = (rank / LEVELS - self.base) as usize;
        let level = rank % LEVELS;
        let rest = self.index[page].ranks & (u64::MAX << level) & !(1 << level);
        if rest != 0 {
            return (self.base + page as u32) * LEVELS + rest.trailing_zeros();
        }
        self.first_from_page(page + 1)
    }

    /// Its orders, from the best level on, each level in order of time.
    pub(super) fn iter<'a>(&'a self, orders: &'a Orders) -> impl Iterator<Item = (u32, &'a Order)> {
        let mut rank = self.best;
        std::iter::from_fn(move || {
            let level = (rank != EMPTY).then(|| self.level(rank))?;
            rank = self.after(rank);
            Some(level.iter(orders))
        })
        .flatten()
    }

    /// Starts loading the level that an order of this rank joins.
    #[inline]
    pub(super) fn prefetch(&self, rank: u32) {
        if let Some(span) = self.span(rank)
            && let Some(page) = self.pages.get(span.place as usize)
        {
            prefetch(&page[(rank % LEVELS) as usize]);
        }
    }

    /// The last order of a level.
    #[inline]
    pub(super) fn tail(&self, rank: u32) -> Option<u32> {
        self.queue(rank).last()
    }

    /// Every level with its rank, found without the bits, which are checked on the way.
    pub(super) fn assert_levels(&self) -> Vec<(u32, Queue)> {
        let mut levels = Vec::new();
        for (page, span) in self.index.iter().enumerate() {
            let bit = self.cold.summary[page / 64] >> (page % 64) & 1 == 1;
            assert_eq!(bit, span.ranks != 0, "a bit for each span that has orders");
            assert_eq!(bit, span.place != NONE, "a page for each span that has orders");
            if !bit {
                continue;
            }
            for (level, &queue) in (0..).zip(&self.pages[span.place as usize]) {
                let bit = span.ranks >> level & 1 == 1;
                assert_eq!(bit, !queue.is_empty(), "a bit for each level that has orders");
                if bit {
                    levels.push(((self.base + page as u32) * LEVELS + level, queue));
                }
            }
        }
        assert_eq!(self.best, levels.first().map_or(EMPTY, |each| each.0), "the best is the first");
        levels
    }

    pub(super) fn bytes(&self) -> usize {
        self.pages.capacity() * size_of::<Page>() + self.index.capacity() * size_of::<Span>()
    }

    #[inline]
    fn empty_level(&mut self, rank: u32, page: usize) {
        let span = &mut self.index[page];
        span.ranks &= !(1 << (rank % LEVELS));
        let rest = span.ranks;
        if rest == 0 {
            self.cold.free.push(std::mem::replace(&mut span.place, NONE));
            self.cold.summary[page / 64] &= !(1 << (page % 64));
        }
        if rank == self.best {
            // Nothing is better than the best, so what is left here is behind it.
            self.best = if rest != 0 {
                (self.base + page as u32) * LEVELS + rest.trailing_zeros()
            } else {
                self.first_from_page(page + 1)
            };
        }
    }

    fn first_from_page(&self, page: usize) -> u32 {
        let summary = &self.cold.summary;
        let Some(&word) = summary.get(page / 64) else { return EMPTY };
        let mut at = page / 64;
        let mut word = word & (u64::MAX << (page % 64));
        while word == 0 {
            at += 1;
            match summary.get(at) {
                Some(&next) => word = next,
                None => return EMPTY,
            }
        }
        let page = at * 64 + word.trailing_zeros() as usize;
        (self.base + page as u32) * LEVELS + self.index[page].ranks.trailing_zeros()
    }

    /// Makes a page for ranks that have none, and says where it is.
    #[cold]
    fn open_page(&mut self, page: u32) -> u32 {
        self.cover(page);
        let place = self.cold.free.pop().unwrap_or_else(|| {
            if self.pages.len() == self.pages.capacity() {
                // Room for the neighbourhood too, and for all pages to be free at once, so that a
                // price that wanders asks for memory seldom.
                self.pages.reserve(PAGES_MORE);
                self.cold.free.reserve(self.pages.capacity());
            }
            self.pages.push([Queue::EMPTY; LEVELS as usize]);
            self.pages.len() as u32 - 1
        });
        let page = (page - self.base) as usize;
        self.index[page].place = place;
        self.cold.summary[page / 64] |= 1 << (page % 64);
        place
    }

    /// Makes the index speak of this page too.
    fn cover(&mut self, page: u32) {
        if self.is_empty() && self.index.get(page.wrapping_sub(self.base) as usize).is_none() {
            // It begins anew where the prices are.
            self.base = page / 64 * 64;
            self.index.clear();
            self.cold.summary.clear();
        }
        if page < self.base {
            let base = page / 64 * 64;
            let more = (self.base - base) as usize;
            self.index.splice(0..0, std::iter::repeat_n(Span::EMPTY, more));
            self.cold.summary.splice(0..0, std::iter::repeat_n(0, more / 64));
            self.base = base;
        }
        let pages = ((page - self.base) as usize + 1).next_multiple_of(64);
        if pages > self.index.len() {
            self.index.resize(pages, Span::EMPTY);
            self.cold.summary.resize(pages / 64, 0);
        }
    }
}

/// Pages as the bytes that they are.
mod page_bytes {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use serde_bytes::ByteBuf;
    use zerocopy::{FromBytes, IntoBytes};

    use super::Page;

    pub(super) fn serialize<S: Serializer>(pages: &[Page], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(pages.as_bytes())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Page>, D::Error> {
        let bytes = ByteBuf::deserialize(from)?;
        bytes
            .chunks(size_of::<Page>())
            .map(Page::read_from_bytes)
            .collect::<Result<_, _>>()
            .map_err(|_| D::Error::custom("bytes that are no pages of levels"))
    }
}
