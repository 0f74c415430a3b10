//! The subcommands that make pages from what runs left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use loadgen::compare::{Comparison, Group};
use loadgen::{report, saved};

/// Draw a page of charts from runs: one file that needs no network
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  loadgen report today/summary.json --out today.html")]
pub(crate) struct ReportArgs {
    /// What runs wrote: summary.json, its directory, or a directory of such directories.
    #[arg(required = true, value_name = "DIR|FILE")]
    runs: Vec<PathBuf>,
    /// Where the page goes; not said, report.html beside a single run's results, or else here.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Tell whether candidates are slower than a baseline by more than runs differ anyway
///
/// Each argument is a directory of repeated runs of one thing, the baseline's first. Exit code 1
/// says that one of the others is worse: beyond the noise, and beyond the bound.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  loadgen compare before/ after/ --bound 5% --out compared.html")]
pub(crate) struct CompareArgs {
    /// The baseline, then what to compare with it.
    #[arg(required = true, num_args = 2.., value_name = "DIR|FILE")]
    groups: Vec<PathBuf>,
    /// How much worse a latency or a throughput may be.
    #[arg(long, default_value = "5%", value_parser = parse_percent)]
    bound: f64,
    /// Also draw a page that overlays the runs.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Of the bootstrap: the same seed gives the same intervals.
    #[arg(long, default_value = "1")]
    seed: u64,
}

pub(crate) fn report(args: &ReportArgs) -> ExitCode {
    let mut runs = Vec::new();
    for path in &args.runs {
        match saved::runs(path) {
            Ok(some) => runs.extend(some),
            Err(error) => return wrong(&error),
        }
    }
    let out = args.out.clone().unwrap_or_else(|| match (&args.runs[..], runs.len()) {
        ([path], 1) if path.is_dir() => path.join("report.html"),
        ([path], 1) => path.with_file_name("report.html"),
        _ => PathBuf::from("report.html"),
    });
    write(&out, &report::html(&runs)).unwrap_or(ExitCode::SUCCESS)
}

pub(crate) fn compare(args: &CompareArgs) -> ExitCode {
    let mut groups: Vec<Group> = Vec::new();
    for path in &args.groups {
        match saved::runs(path) {
            Ok(runs) => groups.push(Group { name: name(path, &args.groups), runs }),
            Err(error) => return wrong(&error),
        }
    }
    let comparison = Comparison::new(&groups, args.bound, args.seed);
    print!("{comparison}");
    let page = args.out.as_ref();
    let failed = page.and_then(|out| write(out, &report::comparison_html(&groups, &comparison)));
    match failed {
        Some(code) => code,
        None if comparison.is_regression() => ExitCode::from(1),
        None => ExitCode::SUCCESS,
    }
}

/// The last part of a path where that tells it from the others.
fn name(path: &Path, all: &[PathBuf]) -> String {
    let last = path.file_name();
    let same = all.iter().filter(|other| other.file_name() == last).count();
    let text = last.filter(|_| same == 1).unwrap_or(path.as_os_str());
    text.to_string_lossy().into_owned()
}

/// `None` when it is written.
fn write(out: &Path, page: &str) -> Option<ExitCode> {
    match fs::write(out, page) {
        Ok(()) => {
            println!("wrote {}", out.display());
            None
        }
        Err(error) => {
            eprintln!("loadgen: cannot write {}: {error}; name another --out", out.display());
            Some(ExitCode::from(3))
        }
    }
}

fn wrong(error: &saved::Error) -> ExitCode {
    eprintln!("loadgen: {error}");
    ExitCode::from(2)
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let advice = "write a number of percent from 0 to 99, such as 5%";
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    match number.parse::<f64>() {
        Ok(percent) if (0.0..=99.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err(advice.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_percent() {
        assert_eq!(parse_percent("5%"), Ok(0.05));
        assert_eq!(parse_percent("12.5"), Ok(0.125));
        assert_eq!(parse_percent("0 %"), Ok(0.0));
        for bad in ["", "%", "-1%", "100%", "NaN", "inf", "5%%"] {
            assert!(parse_percent(bad).is_err(), "{bad}");
        }
    }
}
