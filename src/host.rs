//! What this machine gives us.

use std::io;

use rustix::thread::CpuSet;

/// The cores that the calling thread may run on: its affinity, within the cpuset.
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    let set = rustix::thread::sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect())
}
