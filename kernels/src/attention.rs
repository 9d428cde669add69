//! Attention: tiles of queries against tiles of keys, or few queries against keys in parts that are merged.

use burn::tensor::Tensor;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::server::Handle;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use crate::gpu::{
    Buffer, Constant, GROUP_BYTES, Kernel, Variant, by_subgroup, client, floats, launch, launchable, numbers,
    tensor_of,
};

/// Up to this many queries, the keys are divided among workgroups rather than the queries.
const FEW_QUERIES: usize = 4;
/// Keys of one workgroup where queries are few; `KEYS` in attention_few.wgsl.
const KEYS_OF_FEW: usize = 256;
/// The widest head, in numbers.
const WIDEST: usize = 256;
/// A window wider than any sequence.
const NO_WINDOW: usize = 1 << 30;

/// Which keys a query sees, and what becomes of its scores.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Attention<'a> {
    /// The keys of each row of the batch that count, the first ones; what lies behind them is not read. All by default.
    pub lengths: Option<&'a [usize]>,
    /// A query sees the keys up to its own; queries are the last of the keys.
    pub causal: bool,
    /// A causal query sees this many keys at most, its own the last.
    pub window: Option<usize>,
    /// Scores are bent to stay within ± this: `cap · tanh(score ÷ cap)`.
    pub soft_cap: Option<f64>,
    /// Factor of the scores in place of 1 ÷ √width.
    pub scale: Option<f64>,
}

/// softmax(q kᵀ · scale) v, without the scores in memory. A query that sees no key gets zeros.
///
/// `None` where the kernels do not run: on another device, with gradients, or for heads wider than 256 or of a width
/// that is no multiple of 4.
///
/// # Shapes
/// - `query`: `[batch, heads, queries, width]`
/// - `key`, `value`: `[batch, key_heads, keys, width]`, `key_heads` a divisor of `heads`
/// - returns `[batch, heads, queries, width]`, which lies in memory position by position
pub fn attention(
    query: &Tensor<4>,
    key: &Tensor<4>,
    value: &Tensor<4>,
    settings: &Attention<'_>,
) -> Option<Tensor<4>> {
    attention_by(Variant::Auto, query, key, value, settings)
}

/// [`attention`] by a variant of the kernels.
pub fn attention_by(
    variant: Variant,
    query: &Tensor<4>,
    key: &Tensor<4>,
    value: &Tensor<4>,
    settings: &Attention<'_>,
) -> Option<Tensor<4>> {
    let client = client(&query.device())?;
    let problem = Problem::new(query.dims(), key.dims(), value.dims(), settings)?;
    let (query, key, value) = (in_vectors(query)?, in_vectors(key)?, in_vectors(value)?);
    let Problem { batch, heads, queries, vectors, .. } = problem;
    let mixed = client.empty(batch * heads * queries * vectors * 16);
    let info = problem.info(&client, [&query, &key, &value], settings);
    let handles = [&query.handle, &key.handle, &value.handle];
    let done = if queries <= FEW_QUERIES {
        few(&client, variant, &problem, settings, handles, &mixed, &info)
    } else {
        many(&client, variant, &problem, settings, handles, &mixed, &info)
    };
    done?;
    let out: Tensor<4> = tensor_of(&query, mixed, [batch, queries, heads, vectors * 4]);
    Some(out.swap_dims(1, 2))
}

/// The sizes of one call.
struct Problem {
    batch: usize,
    heads: usize,
    key_heads: usize,
    queries: usize,
    keys: usize,
    /// Vectors of 4 numbers in a head.
    vectors: usize,
    window: usize,
    /// The first key that any query sees.
    first_key: usize,
    /// Parts that the keys are divided into where queries are few.
    splits: usize,
}

