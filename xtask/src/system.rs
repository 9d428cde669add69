//! What a chore needs of the operating system, whether it is there, and how it gets there.
//!
//! Presence is asked of the thing itself (a program in PATH, a library that loads, a driver's manifest), not of the
//! package manager: that is quick, and true on every distribution. Package names matter only when something is
//! missing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::terminal::{self, find_program, say};

/// One thing that the operating system must provide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A C compiler, for HDF5, zlib and libdeflate.
    Compiler,
    /// `make`, by which CMake builds HDF5.
    Make,
    /// Python 3 with `venv`.
    Python,
    /// The Vulkan loader.
    VulkanLoader,
    /// Some Vulkan driver.
    VulkanDriver,
    /// Mesa's software Vulkan driver (lavapipe), on which the tests draw alike everywhere.
    SoftwareVulkan,
    /// The libraries that open a window on X11.
    X11,
    /// The libraries that open a window on Wayland.
    Wayland,
}

/// The libraries behind a need, by the names under which they are loaded.
const VULKAN_LIBRARIES: &[&str] = &["libvulkan.so.1"];
const X11_LIBRARIES: &[&str] = &[
    "libX11.so.6",
    "libX11-xcb.so.1",
    "libXcursor.so.1",
    "libXi.so.6",
    "libxkbcommon.so.0",
    "libxkbcommon-x11.so.0",
];
const WAYLAND_LIBRARIES: &[&str] = &["libwayland-client.so.0", "libwayland-cursor.so.0", "libxkbcommon.so.0"];

/// Linux distributions by the names that they give to packages, and the other systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Debian, Ubuntu and their kin.
    Debian,
    /// Fedora, RHEL and their kin.
    Fedora,
    /// Arch and its kin.
    Arch,
    /// Another Linux.
    OtherLinux,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
}

impl System {
    /// The system at hand.
    pub fn here() -> Self {
        match std::env::consts::OS {
            "macos" => Self::MacOs,
            "windows" => Self::Windows,
            _ => Self::of_os_release(&std::fs::read_to_string("/etc/os-release").unwrap_or_default()),
        }
    }

    /// The Linux that an `os-release` file describes, by its own name or by those it says it is like.
    fn of_os_release(text: &str) -> Self {
        let names: Vec<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
            .flat_map(|value| {
                value.trim_matches('"').split_whitespace().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        let is = |wanted: &[&str]| names.iter().any(|name| wanted.contains(&name.as_str()));
        if is(&["debian", "ubuntu"]) {
            Self::Debian
        } else if is(&["fedora", "rhel", "centos"]) {
            Self::Fedora
        } else if is(&["arch"]) {
            Self::Arch
        } else {
            Self::OtherLinux
        }
    }

    fn is_linux(self) -> bool {
        !matches!(self, Self::MacOs | Self::Windows)
    }

    /// The command that installs packages here, without the packages.
    fn install_command(self) -> Option<&'static str> {
        match self {
            Self::Debian => Some("sudo apt-get install"),
            Self::Fedora => Some("sudo dnf install"),
            Self::Arch => Some("sudo pacman -S --needed"),
            Self::OtherLinux | Self::MacOs | Self::Windows => None,
        }
    }
}

impl Need {
    /// What is needed, in words.
    fn words(self) -> &'static str {
        match self {
            Self::Compiler => "a C compiler",
            Self::Make => "make",
            Self::Python => "Python 3 with its venv module",
            Self::VulkanLoader => "the Vulkan loader (libvulkan.so.1)",
            Self::VulkanDriver => "a Vulkan driver",
            Self::SoftwareVulkan => "Mesa's software Vulkan driver (lavapipe)",
            Self::X11 => {
                "the X11 client libraries (libX11, libX11-xcb, libXcursor, libXi, libxkbcommon, libxkbcommon-x11)"
            }
            Self::Wayland => {
                "the Wayland client libraries (libwayland-client, libwayland-cursor, libxkbcommon)"
            }
        }
    }

    /// Whether it is there.
    pub fn is_met(self, system: System) -> bool {
        match self {
            // Rust itself links with the C compiler, or on Windows with Visual Studio's linker; where this program
            // was built there is one. The check is for compilers under other names.
            Self::Compiler => {
                system == System::Windows
                    || std::env::var_os("CC").is_some()
                    || ["cc", "gcc", "clang"].iter().any(|name| find_program(name).is_some())
            }
            Self::Make => {
                system == System::Windows
                    || std::env::var_os("CMAKE_GENERATOR").is_some()
                    || find_program("make").is_some()
            }
            Self::Python => crate::python::find((3, 8)).is_some(),
            Self::VulkanLoader => !system.is_linux() || have_libraries(VULKAN_LIBRARIES),
            Self::VulkanDriver => !system.is_linux() || !vulkan_drivers().is_empty(),
            Self::SoftwareVulkan => !system.is_linux() || software_vulkan_driver().is_some(),
            Self::X11 => !system.is_linux() || have_libraries(X11_LIBRARIES),
            Self::Wayland => !system.is_linux() || have_libraries(WAYLAND_LIBRARIES),
        }
    }

