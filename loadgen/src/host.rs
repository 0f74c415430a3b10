//! The machine, as far as it says what it is: without it a latency means nothing.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::results::{Fact, Host};
use crate::table::duration;

/// The probe of the disk appends so often, …
const PROBE_WRITES: usize = 32;
/// … but no longer than about this.
const PROBE_NS: u64 = 500_000_000;
const PROBE_BYTES: usize = 4096;

/// Looks at this machine; with a directory, also at what a sync costs there. What the machine does
/// not say is written as unknown: a reader must see that it was asked.
pub fn facts(disk: Option<&Path>) -> Host {
    let mut facts = Machine { root: PathBuf::from("/") }.facts();
    facts.extend(disk.map(|directory| Fact {
        name: "disk".to_owned(),
        value: match sync_cost(directory) {
            Ok(ns) => format!("append and fdatasync of 4 KiB: {} in the median", duration(ns)),
            Err(error) => format!("not measured in {}: {error}", directory.display()),
        },
    }));
    Host { facts }
}

/// The memory that programs may still take, where the machine says it.
pub fn memory_available() -> Option<u64> {
    Machine { root: PathBuf::from("/") }.kib("MemAvailable").map(|kib| kib << 10)
}

/// The median time of an append with fdatasync in `directory`; leaves nothing there.
pub fn sync_cost(directory: &Path) -> io::Result<u64> {
    let path = directory.join(format!(".loadgen-probe-{}", std::process::id()));
    let mut file = fs::File::create_new(&path)?;
    let costs = probe(&mut file);
    fs::remove_file(&path)?;
    let mut costs = costs?;
    costs.sort_unstable();
    Ok(costs[costs.len() / 2])
}

fn probe(file: &mut fs::File) -> io::Result<Vec<u64>> {
    let clock = Clock::start();
    let mut costs = Vec::new();
    while costs.len() < PROBE_WRITES && (costs.is_empty() || clock.now() < PROBE_NS) {
        let before = clock.now();
        file.write_all(&[0x5A; PROBE_BYTES])?;
        file.sync_data()?;
        costs.push(clock.now() - before);
    }
    Ok(costs)
}

/// Where the kernel's files lie; in tests not at the root.
struct Machine {
    root: PathBuf,
}

