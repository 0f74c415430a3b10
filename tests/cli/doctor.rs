//! `doctor` and `check-config` as a user meets them: output and exit codes.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::program::PROGRAM;

fn ringframe(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn doctor_explains_the_host_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let data = data.to_str().unwrap();
    let output = ringframe(&["doctor", "--data", data]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for says in ["cores", "usable", "fdatasync     4 KiB in", "layout ", "journaler"] {
        assert!(text(&output).contains(says), "{says}: {}", text(&output));
    }
    let report = ringframe(&["doctor", "--data", data, "--json"]);
    let report: Value = serde_json::from_str(&text(&report)).unwrap();
    let usable = report["usable_cores"].as_u64().unwrap();
    let layout = if usable < 4 { "1" } else { "4" };
    assert_eq!(report["layout"], layout);
    assert!(report["data"]["fdatasync"]["median_ns"].as_u64().unwrap() > 0);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn check_config_shows_sources_and_refuses_with_2() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.toml");
    fs::write(&path, "\nrelease = \"journaled\"\n").unwrap();
    let file = path.to_str().unwrap();
    let output = ringframe(&["check-config", "--config", file]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output).contains(&format!("release = journaled  ({file}:2)")), "{output:?}");
    assert!(text(&output).contains("layout = auto  (default)"), "{output:?}");
    let json: Value =
        serde_json::from_str(&text(&ringframe(&["check-config", "--config", file, "--json"])))
            .unwrap();
    let settings = json["settings"].as_array().unwrap();
    let release = settings.iter().find(|setting| setting["name"] == "release").unwrap();
    assert_eq!((&release["source"], &release["line"]), (&"file".into(), &2.into()));

    fs::write(&path, "\nrelaese = \"journaled\"\n").unwrap();
    let output = ringframe(&["check-config", "--config", file]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(":2: unknown setting 'relaese'; the nearest is 'release'"), "{said}");
    assert_eq!(ringframe(&["check-config", "--config", "/no/such"]).status.code(), Some(2));
}
