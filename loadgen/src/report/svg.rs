//! A chart: axes, lines with their names at their ends, and what a resting pointer is told.
//!
//! Colours are classes, `c0` to `c5`, `floor` and `bad`, that the page's style sheet knows in its
//! two schemes.

use std::fmt::{self, Write as _};

use super::scale::Scale;
use super::text::{Escaped, shortened};

/// Wider charts scroll on a narrow screen, where their texts would be too small.
const HALF_MAX: f64 = 600.0;
const TOP: f64 = 26.0;
const LEFT: f64 = 62.0;
const BOTTOM: f64 = 40.0;
/// Of the names beside the lines' ends.
const NAME_GAP: f64 = 14.0;
/// From the plot to the names.
const NAME_OFFSET: f64 = 14.0;
/// The width of a bold letter in the widest of the page's fonts, on average.
const NAME_LETTER: f64 = 7.8;

/// One direction of a chart.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// What it covers.
    pub(super) scale: Scale,
    /// What it counts.
    pub(super) name: &'static str,
    /// How a tick is written.
    pub(super) text: fn(f64) -> String,
}

/// How a line is drawn, so that colour is never the only difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stroke {
    /// What the chart is about.
    Solid,
    /// Solid, with the area below it tinted.
    Filled,
    /// What it is compared with.
    Dashed,
    /// A context.
    Dotted,
    /// One of many of the same kind.
    Faint,
}

impl Stroke {
    fn class(self) -> &'static str {
        match self {
            Self::Solid => "solid",
            Self::Filled => "filled",
            Self::Dashed => "dashed",
            Self::Dotted => "dotted",
            Self::Faint => "faint",
        }
    }
}

/// A point of a line.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    /// On the axes: without a `y` the line is interrupted.
    pub(super) x: f64,
    /// See `x`.
    pub(super) y: Option<f64>,
    /// For the pointer that rests on it.
    pub(super) note: Option<String>,
    /// Whether it is drawn by itself, and how.
    pub(super) dot: Option<Dot>,
}

impl Spot {
    /// A point that is only part of its line.
    pub(super) fn new(x: f64, y: f64) -> Self {
        Self { x, y: Some(y), note: None, dot: None }
    }

    /// Says `note` under the pointer.
    pub(super) fn noted(self, note: String) -> Self {
        Self { note: Some(note), ..self }
    }
}

/// A point that is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dot {
    /// As good as hoped.
    Full,
    /// Not.
    Hollow,
}

/// A line.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// Beside its end; empty for none.
    pub(super) name: String,
    /// A class of the style sheet.
    pub(super) colour: String,
    /// How it is drawn.
    pub(super) stroke: Stroke,
    /// By rising `x`.
    pub(super) spots: Vec<Spot>,
}

/// A range of `x` that something is to be said about.
#[derive(Clone, Debug)]
pub(super) struct Band {
    /// Its ends.
    pub(super) x: (f64, f64),
    /// For the pointer that rests on it.
    pub(super) note: String,
    /// Whether it is seen without a pointer.
    pub(super) is_bad: bool,
}

/// An `x` with a name.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// Where.
    pub(super) x: f64,
    /// What to call it.
    pub(super) name: String,
}

/// All of it. Writes itself as one `svg` element.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    /// Of the element; unique in the page.
    pub(super) id: String,
    /// For those who do not see it: what it is …
    pub(super) title: String,
    /// … and what it shows.
    pub(super) about: String,
    /// Width, height, and the room for names at the right.
    pub(super) size: (f64, f64, f64),
    /// The direction to the right.
    pub(super) x: Axis,
    /// The direction up.
    pub(super) y: Axis,
    /// Lines, the most important ones last, so that they lie on top.
    pub(super) series: Vec<Series>,
    /// Ranges, below the lines.
    pub(super) bands: Vec<Band>,
    /// Places with a name.
    pub(super) marks: Vec<Mark>,
}

impl Chart {
    fn right(&self) -> f64 {
        self.size.0 - self.size.2
    }

    fn bottom(&self) -> f64 {
        self.size.1 - BOTTOM
    }

    fn across(&self, x: f64) -> f64 {
        LEFT + self.x.scale.share(x) * (self.right() - LEFT)
    }

    fn up(&self, y: f64) -> f64 {
        self.bottom() - self.y.scale.share(y) * (self.bottom() - TOP)
    }

