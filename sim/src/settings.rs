//! What one seed is about: how nodes are set up, how bad the weather is, how much happens. Drawn
//! anew for each seed, so that no two seeds look for the same trouble.

use fastrand::Rng;
use ringframe::exchange::command::{AddInstrument, ChangeState, Command, State, Terms};
use ringframe::exchange::demo;
use ringframe::exchange::ids::Symbol;
use ringframe::peers::OnStandbyLoss;
use ringframe::release::ReleasePolicy;
use ringframe::types::Nanos;
use ringframe_journal::Options;

use crate::net::Weather;

/// Who takes snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saves {
    Never,
    Inline,
    Shadow,
}

/// What one seed is about.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) release: ReleasePolicy,
    pub(crate) on_standby_loss: OnStandbyLoss,
    pub(crate) ring_slots: usize,
    pub(crate) held_bytes: usize,
    pub(crate) segment_bytes: u64,
    pub(crate) event_segment_bytes: u64,
    pub(crate) window_bytes: usize,
    pub(crate) saves: Saves,
    pub(crate) snapshot_every: Option<u64>,
    pub(crate) weather: Weather,
    /// Who trade.
    pub(crate) traders: u16,
    /// So many orders each.
    pub(crate) orders: usize,
    pub(crate) unanswered_max: usize,
    /// Between two orders of one trader, at most.
    pub(crate) pause_nanos: u64,
    /// A step takes so long at most while something happens.
    pub(crate) step_nanos: u64,
    /// Faults come for so long.
    pub(crate) faults_nanos: u64,
    /// How many.
    pub(crate) faults: usize,
    /// Whether days end.
    pub(crate) ends_days: bool,
    /// How often each kind comes, from never on.
    pub(crate) weights: [u8; crate::faults::KINDS],
}

/// What is traded.
pub(crate) const SYMBOLS: [&str; 2] = ["AAPL", "MSFT"];
/// Around this price.
pub(crate) const PRICE: u32 = 1_000_000;
const TICK: u32 = 100;

impl Settings {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let release = match rng.u8(0..8) {
            0 => ReleasePolicy::Journaled,
            1 | 2 => ReleasePolicy::Synced,
            3..=5 => ReleasePolicy::Replicated,
            _ => ReleasePolicy::ReplicatedSynced,
        };
        let on_standby_loss = if rng.bool() { OnStandbyLoss::Degrade } else { OnStandbyLoss::Halt };
        let segment = |rng: &mut Rng| Options::SEGMENT_BYTES_MIN + 4096 * rng.u64(0..8);
        let saves = match rng.u8(0..5) {
            0 => Saves::Never,
            1 | 2 => Saves::Inline,
            _ => Saves::Shadow,
        };
        let weather = if rng.u8(0..6) == 0 { Weather::slow(rng) } else { Weather::fair(rng) };
        let mut weights = [0; crate::faults::KINDS];
        for weight in &mut weights {
            *weight = if rng.u8(0..3) == 0 { 0 } else { rng.u8(1..10) };
        }
        // A few live longer, and meet more.
        let long = if rng.u8(0..16) == 0 { 4 } else { 1 };
        Self {
            release,
            on_standby_loss,
            ring_slots: 1 << rng.usize(4..9),
            held_bytes: 1 << rng.usize(12..19),
            segment_bytes: segment(rng),
            event_segment_bytes: segment(rng),
            window_bytes: 1 << rng.usize(12..17),
            saves,
            snapshot_every: (rng.u8(0..4) > 0).then(|| rng.u64(50..1_000)),
            weather,
            traders: rng.u16(2..5),
            orders: long * if rng.bool() { rng.usize(200..800) } else { rng.usize(800..2_500) },
            unanswered_max: rng.usize(1..60),
            pause_nanos: rng.u64(20_000..8_000_000),
            step_nanos: rng.u64(5_000..200_000),
            faults_nanos: long as u64 * rng.u64(2..12) * Nanos::SECOND,
            faults: long * rng.usize(0..16),
            ends_days: false,
            weights,
        }
    }

    /// What a new exchange begins with.
    pub(crate) fn opening(&self) -> Vec<Command> {
        // One more reads the market.
        let mut commands: Vec<_> = (1..=self.traders + 1).flat_map(demo::admit).collect();
        for symbol in SYMBOLS {
            let symbol = Symbol::new(symbol).expect("up to eight letters");
            commands.push(Command::AddInstrument(AddInstrument(Terms {
                symbol,
                tick: TICK,
                lot: 1,
                lowest: TICK,
                highest: 10 * PRICE,
                collar: PRICE / 2,
                reference: PRICE,
            })));
            for state in [State::PreOpen, State::Open] {
                commands.push(ChangeState { symbol, state, reserved: [0; 7] }.into());
            }
        }
        commands
    }
}
