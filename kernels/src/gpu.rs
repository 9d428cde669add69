//! Devices that take WGSL, and how a kernel is launched on them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Device, Shape, Tensor};
use burn_cubecl::Cube;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::device::DeviceId;
use burn_cubecl::cubecl::features::Plane;
use burn_cubecl::cubecl::ir::{UIntKind, metadata::Info};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::server::{Handle, KernelArguments};
use burn_cubecl::tensor::CubeTensor;

/// What one workgroup may need, in bytes of its memory and in threads: what every WebGPU device has.
pub(crate) const GROUP_BYTES: usize = 16 * 1024;
const GROUP_THREADS: u32 = 256;
/// Workgroups along one axis of a launch.
pub(crate) const GRID: usize = 65_535;

/// How threads of a workgroup come to a common result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Variant {
    /// By subgroup where the device says that it has them and a kernel's threads fit into one, else portable.
    #[default]
    Auto,
    /// Through the memory of the workgroup, on every device.
    Portable,
    /// Directly, by shuffles within a subgroup; only where [`subgroup_lanes`] are enough.
    Subgroup,
}

/// Whether the kernels run on `device`.
pub fn available(device: &Device) -> bool {
    client(device).is_some()
}

/// The client of a device that takes WGSL.
pub(crate) fn client(device: &Device) -> Option<Client> {
    let DispatchDevice::Cube(device) = device.as_dispatch() else { return None };
    let client = device.client();
    let hardware = &client.properties().hardware;
    let fits = hardware.max_shared_memory_size >= GROUP_BYTES && hardware.max_units_per_cube >= GROUP_THREADS;
    (fits && client.name() == "wgpu<wgsl>").then_some(client)
}

/// Threads that speak to each other directly on `device`, at least: those numbered one after the other, from a multiple
/// of this number on. `None` where there are none. The device is asked by a small kernel, once in a process.
pub fn subgroup_lanes(device: &Device) -> Option<usize> {
    client(device).and_then(|client| lanes(&client))
}

fn lanes(client: &Client) -> Option<usize> {
    static KNOWN: Mutex<Option<HashMap<DeviceId, Option<usize>>>> = Mutex::new(None);
    let device = client.service_id().device;
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *known.get_or_insert_default().entry(device).or_insert_with(|| ask_for_lanes(client))
}

fn ask_for_lanes(client: &Client) -> Option<usize> {
    const THREADS: usize = 128;
    let sizes = client.empty(THREADS * size_of::<u32>());
    let kernel = Kernel { names: vec!["lanes"], constants: Vec::new(), threads: THREADS as u32, text: LANES };
    launch(client, kernel, [1, 1, 1], &[Buffer::Write(&sizes)]);
    let bytes = client.read_one(sizes).ok()?;
    let mut found =
        bytes.chunks_exact(4).filter_map(|four| <[u8; 4]>::try_from(four).ok()).map(u32::from_le_bytes);
    let first = found.next().filter(|size| size.is_power_of_two())?;
    // Other kernels may be given smaller subgroups than this one.
    let least = client.properties().hardware.plane_size_min.min(first);
    found.all(|size| size == first).then_some(least as usize)
}

const LANES: &[&str] = &[include_str!("../../shaders/lanes.wgsl")];

/// Whether a kernel whose threads share work in groups of `together` takes the subgroup variant. `None` where it is
/// asked for and cannot be.
pub(crate) fn by_subgroup(client: &Client, variant: Variant, together: usize) -> Option<bool> {
    let fits = || lanes(client).is_some_and(|lanes| lanes >= together && lanes % together == 0);
    match variant {
        Variant::Portable => Some(false),
        Variant::Subgroup => fits().then_some(true),
        // Software devices have subgroups and do not say so: nothing is gained by them there.
        Variant::Auto => Some(client.features().plane.contains(Plane::Ops) && fits()),
    }
}