    fn axes(&self, out: &mut String) -> fmt::Result {
        let (right, bottom) = (self.right(), self.bottom());
        for tick in self.y.scale.ticks() {
            let y = self.up(tick.value);
            let class = if tick.is_labelled { "grid" } else { "grid minor" };
            write!(out, r#"<path class="{class}" d="M{LEFT} {y:.1}H{right}"/>"#)?;
            if tick.is_labelled {
                let (x, y, text) = (LEFT - 8.0, y + 4.0, (self.y.text)(tick.value));
                write!(out, r#"<text class="tick end" x="{x}" y="{y:.1}">{text}</text>"#)?;
            }
        }
        for tick in self.x.scale.ticks() {
            let (x, text) = (self.across(tick.value), (self.x.text)(tick.value));
            let (to, y) = (bottom + 4.0, bottom + 18.0);
            write!(out, r#"<path class="grid" d="M{x:.1} {TOP}V{to}"/>"#)?;
            write!(out, r#"<text class="tick middle" x="{x:.1}" y="{y}">{text}</text>"#)?;
        }
        write!(out, r#"<path class="axis" d="M{LEFT} {bottom}H{right}"/>"#)?;
        let (y, name) = (bottom + 34.0, self.x.name);
        write!(out, r#"<text class="name end" x="{right}" y="{y}">{name}</text>"#)?;
        write!(out, r#"<text class="name" x="4" y="13">{}</text>"#, self.y.name)
    }

    fn bands(&self, out: &mut String) -> fmt::Result {
        for band in &self.bands {
            let (from, to) = (self.across(band.x.0), self.across(band.x.1));
            let (width, height) = ((to - from).max(1.0), self.bottom() - TOP);
            let class = if band.is_bad { "band bad" } else { "band" };
            write!(out, r#"<rect class="{class}" x="{from:.1}" y="{TOP}" width="{width:.1}" "#)?;
            write!(out, r#"height="{height:.1}"><title>{}</title></rect>"#, Escaped(&band.note))?;
        }
        Ok(())
    }

    fn line(&self, series: &Series, out: &mut String) -> fmt::Result {
        let mut path = String::new();
        for run in series.spots.split(|spot| spot.y.is_none()) {
            for (index, spot) in run.iter().enumerate() {
                let letter = if index == 0 { 'M' } else { 'L' };
                let y = self.up(spot.y.unwrap_or(0.0));
                write!(path, "{letter}{:.1} {y:.1}", self.across(spot.x))?;
            }
            if run.len() == 1 {
                // The round end of no line is a dot.
                path.push_str("h0");
            }
        }
        let (colour, stroke) = (&series.colour, series.stroke.class());
        let name = Escaped(&series.name);
        write!(out, r#"<g class="series {colour} {stroke}" data-series="{name}">"#)?;
        if let (Stroke::Filled, Some(first), Some(last)) =
            (series.stroke, series.spots.first(), series.spots.last())
        {
            let (bottom, first, last) = (self.bottom(), self.across(first.x), self.across(last.x));
            let below = path.replacen('M', &format!("M{first:.1} {bottom}L"), 1);
            write!(out, r#"<path class="below" d="{below}L{last:.1} {bottom}Z"/>"#)?;
        }
        write!(out, r#"<path class="line" d="{path}"/>"#)?;
        for spot in &series.spots {
            self.spot(spot, out)?;
        }
        out.write_str("</g>")
    }

    fn spot(&self, spot: &Spot, out: &mut String) -> fmt::Result {
        let (Some(y), true) = (spot.y, spot.note.is_some() || spot.dot.is_some()) else {
            return Ok(());
        };
        let (class, radius) = match spot.dot {
            None => ("hit", 5.0),
            Some(Dot::Full) => ("dot", 3.0),
            Some(Dot::Hollow) => ("dot hollow", 3.5),
        };
        let (x, y, note) = (self.across(spot.x), self.up(y), spot.note.as_deref().unwrap_or(""));
        write!(out, r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius}">"#)?;
        write!(out, "<title>{}</title></circle>", Escaped(note))
    }

    /// Names beside the ends of their lines; where ends meet, names move apart and a line leads
    /// to each.
    fn names(&self, out: &mut String) -> fmt::Result {
        let ends =
            self.series.iter().filter(|series| !series.name.is_empty()).filter_map(|series| {
                let spot = series.spots.iter().rev().find(|spot| spot.y.is_some())?;
                Some((series, self.across(spot.x), self.up(spot.y?)))
            });
        let mut ends: Vec<_> = ends.collect();
        ends.sort_by(|a, b| a.2.total_cmp(&b.2));
        let wanted: Vec<f64> = ends.iter().map(|end| end.2).collect();
        let places = apart(&wanted, TOP, self.bottom());
        let right = self.right();
        let letters = ((self.size.2 - NAME_OFFSET) / NAME_LETTER) as usize;
        for ((series, x, y), place) in ends.into_iter().zip(places) {
            let (from, to, text_x) = (x + 2.0, right + NAME_OFFSET - 3.0, right + NAME_OFFSET);
            let bend = right + 2.0;
            write!(out, r#"<g class="legend {}">"#, series.colour)?;
            write!(out, r#"<path d="M{from:.1} {y:.1}H{bend}L{to} {place:.1}"/>"#)?;
            let (baseline, name) = (place + 4.0, shortened(&series.name, letters));
            write!(out, r#"<text x="{text_x}" y="{baseline:.1}">{}</text></g>"#, Escaped(&name))?;
        }
        Ok(())
    }

    fn marks(&self, out: &mut String) -> fmt::Result {
        for mark in &self.marks {
            let (x, bottom) = (self.across(mark.x), self.bottom());
            let is_late = self.x.scale.share(mark.x) > 0.5;
            let (class, text_x) = if is_late { ("end", x - 6.0) } else { ("", x + 6.0) };
            let (top, y) = (TOP - 8.0, TOP - 3.0);
            write!(out, r#"<g class="mark"><path d="M{x:.1} {top}V{bottom}"/>"#)?;
            let name = Escaped(&mark.name);
            write!(out, r#"<text class="{class}" x="{text_x:.1}" y="{y}">{name}</text></g>"#)?;
        }
        Ok(())
    }

    fn draw(&self, out: &mut String) -> fmt::Result {
        let (id, (width, height, _)) = (&self.id, self.size);
        let class = if width > HALF_MAX { "chart whole" } else { "chart" };
        write!(out, r#"<svg class="{class}" id="{id}" viewBox="0 0 {width} {height}" "#)?;
        write!(out, r#"style="max-width:{width}px" "#)?;
        write!(out, r#"role="img" aria-labelledby="{id}-title {id}-about">"#)?;
        write!(out, r#"<title id="{id}-title">{}</title>"#, Escaped(&self.title))?;
        write!(out, r#"<desc id="{id}-about">{}</desc>"#, Escaped(&self.about))?;
        self.axes(out)?;
        self.bands(out)?;
        for series in &self.series {
            self.line(series, out)?;
        }
        self.marks(out)?;
        self.names(out)?;
        out.write_str("</svg>\n")
    }
}

impl fmt::Display for Chart {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.draw(&mut text)?;
        out.write_str(&text)
    }
}

/// `wanted`, which rises, moved as little as a pass each way can, so that none touches the next.
fn apart(wanted: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut places = wanted.to_vec();
    let mut least = top;
    for place in &mut places {
        *place = place.max(least);
        least = *place + NAME_GAP;
    }
    let mut most = bottom;
    for place in places.iter_mut().rev() {
        *place = place.min(most);
        most = *place - NAME_GAP;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_distance_and_stay_in_the_plot() {
        let places = apart(&[10.0, 11.0, 12.0, 80.0, 99.0, 99.0], 10.0, 100.0);
        assert_eq!(places, [10.0, 24.0, 38.0, 72.0, 86.0, 100.0]);
        assert_eq!(apart(&[50.0], 0.0, 100.0), [50.0]);
    }

    fn axis(scale: Scale) -> Axis {
        Axis { scale, name: "", text: |value| value.to_string() }
    }

    #[test]
    fn a_line_is_interrupted_where_it_has_no_value() {
        let gap = Spot { y: None, ..Spot::new(1.0, 0.0) };
        let spots = vec![Spot::new(0.0, 1.0), gap, Spot::new(2.0, 1.0), Spot::new(3.0, 0.0)];
        let series = Series {
            name: "<a>".to_owned(),
            colour: "c0".to_owned(),
            stroke: Stroke::Solid,
            spots,
        };
        let chart = Chart {
            id: "one".to_owned(),
            title: "a & b".to_owned(),
            about: String::new(),
            size: (LEFT + 90.0, TOP + BOTTOM + 100.0, 60.0),
            x: axis(Scale::up_to(3.0)),
            y: axis(Scale::up_to(1.0)),
            series: vec![series],
            bands: Vec::new(),
            marks: Vec::new(),
        };
        let text = chart.to_string();
        assert!(text.contains(r#"d="M62.0 26.0h0M82.0 26.0L92.0 126.0""#), "{text}");
        assert!(text.contains("a &amp; b") && text.contains("&lt;a&gt;"), "{text}");
    }
}
