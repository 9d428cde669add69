// The vectors in blocks of 8 bits as blocks_vectors.wgsl makes them: whole numbers are multiplied four at a time.

@group(0) @binding(5) var<storage, read_write> vectors: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read_write> vector_scales: array<f32>;

fn add_products(
    unit: u32,
    per_row: u32,
    packed: ptr<function, array<vec4<u32>, ROWS>>,
    factors: ptr<function, array<f32, ROWS>>,
    sums: ptr<function, array<f32, SUMS>>,
) {
    for (var i = 0u; i < COUNT; i++) {
        if BITS == 8u {
            let x = vectors[i * per_row * 2u + unit];
            let scale = vector_scales[i * per_row + unit / 2u];
            for (var r = 0u; r < ROWS; r++) {
                let w = (*packed)[r];
                let whole = dot4I8Packed(w.x, x.x) + dot4I8Packed(w.y, x.y) + dot4I8Packed(w.z, x.z)
                    + dot4I8Packed(w.w, x.w);
                (*sums)[r * COUNT + i] += (*factors)[r] * scale * f32(whole);
            }
        } else {
            let low = vectors[(i * per_row + unit) * 2u];
            let high = vectors[(i * per_row + unit) * 2u + 1u];
            let scale = vector_scales[i * per_row + unit];
            // 8 stands for zero: what it adds is taken off once for all rows.
            let ones = 0x01010101u;
            let eights = 8 * (dot4I8Packed(ones, low.x) + dot4I8Packed(ones, low.y) + dot4I8Packed(ones, low.z)
                + dot4I8Packed(ones, low.w) + dot4I8Packed(ones, high.x) + dot4I8Packed(ones, high.y)
                + dot4I8Packed(ones, high.z) + dot4I8Packed(ones, high.w));
            for (var r = 0u; r < ROWS; r++) {
                let a = (*packed)[r] & vec4<u32>(0x0f0f0f0fu);
                let b = ((*packed)[r] >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
                let whole = dot4I8Packed(a.x, low.x) + dot4I8Packed(a.y, low.y) + dot4I8Packed(a.z, low.z)
                    + dot4I8Packed(a.w, low.w) + dot4I8Packed(b.x, high.x) + dot4I8Packed(b.y, high.y)
                    + dot4I8Packed(b.z, high.z) + dot4I8Packed(b.w, high.w);
                (*sums)[r * COUNT + i] += (*factors)[r] * scale * f32(whole - eights);
            }
        }
    }
}
