// Vectors into blocks of 32 numbers of 8 bits with one scale each. A block a thread.

// Filled up with zeros to whole blocks.
@group(0) @binding(0) var<storage, read_write> vectors: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> numbers: array<u32>;
@group(0) @binding(2) var<storage, read_write> vector_scales: array<f32>;
// Blocks in all, workgroups beside each other.
@group(0) @binding(3) var<storage, read_write> info: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let block = (group_id.y * info[1] + group_id.x) * 64u + thread;
    if block >= info[0] {
        return;
    }
    var top = vec4<f32>(0.0);
    for (var n = 0u; n < 8u; n++) {
        top = max(top, abs(vectors[block * 8u + n]));
    }
    let highest = max(max(top.x, top.y), max(top.z, top.w));
    let inverse = select(0.0, 127.0 / highest, highest > 0.0);
    for (var n = 0u; n < 8u; n++) {
        numbers[block * 8u + n] = pack4xI8(vec4<i32>(round(vectors[block * 8u + n] * inverse)));
    }
    vector_scales[block] = highest / 127.0;
}