/// The value of a constant of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Constant {
    Whole(usize),
    Flag(bool),
}

/// A kernel: files of WGSL behind constants of its own.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    /// What tells its files from other kernels' files.
    pub(crate) names: Vec<&'static str>,
    pub(crate) constants: Vec<(&'static str, Constant)>,
    /// Threads of a workgroup.
    pub(crate) threads: u32,
    pub(crate) text: &'static [&'static str],
}

impl KernelMetadata for Kernel {
    fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or("kernel")
    }

    fn id(&self) -> KernelId {
        // Pipelines are kept by this: everything that makes one text differ from another is in it.
        KernelId::new::<Self>()
            .info((self.names.clone(), self.constants.clone()))
            .cube_dim(CubeDim::new_1d(self.threads).into())
            .mode(ExecutionMode::Unchecked)
    }

    fn address_type(&self) -> ElemType {
        UIntKind::U32.into()
    }
}

impl CubeKernel for Kernel {
    fn define(&self) -> KernelDefinition {
        // Never compiled: the text below stands for it.
        let dim = CubeDim::new_1d(self.threads);
        let settings = KernelSettings::new(dim.0, ExecutionMode::Unchecked, AddressType::U32);
        KernelDefinition { body: Scope::root(settings.clone()), settings, info: Info::default() }
    }

    fn source(&self) -> Option<PrecompiledSource> {
        let constants = self.constants.iter().map(|(name, value)| match value {
            Constant::Whole(n) => format!("const {name}: u32 = {n}u;\n"),
            Constant::Flag(flag) => format!("const {name}: bool = {flag};\n"),
        });
        Some(PrecompiledSource {
            source: constants.chain(self.text.iter().map(|part| format!("{part}\n"))).collect(),
            entrypoint_name: "main".to_owned(),
            lang: "wgsl",
        })
    }
}

/// What a kernel does with a buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Buffer<'a> {
    Read(&'a Handle),
    Write(&'a Handle),
}

/// Launches `kernel` in `groups` workgroups, its bindings in the order of `buffers`.
pub(crate) fn launch(client: &Client, kernel: Kernel, groups: [usize; 3], buffers: &[Buffer<'_>]) {
    let mut arguments = KernelArguments::new();
    for buffer in buffers {
        let (handle, io) = match buffer {
            Buffer::Read(handle) => (handle, BufferIOAttr::ReadOnly),
            Buffer::Write(handle) => (handle, BufferIOAttr::WriteOnly),
        };
        arguments = arguments.with_buffer_io((*handle).clone().binding(), io);
    }
    let [x, y, z] = groups.map(|n| n as u32);
    client.launch(Box::new(kernel), CubeCount::Static(x, y, z), arguments);
}

/// Numbers for a kernel to read.
pub(crate) fn numbers(client: &Client, values: &[u32]) -> Handle {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    client.create_from_slice(&bytes)
}

/// The tensor as it lies in the device's memory, if it is of float32.
pub(crate) fn floats<const D: usize>(tensor: &Tensor<D>) -> Option<CubeTensor> {
    let tensor = tensor.clone().try_into_primitive::<Cube>().ok()?;
    (tensor.dtype == DType::F32 && tensor.qparams.is_none()).then_some(tensor)
}

/// A tensor of float32 over `memory`, row by row.
pub(crate) fn tensor_of<const D: usize>(like: &CubeTensor, memory: Handle, shape: [usize; D]) -> Tensor<D> {
    let tensor = CubeTensor::new_contiguous(
        like.client.clone(),
        like.device.clone(),
        Shape::from(shape),
        memory,
        DType::F32,
    );
    Tensor::from_primitive::<Cube>(tensor)
}

/// Whether every number of `groups` is one that a launch takes.
pub(crate) fn launchable(groups: [usize; 3]) -> bool {
    groups.iter().all(|&n| (1..=GRID).contains(&n))
}
