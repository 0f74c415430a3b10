//! ITCH 5.0 of the exchange: the displayed book, trade by trade. `docs/PROTOCOLS.md` says what a
//! reader can rely on.

use super::{Symbols, since_midnight};
use crate::exchange::command::{State, Terms};
use crate::exchange::event::{self, Event, OrderId, Venue};
use crate::exchange::ids::{Side, Symbol};
use crate::types::Nanos;
use crate::wire::itch::{self, Header, Message};
use crate::wire::layout::{Alpha, U48};

/// What the market is told. It follows the events from the first on.
#[derive(Clone, Debug, Default)]
pub struct Market {
    symbols: Symbols,
    stocks: Vec<(Terms, State)>,
    displayed: Displayed,
    phase: Phase,
}

/// How far the day is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Nothing was said yet.
    #[default]
    Before,
    /// Messages started.
    Started,
    /// A stock was let out of its closed state.
    System,
    /// A stock was open.
    Open,
}

/// How many shares of each order the market sees, by the day's number of its token, which are the
/// lower half of a reference: dense, and of one stay in the book at a time.
#[derive(Clone, Debug, Default)]
struct Displayed(Vec<u32>);

impl Displayed {
    fn get(&self, reference: u64) -> u32 {
        self.0.get(reference as u32 as usize).copied().unwrap_or_default()
    }

    /// Says how many there were.
    fn set(&mut self, reference: u64, shares: u32) -> u32 {
        let place = reference as u32 as usize;
        if place >= self.0.len() {
            if shares == 0 {
                return 0;
            }
            self.0.resize(place + 1, 0);
        }
        std::mem::replace(&mut self.0[place], shares)
    }
}

/// An iceberg's next stay in the book.
const REFRESH: u64 = 1 << 32;

impl Market {
    /// Tells what the market sees of the event; `time` is its command's.
    pub fn on_event(&mut self, event: &Event, time: Nanos, mut tell: impl FnMut(Message)) {
        let at = |locate: u16| header(locate, time);
        let of = |order: &OrderId| header(locate(order.instrument), time);
        match event {
            Event::InstrumentAdded(added) => {
                self.begin(time, Phase::Started, &mut tell);
                let instrument = added.instrument as u16;
                self.symbols.add(instrument, added.terms.symbol);
                self.stocks.push((added.terms, State::Closed));
                tell(directory(at(locate(instrument)), &added.terms));
                tell(action(at(locate(instrument)), added.terms.symbol, State::Closed));
            }
            Event::InstrumentChanged(changed) => {
                self.begin(time, Phase::Started, &mut tell);
                let instrument = changed.instrument as u16;
                if let Some((terms, _)) = self.stocks.get_mut(usize::from(instrument)) {
                    *terms = changed.terms;
                }
                tell(directory(at(locate(instrument)), &changed.terms));
            }
            Event::StateChanged(changed) => {
                let phase = match changed.to {
                    State::Closed => Phase::Started,
                    State::Open => Phase::Open,
                    _ => Phase::System,
                };
                self.begin(time, phase, &mut tell);
                if let Some((_, state)) = self.stocks.get_mut(usize::from(changed.instrument)) {
                    *state = changed.to;
                }
                tell(action(at(locate(changed.instrument)), changed.symbol, changed.to));
            }
            Event::Accepted(new) => {
                self.add(of(&new.order), &new.order, new.side, new.displayed, new.price, tell);
            }
            Event::Replaced(replaced) => self.replace(of(&replaced.new.order), replaced, tell),
            Event::Rested(rested) => self.rest(of(&rested.order), rested, tell),
            Event::Canceled(canceled) => {
                self.reduce(of(&canceled.order), &canceled.order, canceled.displayed, tell);
            }
            Event::Modified(modified) => {
                self.reduce(of(&modified.order), &modified.order, modified.displayed, tell);
            }
            Event::Traded(traded) if traded.venue == Venue::Continuous => {
                self.trade(of(&traded.maker), traded, tell);
            }
            Event::Traded(traded) => {
                for order in [&traded.maker, &traded.taker] {
                    self.trade_in_cross(of(order), traded, order, &mut tell);
                }
            }
            Event::Crossed(crossed) => tell(self.cross(at(locate(crossed.instrument)), crossed)),
            Event::DayEnded(_) => self.end(time, tell),
            Event::Triggered(_)
            | Event::MassCanceled(_)
            | Event::ParticipantSet(_)
            | Event::SessionSet(_)
            | Event::Killed(_) => {}
        }
    }

