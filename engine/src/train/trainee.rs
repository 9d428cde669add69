//! The model while it learns: its parts with gradients, label heads, and the two losses.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::examples::Example;
use super::low_rank::{Origin, adapt, low_rank_tensors};
use super::pretrained::Pretrained;
use super::recipe::{LoraRecipe, Objective, Reading, Recipe};
use crate::error::Problem;
use crate::model::{
    Adapter, AdapterConfig, Decoder, DecoderConfig, Encoder, EncoderConfig, EosTokens, HiddenState,
    Positions, Prompter, TextTokenizer, pad_tokens,
};
use crate::nn::{ParamSink, Params, export_linear, linear};
use crate::tokens::{GeneDictionary, SpecialTokens};
use crate::{Error, Result};

/// Standard deviation of fresh matrices. Small models learn from larger weights than BERT's 0.02.
pub(super) const INITIAL_STD: f32 = 0.04;
/// Base of the decoder's rotary frequencies: Llama's first, right for short texts.
const ROPE_THETA: f64 = 10_000.0;

/// Configurations of a recipe's parts.
#[derive(Debug, Clone)]
pub(super) struct Configs {
    pub(super) encoder: EncoderConfig,
    pub(super) adapter: AdapterConfig,
    pub(super) decoder: DecoderConfig,
    pub(super) hidden_state: HiddenState,
    pub(super) labels: LabelCounts,
    /// States of the encoder that the adapter reads, and that labels are read off.
    pub(super) top_k: usize,
    pub(super) special: SpecialTokens,
    /// LoRA on the decoder.
    pub(super) lora: Option<LoraRecipe>,
    /// Whether any stage changes the encoder.
    pub(super) encoder_learns: bool,
}

/// How many labels of each kind there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LabelCounts {
    pub(super) cell_types: usize,
    pub(super) tissues: usize,
    pub(super) diseases: usize,
    pub(super) pathways: usize,
}

impl Configs {
    pub(super) fn new(
        recipe: &Recipe,
        genes: &GeneDictionary,
        tokenizer: &TextTokenizer,
        labels: LabelCounts,
        pretrained: &Pretrained,
    ) -> Self {
        let special = genes.special();
        let fresh_encoder = || EncoderConfig {
            model_type: "bert".into(),
            hidden_size: recipe.encoder.hidden_size,
            num_hidden_layers: recipe.encoder.layers,
            num_attention_heads: recipe.encoder.heads,
            intermediate_size: recipe.encoder.intermediate_size,
            max_position_embeddings: recipe.genes.max_len,
            vocab_size: genes.vocabulary_size(),
            type_vocab_size: 2,
            hidden_act: "relu".into(),
            layer_norm_eps: 1e-12,
            pad_token_id: special.pad,
        };
        let fresh_decoder = || DecoderConfig {
            model_type: "llama".into(),
            hidden_size: recipe.decoder.hidden_size,
            num_hidden_layers: recipe.decoder.layers,
            num_attention_heads: recipe.decoder.heads,
            num_key_value_heads: recipe.decoder.kv_heads,
            head_dim: None,
            intermediate_size: recipe.decoder.intermediate_size,
            vocab_size: tokenizer.vocab_size(),
            max_position_embeddings: recipe.decoder.max_positions,
            rms_norm_eps: 1e-5,
            tie_word_embeddings: true,
            rope_theta: Some(ROPE_THETA),
            eos_token_id: tokenizer
                .token(&recipe.decoder.end_of_text)
                .map_or(EosTokens::None, EosTokens::One),
            ..DecoderConfig::default()
        };
        let encoder = pretrained.encoder.as_ref().map_or_else(fresh_encoder, |part| part.config.clone());
        let decoder = pretrained.decoder.as_ref().map_or_else(fresh_decoder, |part| part.config.clone());
        let adapter = AdapterConfig {
            kind: recipe.adapter.kind,
            input_size: encoder.hidden_size,
            hidden_size: recipe.adapter.hidden_size,
            output_size: decoder.hidden_size,
        };
        Self {
            encoder,
            adapter,
            decoder,
            hidden_state: recipe.encoder.hidden_state,
            labels,
            top_k: recipe.prompt.top_k,
            special: *special,
            lora: recipe.decoder.lora,
            encoder_learns: recipe
                .stages
                .iter()
                .any(|stage| stage.objective != Objective::Description || stage.train_encoder),
        }
    }
}

