// Products of a matrix in blocks with many vectors: 64 rows and 64 vectors a workgroup, a block of 32 columns at a time.
//
// The launch code puts BITS (8 or 4) and BIAS (whether `bias` is added) in front. How blocks lie is told in
// blocks_vector.wgsl.

@group(0) @binding(0) var<storage, read_write> words: array<u32>;
@group(0) @binding(1) var<storage, read_write> scales: array<u32>;
@group(0) @binding(2) var<storage, read_write> bias: array<f32>;
// `[vectors, height]`
@group(0) @binding(3) var<storage, read_write> products: array<f32>;
// Blocks in a row, rows of this slab, the first of them in the whole matrix, its height, vectors.
@group(0) @binding(4) var<storage, read_write> info: array<u32>;
// Filled up with zeros to whole blocks.
@group(0) @binding(5) var<storage, read_write> vectors: array<vec4<f32>>;

const SIDE: u32 = 64u;
const THREADS: u32 = 256u;
const WEIGHTS_AT: u32 = 8u * SIDE;
const WORDS: u32 = BITS;

// Vectors, then weights: 4 columns of a row at a place that no other thread beside it writes at or reads from the same
// bank. 16 KiB.
var<workgroup> tile: array<vec4<f32>, 1024>;

fn place(row: u32, d: u32) -> u32 {
    return d * SIDE + (row ^ d);
}

fn scale_of(block: u32) -> f32 {
    let pair = unpack2x16float(scales[block / 2u]);
    return select(pair.x, pair.y, block % 2u == 1u);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let per_row = info[0];
    let height = info[1];
    let count = info[4];
    let first_row = group_id.x * SIDE;
    let first_vector = group_id.y * SIDE;
    let quarter = thread / 16u;
    let column = thread % 16u;
    // Four of this thread's vectors times four of its rows.
    var sums: array<vec4<f32>, 4>;
    for (var n = 0u; n < 4u; n++) {
        sums[n] = vec4<f32>(0.0);
    }
    for (var block = 0u; block < per_row; block++) {
        for (var n = thread; n < 8u * SIDE; n += THREADS) {
            let i = first_vector + n / 8u;
            var x = vec4<f32>(0.0);
            if i < count {
                x = vectors[(i * per_row + block) * 8u + n % 8u];
            }
            tile[place(n / 8u, n % 8u)] = x;
        }
        for (var n = thread; n < WORDS * SIDE; n += THREADS) {
            let r = n / WORDS;
            let d = n % WORDS;
            // The last row once more where there is no other: what it gives is not written.
            let at = min(first_row + r, height - 1u) * per_row + block;
            let word = words[at * WORDS + d];
            let scale = scale_of(at);
            if BITS == 8u {
                tile[WEIGHTS_AT + place(r, d)] = scale * vec4<f32>(unpack4xI8(word));
            } else {
                tile[WEIGHTS_AT + place(r, d)] = scale * (vec4<f32>(unpack4xU8(word & 0x0f0f0f0fu)) - 8.0);
                tile[WEIGHTS_AT + place(r, d + 4u)] =
                    scale * (vec4<f32>(unpack4xU8((word >> 4u) & 0x0f0f0f0fu)) - 8.0);
            }
        }
        workgroupBarrier();
        for (var d = 0u; d < 8u; d++) {
            let w0 = tile[WEIGHTS_AT + place(column, d)];
            let w1 = tile[WEIGHTS_AT + place(column + 16u, d)];
            let w2 = tile[WEIGHTS_AT + place(column + 32u, d)];
            let w3 = tile[WEIGHTS_AT + place(column + 48u, d)];
            for (var i = 0u; i < 4u; i++) {
                let x = tile[place(quarter + i * 16u, d)];
                sums[i] += vec4<f32>(dot(x, w0), dot(x, w1), dot(x, w2), dot(x, w3));
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 4u; i++) {
        let vector = first_vector + quarter + i * 16u;
        for (var r = 0u; r < 4u; r++) {
            let row = first_row + column + r * 16u;
            if vector < count && row < height {
                var x = sums[i][r];
                if BIAS {
                    x += bias[info[2] + row];
                }
                products[vector * info[3] + info[2] + row] = x;
            }
        }
    }
}
