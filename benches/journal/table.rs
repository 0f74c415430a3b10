//! Aligned tables, medians and percentiles.

use hdrhistogram::Histogram;

pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: &str, columns: &[&str]) -> Self {
        println!("\n{title}");
        Self::untitled(columns)
    }

    pub(crate) fn untitled(columns: &[&str]) -> Self {
        Self { rows: vec![columns.iter().map(|&column| column.to_owned()).collect()] }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The first column to the left, figures to the right.
    pub(crate) fn print(&self) {
        for line in loadgen::table::aligned(&self.rows).lines() {
            println!("  {line}");
        }
    }
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

pub(crate) const PERCENTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];

pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds make sense")
}

/// The median over the repeats of each percentile, in nanoseconds.
pub(crate) fn percentiles(repeats: &[Histogram<u64>]) -> Vec<f64> {
    let at = |quantile: f64| {
        median(repeats.iter().map(|one| one.value_at_quantile(quantile) as f64).collect())
    };
    PERCENTILES.iter().map(|&(_, quantile)| at(quantile)).collect()
}

/// Columns of a latency table.
pub(crate) fn latency_columns(first: &str) -> Vec<&str> {
    std::iter::once(first).chain(PERCENTILES.iter().map(|&(name, _)| name)).collect()
}

/// Three rows: ours, the bare limit's, and the ratio.
pub(crate) fn compare(table: &mut Table, names: [&str; 2], ours: &[f64], bare: &[f64]) {
    let micros = |figures: &[f64]| -> Vec<String> {
        figures.iter().map(|nanos| format!("{:.2}", nanos / 1e3)).collect()
    };
    table.row([names[0].to_owned()].into_iter().chain(micros(ours)));
    table.row([names[1].to_owned()].into_iter().chain(micros(bare)));
    let ratios = ours.iter().zip(bare).map(|(ours, bare)| format!("{:.2}x", ours / bare.max(1.0)));
    table.row(["  ratio".to_owned()].into_iter().chain(ratios));
}