/// Linear heads over the mean of the states that the adapter reads, for the label stage.
#[derive(Module, Debug)]
pub(super) struct Heads {
    cell_type: Linear,
    tissue: Linear,
    disease: Linear,
    pathway: Linear,
}

/// All that learns.
#[derive(Module, Debug)]
pub(super) struct Trainee {
    pub(super) encoder: Encoder,
    pub(super) adapter: Adapter,
    pub(super) decoder: Decoder,
    heads: Heads,
}

/// Loss with the share of right answers, for the log.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) loss: Tensor<1>,
    /// Share of masked genes, of cell types, or of next tokens right, by the stage.
    pub(super) accuracy: Tensor<1>,
}

/// Share of a cell's genes that are masked, and of these the shares that the mask token or another gene stands for; the
/// rest stays as it is (BERT's figures, which Geneformer keeps).
const MASKED_SHARE: f64 = 0.15;
const SHOWN_AS_MASK: f64 = 0.8;
const SHOWN_AS_ANOTHER: f64 = 0.1;
/// Weights of the label losses beside the cell type's. The type matters most; the others keep in the states what the
/// decoder must tell.
const TISSUE_WEIGHT: f64 = 0.4;
const DISEASE_WEIGHT: f64 = 0.2;
const PATHWAY_WEIGHT: f64 = 0.4;

impl Trainee {
    /// Read from a checkpoint, but for what no stage changes: that is read again from where it came.
    ///
    /// # Errors
    /// [`crate::Error::Model`] when a tensor is missing or of another shape.
    pub(super) fn read(configs: &Configs, params: &mut Params<'_>, pretrained: &Pretrained) -> Result<Self> {
        Self::new(configs, params, pretrained, None)
    }

    /// With `fresh`, the seed of a new run; without, `params` is a checkpoint.
    fn new(
        configs: &Configs,
        params: &mut Params<'_>,
        pretrained: &Pretrained,
        fresh: Option<u64>,
    ) -> Result<Self> {
        let (width, labels) = (configs.encoder.hidden_size, configs.labels);
        let device = params.device().clone();
        let encoder = match &pretrained.encoder {
            Some(part) if fresh.is_some() || !configs.encoder_learns => {
                Encoder::new(&configs.encoder, &mut part.params(&device))?
            }
            _ => Encoder::new(&configs.encoder, params)?,
        };
        let adapter = Adapter::new(&configs.adapter, params)?;
        let decoder = match &pretrained.decoder {
            Some(part) if fresh.is_some() || configs.lora.is_some() => {
                Decoder::new(&configs.decoder, &mut part.params(&device))?
            }
            _ => Decoder::new(&configs.decoder, params)?,
        };
        let decoder = match &configs.lora {
            Some(lora) => {
                adapt(decoder, lora, fresh.map_or_else(|| Origin::Read(&mut *params), Origin::Fresh))?
            }
            None => decoder,
        };
        Ok(Self {
            encoder,
            adapter,
            decoder,
            heads: Heads {
                cell_type: linear(params, "heads.cell_type", width, labels.cell_types, true)?,
                tissue: linear(params, "heads.tissue", width, labels.tissues, true)?,
                disease: linear(params, "heads.disease", width, labels.diseases, true)?,
                pathway: linear(params, "heads.pathway", width, labels.pathways, true)?,
            },
        })
    }

