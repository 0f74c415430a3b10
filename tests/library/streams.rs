//! The numbered messages of sessions and the market: made live, counted after a restart, and made
//! again from the middle of the log, they are the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use loadgen::flow::Mix;
use ringframe::dialect::itch::Market;
use ringframe::exchange::command::{ChangeState, Command, EndDay, SetSession, State};
use ringframe::exchange::ids::Symbol;
use ringframe::journal::{
    ArchiveHome, Fate, MappedStorage, NeededFrom, Reader, archive, prune, survey,
};
use ringframe::node::NodeOptions;
use ringframe::release::ReleasePolicy;
use ringframe::stage::Fault;
use ringframe::streams::{
    Checkpoint, Day, Index, Listener, Mark, Past, Stream, Tally, beginning, needed_from, open,
};
use ringframe::wire::soup::FromServer;

use crate::world::{self, Commands, World};

/// Every message of every stream, day by day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Heard(Vec<BTreeMap<Stream, Vec<Vec<u8>>>>);

impl Heard {
    fn today(&mut self) -> &mut BTreeMap<Stream, Vec<Vec<u8>>> {
        if self.0.is_empty() {
            self.0.push(BTreeMap::new());
        }
        self.0.last_mut().unwrap()
    }
}

impl Listener for Heard {
    fn message(&mut self, stream: Stream, number: u64, bytes: &[u8]) {
        let messages = self.today().entry(stream).or_default();
        messages.push(bytes.to_vec());
        assert_eq!(messages.len() as u64, number, "{stream:?}: numbers are dense");
    }

    fn mark(&mut self, _mark: Mark) {}

    fn new_day(&mut self, _day: &Day, _market: &Market) {
        self.today();
        self.0.push(BTreeMap::new());
    }
}

/// Writes a log of two days; a session is new in the middle of each.
fn write(directory: &Path, commands: usize) -> MappedStorage {
    let options = NodeOptions {
        segment_bytes: 4 << 20,
        event_segment_bytes: 1 << 20,
        ..world::options(ReleasePolicy::Journaled)
    };
    let mut world = World::open(directory, &options);
    world.processor.machine_mut().logic_mut().reserve(1 << 16, 1 << 16);
    let day = Commands::new(&Mix::F1.flow(commands));
    let new = |session: u16| SetSession { session, participant: 3, cancel_on_disconnect: 1 }.into();
    let change = |state| -> Command {
        let symbol = Symbol::new("I00000").unwrap_or_default();
        ChangeState { symbol: symbol_of(&day).unwrap_or(symbol), state, reserved: [0; 7] }.into()
    };
    world.run_all(&day.setup);
    let (one, other) = day.ops.split_at(day.ops.len() / 2);
    world.run_all(one);
    world.run_all(&[new(700)]);
    world.run_all(other);
    world.run_all(&[change(State::Closed), EndDay.into()]);
    world.run_all(&[change(State::PreOpen), change(State::Open)]);
    world.run_all(one);
    world.run_all(&[new(900)]);
    world.run_all(other);
    world.close();
    MappedStorage::new(directory.join("events"))
}

/// The only instrument.
fn symbol_of(day: &Commands) -> Option<Symbol> {
    day.setup.iter().find_map(|command| match command {
        Command::AddInstrument(added) => Some(added.0.symbol),
        _ => None,
    })
}

fn hear(log: &MappedStorage) -> (Heard, Tally, u64) {
    let (mut heard, mut tally) = (Heard::default(), Tally::default());
    let mut reader = Reader::open_first(log.clone()).unwrap();
    while let Some(event) = reader.next_frame().unwrap() {
        tally.on_event(&event.frame(), &mut heard).unwrap();
    }
    let last = tally.event();
    (heard, tally, last)
}

/// The messages in packets.
fn unpack(packets: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut messages) = (packets, Vec::new());
    while let Some((packet, used)) = FromServer::split(rest, 1 << 16).unwrap() {
        let FromServer::Data(message) = packet else { panic!("{packet:?}") };
        messages.push(message.to_vec());
        rest = &rest[used..];
    }
    assert!(rest.is_empty());
    messages
}

