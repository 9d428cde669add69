//! The inner loop of products of float32: some rows times a panel of 32 columns, and what such loops need beside.

use crate::level::Portable;

/// Columns of a panel.
pub(crate) const PANEL: usize = 32;

/// What a processor does with a row of a panel.
pub(crate) trait Kernel: Copy {
    /// A row in registers.
    type Row: Copy;
    /// Rows whose sums fit the registers.
    const MOST: usize;

    /// A row.
    fn load(self, row: &[f32; PANEL]) -> Self::Row;
    /// `sums + a × row`.
    fn add_scaled(self, sums: Self::Row, a: f32, row: Self::Row) -> Self::Row;
    /// The row's numbers.
    fn store(self, row: Self::Row) -> [f32; PANEL];
    /// `a × b + c`, rounded once where the processor can.
    fn mul_add(self, a: f32, b: f32, c: f32) -> f32;
}

/// Adds to `sums` the products of `M` rows with a panel. The rows lie side by side: their first numbers, their second, and so
/// on, so that one pointer passes over all of them; as many numbers of each are taken as the panel is high.
#[inline(always)]
pub(crate) fn times<K: Kernel, const M: usize>(
    kernel: K,
    rows: &[[f32; M]],
    panel: &[Row],
    sums: &mut [[f32; PANEL]; M],
) {
    let mut all = [kernel.load(&sums[0]); M];
    for m in 0..M {
        all[m] = kernel.load(&sums[m]);
    }
    for (own, row) in rows.iter().zip(panel) {
        let row = kernel.load(&row.0);
        for m in 0..M {
            all[m] = kernel.add_scaled(all[m], own[m], row);
        }
    }
    for m in 0..M {
        sums[m] = kernel.store(all[m]);
    }
}

/// [`times`] of rows that lie apart, each as long as the panel is high or longer.
#[inline(always)]
pub(crate) fn times_apart<K: Kernel, const M: usize>(
    kernel: K,
    rows: [&[f32]; M],
    panel: &[Row],
    sums: &mut [[f32; PANEL]; M],
) {
    let mut cut = rows;
    let mut all = [kernel.load(&sums[0]); M];
    for m in 0..M {
        cut[m] = &rows[m][..panel.len()];
        all[m] = kernel.load(&sums[m]);
    }
    for (k, row) in panel.iter().enumerate() {
        let row = kernel.load(&row.0);
        for m in 0..M {
            all[m] = kernel.add_scaled(all[m], cut[m][k], row);
        }
    }
    for m in 0..M {
        sums[m] = kernel.store(all[m]);
    }
}

/// A row of a panel, where no load of it touches two lines of the cache.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Row(pub(crate) [f32; PANEL]);

impl Row {
    pub(crate) const ZERO: Self = Self([0.0; PANEL]);
}

/// Lanes in which sums and maxima are kept apart, so that they are found in whole registers.
pub(crate) const LANES: usize = 16;

/// The sum of all lanes, by halves.
#[inline(always)]
pub(crate) fn sum_of(mut lanes: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

/// The highest of all lanes, by halves.
#[inline(always)]
pub(crate) fn highest_of(mut lanes: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            let other = lanes[i + half];
            lanes[i] = if other > lanes[i] { other } else { lanes[i] };
        }
    }
    lanes[0]
}

/// eˣ to a few parts in ten million; of what is below −87, next to nothing.
#[inline(always)]
pub(crate) fn exp<K: Kernel>(kernel: K, x: f32) -> f32 {
    // Added to a small number, its last bits become those of the nearest whole number.
    const ROUND: f32 = 12_582_912.0;
    // 355 ÷ 512 has few bits, so that its product with a whole number is exact; the rest of ln 2 is taken off apart.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = kernel.mul_add(x, std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    let rest = kernel.mul_add(whole, -LN_2_LOW, kernel.mul_add(whole, -LN_2_HIGH, x));
    // The series of eˣ, whose seventh term is below 2e-8 here.
    let mut sum = 1.0 / 720.0;
    for term in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = kernel.mul_add(sum, rest, term);
    }
    f32::from_bits(sum.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh<K: Kernel>(kernel: K, x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp(kernel, 2.0 * x))
}

