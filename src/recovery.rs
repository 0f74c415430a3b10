//! Start-up: a state, and the journal after it, replayed. One thread reads and checks, another
//! decodes and applies; where there is one core only, one does both.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use disruptor::{BusySpin, Polling, Producer, SingleConsumerBarrier, SingleProducer};
use ringframe_journal::storage::Storage;
use ringframe_journal::{Error, Frame, Reader, survey};

use crate::logic::Logic;
use crate::machine::Machine;
use crate::pipeline::SlotReader;
use crate::record::RecordError;
use crate::slot::{SLOT_PAYLOAD_BYTES, Slot};
use crate::stage::Fault;
use crate::types::{Nanos, Sequence};

/// The slots between the thread that reads and the one that applies.
const READ_AHEAD: usize = 1 << 12;
/// So many commands are applied before their events are handed on.
const BATCH: usize = 256;

/// What replay tells while it goes on.
pub trait Watch {
    /// Gets each event, in order, as a frame of the event log.
    fn event(&mut self, event: &Frame<'_>) -> Result<(), Fault>;

    /// Gets each command before it is applied, for who wants to see it.
    fn command(&mut self, _command: &Frame<'_>) {}

    /// Everything up to here is applied, and its events were handed on.
    fn applied(&mut self, _sequence: Sequence) {}
}

/// Forgets all events.
pub struct Nobody;

impl Watch for Nobody {
    fn event(&mut self, _event: &Frame<'_>) -> Result<(), Fault> {
        Ok(())
    }
}

/// How many threads replay may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// This one.
    One,
    /// This one, and another that reads ahead.
    Two,
}

/// Applies what the journal holds after the machine's last command, up to `until`, which must be
/// there.
pub fn replay<L: Logic, S: Storage>(
    storage: &S,
    machine: &mut Machine<L>,
    until: Sequence,
    cores: Cores,
    watch: &mut impl Watch,
) -> Result<(), Fault> {
    if machine.applied().sequence >= until {
        return Ok(());
    }
    let next = machine.applied().sequence.next();
    let reader = Reader::open(storage.clone(), next.0).map_err(Fault::Journal)?;
    match cores {
        Cores::One => alone(reader, machine, until, watch),
        Cores::Two => with_reader(reader, machine, until, watch),
    }
}

fn alone<L: Logic, S: Storage>(
    mut reader: Reader<S>,
    machine: &mut Machine<L>,
    until: Sequence,
    watch: &mut impl Watch,
) -> Result<(), Fault> {
    while machine.taken() < until {
        let mut batch = 0;
        while batch < BATCH && machine.taken() < until {
            let frame = next_frame(&mut reader)?;
            watch.command(&frame);
            machine.take(&frame)?;
            batch += 1;
        }
        let more = machine.taken() < until;
        hand_on(machine, if more { L::LOOKAHEAD } else { 0 }, watch)?;
    }
    Ok(())
}

fn next_frame<S: Storage>(reader: &mut Reader<S>) -> Result<Frame<'_>, Fault> {
    let sequence = reader.next_sequence();
    match reader.next_frame().map_err(Fault::Journal)? {
        Some(frame) if frame.payload().len() <= SLOT_PAYLOAD_BYTES => Ok(frame.frame()),
        Some(frame) => Err(Fault::Record {
            sequence: Sequence(sequence),
            error: RecordError::Malformed {
                name: "command",
                kind: frame.kind(),
                version: frame.schema(),
                bytes: frame.payload().len(),
            },
        }),
        None => Err(Fault::Node(format!(
            "the journal ends before command {sequence}, which was there when it was opened: \
             check the disk, and run `ringframe journal verify`"
        ))),
    }
}

fn hand_on<L: Logic>(
    machine: &mut Machine<L>,
    keep: usize,
    watch: &mut impl Watch,
) -> Result<(), Fault> {
    machine.advance(keep);
    while let Some(result) = machine.hand_on(|event| watch.event(event)) {
        result?;
    }
    watch.applied(machine.applied().sequence);
    Ok(())
}

