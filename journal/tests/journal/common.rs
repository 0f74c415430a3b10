//! A journal on the simulated disk, driven by hand: every frame is a function of its sequence and
//! its generation, every schedule a function of a seed, so each run can be repeated to the byte.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use ringframe_journal::segment::{
    DIGEST_NONE, Digest, Header, LogicId, SEAL_OFFSET, Seal, SegmentHasher, Stored, file_name,
};
use ringframe_journal::{
    Append, Error, Frame, FrameRef, Journal, Options, Reader, SimulatedStorage, Survival, survey,
};

/// What the file of marks takes.
pub const MARKS: u64 = 2 * PAGE;

pub const PAGE: u64 = 4096;

pub fn options() -> Options {
    Options {
        segment_bytes: Options::SEGMENT_BYTES_MIN,
        // Several slices per segment, so that a crash falls between them.
        slice_bytes: 8 * PAGE,
        ..Options::new("test", 1)
    }
}

/// splitmix64.
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// True once in `of` times.
    pub fn one_in(&mut self, of: u64) -> bool {
        self.next().is_multiple_of(of)
    }
}

/// The payload of a frame. A frame that is appended again after a cut is of a later generation and
/// has other bytes, so that a stale frame can never pass for it.
pub fn payload(sequence: u64, generation: u32) -> Vec<u8> {
    let mut random = Random(sequence << 8 | u64::from(generation));
    let length = match random.next() % 64 {
        0 => 64 * 1024,
        1..8 => 0,
        8..40 => random.next() % 200,
        _ => random.next() % 2000,
    };
    (0..length.div_ceil(8))
        .flat_map(|_| random.next().to_le_bytes())
        .take(length as usize)
        .collect()
}

pub fn frame(sequence: u64, generation: u32, payload: &[u8]) -> Frame<'_> {
    let timestamp = sequence * 1000;
    Frame { sequence, timestamp, epoch: generation, kind: 1, schema: 1, payload }
}

pub fn same(found: FrameRef<'_>, sequence: u64, generation: u32) -> bool {
    found.frame() == frame(sequence, generation, &payload(sequence, generation))
}

/// What a run did before it ended or the machine went off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The last frame that was at least begun.
    pub begun: u64,
    /// The last frame that was published while the machine was on.
    pub published: u64,
    /// The highest `synced` that anyone was ever told.
    pub synced: u64,
    /// Steps at which something other than a frame's stores happened.
    pub turns: Vec<u64>,
}

/// A journal and the hand that polls it.
pub struct Run {
    pub disk: SimulatedStorage,
    pub journal: Journal<SimulatedStorage>,
    pub generation: u32,
    pub now: u64,
    pub outcome: Outcome,
}

impl Run {
    pub fn open(disk: &SimulatedStorage, generation: u32) -> Result<Self, Error> {
        let journal = Journal::open(disk.clone(), options())?;
        let outcome = Outcome { synced: journal.recovery.next - 1, ..Outcome::default() };
        Ok(Self { disk: disk.clone(), journal, generation, now: 0, outcome })
    }

    /// Appends one frame, polling the helpers while it has to wait.
    pub fn append(&mut self) -> Result<(), Error> {
        let sequence = self.journal.writer.next_sequence();
        let payload = payload(sequence, self.generation);
        self.outcome.begun = sequence;
        loop {
            let before = self.disk.steps();
            let frame = frame(sequence, self.generation, &payload);
            let done = self.journal.writer.append(&frame)?;
            if self.disk.steps() > before + 3 {
                self.outcome.turns.extend(before..=self.disk.steps());
            }
            if done == Append::Done {
                return Ok(());
            }
            self.publish()?;
            self.now += 1_000_000;
            self.sync()?;
            self.keep()?;
        }
    }

    pub fn publish(&mut self) -> Result<(), Error> {
        let published = self.journal.writer.publish()?;
        if !self.disk.is_off() {
            self.outcome.published = published;
        }
        Ok(())
    }

    pub fn sync(&mut self) -> Result<(), Error> {
        let before = self.disk.steps();
        let polled = self.journal.syncer.poll(self.now);
        self.outcome.synced = self.journal.writer.positions().synced();
        self.turned(before);
        polled.map(|_| ())
    }

    pub fn keep(&mut self) -> Result<(), Error> {
        let before = self.disk.steps();
        let polled = self.journal.keeper.poll(self.now);
        self.turned(before);
        polled.map(|_| ())
    }

    fn turned(&mut self, before: u64) {
        if self.disk.steps() > before {
            self.outcome.turns.extend(before..=self.disk.steps());
        }
    }

