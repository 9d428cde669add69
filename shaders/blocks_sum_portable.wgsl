// Sums over the threads of a workgroup, through its memory.

fn add_up(thread: u32, sums: ptr<function, array<f32, SUMS>>) {
    for (var n = 0u; n < SUMS; n++) {
        scratch[n * THREADS + thread] = (*sums)[n];
    }
    workgroupBarrier();
    for (var apart = THREADS / 2u; apart > 0u; apart /= 2u) {
        if thread < apart {
            for (var n = 0u; n < SUMS; n++) {
                scratch[n * THREADS + thread] += scratch[n * THREADS + thread + apart];
            }
        }
        workgroupBarrier();
    }
}

fn sum_at(n: u32) -> f32 {
    return scratch[n * THREADS];
}
