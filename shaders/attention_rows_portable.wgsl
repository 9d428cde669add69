// What the COLUMNS threads of 4 rows agree on, through the memory of the workgroup. The tile is free before and after.

fn max_of_rows(x: vec4<f32>, quarter: u32, thread: u32) -> vec4<f32> {
    tile[thread] = x;
    workgroupBarrier();
    var all = x;
    for (var n = 0u; n < COLUMNS; n++) {
        all = max(all, tile[quarter * COLUMNS + n]);
    }
    workgroupBarrier();
    return all;
}

fn sum_of_rows(x: vec4<f32>, quarter: u32, thread: u32) -> vec4<f32> {
    tile[thread] = x;
    workgroupBarrier();
    var all = vec4<f32>(0.0);
    for (var n = 0u; n < COLUMNS; n++) {
        all += tile[quarter * COLUMNS + n];
    }
    workgroupBarrier();
    return all;
}
