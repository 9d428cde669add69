//! Matrices that stay packed in the device's memory, in blocks of 32 numbers of 8 or 4 bits with one float16 scale, and
//! products with them.
//!
//! The layout is that of the engine's blocks (and of `Q8_0` and `Q4_0` in the ggml library, numbers and scales apart).
//! What one binding of a device cannot hold lies in slabs of rows.

use std::fmt;

use burn::tensor::{DType, Device, Int, IntDType, Tensor};
use burn_cubecl::Cube;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::server::Handle;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use crate::gpu::{
    Buffer, Constant, GRID, Kernel, Variant, by_subgroup, client, floats, launch, launchable, numbers,
    tensor_of,
};

/// Numbers in a block.
const BLOCK: usize = 32;
/// Up to this many vectors, each row of the matrix meets all of them as it is read.
const FEW_VECTORS: usize = 4;
/// The most that one binding holds on every WebGPU device, in bytes.
const SLAB_BYTES: usize = 128 * 1024 * 1024;
/// Rows of a workgroup; `ROWS` in blocks_vector.wgsl.
const ROWS: usize = 4;
/// Rows and vectors of a workgroup; `SIDE` in blocks_matrix.wgsl.
const SIDE: usize = 64;

/// How the numbers of a product with few vectors are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arithmetic {
    /// As float32.
    #[default]
    Float,
    /// As whole numbers, four at a time (`dot4I8Packed`), the vectors brought to 8 bits in blocks first: a hundredth of
    /// a part is lost. Only with up to four vectors; with more, as float32.
    Integer,
}

/// A matrix `[rows, columns]` in blocks in the memory of a device.
pub struct Packed {
    client: Client,
    rows: usize,
    columns: usize,
    bits: usize,
    slabs: Vec<Slab>,
    bias: Option<Handle>,
}

/// Some rows of a matrix.
struct Slab {
    words: Handle,
    scales: Handle,
    first: usize,
    rows: usize,
    /// What products with few vectors read; it never changes.
    info: Handle,
    /// Workgroups of such a product.
    groups: [usize; 3],
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed([{}, {}], {} bits)", self.rows, self.columns, self.bits)
    }
}

impl Packed {
    /// Brings a matrix to `device`: of `numbers` `bits` a number and `scales` the bits of a float16 a block, row by row,
    /// each row filled up to whole blocks. `bias` `[rows]` is added to every product.
    ///
    /// `None` where the kernels do not run, where a row is larger than a binding, or where the parts do not fit.
    pub fn new(
        device: &Device,
        [rows, columns]: [usize; 2],
        bits: usize,
        numbers: &[u8],
        scales: &[u16],
        bias: Option<&[f32]>,
    ) -> Option<Self> {
        Self::in_slabs(device, [rows, columns], bits, numbers, scales, bias, SLAB_BYTES)
    }

    /// [`Packed::new`] in slabs of at most `slab_bytes` each.
    pub fn in_slabs(
        device: &Device,
        [rows, columns]: [usize; 2],
        bits: usize,
        block_numbers: &[u8],
        scales: &[u16],
        bias: Option<&[f32]>,
        slab_bytes: usize,
    ) -> Option<Self> {
        let client = client(device)?;
        let per_row = columns.div_ceil(BLOCK);
        let row_bytes = per_row.checked_mul(BLOCK * bits / 8)?;
        let binding = client.properties().memory.max_page_size;
        let limit = slab_bytes.min(usize::try_from(binding).unwrap_or(usize::MAX));
        let fits = matches!(bits, 4 | 8)
            && row_bytes > 0
            && rows > 0
            && block_numbers.len() == rows.checked_mul(row_bytes)?
            && scales.len() == rows * per_row
            && bias.is_none_or(|bias| bias.len() == rows);
        let rows_in_slab = limit / row_bytes.max(1);
        if !fits || rows_in_slab == 0 {
            return None;
        }
        // Weights stay as long as the model does.
        let (slabs, bias) = client.memory_persistent_allocation((), |()| {
            let parts = block_numbers.chunks(rows_in_slab * row_bytes);
            let slabs: Vec<Slab> = parts
                .zip(scales.chunks(rows_in_slab * per_row))
                .enumerate()
                .map(|(n, (numbers, scales))| {
                    let (first, height) = (n * rows_in_slab, numbers.len() / row_bytes);
                    Slab::new(&client, numbers, scales, [first, height, rows, per_row])
                })
                .collect();
            let bias = bias.map(|bias| {
                let bits: Vec<u32> = bias.iter().map(|x| x.to_bits()).collect();
                numbers(&client, &bits)
            });
            (slabs, bias)
        });
        Some(Self { client, rows, columns, bits, slabs, bias })
    }

