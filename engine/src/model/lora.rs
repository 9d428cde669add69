//! LoRA adapters in the layout of Hugging Face's peft: small matrices beside a model's own.
//!
//! A linear map `W` of `[output, input]` becomes `W + s · B A`, with `A` of `[rank, input]`, `B` of `[output, rank]` and
//! `s = alpha ÷ rank`, or `alpha ÷ √rank` where the folder says rsLoRA (Hu et al. 2021, arXiv 2106.09685; Kalajdzievski
//! 2023). The product is merged into the weights while they are loaded: generating costs what it costs without.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;

use super::bundle::ModelFiles;
use crate::error::Problem;
use crate::nn::{WeightFiles, WeightPatch};
use crate::{Error, Result};

const CONFIG: &str = "adapter_config.json";
/// In the order in which they are looked for.
const WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];

/// What `adapter_config.json` says, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
struct LoraConfig {
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    lora_bias: bool,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    rank_pattern: BTreeMap<String, usize>,
    #[serde(default)]
    alpha_pattern: BTreeMap<String, f64>,
}

/// One adapted weight.
#[derive(Debug, Clone)]
struct LowRank {
    /// `[rank, input]`.
    a: Vec<f32>,
    /// `[output, rank]`.
    b: Vec<f32>,
    rank: usize,
    input: usize,
    output: usize,
    scale: f32,
    /// Whether the weight is stored `[input, output]`.
    transposed: bool,
}

/// An adapter, ready to be merged.
#[derive(Debug, Clone)]
pub struct Lora {
    folder: PathBuf,
    by_weight: BTreeMap<String, LowRank>,
    /// Weights that the adapter brings whole: biases and `modules_to_save`.
    whole: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Lora {
    /// Reads the adapter in `folder`: `adapter_config.json`, with `adapter_model.safetensors` or what torch saved.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Model`] for an adapter of another kind, naming the entry or tensor.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG);
        let text =
            std::fs::read(&path).map_err(|e| Error::io("read the adapter's configuration", &path, e))?;
        let config: LoraConfig = serde_json::from_slice(&text).map_err(|e| {
            refused(
                folder,
                CONFIG,
                e.to_string(),
                "the entries of a LoRA adapter",
                "Download the folder again.",
            )
        })?;
        for (entry, wrong, found) in [
            ("peft_type", config.peft_type != "LORA", config.peft_type.as_str()),
            ("use_dora", config.use_dora, "true"),
            ("lora_bias", config.lora_bias, "true"),
        ] {
            if wrong {
                return Err(refused(
                    folder,
                    &format!("{CONFIG}: {entry}"),
                    found,
                    "a plain LoRA adapter",
                    "Merge the adapter in Python with peft's merge_and_unload(), and save the whole model.",
                ));
            }
        }
        let files = WeightFiles::open(&[folder.join(weights_in(folder))])?;
        let mut adapter =
            Self { folder: folder.to_path_buf(), by_weight: BTreeMap::new(), whole: BTreeMap::new() };
        let names: Vec<String> = files.names().map(str::to_owned).collect();
        for name in &names {
            adapter.take(name, &files, &config)?;
        }
        if adapter.by_weight.is_empty() && adapter.whole.is_empty() {
            return Err(refused(
                folder,
                weights_in(folder),
                "no tensor",
                "pairs of lora_A and lora_B",
                "Download the folder again.",
            ));
        }
        Ok(adapter)
    }

    /// The adapter that lies in `folder` of a bundle, beside the weights or in its folder `adapter`, where there is
    /// one.
    ///
    /// # Errors
    /// As [`Lora::open`].
    pub fn beside(files: &ModelFiles, folder: &str) -> Result<Option<Self>> {
        let ModelFiles::Folder(root) = files else { return Ok(None) };
        place(root, folder).map(|place| Self::open(&root.join(place))).transpose()
    }

    /// The files of that adapter, as paths in the bundle: what names a model by its weights must count them in.
    pub(super) fn files_beside(root: &Path, folder: &str) -> Vec<String> {
        let place = place(root, folder);
        place
            .map(|place| {
                let weights = weights_in(&root.join(&place));
                [CONFIG, weights].map(|file| format!("{place}/{file}")).to_vec()
            })
            .unwrap_or_default()
    }

