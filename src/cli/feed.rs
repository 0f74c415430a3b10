//! `ringframe feed`: what the market was told, as a file of ITCH 5.0 that other programs read.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use ringframe::dialect::itch::Market;
use ringframe::recovery;
use ringframe::stage::Fault;
use ringframe::streams::{Day, Listener, Mark, Stream, Tally, beginning};
use ringframe_journal::{MappedStorage, Reader};

use super::progress::Progress;
use super::{Answer, Failure};

/// Write what the market was told, as a file of ITCH 5.0
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ringframe feed --data data --out today.itch
  ringframe feed --data data --day 1 | gzip > first.itch.gz
  ringframe feed --data data --day all --out everything.itch

The file is a BinaryFILE, as exchanges publish them: two bytes of length and the message, again and
again, and a length of zero at the end. Works while a node writes; of a day that goes on it has what
was released. docs/PROTOCOLS.md says what a reader can rely on.")]
pub(crate) struct FeedArgs {
    /// The data directory; it is only read, also while a node writes it
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Write it to this file and not to standard output; it has this name when it is whole
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Which day of those that the log still has, from 1, or what its session is called; `all` for
    /// one after the other [default: the last of which there is a message]
    #[arg(long, value_name = "N|SESSION|all")]
    day: Option<String>,
}

pub(crate) fn run(args: &FeedArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    if args.out.is_none() && io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "a feed is no text: name a file with --out, or send it to a program that reads it"
                .into(),
        ));
    }
    if let Some(path) = &args.out {
        check_out(path)?;
    }
    let log = Log::open(&args.data)?;
    let (start, which) = match args.day.as_deref() {
        Some("all") => (log.first.clone(), Days::All),
        wanted => (log.find(wanted)?, Days::One),
    };
    let Some(path) = &args.out else {
        log.write(start, which, out)?.say();
        return Ok(Answer::Yes);
    };
    let part =
        PathBuf::from([path.as_os_str(), ".part".as_ref()].into_iter().collect::<OsString>());
    let failed = |what, error: &dyn std::fmt::Display| {
        Failure::Fault(format!("cannot {what} {}: {error}", part.display()))
    };
    let file = File::create(&part).map_err(|error| failed("create", &error))?;
    let mut file = BufWriter::new(file);
    let written = log.write(start, which, &mut file).map_err(|failure| match failure {
        Failure::Output(error) => failed("write", &error),
        other => other,
    })?;
    let file = file.into_inner().map_err(|error| failed("write", error.error()))?;
    file.sync_all().map_err(|error| failed("sync", &error))?;
    fs::rename(&part, path).map_err(|error| failed("rename", &error))?;
    written.say();
    Ok(Answer::Yes)
}

/// What is written beside it takes its name at the end: all the work would be for nothing.
fn check_out(path: &Path) -> Result<(), Failure> {
    let is_taken = fs::metadata(path).is_ok_and(|about| !about.is_file());
    if is_taken || path.file_name().is_none() {
        return Err(Failure::Usage(format!(
            "--out {}: this is no regular file, and a feed would take its place: name one",
            path.display()
        )));
    }
    Ok(())
}

/// The event log of a data directory, up to the event that was its last at first.
struct Log {
    storage: MappedStorage,
    last: u64,
    /// The first day that it has.
    first: Start,
}

/// Where a day begins in it.
#[derive(Clone, Default)]
struct Start {
    /// So many days came before.
    days: u64,
    /// All that was counted before.
    tally: Tally,
}

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Days {
    /// The one that begins there.
    One,
    /// That one and all later ones.
    All,
}

impl Log {
    fn open(data: &Path) -> Result<Self, Failure> {
        let storage = MappedStorage::new(data.join("events"));
        let directory = storage.directory().display();
        if !storage.directory().is_dir() {
            return Err(Failure::Usage(format!(
                "{directory}: no event log there; --data takes the directory that holds `events/`"
            )));
        }
        let tally = beginning(&MappedStorage::new(data.join("sessions")), &storage)
            .map_err(|fault| Failure::Usage(format!("{directory}: {fault}")))?;
        let last = recovery::last_sequence(&storage)?.unwrap_or_default().0;
        Ok(Self { storage, last, first: Start { days: 0, tally } })
    }

