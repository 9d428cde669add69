// Whether threads that are numbered one after the other lie so in their subgroup, as the subgroup kernels need it.

// The size of the subgroup where this thread lies as its number says, else 0. `[128]`
@group(0) @binding(0) var<storage, read_write> sizes: array<u32>;

@compute @workgroup_size(128)
fn main(
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(subgroup_size) size: u32,
) {
    sizes[thread] = select(0u, size, lane == thread % size);
}
