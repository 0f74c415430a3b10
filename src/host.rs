//! What this machine gives us: cores, memory, limits, and what a sync costs where the data lies.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};
use rustix::thread::CpuSet;

use crate::clock::Clock;

/// What this process may use of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// The kernel's release.
    pub kernel: String,
    /// The cores it may run on: its affinity, within the cpuset.
    pub cores: Vec<usize>,
    /// Those of them that share a physical core with an earlier one.
    pub siblings: Vec<usize>,
    /// How much CPU time the control group has, in thousandths of a core; none for no quota.
    pub quota_millicores: Option<u64>,
    /// All memory …
    pub memory_bytes: u64,
    /// … what is available of it …
    pub memory_available_bytes: u64,
    /// … and what the control group allows; none for no limit.
    pub memory_limit_bytes: Option<u64>,
    /// When the kernel gives transparent huge pages: always, madvise or never.
    pub huge_pages: String,
    /// How many files may be open.
    pub open_files: Option<u64>,
}

impl Host {
    /// Looks at this machine. What cannot be read, as in some sandboxes, is left empty.
    pub fn look() -> io::Result<Self> {
        let cores = allowed_cores()?;
        let memory = read("/proc/meminfo");
        let groups = ControlGroups { own: read("/proc/self/cgroup"), mounts: mounts() };
        let quota = |files: &[String]| match files {
            [both] => quota(both),
            [quota, period] => quota_of(quota, period),
            _ => None,
        };
        let limit = |files: &[String]| memory_limit(files.first()?);
        let quota_millicores = [
            groups.least("cpu", &["cpu.cfs_quota_us", "cpu.cfs_period_us"], quota),
            groups.least("", &["cpu.max"], quota),
        ];
        let memory_limits = [
            groups.least("memory", &["memory.limit_in_bytes"], limit),
            groups.least("", &["memory.max"], limit),
        ];
        let memory_bytes = meminfo(&memory, "MemTotal").unwrap_or(0);
        Ok(Self {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            siblings: siblings(&cores),
            cores,
            quota_millicores: quota_millicores.into_iter().flatten().min(),
            memory_bytes,
            memory_available_bytes: meminfo(&memory, "MemAvailable").unwrap_or(0),
            memory_limit_bytes: memory_limits.into_iter().flatten().min().filter(|&limit| {
                // Version 1 says "no limit" by a number that no machine has.
                limit < memory_bytes
            }),
            huge_pages: chosen(&read("/sys/kernel/mm/transparent_hugepage/enabled")),
            open_files: getrlimit(Resource::Nofile).current,
        })
    }

    /// How many threads can really run at once: the cores, or fewer where the quota is smaller.
    pub fn usable_cores(&self) -> usize {
        let quota = self.quota_millicores.map_or(usize::MAX, |quota| quota as usize / 1000);
        self.cores.len().min(quota).max(1)
    }

    /// The cores, the best to have alone last.
    pub(crate) fn cores_to_pin(&self) -> Vec<usize> {
        let mut cores = self.cores.clone();
        cores.sort_by_key(|core| !self.siblings.contains(core));
        cores
    }
}

/// The cores that the calling thread may run on.
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    let set = rustix::thread::sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect())
}

/// The file system that a data directory is, or would be, on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// The directory; where it is not there yet, the nearest one above it.
    pub path: PathBuf,
    /// Its file system's type.
    pub file_system: String,
    /// Bytes that may still be written.
    pub free_bytes: u64,
    /// What a small durable write costs; none where nothing can be written.
    pub sync: Option<SyncCost>,
}

/// The time of a 4 KiB write with fdatasync into an allocated file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncCost {
    /// The median …
    pub median_nanos: u64,
    /// … and the longest.
    pub longest_nanos: u64,
}

/// The probe writes so often, …
const PROBE_WRITES: u64 = 32;
/// … but no longer than about this.
const PROBE_NANOS: u64 = 500_000_000;
const PROBE_BYTES: usize = 4096;

impl Disk {
    /// Looks at the file system, and measures what a sync costs with a small file that it removes.
    pub fn look(data: &Path) -> io::Result<Self> {
        let absolute = std::path::absolute(data)?;
        let path = absolute.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
        let path = path.canonicalize()?;
        let free = rustix::fs::statvfs(&path)?;
        Ok(Self {
            file_system: file_system(&mounts(), &path).unwrap_or_default(),
            free_bytes: free.f_bavail * free.f_frsize,
            sync: sync_cost(&path).ok(),
            path,
        })
    }
}

