//! Norms and rotary positions against float64.

use burn::tensor::{Device, Tensor};
use kernels::{rms_norm, rotary};

use crate::support::{device, draw, tensor};

#[test]
fn norms_agree_with_float64() {
    let Some(device) = device() else { return };
    for (rows, width) in [(1, 4), (3, 32), (33, 100), (2, 1152), (5, 260)] {
        let (values, weight) = (draw(rows * width, 1), draw(width, 2));
        let x = tensor(values.clone(), [1, rows, width], &device);
        let w = tensor(weight.clone(), [width], &device);
        let got: Vec<f32> = rms_norm(&x, &w, 1e-5).unwrap().try_into_vec_as().unwrap();
        for (row, got) in values.chunks(width).zip(got.chunks(width)) {
            let squares: f64 = row.iter().map(|x| f64::from(*x).powi(2)).sum();
            let root = (squares / width as f64 + 1e-5).sqrt();
            for ((x, w), got) in row.iter().zip(&weight).zip(got) {
                let exact = f64::from(*x) / root * f64::from(*w);
                assert!((f64::from(*got) - exact).abs() < 1e-5, "{rows}×{width}: {got} {exact}");
            }
        }
    }
}

#[test]
fn queries_are_turned_as_float64_turns_them() {
    let Some(device) = device() else { return };
    for (heads, tokens, width, turned, start) in [(2, 1, 8, 8, 5), (3, 33, 16, 4, 0), (1, 7, 64, 64, 2)] {
        let (values, positions) = (draw(2 * heads * tokens * width, 1), start + tokens + 1);
        let angle = |p: usize, d: usize| p as f64 / (1.0 + (d % (turned / 2)) as f64);
        let table = |f: fn(f64) -> f64| {
            let values = (0..positions * turned).map(|n| f(angle(n / turned, n % turned)) as f32).collect();
            tensor(values, [1, 1, positions, turned], &device)
        };
        // As linear maps leave them: position by position.
        let x = tensor(values.clone(), [2, tokens, heads, width], &device).swap_dims(1, 2);
        let y = rotary(&x, &table(f64::cos), &table(f64::sin), start).unwrap();
        let got: Vec<f32> = y.try_into_vec_as().unwrap();
        for (n, got) in got.iter().enumerate() {
            let (d, token, head, b) =
                (n % width, n / width % tokens, n / width / tokens % heads, n / width / tokens / heads);
            let x = |d: usize| f64::from(values[((b * tokens + token) * heads + head) * width + d]);
            let (a, half) = (angle(start + token, d), turned / 2);
            let exact = match d {
                _ if d < half => x(d) * a.cos() - x(d + half) * a.sin(),
                _ if d < turned => x(d) * a.cos() + x(d - half) * a.sin(),
                _ => x(d),
            };
            assert!((f64::from(*got) - exact).abs() < 1e-6, "{heads}×{tokens}×{width}, {n}: {got} {exact}");
        }
    }
}

#[test]
fn the_cpu_is_left_to_burn() {
    let cpu = Device::flex();
    let (x, w) = (Tensor::<3>::zeros([1, 2, 8], &cpu), Tensor::<1>::zeros([8], &cpu));
    assert!(rms_norm(&x, &w, 1e-5).is_none());
    let (x, t) = (Tensor::<4>::zeros([1, 1, 2, 8], &cpu), Tensor::<4>::zeros([1, 1, 4, 8], &cpu));
    assert!(rotary(&x, &t, &t, 0).is_none());
}
