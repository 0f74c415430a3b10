//! When an event may leave the process: as soon as its command is as durable as was promised.

use std::fmt;
use std::str::FromStr;

use crate::pipeline::Positions;
use crate::types::Sequence;

/// What a reply means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReleasePolicy {
    /// Its command survives a crash of the process.
    Journaled,
    /// Its command survives a loss of power.
    #[default]
    Synced,
}

impl ReleasePolicy {
    /// The last command whose events may leave.
    #[inline]
    pub fn released(self, positions: &Positions) -> Sequence {
        match self {
            Self::Journaled => positions.journaled(),
            Self::Synced => positions.synced(),
        }
    }
}

impl fmt::Display for ReleasePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Journaled => "journaled",
            Self::Synced => "synced",
        })
    }
}

impl FromStr for ReleasePolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "journaled" => Ok(Self::Journaled),
            "synced" => Ok(Self::Synced),
            _ => Err(format!("'{text}' is no release policy: use journaled or synced")),
        }
    }
}