impl Machine {
    fn facts(&self) -> Vec<Fact> {
        let facts = [
            ("CPU", self.cpu()),
            ("cores usable", self.cores()),
            ("kernel", self.line("proc/sys/kernel/osrelease")),
            ("governor", self.line("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
            ("hypervisor", self.hypervisor()),
            (
                "clock source",
                self.line("sys/devices/system/clocksource/clocksource0/current_clocksource"),
            ),
            ("memory", self.memory()),
        ];
        let fact = |(name, value): (&str, Option<String>)| Fact {
            name: name.to_owned(),
            value: value.unwrap_or_else(|| "unknown".to_owned()),
        };
        facts.map(fact).into()
    }

    fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    fn line(&self, path: &str) -> Option<String> {
        let text = self.read(path)?.trim().to_owned();
        Some(text).filter(|text| !text.is_empty())
    }

    /// The value of the first line that begins with `name`, in files of `name: value`.
    fn field(&self, path: &str, name: &str) -> Option<String> {
        let text = self.read(path)?;
        let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
        Some(value.trim().to_owned())
    }

    fn cpu(&self) -> Option<String> {
        // ARM has numbers only.
        let part = || self.field("proc/cpuinfo", "CPU part").map(|part| format!("ARM part {part}"));
        self.field("proc/cpuinfo", "model name").or_else(part)
    }

    fn cores(&self) -> Option<String> {
        let list = self.field("proc/self/status", "Cpus_allowed_list")?;
        let count = core_count(&list)?;
        Some(match self.quota() {
            Some(quota) if quota < count as f64 => {
                format!("{count} ({list}), of which a quota leaves {quota:.2}")
            }
            _ => format!("{count} ({list}), no quota below"),
        })
    }

    /// Cores' worth of time that the control group allows, by version 2 or 1, at its tightest.
    fn quota(&self) -> Option<f64> {
        let groups = self.read("proc/self/cgroup")?;
        let mut least: Option<f64> = None;
        for line in groups.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            let is_cpu = controllers.split(',').any(|name| name == "cpu");
            let base = match controllers {
                "" => Path::new("sys/fs/cgroup"),
                _ if is_cpu => Path::new("sys/fs/cgroup/cpu"),
                _ => continue,
            };
            // Inside a container the path may be one that only the outside has.
            for path in Path::new(path.trim_start_matches('/')).ancestors() {
                let quota = self.quota_of(&base.join(path), controllers.is_empty());
                least = [least, quota].into_iter().flatten().reduce(f64::min);
            }
        }
        least
    }

    fn quota_of(&self, group: &Path, is_second: bool) -> Option<f64> {
        let text = if is_second {
            self.read(group.join("cpu.max"))?
        } else {
            let part = |name| self.read(group.join(name));
            format!("{} {}", part("cpu.cfs_quota_us")?.trim(), part("cpu.cfs_period_us")?)
        };
        let mut numbers = text.split_whitespace().map(str::parse::<f64>);
        // "max", or -1, is none.
        let (quota, period) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        (quota > 0.0 && period > 0.0).then(|| quota / period)
    }

    fn hypervisor(&self) -> Option<String> {
        let flags = self.field("proc/cpuinfo", "flags")?;
        if !flags.split_whitespace().any(|flag| flag == "hypervisor") {
            return Some("none seen".to_owned());
        }
        let kind = self.line("sys/hypervisor/type");
        let dmi = || self.line("sys/class/dmi/id/sys_vendor");
        Some(kind.or_else(dmi).unwrap_or_else(|| "one that does not say its name".to_owned()))
    }

    fn memory(&self) -> Option<String> {
        Some(format!("{:.1} GiB", self.kib("MemTotal")? as f64 / f64::from(1 << 20)))
    }

    fn kib(&self, name: &str) -> Option<u64> {
        self.field("proc/meminfo", name)?.trim_end_matches("kB").trim().parse().ok()
    }
}

/// Of a list such as `0-3,8`.
fn core_count(list: &str) -> Option<usize> {
    let ranges = list.split(',').map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        (last + 1).checked_sub(first)
    });
    ranges.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
        let home = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = home.path().join(path);
            fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
            fs::write(path, text).expect("a file");
        }
        let root = home.path().to_owned();
        (home, Machine { root })
    }

    fn value(facts: &[Fact], name: &str) -> String {
        facts.iter().find(|fact| fact.name == name).expect(name).value.clone()
    }

    #[test]
    fn a_machine_is_read_from_the_kernels_files() {
        let clock = "sys/devices/system/clocksource/clocksource0/current_clocksource";
        let (_home, machine) = machine(&[
            ("proc/cpuinfo", "processor\t: 0\nmodel name\t: Fast 9000\nflags\t: fpu hypervisor\n"),
            ("proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-3,8\n"),
            ("proc/self/cgroup", "0::/outer/inner\n"),
            ("sys/fs/cgroup/outer/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n"),
            ("sys/class/dmi/id/sys_vendor", "QEMU\n"),
            ("proc/meminfo", "MemTotal:       25165824 kB\nMemFree: 1 kB\n"),
            (clock, "tsc\n"),
        ]);
        let facts = machine.facts();
        assert_eq!(value(&facts, "CPU"), "Fast 9000");
        assert_eq!(value(&facts, "cores usable"), "5 (0-3,8), of which a quota leaves 1.50");
        assert_eq!(value(&facts, "hypervisor"), "QEMU");
        assert_eq!(value(&facts, "memory"), "24.0 GiB");
        assert_eq!(machine.kib("MemFree"), Some(1));
        assert_eq!(value(&facts, "clock source"), "tsc");
        assert_eq!(value(&facts, "governor"), "unknown");
    }

    #[test]
    fn the_first_version_of_control_groups_has_quotas_too() {
        let (_home, machine) = machine(&[
            ("proc/self/cgroup", "4:memory:/a\n3:cpu,cpuacct:/a\n"),
            ("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(machine.quota(), Some(0.5));
    }

    #[test]
    fn cores_are_counted() {
        assert_eq!(core_count("0-3,8"), Some(5));
        assert_eq!(core_count("7"), Some(1));
        assert_eq!([core_count(""), core_count("3-1"), core_count("a")], [None; 3]);
    }

    #[test]
    fn a_sync_is_measured_and_leaves_nothing() {
        let home = tempfile::tempdir().expect("a directory");
        assert!(sync_cost(home.path()).expect("writable") > 0);
        assert_eq!(fs::read_dir(home.path()).expect("there").count(), 0);
        let nowhere = facts(Some(&home.path().join("nowhere")));
        assert!(value(&nowhere.facts, "disk").starts_with("not measured in "), "{nowhere:?}");
        assert!(facts(None).facts.iter().all(|fact| fact.name != "disk"));
    }
}