    /// The day that is asked for: by number, by its session's name, or the last one.
    fn find(&self, wanted: Option<&str>) -> Result<Start, Failure> {
        let mut today = self.first.clone();
        let (mut walk, mut found) = (self.walk(today.tally.clone())?, None);
        loop {
            let mut counted = Counted::default();
            let mut name = walk.name();
            while !counted.day_is_over && walk.next(&mut counted)? {
                if !counted.day_is_over {
                    name = walk.name();
                }
            }
            let number = today.days + 1;
            match wanted {
                Some(text) if text == name || text == number.to_string() => return Ok(today),
                None if counted.messages > 0 || found.is_none() => found = Some(today),
                _ => {}
            }
            if !counted.day_is_over {
                return found.ok_or_else(|| {
                    let wanted = wanted.unwrap_or_default();
                    Failure::Usage(format!(
                        "--day {wanted}: the log has days 1 to {number}, and the session of the \
                         last one is called {name}"
                    ))
                });
            }
            today = Start { days: number, tally: walk.tally.clone() };
        }
    }

    fn write(&self, start: Start, which: Days, to: &mut dyn Write) -> Result<Written, Failure> {
        let Start { days, tally } = start;
        let mut walk = self.walk(tally)?;
        let mut file = BinaryFile { to, result: Ok(()), counted: Counted::default() };
        while file.result.is_ok()
            && !(which == Days::One && file.counted.day_is_over)
            && walk.next(&mut file)?
        {}
        let BinaryFile { to, result, counted } = file;
        result?;
        to.write_all(&0_u16.to_be_bytes())?;
        to.flush()?;
        Ok(Written { days: (which == Days::One).then_some(days + 1), messages: counted.messages })
    }

    fn walk(&self, tally: Tally) -> Result<Walk, Failure> {
        let reader = match tally.event() {
            0 => Reader::open_first(self.storage.clone()),
            event => Reader::open(self.storage.clone(), event + 1),
        };
        let reader = reader.map_err(Fault::EventLog)?;
        let progress = Progress::new("events", tally.event(), self.last);
        Ok(Walk { reader, tally, last: self.last, progress })
    }
}

/// A way through the log.
struct Walk {
    reader: Reader<MappedStorage>,
    tally: Tally,
    last: u64,
    progress: Progress,
}

impl Walk {
    /// Counts in the next event; false where there is none.
    fn next(&mut self, to: &mut impl Listener) -> Result<bool, Failure> {
        if self.tally.event() == self.last {
            return Ok(false);
        }
        let Some(event) = self.reader.next_frame().map_err(Fault::EventLog)? else {
            return Ok(false);
        };
        self.tally.on_event(&event.frame(), to)?;
        if self.tally.event().is_multiple_of(1 << 12) {
            self.progress.reached(self.tally.event());
        }
        Ok(true)
    }

    fn name(&self) -> String {
        self.tally.day().name().to_string()
    }
}

/// How many messages there are, and whether a day ended with them.
#[derive(Default)]
struct Counted {
    messages: u64,
    day_is_over: bool,
}

impl Listener for Counted {
    fn message(&mut self, stream: Stream, _number: u64, _bytes: &[u8]) {
        self.messages += u64::from(stream == Stream::Feed);
    }

    fn mark(&mut self, _mark: Mark) {}

    fn new_day(&mut self, _day: &Day, _market: &Market) {
        self.day_is_over = true;
    }
}

/// Writes the feed.
struct BinaryFile<'a> {
    to: &'a mut dyn Write,
    result: io::Result<()>,
    counted: Counted,
}

impl BinaryFile<'_> {
    fn put(&mut self, message: &[u8]) -> io::Result<()> {
        let length = u16::try_from(message.len()).expect("no message is that long");
        self.to.write_all(&length.to_be_bytes())?;
        self.to.write_all(message)
    }
}

impl Listener for BinaryFile<'_> {
    fn message(&mut self, stream: Stream, number: u64, bytes: &[u8]) {
        self.counted.message(stream, number, bytes);
        if stream == Stream::Feed && self.result.is_ok() {
            self.result = self.put(bytes);
        }
    }

    fn mark(&mut self, _mark: Mark) {}

    fn new_day(&mut self, day: &Day, market: &Market) {
        self.counted.new_day(day, market);
    }
}

/// What was written.
struct Written {
    /// The day's number, if it is one.
    days: Option<u64>,
    messages: u64,
}

impl Written {
    fn say(&self) {
        let Self { days, messages } = self;
        let of = days.map_or_else(|| "all days".to_owned(), |day| format!("day {day}"));
        say!("{of}: {messages} messages");
    }
}
