//! The licences of everything that is linked into the program.
//!
//! Most licences ask that their text goes along with a binary. The texts are taken from the sources that cargo
//! built from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::terminal;

/// The licence texts of all crates that the program links, each text once, as one document.
///
/// `cargo` is a bare call of cargo in the workspace; `target` is what the program is built for.
///
/// # Errors
/// When cargo cannot say what the program is made of.
pub fn collect(mut cargo: Command, target: &str) -> Result<String> {
    cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target]);
    let output = terminal::output(&mut cargo).context("`cargo metadata` failed")?;
    let metadata: Value =
        serde_json::from_str(&output).context("`cargo metadata` printed something unexpected")?;
    Ok(document(&metadata))
}

fn document(metadata: &Value) -> String {
    let linked = linked_packages(metadata);
    let mut crates = String::new();
    // Text, then the crates that come with it: hundreds of crates share a dozen texts.
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in array(&metadata["packages"]) {
        // Our own crates have no source.
        if !linked.contains(string(&package["id"])) || package["source"].is_null() {
            continue;
        }
        let name = format!("{} {}", string(&package["name"]), string(&package["version"]));
        let licence = package["license"].as_str().unwrap_or("see its text below");
        crates.push_str(&format!("{name}: {licence}\n"));
        if let Some(folder) = Path::new(string(&package["manifest_path"])).parent() {
            for text in licence_texts(folder) {
                texts.entry(text).or_default().push(name.clone());
            }
        }
    }
    let mut document = format!(
        "Cell2Text contains the following libraries, under the licences named.\n\n{crates}\n\
         The HDF5 library is part of hdf5-metno-src.\n"
    );
    for (text, names) in texts {
        document.push_str(&format!("\n{}\n{}:\n\n{text}\n", "-".repeat(80), names.join(", ")));
    }
    document
}

/// The ids of the packages that the program `app` links: reached without build and test dependencies.
fn linked_packages(metadata: &Value) -> BTreeSet<&str> {
    let nodes: BTreeMap<&str, &Value> =
        array(&metadata["resolve"]["nodes"]).iter().map(|node| (string(&node["id"]), node)).collect();
    let mut open: Vec<&str> = array(&metadata["packages"])
        .iter()
        .filter(|package| package["name"] == "app" && package["source"].is_null())
        .map(|package| string(&package["id"]))
        .collect();
    let mut linked = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !linked.insert(id) {
            continue;
        }
        let dependencies = nodes.get(id).map(|node| array(&node["deps"])).unwrap_or_default();
        open.extend(
            dependencies
                .iter()
                .filter(|dependency| {
                    array(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null())
                })
                .map(|dependency| string(&dependency["pkg"])),
        );
    }
    linked
}

/// The licence files in `folder`, and in the C library that it may carry.
fn licence_texts(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for folder in ["", "ext/hdf5", "src/zlib", "libdeflate"].map(|inside| folder.join(inside)) {
        files.extend(std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    files.sort();
    files
        .into_iter()
        .filter(|file| {
            let name = file.file_name().map(|name| name.to_string_lossy().to_uppercase()).unwrap_or_default();
            ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"]
                .iter()
                .any(|start| name.starts_with(start))
        })
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .map(|text| text.replace("\r\n", "\n").trim().to_owned())
        .filter(|text| !text.is_empty())
        .collect()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_program_links_is_listed() {
        let package = |name: &str, source: Value| {
            serde_json::json!({ "id": name, "name": name, "version": "1.0.0", "license": "MIT",
                "manifest_path": "/nowhere/Cargo.toml", "source": source })
        };
        let dependency =
            |name: &str, kind: Value| serde_json::json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let metadata = serde_json::json!({
            "packages": [
                package("app", Value::Null),
                package("linked", "registry".into()),
                package("builds", "registry".into()),
                package("tests-only", "registry".into()),
            ],
            "resolve": { "nodes": [
                { "id": "app", "deps": [
                    dependency("linked", Value::Null), dependency("builds", "build".into()), dependency("tests-only", "dev".into()),
                ] },
                { "id": "linked", "deps": [] },
            ] },
        });
        let text = document(&metadata);
        assert!(text.contains("linked 1.0.0: MIT"), "{text}");
        assert!(
            !text.contains("builds") && !text.contains("tests-only") && !text.contains("app 1"),
            "{text}"
        );
    }

    #[test]
    fn the_real_program_brings_hdf5_and_the_window_but_no_test_tools() {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        let text = collect(cargo, "x86_64-unknown-linux-gnu").unwrap();
        for name in ["hdf5-metno-src ", "libz-sys ", "eframe ", "burn ", "tokenizers "] {
            assert!(text.lines().any(|line| line.starts_with(name)), "{name} is missing");
        }
        assert!(text.contains("The HDF Group"), "HDF5's own licence text is missing");
        assert!(!text.lines().any(|line| line.starts_with("egui_kittest ") || line.starts_with("proptest ")));
    }
}
