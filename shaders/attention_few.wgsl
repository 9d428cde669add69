// Attention of few queries to many keys, as in decoding token by token: 256 keys a workgroup, whose mixed values
// attention_merge.wgsl brings together.
//
// The launch code puts these constants in front:
//   D4, D4P   vectors of 4 numbers in a head, and the same rounded up to a power of two
//   ROWS      rows at hand: queries of one key head, position by position
//   LANES     threads that share a key: 1, or 8 that lie beside each other in one subgroup
//   CAUSAL, CAPPED, SINGLE   whether a row sees the keys up to its own alone, whether scores are bent, and whether there
//             is but one workgroup for all keys, which then writes `mixed` itself
// and one of attention_lanes_portable.wgsl and attention_lanes_subgroup.wgsl behind.

@group(0) @binding(0) var<storage, read_write> query: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> key: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> value: array<vec4<f32>>;
// As attention.wgsl has it, or `[batch, heads, queries, splits, D4 + 1]`: values mixed by weights relative to the highest
// score, and in the last vector that score and the sum of the weights.
@group(0) @binding(3) var<storage, read_write> mixed: array<vec4<f32>>;
// As in attention.wgsl.
@group(0) @binding(4) var<storage, read_write> info: array<u32>;

const THREADS: u32 = 128u;
const KEYS: u32 = 256u;
const NONE: f32 = -1e30;
// Threads that share a row of scores.
const SHARE: u32 = 16u;
const PARTS: u32 = THREADS / D4P;

var<workgroup> queries_here: array<vec4<f32>, ROWS * D4>;
var<workgroup> weights: array<f32, ROWS * KEYS>;
var<workgroup> scratch: array<vec4<f32>, THREADS>;
var<workgroup> partials: array<f32, ROWS * SHARE>;

fn bent(score: f32, inner: f32, outer: f32) -> f32 {
    return outer * tanh(clamp(score * inner, -20.0, 20.0));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let heads = info[0];
    let group = heads / info[1];
    let queries = info[2];
    let keys = info[3];
    let window = info[4];
    let splits = info[5];
    let split = group_id.x;
    let head = group_id.y;
    let all_rows = queries * group;
    let tiles = (all_rows + ROWS - 1u) / ROWS;
    let batch = group_id.z / tiles;
    let first_row = (group_id.z % tiles) * ROWS;
    let factor = bitcast<f32>(info[19]);
    let inner = bitcast<f32>(info[20]);
    let outer = bitcast<f32>(info[21]);
    let before = keys - queries;
    let start = info[6] + split * KEYS;
    let high = min(info[22u + batch], keys);

    for (var n = thread; n < ROWS * D4; n += THREADS) {
        let row = first_row + n / D4;
        var x = vec4<f32>(0.0);
        if row < all_rows {
            let at = batch * info[7] + (head * group + row % group) * info[8] + row / group * info[9];
            x = query[at + n % D4];
        }
        queries_here[n] = x;
    }
    workgroupBarrier();

    let key_base = batch * info[10] + head * info[11];
    let lane = thread % LANES;
    for (var n = thread / LANES; n < KEYS; n += THREADS / LANES) {
        let k = start + n;
        var sums: array<f32, ROWS>;
        for (var r = 0u; r < ROWS; r++) {
            sums[r] = 0.0;
        }
        if k < high {
            let at = key_base + k * info[12];
            for (var d = lane; d < D4; d += LANES) {
                let x = key[at + d];
                for (var r = 0u; r < ROWS; r++) {
                    sums[r] += dot(queries_here[r * D4 + d], x);
                }
            }
        }
        for (var r = 0u; r < ROWS; r++) {
            var score = sum_of_lanes(sums[r]);
            if CAPPED {
                score = bent(score, inner, outer);
            } else {
                score *= factor;
            }
            let own = before + (first_row + r) / group;
            if k >= high || (CAUSAL && (k > own || k + window <= own)) {
                score = NONE;
            }
            if lane == 0u {
                weights[r * KEYS + n] = score;
            }
        }
    }
    workgroupBarrier();

    // SHARE threads find a row's highest score, then its weights and their sum.
    let row_here = thread / SHARE;
    let works = row_here < ROWS;
    var top = NONE;
    if works {
        for (var n = thread % SHARE; n < KEYS; n += SHARE) {
            top = max(top, weights[row_here * KEYS + n]);
        }
        partials[thread] = top;
    }
    workgroupBarrier();
    if works {
        for (var n = 0u; n < SHARE; n++) {
            top = max(top, partials[row_here * SHARE + n]);
        }
    }
    workgroupBarrier();
    var sum = 0.0;
    if works {
        for (var n = thread % SHARE; n < KEYS; n += SHARE) {
            let score = weights[row_here * KEYS + n];
            let weight = select(0.0, exp2(score - top), score > 0.5 * NONE);
            weights[row_here * KEYS + n] = weight;
            sum += weight;
        }
        partials[thread] = sum;
    }
    workgroupBarrier();
    if works && thread % SHARE == 0u {
        for (var n = 1u; n < SHARE; n++) {
            sum += partials[row_here * SHARE + n];
        }
        // For all who write: the sum, and the highest score.
        partials[thread] = sum;
        partials[thread + 1u] = top;
    }
    workgroupBarrier();

    let value_base = batch * info[13] + head * info[14];
    let d = thread % D4P;
    let part = thread / D4P;
    var out: array<vec4<f32>, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        out[r] = vec4<f32>(0.0);
    }
    if d < D4 {
        for (var n = part; n < KEYS; n += PARTS) {
            let k = start + n;
            if k < high {
                let x = value[value_base + k * info[15] + d];
                for (var r = 0u; r < ROWS; r++) {
                    out[r] += weights[r * KEYS + n] * x;
                }
            }
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        scratch[thread] = out[r];
        workgroupBarrier();
        let row = first_row + r;
        if part == 0u && row < all_rows {
            var x = scratch[d];
            for (var n = 1u; n < PARTS; n++) {
                x += scratch[n * D4P + d];
            }
            let total = partials[r * SHARE];
            let query_head = head * group + row % group;
            if SINGLE {
                if d < D4 {
                    let at = batch * info[16] + query_head * info[17] + row / group * info[18];
                    mixed[at + d] = select(vec4<f32>(0.0), x / total, total > 0.0);
                }
            } else {
                let at = (((batch * heads + query_head) * queries + row / group) * splits + split) * (D4 + 1u);
                if d < D4 {
                    mixed[at + d] = x;
                }
                if d == 0u {
                    mixed[at + D4] = vec4<f32>(partials[r * SHARE + 1u], total, 0.0, 0.0);
                }
            }
        }
        workgroupBarrier();
    }
}