fn with_reader<L: Logic, S: Storage>(
    reader: Reader<S>,
    machine: &mut Machine<L>,
    until: Sequence,
    watch: &mut impl Watch,
) -> Result<(), Fault> {
    let ring = disruptor::build_single_producer(READ_AHEAD, Slot::default, BusySpin);
    let (mut slots, ring) = ring.new_event_poller();
    let publisher = ring.build();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let reading = scope.spawn(|| read_ahead(reader, publisher, until, &stop));
        let applied = apply_all(&mut slots, machine, watch);
        stop.store(true, Ordering::Relaxed);
        let read = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        applied.and(read)
    })
}

/// Publishes frames until the last, then drops the publisher, which tells the other side.
fn read_ahead<S: Storage>(
    mut reader: Reader<S>,
    mut publisher: SingleProducer<Slot, SingleConsumerBarrier>,
    until: Sequence,
    stop: &AtomicBool,
) -> Result<(), Fault> {
    while reader.next_sequence() <= until.0 {
        let frame = next_frame(&mut reader)?;
        while publisher.try_publish(|slot| slot.set(&frame)).is_err() {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            thread::yield_now();
        }
    }
    Ok(())
}

fn apply_all<L: Logic>(
    slots: &mut SlotReader,
    machine: &mut Machine<L>,
    watch: &mut impl Watch,
) -> Result<(), Fault> {
    loop {
        match slots.take(BATCH as u64) {
            Ok(mut batch) => {
                for slot in &mut batch {
                    let frame = slot.frame();
                    watch.command(&frame);
                    machine.take(&frame)?;
                }
            }
            Err(Polling::NoEvents) => {
                thread::yield_now();
                continue;
            }
            Err(Polling::Shutdown) => return hand_on(machine, 0, watch),
        }
        hand_on(machine, L::LOOKAHEAD, watch)?;
    }
}

/// The last command in the journal, or none; a torn tail is not part of it.
pub fn last_sequence<S: Storage>(storage: &S) -> Result<Option<Sequence>, Fault> {
    let segments = survey(storage).map_err(Fault::Journal)?;
    let begun = segments.iter().rev().filter_map(|info| info.header.good());
    for header in begun {
        let mut reader = match Reader::open(storage.clone(), header.first_sequence) {
            // A torn one that has no whole frame.
            Err(Error::OutOfRange { .. }) => continue,
            other => other.map_err(Fault::Journal)?,
        };
        while reader.next_frame().map_err(Fault::Journal)?.is_some() {}
        let last = reader.next_sequence() - 1;
        return Ok((last > 0).then_some(Sequence(last)));
    }
    Ok(None)
}

/// The last command that is not later than a time, or none.
pub fn last_until<S: Storage>(storage: &S, time: Nanos) -> Result<Option<Sequence>, Fault> {
    let segments = survey(storage).map_err(Fault::Journal)?;
    let mut last = None;
    for header in segments.iter().filter_map(|info| info.header.good()) {
        let mut reader = match Reader::open(storage.clone(), header.first_sequence) {
            Err(Error::OutOfRange { .. }) => break,
            other => other.map_err(Fault::Journal)?,
        };
        let first = reader.next_frame().map_err(Fault::Journal)?;
        if first.is_none_or(|frame| frame.timestamp() > time.0) {
            break;
        }
        last = Some(header.first_sequence);
    }
    // Times never go back, so only the last segment that began in time is looked through.
    let Some(first) = last else { return Ok(None) };
    let mut reader = Reader::open(storage.clone(), first).map_err(Fault::Journal)?;
    let mut last = None;
    while let Some(frame) = reader.next_frame().map_err(Fault::Journal)? {
        if frame.timestamp() > time.0 {
            break;
        }
        last = Some(Sequence(frame.sequence()));
    }
    Ok(last)
}