    /// Fresh weights from `seed`, but for the parts that are trained already.
    ///
    /// # Errors
    /// As [`Trainee::read`].
    pub(super) fn fresh(
        configs: &Configs,
        seed: u64,
        device: &Device,
        pretrained: &Pretrained,
    ) -> Result<Self> {
        Self::new(configs, &mut Params::random(seed, INITIAL_STD, device), pretrained, Some(seed))
    }

    /// Every parameter that a stage may change, named as [`Trainee::read`] reads it.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when values cannot be read back.
    pub(super) fn export(
        &self,
        sink: &mut ParamSink,
        configs: &Configs,
        pretrained: &Pretrained,
    ) -> Result<()> {
        if configs.encoder_learns || pretrained.encoder.is_none() {
            self.encoder.export(sink, true)?;
        }
        self.adapter.export(sink)?;
        if configs.lora.is_some() {
            low_rank_tensors(&self.decoder)?.into_iter().for_each(|tensor| sink.add_named(tensor));
        } else {
            self.decoder.export(sink)?;
        }
        export_linear(sink, "heads.cell_type", &self.heads.cell_type)?;
        export_linear(sink, "heads.tissue", &self.heads.tissue)?;
        export_linear(sink, "heads.disease", &self.heads.disease)?;
        export_linear(sink, "heads.pathway", &self.heads.pathway)
    }

    /// Cross entropy of masked genes.
    ///
    /// # Errors
    /// [`crate::Error::Model`] when the encoder has no such hidden state.
    pub(super) fn masked_gene_loss(
        &self,
        examples: &[Example],
        configs: &Configs,
        seed: u64,
    ) -> Result<Outcome> {
        let device = self.encoder.device();
        let masked: Vec<MaskedCell> = examples.iter().map(|e| MaskedCell::new(e, configs, seed)).collect();
        let rows: Vec<&[u32]> = masked.iter().map(|m| m.shown.as_slice()).collect();
        let (tokens, lengths) = pad_tokens(&rows, configs.special.pad, &device);
        let [_, longest] = tokens.dims();
        let hidden = self.encoder.hidden_state(tokens, &lengths, HiddenState(-1))?;
        let [batch, _, width] = hidden.dims();
        let places: Vec<i64> = masked
            .iter()
            .enumerate()
            .flat_map(|(i, m)| m.places.iter().map(move |&p| (i * longest + p) as i64))
            .collect();
        let n = places.len();
        let places = Tensor::<1, Int>::from_data(TensorData::new(places, [n]), &device);
        let at_places = hidden.reshape([batch * longest, width]).select(0, places);
        let logits = self.encoder.masked_gene_logits(at_places.reshape([1, n, width]))?;
        let [_, _, vocabulary] = logits.dims();
        let logits = logits.reshape([n, vocabulary]);
        let truth: Vec<usize> =
            masked.iter().flat_map(|m| m.places.iter().map(|&p| m.genes[p] as usize)).collect();
        let truth = class_numbers(&truth, &device);
        let right = logits.clone().argmax(1).equal(truth.clone()).float().mean();
        Ok(Outcome { loss: cross_entropy(logits, truth), accuracy: right })
    }

