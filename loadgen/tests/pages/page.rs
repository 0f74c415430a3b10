//! Pages about runs: their lines, their well-formedness, and that nothing in them is not a number.

use std::collections::BTreeMap;

use loadgen::compare::{Comparison, Group};
use loadgen::latency::Summary;
use loadgen::report::{comparison_html, html};
use loadgen::results::{Interval, Measured, Results};

use crate::sample::{self, Shape};

const GOOD: Shape = Shape { median_ns: 9_400.0, stall: None, wrong: None, seed: 1 };

/// Names of the lines of each chart, by the chart's id.
fn series(page: &str) -> BTreeMap<String, Vec<String>> {
    let mut charts = BTreeMap::new();
    for chart in page.split("<svg ").skip(1) {
        let chart = chart.split("</svg>").next().expect("it ends");
        let value = |text: &str| text.split('"').next().expect("it ends").to_owned();
        let id = value(chart.split("id=\"").nth(1).expect("an id"));
        let names = chart.split("data-series=\"").skip(1).map(value).collect();
        assert!(charts.insert(id.clone(), names).is_none(), "two charts are called {id}");
    }
    charts
}

/// Tags that open and close in order, no number that is none, and nothing from elsewhere.
fn assert_sound(page: &str) {
    let mut open = Vec::new();
    for tag in page.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag that ends");
        let name = tag.split([' ', '/']).find(|name| !name.is_empty()).expect("a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "</{tag}>");
        } else if !tag.starts_with('!') && !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    for bad in ["NaN", "inf\"", "inf ", "http", "<script", " src=", "@import", "url("] {
        assert!(!page.contains(bad), "{bad}");
    }
}