fn sync_cost(directory: &Path) -> io::Result<SyncCost> {
    // It has no name, or loses it at the end: nothing stays.
    let file = tempfile::tempfile_in(directory)?;
    let clock = Clock::new();
    let block = [0x5A; PROBE_BYTES];
    for index in 0..PROBE_WRITES {
        file.write_all_at(&block, index * PROBE_BYTES as u64)?;
    }
    file.sync_all()?;
    let begun = clock.now();
    let mut costs = Vec::new();
    let mut before = begun;
    for index in 0..PROBE_WRITES {
        file.write_all_at(&block, index * PROBE_BYTES as u64)?;
        file.sync_data()?;
        let after = clock.now();
        costs.push(after.0 - before.0);
        if after > begun.after(PROBE_NANOS) {
            break;
        }
        before = after;
    }
    costs.sort_unstable();
    Ok(SyncCost { median_nanos: costs[costs.len() / 2], longest_nanos: costs[costs.len() - 1] })
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn mounts() -> Vec<Mount> {
    read("/proc/self/mountinfo").lines().filter_map(Mount::read).collect()
}

/// The cores that share a physical core with an earlier one of them.
fn siblings(cores: &[usize]) -> Vec<usize> {
    let is_later = |core: &usize| {
        let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
        core_list(read(path).trim()).iter().any(|other| other < core && cores.contains(other))
    };
    cores.iter().copied().filter(is_later).collect()
}

/// The control groups of this process, of version 1 and 2.
struct ControlGroups {
    own: String,
    mounts: Vec<Mount>,
}

impl ControlGroups {
    /// The least that any group from ours up to the root allows. No controller means version 2.
    fn least(
        &self,
        controller: &str,
        files: &[&str],
        value: impl Fn(&[String]) -> Option<u64>,
    ) -> Option<u64> {
        let own = group_of(&self.own, controller)?;
        let mount = self.mounts.iter().find(|mount| mount.is_group(controller))?;
        let directories = group_directories(mount, own);
        let values = directories.iter().filter_map(|directory| {
            let texts: Vec<String> = files.iter().map(|file| read(directory.join(file))).collect();
            value(&texts)
        });
        values.min()
    }
}

/// A line of `/proc/self/mountinfo`.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    root: String,
    point: PathBuf,
    file_system: String,
    options: String,
}

impl Mount {
    fn read(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let mut after = after.split(' ');
        Some(Self {
            root: before.next()?.to_owned(),
            // The only escape that paths of ours may have.
            point: before.next()?.replace("\\040", " ").into(),
            file_system: after.next()?.to_owned(),
            options: after.nth(1)?.to_owned(),
        })
    }

    fn is_group(&self, controller: &str) -> bool {
        match self.file_system.as_str() {
            "cgroup2" => controller.is_empty(),
            "cgroup" => self.options.split(',').any(|option| option == controller),
            _ => false,
        }
    }
}

/// Our group's path, from `/proc/self/cgroup`: lines of `number:controllers:path`.
fn group_of<'a>(own: &'a str, controller: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let (_, line) = line.split_once(':')?;
        let (controllers, path) = line.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some(path)
    })
}

/// The group's directory and all above it. A container may see a part of the tree only: then the
/// mount's root is what it sees.
fn group_directories(mount: &Mount, path: &str) -> Vec<PathBuf> {
    let below = Path::new(path).strip_prefix(&mount.root).unwrap_or(Path::new(""));
    let own = match path.contains("..") || below == Path::new("") {
        true => mount.point.clone(),
        false => mount.point.join(below),
    };
    let is_inside = |path: &&Path| path.starts_with(&mount.point);
    own.ancestors().take_while(is_inside).map(Path::to_owned).collect()
}

/// `cpu.max`: quota and period, in thousandths of a core.
fn quota(text: &str) -> Option<u64> {
    let (quota, period) = text.trim().split_once(' ')?;
    quota_of(quota, period)
}

/// No number, or -1, is no quota.
fn quota_of(quota: &str, period: &str) -> Option<u64> {
    let (quota, period) = (quota.trim().parse::<u64>().ok()?, period.trim().parse::<u64>().ok()?);
    (quota * 1000).checked_div(period)
}