#[test]
fn old_messages_are_made_again_from_any_number() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let log = write(directory.path(), 30_000);
    let (heard, mut tally, last) = hear(&log);
    assert_eq!(heard.0.len(), 2, "two days");
    let sessions = MappedStorage::new(directory.path().join("sessions"));
    let opened = open(&sessions, &log, last, &mut |_| ()).unwrap();
    assert_eq!((opened.counted, opened.refused), (last, None));
    let Checkpoint { index, .. } = opened.checkpoint;
    let mut past = Past::open(log).unwrap();
    let names = tally.names();
    let mut random = fastrand::Rng::with_seed(7);
    let today = &heard.0[1];
    assert!(today.len() > 17, "{} streams", today.len());
    for (&stream, messages) in today {
        assert_eq!(tally.next(stream), messages.len() as u64 + 1);
        let froms = [1, 2, 63, 64, 65, 66, messages.len(), random.usize(1..=messages.len())];
        for from in froms.into_iter().filter(|from| *from <= messages.len()) {
            let (mut next, mut found) = (from as u64, Vec::new());
            for _ in 0..100 {
                let piece = past.read(&index, &names, stream, next).unwrap();
                let new = unpack(&piece.packets);
                assert_eq!(piece.next, next + new.len() as u64, "{stream:?} from {next}");
                next = piece.next;
                found.extend(new);
            }
            assert!(found == messages[from - 1..], "{stream:?} from {from}");
        }
        let none = past.read(&index, &names, stream, messages.len() as u64 + 1).unwrap();
        assert_eq!((none.packets.len(), none.next), (0, messages.len() as u64 + 1));
    }
}

#[test]
fn a_restart_counts_on_where_the_checkpoint_stands() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let log = write(directory.path(), 3_000);
    let (_, whole, last) = hear(&log);
    let sessions = MappedStorage::new(directory.path().join("sessions"));
    let from_scratch = open(&sessions, &log, last, &mut |_| ()).unwrap().checkpoint;
    for at in [1, 17, last / 3, last / 2, last - 1, last] {
        let mut early = open(&sessions, &log, at, &mut |_| ()).unwrap();
        early.checkpoint.write(&sessions, &log).unwrap();
        let again = open(&sessions, &log, last, &mut |_| ()).unwrap();
        assert_eq!((again.counted, again.refused), (last - at, None), "from {at}");
        assert_same(&again.checkpoint.tally, &whole);
        assert_same_index(&again.checkpoint.index, &from_scratch.index);
        std::fs::remove_file(directory.path().join("sessions/streams")).unwrap();
    }
}

#[test]
fn a_checkpoint_that_is_damaged_or_of_another_log_is_made_again() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let log = write(directory.path(), 1_000);
    let (_, whole, last) = hear(&log);
    let sessions = MappedStorage::new(directory.path().join("sessions"));
    let path = directory.path().join("sessions/streams");
    let mut opened = open(&sessions, &log, last, &mut |_| ()).unwrap();
    opened.checkpoint.write(&sessions, &log).unwrap();
    let good = std::fs::read(&path).unwrap();
    for at in [0, 9, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(&path, &bad).unwrap();
        let again = open(&sessions, &log, last, &mut |_| ()).unwrap();
        assert!(again.refused.unwrap().contains("damaged"), "byte {at}");
        assert_eq!(again.counted, last);
        assert_same(&again.checkpoint.tally, &whole);
    }
    std::fs::write(&path, &good).unwrap();
    let other = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let other_log = write(other.path(), 1_200);
    let again = open(&sessions, &other_log, last, &mut |_| ()).unwrap();
    assert!(again.refused.unwrap().contains("another event log"));
    // One that is ahead of what the log has, because its end was lost.
    let again = open(&sessions, &log, last - 5, &mut |_| ()).unwrap();
    assert!(again.refused.unwrap().contains("another event log"));
    assert_eq!(again.checkpoint.tally.event(), last - 5);
}

fn needed(
    sessions: &MappedStorage,
    log: &MappedStorage,
    upto: u64,
    dry_run: bool,
) -> Result<u64, Fault> {
    needed_from(sessions, log, upto, dry_run, &AtomicBool::new(false))
}

