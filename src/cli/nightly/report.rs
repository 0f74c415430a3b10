//! The report of a night: what was done, when, and what was found. The JSON file is also what a
//! run that was interrupted goes on from, so it is on the device before the next step begins.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ringframe::clock::Clock;
use ringframe::small_file::SmallFile;
use ringframe::types::Nanos;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A night.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) day: String,
    /// Who led before, and stands by afterwards …
    pub(super) led_before: SocketAddr,
    /// … and who leads afterwards.
    pub(super) leads_after: SocketAddr,
    /// What a reply means.
    pub(super) release: String,
    pub(super) begun: String,
    /// None before all is done.
    pub(super) finished: Option<String>,
    /// How often the routine was begun.
    pub(super) runs: u32,
    pub(super) steps: Vec<Done>,
    /// Why the last run did not come to its end.
    pub(super) stopped: Option<Stopped>,
    /// What was so before a step, for whoever has to know whether it was done.
    pub(super) noted: BTreeMap<String, Value>,
}

/// A step that was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) step: String,
    pub(super) at: String,
    pub(super) took_ms: u64,
    pub(super) said: String,
    pub(super) found: Value,
}

/// Where a run ended before its time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stopped {
    pub(super) step: String,
    pub(super) at: String,
    pub(super) why: String,
}

/// The time as people and scripts read it.
pub(super) fn timestamp(now: Nanos) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(now.0));
    time.map_or_else(|_| now.0.to_string(), |time| format!("{time:.3}"))
}

/// Today, in UTC.
pub(super) fn today(clock: Clock) -> String {
    timestamp(clock.now()).chars().take("2026-11-22".len()).collect()
}

/// Where a day's report is, without its ending.
fn path(directory: &Path, day: &str, ending: &str) -> PathBuf {
    directory.join(format!("nightly-{day}.{ending}"))
}

impl Report {
    /// The day's report, if there is one.
    pub(super) fn read(directory: &Path, day: &str) -> Result<Option<Self>, String> {
        let path = path(directory, day, "json");
        let wrong = |why: &dyn std::fmt::Display| {
            format!(
                "cannot go on from {}: {why}; move it away to begin the day's routine anew, which \
                 looks at the nodes first",
                path.display()
            )
        };
        let text = match SmallFile::read(&path).and_then(SmallFile::text) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| wrong(&error))?,
        };
        serde_json::from_str(&text).map(Some).map_err(|error| wrong(&error))
    }

    pub(super) fn done(&self, step: &str) -> Option<&Done> {
        self.steps.iter().find(|done| done.step == step)
    }

    /// Writes both files; the one for scripts is durable when this returns.
    pub(super) fn write(&self, directory: &Path) -> Result<(), String> {
        let json = serde_json::to_string_pretty(self).expect("plain fields") + "\n";
        for (ending, text) in [("md", self.for_people()), ("json", json)] {
            let path = path(directory, &self.day, ending);
            replace(directory, &path, &text)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
        Ok(())
    }

    fn for_people(&self) -> String {
        let mut text = format!(
            "# Nightly routine of {}\n\n{} led before, {} leads afterwards; a reply means: {}.\n\
             Begun {}, {}, in {} run(s).\n\n| step | at | took | found |\n|---|---|---|---|\n",
            self.day,
            self.led_before,
            self.leads_after,
            self.release,
            self.begun,
            match &self.finished {
                Some(at) => format!("finished {at}"),
                None => "NOT FINISHED".into(),
            },
            self.runs
        );
        for Done { step, at, took_ms, said, .. } in &self.steps {
            text += &format!("| {step} | {at} | {took_ms} ms | {said} |\n");
        }
        if let Some(Stopped { step, at, why }) = &self.stopped {
            text += &format!("\nStopped at {at}, at the step \"{step}\": {why}.\n");
        }
        text
    }
}

/// A file is the old one or the new one, whatever happens.
fn replace(directory: &Path, path: &Path, text: &str) -> io::Result<()> {
    let aside = path.with_extension("tmp");
    let mut file = File::create(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    File::open(directory)?.sync_all()
}
