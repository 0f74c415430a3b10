//! Flows shaped like those of real equities.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::path::Path;
use super::{Flow, Op, Recorder, Side, TICKS, any_quantity};
use crate::random::Random;

/// How the price moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regime {
    /// Not at all.
    Static,
    /// A geometric random walk that spreads about one percent; all others walk so too.
    Normal,
    /// Swings of 25 % from peak to trough.
    Swings25,
    /// Swings of 40 %.
    Swings40,
    /// A fall of 30 % within a hundredth of the flow, of which two thirds come back.
    FlashCrash,
}

impl Regime {
    /// All five.
    pub const ALL: [Self; 5] =
        [Self::Static, Self::Normal, Self::Swings25, Self::Swings40, Self::FlashCrash];

    /// What tables call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Normal => "normal",
            Self::Swings25 => "swings of 25 %",
            Self::Swings40 => "swings of 40 %",
            Self::FlashCrash => "flash crash",
        }
    }
}

/// A flow where 95 % of orders end canceled, the median after 0.2 ms (at [`super::NANOS`] a
/// command); a fifth is modified, 15 % are immediate, 2 % of cancels are sent again. Depth is a
/// power law with a hump near the touch.
///
/// When the price moves through resting orders, most of them are taken back before they trade:
/// that is how the middle gets anywhere. It cannot outrun the depth: a swing has to take back about
/// half of the resting orders, so leave room for that in the number of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Equity {
    /// How the price moves.
    pub regime: Regime,
    /// How many instruments, all traded alike.
    pub instruments: u16,
    /// How many orders rest, in all books together; at least a thousand.
    pub resting: u32,
    /// Another seed, another flow.
    pub seed: u64,
}

/// Of 100 orders so many are immediate …
const IMMEDIATE: u32 = 15;
/// … and of 100 others so many are replaced at half of their life.
const MODIFIED: u32 = 24;
/// Of 1000 immediate orders so many find something to trade with.
const HITTING: u32 = 160;
/// Of 1000 others so many reach the other side.
const REACHING: u32 = 8;
/// Lives are log-uniform between these powers of two, in commands.
const LIFE_LEAST: u32 = 3;
const LIFE_MOST: u32 = 12;
/// The power law reaches from 8 ticks to 4095, again powers of two.
const NEAREST: u32 = 3;
const FARTHEST: u32 = 12;

impl Equity {
    /// The flow: `resting` adds, then `commands`.
    pub fn flow(&self, commands: usize) -> Flow {
        let mut making = Making {
            equity: *self,
            random: Random::new(self.seed),
            recorder: Recorder::new(self.instruments),
            path: Path::new(self.regime, self.instruments, commands),
            due: BinaryHeap::new(),
        };
        for _ in 0..self.resting {
            making.fill();
        }
        let setup = std::mem::take(&mut making.recorder.ops);
        making.recorder.ops.reserve_exact(commands);
        while making.recorder.ops.len() < commands {
            making.next();
        }
        let name = format!("{} ×{} {}", self.regime.name(), self.instruments, self.resting);
        Flow { name, instruments: self.instruments, setup, ops: making.recorder.ops }
    }
}

struct Making {
    equity: Equity,
    random: Random,
    recorder: Recorder,
    path: Path,
    /// What orders of short life do next, the earliest first.
    due: BinaryHeap<Reverse<Due>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    /// After so many commands.
    at: usize,
    id: u32,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Modify { then: Option<usize> },
    Cancel,
    CancelAgain,
}

impl Making {
    /// One command, or none where an order that something was due for is gone.
    fn next(&mut self) {
        let done = self.recorder.ops.len();
        if self.due.peek().is_some_and(|Reverse(due)| due.at <= done) {
            let Reverse(due) = self.due.pop().expect("it was there");
            return self.act(due, done);
        }
        if self.random.chance(1, 32) {
            let live = self.recorder.market.live();
            let id = live[self.random.below(live.len() as u32) as usize];
            return self.cancel(id, done);
        }
        let instrument = self.any_instrument();
        let middle = self.path.step(instrument, done, &mut self.random);
        match self.stale(instrument, middle) {
            Some(id) if self.random.chance(3, 4) => self.cancel(id, done),
            _ if self.random.chance(IMMEDIATE, 100) => self.immediate(instrument, middle),
            _ => self.add(instrument, middle, done),
        }
    }

