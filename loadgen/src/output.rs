//! The files that a run leaves: histograms that other people's tools read, the summary, the page.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;
use jiff::Timestamp;

use crate::latency::Latencies;
use crate::results::Results;
use crate::tally::Recorded;
use crate::{host, report, saved};

/// The points of a percentile file between one halving of the rest and the next.
const TICKS_PER_HALF: u32 = 5;

/// What the page is called, in the directory of its run.
pub const PAGE: &str = "report.html";

/// Makes the directory, and finds out whether files can be written there: before a run, because
/// after it the figures would be lost.
pub fn prepare(directory: &Path) -> io::Result<()> {
    let named = |path: &Path, error: io::Error| {
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    };
    fs::create_dir_all(directory).map_err(|error| named(directory, error))?;
    let probe = directory.join(format!(".loadgen-probe-{}", std::process::id()));
    let written = fs::write(&probe, "probe");
    // Whatever became of it, nothing stays.
    let removed = fs::remove_file(&probe);
    written.and(removed).map_err(|error| named(&probe, error))
}

/// Writes `summary.json` and `report.html`, with what a sync costs in that directory, and for the
/// target, and the echo if there was one, `latency.hlog` and `latency.hgrm`.
pub fn write(
    directory: &Path,
    results: &Results,
    recorded: &Recorded,
    echo: Option<&Recorded>,
) -> io::Result<()> {
    let named = |name: &str, error: io::Error| {
        let path = directory.join(name);
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    };
    fs::create_dir_all(directory).map_err(|error| named("", error))?;
    for (name, recorded) in [("latency", Some(recorded)), ("echo", echo)] {
        let Some(recorded) = recorded else { continue };
        let log = format!("{name}.hlog");
        let path = directory.join(&log);
        interval_log(&path, &results.begun, recorded).map_err(|error| named(&log, error))?;
        let percentiles = format!("{name}.hgrm");
        fs::write(directory.join(&percentiles), hgrm(&recorded.latencies))
            .map_err(|error| named(&percentiles, error))?;
    }
    let results = Results { host: host::facts(Some(directory)), ..results.clone() };
    let summary = serde_json::to_string_pretty(&results).map_err(io::Error::other)? + "\n";
    let page = report::html(std::slice::from_ref(&results));
    for (name, text) in [(saved::FILE_NAME, summary), (PAGE, page)] {
        fs::write(directory.join(name), text).map_err(|error| named(name, error))?;
    }
    Ok(())
}

/// One line a slice, as `HdrHistogram`'s log processors read it; values are nanoseconds.
fn interval_log(path: &Path, begun: &str, recorded: &Recorded) -> io::Result<()> {
    let begun: Timestamp = begun.parse().unwrap_or_default();
    let mut file = BufWriter::new(File::create(path)?);
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("[Logged by loadgen]")
        .with_start_time(begun.into())
        .with_max_value_divisor(1e6)
        .begin_log_with(&mut file, &mut serializer)?;
    let slice = Duration::from_nanos(recorded.slice_ns);
    let mut from = Duration::ZERO;
    for latencies in &recorded.slices {
        log.write_histogram(latencies.histogram(), from, slice, None)
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
        from += slice;
    }
    file.flush()
}

/// `HdrHistogram`'s percentile output; values are microseconds, to the nanosecond.
pub fn hgrm(latencies: &Latencies) -> String {
    let histogram = latencies.histogram();
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let micros = |ns: f64| ns / 1e3;
    let mut count = 0;
    for point in histogram.iter_quantiles(TICKS_PER_HALF) {
        let (value, quantile) = (point.value_iterated_to(), point.quantile_iterated_to());
        count += point.count_since_last_iteration();
        let value = micros(value as f64);
        let _ = write!(text, "{value:>12.3} {quantile:>14.12} {count:>10}");
        let _ = match 1.0 - quantile {
            rest if rest > 0.0 => writeln!(text, " {:>14.2}", 1.0 / rest),
            _ => writeln!(text),
        };
    }
    let _ = writeln!(
        text,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]\n\
         #[Max     = {:>12.3}, Total count    = {:>12}]\n\
         #[Buckets = {:>12}, SubBuckets     = {:>12}]",
        micros(histogram.mean()),
        micros(histogram.stdev()),
        micros(histogram.max() as f64),
        histogram.len(),
        histogram.buckets(),
        2_048
    );
    text
}
