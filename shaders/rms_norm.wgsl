// Rows brought to a root mean square of one, times a weight each column. A row a workgroup.

@group(0) @binding(0) var<storage, read_write> input: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> normed: array<vec4<f32>>;
// Rows, vectors of 4 numbers in a row, workgroups beside each other, what is added to the mean of squares.
@group(0) @binding(3) var<storage, read_write> info: array<u32>;

const THREADS: u32 = 64u;

var<workgroup> scratch: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = group_id.y * info[2] + group_id.x;
    let vectors = info[1];
    if row >= info[0] {
        return;
    }
    let at = row * vectors;
    var squares = 0.0;
    for (var n = thread; n < vectors; n += THREADS) {
        squares += dot(input[at + n], input[at + n]);
    }
    scratch[thread] = squares;
    workgroupBarrier();
    for (var apart = THREADS / 2u; apart > 0u; apart /= 2u) {
        if thread < apart {
            scratch[thread] += scratch[thread + apart];
        }
        workgroupBarrier();
    }
    let factor = 1.0 / sqrt(scratch[0] / f32(vectors * 4u) + bitcast<f32>(info[3]));
    for (var n = thread; n < vectors; n += THREADS) {
        normed[at + n] = input[at + n] * factor * weight[n];
    }
}