impl Kernel for Portable {
    type Row = [f32; PANEL];
    const MOST: usize = 4;

    #[inline(always)]
    fn load(self, row: &[f32; PANEL]) -> Self::Row {
        *row
    }

    #[inline(always)]
    fn add_scaled(self, mut sums: Self::Row, a: f32, row: Self::Row) -> Self::Row {
        for (sum, b) in sums.iter_mut().zip(row) {
            *sum += a * b;
        }
        sums
    }

    #[inline(always)]
    fn store(self, row: Self::Row) -> [f32; PANEL] {
        row
    }

    #[inline(always)]
    fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m256, __m512};

    use bytemuck::cast;
    use pulp::x86::V3;

    use super::{Kernel, PANEL};
    use crate::level::Avx512;

    impl<S: Copy> Kernel for Avx512<S> {
        type Row = [__m512; 2];
        const MOST: usize = 12;

        #[inline(always)]
        fn load(self, row: &[f32; PANEL]) -> [__m512; 2] {
            cast(*row)
        }

        #[inline(always)]
        fn add_scaled(self, [low, high]: [__m512; 2], a: f32, row: [__m512; 2]) -> [__m512; 2] {
            let f = self.0.avx512f;
            let a = f._mm512_set1_ps(a);
            [f._mm512_fmadd_ps(a, row[0], low), f._mm512_fmadd_ps(a, row[1], high)]
        }

        #[inline(always)]
        fn store(self, row: [__m512; 2]) -> [f32; PANEL] {
            cast(row)
        }

        #[inline(always)]
        fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
            a.mul_add(b, c)
        }
    }

    impl Kernel for V3 {
        type Row = [__m256; 4];
        // Two rows take eight registers of sixteen; a third leaves none for what is loaded.
        const MOST: usize = 4;

        #[inline(always)]
        fn load(self, row: &[f32; PANEL]) -> [__m256; 4] {
            cast(*row)
        }

        #[inline(always)]
        fn add_scaled(self, sums: [__m256; 4], a: f32, row: [__m256; 4]) -> [__m256; 4] {
            let a = self.avx._mm256_set1_ps(a);
            let mut out = sums;
            for i in 0..4 {
                out[i] = self.fma._mm256_fmadd_ps(a, row[i], sums[i]);
            }
            out
        }

        #[inline(always)]
        fn store(self, row: [__m256; 4]) -> [f32; PANEL] {
            cast(row)
        }

        #[inline(always)]
        fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
            a.mul_add(b, c)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::{Level, Work, dispatch};

    struct Exponentials<'a>(&'a [f32]);

    impl<K: Kernel> Work<K> for Exponentials<'_> {
        type Output = Vec<(f32, f32)>;

        #[inline(always)]
        fn on(self, kernel: K) -> Self::Output {
            self.0.iter().map(|x| (exp(kernel, *x), tanh(kernel, *x))).collect()
        }
    }

    #[test]
    fn exponentials_are_right_to_a_few_parts_in_ten_million() {
        let xs: Vec<f32> = (-8600..8700).map(|i| i as f32 / 100.0).collect();
        for level in Level::all() {
            let got: Vec<(f32, f32)> = dispatch!(level, Exponentials(&xs));
            for (x, (e, t)) in xs.iter().zip(got) {
                let exact = f64::from(*x).exp();
                assert!((f64::from(e) - exact).abs() < 4e-7 * exact, "{level:?}: e^{x} is {exact}, not {e}");
                assert!((f64::from(t) - f64::from(*x).tanh()).abs() < 4e-7, "{level:?}: tanh {x}");
            }
            let far: Vec<(f32, f32)> = dispatch!(level, Exponentials(&[-1e30, -90.0]));
            assert!(far.iter().all(|(e, _)| *e >= 0.0 && *e < 2e-38), "{far:?}");
        }
    }
}
