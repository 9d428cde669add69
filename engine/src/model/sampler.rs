//! From scores to the next token: greedy, or sampled with a temperature and a nucleus.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

/// Which texts a model may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextForm {
    /// Those that its bundle lists; any, where it lists none.
    #[default]
    Known,
    /// Any.
    Free,
}

/// How to generate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GenerationSettings {
    /// Which texts may be written.
    pub form: TextForm,
    /// Whether each cell is judged by itself, even where many of one data set are described together.
    #[serde(default)]
    pub alone: bool,
    /// Tokens after which generation stops at the latest.
    pub max_new_tokens: usize,
    /// 0 is greedy; above, the softmax temperature of sampling.
    pub temperature: f32,
    /// Sampling keeps the smallest set of tokens of at least this probability; 1 keeps all.
    pub top_p: f32,
    /// Seed of sampling.
    pub seed: u64,
}

impl Default for GenerationSettings {
    fn default() -> Self {
        Self {
            form: TextForm::Known,
            alone: false,
            max_new_tokens: 256,
            temperature: 0.0,
            top_p: 1.0,
            seed: 42,
        }
    }
}

/// Chooses tokens for one text.
#[derive(Debug)]
pub struct Sampler {
    temperature: f32,
    top_p: f32,
    rng: StdRng,
}

/// A chosen token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The token.
    pub token: u32,
    /// Its natural log probability at temperature 1, whatever the temperature of sampling.
    pub log_probability: f32,
}

impl Sampler {
    /// A sampler for one text; `stream` tells apart the texts of one seed.
    pub fn new(settings: &GenerationSettings, stream: u64) -> Self {
        // The golden ratio's digits spread neighbouring streams over the seeds.
        let seed = settings.seed ^ stream.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self { temperature: settings.temperature, top_p: settings.top_p, rng: StdRng::seed_from_u64(seed) }
    }

    /// Chooses from the `logits` of every token of the vocabulary, `[vocab]`. Among equals the lowest id wins.
    pub fn choose(&mut self, logits: &[f32]) -> Choice {
        let (best, top) = logits
            .iter()
            .enumerate()
            .fold((0, f32::NEG_INFINITY), |(bi, bv), (i, &v)| if v > bv { (i, v) } else { (bi, bv) });
        let sum: f64 = logits.iter().map(|&v| f64::from(v - top).exp()).sum();
        let token = if self.temperature > 0.0 { self.sample(logits, top) } else { best };
        let score = logits.get(token).copied().unwrap_or(f32::NEG_INFINITY);
        Choice { token: token as u32, log_probability: (f64::from(score - top) - sum.ln()) as f32 }
    }

    fn sample(&mut self, logits: &[f32], top: f32) -> usize {
        let mut weighted: Vec<(usize, f64)> = logits
            .iter()
            .enumerate()
            .map(|(i, &v)| (i, f64::from((v - top) / self.temperature).exp()))
            .collect();
        let total: f64 = weighted.iter().map(|(_, w)| w).sum();
        let mut kept = total;
        if self.top_p < 1.0 {
            weighted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let enough = f64::from(self.top_p) * total;
            kept = 0.0;
            let n = weighted.iter().take_while(|(_, w)| {
                let short = kept < enough;
                if short {
                    kept += w;
                }
                short
            });
            let n = n.count().max(1);
            weighted.truncate(n);
        }
        let mut point = self.rng.random::<f64>() * kept;
        for &(i, w) in &weighted {
            point -= w;
            if point <= 0.0 {
                return i;
            }
        }
        weighted.last().map_or(0, |&(i, _)| i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(temperature: f32, top_p: f32) -> GenerationSettings {
        GenerationSettings { temperature, top_p, ..GenerationSettings::default() }
    }

    #[test]
    fn greedy_takes_the_highest_and_the_first_of_equals() {
        let choice = Sampler::new(&settings(0.0, 1.0), 0).choose(&[1.0, 3.0, 3.0, 0.0]);
        assert_eq!(choice.token, 1);
        let exact = (3f64.exp() / (1f64.exp() + 2.0 * 3f64.exp() + 1.0)).ln();
        assert!((f64::from(choice.log_probability) - exact).abs() < 1e-6);
    }

    #[test]
    fn sampling_follows_the_probabilities_and_its_seed() {
        let logits = [0.0, 2f32.ln(), 5f32.ln()];
        let draw = |stream| {
            let mut sampler = Sampler::new(&settings(1.0, 1.0), stream);
            (0..4000).map(|_| sampler.choose(&logits).token as usize).collect::<Vec<_>>()
        };
        let tokens = draw(1);
        assert_eq!(tokens, draw(1));
        assert_ne!(tokens, draw(2));
        for (token, share) in [(0, 0.125), (1, 0.25), (2, 0.625)] {
            let seen = tokens.iter().filter(|&&t| t == token).count() as f64 / 4000.0;
            assert!((seen - share).abs() < 0.03, "token {token}: {seen}");
        }
    }

    #[test]
    fn a_nucleus_leaves_out_the_tail() {
        let logits = [0.0, 2f32.ln(), 5f32.ln()];
        let mut sampler = Sampler::new(&settings(1.0, 0.6), 0);
        assert!((0..200).all(|_| sampler.choose(&logits).token == 2));
    }
}
