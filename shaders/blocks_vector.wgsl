// Products of a matrix in blocks with a few vectors: the matrix is read once, packed.
//
// A block is 32 numbers of a row with one scale. Of 8 bits, a word holds four numbers in their order; of 4 bits, its low
// halves are numbers 4w to 4w + 3 of the block and its high halves those 16 further on, and 8 stands for zero. Scales
// are float16, two a word.
//
// The launch code puts these constants in front:
//   BITS    8 or 4
//   COUNT   vectors
//   BIAS    whether `bias` is added
// and blocks_vector_float.wgsl or blocks_vector_integer.wgsl, and blocks_sum_portable.wgsl or blocks_sum_subgroup.wgsl
// behind.

// A unit of work: 16 numbers of 8 bits, or 32 of 4 bits.
@group(0) @binding(0) var<storage, read_write> units: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> scales: array<u32>;
@group(0) @binding(2) var<storage, read_write> bias: array<f32>;
// `[COUNT, height]`
@group(0) @binding(3) var<storage, read_write> products: array<f32>;
// Blocks in a row, rows of this slab, the first of them in the whole matrix, its height, workgroups beside each other.
@group(0) @binding(4) var<storage, read_write> info: array<u32>;

const THREADS: u32 = 64u;
const ROWS: u32 = 4u;
const SUMS: u32 = ROWS * COUNT;
// Units in a block.
const UNITS: u32 = BITS / 4u;

var<workgroup> scratch: array<f32, SUMS * THREADS>;

fn scale_of(block: u32) -> f32 {
    let pair = unpack2x16float(scales[block / 2u]);
    return select(pair.x, pair.y, block % 2u == 1u);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let per_row = info[0];
    let height = info[1];
    let first_row = (group_id.y * info[4] + group_id.x) * ROWS;
    if first_row >= height {
        return;
    }
    let row_units = per_row * UNITS;
    var sums: array<f32, SUMS>;
    for (var n = 0u; n < SUMS; n++) {
        sums[n] = 0.0;
    }
    for (var unit = thread; unit < row_units; unit += THREADS) {
        var packed: array<vec4<u32>, ROWS>;
        var factors: array<f32, ROWS>;
        for (var r = 0u; r < ROWS; r++) {
            // The last rows once more where there are no others: what they give is not written.
            let row = min(first_row + r, height - 1u);
            packed[r] = units[row * row_units + unit];
            factors[r] = scale_of(row * per_row + unit / UNITS);
        }
        add_products(unit, per_row, &packed, &factors, &sums);
    }
    add_up(thread, &sums);
    if thread < SUMS {
        let row = first_row + thread / COUNT;
        if row < height {
            var x = sum_at(thread);
            if BIAS {
                x += bias[info[2] + row];
            }
            products[(thread % COUNT) * info[3] + info[2] + row] = x;
        }
    }
}
