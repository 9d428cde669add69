//! `cargo xtask package`: the release build as one archive that a user can unpack and start.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::setup::{Setup, Wants, program_file};
use crate::terminal::{self, say};

mod notices;

/// Files of the repository and where they lie in the package. The folder `share` has the layout of `~/.local/share`.
const FILES: &[(&str, &str)] = &[
    ("README.md", "README.md"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("assets/SOURCES.md", "SOURCES.md"),
    ("packaging/README.md", "INSTALL.md"),
    ("packaging/cell2text.desktop", "share/applications/cell2text.desktop"),
    ("packaging/cell2text.metainfo.xml", "share/metainfo/io.github.cell2text.metainfo.xml"),
    ("packaging/cell2text-mime.xml", "share/mime/packages/cell2text.xml"),
    ("packaging/cell2text.svg", "share/icons/hicolor/scalable/apps/cell2text.svg"),
];

/// Builds for release and packs the result.
///
/// # Errors
/// When the build fails or a file cannot be read or written.
pub fn run(root: &Path) -> Result<()> {
    let setup = Setup::prepare(root, Wants { build: true, ..Wants::default() })?;
    terminal::run(&mut setup.cargo(&["build", "--release", "--package", "app"]))?;
    let target = host_target()?;
    let name = format!("cell2text-{}-{target}", env!("CARGO_PKG_VERSION"));
    let packages = setup.target_dir().join("package");
    let folder = packages.join(&name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("could not empty {}", folder.display()))?;
    }

    copy(&setup.target_dir().join("release").join(program_file()), &folder.join(program_file()))?;
    for (from, to) in FILES {
        copy(&root.join(from), &folder.join(to))?;
    }
    let notices = notices::collect(setup.cargo(&[]), &target)?;
    let notices_file = folder.join("THIRD-PARTY-LICENSES.txt");
    std::fs::write(&notices_file, notices)
        .with_context(|| format!("could not write {}", notices_file.display()))?;

    let archive = packages.join(format!("{name}.tar.gz"));
    let bytes = pack(&folder, &name)?;
    std::fs::write(&archive, &bytes).with_context(|| format!("could not write {}", archive.display()))?;
    let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let sum_file = packages.join(format!("{name}.tar.gz.sha256"));
    std::fs::write(&sum_file, format!("{sum}  {name}.tar.gz\n"))
        .with_context(|| format!("could not write {}", sum_file.display()))?;
    say(&format!("{} ({:.1} MB)", archive.display(), bytes.len() as f64 / 1e6));
    say(&format!("sha256 {sum}"));
    Ok(())
}

/// The target that a plain `cargo build` builds for.
fn host_target() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    terminal::output(Command::new(rustc).arg("-vV"))
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix("host: ").map(str::to_owned)))
        .context("rustc did not say what it builds for")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    }
    std::fs::copy(from, to)
        .with_context(|| format!("could not copy {} to {}", from.display(), to.display()))
        .map(|_| ())
}

/// `folder` as a gzipped tar in which everything lies under `name`.
fn pack(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let mut files = Vec::new();
    list(folder, &mut files)?;
    files.sort();
    let time = packing_time();
    let mut tar = GzEncoder::new(Vec::new(), Compression::best());
    for file in files {
        let inside = file.strip_prefix(folder).context("a listed file lies outside the package")?;
        let inside = inside.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
        let bytes = std::fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
        let mode = if inside == program_file() { 0o755 } else { 0o644 };
        tar.write_all(&tar_header(&format!("{name}/{inside}"), bytes.len(), mode, time)?)?;
        tar.write_all(&bytes)?;
        tar.write_all(&vec![0; bytes.len().next_multiple_of(512) - bytes.len()])?;
    }
    tar.write_all(&[0; 1024])?;
    Ok(tar.finish()?)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("could not list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// The time that the archive's files bear: `SOURCE_DATE_EPOCH` where set, so that two builds can be compared.
fn packing_time() -> u64 {
    std::env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// The header of one file in a POSIX (ustar) archive: 512 bytes, numbers in octal.
fn tar_header(path: &str, size: usize, mode: u32, time: u64) -> Result<[u8; 512]> {
    let mut header = [0_u8; 512];
    let mut put = |start: usize, bytes: &[u8]| header[start..start + bytes.len()].copy_from_slice(bytes);
    // Paths over 100 bytes are split at a slash into a name and a prefix of at most 155.
    let (prefix, name) = if path.len() <= 100 {
        ("", path)
    } else {
        path.match_indices('/')
            .map(|(at, _)| (&path[..at], &path[at + 1..]))
            .find(|(prefix, name)| prefix.len() <= 155 && name.len() <= 100)
            .with_context(|| format!("the path {path} is too long for a tar archive"))?
    };
    if size >= 1 << 33 {
        bail!("{path} is too large for a tar archive");
    }
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{time:011o}\0").as_bytes());
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(345, prefix.as_bytes());
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_holds_name_size_and_a_sum_over_itself() {
        let header = tar_header("a/b.txt", 10, 0o644, 1).unwrap();
        assert!(header.starts_with(b"a/b.txt\0"));
        assert_eq!(&header[124..136], b"00000000012\0");
        let sum: u32 = header
            .iter()
            .enumerate()
            .map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) })
            .sum();
        assert_eq!(&header[148..156], format!("{sum:06o}\0 ").as_bytes());
    }

    #[test]
    fn a_long_path_is_split_and_a_hopeless_one_refused() {
        let path = format!("{}/{}", "d".repeat(80), "f".repeat(60));
        let header = tar_header(&path, 0, 0o644, 0).unwrap();
        assert!(header.starts_with("f".repeat(60).as_bytes()));
        assert!(header[345..].starts_with("d".repeat(80).as_bytes()));
        assert!(tar_header(&"f".repeat(101), 0, 0o644, 0).is_err());
    }

    #[test]
    fn a_packed_folder_is_what_tar_unpacks() {
        if terminal::find_program("tar").is_none() {
            say("SKIPPED: there is no tar here to unpack with");
            return;
        }
        let folder = std::env::temp_dir().join(format!("cell2text-package-test-{}", std::process::id()));
        let source = folder.join("source");
        std::fs::create_dir_all(source.join("share")).unwrap();
        std::fs::write(source.join("README.md"), "hello").unwrap();
        std::fs::write(source.join("share/icon.svg"), vec![b'x'; 1000]).unwrap();
        std::fs::write(folder.join("p.tar.gz"), pack(&source, "p-1").unwrap()).unwrap();
        terminal::run(Command::new("tar").arg("-xzf").arg(folder.join("p.tar.gz")).arg("-C").arg(&folder))
            .unwrap();
        assert_eq!(std::fs::read_to_string(folder.join("p-1/README.md")).unwrap(), "hello");
        assert_eq!(std::fs::read(folder.join("p-1/share/icon.svg")).unwrap().len(), 1000);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