    /// Cross entropies of the labels read off the mean of the states that the adapter will read.
    ///
    /// # Errors
    /// [`crate::Error::Model`] when the encoder has no such hidden state.
    pub(super) fn label_loss(
        &self,
        examples: &[Example],
        configs: &Configs,
        reading: Reading,
    ) -> Result<Outcome> {
        let device = self.encoder.device();
        let rows: Vec<&[u32]> = examples.iter().map(|e| e.tokens.as_slice()).collect();
        let (tokens, lengths) = pad_tokens(&rows, configs.special.pad, &device);
        // Padding is not among these: where a cell is shorter than what the adapter reads, all are read so far.
        let n_read = configs.top_k.min(lengths.iter().copied().min().unwrap_or(1).max(1));
        let state = configs.hidden_state;
        let read = match reading {
            Reading::Full => self.encoder.hidden_state(tokens, &lengths, state)?.narrow(1, 0, n_read),
            Reading::Quick => self.encoder.first_states(tokens, &lengths, state, n_read)?,
        };
        let [batch, _, width] = read.dims();
        let read = read.mean_dim(1).reshape([batch, width]);
        let numbers = |of: fn(&Example) -> usize| -> Vec<usize> { examples.iter().map(of).collect() };
        let type_logits = self.heads.cell_type.forward(read.clone());
        let types = class_numbers(&numbers(|e| e.cell_type), &device);
        let tissues = class_numbers(&numbers(|e| e.tissue), &device);
        let diseases = class_numbers(&numbers(|e| e.disease), &device);
        let pathway_logits = self.heads.pathway.forward(read.clone());
        let pathway =
            |i: usize| class_numbers(&examples.iter().map(|e| e.pathways[i]).collect::<Vec<_>>(), &device);
        let loss = cross_entropy(type_logits.clone(), types.clone())
            + cross_entropy(self.heads.tissue.forward(read.clone()), tissues).mul_scalar(TISSUE_WEIGHT)
            + cross_entropy(self.heads.disease.forward(read), diseases).mul_scalar(DISEASE_WEIGHT)
            + (cross_entropy(pathway_logits.clone(), pathway(0)) + cross_entropy(pathway_logits, pathway(1)))
                .mul_scalar(PATHWAY_WEIGHT / 2.0);
        let right = type_logits.argmax(1).equal(types).float().mean();
        Ok(Outcome { loss, accuracy: right })
    }

    /// Cross entropy of the description's tokens, given the prompt with the gene vectors. `frozen` is the encoder to
    /// read with where this one's must not learn.
    ///
    /// # Errors
    /// [`crate::Error::Model`] when prompt or encoder do not fit.
    pub(super) fn description_loss(
        &self,
        examples: &[Example],
        configs: &Configs,
        prompter: &Prompter,
        positions: &Positions,
        frozen: Option<&Encoder>,
    ) -> Result<Outcome> {
        // Prompts of one length go through together; where cells show fewer genes than the prompt may hold, in groups.
        let mut groups: BTreeMap<usize, Vec<&Example>> = BTreeMap::new();
        for example in examples {
            groups.entry(example.tokens.len().min(prompter.prompt.top_k)).or_default().push(example);
        }
        let mut sums: Option<TextSums> = None;
        for (shown, group) in groups {
            let own = self.text_sums(&group, shown, configs, prompter, positions, frozen)?;
            sums = Some(match sums {
                None => own,
                Some(all) => TextSums {
                    log_probability: all.log_probability + own.log_probability,
                    right: all.right + own.right,
                    counted: all.counted + own.counted,
                },
            });
        }
        let Some(TextSums { log_probability, right, counted }) = sums else {
            return Err(Error::train(Problem::new("cells", "none", "a batch", "Report this as a bug.")));
        };
        Ok(Outcome { loss: log_probability.div_scalar(-counted), accuracy: right.div_scalar(counted) })
    }

