//! Brings a bundle to few bits: its maps and tables are written in blocks, the rest as it is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::bundle::{Bundle, Manifest, ModelFiles};
use super::lora::Lora;
use crate::error::Problem;
use crate::nn::quant::{BLOCK, Bits, Blocks};
use crate::nn::{Named, WeightFiles, WeightPatch, Writing, WritingKind, write_streamed};
use crate::progress::Watch;
use crate::{Error, Result};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuantiseReport {
    /// The new bundle.
    pub folder: PathBuf,
    /// Bytes of all weights before.
    pub bytes_before: u64,
    /// Bytes of all weights now.
    pub bytes: u64,
    /// Tensors that are in blocks now.
    pub in_blocks: usize,
    /// Tensors that stayed as they were.
    pub kept: usize,
}

/// Tensors that are read number by number, or that are stored turned round: blocks would not serve them.
const NOT_IN_BLOCKS: [&str; 6] =
    ["position_embeddings", "token_type_embeddings", "wpe", ".c_attn.", ".c_proj.", ".c_fc."];
/// Tables of tokens and heads over them, which get 8 bits at least.
const TABLES: [&str; 5] = ["word_embeddings", "embed_tokens", "embed_in", "lm_head", "embed_out"];

/// How the tensor `name` of `shape` is written, where its maps get `bits`.
pub(super) fn kind_of(name: &str, shape: &[usize], bits: Bits) -> WritingKind {
    let [_, columns] = shape else { return WritingKind::Float32 };
    let fits = columns.is_multiple_of(BLOCK) && name.ends_with(".weight");
    if !fits || NOT_IN_BLOCKS.iter().any(|part| name.contains(part)) {
        return WritingKind::Float16;
    }
    let table = TABLES.iter().any(|part| name.contains(part)) || name.ends_with("wte.weight");
    WritingKind::Blocks(if table { bits.max(Bits::Eight) } else { bits })
}

/// `tensors` with the values that blocks of `bits` hold in place of those that [`quantise`] would put into blocks: written
/// in half precision they are found again by quantising, which then changes next to nothing.
pub(crate) fn rounded(tensors: Vec<Named>, bits: Bits) -> Vec<Named> {
    let round = |tensor: Named| match (kind_of(&tensor.name, &tensor.shape, bits), tensor.shape.as_slice()) {
        (WritingKind::Blocks(bits), &[rows, columns]) => {
            let values = Blocks::quantise(&tensor.values, rows, columns, bits).values();
            Named { values, ..tensor }
        }
        _ => tensor,
    };
    tensors.into_iter().map(round).collect()
}

/// Writes `bundle` with its weights at `bits` into the folder `out`, which must be new or empty. An adapter beside the
/// decoder is merged on the way.
///
/// # Errors
/// [`Error::Model`] where the bundle is in few bits already or a part of it is wrong, [`Error::Request`] where `out`
/// holds something; [`Error::Io`]; [`Error::Cancelled`].
pub fn quantise(bundle: &Bundle, out: &Path, bits: Bits, watch: &Watch) -> Result<QuantiseReport> {
    let Bundle { files, manifest } = bundle;
    if let Some(found) = manifest.bits {
        return Err(Error::model(Problem::new(
            "bits",
            format!("a bundle in {found} already"),
            "one in full",
            "Start from the bundle that it was made of.",
        )));
    }
    require_empty(out)?;
    let lora = Lora::beside(files, &manifest.decoder.folder)?;
    let merged: BTreeSet<String> = match files {
        ModelFiles::Folder(root) => Lora::files_beside(root, &manifest.decoder.folder).into_iter().collect(),
        ModelFiles::Static(_) => BTreeSet::new(),
    };
    let mut report =
        QuantiseReport { folder: out.to_path_buf(), bytes_before: 0, bytes: 0, in_blocks: 0, kept: 0 };
    let mut written = Vec::new();
    let parts = manifest.weight_folders();
    for name in manifest.hashes.keys().filter(|name| !merged.contains(*name)) {
        watch.check()?;
        if is_weights(name, &parts) {
            continue;
        }
        let path = out.join(name);
        make_folder_of(&path)?;
        crate::files::write_atomically(&path, &files.read(name)?)?;
        written.push(name.clone());
    }
    for folder in parts {
        let weights = files.weights(folder)?;
        let patch = lora.as_ref().filter(|_| folder == manifest.decoder.folder);
        if let Some(patch) = patch {
            patch.check_fits(&weights)?;
        }
        let name = format!("{folder}/model.safetensors");
        let path = out.join(&name);
        make_folder_of(&path)?;
        write_part(&weights, patch, bits, &path, &mut report, watch)?;
        report.bytes_before += weights.bytes();
        written.push(name);
    }
    let manifest =
        Manifest { name: format!("{}, {bits}", manifest.name), bits: Some(bits), ..manifest.clone() };
    let written: Vec<&str> = written.iter().map(String::as_str).collect();
    Bundle::write_manifest(out, &manifest, &written)?;
    Ok(report)
}

