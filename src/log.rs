//! The log: lines on standard error. What runs outlives its log: a line that nobody takes, because
//! the disk is full, the reader gone or at a standstill, is dropped and counted.
//!
//! Lines are events of `tracing`, from threads that no order waits for; a stage that has something
//! to say hands over a [`Note`].

use std::fmt;
use std::io::{IsTerminal, Write, stderr};
use std::os::fd::AsFd;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::clock::{Clock, written};
use crate::types::{Epoch, Nanos, Sequence};

/// A reader that is slow has so long to take some of what waits for it.
const PATIENCE: Duration = Duration::from_secs(1);
/// A pipe that takes anything takes so much without waiting (`PIPE_BUF`).
const PIECE_BYTES: usize = 4096;

/// Lines since the last one that somebody took.
static LOST: AtomicU64 = AtomicU64::new(0);

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For programs: an object a line, with what it is about as fields.
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("'{other}' is not one of auto, text, json")),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Whether lines are JSON: until somebody says so they are text.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// From here on `tracing`'s events are lines of the log. Once in a process.
pub fn begin() {
    let lines = tracing_subscriber::registry().with(Lines(Clock::new()));
    // Who embeds us may have one of his own.
    let _ = tracing::subscriber::set_global_default(lines);
}

/// From here on lines look so.
pub fn set_format(format: Format) {
    let is_json = match format {
        Format::Auto => !stderr().is_terminal(),
        Format::Text => false,
        Format::Json => true,
    };
    IS_JSON.store(is_json, Ordering::Relaxed);
}

/// What a stage has to say: stages do not write themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// For people.
    pub line: String,
    /// The session that it is about …
    pub session: Option<u16>,
    /// … the term …
    pub epoch: Option<u32>,
    /// … the command.
    pub sequence: Option<u64>,
}

impl From<String> for Note {
    fn from(line: String) -> Self {
        Self { line, ..Self::default() }
    }
}

impl Note {
    /// About a term, and the command that it begins with.
    pub fn of_term(line: String, epoch: Epoch, first: Sequence) -> Self {
        Self { line, epoch: Some(epoch.0), sequence: Some(first.0), session: None }
    }

    /// Writes it to the log.
    pub fn say(&self) {
        let Self { line, session, epoch, sequence } = self;
        tracing::info!(session, epoch, sequence, "{line}");
    }
}

/// Makes a line of each event.
struct Lines(Clock);

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        // What other crates have to say to their developers is nothing for operators.
        *metadata.level() <= Level::INFO
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields { message, rest } = fields;
        write(self.0.now(), *event.metadata().level(), message, rest);
    }
}

/// What a process says that ends at once, whoever takes `tracing`'s events.
pub(crate) fn last_words(message: String) {
    write(Clock::new().now(), Level::ERROR, message, serde_json::Map::new());
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: serde_json::Map<String, serde_json::Value>,
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.rest.insert(field.name().into(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        if field.name() == "message" {
            self.message = value;
        } else {
            self.rest.insert(field.name().into(), value.into());
        }
    }
}

fn write(
    now: Nanos,
    level: Level,
    message: String,
    rest: serde_json::Map<String, serde_json::Value>,
) {
    if !IS_JSON.load(Ordering::Relaxed) {
        return write_line(&format!("ringframe: {message}"));
    }
    let mut line = serde_json::Map::new();
    line.insert("time".into(), written(now).into());
    line.insert("level".into(), level.as_str().into());
    line.insert("message".into(), message.into());
    line.extend(rest);
    write_line(&serde_json::Value::Object(line).to_string());
}

/// Writes a line. Of a reader that is at a standstill only the first line finds that out by
/// waiting.
fn write_line(line: &str) {
    // Held while a line is written, so that lines stay whole and in order.
    let mut log = stderr().lock();
    let lost = LOST.load(Ordering::Relaxed);
    let mut text = String::new();
    if lost > 0 {
        text = told_of_lost(lost);
    }
    text += line;
    text.push('\n');
    let patience = if lost > 0 { Duration::ZERO } else { PATIENCE };
    let is_taken = text
        .as_bytes()
        .chunks(PIECE_BYTES)
        .all(|piece| takes_some(&log, patience) && log.write_all(piece).is_ok());
    LOST.store(if is_taken { 0 } else { lost + 1 }, Ordering::Relaxed);
}

fn told_of_lost(lost: u64) -> String {
    let message = format!("{lost} lines before this one were lost: nobody took them");
    if IS_JSON.load(Ordering::Relaxed) {
        let line = serde_json::json!({ "level": "WARN", "message": message, "lost": lost });
        return format!("{line}\n");
    }
    format!("ringframe: {message}\n")
}

/// Whether a page can be written there without waiting. What has no reader any more counts, too:
/// to write says so.
pub fn is_read(stream: impl AsFd) -> bool {
    takes_some(stream, PATIENCE)
}

fn takes_some(stream: impl AsFd, patience: Duration) -> bool {
    let patience = Timespec::try_from(patience).expect("it is short");
    loop {
        let mut streams = [PollFd::new(&stream, PollFlags::OUT)];
        match poll(&mut streams, Some(&patience)) {
            // A signal came, such as the one to end.
            Err(Errno::INTR) => {}
            found => return !matches!(found, Ok(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_that_is_full_takes_nothing_and_one_without_a_reader_fails_at_once() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
        assert!(takes_some(&writer, Duration::ZERO));
        rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
        while writer.write(&[0; PIECE_BYTES]).is_ok() {}
        assert!(!takes_some(&writer, Duration::ZERO));
        drop(reader);
        assert!(takes_some(&writer, Duration::ZERO) && writer.write(&[0]).is_err());
    }
}
