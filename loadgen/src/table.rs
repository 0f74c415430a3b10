//! Summaries as an aligned text table, with ratios beside a floor.

use std::fmt;

use crate::latency::Summary;

/// The percentiles that are compared with the floor's.
const COMPARED: [&str; 3] = ["p50", "p99", "p99_9"];

/// Rows of summaries. Below a floor, what the bare machine does in the same run, every row also
/// shows how many times the floor it took.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Each with the floor that it is compared with.
    rows: Vec<(String, Summary, Option<Summary>)>,
    floor: Option<Summary>,
}

impl Table {
    /// No rows, no floor.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row.
    pub fn row(mut self, label: impl Into<String>, summary: Summary) -> Self {
        self.rows.push((label.into(), summary, self.floor));
        self
    }

    /// Adds a row that those below it are compared with, down to the next floor.
    pub fn floor(mut self, label: impl Into<String>, summary: Summary) -> Self {
        self.floor = Some(summary);
        self.row(label, summary)
    }

    fn header(&self) -> Vec<String> {
        let fields = Summary::default().fields();
        let names = fields.iter().map(|(name, _)| (*name).to_owned());
        let ratios = COMPARED.iter().filter(|_| self.floor.is_some());
        let ratios = ratios.map(|name| format!("{name}/floor"));
        [String::new(), "count".to_owned()].into_iter().chain(names).chain(ratios).collect()
    }

    fn cells(label: &str, summary: &Summary, floor: Option<&Summary>) -> Vec<String> {
        let mut cells = vec![label.to_owned(), summary.count.to_string()];
        cells.extend(summary.fields().map(|(_, ns)| duration(ns)));
        if let Some(floor) = floor {
            let pairs = summary.fields().into_iter().zip(floor.fields());
            let compared = pairs.filter(|((name, _), _)| COMPARED.contains(name));
            cells.extend(compared.map(|((_, ns), (_, floor))| ratio(ns, floor)));
        }
        cells
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![self.header()];
        lines.extend(
            self.rows
                .iter()
                .map(|(label, summary, floor)| Self::cells(label, summary, floor.as_ref())),
        );
        write!(out, "{}", aligned(&lines))
    }
}

/// Lines of cells as columns: the first to the left, the others to the right. A line may end
/// before the others.
pub fn aligned(lines: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..).map_while(width).collect();
    let mut text = String::new();
    for line in lines {
        for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
            text += &match column {
                0 => format!("{cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
    text
}

/// Three digits and a unit: `850 ns`, `8.30 µs`, `12.5 ms`, `1.00 s`.
pub fn duration(ns: u64) -> String {
    let units = [("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)];
    let fits = |(_, size): &&(&str, f64)| (ns as f64 / size) < 999.5;
    let (unit, size) = units.iter().find(fits).unwrap_or(&units[3]);
    let value = ns as f64 / size;
    let digits = match value {
        _ if *unit == "ns" => 0,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

fn ratio(ns: u64, floor: u64) -> String {
    match floor {
        0 => "–".to_owned(),
        floor => format!("{:.2}×", ns as f64 / floor as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits_and_the_fitting_unit() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (8_304, "8.30 µs"),
            (9_996, "10.0 µs"),
            (99_960, "100 µs"),
            (999_600, "1.00 ms"),
            (12_500_000, "12.5 ms"),
            (90_000_000_000, "90.0 s"),
            (90_000_000_000_000, "90000 s"),
        ];
        for (ns, text) in cases {
            assert_eq!(duration(ns), text);
        }
    }

    #[test]
    fn columns_are_aligned_and_ratios_stand_beside_the_floor() {
        let run = |scale: u64| Summary {
            count: 1_000,
            p50: 8_000 * scale,
            p90: 9_000 * scale,
            p99: 13_000 * scale,
            p99_9: 50_000 * scale,
            p99_99: 60_000 * scale,
            max: 1_000_000 * scale,
        };
        let table = Table::new().floor("bare echo", run(1)).row("order to reply", run(2));
        let table = table.floor("another", run(2)).row("again", run(2));
        let rows = [
            "count p50 p90 p99 p99_9 p99_99 max p50/floor p99/floor p99_9/floor",
            "bare echo 1000 8.00 µs 9.00 µs 13.0 µs 50.0 µs 60.0 µs 1.00 ms 1.00× 1.00× 1.00×",
            "order to reply 1000 16.0 µs 18.0 µs 26.0 µs 100 µs 120 µs 2.00 ms 2.00× 2.00× 2.00×",
            "another 1000 16.0 µs 18.0 µs 26.0 µs 100 µs 120 µs 2.00 ms 1.00× 1.00× 1.00×",
            "again 1000 16.0 µs 18.0 µs 26.0 µs 100 µs 120 µs 2.00 ms 1.00× 1.00× 1.00×",
        ];
        let text = table.to_string();
        for (line, row) in text.lines().zip(rows) {
            assert_eq!(line.split_whitespace().collect::<Vec<_>>().join(" "), row);
        }
        assert_eq!(text.lines().count(), rows.len());
        let mut widths = text.lines().map(|line| line.chars().count());
        let first = widths.next();
        assert!(widths.all(|width| Some(width) == first), "{text}");
    }

    #[test]
    fn a_line_may_end_before_the_others() {
        let line = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let lines = [line("a b µ"), line("long 1"), line("x 22 333")];
        assert_eq!(aligned(&lines), "a      b    µ\nlong   1\nx     22  333\n");
        assert_eq!(aligned(&[]), "");
    }

    #[test]
    fn without_a_floor_nothing_is_compared() {
        let text = Table::new().row("alone", Summary::default()).to_string();
        assert!(!text.contains("floor"), "{text}");
    }

    #[test]
    fn a_floor_of_zero_has_no_ratio() {
        let some = Summary { p50: 5, ..Summary::default() };
        let text = Table::new().floor("none", Summary::default()).row("some", some).to_string();
        assert!(text.lines().nth(2).is_some_and(|line| line.contains('–')), "{text}");
    }
}
