//! `ringframe doctor`: what this host gives a node, and what to do about it.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use ringframe::host::{Disk, Host};
use ringframe::layout::{Layout, Place};
use serde_json::json;

use super::{Answer, Failure};

/// The stages that a layout groups.
const STAGES: [&str; 5] = ["intake", "journaler", "processor", "event_log", "egress"];
/// Enough for two segments of each log, those being prepared, and some snapshots.
const FREE_BYTES_ADVISED: u64 = 2 << 30;
/// A sync that takes longer is no flash memory's, or waits for others.
const SYNC_NANOS_ADVISED: u64 = 2_000_000;
const OPEN_FILES_ADVISED: u64 = 4_096;

/// Explain this host: cores, quota, memory, limits, what a sync costs; propose a layout
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ringframe doctor --data /srv/ringframe")]
pub(crate) struct DoctorArgs {
    /// The data directory, there or not; a small file is written beside it and removed
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// For scripts
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &DoctorArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let failed = |what: &str, error| Failure::Fault(format!("cannot look at {what}: {error}"));
    let host = Host::look().map_err(|error| failed("this host", error))?;
    let disk =
        Disk::look(&args.data).map_err(|error| failed(&args.data.display().to_string(), error))?;
    let layout = Layout::Auto.chosen(&host);
    let places = Layout::Auto.resolve(&STAGES, &host).map_err(Failure::Fault)?;
    let advice = advice(&host, &disk);
    if args.json {
        return as_json(&host, &disk, &layout, &places, &advice, out);
    }
    as_text(&host, &disk, &layout, &places, &advice, out)
}

fn as_json(
    host: &Host,
    disk: &Disk,
    layout: &Layout,
    places: &[Place],
    advice: &[String],
    out: &mut dyn Write,
) -> Result<Answer, Failure> {
    let places = places.iter().map(|place| json!({ "stages": place.stages, "core": place.core }));
    let sync = disk
        .sync
        .map(|cost| json!({ "median_ns": cost.median_nanos, "longest_ns": cost.longest_nanos }));
    let report = json!({
        "kernel": host.kernel,
        "cores": host.cores, "sibling_cores": host.siblings,
        "quota_millicores": host.quota_millicores, "usable_cores": host.usable_cores(),
        "memory_bytes": host.memory_bytes,
        "memory_available_bytes": host.memory_available_bytes,
        "memory_limit_bytes": host.memory_limit_bytes,
        "huge_pages": host.huge_pages, "open_files": host.open_files,
        "data": { "path": disk.path.display().to_string(), "file_system": disk.file_system,
                  "free_bytes": disk.free_bytes, "fdatasync": sync },
        "layout": layout.to_string(), "places": places.collect::<Vec<_>>(),
        "advice": advice,
    });
    writeln!(out, "{report}")?;
    Ok(Answer::Yes)
}

fn as_text(
    host: &Host,
    disk: &Disk,
    layout: &Layout,
    places: &[Place],
    advice: &[String],
    out: &mut dyn Write,
) -> Result<Answer, Failure> {
    let quota = host.quota_millicores.map_or_else(
        || "no quota".to_owned(),
        |quota| format!("a quota of {}.{:03} cores", quota / 1000, quota % 1000),
    );
    writeln!(out, "kernel        {}", host.kernel)?;
    writeln!(out, "cores         {:?}, {quota}: {} usable", host.cores, host.usable_cores())?;
    writeln!(
        out,
        "memory        {} MiB, {} MiB available, {}",
        host.memory_bytes >> 20,
        host.memory_available_bytes >> 20,
        host.memory_limit_bytes
            .map_or_else(|| "no limit".to_owned(), |limit| format!("limit {} MiB", limit >> 20))
    )?;
    writeln!(out, "huge pages    {}", host.huge_pages)?;
    writeln!(
        out,
        "open files    {}",
        host.open_files.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string())
    )?;
    writeln!(
        out,
        "data          {}: {}, {} MiB free",
        disk.path.display(),
        disk.file_system,
        disk.free_bytes >> 20
    )?;
    if let Some(cost) = disk.sync {
        let (median, longest) = (cost.median_nanos / 1000, cost.longest_nanos / 1000);
        writeln!(out, "fdatasync     4 KiB in {median} µs, at most {longest} µs")?;
    }
    writeln!(out, "\nlayout {layout}, because {} cores are usable:", host.usable_cores())?;
    for place in places {
        let core = place.core.map_or_else(String::new, |core| format!(" on core {core}"));
        writeln!(out, "  {}{core}", place.stages.join(" + "))?;
    }
    for line in advice {
        writeln!(out, "\n- {line}")?;
    }
    Ok(Answer::Yes)
}

/// What to do about this host, if anything.
fn advice(host: &Host, disk: &Disk) -> Vec<String> {
    let mut advice = Vec::new();
    let quota = host.quota_millicores.filter(|&quota| (quota as usize) < host.cores.len() * 1000);
    if let Some(quota) = quota {
        advice.push(format!(
            "the quota of {quota} thousandths of a core stops all threads at once when it is used \
             up: give whole cores (a cpuset) instead, and keep idle = \"polite\""
        ));
    }
    if host.usable_cores() < 4 {
        advice.push(
            "with fewer than four cores nothing is pinned, and idle = \"spin\" would take the \
             kernel's network thread its core: keep idle = \"polite\""
                .to_owned(),
        );
    }
    if host.huge_pages == "never" {
        advice.push(
            "transparent huge pages are off, which costs a deep book 5 to 20 %: echo madvise > \
             /sys/kernel/mm/transparent_hugepage/enabled"
                .to_owned(),
        );
    }
    if host.open_files.is_some_and(|limit| limit < OPEN_FILES_ADVISED) {
        advice.push(format!("each client takes a file: raise `ulimit -n` to {OPEN_FILES_ADVISED}"));
    }
    match disk.file_system.as_str() {
        "tmpfs" | "ramfs" => advice.push(
            "the data directory is in memory: synced promises nothing there; use a disk".to_owned(),
        ),
        "btrfs" | "zfs" => advice.push(
            "a copy-on-write file system may run out of room inside a reserved segment: turn it \
             off for the directory (chattr +C), or use ext4 or xfs"
                .to_owned(),
        ),
        _ => {}
    }
    if disk.free_bytes < FREE_BYTES_ADVISED {
        advice.push(format!(
            "{} MiB are free: make room, or choose smaller segment_bytes",
            disk.free_bytes >> 20
        ));
    }
    match disk.sync {
        None => advice.push(format!(
            "nothing can be written in {}: choose another --data, or its owner",
            disk.path.display()
        )),
        Some(cost) if cost.median_nanos > SYNC_NANOS_ADVISED => advice.push(
            "a sync is slow here: replies under release = \"synced\" wait for it; use flash \
             memory with power-loss protection"
                .to_owned(),
        ),
        Some(_) => {}
    }
    advice
}
