//! Which device computes, and why.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use burn::tensor::{Device, DeviceKind, DeviceType};
use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::{Error, Result};

/// What the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DevicePreference {
    /// A real GPU where there is one, else the CPU.
    #[default]
    Auto,
    /// The GPU through wgpu, even one in software.
    Wgpu,
    /// An NVIDIA GPU through CUDA, in a program that was built with the feature `cuda`.
    Cuda,
    /// The CPU.
    Cpu,
}

impl FromStr for DevicePreference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "wgpu" => Ok(Self::Wgpu),
            "cuda" => Ok(Self::Cuda),
            "cpu" => Ok(Self::Cpu),
            other => Err(Error::request(Problem::new(
                "--device",
                other,
                "auto, wgpu, cuda or cpu",
                "Name one of these.",
            ))),
        }
    }
}

impl fmt::Display for DevicePreference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
            Self::Cpu => "cpu",
        })
    }
}

/// A device that computes, with the reason for its choice.
#[derive(Debug, Clone)]
pub struct ChosenDevice {
    /// The device.
    pub device: Device,
    /// Its name for people.
    pub name: String,
    /// Why it was chosen.
    pub reason: String,
}

impl ChosenDevice {
    /// Whether it is the CPU, which computes in the machine's own memory.
    pub fn is_cpu(&self) -> bool {
        self.device == Device::flex()
    }
}

/// One device of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceInfo {
    /// What to say to `--device`.
    pub preference: DevicePreference,
    /// Its name.
    pub name: String,
    /// Whether it computes in hardware made for it.
    pub accelerated: bool,
    /// What to know about it.
    pub note: String,
}

/// Chooses a device: a real GPU where there is one, else the CPU, unless `preference` says otherwise.
///
/// # Errors
/// [`Error::Device`] when wgpu was asked for by name and no adapter works.
pub fn choose_device(preference: DevicePreference) -> Result<ChosenDevice> {
    match preference {
        DevicePreference::Cpu => Ok(cpu("asked for by --device cpu")),
        DevicePreference::Cuda => cuda_devices()?
            .into_iter()
            .map(|(device, name)| ChosenDevice {
                device,
                name,
                reason: "asked for by --device cuda".to_owned(),
            })
            .next()
            .ok_or_else(|| {
                no_cuda("no NVIDIA GPU that answers", "Install NVIDIA's driver, or use --device auto.")
            }),
        DevicePreference::Auto => match first_gpu() {
            Some((device, name)) => {
                Ok(ChosenDevice { device, name, reason: "the first real GPU found".to_owned() })
            }
            None => Ok(cpu("no real GPU was found")),
        },
        DevicePreference::Wgpu => {
            let reason = "asked for by --device wgpu";
            if let Some((device, name)) = first_gpu() {
                return Ok(ChosenDevice { device, name, reason: reason.to_owned() });
            }
            let software = software_gpu().map_err(|e| {
                Error::device(Problem::new(
                    "wgpu",
                    format!("no working adapter ({e})"),
                    "a GPU with a Vulkan, Metal or Direct3D 12 driver",
                    "Install the driver of the graphics card, or use --device cpu.",
                ))
            })?;
            let name = adapter_name(&software);
            Ok(ChosenDevice {
                device: software,
                name,
                reason: format!("{reason}; it is computed in software"),
            })
        }
    }
}

/// The devices that share work on many cells: all real GPUs of this machine, or where there is none, or `preference` asks
/// for the CPU, the one of [`choose_device`].
///
/// # Errors
/// As [`choose_device`].
pub fn choose_devices(preference: DevicePreference) -> Result<Vec<ChosenDevice>> {
    let gpus: Vec<ChosenDevice> = match preference {
        DevicePreference::Cpu => Vec::new(),
        DevicePreference::Cuda => cuda_devices()?
            .into_iter()
            .map(|(device, name)| ChosenDevice { device, name, reason: "a GPU with CUDA".to_owned() })
            .collect(),
        DevicePreference::Auto | DevicePreference::Wgpu => real_gpus()
            .map(|(device, name)| ChosenDevice { device, name, reason: "a real GPU".to_owned() })
            .collect(),
    };
    if gpus.is_empty() { Ok(vec![choose_device(preference)?]) } else { Ok(gpus) }
}

/// Every device of this machine, best first.
pub fn devices() -> Vec<DeviceInfo> {
    let mut found = Vec::new();
    for device in wgpu_devices() {
        let Some(identity) = device.identity() else { continue };
        let accelerated = identity.physical.is_some();
        let note = if accelerated {
            "real GPU"
        } else {
            "software rendering: right, but slower than the CPU itself"
        };
        let info = DeviceInfo {
            preference: DevicePreference::Wgpu,
            name: format!("{} (wgpu)", identity.name),
            accelerated,
            note: note.to_owned(),
        };
        if !found.contains(&info) {
            found.push(info);
        }
    }
    let with_cuda = cuda_devices().unwrap_or_default().into_iter().map(|(_, name)| DeviceInfo {
        preference: DevicePreference::Cuda,
        name,
        accelerated: true,
        note: "real GPU".to_owned(),
    });
    found.extend(with_cuda);
    found.sort_by_key(|d| !d.accelerated);
    let cpu = cpu("");
    let note = "always works".to_owned();
    found.push(DeviceInfo { preference: DevicePreference::Cpu, name: cpu.name, accelerated: false, note });
    found
}

