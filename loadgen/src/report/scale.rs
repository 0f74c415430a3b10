//! From values to places on an axis, and the ticks that a reader expects there.

/// Steps that people count in, within a decade.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];
/// Room for values that miss a step by a rounding only.
const SLACK: f64 = 1e-9;

/// What an axis covers, and how it is spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// Even.
    Linear {
        /// The value at the beginning.
        min: f64,
        /// The value at the end.
        max: f64,
    },
    /// Equal ratios are equally far apart.
    Log {
        /// The value at the beginning, above 0.
        min: f64,
        /// The value at the end.
        max: f64,
    },
    /// Of percentiles: each further nine takes as much room as the one before.
    Nines {
        /// So many nines at the end.
        max: f64,
    },
}

/// A place on an axis that a line marks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tick {
    /// In the axis's unit.
    pub(super) value: f64,
    /// Whether it has room for a text.
    pub(super) is_labelled: bool,
}

impl Scale {
    /// From 0 to `max` and no further.
    pub(super) fn up_to(max: f64) -> Self {
        Self::between(0.0, max)
    }

    /// From `min` to `max`; a little more when they are the same.
    pub(super) fn between(min: f64, max: f64) -> Self {
        Self::Linear { min, max: if max > min { max } else { min + 1.0 } }
    }

    /// From 0 to the first round number that is not below `max`.
    pub(super) fn rounded_up_to(max: f64) -> Self {
        let max = if max.is_finite() { max } else { 0.0 };
        let step = round_step(max, 5.0);
        Self::up_to((max / step - SLACK).ceil() * step)
    }

    /// All of `values` that are above 0, out to round numbers.
    pub(super) fn log_around(values: impl IntoIterator<Item = f64>) -> Self {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in values.into_iter().filter(|value| *value > 0.0 && value.is_finite()) {
            (least, most) = (least.min(value), most.max(value));
        }
        if most == 0.0 {
            return Self::Log { min: 1.0, max: 10.0 };
        }
        let (min, max) = (step_down(least), step_up(most));
        // A flat line has room above it, too.
        Self::Log { min, max: max.max(step_up(min * 2.0)) }
    }

    /// As many nines as `count` values can show.
    pub(super) fn nines_of(count: u64) -> Self {
        Self::Nines { max: (count.clamp(10, 10_000_000_000) as f64).log10() }
    }

    /// How far along the axis `value` lies, from 0 to 1; what lies beyond an end stays there.
    pub(super) fn share(&self, value: f64) -> f64 {
        let share = match *self {
            Self::Linear { min, max } => (value - min) / (max - min),
            Self::Log { min, max } => (value / min).ln() / (max / min).ln(),
            Self::Nines { max } => -(1.0 - value / 100.0).log10() / max,
        };
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
    }

    /// Whether the axis does not begin above `value`.
    pub(super) fn starts_by(&self, value: f64) -> bool {
        match *self {
            Self::Linear { min, .. } | Self::Log { min, .. } => value >= min,
            Self::Nines { .. } => value >= 0.0,
        }
    }

    /// In rising order, the ends included where they are round.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        match *self {
            Self::Linear { min, max } => linear_ticks(min, max),
            Self::Log { min, max } => log_ticks(min, max),
            Self::Nines { max } => nines_ticks(max),
        }
    }
}

fn linear_ticks(min: f64, max: f64) -> Vec<Tick> {
    let step = round_step(max - min, 5.0);
    let (first, last) = ((min / step - SLACK).ceil() as i64, (max / step + SLACK).floor() as i64);
    (first..=last).map(|index| Tick { value: index as f64 * step, is_labelled: true }).collect()
}

fn log_ticks(min: f64, max: f64) -> Vec<Tick> {
    let decades = (max / min).log10();
    let (first, last) = (min.log10().floor() as i32, max.log10().ceil() as i32);
    let all =
        (first..=last).flat_map(|decade| STEPS.map(|step| (step, step * 10_f64.powi(decade))));
    all.filter(|(_, value)| (min * (1.0 - SLACK)..=max * (1.0 + SLACK)).contains(value))
        .map(|(step, value)| Tick { value, is_labelled: step < 1.5 || decades < 2.0 })
        .collect()
}

