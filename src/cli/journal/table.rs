//! The table of segments, as text and as JSON: `info` and `verify` show the same one.

use std::io::{self, Write};

use ringframe_journal::{DamagedRange, SegmentReport};
use serde_json::{Value, json};

const DIGEST_DIGITS: usize = 16;

/// One line for each segment.
pub(crate) fn segments(reports: &[SegmentReport], out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{:>10}  {:<8}  {:>12}  {:>12}  {:>10}  {:>12}  {:<16}  found",
        "segment", "state", "first", "last", "frames", "bytes", "digest"
    )?;
    for report in reports {
        let (first, last) = match report.sequences {
            Some((first, last)) => (first.to_string(), last.to_string()),
            None => ("-".into(), "-".into()),
        };
        let digest = report.digest.map_or("-".into(), |digest| hex(&digest));
        let found = match (report.findings.len(), &report.torn) {
            (0, None) => "nothing wrong".into(),
            (0, Some(_)) => "torn tail".into(),
            (1, _) => "1 damaged range".into(),
            (count, _) => format!("{count} damaged ranges"),
        };
        writeln!(
            out,
            "{:>10}  {:<8}  {first:>12}  {last:>12}  {:>10}  {:>12}  {:<16}  {found}",
            report.number,
            report.state,
            report.frames,
            report.bytes,
            &digest[..digest.len().min(DIGEST_DIGITS)],
        )?;
    }
    Ok(())
}

/// The same for scripts.
pub(crate) fn segments_json(reports: &[SegmentReport]) -> Value {
    let one = |report: &SegmentReport| {
        json!({
            "number": report.number,
            "file": report.path,
            "state": report.state.to_string(),
            "first": report.sequences.map(|(first, _)| first),
            "last": report.sequences.map(|(_, last)| last),
            "frames": report.frames,
            "bytes": report.bytes,
            "file_bytes": report.file_bytes,
            "digest": report.digest.map(|digest| hex(&digest)),
            "findings": report.findings.iter().map(finding_json).collect::<Vec<_>>(),
            "torn": report.torn.as_ref().map(ToString::to_string),
        })
    };
    reports.iter().map(one).collect()
}

/// One damaged range for scripts.
pub(crate) fn finding_json(range: &DamagedRange) -> Value {
    let lost = range.sequence_from <= range.sequence_to;
    json!({
        "file": range.path,
        "from": range.from,
        "to": range.to,
        "first_lost": lost.then_some(range.sequence_from),
        "last_lost": lost.then_some(range.sequence_to),
        "damage": range.damage.to_string(),
    })
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}