fn write_part(
    weights: &WeightFiles,
    patch: Option<&Lora>,
    bits: Bits,
    path: &Path,
    report: &mut QuantiseReport,
    watch: &Watch,
) -> Result<()> {
    let mut plan = Vec::new();
    for name in weights.names() {
        let shape = weights.shape(name)?;
        let kind = kind_of(name, &shape, bits);
        match kind {
            WritingKind::Blocks(_) => report.in_blocks += 1,
            WritingKind::Float16 | WritingKind::Float32 => report.kept += 1,
        }
        plan.push(Writing { name: name.to_owned(), shape, kind });
    }
    let (total, mut done) = (plan.len() as u64, 0);
    write_streamed(path, &plan, |name| {
        watch.step("Writing weights in blocks", done, Some(total))?;
        done += 1;
        let (shape, mut values) = weights.read(name)?;
        if let Some(patch) = patch {
            patch.patch(name, &shape, &mut values)?;
        }
        Ok(values)
    })?;
    report.bytes += std::fs::metadata(path).map_err(|e| Error::io("read the size of", path, e))?.len();
    Ok(())
}

/// Whether the file `name` of a bundle is one of the weights of `folders`.
fn is_weights(name: &str, folders: &[&str]) -> bool {
    let Some((folder, file)) = name.rsplit_once('/') else { return false };
    let ends = [".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pt", ".pth"];
    folders.contains(&folder) && ends.iter().any(|end| file.ends_with(end))
}

/// Checks that nothing would be written over.
pub(super) fn require_empty(out: &Path) -> Result<()> {
    let holds_something = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if holds_something || out.is_file() {
        return Err(Error::request(
            Problem::new("output", "a folder that holds something", "a new or empty folder", "Name another.")
                .in_file(out),
        ));
    }
    Ok(())
}

pub(super) fn make_folder_of(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) => std::fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, e)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_and_tables_go_into_blocks_and_the_rest_stays() {
        let kind = |name: &str, shape: &[usize]| kind_of(name, shape, Bits::Four);
        assert_eq!(kind("model.layers.0.mlp.up_proj.weight", &[8, 64]), WritingKind::Blocks(Bits::Four));
        assert_eq!(kind("model.embed_tokens.weight", &[8, 64]), WritingKind::Blocks(Bits::Eight));
        assert_eq!(kind("transformer.wte.weight", &[8, 64]), WritingKind::Blocks(Bits::Eight));
        assert_eq!(kind("model.layers.0.mlp.up_proj.weight", &[8, 60]), WritingKind::Float16);
        assert_eq!(kind("bert.embeddings.position_embeddings.weight", &[8, 64]), WritingKind::Float16);
        assert_eq!(kind("transformer.h.0.mlp.c_fc.weight", &[64, 64]), WritingKind::Float16);
        assert_eq!(kind("model.norm.weight", &[64]), WritingKind::Float32);
    }

    #[test]
    fn rounded_weights_in_half_precision_are_quantised_to_what_they_are() {
        let values: Vec<f32> = (0..4 * 64).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.0013).collect();
        let named = |name: &str, values: Vec<f32>| Named { name: name.into(), shape: vec![4, 64], values };
        let of = rounded(
            vec![named("layer.weight", values.clone()), named("position_embeddings.weight", values.clone())],
            Bits::Eight,
        );
        assert_ne!(of[0].values, values);
        assert_eq!(of[1].values, values, "what stays out of blocks stays as it is");
        let half: Vec<f32> = of[0].values.iter().map(|v| half::f16::from_f32(*v).to_f32()).collect();
        let (first, again) =
            (Blocks::quantise(&values, 4, 64, Bits::Eight), Blocks::quantise(&half, 4, 64, Bits::Eight));
        assert_eq!(first.numbers(), again.numbers());
        // Scales may differ in their last place.
        let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(apart(&half, &again.values()) < 0.2 * apart(&values, &first.values()));
    }

    #[test]
    fn the_built_in_model_in_blocks_is_a_whole_bundle_that_cannot_be_made_smaller_again() {
        let bundle = Bundle::builtin().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let silent = Watch::silent();
        for (bits, share) in [(Bits::Eight, 0.6), (Bits::Four, 0.5)] {
            let out = folder.path().join(bits.to_string());
            let report = quantise(&bundle, &out, bits, &silent).unwrap();
            assert!(report.in_blocks > 40, "{report:?}");
            assert!((report.bytes as f64) < share * report.bytes_before as f64, "{report:?}");
            let made = Bundle::open(&out).unwrap();
            made.verify().unwrap();
            assert_eq!(made.manifest.bits, Some(bits));
            assert_ne!(made.id(), bundle.id());
            assert!(quantise(&made, &folder.path().join("again"), bits, &silent).is_err());
            let refused = quantise(&bundle, &out, bits, &silent).unwrap_err().to_string();
            assert!(refused.contains("a new or empty folder"), "{refused}");
        }
    }
}
