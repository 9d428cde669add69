//! BERTScore (Zhang et al. 2020): each token of one text is matched with the token of the other whose vector is nearest.
//!
//! As the `bert-score` package computes it without weights by rarity and without rescaling: vectors of one hidden state,
//! cosines, the greatest for each token, averaged over the tokens but the first and the last, which are special.

use std::path::Path;

use burn::tensor::{Int, Tensor, TensorData};

use super::outcome::BertScore;
use crate::error::Problem;
use crate::model::{Encoder, EncoderConfig, HiddenState, ModelFiles, TextTokenizer};
use crate::nn::{DevicePreference, Params, choose_device};
use crate::{Error, Result};

/// A BERT or RoBERTa that scores pairs of texts.
#[derive(Debug)]
pub(super) struct BertScorer {
    encoder: Encoder,
    tokenizer: TextTokenizer,
    /// The state whose vectors are compared.
    state: HiddenState,
    longest: usize,
}

/// The hidden state that `bert-score` compares for a model of this kind and depth; the last where it names none.
fn usual_state(config: &EncoderConfig) -> i32 {
    match (config.model_type.as_str(), config.num_hidden_layers) {
        ("bert", 12) => 9,
        ("bert", 24) => 18,
        ("roberta", 12) => 10,
        ("roberta", 24) => 17,
        (_, layers) => layers as i32,
    }
}

impl BertScorer {
    /// Loads the model in `folder`, in the Hugging Face layout with `tokenizer.json`. `layer` is the hidden state to
    /// compare, 0 the embeddings; by default that of the `bert-score` package.
    ///
    /// # Errors
    /// [`Error::Model`] or [`Error::Io`] naming the part that is wrong; [`Error::Device`].
    pub(super) fn load(folder: &Path, layer: Option<usize>, preference: DevicePreference) -> Result<Self> {
        let files = ModelFiles::Folder(folder.to_path_buf());
        let config: EncoderConfig = files.json("config.json")?;
        let usual = usual_state(&config);
        let weights = files.weights("")?;
        let device = choose_device(preference)?.device;
        let encoder = Encoder::new(&config, &mut Params::from_files(&weights, "", &device))?;
        let tokenizer = TextTokenizer::from_json(&files.read("tokenizer.json")?)?;
        let state = HiddenState(layer.map_or(usual, |layer| layer as i32));
        state.layers_to_run(encoder.n_layers())?;
        Ok(Self { encoder, tokenizer, state, longest: config.longest() })
    }

    /// Precision, recall and F1 of `said` against `reference`.
    ///
    /// # Errors
    /// [`Error::Model`] when the tokenizer cannot spell a text; [`Error::Device`].
    pub(super) fn score(&self, said: &str, reference: &str) -> Result<BertScore> {
        // The package scores an empty text 0.
        if said.is_empty() || reference.is_empty() {
            return Ok([0.0; 3]);
        }
        Ok(match_greedily(&self.vectors(said)?, &self.vectors(reference)?))
    }

    /// Unit vectors of a text's tokens, the special ones included.
    fn vectors(&self, text: &str) -> Result<Vec<Vec<f32>>> {
        let mut tokens = self.tokenizer.encode_whole(text)?;
        if tokens.len() > self.longest
            && let Some(end) = tokens.last().copied()
        {
            tokens.truncate(self.longest.saturating_sub(1));
            tokens.push(end);
        }
        let n = tokens.len();
        let ids: Vec<i64> = tokens.into_iter().map(i64::from).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, n]), &self.encoder.device());
        let hidden = self.encoder.hidden_state(ids, &[n], self.state)?;
        let [_, _, width] = hidden.dims();
        let values = hidden.try_into_vec_as::<f32>().map_err(|e| {
            Error::device(Problem::new(
                "vectors of words",
                e.to_string(),
                "values read back from the device",
                "Try --device cpu.",
            ))
        })?;
        Ok(values
            .chunks_exact(width.max(1))
            .map(|vector| {
                let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
                vector.iter().map(|x| x / length).collect()
            })
            .collect())
    }
}

/// Precision, recall and F1 of unit vectors, of which the first and the last of each text are special: they may be
/// matched, but are not counted.
fn match_greedily(said: &[Vec<f32>], reference: &[Vec<f32>]) -> BertScore {
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let best = |of: &[Vec<f32>], among: &[Vec<f32>]| {
        let inner = of.get(1..of.len().saturating_sub(1)).unwrap_or_default();
        let sum: f32 =
            inner.iter().map(|a| among.iter().map(|b| cosine(a, b)).fold(f32::NEG_INFINITY, f32::max)).sum();
        if inner.is_empty() { 0.0 } else { sum / inner.len() as f32 }
    };
    let (precision, recall) = (best(said, reference), best(reference, said));
    let f1 = if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 };
    [precision, recall, f1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_finds_its_nearest_and_the_marks_at_the_ends_do_not_count() {
        let (east, north) = (vec![1.0, 0.0], vec![0.0, 1.0]);
        let between = vec![0.6, 0.8];
        let said = [east.clone(), east.clone(), east.clone(), east.clone()];
        let reference = [north.clone(), between, north.clone()];
        // Both inner words of `said` find `between` at .6; that one finds east at .6.
        let [precision, recall, f1] = match_greedily(&said, &reference);
        assert!((precision - 0.6).abs() < 1e-6 && (recall - 0.6).abs() < 1e-6 && (f1 - 0.6).abs() < 1e-6);
        assert_eq!(match_greedily(&[east, north], &reference)[0], 0.0);
    }

    /// What `tests/python/bert_score_expectations.py` computed with the `bert-score` package.
    #[derive(serde::Deserialize)]
    struct Expected {
        layer: usize,
        pairs: Vec<ExpectedPair>,
    }

    #[derive(serde::Deserialize)]
    struct ExpectedPair {
        said: String,
        reference: String,
        /// Precision, recall, F1.
        scores: BertScore,
    }

    #[test]
    fn scores_are_those_of_the_bert_score_package() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/expected");
        let expected: Expected =
            serde_json::from_slice(&std::fs::read(folder.join("bert_score.json")).unwrap()).unwrap();
        let scorer =
            BertScorer::load(&folder.join("tiny_bert"), Some(expected.layer), DevicePreference::Cpu).unwrap();
        assert!(expected.pairs.len() >= 7);
        for ExpectedPair { said, reference, scores } in &expected.pairs {
            let ours = scorer.score(said, reference).unwrap();
            for (ours, theirs) in ours.iter().zip(scores) {
                assert!((ours - theirs).abs() < 1e-3, "{said:?}, {reference:?}: {ours} and not {theirs}");
            }
        }
    }
}
