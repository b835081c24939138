//! Random numbers and weighted choice whose stream never changes.
//!
//! SplitMix64 (Steele, Lea, Flood 2014): one multiplication chain a number, passes BigCrush, and
//! has published reference values. Integers only, because the last bit of a logarithm or a power
//! is up to the platform.

/// A stream of random numbers, fixed by its seed.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    /// The next 64 bits of it.
    #[expect(
        clippy::should_implement_trait,
        reason = "a stream without an end is no iterator"
    )]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..limit`. The bias of the multiplication is below 2^-32 for the limits used
    /// here and cheaper than a rejection loop.
    pub fn below(&mut self, limit: u32) -> u32 {
        (((self.next() >> 32) * u64::from(limit)) >> 32) as u32
    }

    /// True once in `n` times in expectation; never when `n` is 0.
    pub(crate) fn one_in(&mut self, n: u32) -> bool {
        n != 0 && self.below(n) == 0
    }
}

/// A choice between indexes by integer weights.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    /// Sum of the weights up to and including each index.
    sums: Vec<u32>,
}

impl Weights {
    /// Weights as given; `None` when their sum is 0 or too large.
    pub(crate) fn new(weights: impl IntoIterator<Item = u32>) -> Option<Weights> {
        let mut total = 0u32;
        let mut sums = Vec::new();
        for weight in weights {
            total = total.checked_add(weight)?;
            sums.push(total);
        }
        (total > 0).then_some(Weights { sums })
    }

    /// Zipf-Mandelbrot with exponent 1: index `i` weighs `1 / (i + 1 + shift)`. With shift 0 the
    /// first is twice as likely as the second; a larger shift flattens the top.
    pub(crate) fn zipf(count: u32, shift: u32) -> Option<Weights> {
        // The sum for 65536, 2^24 * 11.7, still fits in 32 bits.
        Weights::new(
            (0..count).map(|index| (1 << 24) / (index.saturating_add(shift).saturating_add(1))),
        )
    }

    pub(crate) fn pick(&self, random: &mut Random) -> usize {
        let total = self.sums.last().copied().unwrap_or(0);
        let point = random.below(total);
        self.sums.partition_point(|sum| *sum <= point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        // First values for seed 1234567 in the reference implementation's test vectors.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
        assert_eq!(random.next(), 9_817_491_932_198_370_423);
    }

    #[test]
    fn weights_decide_how_often() {
        let weights = Weights::new([1, 0, 3]).unwrap();
        let mut random = Random::new(1);
        let mut counts = [0u32; 3];
        for _ in 0..40_000 {
            counts[weights.pick(&mut random)] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((9_500..10_500).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn nothing_to_choose_from_is_no_choice() {
        assert!(Weights::new([0, 0]).is_none());
        assert!(Weights::new([u32::MAX, 1]).is_none());
        assert!(Weights::zipf(0, 0).is_none());
        assert!(Weights::zipf(65_536, 0).is_some());
    }
}
