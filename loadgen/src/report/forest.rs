//! A comparison: its verdict in words, the ratios with their intervals, and the numbers.

use std::fmt::{self, Write as _};

use super::scale::Scale;
use super::section;
use super::text::{Escaped, change_tick, ratio};
use crate::bootstrap::{LEVEL, Ratio};
use crate::compare::{Candidate, Comparison, Row, Verdict, runs};

const WIDTH: f64 = 1040.0;
const LEFT: f64 = 96.0;
const RIGHT: f64 = 900.0;
const TOP: f64 = 12.0;
const ROW: f64 = 28.0;
/// Beyond it an interval is cut: one wild maximum must not flatten the others.
const PERCENT_MAX: f64 = 100.0;

/// The part of a page that answers the question.
pub(super) fn write(comparison: &Comparison, out: &mut String) -> fmt::Result {
    let Comparison { baseline, bound, candidates } = comparison;
    for (index, candidate) in candidates.iter().enumerate() {
        let (id, name) = (format!("verdict-{index}"), Escaped(&candidate.name));
        let about = format!(
            "Change of the median over repeated runs, of p99.9 and max too, with its {:.0} % \
             bootstrap interval; the grey band is the bound of {} %.",
            LEVEL * 100.0,
            bound * 100.0
        );
        let title = format!("Verdict: {name} against {}", Escaped(baseline));
        section(&id, &title, &about, out)?;
        let class = if candidate.is_regression() { "verdict bad" } else { "verdict" };
        let text = candidate.verdict(baseline, *bound);
        writeln!(out, "<p class=\"{class}\"><strong>{}</strong></p>", Escaped(&text))?;
        for difference in &candidate.differences {
            let text = Escaped(difference);
            writeln!(out, "<p class=\"about\">Not the same: {text}.</p>")?;
        }
        write!(out, "<figure>")?;
        chart(candidate, *bound, &format!("forest-{index}"), (index + 1) % super::COLOURS, out)?;
        write!(out, "</figure>")?;
        table(candidate, baseline, out)?;
        out.write_str("</section>\n")?;
    }
    Ok(())
}

fn percents(ratio: &Ratio) -> [f64; 3] {
    [ratio.low, ratio.seen, ratio.high].map(|ratio| (ratio - 1.0) * 100.0)
}

fn chart(
    candidate: &Candidate,
    bound: f64,
    id: &str,
    colour: usize,
    out: &mut String,
) -> fmt::Result {
    let ends = candidate.rows.iter().flat_map(|row| percents(&row.ratio));
    let ends = ends.chain([bound * -200.0, bound * 200.0]);
    let (least, most) = ends.fold((0.0_f64, 0.0_f64), |(least, most), end| {
        (least.min(end.max(-PERCENT_MAX)), most.max(end.min(PERCENT_MAX)))
    });
    let room = (most - least) * 0.04;
    let scale = Scale::between(least - room, most + room);
    let across = |percent: f64| LEFT + scale.share(percent) * (RIGHT - LEFT);
    let bottom = TOP + ROW * candidate.rows.len() as f64;
    let height = bottom + 40.0;
    write!(
        out,
        r#"<svg class="chart whole" id="{id}" viewBox="0 0 {WIDTH} {height}" role="img" "#
    )?;
    write!(out, r#"style="max-width:{WIDTH}px" "#)?;
    write!(out, r#"aria-labelledby="{id}-title {id}-about">"#)?;
    let name = Escaped(&candidate.name);
    write!(out, r#"<title id="{id}-title">Change of each metric, {name}</title>"#)?;
    write!(out, r#"<desc id="{id}-about">The table below has the numbers.</desc>"#)?;
    let (from, to) = (across(bound * -100.0), across(bound * 100.0));
    let (width, tall) = (to - from, bottom - TOP);
    write!(out, r#"<rect class="bound" x="{from:.1}" y="{TOP}" "#)?;
    write!(out, r#"width="{width:.1}" height="{tall}"/>"#)?;
    for tick in scale.ticks() {
        let (x, y, text) = (across(tick.value), bottom + 18.0, change_tick(tick.value));
        let class = if tick.value == 0.0 { "axis zero" } else { "grid" };
        write!(out, r#"<path class="{class}" d="M{x:.1} {TOP}V{bottom}"/>"#)?;
        write!(out, r#"<text class="tick middle" x="{x:.1}" y="{y}">{text}</text>"#)?;
    }
    for (index, row) in candidate.rows.iter().enumerate() {
        let y = TOP + ROW * (index as f64 + 0.5);
        write!(out, r#"<path class="grid" d="M{LEFT} {y}H{RIGHT}"/>"#)?;
        interval(row, y, percents(&row.ratio).map(across), colour, out)?;
    }
    out.write_str("</svg>\n")
}

fn interval(row: &Row, y: f64, at: [f64; 3], colour: usize, out: &mut String) -> fmt::Result {
    let class = match row.verdict {
        Verdict::Regression => "bad".to_owned(),
        Verdict::TooFew => "floor".to_owned(),
        _ => format!("c{colour}"),
    };
    let name = row.metric.name;
    let (text_x, baseline) = (LEFT - 14.0, y + 4.0);
    let [low, seen, high] = at;
    let Ratio { seen: ratio_seen, low: ratio_low, high: ratio_high } = row.ratio;
    let note = [ratio_seen, ratio_low, ratio_high].map(|value| ratio(value, 1.0));
    write!(out, r#"<text class="end" x="{text_x}" y="{baseline}">{name}</text>"#)?;
    write!(out, r#"<g class="series {class}" data-series="{name}">"#)?;
    if row.verdict != Verdict::TooFew {
        write!(out, r#"<path class="span" d="M{low:.1} {y}H{high:.1}"/>"#)?;
    }
    write!(out, r#"<circle class="dot" cx="{seen:.1}" cy="{y}" r="5">"#)?;
    write!(out, "<title>{name} {}, {} to {}</title></circle>", note[0], note[1], note[2])?;
    let text_x = RIGHT + 18.0;
    write!(out, r#"<g class="legend"><text x="{text_x}" y="{baseline}">{}</text></g></g>"#, note[0])
}

fn table(candidate: &Candidate, baseline: &str, out: &mut String) -> fmt::Result {
    let (before, after) = candidate.runs;
    out.write_str("<div class=\"wide\"><table class=\"numbers verdicts\">\n<thead><tr>")?;
    out.write_str("<th scope=\"col\">medians of the runs</th>")?;
    let (baseline, name) = (Escaped(baseline), Escaped(&candidate.name));
    write!(out, "<th scope=\"col\">{baseline}, {}</th>", runs(before))?;
    write!(out, "<th scope=\"col\">{name}, {}</th>", runs(after))?;
    for name in ["ratio", "interval", "verdict"] {
        write!(out, "<th scope=\"col\">{name}</th>")?;
    }
    out.write_str("</tr></thead>\n<tbody>\n")?;
    for row in &candidate.rows {
        let [before, after] = [row.baseline, row.candidate].map(|value| row.metric.text(value));
        let Ratio { seen, low, high } = row.ratio;
        let [seen, low, high] = [seen, low, high].map(|value| ratio(value, 1.0));
        let class = if row.verdict == Verdict::Regression { "bad" } else { "" };
        write!(out, "<tr><th scope=\"row\">{}</th>", row.metric.name)?;
        write!(out, "<td>{before}</td><td>{after}</td><td>{seen}</td><td>{low} to {high}</td>")?;
        writeln!(out, "<td><span class=\"{class}\">{}</span></td></tr>", row.verdict)?;
    }
    out.write_str("</tbody></table></div>\n")
}
