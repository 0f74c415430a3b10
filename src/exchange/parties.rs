//! Who may trade: participants with their limits and what they have, sessions with what they have
//! open.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::command::{SelfTrade, SetParticipant, SetSession};
use super::reject::Why;
use super::tokens::Tokens;
use crate::types::Nanos;

/// One who trades, under one or several sessions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Participant {
    pub(super) terms: SetParticipant,
    pub(super) killed: bool,
    /// How many live orders it has.
    pub(super) live: u32,
    /// When the next entry would be on time, if they came evenly.
    due: u64,
    /// Nanoseconds between two entries at the full rate; 0 for any rate. It follows from the terms,
    /// but a division for each entry is not cheap.
    gap: u64,
}

impl Participant {
    fn new(terms: SetParticipant) -> Self {
        let mut participant = Self { terms, killed: false, live: 0, due: 0, gap: 0 };
        participant.become_like(terms);
        participant
    }

    fn become_like(&mut self, terms: SetParticipant) {
        self.terms = terms;
        self.gap = Nanos::SECOND.checked_div(u64::from(terms.rate)).unwrap_or(0);
    }

    /// Whether one more entry is too many now.
    #[inline]
    pub(super) fn is_too_fast(&self, now: Nanos) -> bool {
        let ahead = u64::from(self.terms.burst.max(1) - 1) * self.gap;
        self.terms.rate != 0 && self.due > now.after(ahead).0
    }

    /// Counts an entry.
    #[inline]
    pub(super) fn entered(&mut self, now: Nanos) {
        if self.terms.rate != 0 {
            self.due = Nanos(self.due.max(now.0)).after(self.gap).0;
        }
    }
}

/// What a participant has in one instrument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Exposure {
    /// Bought less sold.
    pub(super) position: i64,
    /// Open shares of buys.
    pub(super) buying: u64,
    /// Open shares of sells.
    pub(super) selling: u64,
}

/// No position goes beyond this, open orders included, so that no sum of them overflows.
const POSITION_MAX: u64 = 1 << 61;

impl Exposure {
    /// Whether an order of this many more shares could take the position too far.
    #[inline]
    pub(super) fn is_too_much(&self, is_buy: bool, quantity: u32, limit: u64) -> bool {
        let (position, open) =
            if is_buy { (self.position, self.buying) } else { (-self.position, self.selling) };
        let limit = if limit == 0 { POSITION_MAX } else { limit.min(POSITION_MAX) };
        position + open.cast_signed() + i64::from(quantity) > limit.cast_signed()
    }

    #[inline]
    pub(super) fn open(&mut self, is_buy: bool, quantity: u32) {
        *self.side(is_buy) += u64::from(quantity);
    }

    #[inline]
    pub(super) fn close(&mut self, is_buy: bool, quantity: u32) {
        *self.side(is_buy) -= u64::from(quantity);
    }

    #[inline]
    pub(super) fn trade(&mut self, is_buy: bool, quantity: u32) {
        self.close(is_buy, quantity);
        self.position += if is_buy { i64::from(quantity) } else { -i64::from(quantity) };
    }

    fn side(&mut self, is_buy: bool) -> &mut u64 {
        if is_buy { &mut self.buying } else { &mut self.selling }
    }
}

/// One numbered conversation's side of the exchange.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) terms: SetSession,
    /// The participant's place.
    pub(super) place: u16,
    /// How many live orders it has.
    live: u32,
    /// The numbers of its orders: all live ones, and some that are not any more.
    numbers: VecDeque<u32>,
}

impl Session {
    /// Remembers a new order. Two old numbers are looked at for each new one, so dead ones never
    /// outnumber live ones for long, and no command pays for many.
    #[inline]
    pub(super) fn opened(&mut self, number: u32, tokens: &Tokens) {
        self.live += 1;
        if self.numbers.len() > 2 * self.live as usize + 16 {
            for _ in 0..2 {
                if let Some(old) = self.numbers.pop_front()
                    && tokens.is_live(old)
                {
                    self.numbers.push_back(old);
                }
            }
        }
        self.numbers.push_back(number);
    }

    #[inline]
    pub(super) fn closed(&mut self) {
        self.live -= 1;
    }

    /// How many live orders it has.
    pub(super) fn live(&self) -> u32 {
        self.live
    }

