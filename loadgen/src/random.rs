//! Seeded randomness: the same seed gives the same load, on every machine and in every version.

/// `SplitMix64` (Steele, Lea, Flood 2014): one addition and a mix, good enough for arrival times.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Every seed is good, 0 too.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn next_bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`, which is not 0; even enough for load, and without a division.
    pub fn below(&mut self, bound: u32) -> u32 {
        (((self.next_bits() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// Whether something that happens `times` in `of` happens now.
    pub fn chance(&mut self, times: u32, of: u32) -> bool {
        self.below(of) < times
    }

    /// A number of `(0, 1]`, in steps of 2⁻⁵³. Never 0, so that it has a logarithm.
    pub fn next_unit(&mut self) -> f64 {
        const STEPS: f64 = (1_u64 << 53) as f64;
        ((self.next_bits() >> 11) + 1) as f64 / STEPS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference implementation's numbers.
    #[test]
    fn the_published_sequence_comes_out() {
        let mut random = Random::new(1_234_567);
        let bits: Vec<u64> = (0..5).map(|_| random.next_bits()).collect();
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(bits, published);
    }

    #[test]
    fn numbers_below_a_bound_are_even_and_never_reach_it() {
        let mut random = Random::new(0);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[random.below(7) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        let happened = (0..100_000).filter(|_| random.chance(1, 4)).count();
        assert!((24_000..26_000).contains(&happened), "{happened}");
    }

    #[test]
    fn units_fill_their_range_evenly_and_are_never_zero() {
        let mut random = Random::new(0);
        let mut tenths = [0_u32; 10];
        for _ in 0..100_000 {
            let unit = random.next_unit();
            assert!(unit > 0.0 && unit <= 1.0);
            tenths[((unit * 10.0) as usize).min(9)] += 1;
        }
        assert!(tenths.iter().all(|count| (9_500..10_500).contains(count)), "{tenths:?}");
    }
}
