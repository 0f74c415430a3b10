//! A node's status for people.

use std::io::{self, Write};

use serde_json::Value;

/// A text without its quotes; anything else as it is.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(super) fn status(said: &Value, out: &mut dyn Write) -> io::Result<()> {
    let seconds = |value: &Value| value.as_u64().unwrap_or_default() / 1_000_000_000;
    writeln!(
        out,
        "{} for {} s, pid {}, version {}, {} version {}; a reply means: {}",
        text(&said["state"]),
        seconds(&said["uptime_nanos"]),
        said["pid"],
        text(&said["version"]),
        text(&said["logic"]["name"]),
        said["logic"]["active"],
        text(&said["release"])
    )?;
    if let Some(recovery) = said["recovery"].as_object() {
        return writeln!(out, "replayed {} of {} commands", recovery["applied"], recovery["last"]);
    }
    writeln!(
        out,
        "command {}, {} events, epoch {}, digest {}",
        said["sequence"],
        said["events"],
        said["epoch"],
        text(&said["digest"])
    )?;
    others(said, out)?;
    numbers(out, "positions", &said["positions"], &POSITIONS)?;
    let rings = &said["rings"];
    writeln!(
        out,
        "rings       {} commands and {} events wait, of {} slots each",
        rings["commands"], rings["events"], rings["slots"]
    )?;
    let clients = &said["clients"];
    if !clients.is_null() {
        numbers(out, "clients", clients, &["connections", "sessions", "readers"])?;
        writeln!(out, "day         {}", text(&clients["day"]).trim())?;
    }
    let snapshots = &said["snapshots"];
    match snapshots["age_seconds"].as_u64() {
        Some(age) => writeln!(
            out,
            "snapshot    at command {}, {} s old; {} commands since",
            snapshots["sequence"], age, snapshots["commands_since"]
        )?,
        None => writeln!(out, "snapshot    none")?,
    }
    if let Some(failure) = snapshots["last_failure"].as_str() {
        writeln!(out, "            failed {} times, last: {failure}", snapshots["failures"])?;
    }
    let mebibytes = |value: &Value| value.as_u64().unwrap_or_default() >> 20;
    let disk = &said["disk"];
    writeln!(
        out,
        "disk        journal {} MiB, events {} MiB, snapshots {} MiB; {} MiB free",
        mebibytes(&disk["journal_bytes"]),
        mebibytes(&disk["events_bytes"]),
        mebibytes(&disk["snapshots_bytes"]),
        mebibytes(&disk["free_bytes"])
    )?;
    work(said, out)
}

/// What the node is to others.
fn others(said: &Value, out: &mut dyn Write) -> io::Result<()> {
    let others = &said["replication"];
    if others.is_null() {
        return Ok(());
    }
    match (text(&others["role"]).as_str(), others["leader"].as_str()) {
        ("follower", Some(leader)) => {
            writeln!(out, "follows     {leader}, {} commands behind it", others["lag"])?;
        }
        ("follower", None) => writeln!(out, "follows     nobody: its leader is not there")?,
        _ => {}
    }
    for follower in others["followers"].as_array().into_iter().flatten() {
        let kind = if follower["stands_by"] == true { "standby" } else { "follower" };
        let newest = &follower["newest"];
        let build = match *newest == said["logic"]["newest"] {
            true => String::new(),
            false => format!(", its build has version {newest} of the logic"),
        };
        writeln!(
            out,
            "{kind:<12}{}, journaled {}, synced {}, {} commands and {} us behind{build}",
            text(&follower["address"]),
            follower["journaled"],
            follower["synced"],
            follower["lag"],
            follower["behind_nanos"].as_u64().unwrap_or_default() / 1_000
        )?;
    }
    if others["role"] == "leader" && others["wanted"] != said["release"] {
        let wanted = text(&others["wanted"]);
        writeln!(out, "WARNING     no standby: replies do not mean {wanted} now")?;
    }
    Ok(())
}

/// What stages did, and what the gateway counted.
fn work(said: &Value, out: &mut dyn Write) -> io::Result<()> {
    for stage in said["stages"].as_array().into_iter().flatten() {
        writeln!(
            out,
            "{:<12}{:>12} items, {:>6} at most in a poll, busy {:.2} %",
            text(&stage["name"]),
            stage["items"].as_u64().unwrap_or_default(),
            stage["largest"].as_u64().unwrap_or_default(),
            stage["busy_share"].as_f64().unwrap_or_default() * 100.0
        )?;
    }
    let counted = said["traffic"].as_array().into_iter().flatten();
    for it in counted.filter(|it| it["count"] != 0) {
        writeln!(out, "{:>12} {}", it["count"].as_u64().unwrap_or_default(), text(&it["what"]))?;
    }
    Ok(())
}

const POSITIONS: [&str; 6] =
    ["published", "journaled", "synced", "applied", "released", "snapshotted"];

fn numbers(out: &mut dyn Write, name: &str, of: &Value, fields: &[&str]) -> io::Result<()> {
    let fields: Vec<String> = fields.iter().map(|it| format!("{it} {}", of[*it])).collect();
    writeln!(out, "{name:<12}{}", fields.join("  "))
}
