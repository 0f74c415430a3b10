//! How fast a journal comes back: reading alone, then replay on one thread and on two, of the
//! exchange and of a logic that only counts.

use std::path::Path;
use std::time::Instant;

use loadgen::flow::Mix;
use ringframe::control::Control;
use ringframe::exchange::Exchange;
use ringframe::journal::{Append, Frame, Helpers, Journal, MappedStorage, Options, Reader};
use ringframe::logic::{Emit, Logic, Moment};
use ringframe::machine::Machine;
use ringframe::node::Stores;
use ringframe::record::Record;
use ringframe::recovery::{Cores, Nobody, replay};
use ringframe::types::Sequence;
use serde::{Deserialize, Serialize};

use crate::Scale;
use crate::table::{Table, median};
use crate::world::{Commands, directory};

/// The bar of the design, million commands a second.
const BAR: f64 = 10.0;

pub(crate) fn run(scale: &Scale) {
    let title = format!("replay, million commands/s (bar {BAR})");
    let columns = ["logic", "commands", "bytes", "reading alone", "one thread", "two threads"];
    let mut table = Table::new(&title, &columns);
    let counts = scale.pick(20_000_000, 20_000);
    let additions = (1..=counts as u64).map(Count);
    row::<Counter>(&mut table, scale, "counts", additions);
    for mix in Mix::ALL.into_iter().filter(|mix| scale.wants(mix.name)) {
        let commands = Commands::new(&mix.flow(scale.pick(3_000_000, 5_000)));
        let all = commands.setup.into_iter().chain(commands.ops);
        row::<Exchange>(&mut table, scale, mix.name, all);
    }
    table.print();
}

fn row<L: Logic>(
    table: &mut Table,
    scale: &Scale,
    name: &str,
    commands: impl Iterator<Item = L::Command>,
) {
    let directory = directory(false);
    let (count, bytes) = write::<L>(directory.path(), commands);
    let journal = Stores::mapped(directory.path()).journal;
    let repeats = scale.pick(3, 1);
    let rates = |run: &dyn Fn()| {
        let time = |()| {
            let start = Instant::now();
            run();
            count as f64 * 1e3 / start.elapsed().as_nanos() as f64
        };
        median(std::iter::repeat_n((), repeats).map(time).collect())
    };
    let reading = rates(&|| read(&journal, count));
    let on = |cores| {
        rates(&|| {
            let mut machine = Machine::<L>::default();
            replay(&journal, &mut machine, Sequence(count), cores, &mut Nobody)
                .expect("it replays");
            assert_eq!(machine.applied().sequence.0, count);
        })
    };
    table.row([
        name.to_owned(),
        count.to_string(),
        bytes.to_string(),
        format!("{reading:.2}"),
        format!("{:.2}", on(Cores::One)),
        format!("{:.2}", on(Cores::Two)),
    ]);
}

pub(crate) fn write<L: Logic>(
    directory: &Path,
    commands: impl Iterator<Item = L::Command>,
) -> (u64, u64) {
    let storage = MappedStorage::new(directory.join("journal"));
    let options = Options { segment_bytes: 256 << 20, ..Options::new(L::NAME, L::VERSION) };
    let Journal { mut writer, syncer, keeper, .. } =
        Journal::open(storage, options).expect("a new journal");
    let helpers = Helpers::spawn(syncer, keeper).expect("threads start");
    let mut payload = [0; 512];
    let (mut sequence, mut bytes) = (0, 0);
    let mut append = |kind, length: usize, payload: &[u8]| {
        sequence += 1;
        let frame = Frame {
            sequence,
            // A microsecond apart: nobody meets a limit of so many commands a second.
            timestamp: 1_767_364_200_000_000_000 + sequence * 1_000,
            epoch: 0,
            kind,
            schema: 1,
            payload: &payload[..length],
        };
        while writer.append(&frame).expect("no fault") == Append::Wait {
            std::thread::yield_now();
        }
        bytes += frame.stored_bytes() as u64;
        if sequence % 64 == 0 {
            writer.publish().expect("no fault");
        }
    };
    let activate = Control::Activate { version: L::VERSION };
    let length = activate.encode(&mut payload);
    append(activate.kind(), length, &payload);
    for command in commands {
        let length = command.encode(&mut payload);
        append(command.kind(), length, &payload);
    }
    helpers.close(writer).expect("no fault");
    (sequence, bytes)
}

fn read(journal: &MappedStorage, count: u64) {
    let mut reader = Reader::open(journal.clone(), 1).expect("it opens");
    let mut frames = 0;
    while reader.next_frame().expect("it reads").is_some() {
        frames += 1;
    }
    assert_eq!(frames, count);
}

/// As little logic as there can be.
#[derive(Default, Serialize, Deserialize)]
struct Counter {
    sum: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Count(u64);

impl Record for Count {
    const NAME: &'static str = "count";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 8;

    fn kind(&self) -> u16 {
        1
    }

    fn encode(&self, into: &mut [u8]) -> usize {
        into[..8].copy_from_slice(&self.0.to_le_bytes());
        8
    }

    fn read(_kind: u16, bytes: &[u8]) -> Option<Self> {
        Some(Self(u64::from_le_bytes(bytes.try_into().ok()?)))
    }
}

impl Logic for Counter {
    const NAME: &'static str = "counter";
    const VERSION: u32 = 1;

    type Command = Count;
    type Event = Count;
    type Reject = Count;
    type Checked = u64;

    fn check(&self, command: &Count, _at: &Moment) -> Result<u64, Count> {
        self.sum.checked_add(command.0).ok_or(Count(self.sum))
    }

    fn apply(&mut self, sum: u64, _at: &Moment, emit: &mut Emit<'_, Count>) {
        self.sum = sum;
        emit.event(&Count(sum));
    }
}
