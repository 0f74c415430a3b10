//! Five plain mixes around a price that stands still: what order-book benches usually play.

use super::{Flow, Recorder, START, Side, any_quantity};
use crate::random::Random;

/// How many orders an immediate order meets: it takes all but the last whole, the last by half.
const SWEPT_LEAST: u32 = 2;
const SWEPT_MOST: u32 = 6;

/// As a rule, of 100 commands 55 add, 40 cancel a live order, 5 are immediate and sweep four orders
/// on average, so that as many orders go as come. Every resting order is as likely to be canceled
/// as any other, which keeps the books at their size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// What tables call it.
    pub name: &'static str,
    /// How many instruments, all traded alike.
    pub instruments: u16,
    /// How many orders rest, in all books together.
    pub resting: u32,
    /// Of 100 commands so many are replaces; the others keep their proportions.
    pub replaces: u32,
    /// Of 100 of the others so many are cancels, while as many orders rest as are meant to.
    pub cancels: u32,
    /// Of 100 of the others so many are immediate.
    pub takes: u32,
    /// Orders rest up to so many ticks from the middle, the nearer the more.
    pub width: u32,
}

impl Mix {
    /// One instrument, a book that fits any cache.
    pub const F1: Self = Self {
        name: "f1",
        instruments: 1,
        resting: 130,
        replaces: 0,
        cancels: 40,
        takes: 5,
        width: 64,
    };
    /// A hundred of those.
    pub const F100: Self = Self { name: "f100", instruments: 100, resting: 12_500, ..Self::F1 };
    /// One instrument, a fifth of the commands replaces.
    pub const FMOD: Self = Self { name: "fmod", replaces: 20, ..Self::F1 };
    /// One instrument, a deep book.
    pub const DEEP1: Self = Self { name: "deep1", resting: 136_000, width: 2_048, ..Self::F1 };
    /// A hundred deep books.
    pub const DEEP100: Self =
        Self { name: "deep100", instruments: 100, resting: 870_000, ..Self::DEEP1 };
    /// All five.
    pub const ALL: [Self; 5] = [Self::F1, Self::F100, Self::FMOD, Self::DEEP1, Self::DEEP100];
    /// How many commands a flow has at its full size.
    pub const COMMANDS: usize = 5_000_000;

    /// The flow: `resting` adds, then `commands` of the mix.
    pub fn flow(&self, commands: usize) -> Flow {
        let mut making = Making {
            mix: *self,
            random: Random::new(u64::from(self.resting)),
            recorder: Recorder::new(self.instruments),
        };
        for _ in 0..self.resting {
            making.add();
        }
        let setup = std::mem::take(&mut making.recorder.ops);
        making.recorder.ops.reserve_exact(commands);
        for _ in 0..commands {
            making.next();
        }
        let ops = making.recorder.ops;
        Flow { name: self.name.to_owned(), instruments: self.instruments, setup, ops }
    }
}

struct Making {
    mix: Mix,
    random: Random,
    recorder: Recorder,
}

impl Making {
    fn next(&mut self) {
        let live = self.recorder.market.live().len() as u32;
        if live > 0 && self.random.chance(self.mix.replaces, 100) {
            return self.replace();
        }
        let kind = self.random.below(100 * self.mix.resting);
        let (immediate, cancel) = (self.mix.takes * self.mix.resting, self.mix.cancels * live);
        if kind < immediate {
            let orders = SWEPT_LEAST + self.random.below(SWEPT_MOST - SWEPT_LEAST + 1);
            let (instrument, side) = self.place();
            self.recorder.sweep(instrument, side, orders as usize);
        } else if kind < immediate + cancel {
            let id = self.any_live();
            self.recorder.play(super::Op::Cancel { id });
        } else {
            self.add();
        }
    }

    fn add(&mut self) {
        let (instrument, side) = self.place();
        let tick = self.any_tick(side);
        let quantity = any_quantity(&mut self.random);
        self.recorder.add(instrument, side, tick, quantity, false);
    }

    /// Half of the replaces change the price, half the quantity alone.
    fn replace(&mut self) {
        let old = self.any_live();
        let market = &self.recorder.market;
        let quantity = market.executed(old) + any_quantity(&mut self.random);
        let (_, side) = market.stands(old);
        let mut tick = market.tick(old);
        if self.random.chance(1, 2) {
            tick = self.any_tick(side);
        }
        self.recorder.replace(old, tick, quantity);
    }

    fn place(&mut self) -> (u16, Side) {
        let instrument = self.random.below(u32::from(self.mix.instruments)) as u16;
        (instrument, Side::any(&mut self.random))
    }

    fn any_live(&mut self) -> u32 {
        let live = self.recorder.market.live();
        live[self.random.below(live.len() as u32) as usize]
    }

    fn any_tick(&mut self, side: Side) -> u32 {
        let width = self.mix.width;
        let away = 1 + self.random.below(width).min(self.random.below(width));
        match side {
            Side::Buy => START - away,
            Side::Sell => START + away,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::recount::{Recount, near};
    use super::*;

    #[test]
    fn every_mix_has_its_shares_its_sweeps_and_its_size() {
        for mix in Mix::ALL {
            let flow = mix.flow(100_000);
            assert_eq!((flow.setup.len(), flow.ops.len()), (mix.resting as usize, 100_000));
            let recount = Recount::of(&flow);
            let others = f64::from(100 - mix.replaces) / 100.0;
            near(mix.name, "replaces", recount.share(recount.replaces), 1.0 - others, 0.01);
            near(mix.name, "adds", recount.share(recount.adds), 0.55 * others, 0.02);
            near(mix.name, "cancels", recount.share(recount.cancels), 0.40 * others, 0.02);
            near(mix.name, "immediate", recount.share(recount.immediate), 0.05 * others, 0.01);
            near(mix.name, "swept", recount.swept(), 4.0, 0.3);
            let resting = f64::from(mix.resting);
            near(mix.name, "resting", recount.resting_mean(), resting, resting / 10.0);
            assert_eq!(recount.void_cancels, 0, "{}: cancels hit live orders", mix.name);
            assert_eq!(recount.traded_adds, 0, "{}: only immediate orders trade", mix.name);
        }
    }

    /// What was measured once has to be comparable later: a new flow gets a new name.
    #[test]
    fn the_flows_stay_the_same() {
        let fingerprints = Mix::ALL.map(|mix| mix.flow(20_000).fingerprint());
        let known = [
            0x5818_c14f_c675_9c65,
            0xf346_70b9_8d59_12bd,
            0x1391_0c20_56e4_abe7,
            0x67be_8ebf_fc2e_2f04,
            0x2892_4b65_57cb_6036,
        ];
        assert_eq!(fingerprints, known, "{fingerprints:#x?}");
    }
}
