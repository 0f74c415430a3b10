//! The owners of the book's orders: parties, the tokens that they named orders by, and what each
//! has in each instrument.

use serde::{Deserialize, Serialize};

use super::book::{Owner, Owners};
use super::command::SelfTrade;
use super::ids::Token;
use super::orders::NONE;
use super::parties::{Exposure, Parties};
use super::tokens::{Key, Tokens};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Accounts {
    pub(super) parties: Parties,
    pub(super) tokens: Tokens,
    /// By instrument, then by the participant's place.
    exposures: Vec<Vec<Exposure>>,
}

impl Accounts {
    /// What a participant has in an instrument.
    #[inline]
    pub(super) fn exposure(&self, instrument: u16, place: u16) -> Exposure {
        let all = self.exposures.get(instrument as usize);
        all.and_then(|all| all.get(place as usize)).copied().unwrap_or_default()
    }

    /// Everybody's in an instrument, by place.
    pub(super) fn exposures(&self, instrument: u16) -> &[Exposure] {
        self.exposures.get(instrument as usize).map_or(&[], Vec::as_slice)
    }

    #[inline]
    fn exposure_mut(&mut self, instrument: u16, place: u16) -> &mut Exposure {
        let (instrument, place) = (instrument as usize, place as usize);
        if self.exposures.get(instrument).is_none_or(|all| all.len() <= place) {
            self.make_room(instrument, place);
        }
        &mut self.exposures[instrument][place]
    }

    #[cold]
    fn make_room(&mut self, instrument: usize, place: usize) {
        if self.exposures.len() <= instrument {
            self.exposures.resize(instrument + 1, Vec::new());
        }
        self.exposures[instrument].resize(place + 1, Exposure::default());
    }

    /// A new order's token is used up, and its shares are open.
    #[inline]
    pub(super) fn open(
        &mut self,
        key: &Key,
        marks: u16,
        place: u16,
        (instrument, is_buy, quantity): (u16, bool, u32),
    ) -> u32 {
        let number = self.tokens.add(key, marks, NONE);
        self.parties.opened(key.session(), number, &self.tokens);
        self.exposure_mut(instrument, place).open(is_buy, quantity);
        number
    }

    /// Where the session's live order of this token is.
    #[inline]
    pub(super) fn slot(&self, session: u16, token: Token) -> Option<u32> {
        let number = self.tokens.find(&Key::new(session, token))?;
        Some(self.tokens.get(number).slot).filter(|&slot| slot != NONE)
    }

    /// The same, most likely, as far as a look at the index tells.
    #[inline]
    pub(super) fn guess(&self, session: u16, token: Token) -> Option<u32> {
        let number = self.tokens.guess(&Key::new(session, token))?;
        Some(self.tokens.get(number).slot).filter(|&slot| slot != NONE)
    }
}

impl Owners for Accounts {
    #[inline]
    fn owner(&self, number: u32) -> Owner {
        let entry = self.tokens.get(number);
        let place = self.parties.owner(entry.session);
        Owner { token: entry.token, session: entry.session, place }
    }

    #[inline]
    fn self_trade(&self, place: u16) -> SelfTrade {
        self.parties.self_trade(place)
    }

    #[inline]
    fn entered(&mut self, number: u32, slot: u32) {
        self.tokens.get_mut(number).slot = slot;
    }

    #[inline]
    fn traded(&mut self, instrument: u16, buyer: u16, seller: u16, quantity: u32) {
        self.exposure_mut(instrument, buyer).trade(true, quantity);
        self.exposure_mut(instrument, seller).trade(false, quantity);
    }

    #[inline]
    fn reduced(&mut self, place: u16, instrument: u16, is_buy: bool, quantity: u32) {
        self.exposure_mut(instrument, place).close(is_buy, quantity);
    }

    #[inline]
    fn ended(&mut self, number: u32, owner: Owner) {
        self.tokens.get_mut(number).slot = NONE;
        self.parties.closed(owner.session);
    }
}
