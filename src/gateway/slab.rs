//! The connections there are, by tokens that are not used twice for different ones.

use super::connection::Connection;
use crate::net::Stream;

/// Places of connections. A token is a place, and how often the place was given away.
pub(super) struct Slab<S: Stream> {
    places: Vec<Place<S>>,
    free: Vec<usize>,
}

struct Place<S: Stream> {
    uses: u32,
    connection: Option<Box<Connection<S>>>,
}

impl<S: Stream> Slab<S> {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn add(&mut self, make: impl FnOnce(u64) -> Connection<S>) -> u64 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { uses: 0, connection: None });
            self.places.len() - 1
        });
        let slot = &mut self.places[place];
        slot.uses = slot.uses.wrapping_add(1);
        let token = u64::from(slot.uses) << 32 | place as u64;
        slot.connection = Some(Box::new(make(token)));
        token
    }

    pub(super) fn get(&mut self, token: u64) -> Option<&mut Connection<S>> {
        let place = self.places.get_mut(token as u32 as usize)?;
        place.connection.as_deref_mut().filter(|it| it.token == token)
    }

    pub(super) fn remove(&mut self, token: u64) -> Option<Box<Connection<S>>> {
        self.get(token)?;
        let place = token as u32 as usize;
        self.free.push(place);
        self.places[place].connection.take()
    }

    /// The token at a place, to look at all of them while they may go.
    pub(super) fn at(&self, place: usize) -> Option<u64> {
        self.places.get(place)?.connection.as_ref().map(|it| it.token)
    }

    pub(super) fn places(&self) -> usize {
        self.places.len()
    }
}
