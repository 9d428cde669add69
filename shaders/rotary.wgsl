// Rotary positions (Su et al. 2021, arXiv:2104.09864): the first half of a head's numbers and the second turned against
// each other by an angle of the position. A number a thread.

@group(0) @binding(0) var<storage, read_write> input: array<f32>;
// `[positions, turned]`, both halves alike.
@group(0) @binding(1) var<storage, read_write> cosines: array<f32>;
@group(0) @binding(2) var<storage, read_write> sines: array<f32>;
// `[batch, heads, tokens, width]`
@group(0) @binding(3) var<storage, read_write> turned: array<f32>;
// Heads, tokens, width, how much of it is turned, the first token's position; the input's strides by batch, head and
// token.
@group(0) @binding(4) var<storage, read_write> info: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let tokens = info[1];
    let width = info[2];
    let reach = info[3];
    let n = group_id.x * 64u + thread;
    if n >= tokens * width {
        return;
    }
    let token = n / width;
    let d = n % width;
    let at = group_id.z * info[5] + group_id.y * info[6] + token * info[7];
    var x = input[at + d];
    if d < reach {
        let angle = (info[4] + token) * reach + d;
        let half_reach = reach / 2u;
        var other = 0.0;
        if d < half_reach {
            other = -input[at + d + half_reach];
        } else {
            other = input[at + d - half_reach];
        }
        x = x * cosines[angle] + other * sines[angle];
    }
    turned[(group_id.z * info[0] + group_id.y) * tokens * width + n] = x;
}