    /// Adds the numbers of its live orders, in no order, and forgets those of the others.
    pub(super) fn live_numbers(&mut self, tokens: &Tokens, into: &mut Vec<u32>) {
        self.numbers.retain(|&number| tokens.is_live(number));
        into.extend(&self.numbers);
    }

    /// The numbers of its live orders, and of some that are not any more.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.numbers.iter().copied()
    }

    pub(super) fn forget(&mut self) {
        self.numbers.clear();
    }

    pub(super) fn bytes(&self) -> usize {
        self.numbers.capacity() * size_of::<u32>()
    }
}

/// All of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Parties {
    participants: Vec<Participant>,
    /// The place of a participant, by its id; `None` where there is none.
    places: Vec<Option<u16>>,
    sessions: Vec<Option<Session>>,
}

impl Parties {
    /// Where the participant with this id is.
    pub(super) fn place(&self, participant: u16) -> Result<u16, Why> {
        self.places.get(participant as usize).copied().flatten().ok_or(Why::UnknownParticipant)
    }

    #[inline]
    pub(super) fn participant(&self, place: u16) -> &Participant {
        &self.participants[place as usize]
    }

    #[inline]
    pub(super) fn participant_mut(&mut self, place: u16) -> &mut Participant {
        &mut self.participants[place as usize]
    }

    #[inline]
    pub(super) fn session(&self, session: u16) -> Result<&Session, Why> {
        self.sessions.get(session as usize).and_then(Option::as_ref).ok_or(Why::UnknownSession)
    }

    /// The place of the session's participant; the session is known.
    #[inline]
    pub(super) fn owner(&self, session: u16) -> u16 {
        self.sessions[session as usize].as_ref().map_or(0, |session| session.place)
    }

    pub(super) fn session_mut(&mut self, session: u16) -> Option<&mut Session> {
        self.sessions.get_mut(session as usize)?.as_mut()
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().flatten()
    }

    pub(super) fn sessions_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.sessions.iter_mut().flatten()
    }

    #[inline]
    pub(super) fn self_trade(&self, place: u16) -> SelfTrade {
        self.participants[place as usize].terms.self_trade
    }

    pub(super) fn set_participant(&mut self, terms: SetParticipant) {
        if let Ok(place) = self.place(terms.participant) {
            self.participant_mut(place).become_like(terms);
            return;
        }
        let id = terms.participant as usize;
        if self.places.len() <= id {
            self.places.resize(id + 1, None);
        }
        self.places[id] = Some(self.participants.len() as u16);
        self.participants.push(Participant::new(terms));
    }

    pub(super) fn check_session(&self, terms: SetSession) -> Result<u16, Why> {
        let place = self.place(terms.participant)?;
        match self.session(terms.session) {
            Ok(session) if session.place != place => Err(Why::SessionOfAnother),
            _ => Ok(place),
        }
    }

    /// Says whether the session is a new one.
    pub(super) fn set_session(&mut self, terms: SetSession, place: u16) -> bool {
        let id = terms.session as usize;
        if self.sessions.len() <= id {
            self.sessions.resize(id + 1, None);
        }
        if let Some(session) = &mut self.sessions[id] {
            session.terms = terms;
            return false;
        }
        self.sessions[id] = Some(Session { terms, place, live: 0, numbers: VecDeque::new() });
        true
    }

    /// Counts a live order of the session.
    #[inline]
    pub(super) fn opened(&mut self, session: u16, number: u32, tokens: &Tokens) {
        if let Some(session) = self.sessions[session as usize].as_mut() {
            session.opened(number, tokens);
            self.participants[session.place as usize].live += 1;
        }
    }

    /// Counts one less.
    #[inline]
    pub(super) fn closed(&mut self, session: u16) {
        if let Some(session) = self.sessions[session as usize].as_mut() {
            session.closed();
            self.participants[session.place as usize].live -= 1;
        }
    }

    /// Panics unless sessions and participants count as many live orders as these.
    pub(super) fn assert_live(&self, by_session: &std::collections::BTreeMap<u16, u32>) {
        let mut by_place = vec![0; self.participants.len()];
        for session in self.sessions() {
            let live = by_session.get(&session.terms.session).copied().unwrap_or(0);
            assert_eq!(session.live, live, "live orders of session {}", session.terms.session);
            by_place[session.place as usize] += live;
        }
        let counts: Vec<u32> = self.participants.iter().map(|each| each.live).collect();
        assert_eq!(counts, by_place, "live orders of the participants");
    }
}