    /// Says what of the day begins with this phase and those before it. After the first day the
    /// stocks are known already, and a new day's readers are not: they are said again.
    fn begin(&mut self, time: Nanos, phase: Phase, tell: &mut impl FnMut(Message)) {
        if self.phase < Phase::Started {
            tell(system(itch::Day::MESSAGES_START, time));
            let stocks = || (0..).map(locate).zip(&self.stocks);
            for (locate, (terms, _)) in stocks() {
                tell(directory(header(locate, time), terms));
            }
            for (locate, (terms, state)) in stocks() {
                tell(action(header(locate, time), terms.symbol, *state));
            }
        }
        if self.phase < Phase::System && phase >= Phase::System {
            tell(system(itch::Day::SYSTEM_START, time));
        }
        if self.phase < Phase::Open && phase >= Phase::Open {
            tell(system(itch::Day::MARKET_OPEN, time));
        }
        self.phase = self.phase.max(phase);
    }

    /// All stocks are closed, and no order is left.
    fn end(&mut self, time: Nanos, mut tell: impl FnMut(Message)) {
        if self.phase >= Phase::Open {
            tell(system(itch::Day::MARKET_CLOSE, time));
        }
        if self.phase >= Phase::System {
            tell(system(itch::Day::SYSTEM_END, time));
        }
        if self.phase >= Phase::Started {
            tell(system(itch::Day::MESSAGES_END, time));
        }
        self.phase = Phase::Before;
        self.displayed.0.clear();
    }

    fn add(
        &mut self,
        header: Header,
        order: &OrderId,
        side: Side,
        shares: u32,
        price: u32,
        mut tell: impl FnMut(Message),
    ) {
        self.displayed.set(order.reference, shares);
        if shares > 0 {
            let added = itch::Added {
                header,
                reference: order.reference.into(),
                side: if side.is_buy() { itch::Side::BUY } else { itch::Side::SELL },
                shares: shares.into(),
                stock: Alpha(self.symbols.get(order.instrument).0),
                price: price.into(),
            };
            tell(added.into());
        }
    }

    fn replace(
        &mut self,
        header: Header,
        replaced: &event::Replaced,
        mut tell: impl FnMut(Message),
    ) {
        let new = &replaced.new;
        let old = replaced.old_reference;
        if self.displayed.set(old, 0) == 0 {
            return self.add(header, &new.order, new.side, new.displayed, new.price, tell);
        }
        self.displayed.set(new.order.reference, new.displayed);
        tell(if new.displayed == 0 {
            itch::Deleted { header, reference: old.into() }.into()
        } else {
            moved(header, old, &new.order, new.displayed, new.price)
        });
    }

    /// An iceberg that traded in an auction shows a new slice while the old one is still seen.
    fn rest(&mut self, header: Header, rested: &event::Rested, mut tell: impl FnMut(Message)) {
        let event::Rested { order, price, displayed, side, .. } = *rested;
        if self.displayed.get(order.reference) == 0 {
            return self.add(header, &order, side, displayed, price, tell);
        }
        self.displayed.set(order.reference, displayed);
        let old = order.reference.saturating_sub(REFRESH);
        tell(moved(header, old, &order, displayed, price));
    }

    /// So many shares of the order are seen from now on.
    fn reduce(
        &mut self,
        header: Header,
        order: &OrderId,
        displayed: u32,
        mut tell: impl FnMut(Message),
    ) {
        let reference = order.reference.into();
        let gone = self.displayed.get(order.reference).saturating_sub(displayed);
        if gone == 0 {
            return;
        }
        self.displayed.set(order.reference, displayed);
        tell(if displayed == 0 {
            itch::Deleted { header, reference }.into()
        } else {
            itch::Reduced { header, reference, shares: gone.into() }.into()
        });
    }

