//! The whole exchange, driven as the processor drives it: commands as bytes, in batches, with a
//! look ahead; an outbox that is emptied after each batch.

use std::time::Instant;

use loadgen::flow::{Fill, Flow};
use ringframe::digest::Digest;
use ringframe::exchange::Exchange;
use ringframe::exchange::command::Command;
use ringframe::exchange::event::Event;
use ringframe::exchange::reject::{Reject, Why};
use ringframe::logic::{Logic, Outbox};
use ringframe::record::Record;

use crate::commands::{Market, Translator};
use crate::cpu_nanos;
use crate::floor::take;

/// How many commands the ring hands over at a time.
pub(crate) const BATCH: usize = 32;
const LOOKAHEAD: usize = Exchange::LOOKAHEAD;

/// Commands as they stand in the ring: kind, version, length, then the payload.
pub(crate) struct Ring {
    bytes: Vec<u8>,
}

const HEAD: usize = 8;

impl Ring {
    fn new(flow: &Flow, translator: &mut Translator) -> Self {
        let mut bytes = Vec::new();
        let mut payload = [0; Command::BYTES_MAX];
        for op in &flow.ops {
            let command = translator.command(op);
            let length = command.encode(&mut payload);
            bytes.extend_from_slice(&command.kind().to_le_bytes());
            bytes.extend_from_slice(&Command::VERSION.to_le_bytes());
            bytes.extend_from_slice(&(length as u32).to_le_bytes());
            bytes.extend_from_slice(&payload[..length]);
            bytes.resize(bytes.len().next_multiple_of(HEAD), 0);
        }
        Self { bytes }
    }

    fn commands(&self) -> impl Iterator<Item = Command> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (head, after) = rest.split_first_chunk::<HEAD>()?;
            let half = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
            let length = usize::from(half(4));
            rest = &after[length.next_multiple_of(HEAD)..];
            Some(Command::decode(half(0), half(2), &after[..length]).expect("as encoded"))
        })
    }
}

/// Looks on while commands run.
pub(crate) trait Watch {
    #[inline]
    fn command(&mut self) {}

    #[inline]
    fn batch(&mut self, _outbox: &Outbox<Event, Reject>, _commands: usize) {}
}

impl Watch for () {}

/// A flow ready to run, as often as wanted.
pub(crate) struct Whole<'a> {
    flow: &'a Flow,
    ring: Ring,
}

impl<'a> Whole<'a> {
    pub(crate) fn new(flow: &'a Flow) -> Self {
        let mut translator = Translator::new(flow);
        for op in &flow.setup {
            translator.command(op);
        }
        Self { flow, ring: Ring::new(flow, &mut translator) }
    }

    /// The books are filled, and no room is taken beyond that.
    pub(crate) fn loaded(&self) -> Market {
        Market::ready(self.flow, &mut Translator::new(self.flow))
    }

    /// Everything up to the first measured command.
    fn ready(&self) -> Market {
        let mut market = self.loaded();
        market.exchange.reserve(2 * self.flow.setup.len(), self.flow.orders() as usize);
        market
    }

    /// Nanoseconds of the measured commands, and the digest of all that was ever emitted.
    pub(crate) fn run(&self, watch: &mut impl Watch) -> (u64, Digest) {
        let mut market = self.ready();
        let begun = cpu_nanos();
        measured(&mut market, &self.ring, watch);
        (cpu_nanos() - begun, market.outbox.digest())
    }

    /// One run that reads no clock.
    pub(crate) fn play(&self, watch: &mut impl Watch) {
        measured(&mut self.ready(), &self.ring, watch);
    }

    /// Nanoseconds of each command, and of each batch per command.
    pub(crate) fn latencies(&self) -> Latencies {
        let mut latencies = Latencies::new(self.flow.ops.len());
        let mut market = self.ready();
        latencies.last = Instant::now();
        latencies.batch_begun = latencies.last;
        measured(&mut market, &self.ring, &mut latencies);
        latencies
    }

    /// How many records the flow emits, and the fold of its fills. Panics when anything but a
    /// cancel that comes too late is refused.
    pub(crate) fn check(&self) -> Check {
        let mut check = Check::default();
        self.play(&mut check);
        check
    }
}

/// A function of its own: `instructions` counts what happens in it.
#[inline(never)]
fn measured(market: &mut Market, ring: &Ring, watch: &mut impl Watch) {
    let mut commands = ring.commands();
    let mut window: Vec<Command> = Vec::with_capacity(BATCH + LOOKAHEAD);
    loop {
        while window.len() < BATCH + LOOKAHEAD
            && let Some(command) = commands.next()
        {
            window.push(command);
        }
        let batch = window.len().min(BATCH);
        if batch == 0 {
            return;
        }
        for next in 1..=batch {
            let upcoming = &window[next..(next + LOOKAHEAD).min(window.len())];
            market.exchange.prefetch(upcoming);
            market.step(&window[next - 1]);
            watch.command();
        }
        watch.batch(&market.outbox, batch);
        market.outbox.clear();
        window.drain(..batch);
    }
}

/// Reads the clock after each command: what it costs stands beside the figures.
pub(crate) struct Latencies {
    last: Instant,
    batch_begun: Instant,
    pub(crate) commands: Vec<u32>,
    pub(crate) batches: Vec<u32>,
}

impl Latencies {
    fn new(commands: usize) -> Self {
        let now = Instant::now();
        let batches = Vec::with_capacity(commands / BATCH + 1);
        let commands = Vec::with_capacity(commands);
        Self { last: now, batch_begun: now, commands, batches }
    }
}

impl Watch for Latencies {
    #[inline]
    fn command(&mut self) {
        let now = Instant::now();
        self.commands.push((now - self.last).as_nanos() as u32);
        self.last = now;
    }

    #[inline]
    fn batch(&mut self, _outbox: &Outbox<Event, Reject>, commands: usize) {
        let nanos = (self.last - self.batch_begun).as_nanos() as usize / commands;
        self.batches.push(nanos as u32);
        self.batch_begun = self.last;
    }
}

/// Digests once more what was emitted: what that adds is the digest's cost.
#[derive(Default)]
pub(crate) struct Redigest {
    pub(crate) digest: Digest,
    pub(crate) records: u64,
}

impl Watch for Redigest {
    #[inline]
    fn batch(&mut self, outbox: &Outbox<Event, Reject>, _commands: usize) {
        self.digest.update(outbox.encoded());
        self.records += outbox.len() as u64;
    }
}

#[derive(Default)]
pub(crate) struct Check {
    pub(crate) records: u64,
    pub(crate) late_cancels: u64,
    pub(crate) traded: u64,
}

impl Watch for Check {
    fn batch(&mut self, outbox: &Outbox<Event, Reject>, _commands: usize) {
        for outcome in outbox.outcomes() {
            self.records += 1;
            match outcome {
                Ok(Event::Traded(traded)) => {
                    // References count tokens from 1, flows count orders from 0.
                    let maker = traded.maker.reference as u32 - 1;
                    let (taker, price, quantity) = (0, traded.price, traded.quantity);
                    take(&mut self.traded, &Fill { maker, taker, price, quantity });
                }
                Ok(_) => {}
                Err(Reject::Rejected(rejected)) => {
                    assert_eq!(rejected.why, Why::UnknownOrder, "{rejected:?}");
                    self.late_cancels += 1;
                }
            }
        }
    }
}
