// What the COLUMNS threads of 4 rows agree on, by shuffles: they lie beside each other in one subgroup.

fn max_of_rows(x: vec4<f32>, quarter: u32, thread: u32) -> vec4<f32> {
    var all = x;
    for (var apart = 1u; apart < COLUMNS; apart *= 2u) {
        all = max(all, subgroupShuffleXor(all, apart));
    }
    return all;
}

fn sum_of_rows(x: vec4<f32>, quarter: u32, thread: u32) -> vec4<f32> {
    var all = x;
    for (var apart = 1u; apart < COLUMNS; apart *= 2u) {
        all += subgroupShuffleXor(all, apart);
    }
    return all;
}
