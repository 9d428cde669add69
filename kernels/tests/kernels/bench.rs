//! Our kernels against burn's own operators on the device at hand. `CELL2TEXT_TEST_GPU=1` takes the machine's own GPU:
//!
//! ```text
//! CELL2TEXT_TEST_GPU=1 cargo test --workspace --test kernels bench -- --ignored --test-threads 1
//! ```

use std::time::Instant;

use burn::tensor::activation::softmax;
use burn::tensor::module::attention as burns_attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor};
use kernels::{Arithmetic, Attention, Packed, Variant, attention_by};

use crate::support::{device, draw, say, tensor};

/// The shortest of three runs of `work` in milliseconds, after one that compiles the kernels.
fn shortest_ms(device: &Device, rounds: usize, mut work: impl FnMut()) -> f64 {
    work();
    device.sync().unwrap();
    (0..3)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..rounds {
                work();
            }
            device.sync().unwrap();
            start.elapsed().as_secs_f64() * 1e3 / rounds as f64
        })
        .fold(f64::INFINITY, f64::min)
}

fn name(device: &Device) -> String {
    device.identity().map_or_else(|| "unknown device".to_owned(), |identity| identity.name)
}

fn rounds() -> usize {
    if std::env::var_os("CELL2TEXT_TEST_GPU").is_some() { 20 } else { 1 }
}

#[test]
#[ignore = "a measurement"]
fn bench_attention_of_an_encoder() {
    let Some(device) = device() else { return };
    [1024, 4096].into_iter().for_each(|tokens| encoder_over(&device, tokens));
}

fn encoder_over(device: &Device, tokens: usize) {
    let (heads, width) = (4, 64);
    let x = |seed| tensor(draw(heads * tokens * width, seed), [1, heads, tokens, width], device);
    let (q, k, v) = (x(1), x(2), x(3));
    say(&format!("{}: {heads} heads of {width}, {tokens} tokens", name(device)));
    let options = || AttentionModuleOptions { scale: None, softcap: None, is_causal: false };
    let burns = || burns_attention(q.clone(), k.clone(), v.clone(), None, None, options());
    // Where a device cannot hold the scores the launch fails, which only who reads the result learns.
    let burn = match burns().sum().try_into_scalar::<f32>() {
        Ok(_) => shortest_ms(device, rounds(), || drop(burns())),
        Err(_) => f64::NAN,
    };
    say(&format!("  burn's attention: {burn:.1} ms (NaN: it fails)"));
    let flops = 4.0 * (heads * tokens * tokens * width) as f64;
    for variant in [Variant::Portable, Variant::Subgroup] {
        let ours = || attention_by(variant, &q, &k, &v, &Attention::default());
        if ours().is_none() {
            continue;
        }
        let ms = shortest_ms(device, rounds(), || drop(ours()));
        say(&format!(
            "  ours, {variant:?}: {ms:.1} ms, {:.1} times, {:.0} GFLOP/s",
            burn / ms,
            flops / ms / 1e6
        ));
    }
}

#[test]
#[ignore = "a measurement"]
fn bench_attention_of_one_token_to_2048() {
    let Some(device) = device() else { return };
    let (heads, key_heads, keys, width) = (32, 8, 2048, 64);
    let x =
        |heads: usize, n: usize, seed| tensor(draw(heads * n * width, seed), [1, heads, n, width], &device);
    let (q, k, v) = (x(heads, 1, 1), x(key_heads, keys, 2), x(key_heads, keys, 3));
    say(&format!("{}: {heads} heads of {width} over {key_heads}, {keys} keys", name(&device)));
    let burn = shortest_ms(&device, rounds(), || {
        // As the engine does without our kernels: the queries of a key head under each other.
        let stacked: Tensor<4> =
            q.clone().mul_scalar(0.125).reshape([1, key_heads, heads / key_heads, width]);
        let scores = stacked.matmul(k.clone().swap_dims(2, 3));
        drop(softmax(scores, 3).matmul(v.clone()));
    });
    say(&format!("  burn's operators: {burn:.2} ms"));
    let settings = Attention { causal: true, ..Attention::default() };
    for variant in [Variant::Portable, Variant::Subgroup] {
        let ours = || attention_by(variant, &q, &k, &v, &settings);
        if ours().is_none() {
            continue;
        }
        let ms = shortest_ms(&device, rounds(), || drop(ours()));
        say(&format!("  ours, {variant:?}: {ms:.2} ms, {:.1} times", burn / ms));
    }
}

#[test]
#[ignore = "a measurement"]
fn bench_products_with_packed_weights() {
    let Some(device) = device() else { return };
    let (rows, columns) = (2048, 2048);
    let full = tensor(draw(rows * columns, 1), [1, columns, rows], &device);
    for count in [1, 256] {
        let x = tensor(draw(count * columns, 2), [1, count, columns], &device);
        say(&format!("{}: [{count}, {columns}] by [{columns}, {rows}]", name(&device)));
        let burn = shortest_ms(&device, rounds(), || drop(x.clone().matmul(full.clone())));
        say(&format!("  burn's product in float32: {burn:.2} ms"));
        for bits in [8, 4] {
            let numbers = vec![0x5a; rows * columns * bits / 8];
            let scales = vec![0x2400; rows * columns / 32];
            let packed = Packed::new(&device, [rows, columns], bits, &numbers, &scales, None).unwrap();
            for (variant, arithmetic) in [
                (Variant::Portable, Arithmetic::Float),
                (Variant::Subgroup, Arithmetic::Float),
                (Variant::Portable, Arithmetic::Integer),
            ] {
                // With many vectors there is one kernel.
                let again = count > 4 && (variant, arithmetic) != (Variant::Portable, Arithmetic::Float);
                let ours = || packed.product_by(variant, arithmetic, &x);
                if again || ours().is_none() {
                    continue;
                }
                let ms = shortest_ms(&device, rounds(), || drop(ours()));
                say(&format!(
                    "  {bits} bits, {variant:?}, {arithmetic:?}: {ms:.2} ms, {:.1} times",
                    burn / ms
                ));
            }
        }
    }
}
