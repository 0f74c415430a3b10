//! The report: one page that needs nothing but itself, drawn from what runs left behind.
//!
//! ```text
//!  Results ──► charts (which lines) ──► svg (where they go) ──► page ──► a browser, or paper
//!              tables                   scale, text
//! ```

use std::fmt::{self, Write as _};

use crate::compare::{Comparison, Group};
use crate::results::{Measured, Results};
use crate::table::duration;
use charts::Panel;
use svg::{Series, Spot, Stroke};
use text::Escaped;

mod charts;
mod forest;
mod scale;
mod svg;
mod tables;
mod text;

pub(crate) use text::{rate, ratio};

/// So many colours are told apart; the next run begins again.
const COLOURS: usize = 6;

/// A run with the name and the colour that it has all over the page.
struct Shown<'a> {
    name: String,
    results: &'a Results,
    colour: usize,
    /// One of several repetitions, of which another is shown in full.
    is_faint: bool,
}

impl Shown<'_> {
    fn colour(&self) -> String {
        format!("c{}", self.colour % COLOURS)
    }

    fn series(&self, spots: Vec<Spot>) -> Series {
        let (stroke, name) = match self.is_faint {
            true => (Stroke::Faint, String::new()),
            false => (Stroke::Solid, self.name.clone()),
        };
        Series { name, colour: self.colour(), stroke, spots }
    }
}

/// A page about `runs`, overlaid when they are several.
pub fn html(runs: &[Results]) -> String {
    let mut shown: Vec<Shown<'_>> = Vec::new();
    for (colour, results) in runs.iter().enumerate() {
        let title = &results.title;
        let same = runs[..colour].iter().filter(|other| other.title == *title).count();
        let name = if same == 0 { title.clone() } else { format!("{title} ({})", same + 1) };
        shown.push(Shown { name, results, colour, is_faint: false });
    }
    let title = match runs {
        [one] => one.title.clone(),
        runs => format!("{} runs", runs.len()),
    };
    page(&title, &shown, None)
}

/// A page about repeated runs of a baseline and its candidates, with the verdict first.
pub fn comparison_html(groups: &[Group], comparison: &Comparison) -> String {
    let mut shown: Vec<Shown<'_>> = Vec::new();
    for (colour, group) in groups.iter().enumerate() {
        let typical = group.typical();
        shown.extend(group.runs.iter().enumerate().map(|(index, results)| {
            let is_faint = index != typical;
            Shown { name: group.name.clone(), results, colour, is_faint }
        }));
    }
    let names: Vec<&str> =
        comparison.candidates.iter().map(|candidate| candidate.name.as_str()).collect();
    let title = format!("{} against {}", names.join(" and "), comparison.baseline);
    page(&title, &shown, Some(comparison))
}

