//! Start-up: a state, and the journal after it, replayed. One thread reads and checks, another
//! decodes and applies; where there is one core only, one does both.
#![expect(
    clippy::disallowed_methods,
    reason = "a thread that reads ahead, and ends before it returns"
)]

use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use ringframe_journal::storage::Storage;
use ringframe_journal::{Error, Frame, Reader, survey};

use crate::logic::Logic;
use crate::machine::Machine;
use crate::record::RecordError;
use crate::slot::SLOT_PAYLOAD_BYTES;
use crate::stage::Fault;
use crate::types::{Nanos, Sequence};

/// The batches between the thread that reads and the one that applies.
const BATCHES: usize = 8;
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

/// Frames on their way from the thread that reads to the one that applies.
#[derive(Default)]
struct Batch {
    /// Their fields, and where each payload ends.
    heads: Vec<(Frame<'static>, usize)>,
    payloads: Vec<u8>,
}

impl Batch {
    fn clear(&mut self) {
        self.heads.clear();
        self.payloads.clear();
    }

    fn push(&mut self, frame: &Frame<'_>) {
        self.payloads.extend_from_slice(frame.payload);
        self.heads.push((Frame { payload: &[], ..*frame }, self.payloads.len()));
    }

    fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        let mut begin = 0;
        self.heads.iter().map(move |&(head, end)| {
            let payload = &self.payloads[begin..end];
            begin = end;
            Frame { payload, ..head }
        })
    }
}

fn with_reader<L: Logic, S: Storage>(
    reader: Reader<S>,
    machine: &mut Machine<L>,
    until: Sequence,
    watch: &mut impl Watch,
) -> Result<(), Fault> {
    let (full, batches) = bounded(BATCHES);
    let (empty, spent) = bounded(BATCHES);
    for _ in 0..BATCHES {
        empty.send(Batch::default()).expect("we hold the other end");
    }
    thread::scope(|scope| {
        let reading = scope.spawn(move || read_ahead(reader, until, &spent, &full));
        let applied = apply_all(&batches, &empty, machine, watch);
        // Where we gave up, the other side finds nobody to hand batches to.
        drop((batches, empty));
        let read = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        applied.and(read)
    })
}

fn read_ahead<S: Storage>(
    mut reader: Reader<S>,
    until: Sequence,
    spent: &Receiver<Batch>,
    full: &Sender<Batch>,
) -> Result<(), Fault> {
    while reader.next_sequence() <= until.0 {
        let Ok(mut batch) = spent.recv() else { return Ok(()) };
        batch.clear();
        while reader.next_sequence() <= until.0 && batch.heads.len() < BATCH {
            batch.push(&next_frame(&mut reader)?);
        }
        if full.send(batch).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn apply_all<L: Logic>(
    batches: &Receiver<Batch>,
    empty: &Sender<Batch>,
    machine: &mut Machine<L>,
    watch: &mut impl Watch,
) -> Result<(), Fault> {
    for batch in batches {
        for frame in batch.frames() {
            watch.command(&frame);
            machine.take(&frame)?;
        }
        hand_on(machine, L::LOOKAHEAD, watch)?;
        // The other side may have read all there is.
        let _ = empty.send(batch);
    }
    hand_on(machine, 0, watch)
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
