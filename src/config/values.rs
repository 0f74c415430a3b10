//! How the values of settings are read and shown.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ringframe_journal::Options;

use super::{Activate, NodeNumber, PerAddress, SecondLogin, SnapshotMode};
use crate::peers::OnStandbyLoss;
use crate::runner::Idle;
use crate::snapshot::schedule::TimeOfDay;

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("it is empty: name a directory".into()) } else { Ok(text.into()) }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("'{text}' is no address: write IP:PORT, as 127.0.0.1:9001"))
}

pub(super) fn optional_address(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "off" {
        return Ok(None);
    }
    address(text).map(Some).map_err(|why| format!("{why}; or use off"))
}

/// Where something is sent to.
pub(super) fn destination(text: &str) -> Result<Option<SocketAddr>, String> {
    match optional_address(text)? {
        Some(address) if address.port() == 0 => {
            Err(format!("nobody can receive at port 0 of {address}: name the receivers' port"))
        }
        destination => Ok(destination),
    }
}

pub(super) fn optional_path(text: &str) -> Result<Option<PathBuf>, String> {
    match text {
        "off" => Ok(None),
        "" => Err("it is empty: name a file, or use off".into()),
        _ => Ok(Some(text.into())),
    }
}

pub(super) fn optional_place(text: &str) -> Result<Option<String>, String> {
    match text {
        "off" => Ok(None),
        "" => Err("it is empty: name a directory or a URL, or use off".into()),
        _ => Ok(Some(text.to_owned())),
    }
}

pub(super) fn parsed<T: FromStr<Err = String>>(text: &str) -> Result<T, String> {
    text.parse()
}

pub(super) fn optional_parsed<T: FromStr<Err = String>>(text: &str) -> Result<Option<T>, String> {
    match text {
        "off" => Ok(None),
        _ => parsed(text).map(Some).map_err(|why| format!("{why}; or use off")),
    }
}

pub(super) fn number(text: &str) -> Result<u64, String> {
    let digits: String = text.chars().filter(|&letter| letter != '_').collect();
    digits.parse().map_err(|_| format!("'{text}' is no whole number"))
}

pub(super) fn within(text: &str, least: u64, most: u64) -> Result<u64, String> {
    match number(text)? {
        number if (least..=most).contains(&number) => Ok(number),
        number => Err(format!("{number} is not between {least} and {most}")),
    }
}

pub(super) fn seconds(text: &str) -> Result<u64, String> {
    within(text, 1, 3_600)
}

impl FromStr for NodeNumber {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let number = within(text, 1, 255).map_err(|why| format!("{why}: or use auto"))?;
        Ok(Self::Is(number as u8))
    }
}

impl fmt::Display for NodeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Is(number) => number.fmt(f),
        }
    }
}

impl FromStr for OnStandbyLoss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "degrade" => Ok(Self::Degrade),
            "halt" => Ok(Self::Halt),
            _ => Err(format!("'{text}' is no answer to a standby's loss: use degrade or halt")),
        }
    }
}

impl fmt::Display for OnStandbyLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Degrade => "degrade",
            Self::Halt => "halt",
        })
    }
}

pub(super) fn connections(text: &str) -> Result<u64, String> {
    within(text, 1, 1_000_000)
}

impl FromStr for PerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            _ => {
                connections(text).map(Self::Most).map_err(|why| format!("{why}: or use auto, off"))
            }
        }
    }
}

impl fmt::Display for PerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Off => f.write_str("off"),
            Self::Most(most) => most.fmt(f),
        }
    }
}

pub(super) fn room(text: &str) -> Result<u64, String> {
    within(text, 0, 1_000_000_000)
}

pub(super) fn rate(text: &str) -> Result<Option<u64>, String> {
    if text == "off" {
        return Ok(None);
    }
    within(text, 1, 1_000_000_000).map(Some).map_err(|why| format!("{why}: or use off"))
}

pub(super) fn ring_slots(text: &str) -> Result<usize, String> {
    let slots = within(text, 64, 1 << 22)?;
    match slots.is_power_of_two() {
        true => Ok(slots as usize),
        false => Err(format!(
            "{slots} is no power of two: use {} or {}",
            slots.next_power_of_two() / 2,
            slots.next_power_of_two()
        )),
    }
}

/// The units of sizes.
const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let unit = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (digits, unit) = unit.unwrap_or((text, 1));
    Ok(number(digits.trim())?.saturating_mul(unit))
}

pub(super) fn window_bytes(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        bytes if (4 << 10..=1 << 30).contains(&bytes) => Ok(bytes),
        bytes => Err(format!("{bytes} is not between 4 KiB and 1 GiB")),
    }
}

pub(super) fn segment_bytes(text: &str) -> Result<u64, String> {
    let bytes = bytes(text)?;
    let (least, most) = (Options::SEGMENT_BYTES_MIN, Options::SEGMENT_BYTES_MAX);
    if (least..=most).contains(&bytes) && bytes.is_multiple_of(4096) {
        return Ok(bytes);
    }
    let [least, most] = [&least, &most].map(show_bytes);
    Err(format!("{bytes} is no multiple of 4096 between {least} and {most}"))
}

pub(super) fn optional(text: &str) -> Result<Option<u64>, String> {
    if text == "off" {
        return Ok(None);
    }
    // Three hundred years in seconds still count in nanoseconds.
    within(text, 1, 10_000_000_000).map(Some).map_err(|why| format!("{why}: or use off"))
}

pub(super) fn time_of_day(text: &str) -> Result<Option<TimeOfDay>, String> {
    match text {
        "off" => Ok(None),
        _ => text.parse().map(Some),
    }
}

pub(super) fn per_second(text: &str) -> Result<u64, String> {
    within(text, 1, 20)
}

pub(super) fn truth(text: &str) -> Result<bool, String> {
    one_of(text, &[("true", true), ("false", false)])
}

pub(super) fn keep(text: &str) -> Result<u64, String> {
    within(text, 1, 1 << 20)
}

pub(super) fn drain_seconds(text: &str) -> Result<u64, String> {
    within(text, 1, 3_600)
}

/// One of several words.
pub(super) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("'{text}' is not one of {}", words.join(", "))
    })
}

// … and shown.

pub(super) fn shown<T: fmt::Display>(value: &T) -> String {
    value.to_string()
}

#[expect(clippy::ptr_arg, reason = "as all that show a field's value")]
pub(super) fn show_path(path: &PathBuf) -> String {
    path.display().to_string()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as all that show a field's value")]
pub(super) fn show_bytes(bytes: &u64) -> String {
    let unit = UNITS.iter().find(|(_, unit)| bytes.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_string(), |(name, unit)| format!("{} {name}", bytes / unit))
}

#[expect(clippy::ref_option, reason = "as all that show a field's value")]
pub(super) fn show_optional<T: fmt::Display>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(|| "off".to_owned(), T::to_string)
}

#[expect(clippy::ref_option, reason = "as all that show a field's value")]
pub(super) fn show_optional_path(path: &Option<PathBuf>) -> String {
    path.as_ref().map_or_else(|| "off".to_owned(), show_path)
}

/// Words that are read and shown alike.
macro_rules! words {
    ($type:ident: $($word:literal => $value:ident),+) => {
        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                one_of(text, &[$(($word, Self::$value)),+])
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$value => $word),+ })
            }
        }
    };
}

words!(SnapshotMode: "shadow" => Shadow, "inline" => Inline, "off" => Off);
words!(SecondLogin: "takes-over" => TakesOver, "refused" => Refused);
words!(Activate: "manual" => Manual, "start" => Start);
words!(Idle: "polite" => Polite, "spin" => Spin);
