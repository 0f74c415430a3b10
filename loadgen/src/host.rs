//! The machine, as far as figures depend on it. What cannot be read is left out.

use std::fs;

use crate::results::{Fact, Host};

/// Looks at this machine.
pub fn look() -> Host {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map(|count| count.to_string()).ok();
    let release = read("/proc/sys/kernel/osrelease").trim().to_owned();
    let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").trim().to_owned();
    let facts = [
        ("cpu", field(&cpu, "model name")),
        ("usable cores", cores),
        ("kernel", Some(release)),
        ("governor", Some(governor)),
        ("memory", field(&read("/proc/meminfo"), "MemTotal")),
        ("quota", quota(&read("/sys/fs/cgroup/cpu.max"))),
    ];
    let there = facts.into_iter().filter_map(|(name, value)| {
        let value = value.filter(|value| !value.is_empty())?;
        Some(Fact { name: name.to_owned(), value })
    });
    Host { facts: there.collect() }
}

/// `150000 100000` is one and a half cores.
fn quota(cpu_max: &str) -> Option<String> {
    let (quota, period) = cpu_max.trim().split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    Some(format!("{:.2} cores", quota / period))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_cores_and_none_is_none() {
        assert_eq!(quota("150000 100000\n").as_deref(), Some("1.50 cores"));
        assert_eq!(quota("max 100000"), None);
        assert_eq!(quota(""), None);
        assert!(look().facts.iter().any(|fact| fact.name == "usable cores"));
    }
}
