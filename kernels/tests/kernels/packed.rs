//! Products with packed weights against float64.

use burn::tensor::{Device, Int, Tensor, TensorData};
use kernels::{Arithmetic, Packed, Variant};

use crate::support::{device, draw, skipped, tensor};

/// Numbers in a block.
const BLOCK: usize = 32;
/// More than any matrix here takes.
const ONE_SLAB: usize = 1 << 27;

/// Numbers and scales drawn at random, and the matrix they stand for.
struct Drawn {
    numbers: Vec<u8>,
    scales: Vec<u16>,
    /// `[rows, columns]`
    values: Vec<f64>,
}

/// A float16 of 1 + k ÷ 1024 times 2⁻⁶: its bits, and its value.
fn scale(k: u16) -> (u16, f64) {
    ((9 << 10) | k, (1.0 + f64::from(k) / 1024.0) / 64.0)
}

fn drawn(rows: usize, columns: usize, bits: usize) -> Drawn {
    let per_row = columns.div_ceil(BLOCK);
    let scales: Vec<(u16, f64)> =
        draw(rows * per_row, 5).iter().map(|x| scale((x.abs() * 1023.0) as u16)).collect();
    let limit = if bits == 8 { 127.0 } else { 7.0 };
    let codes: Vec<i32> =
        draw(rows * per_row * BLOCK, 6).iter().map(|x| (x * limit).round() as i32).collect();
    let mut numbers = Vec::new();
    let mut values = Vec::new();
    for (row, codes) in codes.chunks(per_row * BLOCK).enumerate() {
        let mut codes = codes.to_vec();
        codes[columns..].fill(0);
        for block in codes.chunks(BLOCK) {
            if bits == 8 {
                numbers.extend(block.iter().map(|&n| n as i8 as u8));
            } else {
                numbers.extend((0..16).map(|n| (block[n] + 8) as u8 | ((block[n + 16] + 8) as u8) << 4));
            }
        }
        values.extend((0..columns).map(|c| f64::from(codes[c]) * scales[row * per_row + c / BLOCK].1));
    }
    Drawn { numbers, scales: scales.into_iter().map(|s| s.0).collect(), values }
}

/// Products of the sizes `[rows, columns, vectors]` by every variant, against float64.
fn check([rows, columns, count]: [usize; 3], bits: usize, slab_bytes: usize) {
    let Some(device) = device() else { return };
    let Drawn { numbers, scales, values } = drawn(rows, columns, bits);
    let x = draw(count * columns, 7);
    let bias = draw(rows, 8);
    for bias in [None, Some(bias.as_slice())] {
        let packed =
            Packed::in_slabs(&device, [rows, columns], bits, &numbers, &scales, bias, slab_bytes).unwrap();
        if slab_bytes < numbers.len() {
            assert!(packed.slabs() > 1);
        }
        let input = tensor(x.clone(), [1, count, columns], &device);
        for (variant, arithmetic) in [
            (Variant::Portable, Arithmetic::Float),
            (Variant::Subgroup, Arithmetic::Float),
            (Variant::Portable, Arithmetic::Integer),
            (Variant::Subgroup, Arithmetic::Integer),
        ] {
            let Some(product) = packed.product_by(variant, arithmetic, &input) else {
                assert_eq!(variant, Variant::Subgroup);
                skipped("no subgroups");
                continue;
            };
            assert_eq!(product.dims(), [1, count, rows]);
            let got: Vec<f32> = product.try_into_vec_as().unwrap();
            // Of 8 bits, a vector's numbers are off by 1 ÷ 440 each (one standard deviation); five of them are allowed.
            let (share, least) =
                if arithmetic == Arithmetic::Integer && count <= 4 { (12e-3, 1e-5) } else { (1e-6, 1e-6) };
            for (i, x) in x.chunks(columns).enumerate() {
                for (r, row) in values.chunks(columns).enumerate() {
                    let terms = || row.iter().zip(x).map(|(w, x)| w * f64::from(*x));
                    let exact = terms().sum::<f64>() + bias.map_or(0.0, |bias| f64::from(bias[r]));
                    let size = row.iter().map(|w| w * w).sum::<f64>().sqrt();
                    let got = f64::from(got[i * rows + r]);
                    assert!(
                        (got - exact).abs() < share * size + least * (1.0 + exact.abs()),
                        "{rows}×{columns}×{count}, {bits} bits, {variant:?} {arithmetic:?}: {got} {exact}"
                    );
                }
            }
        }
    }
}