fn memory_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// A row of `/proc/meminfo`, which counts in KiB.
fn meminfo(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// The one in brackets.
fn chosen(text: &str) -> String {
    let chosen = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    chosen.map_or_else(String::new, |(chosen, _)| chosen.to_owned())
}

/// A list such as `0-3,8`.
fn core_list(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

/// The type of the innermost mount, of several at one point the last.
fn file_system(mounts: &[Mount], path: &Path) -> Option<String> {
    let over = mounts.iter().filter(|mount| path.starts_with(&mount.point));
    let inner = over.max_by_key(|mount| mount.point.components().count())?;
    Some(inner.file_system.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
30 25 0:27 / /dev/shm rw,relatime - tmpfs tmpfs rw,size=24684096k
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
41 31 0:38 /docker/abc /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
50 27 8:1 / /srv/my\\040data rw,relatime shared:1 master:2 - xfs /dev/sda rw";

    fn mounts() -> Vec<Mount> {
        MOUNTS.lines().filter_map(Mount::read).collect()
    }

    #[test]
    fn the_group_is_found_in_both_versions() {
        let own = "9:cpuset:/\n4:cpu,cpuacct:/a/b\n0::/docker/abc/x\nbroken";
        assert_eq!(group_of(own, "cpu"), Some("/a/b"));
        assert_eq!(group_of(own, "cpuset"), Some("/"));
        assert_eq!(group_of(own, ""), Some("/docker/abc/x"));
        assert_eq!(group_of(own, "memory"), None);
        let mounts = mounts();
        assert_eq!(mounts.len(), 6);
        let mount = |controller| mounts.iter().find(|mount| mount.is_group(controller));
        assert_eq!(mount("cpuset").unwrap().point, Path::new("/sys/fs/cgroup/cpuset"));
        assert_eq!(mount("memory"), None);
        let directories = |controller, path| {
            let found = group_directories(mount(controller).unwrap(), path);
            found.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        let cpu = "/sys/fs/cgroup/cpu,cpuacct";
        assert_eq!(directories("cpu", "/a/b"), format!("{cpu}/a/b {cpu}/a {cpu}"));
        assert_eq!(directories("cpu", "/"), cpu);
        let unified = "/sys/fs/cgroup/unified";
        assert_eq!(directories("", "/docker/abc/x"), format!("{unified}/x {unified}"));
        assert_eq!(directories("", "/docker/abc"), unified);
        assert_eq!(directories("", "/elsewhere"), unified);
        assert_eq!(directories("", "/../up"), unified);
    }

    #[test]
    fn the_least_quota_on_the_way_up_counts() {
        let directory = tempfile::tempdir().unwrap();
        let point = directory.path().canonicalize().unwrap();
        fs::create_dir_all(point.join("a/b")).unwrap();
        for (group, max) in [("a/b", "max 100000"), ("a", "150000 100000"), ("", "400000 100000")] {
            fs::write(point.join(group).join("cpu.max"), max).unwrap();
        }
        let line = format!("1 1 0:1 / {} rw - cgroup2 cgroup2 rw", point.display());
        let groups = |own: &str| ControlGroups {
            own: own.to_owned(),
            mounts: vec![Mount::read(&line).unwrap()],
        };
        let least = |own| groups(own).least("", &["cpu.max"], |files| quota(&files[0]));
        assert_eq!(least("0::/a/b"), Some(1_500));
        assert_eq!(least("0::/"), Some(4_000));
        assert_eq!(least("3:cpu:/a"), None);
    }

    #[test]
    fn quotas_are_thousandths_of_a_core() {
        assert_eq!(quota("max 100000\n"), None);
        assert_eq!(quota("50000 100000\n"), Some(500));
        assert_eq!(quota(""), None);
        assert_eq!(quota_of("-1\n", "100000\n"), None);
        assert_eq!(quota_of("250000\n", "100000\n"), Some(2_500));
        assert_eq!(quota_of("1", "0"), None);
        let usable = |cores: usize, quota_millicores| {
            Host { cores: (0..cores).collect(), quota_millicores, ..Host::default() }.usable_cores()
        };
        assert_eq!((usable(8, None), usable(8, Some(2_500)), usable(8, Some(1))), (8, 2, 1));
        assert_eq!((usable(2, Some(64_000)), usable(0, None)), (2, 1));
    }

    #[test]
    fn lists_rows_and_mounts_are_read() {
        assert_eq!(core_list("0-3,8"), [0, 1, 2, 3, 8]);
        assert_eq!(core_list("5"), [5]);
        assert_eq!(core_list(""), [0; 0]);
        let rows = "MemTotal:       24684096 kB\nMemAvailable:    1024 kB\n";
        assert_eq!(meminfo(rows, "MemTotal"), Some(24_684_096 << 10));
        assert_eq!(meminfo(rows, "MemAvailable"), Some(1 << 20));
        assert_eq!(meminfo(rows, "Mem"), None);
        assert_eq!((memory_limit("max\n"), memory_limit("4096\n")), (None, Some(4096)));
        assert_eq!(chosen("always [madvise] never\n"), "madvise");
        let found = |path| file_system(&mounts(), Path::new(path)).unwrap();
        assert_eq!((found("/data"), found("/dev/shm/x")), ("ext4".into(), "tmpfs".into()));
        assert_eq!(found("/srv/my data/journal"), "xfs");
    }

    #[test]
    fn this_machine_has_something_of_everything() {
        let host = Host::look().unwrap();
        assert!(!host.cores.is_empty() && host.usable_cores() <= host.cores.len());
        assert!(host.memory_bytes > 0 && !host.kernel.is_empty());
        assert!(host.siblings.len() < host.cores.len());
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::look(&directory.path().join("not/there")).unwrap();
        assert_eq!(disk.path, directory.path().canonicalize().unwrap());
        let cost = disk.sync.unwrap();
        assert!(cost.median_nanos > 0 && cost.median_nanos <= cost.longest_nanos);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "the probe left something");
    }
}
