//! LoRA (Hu et al. 2021, arXiv 2106.09685): the decoder stays as it is, and small matrices beside the maps of its
//! attention learn.
//!
//! A map `W` of `[input, output]` gives `W + alpha ÷ rank · A B`, with `A` of `[input, rank]` drawn as peft draws it and
//! `B` of `[rank, output]` zero, so that the model begins as the pretrained one. burn forms the sum wherever the weight is
//! used, so that exporting the decoder gives it merged.

use burn::module::{LoraAdapter, Module, ModuleVisitor, Param, Reparameterization, Reparameterizer};
use burn::tensor::{Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::recipe::LoraRecipe;
use crate::model::Decoder;
use crate::nn::{Named, ParamSink, Params};
use crate::{Error, Result, error::Problem};

/// Fields of a decoder layer with the names of their maps in checkpoints.
const ADAPTED: [(&str, &str); 4] =
    [("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"), ("output", "o_proj")];

/// Where the small matrices come from.
pub(super) enum Origin<'a, 'b> {
    /// Drawn from a seed.
    Fresh(u64),
    /// Read under the names of [`low_rank_tensors`].
    Read(&'a mut Params<'b>),
}

/// The name in peft's layout of the map whose parameter lies at `path` of a decoder, where LoRA adapts it.
fn peft_name(path: &str) -> Option<String> {
    let rest = path.strip_prefix("layers.")?;
    let (layer, field) = rest.strip_suffix(".Full.weight")?.split_once(".attention.")?;
    let (_, name) = ADAPTED.iter().find(|(own, _)| *own == field)?;
    Some(format!("base_model.model.model.layers.{layer}.self_attn.{name}"))
}

/// Freezes `decoder` and lays small matrices beside the maps of its attention.
///
/// # Errors
/// [`Error::Model`] when a matrix that should be read is missing or of another shape, or when the decoder has no map of
/// these kinds.
pub(super) fn adapt(decoder: Decoder, recipe: &LoraRecipe, origin: Origin<'_, '_>) -> Result<Decoder> {
    let (mut failed, mut maps) = (None, 0);
    let adapter = Adapt { recipe, origin, failed: &mut failed, maps: &mut maps };
    let adapted = decoder.apply_reparameterization(adapter);
    match failed {
        Some(error) => Err(error),
        None if maps == 0 => Err(Error::model(Problem::new(
            "decoder.lora",
            "a decoder whose queries, keys and values come from one map",
            "a Llama or a Gemma",
            "Train all of the decoder, or use another.",
        ))),
        None => Ok(adapted),
    }
}

struct Adapt<'f, 'a, 'b> {
    recipe: &'f LoraRecipe,
    origin: Origin<'a, 'b>,
    failed: &'f mut Option<Error>,
    /// How many maps were adapted.
    maps: &'f mut usize,
}

impl Adapt<'_, '_, '_> {
    fn matrices(
        &mut self,
        name: &str,
        [input, output]: [usize; 2],
        frozen: &Tensor<2>,
    ) -> Result<LoraAdapter> {
        let rank = self.recipe.rank;
        let (a, b) = match &mut self.origin {
            Origin::Read(params) => (
                params.transposed(&format!("{name}.lora_A.weight"), rank, input)?,
                params.transposed(&format!("{name}.lora_B.weight"), output, rank)?,
            ),
            Origin::Fresh(seed) => {
                // Each map has its own series, whatever the order in which they are visited.
                let own = name.bytes().fold(*seed, |hash, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(5)
                });
                let mut rng = StdRng::seed_from_u64(own);
                // Kaiming's uniform distribution with a of √5, as peft: within ±1/√input.
                let bound = 1.0 / (input.max(1) as f32).sqrt();
                let values: Vec<f32> =
                    (0..input * rank).map(|_| (rng.random::<f32>() * 2.0 - 1.0) * bound).collect();
                let device = frozen.device();
                (
                    Param::from_tensor(Tensor::from_data(TensorData::new(values, [input, rank]), &device)),
                    Param::from_tensor(Tensor::zeros([rank, output], &device)),
                )
            }
        };
        Ok(LoraAdapter { a, b, scale: self.recipe.alpha / rank as f64 })
    }
}