    /// Appends so many frames; the seed decides who is polled when, the syncer once in `lazy`.
    pub fn work(&mut self, frames: u64, random: &mut Random, lazy: u64) -> Result<(), Error> {
        for _ in 0..frames {
            self.append()?;
            self.now += random.next() % 2_000_000;
            if random.one_in(2) {
                self.publish()?;
            }
            if random.one_in(lazy) {
                self.sync()?;
            }
            if random.one_in(4) {
                self.keep()?;
            }
        }
        Ok(())
    }

    pub fn close(mut self) -> Result<Outcome, Box<(Outcome, Error)>> {
        let Journal { mut writer, mut syncer, mut keeper, .. } = self.journal;
        let before = self.disk.steps();
        let closed =
            writer.publish().and_then(|_| syncer.finish(self.now)).and_then(|()| keeper.finish());
        self.outcome.synced = writer.positions().synced();
        self.outcome.turns.extend(before..=self.disk.steps());
        if !self.disk.is_off() {
            self.outcome.published = writer.next_sequence() - 1;
        }
        match closed {
            Ok(()) => Ok(self.outcome),
            Err(error) => Err(Box::new((self.outcome, error))),
        }
    }
}

/// A whole life of a journal: opened, worked on, closed. What it did until the machine went off.
pub fn life(disk: &SimulatedStorage, seed: u64, frames: u64, lazy: u64) -> Outcome {
    let Ok(mut run) = Run::open(disk, 1) else {
        assert!(disk.is_off(), "opening failed on a healthy disk");
        return Outcome::default();
    };
    match run.work(frames, &mut Random(seed), lazy) {
        Ok(()) => run.close().unwrap_or_else(|failed| {
            assert!(disk.is_off(), "{}", failed.1);
            failed.0
        }),
        Err(error) => {
            assert!(disk.is_off(), "{error}");
            run.outcome
        }
    }
}

/// Reads every frame there is and compares it with what was appended: `generations` holds the last
/// sequence of each.
pub fn read_all(disk: &SimulatedStorage, generations: &[(u64, u32)]) -> Result<(), Error> {
    let last = generations.last().expect("one generation").0;
    let mut reader = Reader::open(disk.clone(), 1)?;
    for sequence in 1..=last {
        let generation = generations.iter().find(|(last, _)| sequence <= *last).expect("above").1;
        let found = reader.next_frame()?;
        let found = found.unwrap_or_else(|| panic!("frame {sequence} of {last} is missing"));
        assert!(same(found, sequence, generation), "frame {sequence} is another: {found:?}");
    }
    assert!(reader.next_frame()?.is_none(), "there are frames behind {last}");
    Ok(())
}

/// Every seal says what the frames say, and chains to the one before.
pub fn check_seals(disk: &SimulatedStorage) {
    let mut previous: Digest = DIGEST_NONE;
    for info in survey(disk).unwrap() {
        let (Stored::Good(header), Stored::Good(seal)) = (&info.header, &info.seal) else { break };
        let bytes = disk.contents(&file_name(info.number)).unwrap();
        let mut hasher = SegmentHasher::new(&previous, header);
        hasher.update(&bytes[PAGE as usize..seal.end as usize]);
        assert_eq!((seal.previous, seal.digest), (previous, hasher.finish()), "{info:?}");
        assert_eq!(seal.last_timestamp, seal.last_sequence * 1000, "{info:?}");
        previous = seal.digest;
    }
}

/// The classes of what a power cut may leave, for one step of one run.
pub fn survivals(seed: u64) -> [Survival; 12] {
    [
        Survival::Everything,
        Survival::Nothing,
        Survival::Even,
        Survival::Odd,
        Survival::AllButFirst,
        Survival::OnlyLast,
        Survival::Random(seed),
        Survival::Random(seed ^ 0xAAAA),
        Survival::Random(seed ^ 0x5555),
        Survival::Torn(seed),
        Survival::Torn(seed ^ 0xAAAA),
        Survival::Torn(seed ^ 0x5555),
    ]
}

/// Puts a header into a segment whose format or logic is not ours.
pub fn rewrite_header(disk: &SimulatedStorage, number: u64, change: impl Fn(&mut Header)) {
    disk.edit(&file_name(number), |bytes| {
        let old = bytes[..128].try_into().unwrap();
        let Stored::Good(mut header) = Header::decode(&old) else { panic!("no header") };
        change(&mut header);
        bytes[..128].copy_from_slice(&header.encode());
    });
}

/// The seal of a segment.
pub fn seal_of(disk: &SimulatedStorage, number: u64) -> Option<Seal> {
    let bytes = disk.contents(&file_name(number))?;
    let at = SEAL_OFFSET as usize;
    Seal::decode(&bytes[at..at + 128].try_into().unwrap()).good().cloned()
}

pub fn logic(name: &str, version: u32) -> LogicId {
    LogicId { name: name.into(), version }
}