fn page(title: &str, shown: &[Shown<'_>], comparison: Option<&Comparison>) -> String {
    let mut out = String::new();
    write_page(title, shown, comparison, &mut out).expect("a String takes all");
    out
}

fn write_page(
    title: &str,
    shown: &[Shown<'_>],
    comparison: Option<&Comparison>,
    out: &mut String,
) -> fmt::Result {
    head(title, out)?;
    let full: Vec<&Shown<'_>> = shown.iter().filter(|one| !one.is_faint).collect();
    heading(title, &full, out)?;
    if let Some(comparison) = comparison {
        forest::write(comparison, out)?;
    }
    if let ([one], None) = (&full[..], comparison) {
        tables::tiles(one.results, out)?;
    }
    section(
        "percentiles",
        "Latency by percentile",
        "Counted from the moment when a message was due, so that a stall cannot hide. Each nine \
         takes as much room as the one before; a line ends where its run has no more messages.",
        out,
    )?;
    write!(out, "<figure>{}</figure>", charts::percentiles(shown))?;
    tables::latencies(&full, out)?;
    out.write_str("</section>\n")?;
    if let Some(chart) = charts::sweep(shown) {
        section(
            "sweep",
            "Latency against throughput",
            "Each point is one rate; hollow ones missed the target. The knee is the highest rate \
             that met it.",
            out,
        )?;
        writeln!(out, "<figure>{chart}</figure></section>")?;
    }
    over_time(&full, out)?;
    tables::messages(&full, out)?;
    tables::wrong_answers(&full, out)?;
    tables::server_work(&full, out)?;
    tables::facts(&full, out)?;
    foot(out)
}

fn head(title: &str, out: &mut String) -> fmt::Result {
    out.write_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n")?;
    out.write_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n")?;
    out.write_str("<meta name=\"color-scheme\" content=\"light dark\" />\n")?;
    // The browser would ask a server for an icon.
    out.write_str("<link rel=\"icon\" href=\"data:,\" />\n")?;
    writeln!(out, "<title>{} · latency report</title>", Escaped(title))?;
    writeln!(out, "<style>\n{}</style>\n</head>\n<body>\n<main>", include_str!("style.css"))
}

fn heading(title: &str, full: &[&Shown<'_>], out: &mut String) -> fmt::Result {
    out.write_str("<header>\n<p class=\"kind\">Latency report</p>\n")?;
    writeln!(out, "<h1>{}</h1>", Escaped(title))?;
    for one in full {
        let Results { begun, host, measured, .. } = one.results;
        let machine = host.facts.first().map_or("", |fact| fact.value.as_str());
        out.write_str("<p class=\"when\">")?;
        if full.len() > 1 {
            write!(out, "<b class=\"{}\">{}</b> · ", one.colour(), Escaped(&one.name))?;
        }
        let (begun, machine, gap) =
            (Escaped(begun), Escaped(machine), if machine.is_empty() { "" } else { " · " });
        writeln!(out, "{begun}{gap}{machine} · {}</p>", completeness(measured))?;
    }
    out.write_str("</header>\n")
}

/// The sentence that decides whether the rest is worth reading.
fn completeness(measured: &Measured) -> String {
    let Measured { sent, unsent, lost, repeated, unexpected, wrong_early, given_up, .. } = measured;
    let all = text::count(sent + unsent);
    if measured.is_complete() {
        return match measured.silent {
            0 => format!("each of {all} messages was answered once"),
            silent => format!(
                "each of {all} messages was answered once, but for {} that rightly have no answer",
                text::count(silent)
            ),
        };
    }
    let wrong = [
        ("never sent", unsent),
        ("lost", lost),
        ("repeated", repeated),
        ("unexpected", unexpected),
    ];
    let wrong = wrong.iter().filter(|(_, count)| **count > 0);
    let wrong: Vec<String> =
        wrong.map(|(name, all)| format!("{} {name}", text::count(**all))).collect();
    let mut text = format!("{all} messages");
    if !wrong.is_empty() {
        text += &format!(", of which {}", wrong.join(", "));
    }
    if *wrong_early > 0 {
        text += &format!(" ({} of these in the warm-up or before it)", text::count(*wrong_early));
    }
    match given_up {
        Some(why) => text += &format!(", and then given up: {}", Escaped(why)),
        None if wrong.is_empty() => text += ", and then given up",
        None => {}
    }
    if let Some(caveat) = measured.caveat() {
        text += &format!("; {caveat}");
    }
    format!("<strong class=\"bad\">{text}</strong>")
}

fn section(id: &str, title: &str, about: &str, out: &mut String) -> fmt::Result {
    writeln!(out, "<section aria-labelledby=\"{id}-heading\">")?;
    writeln!(out, "<h2 id=\"{id}-heading\">{title}</h2>\n<p class=\"about\">{about}</p>")
}

fn over_time(full: &[&Shown<'_>], out: &mut String) -> fmt::Result {
    let mut panels = Vec::new();
    for (index, one) in full.iter().enumerate() {
        let targets = [(Some(&one.results.measured), "run"), (one.results.echo.as_ref(), "floor")];
        for (measured, kind) in targets {
            let Some(measured) = measured.filter(|all| !all.intervals.is_empty()) else { continue };
            let name = match kind {
                "floor" if full.len() == 1 => "echo floor".to_owned(),
                "floor" => format!("echo floor of {}", one.name),
                _ => one.name.clone(),
            };
            panels.push(Panel { id: format!("{kind}-{index}"), name, measured });
        }
    }
    let Some(most) = panels.iter().map(|panel| charts::intervals_together(panel.measured)).max()
    else {
        return Ok(());
    };
    let together = match most {
        1 => String::new(),
        most => format!(" A point stands for the worst of up to {most} intervals."),
    };
    let has_floor = full.iter().any(|one| one.results.echo.is_some());
    let beside = if has_floor {
        "Side by side on the same axes: the target, and a bare echo with the same schedule in the \
         same run. "
    } else {
        ""
    };
    section(
        "time",
        "Over time",
        &format!(
            "{beside}Hiccups are how long a thread that only looked at the clock was kept \
             from it. Red stripes hold wrong answers.{together}"
        ),
        out,
    )?;
    out.write_str("<div class=\"panels\">\n")?;
    let charts = charts::over_time(&panels).into_iter().zip(charts::throughput(&panels));
    for (panel, (latency, throughput)) in panels.iter().zip(charts) {
        let name = Escaped(&panel.name);
        write!(out, "<figure><figcaption>{name}</figcaption>{latency}{throughput}</figure>")?;
    }
    out.write_str("</div>\n</section>\n")
}

fn foot(out: &mut String) -> fmt::Result {
    let version = env!("CARGO_PKG_VERSION");
    write!(
        out,
        "<footer><p>Open loop: when to send is decided before the run, and a latency begins when \
         its message was due. Histograms are exact to three digits; warm-up is excluded. The page \
         needs no network and no script.</p><p>loadgen {version}</p></footer>\n\
         </main>\n</body>\n</html>\n"
    )
}

/// A latency with its ratio to the floor's, as a cell.
fn cell(ns: u64, floor: Option<u64>, out: &mut String) -> fmt::Result {
    write!(out, "<td>{}", duration(ns))?;
    if let Some(floor) = floor {
        write!(out, "<small>{}</small>", ratio(ns as f64, floor as f64))?;
    }
    out.write_str("</td>")
}
