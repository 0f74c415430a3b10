//! Which lines each chart of a report has.

use super::Shown;
use super::scale::Scale;
use super::svg::{Axis, Band, Chart, Dot, Mark, Series, Spot, Stroke};
use super::text;
use crate::latency::Summary;
use crate::results::{Interval, Measured, Step};
use crate::table::duration;

/// Width, height and room for names.
const WHOLE: (f64, f64, f64) = (1040.0, 400.0, 176.0);
const HALF: (f64, f64, f64) = (512.0, 250.0, 84.0);
/// What a panel can show side by side; of a longer run neighbours are drawn as one.
const SLICES_MAX: usize = 240;
/// Context: no axis is made longer for what is too small to matter.
const HICCUPS: &str = "hiccups";

fn latency_axis(scale: Scale) -> Axis {
    Axis { scale, name: "latency", text: text::duration_tick }
}

/// The distributions, with room for the rare: the floor's, and in a report of one run also what a
/// closed loop would have seen and what the idle machine did.
pub(super) fn percentiles(shown: &[Shown<'_>]) -> Chart {
    let mut series = Vec::new();
    let is_alone = shown.len() == 1;
    for one in shown {
        let results = one.results;
        if let Some(echo) = results.echo.as_ref().filter(|_| !one.is_faint) {
            let (name, colour) = if is_alone {
                ("echo floor".to_owned(), "floor".to_owned())
            } else {
                ("floor".to_owned(), one.colour())
            };
            series.push(Series { name, colour, stroke: Stroke::Dashed, spots: curve(echo) });
        }
        if is_alone {
            series.extend(results.hiccup_ns.as_ref().filter(|all| all.count > 0).map(|all| {
                let (name, colour) = (HICCUPS.to_owned(), "floor".to_owned());
                Series { name, colour, stroke: Stroke::Dotted, spots: known_points(all) }
            }));
            series.push(Series {
                name: "service time".to_owned(),
                colour: "c1".to_owned(),
                stroke: Stroke::Dotted,
                spots: known_points(&results.measured.service_ns),
            });
        }
        series.push(one.series(curve(&results.measured)));
    }
    // Faint ones lie below.
    series.sort_by_key(|series| series.stroke != Stroke::Faint);
    let around = series.iter().filter(|series| series.name != HICCUPS);
    let values = around.flat_map(|series| &series.spots).filter_map(|spot| spot.y);
    let scale = Scale::log_around(values);
    for spot in series.iter_mut().flat_map(|series| &mut series.spots) {
        spot.y = spot.y.filter(|ns| scale.starts_by(*ns));
    }
    let y = latency_axis(scale);
    let counts = shown.iter().map(|one| one.results.measured.latency_ns.count);
    let scale = Scale::nines_of(counts.max().unwrap_or(0));
    let x = Axis { scale, name: "percentile", text: text::percentile_tick };
    let about = shown.iter().filter(|one| !one.is_faint).map(|one| {
        let Summary { p50, p99, p99_9, max, .. } = one.results.measured.latency_ns;
        let [p50, p99, p99_9, max] = [p50, p99, p99_9, max].map(duration);
        format!("{}: p50 {p50}, p99 {p99}, p99.9 {p99_9}, maximum {max}.", one.name)
    });
    Chart {
        id: "percentiles".to_owned(),
        title: "Latency by percentile".to_owned(),
        about: about.collect::<Vec<_>>().join(" "),
        size: WHOLE,
        x,
        y,
        series,
        bands: Vec::new(),
        marks: Vec::new(),
    }
}

/// A distribution as a line, ending where its count ends: one in a thousand has no more than
/// three nines.
fn curve(measured: &Measured) -> Vec<Spot> {
    let most = last_percentile(measured.latency_ns.count);
    let inner = measured.curve.iter().filter(|point| point.percentile < most);
    let points = inner.map(|point| (point.percentile, point.ns));
    let last = measured.curve.last().map(|point| (most, point.ns));
    let spot = |(percentile, ns)| {
        let text = format!("{percentile:.5}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        Spot::new(percentile, ns as f64).noted(format!("{text} %: {}", duration(ns)))
    };
    points.chain(last).map(spot).collect()
}

fn last_percentile(count: u64) -> f64 {
    100.0 - 100.0 / count.max(10) as f64
}

/// A distribution of which no more than the summary is known.
fn known_points(summary: &Summary) -> Vec<Spot> {
    let most = last_percentile(summary.count);
    let percentiles = [50.0, 90.0, 99.0, 99.9, 99.99, most];
    let fields = summary.fields();
    let points = percentiles.into_iter().zip(fields);
    let points = points.filter(|(percentile, (name, _))| *percentile < most || *name == "max");
    let spot = |(percentile, (_, ns)): (f64, (_, u64))| Spot {
        dot: Some(Dot::Full),
        ..Spot::new(percentile, ns as f64).noted(duration(ns))
    };
    points.map(spot).collect()
}

/// A slice of a run with its end, as it is drawn.
struct Slice {
    to_seconds: f64,
    interval: Interval,
}

impl Slice {
    fn seconds(&self) -> f64 {
        (self.to_seconds - self.interval.from_seconds).max(1e-9)
    }

    fn middle(&self) -> f64 {
        f64::midpoint(self.interval.from_seconds, self.to_seconds)
    }

    fn band(&self) -> Band {
        let Interval { from_seconds, sent, answered, wrong, p50, p99, max, hiccup_max } =
            self.interval;
        let [p50, p99, max, hiccup] = [p50, p99, max, hiccup_max].map(duration);
        let note = format!(
            "{from_seconds:.2} to {:.2} s: p50 {p50}, p99 {p99}, maximum {max}, hiccup {hiccup}; \
             {sent} sent, {answered} answered, {wrong} wrong",
            self.to_seconds
        );
        Band { x: (from_seconds, self.to_seconds), note, is_bad: wrong > 0 }
    }
}

/// The worst of each of neighbours that are drawn as one.
fn slices(measured: &Measured) -> Vec<Slice> {
    let intervals = &measured.intervals;
    let together = intervals.len().div_ceil(SLICES_MAX).max(1);
    let length = slice_seconds(measured);
    let merged = intervals.chunks(together).map(|chunk| {
        let interval = chunk.iter().copied().reduce(|a, b| Interval {
            from_seconds: a.from_seconds,
            sent: a.sent + b.sent,
            answered: a.answered + b.answered,
            wrong: a.wrong + b.wrong,
            p50: a.p50.max(b.p50),
            p99: a.p99.max(b.p99),
            max: a.max.max(b.max),
            hiccup_max: a.hiccup_max.max(b.hiccup_max),
        });
        let interval = interval.expect("chunks are not empty");
        Slice { to_seconds: interval.from_seconds + length * chunk.len() as f64, interval }
    });
    merged.collect()
}

/// All slices are equal. Their beginnings tell how long: a run that was held up ends late, so its
/// length does not.
fn slice_seconds(measured: &Measured) -> f64 {
    match &measured.intervals[..] {
        [first, second, ..] => second.from_seconds - first.from_seconds,
        _ => measured.seconds,
    }
}

/// How many intervals a point of the charts over time stands for.
pub(super) fn intervals_together(measured: &Measured) -> usize {
    measured.intervals.len().div_ceil(SLICES_MAX).max(1)
}

/// What has a panel over time: the target of each run, with its floor.
pub(super) struct Panel<'a> {
    /// Of the element.
    pub(super) id: String,
    /// Above it.
    pub(super) name: String,
    /// What it shows.
    pub(super) measured: &'a Measured,
}

/// Latencies over time, all panels on the same axis.
pub(super) fn over_time(panels: &[Panel<'_>]) -> Vec<Chart> {
    let all = panels.iter().flat_map(|panel| &panel.measured.intervals);
    let values = all.flat_map(|one| [one.p50, one.p99, one.max, one.hiccup_max]);
    let scale = Scale::log_around(values.map(|ns| ns as f64));
    let chart = |panel: &Panel<'_>| {
        let slices = slices(panel.measured);
        let line = |name: &str, colour: &str, stroke, value: fn(&Interval) -> u64| {
            let spots = slices.iter().map(|slice| {
                let y = Some(value(&slice.interval) as f64).filter(|ns| scale.starts_by(*ns));
                Spot { y, ..Spot::new(slice.middle(), 0.0) }
            });
            let (name, colour) = (name.to_owned(), colour.to_owned());
            Series { name, colour, stroke, spots: spots.collect() }
        };
        let worst = panel.measured.intervals.iter().map(|one| one.max).max().unwrap_or(0);
        Chart {
            id: format!("time-{}", panel.id),
            title: format!("Latency over time, {}", panel.name),
            about: format!("The highest of all maxima is {}.", duration(worst)),
            size: HALF,
            x: time_axis(panel.measured),
            y: latency_axis(scale),
            series: vec![
                line(HICCUPS, "floor", Stroke::Dotted, |one| one.hiccup_max),
                line("p50", "c0", Stroke::Solid, |one| one.p50),
                line("p99", "c2", Stroke::Solid, |one| one.p99),
                line("max", "c1", Stroke::Solid, |one| one.max),
            ],
            bands: slices.iter().map(Slice::band).collect(),
            marks: Vec::new(),
        }
    };
    panels.iter().map(chart).collect()
}

/// Messages a second over time, all panels on the same axis.
pub(super) fn throughput(panels: &[Panel<'_>]) -> Vec<Chart> {
    let sliced: Vec<Vec<Slice>> = panels.iter().map(|panel| slices(panel.measured)).collect();
    let rates = sliced.iter().flatten().map(|slice| {
        let Interval { sent, answered, .. } = slice.interval;
        sent.max(answered) as f64 / slice.seconds()
    });
    let scale = Scale::rounded_up_to(rates.fold(0.0, f64::max) * 1.05);
    let chart = |(panel, slices): (&Panel<'_>, &Vec<Slice>)| {
        let line = |name: &str, colour: &str, stroke, value: fn(&Interval) -> u64| {
            let spot = |slice: &Slice| {
                Spot::new(slice.middle(), value(&slice.interval) as f64 / slice.seconds())
            };
            let spots = slices.iter().map(spot).collect();
            Series { name: name.to_owned(), colour: colour.to_owned(), stroke, spots }
        };
        let Measured { answered_per_second, wanted_per_second, .. } = panel.measured;
        Chart {
            id: format!("rate-{}", panel.id),
            title: format!("Throughput over time, {}", panel.name),
            about: format!(
                "{} wanted, {} answered; {} wrong answers.",
                text::rate(*wanted_per_second),
                text::rate(*answered_per_second),
                panel.measured.intervals.iter().map(|one| one.wrong).sum::<u64>()
            ),
            size: (HALF.0, 190.0, HALF.2),
            x: time_axis(panel.measured),
            y: Axis { scale, name: "messages a second", text: text::rate_tick },
            series: vec![
                line("answered", "c0", Stroke::Filled, |one| one.answered),
                line("sent", "c1", Stroke::Dashed, |one| one.sent),
            ],
            bands: slices.iter().map(Slice::band).collect(),
            marks: Vec::new(),
        }
    };
    panels.iter().zip(&sliced).map(chart).collect()
}

fn time_axis(measured: &Measured) -> Axis {
    let end = measured.intervals.last().map_or(0.0, |last| last.from_seconds);
    let end = end + slice_seconds(measured);
    let scale = Scale::up_to(measured.seconds.max(end));
    Axis { scale, name: "time", text: text::second_tick }
}

/// Latency against throughput: of one sweep some percentiles, of several the 99th. `None` without
/// a sweep.
pub(super) fn sweep(shown: &[Shown<'_>]) -> Option<Chart> {
    let swept: Vec<&Shown<'_>> = shown.iter().filter(|one| !one.results.sweep.is_empty()).collect();
    let first = swept.first()?;
    let mut series = if swept.len() == 1 {
        let line = |name: &str, colour: &str, value: fn(&Summary) -> u64| Series {
            name: name.to_owned(),
            colour: colour.to_owned(),
            stroke: Stroke::Solid,
            spots: steps(&first.results.sweep, value),
        };
        vec![
            line("p99.9", "c1", |summary| summary.p99_9),
            line("p99", "c2", |summary| summary.p99),
            line("p50", "c0", |summary| summary.p50),
        ]
    } else {
        let line = |one: &&Shown<'_>| one.series(steps(&one.results.sweep, |all| all.p99));
        swept.iter().map(line).collect()
    };
    let rates = swept.iter().flat_map(|one| &one.results.sweep);
    let rate = rates.map(|step| step.answered_per_second).fold(0.0, f64::max);
    let scale = Scale::rounded_up_to(rate);
    if let Some(echo) = &first.results.echo {
        let (name, colour) = ("floor p99".to_owned(), "floor".to_owned());
        let level = echo.latency_ns.p99 as f64;
        let spots = [0.0, rate].map(|rate| Spot::new(rate, level)).into();
        series.insert(0, Series { name, colour, stroke: Stroke::Dashed, spots });
    }
    let values = series.iter().flat_map(|series| &series.spots).filter_map(|spot| spot.y);
    let y = latency_axis(Scale::log_around(values));
    let knees = swept.iter().filter(|one| !one.is_faint);
    let knees = knees.filter_map(|one| Some((one, one.results.knee()?)));
    let marks = knees.map(|(one, step)| {
        let rate = text::rate(step.answered_per_second);
        let whose = if swept.len() == 1 { String::new() } else { format!(" of {}", one.name) };
        Mark { x: step.answered_per_second, name: format!("knee{whose} {rate}") }
    });
    let marks: Vec<Mark> = marks.collect();
    let about = marks.iter().map(|mark| mark.name.as_str()).collect::<Vec<_>>().join("; ");
    Some(Chart {
        id: "sweep".to_owned(),
        title: "Latency against throughput".to_owned(),
        about,
        size: WHOLE,
        x: Axis { scale, name: "answers a second", text: text::rate_tick },
        y,
        series,
        bands: Vec::new(),
        marks,
    })
}

fn steps(sweep: &[Step], value: fn(&Summary) -> u64) -> Vec<Spot> {
    let spot = |step: &Step| {
        let ns = value(&step.latency_ns);
        let held = if step.held { "held" } else { "not held" };
        let rates = [step.wanted_per_second, step.answered_per_second].map(text::rate);
        let note = format!("{} wanted, {}: {}, {held}", rates[0], rates[1], duration(ns));
        let dot = Some(if step.held { Dot::Full } else { Dot::Hollow });
        let y = Some(ns as f64).filter(|ns| *ns > 0.0);
        Spot { y, dot, ..Spot::new(step.answered_per_second, 0.0) }.noted(note)
    };
    sweep.iter().map(spot).collect()
}