    /// Takes what traded of what is seen of the order; says how many shares that were.
    fn take(&mut self, order: &OrderId, quantity: u32) -> u32 {
        let seen = self.displayed.get(order.reference);
        let gone = seen.min(quantity);
        self.displayed.set(order.reference, seen - gone);
        gone
    }

    fn trade(&mut self, header: Header, traded: &event::Traded, mut tell: impl FnMut(Message)) {
        let match_number = traded.match_number.into();
        let shares = self.take(&traded.maker, traded.quantity).into();
        if traded.maker_hidden == 0 {
            let reference = traded.maker.reference.into();
            tell(itch::Executed { header, reference, shares, match_number }.into());
        } else {
            let hidden = itch::Traded {
                header,
                reference: 0.into(),
                side: itch::Side::BUY,
                shares: traded.quantity.into(),
                stock: Alpha(self.symbols.get(traded.maker.instrument).0),
                price: traded.price.into(),
                match_number,
            };
            tell(hidden.into());
        }
    }

    /// What is not seen of the order is in the cross's own message, which counts for volumes.
    fn trade_in_cross(
        &mut self,
        header: Header,
        traded: &event::Traded,
        order: &OrderId,
        tell: &mut impl FnMut(Message),
    ) {
        let shares = self.take(order, traded.quantity);
        if shares > 0 {
            let executed = itch::Executed {
                header,
                reference: order.reference.into(),
                shares: shares.into(),
                match_number: traded.match_number.into(),
            };
            let printable = itch::Flag::NO;
            let price = traded.price.into();
            tell(itch::ExecutedAtPrice { executed, printable, price }.into());
        }
    }

    fn cross(&self, header: Header, crossed: &event::Crossed) -> Message {
        itch::Crossed {
            header,
            shares: crossed.volume.into(),
            stock: Alpha(self.symbols.get(crossed.instrument).0),
            price: crossed.price.into(),
            match_number: crossed.match_number.into(),
            cross: match crossed.venue {
                Venue::Closing => itch::Cross::CLOSING,
                Venue::Halt => itch::Cross::HALT,
                Venue::Opening | Venue::Continuous => itch::Cross::OPENING,
            },
        }
        .into()
    }
}

/// 0 is for messages of no stock; the exchange has at most 65,535 instruments.
const fn locate(instrument: u16) -> u16 {
    instrument.saturating_add(1)
}

fn header(locate: u16, time: Nanos) -> Header {
    let time = U48::new(since_midnight(time));
    Header { locate: locate.into(), tracking: 0.into(), time }
}

fn system(event: itch::Day, time: Nanos) -> Message {
    itch::SystemEvent { header: header(0, time), event }.into()
}

fn moved(header: Header, old: u64, new: &OrderId, shares: u32, price: u32) -> Message {
    let new = new.reference.into();
    itch::Replaced { header, old: old.into(), new, shares: shares.into(), price: price.into() }
        .into()
}

fn action(header: Header, symbol: Symbol, state: State) -> Message {
    itch::TradingAction {
        header,
        stock: Alpha(symbol.0),
        state: match state {
            State::Closed | State::Halted => itch::State::HALTED,
            State::PreOpen | State::PreClose => itch::State::QUOTING,
            State::Open => itch::State::TRADING,
        },
        reserved: b' ',
        reason: Alpha::BLANK,
    }
    .into()
}

fn directory(header: Header, terms: &Terms) -> Message {
    let round_lots_only = if terms.lot > 1 { itch::Flag::YES } else { itch::Flag::NO };
    itch::StockDirectory {
        header,
        stock: Alpha(terms.symbol.0),
        category: itch::Category::NONE,
        finances: itch::Finances::NONE,
        round_lot: terms.lot.into(),
        round_lots_only,
        class: itch::Class::COMMON,
        subtype: Alpha(*b"Z "),
        authenticity: itch::Authenticity::PRODUCTION,
        short_sale_threshold: itch::Flag::NONE,
        new_issue: itch::Flag::NONE,
        tier: itch::Tier::NONE,
        tracks: itch::Flag::NONE,
        leverage: 0.into(),
        inverse: itch::Flag::NO,
    }
    .into()
}
