//! How many bytes reach the device under a directory, from `/proc/diskstats`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes written to the device so far, if this machine tells. Counts everyone's writes.
pub(crate) fn bytes_written(directory: &Path) -> Option<u64> {
    let device = std::fs::metadata(directory).ok()?.dev();
    // The usual encoding of a device number on Linux.
    let major = ((device >> 8) & 0xFFF) | ((device >> 32) & !0xFFF);
    let minor = (device & 0xFF) | ((device >> 12) & !0xFF);
    let stats = std::fs::read_to_string("/proc/diskstats").ok()?;
    stats.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_it = fields.first()?.parse() == Ok(major) && fields.get(1)?.parse() == Ok(minor);
        // Sectors of 512 bytes, whatever the device's own are.
        is_it.then(|| Some(fields.get(9)?.parse::<u64>().ok()? * 512))?
    })
}
