//! The units of `ops/`: what they start is there, and takes the flags that they give it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{Done, PROGRAM};

const INSTALLED: &str = "/usr/bin/ringframe";

fn units() -> Vec<(PathBuf, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("ops");
    let files = std::fs::read_dir(directory).unwrap().map(|it| it.unwrap().path());
    let units = files.filter(|path| {
        path.extension().is_some_and(|ending| ending == "service" || ending == "timer")
    });
    let mut units: Vec<_> =
        units.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect();
    units.sort();
    assert_eq!(units.len(), 3, "{units:?}");
    units
}

#[test]
fn what_units_start_takes_their_flags() {
    let mut seen = Vec::new();
    for (path, text) in units() {
        let commands = text.lines().filter_map(|line| {
            let (key, command) = line.split_once('=')?;
            key.starts_with("ExecStart").then_some(command)?.strip_prefix(INSTALLED)
        });
        for command in commands {
            let mut words = command.split_whitespace();
            let name = words.next().unwrap();
            let help = Command::new(PROGRAM).args([name, "--help"]).output();
            let help = Done::new(&help.unwrap()).expect(0, &[]).out;
            for flag in words.filter(|word| word.starts_with("--")) {
                let taken = help.split_whitespace().any(|word| word == flag);
                assert!(taken, "{}: {name} takes no {flag}", path.display());
            }
            seen.push(name.to_owned());
        }
    }
    seen.sort();
    assert_eq!(seen, ["check-config", "nightly", "serve"]);
}

#[test]
fn systemd_understands_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return println!("skipped: there is no systemd-analyze");
    }
    let directory = tempfile::tempdir().unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]);
    for (path, text) in units() {
        let name = path.file_name().unwrap().to_str().unwrap().replace('@', "@node");
        let path = directory.path().join(name);
        // It looks whether the program is there.
        std::fs::write(&path, text.replace(INSTALLED, PROGRAM)).unwrap();
        verify.arg(path);
    }
    let verified = Done::new(&verify.output().unwrap()).expect(0, &[]);
    // Keys that it does not know are warnings.
    let warned = verified.err.lines().any(|line| line.contains("ringframe"));
    assert!(!warned, "{verified:?}");
}
