// The vectors in float32, filled up with zeros to whole blocks.

@group(0) @binding(5) var<storage, read_write> vectors: array<vec4<f32>>;

fn add_products(
    unit: u32,
    per_row: u32,
    packed: ptr<function, array<vec4<u32>, ROWS>>,
    factors: ptr<function, array<f32, ROWS>>,
    sums: ptr<function, array<f32, SUMS>>,
) {
    var here: array<f32, SUMS>;
    for (var n = 0u; n < SUMS; n++) {
        here[n] = 0.0;
    }
    for (var w = 0u; w < 4u; w++) {
        if BITS == 8u {
            for (var i = 0u; i < COUNT; i++) {
                let x = vectors[i * per_row * 8u + unit * 4u + w];
                for (var r = 0u; r < ROWS; r++) {
                    here[r * COUNT + i] += dot(x, vec4<f32>(unpack4xI8((*packed)[r][w])));
                }
            }
        } else {
            for (var i = 0u; i < COUNT; i++) {
                let low = vectors[i * per_row * 8u + unit * 8u + w];
                let high = vectors[i * per_row * 8u + unit * 8u + 4u + w];
                for (var r = 0u; r < ROWS; r++) {
                    let word = (*packed)[r][w];
                    let a = vec4<f32>(unpack4xU8(word & 0x0f0f0f0fu)) - 8.0;
                    let b = vec4<f32>(unpack4xU8((word >> 4u) & 0x0f0f0f0fu)) - 8.0;
                    here[r * COUNT + i] += dot(low, a) + dot(high, b);
                }
            }
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        for (var i = 0u; i < COUNT; i++) {
            (*sums)[r * COUNT + i] += (*factors)[r] * here[r * COUNT + i];
        }
    }
}