    fn take(&mut self, name: &str, files: &WeightFiles, config: &LoraConfig) -> Result<()> {
        let folder = self.folder.clone();
        let wrong = |found: String, expected: String| {
            refused(
                &folder,
                name,
                found,
                &expected,
                "The folder is damaged, or of another kind: get it again.",
            )
        };
        let plain = plain_name(name);
        let Some((module, part)) = split_at_lora(&plain) else {
            if plain.contains("lora_") {
                return Err(wrong(
                    "a part of an adapter that is not read here".into(),
                    "lora_A and lora_B".into(),
                ));
            }
            self.whole.insert(plain, files.read(name)?);
            return Ok(());
        };
        if part == "lora_B" {
            // Its lora_A brings it; one without is refused.
            let pair = name.replace("lora_B", "lora_A");
            return if files.contains(&pair) {
                Ok(())
            } else {
                Err(wrong(format!("no {pair}"), "both of a pair".into()))
            };
        }
        let (shape_a, a) = files.read(name)?;
        let pair = name.replace("lora_A", "lora_B");
        let (shape_b, b) = files.read(&pair)?;
        let expected_rank = pattern(&config.rank_pattern, module).unwrap_or(config.r);
        let ([rank, input], [output, rank_b]) = (shape_a.as_slice(), shape_b.as_slice()) else {
            return Err(wrong(format!("shapes {shape_a:?} and {shape_b:?}"), "two matrices".into()));
        };
        if rank != rank_b || *rank != expected_rank || *rank == 0 {
            return Err(wrong(
                format!("shapes {shape_a:?} and {shape_b:?}"),
                format!("[{expected_rank}, input] and [output, {expected_rank}]"),
            ));
        }
        let alpha = pattern(&config.alpha_pattern, module).unwrap_or(config.lora_alpha);
        let divisor = if config.use_rslora { (*rank as f64).sqrt() } else { *rank as f64 };
        let low_rank = LowRank {
            a,
            b,
            rank: *rank,
            input: *input,
            output: *output,
            scale: (alpha / divisor) as f32,
            transposed: config.fan_in_fan_out,
        };
        self.by_weight.insert(format!("{module}.weight"), low_rank);
        Ok(())
    }

    /// How many weights it changes.
    pub fn len(&self) -> usize {
        self.by_weight.len() + self.whole.len()
    }

    /// Whether it changes none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks that the model in `files` has every weight that the adapter changes: one that is left over would leave
    /// the model half adapted, without a word.
    ///
    /// # Errors
    /// [`Error::Model`] naming the first that is missing.
    pub fn check_fits(&self, files: &WeightFiles) -> Result<()> {
        match self.by_weight.keys().chain(self.whole.keys()).find(|name| !files.contains(name)) {
            None => Ok(()),
            Some(missing) => Err(refused(
                &self.folder,
                missing,
                "no such weight in the model",
                "an adapter of this very model",
                "Use the adapter with the model that it was trained on.",
            )),
        }
    }
}

impl WeightPatch for Lora {
    fn patch(&self, name: &str, shape: &[usize], values: &mut [f32]) -> Result<()> {
        let fits = |expected: &[usize]| {
            if shape == expected {
                return Ok(());
            }
            Err(refused(
                &self.folder,
                name,
                format!("an adapter for shape {expected:?}"),
                &format!("one for {shape:?}"),
                "Use the adapter with the model that it was trained on.",
            ))
        };
        if let Some((own, whole)) = self.whole.get(name) {
            fits(own)?;
            values.copy_from_slice(whole);
        }
        if let Some(low_rank) = self.by_weight.get(name) {
            let LowRank { input, output, transposed, .. } = *low_rank;
            fits(&if transposed { [input, output] } else { [output, input] })?;
            low_rank.add_to(values);
        }
        Ok(())
    }
}

impl LowRank {
    /// Adds `s · B A`, or its transpose.
    fn add_to(&self, values: &mut [f32]) {
        let Self { a, b, rank, input, output, scale, transposed } = self;
        if *transposed {
            values.par_chunks_exact_mut((*output).max(1)).enumerate().for_each(|(i, row)| {
                for (value, of_output) in row.iter_mut().zip(b.chunks_exact(*rank)) {
                    let product: f32 = of_output
                        .iter()
                        .enumerate()
                        .map(|(k, b)| b * a.get(k * input + i).unwrap_or(&0.0))
                        .sum();
                    *value += scale * product;
                }
            });
        } else {
            values.par_chunks_exact_mut((*input).max(1)).zip(b.par_chunks_exact(*rank)).for_each(
                |(row, of_output)| {
                    for (b, of_rank) in of_output.iter().zip(a.chunks_exact((*input).max(1))) {
                        let factor = scale * b;
                        for (value, a) in row.iter_mut().zip(of_rank) {
                            *value += factor * a;
                        }
                    }
                },
            );
        }
    }
}