    /// The sums over the tokens of the descriptions of cells that all show `shown` genes or more.
    fn text_sums(
        &self,
        examples: &[&Example],
        shown: usize,
        configs: &Configs,
        prompter: &Prompter,
        positions: &Positions,
        frozen: Option<&Encoder>,
    ) -> Result<TextSums> {
        let device = self.decoder.device();
        let rows: Vec<&[u32]> = examples.iter().map(|e| e.tokens.as_slice()).collect();
        let encoder = frozen.unwrap_or(&self.encoder);
        let (tokens, lengths) = pad_tokens(&rows, configs.special.pad, &encoder.device());
        let hidden = encoder.hidden_state(tokens, &lengths, configs.hidden_state)?;
        let hidden = if frozen.is_some() { Tensor::from_inner(hidden) } else { hidden };
        let genes = self.adapter.forward(hidden.narrow(1, 0, shown));
        let prompt = prompter.splice(&self.decoder, genes)?;
        let [batch, n_prompt, _] = prompt.dims();
        let texts: Vec<&[u32]> = examples.iter().map(|e| e.text.as_slice()).collect();
        let (words, text_lengths) = pad_tokens(&texts, 0, &device);
        let [_, n_text] = words.dims();
        // The last token of a text is never read, only predicted.
        let read = self.decoder.embed(words.clone().narrow(1, 0, n_text - 1));
        let hidden = self.decoder.hidden(Tensor::cat(vec![prompt, read], 1), positions);
        let [_, _, width] = hidden.dims();
        let telling = hidden.narrow(1, n_prompt - 1, n_text).reshape([1, batch * n_text, width]);
        let logits = self.decoder.logits(telling);
        let [_, rows, vocab] = logits.dims();
        let targets = words.reshape([rows, 1]);
        let logits = logits.reshape([rows, vocab]);
        let counted: Vec<f32> = text_lengths
            .iter()
            .flat_map(|&n| (0..n_text).map(move |i| if i < n { 1.0 } else { 0.0 }))
            .collect();
        let n_counted: f32 = counted.iter().sum();
        let mask = Tensor::<2>::from_data(TensorData::new(counted, [rows, 1]), &device);
        let right = logits.clone().argmax(1).equal(targets.clone()).float();
        let log_probability = log_softmax(logits, 1).gather(1, targets);
        Ok(TextSums {
            log_probability: (log_probability * mask.clone()).sum(),
            right: (right * mask).sum(),
            counted: n_counted,
        })
    }
}

/// Sums over the tokens of descriptions.
struct TextSums {
    log_probability: Tensor<1>,
    right: Tensor<1>,
    counted: f32,
}

/// A cell with some of its genes hidden.
struct MaskedCell<'a> {
    genes: &'a [u32],
    shown: Vec<u32>,
    places: Vec<usize>,
}

impl<'a> MaskedCell<'a> {
    fn new(example: &'a Example, configs: &Configs, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed.rotate_left(32) ^ example.number);
        let SpecialTokens { mask, cls, eos, .. } = configs.special;
        let genes = example.tokens.as_slice();
        let mut shown = genes.to_vec();
        let mut places = Vec::new();
        let first_gene =
            1 + [Some(configs.special.pad), Some(mask), cls, eos].into_iter().flatten().max().unwrap_or(0);
        let vocabulary = configs.encoder.vocab_size as u32;
        for (place, token) in shown.iter_mut().enumerate() {
            if Some(*token) == cls || Some(*token) == eos || rng.random::<f64>() >= MASKED_SHARE {
                continue;
            }
            places.push(place);
            let how = rng.random::<f64>();
            if how < SHOWN_AS_MASK {
                *token = mask;
            } else if how < SHOWN_AS_MASK + SHOWN_AS_ANOTHER && first_gene < vocabulary {
                *token = rng.random_range(first_gene..vocabulary);
            }
        }
        if places.is_empty() {
            // Every cell teaches something: its highest gene, where chance masked none.
            let place = usize::from(cls.is_some()).min(shown.len().saturating_sub(1));
            if let Some(token) = shown.get_mut(place) {
                *token = mask;
                places.push(place);
            }
        }
        Self { genes, shown, places }
    }
}

fn class_numbers(numbers: &[usize], device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i64> = numbers.iter().map(|&n| n as i64).collect();
    Tensor::from_data(TensorData::new(ids, [numbers.len(), 1]), device)
}

/// Mean negative log probability of the right class.
fn cross_entropy(logits: Tensor<2>, classes: Tensor<2, Int>) -> Tensor<1> {
    log_softmax(logits, 1).gather(1, classes).mean().neg()
}
