//! What a report says in numbers and words.

use std::fmt::{self, Write as _};

use super::text::{Escaped, count, rate};
use super::{Shown, cell, ratio, section};
use crate::latency::Summary;
use crate::results::{Age, Fact, Measured, Results};
use crate::table::duration;

type FactsOf = fn(&Results) -> &[Fact];

const PERCENTILES: [&str; 6] = ["p50", "p90", "p99", "p99.9", "p99.99", "max"];

/// The numbers that most readers come for, large.
pub(super) fn tiles(results: &Results, out: &mut String) -> fmt::Result {
    let Measured { latency_ns, answered_per_second, wanted_per_second, .. } = &results.measured;
    let floor = results.echo.as_ref().map(|echo| echo.latency_ns.fields());
    out.write_str("<dl class=\"tiles\">\n")?;
    for (index, (_, ns)) in latency_ns.fields().into_iter().enumerate() {
        let beside = floor.map_or_else(String::new, |floor| {
            format!("{} the floor", ratio(ns as f64, floor[index].1 as f64))
        });
        tile(PERCENTILES[index], &duration(ns), &beside, out)?;
    }
    let wanted = format!("{} wanted", rate(*wanted_per_second));
    tile("throughput", &rate(*answered_per_second), &wanted, out)?;
    out.write_str("</dl>\n")
}

fn tile(name: &str, value: &str, beside: &str, out: &mut String) -> fmt::Result {
    writeln!(out, "<div><dt>{name}</dt><dd>{value}<small>{beside}</small></dd></div>")
}