/// The file of an adapter's weights in `folder`.
fn weights_in(folder: &Path) -> &'static str {
    WEIGHTS.into_iter().find(|name| folder.join(name).is_file()).unwrap_or(WEIGHTS[0])
}

/// Where in the bundle at `root` the adapter of the weights in `folder` lies.
fn place(root: &Path, folder: &str) -> Option<String> {
    [format!("{folder}/adapter"), folder.to_owned()]
        .into_iter()
        .find(|place| root.join(place).join(CONFIG).is_file())
}

/// A tensor's name without what peft and Cell2Text's own wrapping put around it.
fn plain_name(name: &str) -> String {
    let mut plain = name;
    // As peft saves a folder, and as a whole model with peft inside saves itself.
    for wrapping in
        ["llama_decoder.", "decoder.", "base_model.model.", "llama_decoder.", "decoder.", "llama."]
    {
        plain = plain.strip_prefix(wrapping).unwrap_or(plain);
    }
    plain.replace(".default.", ".").replace(".modules_to_save.", ".").replace(".base_layer.", ".")
}

/// `model.layers.0.self_attn.q_proj` and `lora_A` of such a name.
fn split_at_lora(plain: &str) -> Option<(&str, &str)> {
    let module = plain.strip_suffix(".weight")?;
    ["lora_A", "lora_B"]
        .into_iter()
        .find_map(|part| Some((module.strip_suffix(part)?.strip_suffix('.')?, part)))
}

/// The value of a pattern that is the module's name or the end of it, as peft matches plain names.
fn pattern<T: Copy>(patterns: &BTreeMap<String, T>, module: &str) -> Option<T> {
    patterns
        .iter()
        .find(|(key, _)| {
            module == key.as_str() || module.strip_suffix(key.as_str()).is_some_and(|m| m.ends_with('.'))
        })
        .map(|(_, value)| *value)
}