    /// Rows and columns.
    pub fn dims(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// Bits a number.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// Slabs that it lies in.
    pub fn slabs(&self) -> usize {
        self.slabs.len()
    }

    /// Bytes in the device's memory, without what little the kernels read beside.
    pub fn bytes(&self) -> usize {
        let blocks = self.rows * self.per_row();
        blocks * BLOCK * self.bits / 8 + blocks * 2 + self.bias.as_ref().map_or(0, |_| self.rows * 4)
    }

    fn per_row(&self) -> usize {
        self.columns.div_ceil(BLOCK)
    }

    /// Numbers and scales as they were given; `None` where the device does not give them back.
    pub fn read(&self) -> Option<(Vec<u8>, Vec<u16>)> {
        let (mut numbers, mut scales) = (Vec::new(), Vec::new());
        for slab in &self.slabs {
            let blocks = slab.rows * self.per_row();
            let bytes = self.client.read_one(slab.words.clone()).ok()?;
            numbers.extend_from_slice(bytes.get(..blocks * BLOCK * self.bits / 8)?);
            let bytes = self.client.read_one(slab.scales.clone()).ok()?;
            let pairs = bytes.get(..blocks * 2)?.chunks_exact(2);
            scales.extend(pairs.filter_map(|two| <[u8; 2]>::try_from(two).ok()).map(u16::from_le_bytes));
        }
        Some((numbers, scales))
    }

    /// `x` times the matrix turned round, plus the bias.
    ///
    /// `None` where `x` is not of float32 without gradients on the matrix's device.
    ///
    /// # Shapes
    /// `x`: `[batch, tokens, columns]`; returns `[batch, tokens, rows]`
    pub fn product(&self, x: &Tensor<3>) -> Option<Tensor<3>> {
        self.product_by(Variant::Auto, Arithmetic::Float, x)
    }

    /// [`Packed::product`] by a variant of the kernels.
    pub fn product_by(&self, variant: Variant, arithmetic: Arithmetic, x: &Tensor<3>) -> Option<Tensor<3>> {
        let [batch, tokens, columns] = x.dims();
        let count = batch * tokens;
        if count == 0 || columns != self.columns {
            return None;
        }
        let vectors = self.filled_up(x, count)?;
        let out = self.client.empty(count * self.rows * size_of::<f32>());
        if count <= FEW_VECTORS {
            self.few(variant, arithmetic, &vectors, count, &out)?;
        } else {
            self.many(&vectors, count, &out)?;
        }
        Some(tensor_of(&vectors, out, [batch, tokens, self.rows]))
    }

    /// `x` as `count` rows of whole blocks, one behind the other.
    fn filled_up(&self, x: &Tensor<3>, count: usize) -> Option<CubeTensor> {
        // Checked before anything is computed with it.
        let as_it_is = floats(x)?;
        if as_it_is.client.service_id() != self.client.service_id() {
            return None;
        }
        if self.columns % BLOCK == 0 {
            return Some(into_contiguous(as_it_is));
        }
        let full = Tensor::<2>::zeros([count, self.per_row() * BLOCK], &x.device());
        let x = x.clone().reshape([count, self.columns]);
        floats(&full.slice_assign([0..count, 0..self.columns], x)).map(into_contiguous)
    }

    fn few(
        &self,
        variant: Variant,
        arithmetic: Arithmetic,
        vectors: &CubeTensor,
        count: usize,
        out: &Handle,
    ) -> Option<()> {
        /// Threads that add up directly where they can; the number in blocks_sum_subgroup.wgsl.
        const TOGETHER: usize = 8;
        let client = &self.client;
        let subgroup = by_subgroup(client, variant, TOGETHER)?;
        let eighths = match arithmetic {
            Arithmetic::Float => None,
            Arithmetic::Integer => Some(in_eight_bits(client, vectors, count * self.per_row())),
        };
        let (names, text) = match (&eighths, subgroup) {
            (None, false) => (["blocks by vector", "float, portable"], VECTOR_FLOAT_PORTABLE),
            (None, true) => (["blocks by vector", "float, by subgroup"], VECTOR_FLOAT_SUBGROUP),
            (Some(_), false) => (["blocks by vector", "integer, portable"], VECTOR_INTEGER_PORTABLE),
            (Some(_), true) => (["blocks by vector", "integer, by subgroup"], VECTOR_INTEGER_SUBGROUP),
        };
        let kernel = Kernel {
            names: names.to_vec(),
            constants: vec![
                ("BITS", Constant::Whole(self.bits)),
                ("COUNT", Constant::Whole(count)),
                ("BIAS", Constant::Flag(self.bias.is_some())),
            ],
            threads: 64,
            text,
        };
        for slab in &self.slabs {
            let mut buffers = self.buffers(slab, &slab.info, out).to_vec();
            match &eighths {
                None => buffers.push(Buffer::Read(&vectors.handle)),
                Some((numbers, scales)) => buffers.extend([Buffer::Read(numbers), Buffer::Read(scales)]),
            }
            launch(client, kernel.clone(), slab.groups, &buffers);
        }
        Some(())
    }

    fn many(&self, vectors: &CubeTensor, count: usize, out: &Handle) -> Option<()> {
        let kernel = Kernel {
            names: vec!["blocks by matrix"],
            constants: vec![
                ("BITS", Constant::Whole(self.bits)),
                ("BIAS", Constant::Flag(self.bias.is_some())),
            ],
            threads: 256,
            text: MATRIX,
        };
        let groups = |slab: &Slab| [slab.rows.div_ceil(SIDE), count.div_ceil(SIDE), 1];
        if !self.slabs.iter().all(|slab| launchable(groups(slab))) {
            return None;
        }
        for slab in &self.slabs {
            let info = [self.per_row(), slab.rows, slab.first, self.rows, count].map(|n| n as u32);
            let info = numbers(&self.client, &info);
            let mut buffers = self.buffers(slab, &info, out).to_vec();
            buffers.push(Buffer::Read(&vectors.handle));
            launch(&self.client, kernel.clone(), groups(slab), &buffers);
        }
        Some(())
    }

    fn buffers<'a>(&'a self, slab: &'a Slab, info: &'a Handle, out: &'a Handle) -> [Buffer<'a>; 5] {
        // Every binding that a kernel names needs a buffer; without a bias this one is not read.
        let bias = self.bias.as_ref().unwrap_or(info);
        [
            Buffer::Read(&slab.words),
            Buffer::Read(&slab.scales),
            Buffer::Read(bias),
            Buffer::Write(out),
            Buffer::Read(info),
        ]
    }

