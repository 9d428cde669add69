//! The orders in which the field's tools let genes of equal value rank.
//!
//! Most genes of a cell are zero, and a cell with few genes fills the looked-at part of its ranking with zeros. In the
//! order of the file the first genes of the file would win every time, so both tools shuffle the columns once, for all
//! cells alike, with a generator of numpy. The same shuffles are made here, so that the same seed gives the same
//! scores.

/// The order of `random_state.permutation(n)` of numpy's legacy generator: what `create_rankings(matrix, seed)` of
/// pySCENIC shuffles its columns with. Place `i` of the shuffled matrix holds column `order[i]`.
///
/// MT19937 (Matsumoto and Nishimura 1998) seeded by its first form, and a Fisher–Yates shuffle from the end whose
/// numbers are drawn by masking and rejecting.
pub fn pyscenic_order(seed: u32, n: usize) -> Vec<u32> {
    let mut random = MersenneTwister::new(seed);
    shuffled(n, |most| {
        let mask = u32::MAX.checked_shr(most.leading_zeros()).unwrap_or(0);
        loop {
            let drawn = random.next() & mask;
            if drawn <= most {
                return drawn;
            }
        }
    })
}

/// The order of `default_rng(0).choice(n, n, replace=False)` of numpy: what decoupler 2 shuffles its columns with,
/// always from the seed 0. Place `i` of the shuffled matrix holds column `order[i]`.
///
/// PCG64 (O'Neill 2014) and bounded numbers by multiplication (Lemire 2019). Up to 10,000 columns are first chosen by
/// Floyd's algorithm and then shuffled, as numpy does.
pub fn decoupler_order(n: usize) -> Vec<u32> {
    let mut random = Pcg64::new();
    if n > 10_000 {
        return shuffled(n, |most| random.bounded(most));
    }
    let mut taken = vec![false; n];
    let mut chosen: Vec<u32> = Vec::with_capacity(n);
    for last in 0..n as u32 {
        let drawn = random.bounded(last);
        let free = taken.get(drawn as usize) == Some(&false);
        let choice = if free { drawn } else { last };
        if let Some(slot) = taken.get_mut(choice as usize) {
            *slot = true;
        }
        chosen.push(choice);
    }
    shuffle(&mut chosen, |most| random.bounded(most));
    chosen
}

/// `0..n` shuffled.
fn shuffled(n: usize, draw: impl FnMut(u32) -> u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    shuffle(&mut order, draw);
    order
}

/// Fisher–Yates from the end; `draw(most)` gives a number from 0 to `most`.
fn shuffle(order: &mut [u32], mut draw: impl FnMut(u32) -> u32) {
    for at in (1..order.len()).rev() {
        order.swap(at, draw(at as u32) as usize);
    }
}

const MT_WORDS: usize = 624;
const MT_SHIFT: usize = 397;

struct MersenneTwister {
    state: [u32; MT_WORDS],
    at: usize,
}

impl MersenneTwister {
    fn new(seed: u32) -> Self {
        let mut state = [0; MT_WORDS];
        let mut word = seed;
        for (i, slot) in (0u32..).zip(&mut state) {
            if i > 0 {
                word = 1_812_433_253_u32.wrapping_mul(word ^ (word >> 30)).wrapping_add(i);
            }
            *slot = word;
        }
        Self { state, at: MT_WORDS }
    }

    fn next(&mut self) -> u32 {
        if self.at == MT_WORDS {
            for k in 0..MT_WORDS {
                let y = (self.state[k] & 0x8000_0000) | (self.state[(k + 1) % MT_WORDS] & 0x7fff_ffff);
                let twist = if y & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[k] = self.state[(k + MT_SHIFT) % MT_WORDS] ^ (y >> 1) ^ twist;
            }
            self.at = 0;
        }
        let mut y = self.state[self.at];
        self.at += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }
}

struct Pcg64 {
    state: u128,
    increment: u128,
    /// The upper half of a number whose lower half was used.
    half: Option<u32>,
}

impl Pcg64 {
    const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
    /// `SeedSequence(0).generate_state(4, uint64)` of numpy.
    const SEED: [u64; 4] =
        [0xdb2c_d7e7_b0f4_78be, 0xabf4_641a_2c71_ba49, 0x20c6_ed6d_9d7b_8d41, 0x2c40_99de_223c_39d4];

    fn new() -> Self {
        let [a, b, c, d] = Self::SEED.map(u128::from);
        let mut random = Self { state: 0, increment: (((c << 64) | d) << 1) | 1, half: None };
        random.step();
        random.state = random.state.wrapping_add((a << 64) | b);
        random.step();
        random
    }

    fn step(&mut self) {
        self.state = self.state.wrapping_mul(Self::MULTIPLIER).wrapping_add(self.increment);
    }

    fn next(&mut self) -> u32 {
        if let Some(half) = self.half.take() {
            return half;
        }
        self.step();
        let folded = ((self.state >> 64) ^ self.state) as u64;
        let number = folded.rotate_right((self.state >> 122) as u32);
        self.half = Some((number >> 32) as u32);
        number as u32
    }

    /// A number from 0 to `most`.
    fn bounded(&mut self, most: u32) -> u32 {
        if most == 0 {
            return 0;
        }
        let range = u64::from(most) + 1;
        let mut product = u64::from(self.next()) * range;
        if (product & u64::from(u32::MAX)) < range {
            let threshold = u64::from(u32::MAX - most) % range;
            while (product & u64::from(u32::MAX)) < threshold {
                product = u64::from(self.next()) * range;
            }
        }
        (product >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_those_of_numpy() {
        // numpy 2.4: np.random.RandomState(42).permutation(n), np.random.default_rng(0).choice(n, n, replace=False).
        assert_eq!(pyscenic_order(42, 10), [8, 1, 5, 0, 7, 2, 9, 4, 3, 6]);
        assert_eq!(pyscenic_order(42, 13_714)[..5], [2055, 10_910, 3773, 9564, 7420]);
        assert_eq!(decoupler_order(10), [0, 9, 1, 2, 4, 6, 3, 7, 5, 8]);
        assert_eq!(decoupler_order(1000)[..5], [437, 762, 923, 508, 563]);
        assert_eq!(decoupler_order(13_714)[..5], [1207, 10_725, 4667, 1761, 8349]);
        for n in [0, 1, 2] {
            assert_eq!((pyscenic_order(1, n).len(), decoupler_order(n).len()), (n, n));
        }
    }
}
