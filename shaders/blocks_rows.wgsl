// Rows of a matrix in blocks by their numbers, as float32. A number a thread.
//
// The launch code puts BITS (8 or 4) in front, and whether this is the FIRST slab, which clears the rows that are not in
// it. How blocks lie is told in blocks_vector.wgsl.

@group(0) @binding(0) var<storage, read_write> words: array<u32>;
@group(0) @binding(1) var<storage, read_write> scales: array<u32>;
@group(0) @binding(2) var<storage, read_write> wanted: array<i32>;
// `[wanted, columns]`
@group(0) @binding(3) var<storage, read_write> rows: array<f32>;
// Blocks in a row, rows of this slab, the first of them in the whole matrix, columns.
@group(0) @binding(4) var<storage, read_write> info: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let column = group_id.x * 64u + thread;
    if column >= info[3] {
        return;
    }
    let row = wanted[group_id.y] - i32(info[2]);
    let at = group_id.y * info[3] + column;
    if row < 0 || row >= i32(info[1]) {
        if FIRST {
            rows[at] = 0.0;
        }
        return;
    }
    let block = u32(row) * info[0] + column / 32u;
    let n = column % 32u;
    var number = 0.0;
    if BITS == 8u {
        let four = unpack4xI8(words[block * 8u + n / 4u]);
        number = f32(four[n % 4u]);
    } else {
        let byte = words[block * 4u + n % 16u / 4u] >> (n % 4u * 8u);
        number = f32((byte >> (n / 16u * 4u)) & 0x0fu) - 8.0;
    }
    let pair = unpack2x16float(scales[block / 2u]);
    rows[at] = number * select(pair.x, pair.y, block % 2u == 1u);
}