    /// The rows of the numbers `wanted`, as float32; zeros for a number that no row has.
    ///
    /// `None` where `wanted` does not lie on the matrix's device.
    ///
    /// # Shapes
    /// `wanted`: `[batch, tokens]`; returns `[batch, tokens, columns]`
    pub fn rows(&self, wanted: &Tensor<2, Int>) -> Option<Tensor<3>> {
        let [batch, tokens] = wanted.dims();
        let ids = wanted.clone().cast(IntDType::I32).try_into_primitive::<Cube>().ok()?;
        let ids = into_contiguous(ids);
        let groups = [self.columns.div_ceil(64), batch * tokens, 1];
        let here = ids.client.service_id() == self.client.service_id() && ids.dtype == DType::I32;
        if !here || !launchable(groups) {
            return None;
        }
        let out = self.client.empty(batch * tokens * self.columns * size_of::<f32>());
        for slab in &self.slabs {
            let kernel = Kernel {
                names: vec!["rows of blocks"],
                constants: vec![
                    ("BITS", Constant::Whole(self.bits)),
                    ("FIRST", Constant::Flag(slab.first == 0)),
                ],
                threads: 64,
                text: ROWS_OF_BLOCKS,
            };
            let info = [self.per_row(), slab.rows, slab.first, self.columns].map(|n| n as u32);
            let info = numbers(&self.client, &info);
            let buffers = [
                Buffer::Read(&slab.words),
                Buffer::Read(&slab.scales),
                Buffer::Read(&ids.handle),
                Buffer::Write(&out),
                Buffer::Read(&info),
            ];
            launch(&self.client, kernel, groups, &buffers);
        }
        Some(tensor_of(&ids, out, [batch, tokens, self.columns]))
    }
}