    /// The packages that provide it.
    fn packages(self, system: System) -> &'static [&'static str] {
        match (system, self) {
            (System::Debian, Self::Compiler) => &["gcc", "libc6-dev"],
            (System::Debian, Self::Python) => &["python3", "python3-venv"],
            (System::Debian, Self::VulkanLoader) => &["libvulkan1"],
            (System::Debian | System::Fedora, Self::VulkanDriver | Self::SoftwareVulkan) => {
                &["mesa-vulkan-drivers"]
            }
            (System::Debian, Self::X11) => {
                &["libx11-6", "libx11-xcb1", "libxcursor1", "libxi6", "libxkbcommon0", "libxkbcommon-x11-0"]
            }
            (System::Debian, Self::Wayland) => &["libwayland-client0", "libwayland-cursor0", "libxkbcommon0"],
            (System::Fedora, Self::Compiler) => &["gcc"],
            (System::Fedora, Self::Python) => &["python3"],
            (System::Fedora, Self::VulkanLoader) => &["vulkan-loader"],
            (System::Fedora, Self::X11) => {
                &["libX11", "libX11-xcb", "libXcursor", "libXi", "libxkbcommon", "libxkbcommon-x11"]
            }
            (System::Fedora, Self::Wayland) => &["libwayland-client", "libwayland-cursor", "libxkbcommon"],
            (System::Arch, Self::Compiler) => &["gcc"],
            (System::Arch, Self::Python) => &["python"],
            (System::Arch, Self::VulkanLoader) => &["vulkan-icd-loader"],
            (System::Arch, Self::VulkanDriver | Self::SoftwareVulkan) => &["vulkan-swrast"],
            (System::Arch, Self::X11) => {
                &["libx11", "libxcursor", "libxi", "libxkbcommon", "libxkbcommon-x11"]
            }
            (System::Arch, Self::Wayland) => &["wayland", "libxkbcommon"],
            (System::Debian | System::Fedora | System::Arch, Self::Make) => &["make"],
            (System::OtherLinux | System::MacOs | System::Windows, _) => &[],
        }
    }
}

/// Sees to it that all of `needs` are there: installs what is missing where that is allowed, else says how.
///
/// # Errors
/// When something is missing and was not installed; the message holds the command to run.
pub fn ensure(needs: &[Need]) -> Result<()> {
    let system = System::here();
    let missing = missing(needs, system);
    if missing.is_empty() {
        return Ok(());
    }
    if system == System::Debian
        && let Some(prefix) = apt_get()
    {
        install_by_apt(&prefix, &packages(&missing, system))?;
        let missing = self::missing(needs, system);
        if missing.is_empty() {
            return Ok(());
        }
        bail!("{}", advice(&missing, system));
    }
    bail!("{}", advice(&missing, system));
}

fn missing(needs: &[Need], system: System) -> Vec<Need> {
    needs.iter().copied().filter(|need| !need.is_met(system)).collect()
}

fn packages(needs: &[Need], system: System) -> Vec<&'static str> {
    let all: BTreeSet<_> = needs.iter().flat_map(|need| need.packages(system)).copied().collect();
    all.into_iter().collect()
}

/// What to tell the user of `system` about what is missing.
fn advice(missing: &[Need], system: System) -> String {
    let words: Vec<_> = missing.iter().map(|need| need.words()).collect();
    let mut text = format!("missing: {}.\n", words.join("; "));
    text.push_str(&match (system, system.install_command()) {
        (_, Some(command)) => {
            format!(
                "Install with:\n\n    {command} {}\n\nand run this again.",
                packages(missing, system).join(" ")
            )
        }
        (System::MacOs, _) => {
            "Install Apple's command line tools, which bring a compiler, make and Python:\n\n    \
                               xcode-select --install\n\nand run this again."
                .to_owned()
        }
        (System::Windows, _) => "Install Python and Visual Studio's C++ build tools:\n\n    \
                                 winget install Python.Python.3.13 Microsoft.VisualStudio.2022.BuildTools\n\n\
                                 then run this again in a new terminal."
            .to_owned(),
        _ => "Install them with your system's package manager and run this again.".to_owned(),
    });
    text
}

