//! The live orders: one slot each, from acceptance to its end, whether it is linked in a queue or
//! just coming in. What every order has is in 32 bytes; what few have is aside.

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::chunks::Chunks;
use super::ids::Side;

/// No order, no extra, no neighbour.
pub(super) const NONE: u32 = u32::MAX;

/// What every live order has.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Order {
    /// The one behind it in its queue; in a free slot, the next free slot.
    pub(super) next: u32,
    /// The one before it in its queue.
    pub(super) prev: u32,
    /// Its limit in ticks; 0 for a market order.
    pub(super) tick: u32,
    /// Its open shares, the reserve included.
    pub(super) open: u32,
    /// What traded since it was first entered, replaces included.
    pub(super) executed: u32,
    /// Its token's number.
    pub(super) number: u32,
    /// What few orders have, or [`NONE`].
    pub(super) extra: u32,
    pub(super) instrument: u16,
    /// Two bits of side, and the flags below.
    pub(super) flags: u16,
}

const _: () = assert!(size_of::<Order>() == 32);

/// What icebergs and stops have.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Extra {
    /// An iceberg's slice that can trade now; in a free slot, the next free slot.
    pub(super) slice: u32,
    /// How many shares an iceberg shows at a time; 0 for an order that is none.
    pub(super) display: u32,
    /// How often it was shown anew.
    pub(super) refreshes: u32,
    /// What wakes it, in ticks; 0 for an order that is no stop, or woke up.
    pub(super) stop: u32,
}

impl Order {
    const SIDE: u16 = 3;
    /// Behind all displayed orders of its price.
    pub(super) const HIDDEN: u16 = 4;
    /// At what there is.
    pub(super) const MARKET: u16 = 8;
    /// A stop that sleeps.
    pub(super) const PARKED: u16 = 16;
    /// It stands in a queue.
    pub(super) const LINKED: u16 = 64;

    #[inline]
    pub(super) fn has(&self, flags: u16) -> bool {
        self.flags & flags != 0
    }

    #[inline]
    pub(super) fn side(&self) -> Side {
        match self.flags & Self::SIDE {
            0 => Side::Buy,
            1 => Side::Sell,
            2 => Side::Short,
            _ => Side::ShortExempt,
        }
    }

    #[inline]
    pub(super) fn is_buy(&self) -> bool {
        self.flags & Self::SIDE == Side::Buy as u16
    }

    pub(super) fn set_side(&mut self, side: Side) {
        self.flags = (self.flags & !Self::SIDE) | side as u16;
    }
}

/// The slots.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    slots: Chunks<Order>,
    free: u32,
    live: u32,
    extras: Chunks<Extra>,
    free_extra: u32,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            slots: Chunks::default(),
            free: NONE,
            live: 0,
            extras: Chunks::default(),
            free_extra: NONE,
        }
    }
}

impl Orders {
    /// How many there are.
    #[inline]
    pub(super) fn live(&self) -> u32 {
        self.live
    }

    /// Whether one more has no slot.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.free == NONE && self.slots.len() >= NONE as usize - 1
    }

    pub(super) fn reserve(&mut self, orders: usize) {
        self.slots.reserve(orders);
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.bytes() + self.extras.bytes()
    }

    #[inline]
    pub(super) fn get(&self, slot: u32) -> &Order {
        self.slots.get(slot)
    }

    /// The order that a slot has or had; `None` for a slot that never was.
    #[inline]
    pub(super) fn find(&self, slot: u32) -> Option<&Order> {
        ((slot as usize) < self.slots.len()).then(|| self.slots.get(slot))
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Order {
        self.slots.get_mut(slot)
    }

    /// Gives the order a slot.
    #[inline]
    pub(super) fn add(&mut self, order: Order) -> u32 {
        self.live += 1;
        let slot = self.free;
        if slot == NONE {
            self.slots.push(order);
            return self.slots.len() as u32 - 1;
        }
        let place = self.slots.get_mut(slot);
        self.free = place.next;
        *place = order;
        slot
    }

    /// Gives the slot back.
    #[inline]
    pub(super) fn remove(&mut self, slot: u32) {
        let order = self.slots.get_mut(slot);
        let extra = std::mem::replace(&mut order.extra, NONE);
        order.next = self.free;
        self.free = slot;
        self.live -= 1;
        if extra != NONE {
            self.extras.get_mut(extra).slice = self.free_extra;
            self.free_extra = extra;
        }
    }

    /// Gives `extra` a place, for [`Order::extra`].
    pub(super) fn add_extra(&mut self, extra: Extra) -> u32 {
        let place = self.free_extra;
        if place == NONE {
            self.extras.push(extra);
            return self.extras.len() as u32 - 1;
        }
        self.free_extra = self.extras.get(place).slice;
        *self.extras.get_mut(place) = extra;
        place
    }

    #[inline]
    pub(super) fn extra(&self, order: &Order) -> Option<&Extra> {
        (order.extra != NONE).then(|| self.extras.get(order.extra))
    }

    #[inline]
    pub(super) fn extra_mut(&mut self, slot: u32) -> Option<&mut Extra> {
        let extra = self.slots.get(slot).extra;
        (extra != NONE).then(|| self.extras.get_mut(extra))
    }

    /// The shares that can trade before its queue moves on: all, but for an iceberg.
    #[inline]
    pub(super) fn slice(&self, order: &Order) -> u32 {
        match self.extra(order) {
            Some(extra) if extra.display > 0 => extra.slice,
            _ => order.open,
        }
    }

    /// The shares that the market sees.
    #[inline]
    pub(super) fn displayed(&self, order: &Order) -> u32 {
        if order.has(Order::HIDDEN | Order::MARKET | Order::PARKED) || !order.has(Order::LINKED) {
            return 0;
        }
        self.slice(order)
    }

    /// The market's name of the order.
    #[inline]
    pub(super) fn reference(&self, order: &Order) -> u64 {
        let refreshes = self.extra(order).map_or(0, |extra| extra.refreshes);
        (u64::from(refreshes) << 32) | u64::from(order.number)
    }

    /// Takes `quantity` shares out of the order, an iceberg's reserve first.
    pub(super) fn reduce(&mut self, slot: u32, quantity: u32) {
        let order = self.get_mut(slot);
        order.open -= quantity;
        let open = order.open;
        if let Some(extra) = self.extra_mut(slot) {
            extra.slice = extra.slice.min(open);
        }
    }

    /// Takes `quantity` shares that traded out of the order and its slice.
    #[inline]
    pub(super) fn execute(&mut self, slot: u32, quantity: u32) {
        let order = self.slots.get_mut(slot);
        order.open -= quantity;
        order.executed += quantity;
        if order.extra != NONE {
            let extra = self.extras.get_mut(order.extra);
            extra.slice = extra.slice.saturating_sub(quantity);
        }
    }
}
