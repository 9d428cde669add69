// Brings together what the workgroups of attention_few.wgsl mixed, each of its own keys. A row a workgroup.
//
// The launch code puts D4, the vectors of 4 numbers in a head, in front.

// `[batch, heads, queries, splits, D4 + 1]`
@group(0) @binding(0) var<storage, read_write> parts: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> mixed: array<vec4<f32>>;
// As in attention.wgsl.
@group(0) @binding(2) var<storage, read_write> info: array<u32>;

const NONE: f32 = -1e30;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) d: u32) {
    let splits = info[5];
    let position = group_id.x;
    let head = group_id.y;
    let batch = group_id.z;
    let first = ((batch * info[0] + head) * info[2] + position) * splits * (D4 + 1u);
    if d >= D4 {
        return;
    }
    var top = NONE;
    for (var n = 0u; n < splits; n++) {
        top = max(top, parts[first + n * (D4 + 1u) + D4].x);
    }
    var sum = vec4<f32>(0.0);
    var total = 0.0;
    for (var n = 0u; n < splits; n++) {
        let at = first + n * (D4 + 1u);
        let ends = parts[at + D4];
        let share = exp2(ends.x - top);
        total += share * ends.y;
        sum += share * parts[at + d];
    }
    let to = batch * info[16] + head * info[17] + position * info[18];
    mixed[to + d] = select(vec4<f32>(0.0), sum / total, total > 0.0);
}