fn refused(folder: &Path, element: &str, found: impl Into<String>, expected: &str, remedy: &str) -> Error {
    Error::model(Problem::new(element, found, expected, remedy).in_file(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Named, write_safetensors};

    fn named(name: &str, shape: &[usize], values: &[f32]) -> Named {
        Named { name: name.to_owned(), shape: shape.to_vec(), values: values.to_vec() }
    }

    fn adapter(config: &str, tensors: &[Named]) -> (tempfile::TempDir, Result<Lora>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CONFIG), config).unwrap();
        write_safetensors(&folder.path().join(WEIGHTS[0]), tensors, false).unwrap();
        let lora = Lora::open(folder.path());
        (folder, lora)
    }

    /// An adapter of rank 1 for a map of 3 inputs and 2 outputs.
    fn pair(prefix: &str) -> Vec<Named> {
        vec![
            named(&format!("{prefix}.lora_A.weight"), &[1, 3], &[1.0, 2.0, 3.0]),
            named(&format!("{prefix}.lora_B.weight"), &[2, 1], &[10.0, 100.0]),
        ]
    }

    #[test]
    fn the_product_is_added_to_the_weight_whatever_wraps_its_name() {
        let expected = [20.0, 40.0, 60.0, 200.0, 400.0, 600.0];
        for prefix in [
            "base_model.model.x.q",
            "base_model.model.llama.x.q",
            "base_model.model.decoder.llama.x.q",
            "decoder.base_model.model.llama.x.q",
        ] {
            let (_folder, lora) = adapter(r#"{"peft_type":"LORA","r":1,"lora_alpha":2}"#, &pair(prefix));
            let mut values = vec![0.0; 6];
            lora.unwrap().patch("x.q.weight", &[2, 3], &mut values).unwrap();
            assert_eq!(values, expected, "{prefix}");
        }
        // Weights stored [input, output], as GPT-2's.
        let config = r#"{"peft_type":"LORA","r":1,"lora_alpha":2,"fan_in_fan_out":true}"#;
        let (_folder, lora) = adapter(config, &pair("base_model.model.x.q"));
        let mut values = vec![1.0; 6];
        lora.unwrap().patch("x.q.weight", &[3, 2], &mut values).unwrap();
        assert_eq!(values, [21.0, 201.0, 41.0, 401.0, 61.0, 601.0]);
    }

    #[test]
    fn the_scale_follows_alpha_its_patterns_and_rslora() {
        for (rest, scale) in [
            ("", 2.0),
            (r#","alpha_pattern":{"q":6}"#, 6.0),
            (r#","alpha_pattern":{"other.q":6}"#, 2.0),
            (r#","use_rslora":true"#, 2.0),
        ] {
            let config = format!(r#"{{"peft_type":"LORA","r":1,"lora_alpha":2{rest}}}"#);
            let (_folder, lora) = adapter(&config, &pair("base_model.model.x.q"));
            let mut values = vec![0.0; 6];
            lora.unwrap().patch("x.q.weight", &[2, 3], &mut values).unwrap();
            assert_eq!(values[0], 10.0 * scale, "{rest}");
        }
    }

    #[test]
    fn a_module_saved_whole_takes_the_place_of_the_models() {
        let mut tensors = pair("base_model.model.x.q");
        tensors.push(named("base_model.model.lm_head.modules_to_save.weight", &[2], &[7.0, 8.0]));
        let (_folder, lora) = adapter(r#"{"peft_type":"LORA","r":1,"lora_alpha":2}"#, &tensors);
        let lora = lora.unwrap();
        assert_eq!(lora.len(), 2);
        let mut values = vec![1.0; 2];
        lora.patch("lm_head.weight", &[2], &mut values).unwrap();
        assert_eq!(values, [7.0, 8.0]);
        assert!(lora.patch("lm_head.weight", &[3], &mut [0.0; 3]).is_err());
    }

    #[test]
    fn a_bundles_adapter_is_found_beside_its_weights_or_in_a_folder_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let files = ModelFiles::Folder(root.path().to_path_buf());
        std::fs::create_dir_all(root.path().join("decoder/adapter")).unwrap();
        assert!(Lora::beside(&files, "decoder").unwrap().is_none());
        for place in ["decoder", "decoder/adapter"] {
            let (folder, _) =
                adapter(r#"{"peft_type":"LORA","r":1,"lora_alpha":2}"#, &pair("base_model.model.x.q"));
            for file in [CONFIG, WEIGHTS[0]] {
                std::fs::copy(folder.path().join(file), root.path().join(place).join(file)).unwrap();
            }
            assert_eq!(Lora::beside(&files, "decoder").unwrap().unwrap().len(), 1);
            assert_eq!(Lora::files_beside(root.path(), "decoder")[1], format!("{place}/{}", WEIGHTS[0]));
        }
        assert!(Lora::beside(&ModelFiles::Static(&[]), "decoder").unwrap().is_none());
    }

    #[test]
    fn what_would_be_merged_wrongly_is_refused() {
        let base = pair("base_model.model.x.q");
        for (config, tensors, part) in [
            (r#"{"peft_type":"LORA","r":1,"lora_alpha":2,"use_dora":true}"#, base.clone(), "use_dora"),
            (r#"{"peft_type":"IA3","r":1,"lora_alpha":2}"#, base.clone(), "IA3"),
            (r#"{"peft_type":"LORA","r":2,"lora_alpha":2}"#, base.clone(), "[2, input]"),
            (r#"{"peft_type":"LORA","r":1,"lora_alpha":2}"#, base[..1].to_vec(), "lora_B"),
            (r#"{"peft_type":"LORA","r":1,"lora_alpha":2}"#, base[1..].to_vec(), "lora_A"),
            (
                r#"{"peft_type":"LORA","r":1,"lora_alpha":2}"#,
                vec![named("base_model.model.x.q.lora_magnitude_vector", &[2], &[1.0, 1.0])],
                "not read here",
            ),
            ("{}", base.clone(), "peft_type"),
        ] {
            let message = adapter(config, &tensors).1.unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        let (folder, lora) = adapter(r#"{"peft_type":"LORA","r":1,"lora_alpha":2}"#, &base);
        let model = folder.path().join("model.safetensors");
        write_safetensors(&model, &[named("x.k.weight", &[2, 3], &[0.0; 6])], false).unwrap();
        let message =
            lora.unwrap().check_fits(&WeightFiles::open(&[model]).unwrap()).unwrap_err().to_string();
        assert!(message.contains("x.q.weight: found no such weight"), "{message}");
    }
}