#[test]
fn a_log_that_was_pruned_is_counted_from_the_day_that_it_begins_with() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let log = write(directory.path(), 30_000);
    let sessions = MappedStorage::new(directory.path().join("sessions"));
    let (heard, whole, last) = hear(&log);
    let from_scratch = open(&sessions, &log, last, &mut |_| ()).unwrap().checkpoint;
    let day = whole.day().event;
    // Nobody needs anything from before; while that day was not there yet, all of it.
    assert_eq!(needed(&sessions, &log, day - 1, false).unwrap(), 0);
    assert_eq!(needed(&sessions, &log, last, true).unwrap(), day);
    assert!(!directory.path().join("sessions/day").exists());
    for upto in [last, day, last] {
        assert_eq!(needed(&sessions, &log, upto, false).unwrap(), day);
    }
    // An older snapshot was put back.
    assert_eq!(needed(&sessions, &log, day - 1, false).unwrap(), 0);
    let again = open(&sessions, &log, last, &mut |_| ()).unwrap();
    assert_eq!((again.counted, again.refused), (last - day, None));
    // Somebody reads the day before, and knows ways back into it.
    let yesterday = MappedStorage::new(directory.path().join("yesterday"));
    let Checkpoint { mut tally, index, .. } =
        open(&yesterday, &log, day - 1, &mut |_| ()).unwrap().checkpoint;
    let (mut past, mut next) = (Past::open(log.clone()).unwrap(), 1);
    for _ in 0..4 {
        next = past.read(&index, &tally.names(), Stream::Feed, next).unwrap().next;
    }
    let home = ArchiveHome::in_memory();
    archive(&log, &home, &mut |_, _| ()).unwrap();
    // And somebody has counted up to where it is cut off.
    let would = prune(&log, &home, NeededFrom(day), true, &mut |_, _| ()).unwrap();
    let goes = would.iter().filter(|segment| segment.fate == Fate::WouldDelete).count();
    let cut = survey(&log).unwrap()[goes].header.good().unwrap().first_sequence;
    let elsewhere = MappedStorage::new(directory.path().join("elsewhere"));
    let mut before = open(&elsewhere, &log, cut - 1, &mut |_| ()).unwrap().checkpoint;
    before.write(&elsewhere, &log).unwrap();
    let pruned = prune(&log, &home, NeededFrom(day), false, &mut |_, _| ()).unwrap();
    assert!(pruned.iter().any(|segment| segment.fate == Fate::Deleted), "{pruned:?}");
    assert!(Reader::open_first(log.clone()).unwrap().next_sequence() == cut && cut <= day);
    let counted = open(&elsewhere, &log, last, &mut |_| ()).unwrap();
    assert_eq!((counted.counted, counted.refused), (last + 1 - cut, None));
    assert_same(&counted.checkpoint.tally, &whole);
    let mut again = open(&sessions, &log, last, &mut |_| ()).unwrap().checkpoint;
    assert_same(&again.tally, &whole);
    assert_same_index(&again.index, &from_scratch.index);
    // All of the day is there, from its first message.
    let names = again.tally.clone().names();
    let piece = past.read(&again.index, &names, Stream::Feed, 1).unwrap();
    let first = unpack(&piece.packets);
    assert!(!first.is_empty() && heard.0[1][&Stream::Feed].starts_with(&first));
    // It is found again without reading what is gone.
    assert_eq!(needed(&sessions, &log, last, false).unwrap(), day);
    assert_eq!(beginning(&sessions, &log).unwrap().event(), day);
    // Without what was kept the newest counts do, once a start cannot go back behind them.
    std::fs::remove_file(directory.path().join("sessions/day")).unwrap();
    again.write(&sessions, &log).unwrap();
    assert_eq!(needed(&sessions, &log, last - 1, false).unwrap(), 0);
    assert_eq!(needed(&sessions, &log, last, false).unwrap(), day);
    let why = beginning(&sessions, &log).unwrap_err();
    assert!(why.to_string().contains("day is not of its first day"), "{why}");
    // Without either nothing can be numbered, and it says what to do.
    for name in ["day", "streams"] {
        std::fs::remove_file(directory.path().join("sessions").join(name)).unwrap();
    }
    for why in [
        open(&sessions, &log, last, &mut |_| ()).unwrap_err(),
        needed(&sessions, &log, last, false).unwrap_err(),
    ] {
        assert!(why.to_string().contains("journal archive --events --to PLACE --restore"), "{why}");
    }
}

fn assert_same(one: &Tally, other: &Tally) {
    assert!(ringframe::codec::encode(one) == ringframe::codec::encode(other), "tallies differ");
}

fn assert_same_index(one: &Index, other: &Index) {
    assert!(ringframe::codec::encode(one) == ringframe::codec::encode(other), "indexes differ");
}
