//! The names that `cubecl-cuda` takes from `cubecl-llvm`, without LLVM behind them.
//!
//! `cubecl-cuda` holds two compilers and is linked with both: one by LLVM, whose build script fetches LLVM, and one that
//! writes CUDA C++ for NVIDIA's own compiler, NVRTC, which its feature `cpp` makes the one that is used. With that feature
//! nothing here is called. Where it is missing, the first kernel fails with a message that names it.

use std::fmt;

use cubecl_core::ir::DeviceProperties;
use cubecl_core::ir::nvidia::SmArch;
use cubecl_environment::backtrace::BackTrace;
use cubecl_runtime::compiler::{CompilationError, Compiler};
use cubecl_runtime::kernel::{BufferIOAttr, KernelDefinition};

use nvptx::ptx_version::PtxVersion;

/// Versions of NVIDIA's assembly language.
pub mod nvptx {
    /// The version that a driver takes.
    pub mod ptx_version {
        use std::fmt;

        /// A version; there is none without LLVM.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum PtxVersion {}

        impl PtxVersion {
            /// None: nothing is emitted.
            pub fn for_driver(_: i32) -> Option<Self> {
                None
            }
        }

        impl fmt::Display for PtxVersion {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {}
            }
        }
    }
}

/// What a device offers.
pub mod shared {
    /// What is left of it with this compiler.
    pub mod lowered_features {
        use super::super::DeviceProperties;

        /// Whose devices.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum GpuTarget {
            /// NVIDIA's.
            Nvptx,
        }

        /// Leaves everything: no kernel is compiled here.
        pub fn restrict_features(_: &mut DeviceProperties, _: GpuTarget) {}
    }
}

/// For whom a kernel is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LlvmTarget {
    /// NVIDIA's GPUs.
    Nvptx,
}

/// What a kernel is compiled with.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlironOptions {
    /// Of AMD's GPUs.
    pub arch: Option<()>,
    /// Of NVIDIA's GPUs.
    pub sm_arch: Option<SmArch>,
    /// Of NVIDIA's assembly language.
    pub ptx_version: Option<PtxVersion>,
    /// How parameters are passed.
    pub grid_constants: bool,
    /// Of LLVM's other targets, which have more options.
    pub others: (),
}

/// A compiled kernel; there is none without LLVM.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// Assembly, ending in zero.
    pub ptx: Vec<core::ffi::c_char>,
    /// The name of the kernel in it.
    pub entrypoint: String,
    /// What it was made of.
    pub ir: String,
    /// Shared memory of a launch, in bytes.
    pub shared_memory_size: usize,
    /// What it does to each buffer.
    pub io: Vec<BufferIOAttr>,
    never: PtxVersion,
}

/// What compiling gives.
#[derive(Clone, Debug)]
pub enum PlironArtifact {
    /// For NVIDIA's GPUs.
    NvptxCode(NvptxModule),
    /// For others.
    Other(PtxVersion),
}

impl fmt::Display for PlironArtifact {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NvptxCode(module) => match module.never {},
            Self::Other(never) => match *never {},
        }
    }
}

/// The compiler that is not there.
#[derive(Clone, Copy, Debug)]
pub struct PlironCompiler {
    /// For whom it would compile.
    pub target: LlvmTarget,
}

impl Compiler for PlironCompiler {
    type Representation = PlironArtifact;
    type CompilationOptions = PlironOptions;

    fn compile(
        &mut self,
        _: KernelDefinition,
        _: &PlironOptions,
    ) -> Result<PlironArtifact, CompilationError> {
        Err(CompilationError::Generic {
            reason: "this program was built without LLVM and without the feature `cuda-nvrtc`: build it with that feature".into(),
            backtrace: BackTrace::capture(),
        })
    }

    fn extension(&self) -> &'static str {
        "ll"
    }

    fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}
