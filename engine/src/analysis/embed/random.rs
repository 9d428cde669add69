//! Random numbers that depend on where they are used, not on the thread that uses them.

/// SplitMix64 (Steele, Lea and Flood 2014), seeded by a seed and two numbers that name the place of use.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64, place: u64, round: u64) -> Self {
        let mut random = Self(seed ^ 0x6A09_E667_F3BC_C908);
        random.0 = random.next().wrapping_add(place);
        random.0 = random.next().wrapping_add(round);
        random
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is at least 1 and below 2^32 (Lemire 2019, without the rejection of some in 2^32).
    pub(super) fn below(&mut self, n: usize) -> usize {
        (((self.next() >> 32) * n as u64) >> 32) as usize
    }

    /// `items` in random order (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_numbers_of_their_own_and_all_values_come() {
        let draw = |place| {
            let mut random = Random::new(7, place, 0);
            (0..100).map(|_| random.below(10)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!((0..10).all(|value| draw(3).contains(&value)));
        let mut items = [0, 1, 2, 3, 4];
        Random::new(1, 2, 3).shuffle(&mut items);
        items.sort_unstable();
        assert_eq!(items, [0, 1, 2, 3, 4]);
    }
}
