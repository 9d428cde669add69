// Sums over the threads of a workgroup: over 8 beside each other by shuffles, over the rest through its memory.

fn add_up(thread: u32, sums: ptr<function, array<f32, SUMS>>) {
    for (var n = 0u; n < SUMS; n++) {
        var x = (*sums)[n];
        x += subgroupShuffleXor(x, 1u);
        x += subgroupShuffleXor(x, 2u);
        x += subgroupShuffleXor(x, 4u);
        if thread % 8u == 0u {
            scratch[n * THREADS + thread / 8u] = x;
        }
    }
    workgroupBarrier();
}

fn sum_at(n: u32) -> f32 {
    var x = 0.0;
    for (var k = 0u; k < THREADS / 8u; k++) {
        x += scratch[n * THREADS + k];
    }
    return x;
}