impl Slab {
    fn new(client: &Client, words: &[u8], scales: &[u16], [first, height, all, per_row]: [usize; 4]) -> Self {
        // Two scales a word.
        let mut bytes: Vec<u8> = scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let groups = height.div_ceil(ROWS);
        // Beside each other as many as a launch takes, the others below.
        let beside = groups.min(GRID);
        Self {
            words: client.create_from_slice(words),
            scales: client.create_from_slice(&bytes),
            first,
            rows: height,
            info: numbers(client, &[per_row, height, first, all, beside].map(|n| n as u32)),
            groups: [beside, groups.div_ceil(beside), 1],
        }
    }
}

/// `vectors` in blocks of 8 bits: numbers and scales.
fn in_eight_bits(client: &Client, vectors: &CubeTensor, blocks: usize) -> (Handle, Handle) {
    let groups = blocks.div_ceil(64);
    let beside = groups.min(GRID);
    let out = (client.empty(blocks * BLOCK), client.empty(blocks * size_of::<f32>()));
    let info = numbers(client, &[blocks, beside].map(|n| n as u32));
    let kernel =
        Kernel { names: vec!["vectors to blocks"], constants: Vec::new(), threads: 64, text: VECTORS };
    let buffers =
        [Buffer::Read(&vectors.handle), Buffer::Write(&out.0), Buffer::Write(&out.1), Buffer::Read(&info)];
    launch(client, kernel, [beside, groups.div_ceil(beside), 1], &buffers);
    out
}

const VECTOR_FLOAT_PORTABLE: &[&str] = &[
    include_str!("../../shaders/blocks_vector.wgsl"),
    include_str!("../../shaders/blocks_vector_float.wgsl"),
    include_str!("../../shaders/blocks_sum_portable.wgsl"),
];
const VECTOR_FLOAT_SUBGROUP: &[&str] = &[
    include_str!("../../shaders/blocks_vector.wgsl"),
    include_str!("../../shaders/blocks_vector_float.wgsl"),
    include_str!("../../shaders/blocks_sum_subgroup.wgsl"),
];
const VECTOR_INTEGER_PORTABLE: &[&str] = &[
    include_str!("../../shaders/blocks_vector.wgsl"),
    include_str!("../../shaders/blocks_vector_integer.wgsl"),
    include_str!("../../shaders/blocks_sum_portable.wgsl"),
];
const VECTOR_INTEGER_SUBGROUP: &[&str] = &[
    include_str!("../../shaders/blocks_vector.wgsl"),
    include_str!("../../shaders/blocks_vector_integer.wgsl"),
    include_str!("../../shaders/blocks_sum_subgroup.wgsl"),
];
const VECTORS: &[&str] = &[include_str!("../../shaders/blocks_vectors.wgsl")];
const MATRIX: &[&str] = &[include_str!("../../shaders/blocks_matrix.wgsl")];
const ROWS_OF_BLOCKS: &[&str] = &[include_str!("../../shaders/blocks_rows.wgsl")];