/// How apt-get may be called without a question, where it may: as root, or by a sudo that asks for no password.
fn apt_get() -> Option<Vec<&'static str>> {
    if terminal::is_set("CELL2TEXT_NO_INSTALL") || find_program("apt-get").is_none() {
        return None;
    }
    if terminal::output(Command::new("id").arg("-u")).as_deref() == Some("0") {
        return Some(vec!["apt-get"]);
    }
    // sudo drops the environment, hence `env` for the variable that keeps apt from asking.
    terminal::succeeds(Command::new("sudo").args(["-n", "true"]))
        .then(|| vec!["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
}

fn install_by_apt(prefix: &[&str], packages: &[&str]) -> Result<()> {
    let command = |arguments: &[&str]| {
        let mut command = Command::new(prefix[0]);
        command.args(&prefix[1..]).args(["-q", "-o", "DPkg::Lock::Timeout=300"]).args(arguments);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    let mut install = command(&["install", "-y", "--no-install-recommends"]);
    install.args(packages);
    say(&format!("Installing system packages: {}", packages.join(" ")));
    // Fresh images come without package lists, and old lists name packages that are gone.
    if have_package_lists() && terminal::run(&mut install).is_ok() {
        return Ok(());
    }
    terminal::run(&mut command(&["update"]))?;
    terminal::run(&mut install)
}

fn have_package_lists() -> bool {
    std::fs::read_dir("/var/lib/apt/lists").is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
    })
}

/// Whether the loader would find every one of `names`.
fn have_libraries(names: &[&str]) -> bool {
    let ldconfig = ["/sbin/ldconfig", "/usr/sbin/ldconfig", "ldconfig"];
    let cache = ldconfig.iter().find_map(|program| terminal::output(Command::new(program).arg("-p")));
    let cached: BTreeSet<&str> = cache
        .as_deref()
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let mut folders: Vec<PathBuf> = std::env::var_os("LD_LIBRARY_PATH")
        .map(|paths| std::env::split_paths(&paths).collect())
        .unwrap_or_default();
    folders.extend(["/usr/lib64", "/usr/lib", "/lib", "/usr/local/lib"].map(PathBuf::from));
    names.iter().all(|name| cached.contains(name) || folders.iter().any(|folder| folder.join(name).exists()))
}

/// The manifests of the Vulkan drivers that the loader would find.
fn vulkan_drivers() -> Vec<PathBuf> {
    for name in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
        if let Some(files) = std::env::var_os(name).filter(|value| !value.is_empty()) {
            return std::env::split_paths(&files).filter(|file| file.exists()).collect();
        }
    }
    driver_manifests()
}

/// All installed Vulkan driver manifests, whatever the environment chooses.
fn driver_manifests() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        ["/etc", "/usr/local/etc", "/usr/local/share", "/usr/share"].map(PathBuf::from).to_vec();
    if let Some(paths) = std::env::var_os("XDG_DATA_DIRS") {
        folders.extend(std::env::split_paths(&paths));
    }
    if let Some(home) = std::env::home_dir() {
        folders.push(home.join(".local/share"));
    }
    let mut files: Vec<PathBuf> = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder.join("vulkan/icd.d")).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files.dedup();
    files
}

/// The manifest of lavapipe, where it is installed for this processor.
pub fn software_vulkan_driver() -> Option<PathBuf> {
    let is_lavapipe = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // Distributions that install several architectures name the manifest after each.
        let others = ["x86_64", "aarch64", "i686"].into_iter().filter(|arch| *arch != std::env::consts::ARCH);
        name.starts_with("lvp_icd") && !others.into_iter().any(|arch| name.contains(arch))
    };
    driver_manifests().into_iter().find(|path| is_lavapipe(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_known_by_its_name_or_by_what_it_is_like() {
        assert_eq!(System::of_os_release("NAME=\"Debian GNU/Linux\"\nID=debian\n"), System::Debian);
        assert_eq!(System::of_os_release("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), System::Debian);
        assert_eq!(System::of_os_release("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), System::Fedora);
        assert_eq!(System::of_os_release("ID=arch\n"), System::Arch);
        assert_eq!(System::of_os_release("ID=nixos\n"), System::OtherLinux);
        assert_eq!(System::of_os_release(""), System::OtherLinux);
    }

    #[test]
    fn advice_names_the_command_of_the_system_and_each_package_once() {
        let missing = [Need::X11, Need::Wayland, Need::Make];
        let text = advice(&missing, System::Debian);
        assert!(text.contains("sudo apt-get install "), "{text}");
        assert_eq!(text.matches("libxkbcommon0").count(), 1, "{text}");
        assert!(advice(&missing, System::Fedora).contains("sudo dnf install "));
        assert!(advice(&missing, System::Arch).contains("sudo pacman -S --needed "));
        assert!(advice(&[Need::Python], System::MacOs).contains("xcode-select --install"));
        assert!(advice(&[Need::Python], System::Windows).contains("winget install"));
        assert!(advice(&[Need::VulkanLoader], System::OtherLinux).contains("libvulkan.so.1"));
    }

    #[test]
    fn every_need_has_packages_on_the_distributions_known_by_name() {
        let needs = [
            Need::Compiler,
            Need::Make,
            Need::Python,
            Need::VulkanLoader,
            Need::VulkanDriver,
            Need::SoftwareVulkan,
            Need::X11,
            Need::Wayland,
        ];
        for system in [System::Debian, System::Fedora, System::Arch] {
            for need in needs {
                assert!(!need.packages(system).is_empty(), "{need:?} on {system:?}");
            }
        }
    }
}