#[test]
fn a_run_has_its_charts_with_all_their_lines() {
    let page = html(&[sample::run("order to reply", GOOD)]);
    assert_sound(&page);
    let series = series(&page);
    let ids: Vec<&str> = series.keys().map(String::as_str).collect();
    assert_eq!(ids, ["percentiles", "rate-floor-0", "rate-run-0", "time-floor-0", "time-run-0"]);
    let names = ["echo floor", "hiccups", "service time", "order to reply"];
    assert_eq!(series["percentiles"], names);
    assert_eq!(series["time-run-0"], ["hiccups", "p50", "p99", "max"]);
    assert_eq!(series["rate-floor-0"], ["answered", "sent"]);
    for text in ["1.31× the floor", "journaled", "Sample CPU 9000", "100,000 messages"] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_sweep_marks_its_knee() {
    let page = html(&[sample::sweep("sweep", GOOD)]);
    assert_sound(&page);
    assert_eq!(series(&page)["sweep"], ["floor p99", "p99.9", "p99", "p50"]);
    assert!(page.contains("knee 400\u{a0}k/s"));
    assert_eq!(page.matches("dot hollow").count(), 6);
}

#[test]
fn runs_are_overlaid_and_told_apart() {
    let runs = [1, 2].map(|seed| sample::run("same title", Shape { seed, ..GOOD }));
    let page = html(&runs);
    assert_sound(&page);
    let series = series(&page);
    assert_eq!(series["percentiles"], ["floor", "same title", "floor", "same title (2)"]);
    assert_eq!(series.len(), 9);
}

#[test]
fn a_comparison_shows_every_run_and_the_verdict() {
    let group = |name: &str, median_ns: f64| {
        let run = |seed| sample::run(name, Shape { median_ns, seed, ..GOOD });
        Group { name: name.to_owned(), runs: (0..5).map(run).collect() }
    };
    let groups = [group("a & b", 9_400.0), group("slow", 12_000.0)];
    let comparison = Comparison::new(&groups, 0.05, 1);
    assert!(comparison.is_regression());
    let page = comparison_html(&groups, &comparison);
    assert_sound(&page);
    let series = series(&page);
    assert_eq!(series["forest-0"], ["p50", "p99", "p99.9", "max", "throughput"]);
    // Ten runs and two floors.
    assert_eq!(series["percentiles"].len(), 12);
    assert!(page.contains("slow is worse than a &amp; b"), "{comparison}");
}

#[test]
fn wrong_answers_are_seen() {
    let shape = Shape { wrong: Some((12, 3)), ..GOOD };
    let page = html(&[sample::run("<b>bold</b>", shape)]);
    assert_sound(&page);
    assert!(page.contains("100,000 messages, of which 3 unexpected"));
    assert_eq!(page.matches("class=\"band bad\"").count(), 2);
    assert!(page.contains("a reply to &lt;nobody&gt;") && !page.contains("<b>bold"));
}

#[test]
fn wrong_answers_of_the_warm_up_are_told_apart() {
    let mut run = sample::run("run", GOOD);
    (run.measured.unexpected, run.measured.wrong_early) = (5, 2);
    let page = html(&[run]);
    assert_sound(&page);
    let text = "of which 5 unexpected (2 of these in the warm-up or before it)";
    assert!(page.contains(text));
}

#[test]
fn what_is_neither_answered_nor_wrong_is_seen_too() {
    let mut run = sample::run("run", GOOD);
    let Measured { silent, resent, reconnected, .. } = &mut run.measured;
    (*silent, *reconnected, *resent) = (1_234, 5_678, 9_012);
    assert!(html(std::slice::from_ref(&run)).contains("a bare echo with the same schedule"));
    run.echo = None;
    let page = html(&[run]);
    assert_sound(&page);
    assert!(page.contains("answered once, but for 1,234 that rightly have no answer"));
    assert!(!page.contains("a bare echo with the same schedule"), "there is none");
    for cells in ["<td>1,234</td><td class=\"none\">0</td>", "<td>5,678</td><td>9,012</td></tr>"] {
        assert!(page.contains(cells), "{cells}");
    }
    assert!(page.contains("<th scope=\"row\">executed</th><td>30,000</td>"));
}

#[test]
fn what_the_server_s_stages_did_is_seen() {
    let asked = sample::run("asked", GOOD);
    let not_asked = Results { server_work: None, ..sample::run("not asked", GOOD) };
    let page = html(&[asked.clone(), not_asked.clone()]);
    assert_sound(&page);
    let rows = [
        "110,003 commands, 140,021 events in 5.5 s; of 4,096 slots of each ring waited at most 17 \
         and 23, in 6 looks",
        "gateway</th><td>31.2 %</td><td>110,000</td><td>55,000</td><td>2.0</td><td>64</td>\
         <td>1.54 µs</td><td>12.3 µs</td><td>918 µs</td></tr>",
        "keeper</th><td>0.0 %</td><td>0</td><td>0</td><td>–</td><td>64</td>\
         <td>–</td><td>–</td><td>–</td></tr>",
    ];
    for row in rows {
        assert_eq!(page.matches(row).count(), 1, "{row}");
    }
    assert!(!html(&[not_asked]).contains("Server's stages"));
}

#[test]
fn why_a_run_was_given_up_is_seen() {
    let mut run = sample::run("run", GOOD);
    run.measured.given_up = Some("silent: no answer came for <30 s>".to_owned());
    assert!(!html(std::slice::from_ref(&run)).contains("answers only"));
    run.measured.unsent = 8;
    assert!(html(std::slice::from_ref(&run)).contains("of the 100000 answers only, of 100008"));
    run.measured.unsent = 0;
    let page = html(&[run]);
    assert_sound(&page);
    assert!(
        page.contains("100,000 messages, and then given up: silent: no answer came for &lt;30")
    );
}

/// A run that could not even begin.
#[test]
fn nothing_measured_is_still_a_page() {
    let full = sample::run("empty", GOOD);
    let nothing = Measured {
        latency_ns: Summary::default(),
        service_ns: Summary::default(),
        sent: 0,
        answered: 0,
        answered_per_second: f64::NAN,
        seconds: 0.0,
        curve: Vec::new(),
        intervals: Vec::new(),
        ..full.measured.clone()
    };
    let still = Measured {
        intervals: full
            .measured
            .intervals
            .iter()
            .map(|one| Interval {
                from_seconds: 0.0,
                sent: 0,
                answered: 0,
                wrong: 0,
                p50: 0,
                p99: 0,
                max: 0,
                ..*one
            })
            .collect(),
        ..nothing.clone()
    };
    for measured in [nothing, still] {
        let empty = Results { measured, echo: None, hiccup_ns: None, ..full.clone() };
        assert_sound(&html(&[empty]));
    }
    assert_sound(&html(&[]));
}

#[test]
fn a_run_that_ends_late_keeps_its_rates() {
    let mut late = sample::run("late", GOOD);
    late.measured.seconds = 2.0;
    let page = html(&[late]);
    assert_sound(&page);
    assert!(page.contains("4.90 to 5.00 s") && page.contains(">25\u{a0}k<"));
    assert!(!page.contains("\u{a0}M<"));
}

#[test]
fn a_long_run_is_drawn_with_its_worst_intervals() {
    let mut long = sample::run("long", GOOD);
    let slice = long.measured.intervals[0];
    long.measured.intervals = (0..5_000)
        .map(|index| Interval {
            from_seconds: f64::from(index) * 0.1,
            max: if index == 4_321 { 777_000_000 } else { slice.max },
            ..slice
        })
        .collect();
    long.measured.seconds = 500.0;
    let page = html(&[long]);
    assert_sound(&page);
    assert!(page.contains("up to 21 intervals") && page.contains("maximum 777 ms"));
    assert!(page.len() < 400_000, "{}", page.len());
}
