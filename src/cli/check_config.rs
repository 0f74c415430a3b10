//! `ringframe check-config`: every setting, what it is, where that came from, and what it means.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use ringframe::config::{Config, Source};
use serde_json::json;

use super::{Answer, Failure};

/// Show every setting with its value, where that came from, and what it means
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ringframe check-config --config node.toml")]
pub(crate) struct CheckConfigArgs {
    /// The configuration file; without one the defaults are shown
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For scripts
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &CheckConfigArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let config = Config::load(args.config.as_deref(), &[])
        .map_err(|error| Failure::Usage(error.to_string()))?;
    if let Some(warning) = config.warning() {
        tracing::warn!("{warning}");
    }
    if args.json {
        let settings = config.values().map(|(setting, value, source)| {
            let (kind, line) = match source {
                Source::Default => ("default", None),
                Source::File { line, .. } => ("file", Some(line)),
                Source::Flag => ("flag", None),
            };
            json!({
                "name": setting.name, "flag": format!("--{}", setting.flag), "value": value,
                "default": setting.default, "source": kind, "line": line,
                "meaning": setting.meaning,
            })
        });
        writeln!(out, "{}", json!({ "settings": settings.collect::<Vec<_>>() }))?;
        return Ok(Answer::Yes);
    }
    for (setting, value, source) in config.values() {
        writeln!(out, "{} = {value}  ({source})", setting.name)?;
        writeln!(out, "    {}", setting.meaning)?;
    }
    Ok(Answer::Yes)
}