fn nines_ticks(max: f64) -> Vec<Tick> {
    let nines = (1..=(max + SLACK) as i32).map(|nines| 100.0 - 100.0 * 10_f64.powi(-nines));
    // Beside many nines a half has no room.
    [0.0, 50.0]
        .into_iter()
        .filter(|value| *value == 0.0 || max < 7.0)
        .chain(nines)
        .map(|value| Tick { value, is_labelled: true })
        .collect()
}

/// A step of 1, 2 or 5 that divides `length` into about so many `parts`.
fn round_step(length: f64, parts: f64) -> f64 {
    if length > 0.0 && length.is_finite() { step_up(length / parts) } else { 1.0 }
}

fn step_down(value: f64) -> f64 {
    let decade = 10_f64.powi((value * (1.0 + SLACK)).log10().floor() as i32);
    let fits = |step: &&f64| **step * decade <= value * (1.0 + SLACK);
    STEPS.iter().rev().find(fits).unwrap_or(&1.0) * decade
}

fn step_up(value: f64) -> f64 {
    let decade = 10_f64.powi((value * (1.0 - SLACK)).log10().floor() as i32);
    let fits = |step: &&f64| **step * decade >= value * (1.0 - SLACK);
    STEPS.iter().find(fits).unwrap_or(&10.0) * decade
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-6, "{value}, {expected}");
    }

    fn labelled(scale: Scale) -> Vec<f64> {
        let ticks = scale.ticks().into_iter().filter(|tick| tick.is_labelled);
        // Seven digits are more than any label shows.
        ticks.map(|tick| (tick.value * 1e7).round() / 1e7).collect()
    }

    #[test]
    fn decades_are_equally_far_apart_and_labelled() {
        let scale = Scale::log_around([1_300.0, 0.0, 700_000.0, f64::NAN]);
        assert_eq!(scale, Scale::Log { min: 1_000.0, max: 1_000_000.0 });
        assert_near(scale.share(1_000.0), 0.0);
        assert_near(scale.share(10_000.0), 1.0 / 3.0);
        assert_near(scale.share(1_000_000.0), 1.0);
        assert_eq!(labelled(scale), [1e3, 1e4, 1e5, 1e6]);
        let values: Vec<f64> = scale.ticks().iter().map(|tick| tick.value).collect();
        assert_eq!(values[..4], [1e3, 2e3, 5e3, 1e4]);
    }

    #[test]
    fn a_short_log_axis_labels_its_steps() {
        let scale = Scale::log_around([8_000.0, 40_000.0]);
        assert_eq!(labelled(scale), [5_000.0, 10_000.0, 20_000.0, 50_000.0]);
        let flat = Scale::log_around([10_000.0]);
        assert_eq!(flat, Scale::Log { min: 10_000.0, max: 20_000.0 });
    }

    #[test]
    fn every_axis_has_ticks_whatever_the_values() {
        let odd = [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, 1.0, 3e15];
        let scales = odd.iter().flat_map(|value| {
            let nines = Scale::nines_of(*value as u64);
            [Scale::log_around([*value]), Scale::rounded_up_to(*value), nines]
        });
        for scale in scales {
            for value in odd {
                assert!((0.0..=1.0).contains(&scale.share(value)), "{scale:?} {value}");
            }
            let ticks = scale.ticks();
            assert!((1..60).contains(&ticks.len()), "{scale:?}: {}", ticks.len());
            assert!(ticks.is_sorted_by(|a, b| a.value < b.value), "{scale:?}: {ticks:?}");
        }
    }

    #[test]
    fn even_ticks_are_round_and_the_rounded_end_is_one() {
        assert_eq!(labelled(Scale::up_to(9.7)), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(Scale::rounded_up_to(101_000.0), Scale::Linear { min: 0.0, max: 150_000.0 });
        assert_eq!(labelled(Scale::rounded_up_to(0.3)), [0.0, 0.1, 0.2, 0.3]);
        assert_eq!(labelled(Scale::between(-7.0, 12.0)), [-5.0, 0.0, 5.0, 10.0]);
    }

    #[test]
    fn each_nine_takes_as_much_room() {
        let scale = Scale::nines_of(100_000);
        for (percentile, nines) in [(0.0, 0.0), (90.0, 1.0), (99.0, 2.0), (99.9, 3.0)] {
            assert_near(scale.share(percentile), nines / 5.0);
        }
        assert_near(scale.share(100.0), 1.0);
        assert_eq!(labelled(scale), [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999]);
    }
}
