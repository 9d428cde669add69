//! The rules of the house, read off the source tree itself.
//!
//! What a compiler does not check and a review forgets: which floor may import which, one wgpu in the lock file, no
//! screen in the engine and no tensors in the faces, and documents whose links lead somewhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // That is how tests fail.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_lock_file_holds_exactly_one_wgpu() {
    let lock = read("Cargo.lock");
    let versions: Vec<&str> = lock
        .split("[[package]]")
        .filter(|package| package.lines().any(|line| line == "name = \"wgpu\""))
        .filter_map(|package| package.lines().find(|line| line.starts_with("version = ")))
        .collect();
    assert_eq!(
        versions.len(),
        1,
        "the engine and the window must share one wgpu, but the lock has {versions:?}"
    );
}

#[test]
fn every_engine_module_stands_on_a_floor() {
    let floors = floors();
    for module in engine_modules() {
        assert!(floors.contains_key(&module), "the table in engine/src/lib.rs has no floor for `{module}`");
    }
}

#[test]
fn no_import_in_the_engine_points_up_a_floor() {
    let floors = floors();
    let mut wrong = Vec::new();
    for (path, code) in rust_code("engine/src") {
        let inside = path.strip_prefix("engine/src/").unwrap();
        let module = inside.split('/').next().unwrap().trim_end_matches(".rs");
        // lib.rs only declares; test_support is compiled for unit tests alone.
        if module == "lib" || module == "test_support" {
            continue;
        }
        let own = floors[module];
        for import in crate_paths(&code) {
            if import == "test_support" || import.starts_with(char::is_uppercase) {
                continue;
            }
            match floors.get(&import) {
                Some(floor) if *floor <= own => {}
                Some(floor) => {
                    wrong.push(format!("{path} (floor {own}) uses crate::{import} (floor {floor})"));
                }
                None => wrong.push(format!("{path} uses crate::{import}, which has no floor")),
            }
        }
    }
    assert!(wrong.is_empty(), "imports point up:\n{}", wrong.join("\n"));
}

