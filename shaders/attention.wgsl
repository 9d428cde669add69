// Attention of many queries, a tile of them at a time, the keys passing by in tiles: the scores are never all in memory
// (Dao et al. 2022, arXiv:2205.14135). All queries of one key head lie in rows under each other, position by position,
// so that a tile of rows needs few keys where attention is causal.
//
// The launch code puts these constants in front:
//   D4, D4P      vectors of 4 numbers in a head, and the same rounded up to what COLUMNS threads share evenly
//   ROWS, KEYS   rows and keys in a tile
//   COLUMNS      threads that share 4 rows
//   CHUNK        vectors of 4 numbers of queries and keys that are at hand at a time
//   VALUES       keys whose values are at hand at a time
//   CAUSAL, CAPPED  whether a row sees the keys up to its own alone, and whether scores are bent
// and one of attention_rows_portable.wgsl and attention_rows_subgroup.wgsl behind.

@group(0) @binding(0) var<storage, read_write> query: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> key: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> value: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> mixed: array<vec4<f32>>;
// heads, key heads, queries, keys, window, splits, first key; strides of query, key, value and mixed by batch, head and
// position, in vectors; three factors of the scores; the rows' lengths, one for each of the batch.
@group(0) @binding(4) var<storage, read_write> info: array<u32>;

const QUARTER: u32 = ROWS / 4u;
const THREADS: u32 = QUARTER * COLUMNS;
const KEYS_EACH: u32 = KEYS / COLUMNS;
const VECTORS_EACH: u32 = D4P / COLUMNS;
// One vector more than there are rows, so that threads that write beside each other meet different banks.
const ROWS_APART: u32 = ROWS + 1u;
const KEYS_APART: u32 = KEYS + 1u;
const KEYS_AT: u32 = CHUNK * ROWS_APART;
const VALUES_AT: u32 = KEYS * QUARTER;
// Below every score.
const NONE: f32 = -1e30;

// Queries and keys, then the weights of the scores and the values. 16 KiB.
var<workgroup> tile: array<vec4<f32>, 1024>;