fn cpu(reason: &str) -> ChosenDevice {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let plural = if threads == 1 { "" } else { "s" };
    ChosenDevice {
        device: Device::flex(),
        name: format!("CPU ({threads} thread{plural})"),
        reason: reason.to_owned(),
    }
}

/// wgpu's adapters. A driver that panics while it is asked counts as none: the CPU still works.
fn wgpu_devices() -> Vec<Device> {
    std::panic::catch_unwind(|| Device::enumerate(DeviceType::Wgpu).into_vec()).unwrap_or_default()
}

/// Whether the system could have a real GPU at all. Asking the graphics drivers costs a quarter of a second and, on
/// servers, lines of complaint from libraries that miss a display.
fn gpu_is_possible() -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    let entries =
        |folder: &str| std::fs::read_dir(folder).into_iter().flatten().filter_map(std::result::Result::ok);
    let named = |folder: &str, prefix: &str| {
        entries(folder).any(|e| e.file_name().to_string_lossy().starts_with(prefix))
    };
    // Render nodes of the kernel's drivers, NVIDIA's own devices, and the GPU of Windows seen from its Linux.
    named("/dev/dri", "renderD") || named("/dev", "nvidia") || named("/dev", "dxg")
}

/// The GPUs that CUDA works on, with their names.
#[cfg(feature = "cuda")]
fn cuda_devices() -> Result<Vec<(Device, String)>> {
    // A library of CUDA that is missing panics where it is asked.
    let found = std::panic::catch_unwind(|| Device::enumerate(DeviceType::Cuda).into_vec());
    let found = found.map_err(|_| {
        no_cuda(
            "that CUDA's libraries cannot be used",
            "Install NVIDIA's driver and NVRTC, or use --device auto.",
        )
    })?;
    let named = |device: Device| {
        let name = device.identity().map_or_else(|| "GPU".to_owned(), |identity| identity.name.to_string());
        (device, format!("{name} (CUDA)"))
    };
    Ok(found.into_iter().map(named).collect())
}

/// There is none in a program without CUDA.
///
/// # Errors
/// Always: how such a program is built.
#[cfg(not(feature = "cuda"))]
fn cuda_devices() -> Result<Vec<(Device, String)>> {
    let remedy = "Use --device wgpu, which runs on NVIDIA's GPUs too, or build with --features cuda (docs/building.md).";
    Err(no_cuda("a program that was built without CUDA", remedy))
}

fn no_cuda(found: &str, remedy: &str) -> Error {
    Error::device(Problem::new("cuda", found, "a GPU of NVIDIA and its driver", remedy))
}

fn first_gpu() -> Option<(Device, String)> {
    real_gpus().next()
}

/// The real GPUs that wgpu works on, with their names.
fn real_gpus() -> impl Iterator<Item = (Device, String)> {
    let devices = if gpu_is_possible() { wgpu_devices() } else { Vec::new() };
    devices.into_iter().filter_map(|device| {
        let identity = std::panic::catch_unwind(|| device.identity()).ok()??;
        identity.physical.is_some().then(|| (device, format!("{} (wgpu)", identity.name)))
    })
}

/// wgpu's software adapter. A device can be set up once in a process; who asks again gets the same.
fn software_gpu() -> std::result::Result<Device, String> {
    static SOFTWARE: OnceLock<std::result::Result<Device, String>> = OnceLock::new();
    SOFTWARE
        .get_or_init(|| Device::wgpu_options().device_kind(DeviceKind::Cpu).init().map_err(|e| e.to_string()))
        .clone()
}

fn adapter_name(device: &Device) -> String {
    device.identity().map_or_else(|| "GPU (wgpu)".to_owned(), |i| format!("{} (wgpu)", i.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there_and_last() {
        let all = devices();
        assert_eq!(all.last().unwrap().preference, DevicePreference::Cpu);
        assert!(choose_device(DevicePreference::Cpu).unwrap().name.starts_with("CPU"));
    }

    #[test]
    fn cuda_is_chosen_by_name_alone_and_says_what_it_lacks() {
        assert_eq!("cuda".parse::<DevicePreference>().unwrap().to_string(), "cuda");
        match choose_device(DevicePreference::Cuda) {
            Ok(chosen) => assert!(chosen.name.ends_with("(CUDA)")),
            Err(e) => {
                let text = e.to_string();
                let remedy = if cfg!(feature = "cuda") { "NVIDIA's driver" } else { "--features cuda" };
                assert!(text.contains(remedy), "{text}");
            }
        }
    }

    #[test]
    fn wgpu_can_be_chosen_again_in_the_same_process() {
        match choose_device(DevicePreference::Wgpu) {
            Ok(first) => assert_eq!(choose_device(DevicePreference::Wgpu).unwrap().name, first.name),
            Err(e) => crate::test_support::skipped(&e.to_string()),
        }
    }

    #[test]
    fn a_preference_reads_back_as_it_is_written() {
        for p in [DevicePreference::Auto, DevicePreference::Wgpu, DevicePreference::Cpu] {
            assert_eq!(p.to_string().parse::<DevicePreference>().unwrap(), p);
        }
        assert!("tpu".parse::<DevicePreference>().is_err());
    }
}
