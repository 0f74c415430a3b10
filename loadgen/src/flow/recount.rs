//! Counts what a flow promises, by playing it once more.

use super::{Flow, Market, Op, START};

#[derive(Default)]
pub(super) struct Recount {
    pub(super) adds: usize,
    pub(super) immediate: usize,
    pub(super) cancels: usize,
    /// Cancels of orders that were gone.
    pub(super) void_cancels: usize,
    pub(super) replaces: usize,
    /// Adds and replaces that traded.
    pub(super) traded_adds: usize,
    /// Orders that ended canceled, immediate ones included.
    pub(super) ended_canceled: usize,
    pub(super) ended_filled: usize,
    /// Orders with one replace or more.
    pub(super) modified: usize,
    /// How many commands canceled orders rested.
    pub(super) lives: Vec<u32>,
    /// The middle of the first book, in ticks: lowest, highest.
    pub(super) middles: (u32, u32),
    /// How many orders of the first book rested at each distance from its middle, in the end.
    pub(super) depth: Vec<u32>,
    commands: usize,
    sweep_fills: usize,
    sweeps: usize,
    resting_sum: usize,
}

/// What is known of an order, under all its numbers.
#[derive(Clone, Copy, Default)]
struct Chain {
    born: u32,
    replaced: bool,
}

impl Recount {
    pub(super) fn of(flow: &Flow) -> Self {
        let mut market = Market::new(flow.instruments);
        for op in &flow.setup {
            market.apply(op, |_| panic!("filling the books trades nothing"));
        }
        let mut chains = vec![Chain::default(); flow.orders() as usize];
        let mut recount = Self { middles: (START, START), ..Self::default() };
        for (now, op) in (1..).zip(&flow.ops) {
            recount.take(&mut market, &mut chains, now, op);
        }
        recount.depth = depth(&market);
        recount
    }

    fn take(&mut self, market: &mut Market, chains: &mut [Chain], now: u32, op: &Op) {
        let was_live = matches!(op, Op::Cancel { id } if market.is_live(*id));
        let mut fills = 0;
        let mut makers = Vec::new();
        market.apply(op, |fill| {
            fills += 1;
            makers.push(fill.maker);
        });
        self.ended_filled += makers.iter().filter(|&&maker| !market.is_live(maker)).count();
        self.commands += 1;
        self.resting_sum += market.live().len();
        match *op {
            Op::Add { id, immediate: true, .. } => {
                self.immediate += 1;
                self.sweeps += usize::from(fills > 0);
                self.sweep_fills += fills;
                let filled = market.open(id) == 0;
                self.ended_filled += usize::from(filled);
                self.ended_canceled += usize::from(!filled);
            }
            Op::Add { id, .. } => {
                self.adds += 1;
                self.traded_adds += usize::from(fills > 0);
                self.ended_filled += usize::from(market.open(id) == 0);
                chains[id as usize].born = now;
            }
            Op::Cancel { id } => {
                self.cancels += 1;
                self.void_cancels += usize::from(!was_live);
                self.ended_canceled += usize::from(was_live);
                if was_live && chains[id as usize].born > 0 {
                    self.lives.push(now - chains[id as usize].born);
                }
            }
            Op::Replace { old, new, .. } => {
                self.replaces += 1;
                self.traded_adds += usize::from(fills > 0);
                self.ended_filled += usize::from(market.open(new) == 0);
                self.modified += usize::from(!chains[old as usize].replaced);
                chains[new as usize] = Chain { replaced: true, ..chains[old as usize] };
            }
        }
        let middle = middle(market);
        self.middles = (self.middles.0.min(middle), self.middles.1.max(middle));
    }

    pub(super) fn share(&self, count: usize) -> f64 {
        count as f64 / self.commands as f64
    }

    /// How many orders an immediate order met that met any.
    pub(super) fn swept(&self) -> f64 {
        self.sweep_fills as f64 / self.sweeps as f64
    }

    pub(super) fn resting_mean(&self) -> f64 {
        self.resting_sum as f64 / self.commands as f64
    }

    /// Orders that entered.
    pub(super) fn entered(&self) -> usize {
        self.adds + self.immediate
    }
}

fn middle(market: &Market) -> u32 {
    let (bid, ask) = (market.best(0, super::Side::Buy), market.best(0, super::Side::Sell));
    if bid == 0 || ask == super::TICKS { START } else { u32::midpoint(bid, ask) }
}

fn depth(market: &Market) -> Vec<u32> {
    let mut depth = vec![0; super::TICKS as usize];
    let middle = middle(market);
    for &id in market.live() {
        if market.stands(id).0 == 0 {
            depth[market.tick(id).abs_diff(middle) as usize] += 1;
        }
    }
    depth
}

pub(super) fn near(flow: &str, what: &str, found: f64, wanted: f64, slack: f64) {
    assert!((found - wanted).abs() <= slack, "{flow}: {what} {found}, not {wanted} ± {slack}");
}