/// All percentiles, with ratios to the floor of the same run.
pub(super) fn latencies(full: &[&Shown<'_>], out: &mut String) -> fmt::Result {
    out.write_str("<div class=\"wide\"><table class=\"numbers\">\n<thead><tr>")?;
    out.write_str("<th scope=\"col\">from the time when due, unless it says otherwise</th>")?;
    for name in ["count"].into_iter().chain(PERCENTILES) {
        write!(out, "<th scope=\"col\">{name}</th>")?;
    }
    out.write_str("</tr></thead>\n")?;
    for one in full {
        let Results { measured, echo, hiccup_ns, .. } = one.results;
        let floor = echo.as_ref();
        out.write_str("<tbody>\n")?;
        let class = one.colour();
        row(&class, &one.name, &measured.latency_ns, floor.map(|echo| &echo.latency_ns), out)?;
        let class = if full.len() == 1 { "c1 plain" } else { "plain" };
        let name = "service time, from the actual send";
        row(class, name, &measured.service_ns, floor.map(|echo| &echo.service_ns), out)?;
        if let Some(echo) = floor {
            row("floor", "echo floor", &echo.latency_ns, None, out)?;
        }
        if let Some(hiccups) = hiccup_ns {
            row("floor", "hiccups of the machine", hiccups, None, out)?;
        }
        out.write_str("</tbody>\n")?;
    }
    out.write_str("</table></div>\n")
}

fn row(
    class: &str,
    name: &str,
    summary: &Summary,
    floor: Option<&Summary>,
    out: &mut String,
) -> fmt::Result {
    write!(out, "<tr><th scope=\"row\"><span class=\"{class}\">{}</span></th>", Escaped(name))?;
    write!(out, "<td>{}</td>", count(summary.count))?;
    let floor = floor.map(Summary::fields);
    for (index, (_, ns)) in summary.fields().into_iter().enumerate() {
        cell(ns, floor.map(|floor| floor[index].1), out)?;
    }
    out.write_str("</tr>\n")
}

/// What went out and what came back.
pub(super) fn messages(full: &[&Shown<'_>], out: &mut String) -> fmt::Result {
    section("messages", "Messages", "What went out, and what came back.", out)?;
    out.write_str("<div class=\"wide\"><table class=\"numbers\">\n<thead><tr><th></th>")?;
    let names = [
        "wanted",
        "answered",
        "seconds",
        "sent",
        "answered",
        "rightly silent",
        "lost",
        "repeated",
        "unexpected",
        "reconnected",
        "sent again",
    ];
    for name in names {
        write!(out, "<th scope=\"col\">{name}</th>")?;
    }
    out.write_str("</tr></thead>\n")?;
    for one in full {
        out.write_str("<tbody>\n")?;
        message_row(&one.colour(), &one.name, &one.results.measured, out)?;
        if let Some(echo) = &one.results.echo {
            message_row("floor", "echo floor", echo, out)?;
        }
        out.write_str("</tbody>\n")?;
    }
    out.write_str("</table></div>\n</section>\n")?;
    if full.iter().all(|one| one.results.measured.kinds.is_empty()) {
        return Ok(());
    }
    section(
        "kinds",
        "Kinds of answers",
        "What came, with the warm-up, the filling and the emptying of the books.",
        out,
    )?;
    out.write_str("<div class=\"facts\">\n")?;
    fact_table(full, |results| &results.measured.kinds, out)?;
    out.write_str("</div>\n</section>\n")
}

fn message_row(class: &str, name: &str, measured: &Measured, out: &mut String) -> fmt::Result {
    write!(out, "<tr><th scope=\"row\"><span class=\"{class}\">{}</span></th>", Escaped(name))?;
    let (wanted, answered) = (measured.wanted_per_second, measured.answered_per_second);
    write!(out, "<td>{}</td><td>{}</td>", rate(wanted), rate(answered))?;
    write!(out, "<td>{:.1}</td>", measured.seconds)?;
    for right in [measured.sent, measured.answered, measured.silent] {
        write!(out, "<td>{}</td>", count(right))?;
    }
    for wrong in [measured.lost, measured.repeated, measured.unexpected] {
        let class = if wrong > 0 { "bad" } else { "none" };
        write!(out, "<td class=\"{class}\">{}</td>", count(wrong))?;
    }
    for lost_connection in [measured.reconnected, measured.resent] {
        write!(out, "<td>{}</td>", count(lost_connection))?;
    }
    out.write_str("</tr>\n")
}

/// What the stages of the servers did, where they were asked.
pub(super) fn server_work(full: &[&Shown<'_>], out: &mut String) -> fmt::Result {
    let told = |one: &&Shown<'_>| one.results.server_work.is_some();
    if !full.iter().any(told) {
        return Ok(());
    }
    let about = "What each did during the run, warm-up included, by the server's own account: the \
                 share of the time in which it worked, how much it took at once, and how long ago \
                 the order of the oldest command was decided when a batch was done, to a quarter.";
    section("stages", "Server's stages", about, out)?;
    out.write_str("<div class=\"wide\"><table class=\"numbers\">\n<thead><tr><th></th>")?;
    let names = ["busy", "items", "batches", "mean batch", "largest since its start"];
    for name in names.into_iter().chain(["oldest, p50", "p99", "max"]) {
        write!(out, "<th scope=\"col\">{name}</th>")?;
    }
    out.write_str("</tr></thead>\n")?;
    for one in full {
        let Some(work) = &one.results.server_work else { continue };
        let (class, name) = (one.colour(), Escaped(&one.name));
        let rings = format!(
            "{} commands, {} events in {:.1} s; of {} slots of each ring waited at most {} and {}, \
             in {} looks",
            count(work.commands),
            count(work.events),
            work.seconds,
            count(work.ring_slots),
            count(work.commands_waiting_max),
            count(work.events_waiting_max),
            count(work.looks)
        );
        out.write_str("<tbody>\n<tr><th scope=\"rowgroup\" colspan=\"9\">")?;
        writeln!(out, "<span class=\"{class}\">{name}</span>: {rings}</th></tr>")?;
        for stage in &work.stages {
            let mean = stage.mean_batch().map_or("–".to_owned(), |mean| format!("{mean:.1}"));
            write!(
                out,
                "<tr><th scope=\"row\">{}</th><td>{:.1} %</td><td>{}</td><td>{}</td>\
                 <td>{mean}</td><td>{}</td>",
                Escaped(&stage.name),
                stage.busy_share * 100.0,
                count(stage.items),
                count(stage.batches),
                count(stage.batch_max)
            )?;
            for ns in
                stage.age_ns.map_or([None; 3], |Age { p50, p99, max }| [p50, p99, max].map(Some))
            {
                write!(out, "<td>{}</td>", ns.map_or("–".to_owned(), duration))?;
            }
            out.write_str("</tr>\n")?;
        }
        out.write_str("</tbody>\n")?;
    }
    out.write_str("</table></div>\n</section>\n")
}

/// The first wrong answers in words, where there were any.
pub(super) fn wrong_answers(full: &[&Shown<'_>], out: &mut String) -> fmt::Result {
    if full.iter().all(|one| one.results.measured.errors.is_empty()) {
        return Ok(());
    }
    section("wrong", "Wrong answers", "The first of them.", out)?;
    out.write_str("<ul>\n")?;
    for one in full {
        for error in &one.results.measured.errors {
            writeln!(out, "<li>{}: {}</li>", Escaped(&one.name), Escaped(error))?;
        }
    }
    out.write_str("</ul>\n</section>\n")
}

/// Load, server and host; with several runs side by side where they differ.
pub(super) fn facts(full: &[&Shown<'_>], out: &mut String) -> fmt::Result {
    out.write_str("<div class=\"facts\">\n")?;
    let parts: [(&str, &str, FactsOf); 3] = [
        ("load", "Load", |results| &results.load),
        ("server", "Server", |results| &results.server),
        ("host", "Host", |results| &results.host.facts),
    ];
    for (id, title, of) in parts {
        let about = match (id, full.iter().all(|one| of(one.results).is_empty())) {
            ("server", true) => "It was not asked.",
            ("server", false) => "As it told its administrator.",
            ("load", _) => "What was played.",
            _ => "Where.",
        };
        section(id, title, about, out)?;
        fact_table(full, of, out)?;
        out.write_str("</section>\n")?;
    }
    out.write_str("</div>\n")
}

fn fact_table(full: &[&Shown<'_>], of: FactsOf, out: &mut String) -> fmt::Result {
    let mut names: Vec<&str> = Vec::new();
    for fact in full.iter().flat_map(|one| of(one.results)) {
        if !names.contains(&fact.name.as_str()) {
            names.push(&fact.name);
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    out.write_str("<table>\n<tbody>\n")?;
    for name in names {
        let value = |one: &&Shown<'_>| {
            let fact = of(one.results).iter().find(|fact| fact.name == name);
            fact.map_or("–".to_owned(), |fact| fact.value.clone())
        };
        let values: Vec<String> = full.iter().map(value).collect();
        write!(out, "<tr><th scope=\"row\">{}</th><td>", Escaped(name))?;
        if values.iter().all(|value| *value == values[0]) {
            write!(out, "{}", Escaped(&values[0]))?;
        } else {
            for (one, value) in full.iter().zip(&values) {
                let (class, name) = (one.colour(), Escaped(&one.name));
                let value = Escaped(value);
                write!(out, "<div><span class=\"{class}\">{name}</span> {value}</div>")?;
            }
        }
        out.write_str("</td></tr>\n")?;
    }
    out.write_str("</tbody>\n</table>\n")
}
