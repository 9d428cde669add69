// LANES threads beside each other in one subgroup share a key.

fn sum_of_lanes(x: f32) -> f32 {
    var all = x;
    for (var apart = 1u; apart < LANES; apart *= 2u) {
        all += subgroupShuffleXor(all, apart);
    }
    return all;
}