impl Reparameterizer for Adapt<'_, '_, '_> {
    type Reparam = LoraAdapter;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<LoraAdapter>) {
        let base = param.set_require_grad(false);
        let Some(name) = peft_name(path).filter(|_| D == 2 && self.failed.is_none()) else {
            return (base, None);
        };
        let tensor = base.val();
        let dims = tensor.dims();
        let shape = [dims[0], dims[1]];
        match self.matrices(&name, shape, &tensor.reshape(shape)) {
            Ok(adapter) => {
                *self.maps += 1;
                (base, Some(adapter))
            }
            Err(error) => {
                *self.failed = Some(error);
                (base, None)
            }
        }
    }
}

/// The small matrices of an adapted decoder in the names and orientations of peft; none of another decoder.
///
/// # Errors
/// [`Error::Device`] when values cannot be read back.
pub(super) fn low_rank_tensors(decoder: &Decoder) -> Result<Vec<Named>> {
    let mut gather = Gather { path: Vec::new(), sink: ParamSink::default(), failed: None };
    decoder.visit(&mut gather);
    match gather.failed {
        Some(error) => Err(error),
        None => Ok(gather.sink.into_tensors()),
    }
}

struct Gather {
    path: Vec<String>,
    sink: ParamSink,
    failed: Option<Error>,
}

impl ModuleVisitor for Gather {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        let [a, b] = ["a", "b"].map(|part| path.strip_suffix(&format!(".{}.{part}", LoraAdapter::NAME)));
        let found = a.map(|base| (base, "lora_A")).or(b.map(|base| (base, "lora_B")));
        let Some((name, part)) = found.and_then(|(base, part)| Some((peft_name(base)?, part))) else {
            return;
        };
        let tensor = param.val();
        let dims = tensor.dims();
        if D == 2 && self.failed.is_none() {
            let matrix: Tensor<2> = tensor.reshape([dims[0], dims[1]]);
            self.failed = self.sink.add_transposed(&format!("{name}.{part}.weight"), matrix).err();
        }
    }
}

/// What `adapter_config.json` says of such an adapter; `base` names the model that it was trained on.
pub(super) fn peft_config(recipe: &LoraRecipe, base: &str) -> serde_json::Value {
    json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": recipe.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": false,
        "use_rslora": false,
        "use_dora": false,
        "init_lora_weights": true,
        "inference_mode": true,
        "modules_to_save": null,
        "target_modules": ADAPTED.map(|(_, name)| name),
    })
}

