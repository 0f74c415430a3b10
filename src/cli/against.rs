//! `ringframe replay --against`: two builds on the same commands, event by event. The rehearsal of
//! an upgrade.

use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use ringframe::recovery::Watch;
use ringframe::stage::Fault;
use ringframe::types::Sequence;
use ringframe_journal::Frame;
use ringframe_journal::frame::{Decoded, decode};

use super::replay::{Task, show};
use super::{Answer, Failure};

/// As much as a frame of the event log ever takes.
const BUFFER_BYTES: usize = 1 << 20;

/// Runs `binary` on the journal and compares what it emits with what we do.
pub(super) fn run(
    task: &Task,
    data: &Path,
    binary: &Path,
    out: &mut dyn Write,
) -> Result<Answer, Failure> {
    let mut machine = task.beginning()?;
    let from = machine.applied().sequence;
    let other = Other::start(task, from, data, binary)?;
    let mut compare = Compare { other, same: 0, first: None, differ: 0 };
    task.replay(&mut machine, &mut compare)?;
    let Compare { mut other, same, first, differ } = compare;
    let surplus = other.count_rest()?;
    other.end()?;
    writeln!(
        out,
        "{} commands: {same} events are the same, {differ} differ, the other build has {surplus} \
         more at the end",
        task.until.0
    )?;
    if let Some(Difference { ours, theirs }) = &first {
        writeln!(out, "the first that differs:\n  this build   {ours}\n  the other    {theirs}")?;
    } else if surplus > 0 {
        writeln!(out, "this build has nothing where the other has more")?;
    }
    Ok(if differ == 0 && surplus == 0 { Answer::Yes } else { Answer::No })
}

struct Compare {
    other: Other,
    same: u64,
    first: Option<Difference>,
    differ: u64,
}

struct Difference {
    ours: String,
    theirs: String,
}

impl Watch for Compare {
    fn event(&mut self, ours: &Frame<'_>) -> Result<(), Fault> {
        let theirs = self.other.next()?;
        if theirs.as_ref() == Some(ours) {
            self.same += 1;
            return Ok(());
        }
        self.differ += 1;
        if self.first.is_none() {
            let theirs = theirs.as_ref().map_or("nothing more".to_owned(), show);
            self.first = Some(Difference { ours: show(ours), theirs });
        }
        Ok(())
    }
}

/// The other build, at work.
struct Other {
    child: Child,
    events: BufReader<ChildStdout>,
    bytes: Vec<u8>,
    binary: String,
    /// The snapshot that it is to begin with, or 0.
    from: Sequence,
}

impl Other {
    fn start(task: &Task, from: Sequence, data: &Path, binary: &Path) -> Result<Self, Failure> {
        let name = binary.display().to_string();
        let mut command = Command::new(binary);
        command.args(["replay", "--frames", "--until", &task.until.0.to_string()]);
        // By itself it might take another one, and each of its events would differ.
        if from > Sequence(0) {
            command.args(["--from-snapshot", &from.0.to_string()]);
        }
        let mut child = command
            .arg("--data")
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::Usage(format!("--against {name}: cannot run it: {error}")))?;
        let stdout = child.stdout.take().expect("it was asked for");
        let events = BufReader::with_capacity(BUFFER_BYTES, stdout);
        Ok(Self { child, events, bytes: Vec::new(), binary: name, from })
    }

    /// Its next event, or none when it has no more.
    fn next(&mut self) -> Result<Option<Frame<'_>>, Fault> {
        let broken = |why: String| Fault::Node(format!("--against {}: {why}", self.binary));
        self.bytes.clear();
        loop {
            let needed = match decode(&self.bytes) {
                Decoded::Frame(_) => break,
                Decoded::Short { needed } => needed,
                _ => return Err(broken("it does not write frames: is it a ringframe?".into())),
            };
            let from = self.bytes.len();
            let mut part = (&mut self.events).take((needed - from) as u64);
            let read =
                part.read_to_end(&mut self.bytes).map_err(|error| broken(error.to_string()))?;
            match read {
                0 if from == 0 => return Ok(None),
                read if read < needed - from => {
                    return Err(broken("it ended within an event".into()));
                }
                _ => {}
            }
        }
        match decode(&self.bytes) {
            Decoded::Frame(frame) => Ok(Some(frame.frame())),
            _ => unreachable!("it was decoded above"),
        }
    }

    fn count_rest(&mut self) -> Result<u64, Fault> {
        let mut count = 0;
        while self.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    fn end(mut self) -> Result<(), Failure> {
        let status = self.child.wait().map_err(|error| Failure::Fault(error.to_string()))?;
        if status.success() {
            return Ok(());
        }
        let begun = match self.from {
            Sequence(0) => String::new(),
            Sequence(from) => format!(
                "; it was to begin with the snapshot at {from}, the oldest that this build can \
                 load, because the journal before it is gone"
            ),
        };
        Err(Failure::Fault(format!(
            "--against {}: it ended with {status}; what it said stands above{begun}",
            self.binary
        )))
    }
}
