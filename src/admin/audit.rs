//! The audit log: who asked for what that changes something, and what came of it. Lines of JSON are
//! only ever appended, and each is on the device before it counts: a call is written down before it
//! is carried out, and once more with its outcome.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hyper::StatusCode;
use serde_json::json;

use super::access::Who;
use crate::clock::written;
use crate::types::Nanos;

/// The file in the data directory.
pub const FILE: &str = "audit.log";
/// So many refused calls are written down …
const REFUSED_MAX: u32 = 60;
/// … in this time: whoever guesses at tokens does not fill the disk. The rest is counted.
const MINUTE: u64 = 60 * Nanos::SECOND;

/// The log, open.
#[derive(Debug)]
pub(super) struct Audit {
    file: File,
    path: PathBuf,
    /// The last call's number in this process.
    last: u64,
    refused: Refusals,
}

#[derive(Debug, Default)]
struct Refusals {
    since: Nanos,
    written: u32,
    unwritten: u64,
}

/// What somebody asked.
pub(super) struct Asked<'a> {
    pub(super) from: SocketAddr,
    pub(super) call: &'a str,
    pub(super) body: &'a str,
}

impl Audit {
    /// Opens or begins it.
    pub(super) fn open(data: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(data)?;
        let path = data.join(FILE);
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).mode(0o600).open(&path)?;
        // A line that a loss of power tore stays as it is, and alone.
        if file.metadata()?.len() > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        File::open(data)?.sync_all()?;
        Ok(Self { file, path, last: 0, refused: Refusals::default() })
    }

    /// Before a call is carried out: its number, which its outcome names.
    pub(super) fn begin(
        &mut self,
        who: &Who,
        asked: &Asked<'_>,
        now: Nanos,
    ) -> Result<u64, String> {
        self.last += 1;
        let number = self.last;
        self.write(&json!({
            "time": written(now),
            "pid": std::process::id(),
            "number": number,
            "who": who.name,
            "role": who.role.name(),
            "from": asked.from.to_string(),
            "call": asked.call,
            "body": asked.body,
        }))?;
        Ok(number)
    }

    /// What came of it.
    pub(super) fn end(
        &mut self,
        number: u64,
        status: StatusCode,
        said: &str,
        now: Nanos,
    ) -> Result<(), String> {
        self.write(&json!({
            "time": written(now),
            "pid": std::process::id(),
            "number": number,
            "outcome": status.as_u16(),
            "said": said,
        }))
    }

    /// A call that was not carried out.
    pub(super) fn refuse(
        &mut self,
        name: Option<&str>,
        asked: &Asked<'_>,
        status: StatusCode,
        why: &str,
        now: Nanos,
    ) -> Result<(), String> {
        if now >= self.refused.since.after(MINUTE) {
            self.refused = Refusals { since: now, written: 0, ..self.refused };
        }
        if self.refused.written >= REFUSED_MAX {
            self.refused.unwritten += 1;
            return Ok(());
        }
        self.refused.written += 1;
        let unwritten = std::mem::take(&mut self.refused.unwritten);
        self.write(&json!({
            "time": written(now),
            "pid": std::process::id(),
            "who": name,
            "from": asked.from.to_string(),
            "call": asked.call,
            "outcome": status.as_u16(),
            "said": why,
            "refused_and_not_written_before": unwritten,
        }))
    }

    fn write(&mut self, line: &serde_json::Value) -> Result<(), String> {
        let line = format!("{line}\n");
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| {
            format!("nothing is done that is not written down: {}: {error}", self.path.display())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::access::Role;

    fn lines(data: &Path) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(data.join(FILE)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_default()).collect()
    }

    const ASKED: Asked<'_> = Asked {
        from: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7),
        call: "POST /drain",
        body: "",
    };

    #[test]
    fn lines_are_only_added_also_after_a_torn_one() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let who = Who { name: "alice".into(), role: Role::Operate };
        let mut audit = Audit::open(data).unwrap();
        assert_eq!(audit.begin(&who, &ASKED, Nanos(1)), Ok(1));
        audit.end(1, StatusCode::OK, "done", Nanos(2)).unwrap();
        let mut file = OpenOptions::new().append(true).open(data.join(FILE)).unwrap();
        file.write_all(b"{\"time\":\"1970").unwrap();
        let mut audit = Audit::open(data).unwrap();
        audit.begin(&who, &ASKED, Nanos(3)).unwrap();
        let lines = lines(data);
        assert_eq!(lines.len(), 4);
        assert!(lines[0]["who"] == "alice" && lines[0]["call"] == "POST /drain");
        assert!(lines[1]["outcome"] == 200 && lines[1]["number"] == 1);
        assert!(lines[2].is_null() && lines[3]["who"] == "alice");
    }

    #[test]
    fn whoever_guesses_does_not_fill_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let mut audit = Audit::open(directory.path()).unwrap();
        let mut refuse = |now| {
            audit.refuse(None, &ASKED, StatusCode::UNAUTHORIZED, "no", Nanos(now)).unwrap();
        };
        (0..1_000).for_each(|_| refuse(MINUTE));
        assert_eq!(lines(directory.path()).len(), REFUSED_MAX as usize);
        refuse(2 * MINUTE);
        let last = lines(directory.path()).pop().unwrap();
        assert_eq!(last["refused_and_not_written_before"], 1_000 - u64::from(REFUSED_MAX));
    }
}