#[test]
fn the_engine_knows_no_screen() {
    let mut wrong =
        mentions("engine/src", &["egui", "eframe", "winit", "rfd", "wgpu::Surface", "SurfaceTarget"]);
    for name in ["app", "egui", "eframe", "rfd"] {
        if depends_on("engine/Cargo.toml", name) {
            wrong.push(format!("engine/Cargo.toml depends on {name}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_faces_know_no_tensors() {
    let mut wrong = mentions("app/src", &["burn", "cubecl"]);
    for name in ["burn", "hdf5", "safetensors", "tokenizers"] {
        if depends_on("app/Cargo.toml", name) {
            wrong.push(format!("app/Cargo.toml depends on {name}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_kernels_know_no_cells_and_every_shader_is_of_use() {
    let mut wrong = Vec::new();
    for (kernels, others) in [("kernels", ["engine", "app"].as_slice()), ("cpu", &["engine", "app", "burn"])]
    {
        for name in others {
            if depends_on(&format!("{kernels}/Cargo.toml"), name) {
                wrong.push(format!("{kernels}/Cargo.toml depends on {name}"));
            }
        }
    }
    let code: String =
        ["kernels/src", "app/src"].into_iter().flat_map(rust_code).map(|(_, code)| code).collect();
    for path in committed_files().iter().filter(|path| path.starts_with("shaders/")) {
        if !code.contains(&format!("{path}\"")) {
            wrong.push(format!("no code includes {path}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_skipped_is_said_where_the_harness_cannot_swallow_it() {
    // `eprintln!` goes to the harness, which keeps it to itself when the test passes.
    let word = ["epri", "ntln"].concat();
    let mut wrong = mentions("engine/src", &[&word]);
    wrong.extend(mentions("kernels", &[&word]));
    wrong.extend(mentions("tests", &[&word]));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_committed_file_names_a_machine_or_a_registry() {
    // In pieces, so that this file does not hold them itself.
    let folders = [["/wo", "rk/"], ["/tm", "p/"], ["/ro", "ot/"]].map(|pieces| pieces.concat());
    let hosts = [["cra", "tes.io"], ["py", "pi.org"], ["python", "hosted.org"], ["npm", "js.org"]];
    let hosts = hosts.map(|pieces| pieces.concat());
    let mut wrong = Vec::new();
    for path in committed_files() {
        let bytes = std::fs::read(root().join(&path)).unwrap();
        // The lock file names the index by which cargo knows every published crate.
        let hosts = if path == "Cargo.lock" { &hosts[1..] } else { &hosts[..] };
        for forbidden in folders.iter().chain(hosts) {
            if let Some(at) = find(&bytes, forbidden.as_bytes()) {
                let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
                wrong.push(format!("{path}:{line} holds {forbidden}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_link_in_a_document_leads_to_a_file() {
    let mut wrong = Vec::new();
    let mut links = 0;
    for path in committed_files().into_iter().filter(|path| path.ends_with(".md")) {
        let folder = Path::new(&path).parent().unwrap().to_path_buf();
        for target in markdown_links(&read(&path)) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            links += 1;
            if !root().join(&folder).join(file).exists() {
                wrong.push(format!("{path} links to {target}"));
            }
        }
    }
    assert!(links > 0, "no document holds a local link: the search for them is broken");
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
}

#[test]
fn the_readme_shows_the_two_commands() {
    let readme = read("README.md");
    for command in ["cargo xtask demo", "cargo xtask test"] {
        assert!(readme.contains(command), "README.md must show `{command}`");
    }
}

#[test]
fn the_architecture_has_a_row_for_every_module_of_the_engine() {
    let text = read("ARCHITECTURE.md");
    for module in engine_modules() {
        assert!(
            text.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{module}`"))),
            "ARCHITECTURE.md has no row for `{module}`"
        );
    }
}

#[test]
fn the_first_name_after_crate_is_found_in_plain_and_in_grouped_imports() {
    let code = "use crate::anndata::{X, Y};\nuse crate::{Error, genes::GeneId, tokens::{A, B}};\nlet x = crate::nn::f();";
    assert_eq!(crate_paths(code), ["anndata", "Error", "genes", "tokens", "nn"]);
    assert_eq!(crate_paths("use other_crate::model;"), [""; 0]);
}

#[test]
fn comments_are_no_code() {
    assert_eq!(without_comments("a // crate::session\nb"), "a \nb\n");
    assert_eq!(without_comments("let u = \"http://x\"; // y"), "let u = \"http://x\"; \n");
    assert!(!mentions_word("burning", "burn"));
    assert!(mentions_word("use burn::Tensor", "burn"));
}

#[test]
fn links_are_found_outside_of_code_only() {
    let text =
        "[a](b.md) `[c](d.md)`\n```\n[e](f.md)\n```\n![g](h.png \"title\") <img src=\"i.png\">\n\n[l]: m.md";
    assert_eq!(markdown_links(text), ["b.md", "h.png", "i.png", "m.md"]);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The committed files by their paths from the root; in a tree without git, all but what is built.
fn committed_files() -> Vec<String> {
    let listed = Command::new("git").args(["ls-files", "-z", "--cached"]).current_dir(root()).output();
    let files: Vec<String> = match listed {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            String::from_utf8_lossy(&output.stdout).split('\0').map(str::to_owned).collect()
        }
        _ => {
            let mut files = Vec::new();
            walk(&root(), &mut files);
            files
        }
    };
    files.into_iter().filter(|path| !path.is_empty() && root().join(path).is_file()).collect()
}

fn walk(folder: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "target" && name != ".git" {
                walk(&path, files);
            }
        } else {
            let path = path.strip_prefix(root()).unwrap();
            files.push(path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/"));
        }
    }
}

/// The Rust files under `folder`, without their comments.
fn rust_code(folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    walk(&root().join(folder), &mut files);
    files.sort();
    let rust = files.into_iter().filter(|path| path.ends_with(".rs"));
    rust.map(|path| (path.clone(), without_comments(&read(&path)))).collect()
}

/// `code` without `//` comments. Slashes inside of a text literal (`"http://…"`) begin none.
fn without_comments(code: &str) -> String {
    let mut kept = String::new();
    for line in code.lines() {
        let end = line
            .match_indices("//")
            .map(|(at, _)| at)
            .find(|at| line[..*at].matches('"').count() % 2 == 0)
            .unwrap_or(line.len());
        kept.push_str(&line[..end]);
        kept.push('\n');
    }
    kept
}

/// Files under `folder` whose code holds one of `words`, as whole words.
fn mentions(folder: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, code) in rust_code(folder) {
        for word in words {
            if mentions_word(&code, word) {
                found.push(format!("{path} mentions {word}"));
            }
        }
    }
    found
}

fn mentions_word(code: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].ends_with(part_of_name) && !code[at + word.len()..].starts_with(part_of_name)
    })
}

/// Whether the manifest has `name` among its dependencies of any kind.
fn depends_on(manifest: &str, name: &str) -> bool {
    let mut in_dependencies = false;
    read(manifest).lines().any(|line| {
        if line.starts_with('[') {
            in_dependencies = line.contains("dependencies");
        }
        in_dependencies && line.split(['.', '=', ' ']).next() == Some(name)
    })
}

/// The floor of every module, from the table at the head of the engine.
fn floors() -> BTreeMap<String, u32> {
    let mut floors = BTreeMap::new();
    for line in read("engine/src/lib.rs").lines() {
        let cells: Vec<&str> = line.trim_start_matches("//!").split('|').map(str::trim).collect();
        let [_, floor, modules, ..] = cells.as_slice() else { continue };
        let Ok(floor) = floor.parse::<u32>() else { continue };
        for name in modules.split(',') {
            floors.insert(name.trim().trim_matches(['[', ']', '`']).to_owned(), floor);
        }
    }
    assert!(floors.len() > 5, "the table of floors in engine/src/lib.rs cannot be read: {floors:?}");
    floors
}

/// The modules that the engine declares, but for those compiled for tests alone.
fn engine_modules() -> Vec<String> {
    let modules: Vec<String> = read("engine/src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    assert!(modules.len() > 5, "{modules:?}");
    modules
}

/// What follows `crate::` in `code`: a module's or an item's name, for each entry of a group.
fn crate_paths(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, word) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + word.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut entry = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => names.push(first_name(&std::mem::take(&mut entry))),
                    c if depth == 0 => entry.push(c),
                    _ => {}
                }
            }
            names.push(first_name(&entry));
        } else {
            names.push(first_name(rest));
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn first_name(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The targets of links and pictures in a Markdown text, code left out.
fn markdown_links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced || line.starts_with("    ") {
            continue;
        }
        // Every second piece between back-ticks is code.
        let prose: String = line.split('`').step_by(2).collect();
        for (start, end) in [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"')] {
            for (at, word) in prose.match_indices(start) {
                let target = prose[at + word.len()..].split(end).next().unwrap();
                links.extend(target.split_whitespace().next().map(str::to_owned));
            }
        }
        if prose.starts_with('[')
            && let Some((_, target)) = prose.split_once("]: ")
        {
            links.extend(target.split_whitespace().next().map(str::to_owned));
        }
    }
    links
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