impl Problem {
    fn new(query: [usize; 4], key: [usize; 4], value: [usize; 4], settings: &Attention<'_>) -> Option<Self> {
        let [batch, heads, queries, width] = query;
        let [_, key_heads, keys, _] = key;
        let alike = key == value && key[0] == batch && key[3] == width;
        let whole = [batch, heads, queries, keys, key_heads, width].iter().all(|&n| n > 0);
        let fits = width <= WIDEST && width % 4 == 0 && keys < NO_WINDOW;
        if !(alike && whole && fits)
            || heads % key_heads != 0
            || (settings.causal && queries > keys)
            || settings.lengths.is_some_and(|lengths| lengths.len() != batch)
        {
            return None;
        }
        let window = settings.window.filter(|_| settings.causal).unwrap_or(NO_WINDOW).min(NO_WINDOW);
        let first_key = if settings.causal { (keys - queries + 1).saturating_sub(window) } else { 0 };
        let longest = settings.lengths.map_or(keys, |all| all.iter().copied().max().unwrap_or(0).min(keys));
        let splits = longest.saturating_sub(first_key).div_ceil(KEYS_OF_FEW).max(1);
        Some(Self { batch, heads, key_heads, queries, keys, vectors: width / 4, window, first_key, splits })
    }

    /// What the kernels read about the call; attention.wgsl lists it.
    fn info(&self, client: &Client, inputs: [&CubeTensor; 3], settings: &Attention<'_>) -> Handle {
        let Self { batch, heads, key_heads, queries, keys, vectors, window, first_key, splits } = *self;
        let mut info: Vec<u32> =
            [heads, key_heads, queries, keys, window, splits, first_key].map(|n| n as u32).to_vec();
        for tensor in inputs {
            info.extend(strides(tensor).map(|n| (n / 4) as u32));
        }
        info.extend([queries * heads * vectors, vectors, heads * vectors].map(|n| n as u32));
        let scale = settings.scale.unwrap_or_else(|| 1.0 / ((vectors * 4) as f64).sqrt());
        // Powers of two are what GPUs compute: the base goes into the factor.
        let base = std::f64::consts::LOG2_E;
        let cap = settings.soft_cap.unwrap_or(1.0);
        info.extend([scale * base, scale / cap, cap * base].map(|factor| (factor as f32).to_bits()));
        match settings.lengths {
            Some(lengths) => info.extend(lengths.iter().map(|&n| n.min(keys) as u32)),
            None => info.extend(std::iter::repeat_n(keys as u32, batch)),
        }
        numbers(client, &info)
    }
}

/// Numbers from one batch, head and position to the next; 0 where there is but one.
fn strides(tensor: &CubeTensor) -> [usize; 3] {
    let (shape, strides) = (tensor.meta.shape(), tensor.meta.strides());
    std::array::from_fn(|i| if shape[i] == 1 { 0 } else { strides[i] })
}

/// The tensor so that each position's numbers lie together and can be read four at a time.
fn in_vectors(tensor: &Tensor<4>) -> Option<CubeTensor> {
    let tensor = floats(tensor)?;
    let together = tensor.meta.strides()[3] == 1 && !tensor.meta.is_tiled();
    if together && strides(&tensor).iter().all(|n| n % 4 == 0) {
        return Some(tensor);
    }
    Some(into_contiguous(tensor))
}

/// How the work is laid out over threads for a width of head; the names are those of attention.wgsl.
struct Tiling {
    padded: usize,
    rows: usize,
    columns: usize,
    chunk: usize,
    values: usize,
}

const KEYS_IN_TILE: usize = 32;

impl Tiling {
    fn of(vectors: usize) -> Self {
        let (rows, columns) = match vectors {
            ..=4 => (64, 4),
            ..=24 => (64, 8),
            ..=32 => (64, 16),
            _ => (32, 32),
        };
        let padded = vectors.next_multiple_of(columns);
        // What is left of the workgroup's memory beside the weights of the scores.
        let room = GROUP_BYTES / 16 - KEYS_IN_TILE * rows / 4;
        let mut values = KEYS_IN_TILE;
        while values * padded > room {
            values /= 2;
        }
        Self { padded, rows, columns, chunk: padded.min(8), values }
    }
}

const PORTABLE: &[&str] = &[
    include_str!("../../shaders/attention.wgsl"),
    include_str!("../../shaders/attention_rows_portable.wgsl"),
];
const SUBGROUP: &[&str] = &[
    include_str!("../../shaders/attention.wgsl"),
    include_str!("../../shaders/attention_rows_subgroup.wgsl"),
];