    fn act(&mut self, due: Due, done: usize) {
        let live = self.recorder.market.is_live(due.id);
        match due.what {
            What::CancelAgain => self.recorder.play(Op::Cancel { id: due.id }),
            What::Cancel if live => self.cancel(due.id, done),
            What::Modify { then } if live => {
                let new = self.modify(due.id, done);
                if let Some(at) = then {
                    self.due.push(Reverse(Due { at, id: new, what: What::Cancel }));
                }
            }
            What::Cancel | What::Modify { .. } => {}
        }
    }

    fn cancel(&mut self, id: u32, done: usize) {
        self.recorder.play(Op::Cancel { id });
        if self.random.chance(2, 100) {
            let at = done + 1 + self.random.below(64) as usize;
            self.due.push(Reverse(Due { at, id, what: What::CancelAgain }));
        }
    }

    /// The best order of a side that the middle has moved through.
    fn stale(&self, instrument: u16, middle: u32) -> Option<u32> {
        let market = &self.recorder.market;
        let side = if market.best(instrument, Side::Buy) >= middle {
            Side::Buy
        } else if market.best(instrument, Side::Sell) <= middle {
            Side::Sell
        } else {
            return None;
        };
        market.queue(instrument, side).next()
    }

    /// Most miss by a tick; the others take one order or two.
    fn immediate(&mut self, instrument: u16, middle: u32) {
        let side = Side::any(&mut self.random);
        if self.random.chance(HITTING, 1_000) {
            let orders = 1 + self.random.below(2) as usize;
            return self.recorder.sweep(instrument, side, orders);
        }
        let tick = self.behind(instrument, side, middle);
        let quantity = any_quantity(&mut self.random);
        self.recorder.add(instrument, side, tick, quantity, true);
    }

    fn add(&mut self, instrument: u16, middle: u32, done: usize) {
        let side = Side::any(&mut self.random);
        let stays = self.wants_depth();
        let wanted = self.any_tick(side, middle, stays);
        let tick = if self.random.chance(REACHING, 1_000) {
            self.at_touch(instrument, side, middle)
        } else {
            self.behind(instrument, side, wanted)
        };
        let quantity = any_quantity(&mut self.random);
        let id = self.recorder.add(instrument, side, tick, quantity, false);
        self.plan(id, stays, done);
    }

    /// Whether the next order stays until it trades or is in somebody's way: some do while there
    /// are less than wanted, and all while there are far less.
    fn wants_depth(&mut self) -> bool {
        let (live, wanted) = (self.recorder.market.live().len() as u32, self.equity.resting);
        live < wanted - wanted / 32 || (live < wanted && self.random.chance(1, 4))
    }

    /// Decides when an order is modified and canceled, if ever.
    fn plan(&mut self, id: u32, stays: bool, done: usize) {
        let life = self.log_uniform(LIFE_LEAST, LIFE_MOST) as usize;
        let end = (!stays).then_some(done + life);
        let due = if self.random.chance(MODIFIED, 100) {
            Due { at: done + life / 2, id, what: What::Modify { then: end } }
        } else if let Some(at) = end {
            Due { at, id, what: What::Cancel }
        } else {
            return;
        };
        self.due.push(Reverse(due));
    }

    /// Half of the modifications move the price, half change the quantity alone.
    fn modify(&mut self, old: u32, done: usize) -> u32 {
        let market = &self.recorder.market;
        let (instrument, side) = market.stands(old);
        let quantity = market.executed(old) + any_quantity(&mut self.random);
        let mut tick = market.tick(old);
        if self.random.chance(1, 2) {
            let middle = self.path.step(instrument, done, &mut self.random);
            let wanted = self.any_tick(side, middle, false);
            tick = self.behind(instrument, side, wanted);
        }
        self.recorder.replace(old, tick, quantity)
    }

    /// One of the orders that are there when the flow begins.
    fn fill(&mut self) {
        let instrument = self.any_instrument();
        let side = Side::any(&mut self.random);
        let wanted = self.any_tick(side, super::START, true);
        let quantity = any_quantity(&mut self.random);
        self.recorder.add(instrument, side, wanted, quantity, false);
    }

    fn any_instrument(&mut self) -> u16 {
        self.random.below(u32::from(self.equity.instruments)) as u16
    }

    /// A hump of a few ticks that falls to both sides, and behind it a power law, where most of the
    /// orders are that stay.
    fn any_tick(&mut self, side: Side, middle: u32, stays: bool) -> u32 {
        let away = if self.random.chance(if stays { 1 } else { 3 }, 4) {
            1 + self.random.below(8) + self.random.below(8)
        } else {
            self.log_uniform(NEAREST, FARTHEST)
        };
        match side {
            Side::Buy => middle - away,
            Side::Sell => middle + away,
        }
    }

