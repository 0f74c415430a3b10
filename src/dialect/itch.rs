//! ITCH 5.0 of the exchange: the displayed book, trade by trade. `docs/PROTOCOLS.md` says what a
//! reader can rely on.

use serde::{Deserialize, Serialize};

use super::since_midnight;
use crate::exchange::command::{State, Terms};
use crate::exchange::event::{self, Event, OrderId, Venue};
use crate::exchange::ids::{Side, Symbol};
use crate::types::Nanos;
use crate::wire::itch::{self, Header, Message};
use crate::wire::layout::{Alpha, U48};

/// What the market is told. It follows the events from the first on, and knows the stocks and how
/// far the day is, no orders: saved at any event, it goes on from there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Market {
    /// By the instrument's number.
    stocks: Vec<Stock>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stock {
    symbol: Symbol,
    lot: u32,
    state: State,
}

/// How far the day is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
                let Terms { symbol, lot, .. } = added.terms;
                self.stocks.push(Stock { symbol, lot, state: State::Closed });
                tell(directory(at(locate(instrument)), symbol, lot));
                tell(action(at(locate(instrument)), symbol, State::Closed));
            }
            Event::InstrumentChanged(changed) => {
                self.begin(time, Phase::Started, &mut tell);
                let instrument = changed.instrument as u16;
                let Terms { symbol, lot, .. } = changed.terms;
                if let Some(stock) = self.stocks.get_mut(usize::from(instrument)) {
                    stock.lot = lot;
                }
                tell(directory(at(locate(instrument)), symbol, lot));
            }
            Event::StateChanged(changed) => {
                let phase = match changed.to {
                    State::Closed => Phase::Started,
                    State::Open => Phase::Open,
                    _ => Phase::System,
                };
                self.begin(time, phase, &mut tell);
                if let Some(stock) = self.stocks.get_mut(usize::from(changed.instrument)) {
                    stock.state = changed.to;
                }
                tell(action(at(locate(changed.instrument)), changed.symbol, changed.to));
            }
            Event::Accepted(new) => self.add(of(&new.order), &Stay::of(new), tell),
            Event::Replaced(replaced) => self.replace(of(&replaced.new.order), replaced, tell),
            Event::Rested(rested) => self.rest(of(&rested.order), rested, tell),
            Event::Canceled(it) => {
                tell_reduced(of(&it.order), &it.order, it.shown, it.displayed, tell);
            }
            Event::Modified(it) => {
                tell_reduced(of(&it.order), &it.order, it.shown, it.displayed, tell);
            }
            Event::Traded(traded) if traded.venue == Venue::Continuous => {
                tell(self.trade(of(&traded.maker), traded));
            }
            Event::Traded(traded) => {
                let both =
                    [(&traded.maker, traded.maker_shown), (&traded.taker, traded.taker_shown)];
                for (order, shown) in both {
                    tell_traded_in_cross(of(order), traded, order, shown, &mut tell);
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
            for (locate, stock) in stocks() {
                tell(directory(header(locate, time), stock.symbol, stock.lot));
            }
            for (locate, stock) in stocks() {
                tell(action(header(locate, time), stock.symbol, stock.state));
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
    }

    fn add(&self, header: Header, stay: &Stay, mut tell: impl FnMut(Message)) {
        if stay.shares > 0 {
            let added = itch::Added {
                header,
                reference: stay.order.reference.into(),
                side: if stay.side.is_buy() { itch::Side::BUY } else { itch::Side::SELL },
                shares: stay.shares.into(),
                stock: Alpha(self.symbol(stay.order.instrument).0),
                price: stay.price.into(),
            };
            tell(added.into());
        }
    }

    fn replace(&self, header: Header, replaced: &event::Replaced, mut tell: impl FnMut(Message)) {
        let new = Stay::of(&replaced.new);
        let old = replaced.old_reference;
        if replaced.old_shown == 0 {
            self.add(header, &new, tell);
        } else if new.shares == 0 {
            tell(itch::Deleted { header, reference: old.into() }.into());
        } else {
            tell(moved(header, old, &new));
        }
    }

    /// An iceberg that traded in an auction shows a new slice while the old one is still seen.
    fn rest(&self, header: Header, rested: &event::Rested, mut tell: impl FnMut(Message)) {
        let event::Rested { order, price, displayed: shares, side, .. } = *rested;
        let new = Stay { order, side, shares, price };
        if rested.old_shown == 0 {
            self.add(header, &new, tell);
        } else {
            tell(moved(header, order.reference.saturating_sub(REFRESH), &new));
        }
    }

    fn trade(&self, header: Header, traded: &event::Traded) -> Message {
        let match_number = traded.match_number.into();
        if traded.maker_hidden == 0 {
            let reference = traded.maker.reference.into();
            let shares = traded.maker_shown.into();
            return itch::Executed { header, reference, shares, match_number }.into();
        }
        itch::Traded {
            header,
            reference: 0.into(),
            side: itch::Side::BUY,
            shares: traded.quantity.into(),
            stock: Alpha(self.symbol(traded.maker.instrument).0),
            price: traded.price.into(),
            match_number,
        }
        .into()
    }

    fn cross(&self, header: Header, crossed: &event::Crossed) -> Message {
        itch::Crossed {
            header,
            shares: crossed.volume.into(),
            stock: Alpha(self.symbol(crossed.instrument).0),
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

    /// Blank for a number that nobody added.
    fn symbol(&self, instrument: u16) -> Symbol {
        let stock = self.stocks.get(usize::from(instrument));
        stock.map(|stock| stock.symbol).unwrap_or_default()
    }
}

/// What is seen of an order that takes a place in the displayed book.
struct Stay {
    order: OrderId,
    side: Side,
    shares: u32,
    price: u32,
}

impl Stay {
    fn of(new: &event::Accepted) -> Self {
        let event::Accepted { order, side, displayed: shares, price, .. } = *new;
        Self { order, side, shares, price }
    }
}

/// So many shares that were seen went, so many are seen still.
fn tell_reduced(
    header: Header,
    order: &OrderId,
    gone: u32,
    left: u32,
    mut tell: impl FnMut(Message),
) {
    let reference = order.reference.into();
    if gone > 0 {
        tell(if left == 0 {
            itch::Deleted { header, reference }.into()
        } else {
            itch::Reduced { header, reference, shares: gone.into() }.into()
        });
    }
}

/// What is not seen of the order is in the cross's own message, which counts for volumes.
fn tell_traded_in_cross(
    header: Header,
    traded: &event::Traded,
    order: &OrderId,
    shown: u32,
    tell: &mut impl FnMut(Message),
) {
    if shown > 0 {
        let executed = itch::Executed {
            header,
            reference: order.reference.into(),
            shares: shown.into(),
            match_number: traded.match_number.into(),
        };
        let printable = itch::Flag::NO;
        let price = traded.price.into();
        tell(itch::ExecutedAtPrice { executed, printable, price }.into());
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

fn moved(header: Header, old: u64, to: &Stay) -> Message {
    itch::Replaced {
        header,
        old: old.into(),
        new: to.order.reference.into(),
        shares: to.shares.into(),
        price: to.price.into(),
    }
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

fn directory(header: Header, symbol: Symbol, lot: u32) -> Message {
    let round_lots_only = if lot > 1 { itch::Flag::YES } else { itch::Flag::NO };
    itch::StockDirectory {
        header,
        stock: Alpha(symbol.0),
        category: itch::Category::NONE,
        finances: itch::Finances::NONE,
        round_lot: lot.into(),
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