fn many(
    client: &Client,
    variant: Variant,
    problem: &Problem,
    settings: &Attention<'_>,
    inputs: [&Handle; 3],
    mixed: &Handle,
    info: &Handle,
) -> Option<()> {
    let Tiling { padded, rows, columns, chunk, values } = Tiling::of(problem.vectors);
    let subgroup = by_subgroup(client, variant, columns)?;
    let all_rows = problem.queries * (problem.heads / problem.key_heads);
    let groups = [all_rows.div_ceil(rows), problem.key_heads, problem.batch];
    if !launchable(groups) {
        return None;
    }
    let (name, text) = if subgroup { ("by subgroup", SUBGROUP) } else { ("portable", PORTABLE) };
    let kernel = Kernel {
        names: vec!["attention", name],
        constants: vec![
            ("D4", Constant::Whole(problem.vectors)),
            ("D4P", Constant::Whole(padded)),
            ("ROWS", Constant::Whole(rows)),
            ("KEYS", Constant::Whole(KEYS_IN_TILE)),
            ("COLUMNS", Constant::Whole(columns)),
            ("CHUNK", Constant::Whole(chunk)),
            ("VALUES", Constant::Whole(values)),
            ("CAUSAL", Constant::Flag(settings.causal)),
            ("CAPPED", Constant::Flag(settings.soft_cap.is_some())),
        ],
        threads: (rows / 4 * columns) as u32,
        text,
    };
    let [query, key, value] = inputs.map(Buffer::Read);
    launch(client, kernel, groups, &[query, key, value, Buffer::Write(mixed), Buffer::Read(info)]);
    Some(())
}

const FEW_PORTABLE: &[&str] = &[
    include_str!("../../shaders/attention_few.wgsl"),
    include_str!("../../shaders/attention_lanes_portable.wgsl"),
];
const FEW_SUBGROUP: &[&str] = &[
    include_str!("../../shaders/attention_few.wgsl"),
    include_str!("../../shaders/attention_lanes_subgroup.wgsl"),
];
const MERGE: &[&str] = &[include_str!("../../shaders/attention_merge.wgsl")];

fn few(
    client: &Client,
    variant: Variant,
    problem: &Problem,
    settings: &Attention<'_>,
    inputs: [&Handle; 3],
    mixed: &Handle,
    info: &Handle,
) -> Option<()> {
    /// Threads that share a key where they can.
    const TOGETHER: usize = 8;
    let Problem { batch, heads, key_heads, queries, vectors, splits, .. } = *problem;
    let subgroup = by_subgroup(client, variant, TOGETHER)?;
    let all_rows = queries * (heads / key_heads);
    // The workgroup's memory holds 4 rows of the widest heads.
    let rows = all_rows.next_power_of_two().min(if vectors > 32 { 4 } else { 8 });
    let groups = [splits, key_heads, batch * all_rows.div_ceil(rows)];
    let merging = [queries, heads, batch];
    if !(launchable(groups) && launchable(merging)) {
        return None;
    }
    let (name, text) = if subgroup { ("by subgroup", FEW_SUBGROUP) } else { ("portable", FEW_PORTABLE) };
    let kernel = Kernel {
        names: vec!["attention of few", name],
        constants: vec![
            ("D4", Constant::Whole(vectors)),
            ("D4P", Constant::Whole(vectors.next_power_of_two())),
            ("ROWS", Constant::Whole(rows)),
            ("LANES", Constant::Whole(if subgroup { TOGETHER } else { 1 })),
            ("CAUSAL", Constant::Flag(settings.causal)),
            ("CAPPED", Constant::Flag(settings.soft_cap.is_some())),
            ("SINGLE", Constant::Flag(splits == 1)),
        ],
        threads: 128,
        text,
    };
    let [query, key, value] = inputs.map(Buffer::Read);
    if splits == 1 {
        launch(client, kernel, groups, &[query, key, value, Buffer::Write(mixed), Buffer::Read(info)]);
        return Some(());
    }
    let parts = client.empty(batch * heads * queries * splits * (vectors + 1) * 16);
    launch(client, kernel, groups, &[query, key, value, Buffer::Write(&parts), Buffer::Read(info)]);
    let merge = Kernel {
        names: vec!["attention merged"],
        constants: vec![("D4", Constant::Whole(vectors))],
        threads: 64,
        text: MERGE,
    };
    launch(client, merge, merging, &[Buffer::Read(&parts), Buffer::Write(mixed), Buffer::Read(info)]);
    Some(())
}