    /// A number of at least 2^`least` and below 2^`most`, each power of two as likely as the next.
    fn log_uniform(&mut self, least: u32, most: u32) -> u32 {
        let power = 1 << (least + self.random.below(most - least));
        power + self.random.below(power)
    }

    /// The nearest tick to the wanted one that trades with nothing.
    fn behind(&self, instrument: u16, side: Side, wanted: u32) -> u32 {
        let touch = self.recorder.market.best(instrument, side.opposite());
        match side {
            Side::Buy => wanted.min(touch - 1),
            Side::Sell => wanted.max(touch + 1),
        }
    }

    /// The other side's best tick, or the middle where there is none.
    fn at_touch(&self, instrument: u16, side: Side, middle: u32) -> u32 {
        let touch = self.recorder.market.best(instrument, side.opposite());
        if (1..TICKS).contains(&touch) { touch } else { middle }
    }
}

#[cfg(test)]
mod tests {
    use super::super::recount::{Recount, near};
    use super::*;

    fn flow(regime: Regime, instruments: u16, resting: u32) -> Flow {
        Equity { regime, instruments, resting, seed: 7 }.flow(400_000)
    }

    #[test]
    fn every_regime_has_its_shares_and_its_size() {
        for regime in Regime::ALL {
            for (instruments, resting) in [(1, 1_000), (1, 10_000), (100, 10_000)] {
                let flow = flow(regime, instruments, resting);
                let name = &flow.name;
                let recount = Recount::of(&flow);
                let share = |count: usize, of: usize| count as f64 / of as f64;
                let ended = recount.ended_canceled + recount.ended_filled;
                near(name, "canceled", share(recount.ended_canceled, ended), 0.95, 0.015);
                near(name, "modified", share(recount.modified, recount.entered()), 0.20, 0.035);
                near(name, "immediate", share(recount.immediate, recount.entered()), 0.15, 0.005);
                let again = share(recount.void_cancels, recount.cancels);
                near(name, "canceled again", again, 0.02, 0.003);
                let wanted = f64::from(resting);
                near(name, "resting", recount.resting_mean(), wanted, wanted / 10.0);
            }
        }
    }

    #[test]
    fn the_median_life_is_below_a_millisecond() {
        let mut lives = Recount::of(&flow(Regime::Normal, 1, 10_000)).lives;
        lives.sort_unstable();
        let median = u64::from(lives[lives.len() / 2]) * super::super::NANOS;
        assert!((100_000..400_000).contains(&median), "{median} ns");
    }

    #[test]
    fn the_book_follows_its_regime() {
        for (regime, least, most) in [
            (Regime::Static, 0.0, 0.01),
            (Regime::Normal, 0.001, 0.05),
            (Regime::Swings25, 0.23, 0.29),
            (Regime::Swings40, 0.37, 0.44),
            (Regime::FlashCrash, 0.27, 0.36),
        ] {
            let (lowest, highest) = Recount::of(&flow(regime, 1, 10_000)).middles;
            let spread = f64::from(highest - lowest) / f64::from(super::super::START);
            assert!((least..most).contains(&spread), "{regime:?}: {lowest} to {highest}");
        }
    }

    /// Per tick: less at the touch than in the hump, and behind it half as much for twice as far.
    #[test]
    fn depth_has_a_hump_and_a_long_tail() {
        let depth = Recount::of(&flow(Regime::Static, 1, 100_000)).depth;
        let per_tick = |from: usize, to: usize| {
            f64::from(depth[from..to].iter().sum::<u32>()) / (to - from) as f64
        };
        assert!(per_tick(1, 3) < per_tick(6, 11), "{:?}", &depth[..24]);
        for power in 5..11 {
            let ratio = per_tick(1 << (power + 1), 1 << (power + 2))
                / per_tick(1 << power, 1 << (power + 1));
            assert!((0.4..0.6).contains(&ratio), "2^{power}: {ratio}");
        }
    }

    #[test]
    fn the_flows_stay_the_same() {
        let fingerprints = Regime::ALL.map(|regime| flow(regime, 1, 1_000).fingerprint());
        let known = [
            0x0919_f08f_6390_e603,
            0x2f0a_2e3d_dbd8_82c2,
            0xd2e1_800b_21cb_a9e3,
            0xce57_37c7_5bc1_e77a,
            0xc968_4ce9_700a_c96c,
        ];
        assert_eq!(fingerprints, known, "{fingerprints:#x?}");
    }
}
