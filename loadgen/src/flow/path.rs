//! Where the middle of a book wants to be: a geometric random walk on the regime's course.

use super::{Regime, START};
use crate::random::Random;

/// One, in fixed point.
const ONE: u64 = 1 << 32;

/// The regime's course at a share of the flow (`ONE` is its end), as a multiple of the start.
fn course(regime: Regime, at: u64) -> u64 {
    match regime {
        Regime::Static | Regime::Normal => ONE,
        Regime::Swings25 => swing(ONE / 4, at),
        Regime::Swings40 => swing(ONE * 2 / 5, at),
        Regime::FlashCrash => {
            let percent = ONE / 100;
            let (crash, bottom, end) = (50 * percent, 51 * percent, 60 * percent);
            match at {
                at if at < crash => ONE,
                at if at < bottom => ONE - 30 * (at - crash),
                at if at < end => 70 * percent + (at - bottom) * 20 / 9,
                _ => 90 * percent,
            }
        }
    }
}

/// Twice up by half the swing, down by the whole, and back.
fn swing(whole: u64, at: u64) -> u64 {
    let quarter = ONE / 8;
    let (leg, within) = ((at / quarter) % 4, at % quarter);
    let moved = ((u128::from(whole / 2) * u128::from(within)) / u128::from(quarter)) as u64;
    match leg {
        0 => ONE + moved,
        1 => ONE + whole / 2 - moved,
        2 => ONE - moved,
        _ => ONE - whole / 2 + moved,
    }
}

/// The walks of all instruments.
pub(super) struct Path {
    regime: Regime,
    commands: u64,
    /// A step is the price shifted right by this.
    shift: u32,
    walks: Vec<u64>,
}

impl Path {
    /// Steps are such that each instrument walks about one percent in a flow of full size.
    pub(super) fn new(regime: Regime, instruments: u16, commands: usize) -> Self {
        let shift = 17 - u32::from(instruments).ilog2() / 2;
        let walks = vec![ONE; usize::from(instruments)];
        Self { regime, commands: commands.max(1) as u64, shift, walks }
    }

    /// Takes one step and says where the middle is, in ticks, after `done` commands.
    pub(super) fn step(&mut self, instrument: u16, done: usize, random: &mut Random) -> u32 {
        let walk = &mut self.walks[usize::from(instrument)];
        if self.regime != Regime::Static {
            let step = *walk >> self.shift;
            *walk = if random.chance(1, 2) { *walk + step } else { *walk - step };
        }
        let at = (done as u64 * ONE / self.commands).min(ONE - 1);
        let price = u128::from(START) * u128::from(*walk) * u128::from(course(self.regime, at));
        (price >> 64) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course_in_ticks(regime: Regime) -> Vec<u64> {
        (0..1_000).map(|at| (course(regime, ONE / 1_000 * at) * u64::from(START)) >> 32).collect()
    }

    #[test]
    fn swings_go_up_and_down_by_their_size_and_come_back() {
        for (regime, highest, lowest) in
            [(Regime::Swings25, 11_250, 8_750), (Regime::Swings40, 12_000, 8_000)]
        {
            let course = course_in_ticks(regime);
            assert!(course.iter().max().unwrap().abs_diff(highest) < 5, "{regime:?}");
            assert!(course.iter().min().unwrap().abs_diff(lowest) < 5, "{regime:?}");
            assert!(course[999].abs_diff(u64::from(START)) < 40, "{regime:?}");
            let moves = course.windows(2).map(|two| two[0].abs_diff(two[1]));
            assert!(moves.max().unwrap() < 20, "{regime:?} moves without a jump");
        }
    }

    #[test]
    fn a_crash_takes_30_percent_in_a_hundredth_of_the_flow_and_gets_two_thirds_back() {
        let course = course_in_ticks(Regime::FlashCrash);
        assert_eq!((course[499], course[999]), (10_000, 8_999));
        assert!(course[510].abs_diff(7_000) < 20, "{}", course[510]);
        assert!(course[600].abs_diff(9_000) < 20, "{}", course[600]);
    }

    #[test]
    fn the_walk_spreads_about_a_percent_and_stands_still_in_the_static_regime() {
        let mut random = Random::new(1);
        let mut squares = 0.0;
        for _ in 0..50 {
            let mut path = Path::new(Regime::Normal, 100, 1);
            let last = (0..25_000).map(|_| path.step(0, 0, &mut random)).last().unwrap();
            squares += (f64::from(last) / f64::from(START) - 1.0).powi(2);
        }
        let spread = (squares / 50.0).sqrt();
        assert!((0.006..0.014).contains(&spread), "{spread}");
        let mut path = Path::new(Regime::Static, 1, 1);
        assert!((0..1_000).all(|_| path.step(0, 0, &mut random) == START));
    }
}