/// Checks figures.
///
/// # Errors
/// [`Error::Train`] naming the entry.
pub(super) fn check(recipe: &LoraRecipe) -> Result<()> {
    if recipe.rank == 0 || !recipe.alpha.is_finite() || recipe.alpha <= 0.0 {
        return Err(Error::train(Problem::new(
            "decoder.lora",
            format!("rank {} and alpha {}", recipe.rank, recipe.alpha),
            "both above zero",
            "The paper has rank 256 and alpha 512.",
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Int};

    use super::*;
    use crate::model::{DecoderConfig, Lora};
    use crate::nn::{WeightFiles, write_safetensors};
    use crate::test_support::reference_file;

    fn logits(decoder: &Decoder, device: &Device) -> Vec<f32> {
        let tokens: Vec<i64> = (3..15).collect();
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [1, 12]), device);
        let hidden = decoder.hidden(decoder.embed(tokens), &decoder.positions(16));
        decoder.logits(hidden).try_into_vec_as().unwrap()
    }

    fn config() -> DecoderConfig {
        serde_json::from_value(json!({
            "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "intermediate_size": 24, "vocab_size": 40, "max_position_embeddings": 64, "tie_word_embeddings": true,
        }))
        .unwrap()
    }

    #[test]
    fn a_fresh_adapter_changes_nothing_and_freezes_all_but_itself() {
        let device = Device::flex().autodiff();
        let plain = Decoder::new(&config(), &mut Params::random(3, 0.2, &device)).unwrap();
        let recipe = LoraRecipe { rank: 3, alpha: 6.0 };
        let adapted = adapt(plain.clone(), &recipe, Origin::Fresh(7)).unwrap();
        assert_eq!(logits(&plain, &device), logits(&adapted, &device));
        let tensors = low_rank_tensors(&adapted).unwrap();
        assert_eq!(tensors.len(), 2 * 4 * 2);
        assert!(low_rank_tensors(&plain).unwrap().is_empty());
        let again = low_rank_tensors(&adapt(plain, &recipe, Origin::Fresh(7)).unwrap()).unwrap();
        assert_eq!(tensors, again);
        let key =
            tensors.iter().find(|t| t.name.ends_with("layers.1.self_attn.k_proj.lora_A.weight")).unwrap();
        assert_eq!(key.shape, [3, 16]);
        assert!(key.values.iter().any(|v| *v != 0.0) && key.values.iter().all(|v| v.abs() <= 0.25));

        struct Learning(usize);
        impl ModuleVisitor for Learning {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0 += usize::from(param.is_require_grad());
            }
        }
        let mut learning = Learning(0);
        adapted.visit(&mut learning);
        assert_eq!(learning.0, 16);
    }

    #[test]
    fn pefts_own_adapter_laid_beside_the_model_gives_what_merging_it_gives() {
        let (Some(weights), Some(lora)) = (
            reference_file("models/llama/model.safetensors"),
            reference_file("models/llama_lora/adapter_model.safetensors"),
        ) else {
            return;
        };
        let folder = weights.parent().unwrap();
        let config: DecoderConfig =
            serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
        let peft: serde_json::Value = serde_json::from_slice(
            &std::fs::read(lora.parent().unwrap().join("adapter_config.json")).unwrap(),
        )
        .unwrap();
        let files = WeightFiles::open(std::slice::from_ref(&weights)).unwrap();
        let device = Device::flex().autodiff();
        let plain = Decoder::new(&config, &mut Params::from_files(&files, "", &device)).unwrap();
        let recipe = LoraRecipe {
            rank: peft["r"].as_u64().unwrap() as usize,
            alpha: peft["lora_alpha"].as_f64().unwrap(),
        };
        let small = WeightFiles::open(std::slice::from_ref(&lora)).unwrap();
        let adapted =
            adapt(plain, &recipe, Origin::Read(&mut Params::from_files(&small, "", &device))).unwrap();
        let by_merging = Lora::open(lora.parent().unwrap()).unwrap();
        let merged =
            Decoder::new(&config, &mut Params::from_files(&files, "", &device).patched(&by_merging)).unwrap();
        let (beside, merged) = (logits(&adapted, &device), logits(&merged, &device));
        let worst = beside.iter().zip(&merged).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{worst}");
        // What is written is what was read, under peft's names.
        for tensor in low_rank_tensors(&adapted).unwrap() {
            assert_eq!(small.read(&tensor.name).unwrap(), (tensor.shape, tensor.values), "{}", tensor.name);
        }
    }

    #[test]
    fn what_is_written_is_read_by_the_loader_of_bundles() {
        let device = Device::flex().autodiff();
        let recipe = LoraRecipe { rank: 2, alpha: 4.0 };
        let plain = Decoder::new(&config(), &mut Params::random(3, 0.2, &device)).unwrap();
        let adapted = adapt(plain, &recipe, Origin::Fresh(1)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = serde_json::to_vec(&peft_config(&recipe, "some model")).unwrap();
        std::fs::write(folder.path().join("adapter_config.json"), config).unwrap();
        let path = folder.path().join("adapter_model.safetensors");
        write_safetensors(&path, &low_rank_tensors(&adapted).unwrap(), false).unwrap();
        assert_eq!(Lora::open(folder.path()).unwrap().len(), 8);
        assert!(check(&LoraRecipe { rank: 0, alpha: 1.0 }).is_err());
        assert!(check(&LoraRecipe { rank: 1, alpha: f64::NAN }).is_err());
    }
}
