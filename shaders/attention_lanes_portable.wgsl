// One thread has all of a key.

fn sum_of_lanes(x: f32) -> f32 {
    return x;
}