fn bent(score: f32, inner: f32, outer: f32) -> f32 {
    // Far out the function is 1 to the last bit; some drivers give no number there.
    return outer * tanh(clamp(score * inner, -20.0, 20.0));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let group = info[0] / info[1];
    let queries = info[2];
    let keys = info[3];
    let window = info[4];
    let head = group_id.y;
    let batch = group_id.z;
    let factor = bitcast<f32>(info[19]);
    let inner = bitcast<f32>(info[20]);
    let outer = bitcast<f32>(info[21]);
    let all_rows = queries * group;
    let first_row = group_id.x * ROWS;
    // Positions of queries among the keys: they are the last of them.
    let before = keys - queries;

    var low = 0u;
    var high = min(info[22u + batch], keys);
    if CAUSAL {
        let last_row = min(first_row + ROWS, all_rows) - 1u;
        high = min(high, before + last_row / group + 1u);
        let own = before + first_row / group + 1u;
        if own > window {
            low = own - window;
        }
    }
    let key_base = batch * info[10] + head * info[11];
    let value_base = batch * info[13] + head * info[14];
    let key_step = info[12];
    let value_step = info[15];

    let quarter = thread / COLUMNS;
    let column = thread % COLUMNS;
    // This thread's rows lie QUARTER apart.
    let rows = vec4<u32>(first_row + quarter) + vec4<u32>(0u, QUARTER, 2u * QUARTER, 3u * QUARTER);
    let own = vec4<u32>(before) + rows / group;

    var top = vec4<f32>(NONE);
    var total = vec4<f32>(0.0);
    var out: array<vec4<f32>, 4u * VECTORS_EACH>;
    for (var n = 0u; n < 4u * VECTORS_EACH; n++) {
        out[n] = vec4<f32>(0.0);
    }

    for (var start = low; start < high; start += KEYS) {
        var scores: array<vec4<f32>, KEYS_EACH>;
        for (var n = 0u; n < KEYS_EACH; n++) {
            scores[n] = vec4<f32>(0.0);
        }
        for (var chunk = 0u; chunk < D4; chunk += CHUNK) {
            for (var n = thread; n < ROWS * CHUNK; n += THREADS) {
                let row = first_row + n / CHUNK;
                let d = chunk + n % CHUNK;
                var x = vec4<f32>(0.0);
                if row < all_rows && d < D4 {
                    let at = batch * info[7] + (head * group + row % group) * info[8] + row / group * info[9];
                    x = query[at + d];
                }
                tile[(n % CHUNK) * ROWS_APART + n / CHUNK] = x;
            }
            for (var n = thread; n < KEYS * CHUNK; n += THREADS) {
                let k = start + n / CHUNK;
                let d = chunk + n % CHUNK;
                var x = vec4<f32>(0.0);
                if k < high && d < D4 {
                    x = key[key_base + k * key_step + d];
                }
                tile[KEYS_AT + (n % CHUNK) * KEYS_APART + n / CHUNK] = x;
            }
            workgroupBarrier();
            for (var d = 0u; d < CHUNK; d++) {
                let q0 = tile[d * ROWS_APART + quarter];
                let q1 = tile[d * ROWS_APART + quarter + QUARTER];
                let q2 = tile[d * ROWS_APART + quarter + 2u * QUARTER];
                let q3 = tile[d * ROWS_APART + quarter + 3u * QUARTER];
                for (var n = 0u; n < KEYS_EACH; n++) {
                    let k = tile[KEYS_AT + d * KEYS_APART + column + n * COLUMNS];
                    scores[n] += vec4<f32>(dot(q0, k), dot(q1, k), dot(q2, k), dot(q3, k));
                }
            }
            workgroupBarrier();
        }

        var highest = top;
        for (var n = 0u; n < KEYS_EACH; n++) {
            let k = start + column + n * COLUMNS;
            var seen = vec4<bool>(k < high);
            if CAUSAL {
                seen = seen & (vec4<u32>(k) <= own) & (vec4<u32>(k + window) > own);
            }
            var score = scores[n];
            if CAPPED {
                score = vec4<f32>(
                    bent(score.x, inner, outer),
                    bent(score.y, inner, outer),
                    bent(score.z, inner, outer),
                    bent(score.w, inner, outer),
                );
            } else {
                score *= factor;
            }
            scores[n] = select(vec4<f32>(NONE), score, seen);
            highest = max(highest, scores[n]);
        }
        highest = max_of_rows(highest, quarter, thread);
        let shrink = exp2(top - highest);
        top = highest;
        total *= shrink;
        for (var n = 0u; n < KEYS_EACH; n++) {
            let weight = select(vec4<f32>(0.0), exp2(scores[n] - top), scores[n] > vec4<f32>(0.5 * NONE));
            total += weight;
            tile[(column + n * COLUMNS) * QUARTER + quarter] = weight;
        }
        for (var n = 0u; n < VECTORS_EACH; n++) {
            out[4u * n] *= shrink.x;
            out[4u * n + 1u] *= shrink.y;
            out[4u * n + 2u] *= shrink.z;
            out[4u * n + 3u] *= shrink.w;
        }
        for (var part = 0u; part < KEYS; part += VALUES) {
            for (var n = thread; n < VALUES * D4P; n += THREADS) {
                let k = start + part + n / D4P;
                let d = n % D4P;
                var x = vec4<f32>(0.0);
                if k < high && d < D4 {
                    x = value[value_base + k * value_step + d];
                }
                tile[VALUES_AT + n] = x;
            }
            workgroupBarrier();
            for (var k = 0u; k < VALUES; k++) {
                let weight = tile[(part + k) * QUARTER + quarter];
                for (var n = 0u; n < VECTORS_EACH; n++) {
                    let x = tile[VALUES_AT + k * D4P + column + n * COLUMNS];
                    out[4u * n] += weight.x * x;
                    out[4u * n + 1u] += weight.y * x;
                    out[4u * n + 2u] += weight.z * x;
                    out[4u * n + 3u] += weight.w * x;
                }
            }
            workgroupBarrier();
        }
    }

    total = sum_of_rows(total, quarter, thread);
    // A row that sees no key mixes none.
    let share = select(vec4<f32>(0.0), 1.0 / total, total > vec4<f32>(0.0));
    for (var r = 0u; r < 4u; r++) {
        let row = rows[r];
        if row < all_rows {
            let at = batch * info[16] + (head * group + row % group) * info[17] + row / group * info[18];
            for (var n = 0u; n < VECTORS_EACH; n++) {
                let d = column + n * COLUMNS;
                if d < D4 {
                    mixed[at + d] = out[4u * n + r] * share[r];
                }
            }
        }
    }
}
