//! Random lives of a journal beside the plainest model of one: the list of frames that were
//! appended, and how many of them were published and reported synced.

use crate::common::{Run, check_seals, read_all, same};
use proptest::prelude::*;
use ringframe_journal::{Error, Reader, SimulatedStorage, Survival};

#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    Publish,
    Sync,
    Keep(u64),
    Pass(u64),
    Reopen,
    Crash(Survival),
    ReadFrom(u64),
    Tail,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let survival = prop_oneof![
        Just(Survival::Everything),
        Just(Survival::Nothing),
        Just(Survival::AllButFirst),
        Just(Survival::OnlyLast),
        any::<u64>().prop_map(Survival::Random),
        any::<u64>().prop_map(Survival::Torn),
    ];
    let step = prop_oneof![
        10 => (1..40_u64).prop_map(Step::Append),
        4 => Just(Step::Publish),
        4 => Just(Step::Sync),
        6 => (1..12_u64).prop_map(Step::Keep),
        2 => (0..200_000_000_u64).prop_map(Step::Pass),
        1 => Just(Step::Reopen),
        2 => survival.prop_map(Step::Crash),
        3 => any::<u64>().prop_map(Step::ReadFrom),
        4 => Just(Step::Tail),
    ];
    prop::collection::vec(step, 1..60)
}

/// A journal, the model of it, and a reader that lives as long as the disk does.
struct Pair {
    run: Run,
    /// The generation of each frame, from sequence 1.
    frames: Vec<u32>,
    tail: Reader<SimulatedStorage>,
    /// What the tail reader has seen.
    seen: u64,
}

impl Pair {
    fn new() -> Self {
        let disk = SimulatedStorage::new();
        let run = Run::open(&disk, 1).unwrap();
        let tail = Reader::open(disk, 1).unwrap();
        Self { run, frames: Vec::new(), tail, seen: 0 }
    }

    fn last(&self) -> u64 {
        self.frames.len() as u64
    }

    fn take(&mut self, step: &Step) -> Result<(), Error> {
        match *step {
            Step::Append(count) => {
                for _ in 0..count {
                    self.run.append()?;
                    self.frames.push(self.run.generation);
                }
            }
            Step::Publish => self.run.publish()?,
            Step::Sync => self.run.sync()?,
            Step::Keep(count) => (0..count).try_for_each(|_| self.run.keep())?,
            Step::Pass(nanos) => self.run.now += nanos,
            Step::Reopen => self.reopen()?,
            Step::Crash(survival) => self.crash(survival)?,
            Step::ReadFrom(any) => self.read_from(any)?,
            Step::Tail => self.catch_up()?,
        }
        let positions = self.run.journal.writer.positions();
        assert!(positions.synced() <= positions.journaled());
        assert!(positions.journaled() <= self.last());
        assert_eq!(self.run.journal.writer.next_sequence(), self.last() + 1);
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), Error> {
        let (disk, now) = (self.run.disk.clone(), self.run.now);
        let generation = self.run.generation + 1;
        let run = std::mem::replace(&mut self.run, Run::open(&SimulatedStorage::new(), 1)?);
        let outcome = run.close().map_err(|failed| failed.1)?;
        assert_eq!(outcome.synced, self.last());
        self.run = Run::open(&disk, generation)?;
        self.run.now = now;
        assert_eq!(self.run.journal.recovery.next, self.last() + 1);
        assert_eq!(self.run.journal.recovery.cut, None);
        Ok(())
    }

    fn crash(&mut self, survival: Survival) -> Result<(), Error> {
        let synced = self.run.journal.writer.positions().synced();
        let disk = self.run.disk.after_crash(survival);
        let next_before = Reader::open(disk.clone(), 1).map(|reader| reader.next_sequence())?;
        assert_eq!(next_before, 1);
        let (generation, now) = (self.run.generation + 1, self.run.now);
        self.run = Run::open(&disk, generation)?;
        self.run.now = now;
        let last = self.run.journal.recovery.next - 1;
        // Appending stores at once: whatever the process did is there as long as the machine is.
        let least = if survival == Survival::Everything { self.last() } else { synced };
        assert!(least <= last && last <= self.last(), "{last} of {} ({synced})", self.last());
        self.frames.truncate(last as usize);
        self.seen = self.seen.min(last);
        self.tail = Reader::open(disk, self.seen + 1)?;
        self.read_everything()
    }

    fn read_everything(&self) -> Result<(), Error> {
        let mut generations: Vec<(u64, u32)> = Vec::new();
        for (index, &generation) in self.frames.iter().enumerate() {
            match generations.last_mut() {
                Some(last) if last.1 == generation => last.0 += 1,
                _ => generations.push((index as u64 + 1, generation)),
            }
        }
        if generations.is_empty() {
            generations.push((0, 1));
        }
        read_all(&self.run.disk, &generations)
    }

    /// From one past the end at most; further is refused.
    fn read_from(&self, any: u64) -> Result<(), Error> {
        let from = any % (self.last() + 2) + 1;
        let mut reader = match Reader::open(self.run.disk.clone(), from) {
            Err(Error::OutOfRange { sequence, first, next }) => {
                assert_eq!((sequence, first, next), (self.last() + 2, 1, self.last() + 1));
                return Ok(());
            }
            other => other?,
        };
        assert!(from <= self.last() + 1);
        for sequence in from..=self.last().min(from + 20) {
            let frame = reader.next_frame()?.expect("it was appended");
            assert!(same(frame, sequence, self.frames[sequence as usize - 1]), "{frame:?}");
        }
        Ok(())
    }

    /// The tail reader sees each frame once and in order, published or not.
    fn catch_up(&mut self) -> Result<(), Error> {
        while let Some(frame) = self.tail.next_frame()? {
            self.seen += 1;
            let generation = self.frames[self.seen as usize - 1];
            assert!(same(frame, self.seen, generation), "{frame:?}");
        }
        assert_eq!(self.seen, self.last());
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_journal_is_a_list_of_frames(steps in steps()) {
        let mut pair = Pair::new();
        for (index, step) in steps.iter().enumerate() {
            pair.take(step).unwrap_or_else(|error| panic!("step {index}, {step:?}: {error}"));
        }
        pair.catch_up().unwrap();
        pair.reopen().unwrap();
        pair.read_everything().unwrap();
        check_seals(&pair.run.disk);
    }
}