#[test]
fn products_with_few_vectors_agree_with_float64() {
    for bits in [8, 4] {
        for sizes in
            [[1, 1, 1], [3, 31, 1], [33, 33, 2], [130, 64, 3], [65, 257, 4], [2, 4095, 1], [7, 2048, 4]]
        {
            check(sizes, bits, ONE_SLAB);
        }
    }
}

#[test]
fn products_with_many_vectors_agree_with_float64() {
    for bits in [8, 4] {
        for sizes in [[1, 1, 5], [64, 32, 64], [33, 100, 31], [130, 257, 33], [65, 64, 130]] {
            check(sizes, bits, ONE_SLAB);
        }
    }
}

#[test]
fn a_matrix_in_slabs_gives_the_same() {
    for bits in [8, 4] {
        // Rows of 3 blocks; slabs of 5 rows.
        let slab = 5 * 3 * BLOCK * bits / 8;
        check([33, 70, 1], bits, slab);
        check([33, 70, 40], bits, slab);
    }
}

#[test]
fn rows_come_out_as_they_went_in() {
    let Some(device) = device() else { return };
    for (bits, columns) in [(8, 64), (4, 64), (8, 33), (4, 70)] {
        let Drawn { numbers, scales, values } = drawn(21, columns, bits);
        for slab_bytes in [ONE_SLAB, 1000] {
            let packed =
                Packed::in_slabs(&device, [21, columns], bits, &numbers, &scales, None, slab_bytes).unwrap();
            let wanted = [20i64, 0, 7, 21, -1, 13];
            let ids = Tensor::<2, Int>::from_data(TensorData::new(wanted.to_vec(), [2, 3]), &device);
            let rows = packed.rows(&ids).unwrap();
            assert_eq!(rows.dims(), [2, 3, columns]);
            let got: Vec<f32> = rows.try_into_vec_as().unwrap();
            for (row, got) in wanted.iter().zip(got.chunks(columns)) {
                for (c, got) in got.iter().enumerate() {
                    let at =
                        usize::try_from(*row).unwrap_or(usize::MAX).saturating_mul(columns).saturating_add(c);
                    assert_eq!(
                        f64::from(*got),
                        values.get(at).copied().unwrap_or(0.0),
                        "{bits} bits, {row} {c}"
                    );
                }
            }
            assert_eq!(packed.read().unwrap(), (numbers.clone(), scales.clone()));
        }
    }
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let Some(device) = device() else { return };
    let Drawn { numbers, scales, .. } = drawn(3, 64, 8);
    let packed = |dims, bits| Packed::new(&device, dims, bits, &numbers, &scales, None);
    assert_eq!(packed([3, 64], 8).unwrap().bytes(), 3 * 64 + 3 * 2 * 2);
    assert!(packed([3, 65], 8).is_none());
    assert!(packed([3, 64], 4).is_none());
    assert!(packed([3, 64], 5).is_none());
    assert!(Packed::new(&Device::flex(), [3, 64], 8, &numbers, &scales, None).is_none());
    // Vectors of another device, and of another length.
    let packed = packed([3, 64], 8).unwrap();
    assert!(packed.product(&Tensor::zeros([1, 1, 64], &Device::flex())).is_none());
    assert!(packed.product(&Tensor::zeros([1, 1, 32], &device)).is_none());
}
