//! Arguments that several commands share.

use std::path::PathBuf;

use clap::Args;
use engine::anndata::MatrixKey;
use engine::annotate::{find_cells, sample_cells};
use engine::describe::{GenerationSettings, TextForm};
use engine::session::{DataSource, Dataset, DevicePreference, Settings};

use super::failure::Failure;

/// The word that stands for the built-in sample where a file is expected. A file of that name is `./sample`.
const SAMPLE: &str = "sample";

/// `FILE`, as a source of cells.
pub fn source(file: &std::path::Path) -> DataSource {
    if file.as_os_str() == SAMPLE { DataSource::Sample } else { DataSource::File(file.to_path_buf()) }
}

/// Which cells' data to open.
#[derive(Debug, Clone, Args)]
pub struct InputArgs {
    /// The h5ad file, or the word "sample" for the built-in sample
    #[arg(value_name = "FILE", required_unless_present = "sample")]
    pub file: Option<PathBuf>,
    /// Use the built-in sample: 700 blood cells
    #[arg(long, conflicts_with = "file")]
    pub sample: bool,
    /// Read counts from this matrix instead of the one chosen by rule: X, raw/X or layers/NAME
    #[arg(long, value_name = "KEY")]
    pub matrix: Option<MatrixKey>,
}

impl InputArgs {
    /// The source named.
    pub fn source(&self) -> DataSource {
        self.file.as_deref().map_or(DataSource::Sample, source)
    }
}

/// Where and with what to compute.
#[derive(Debug, Clone, Default, Args)]
pub struct EngineArgs {
    /// Where the model computes: auto, wgpu, cuda or cpu
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DevicePreference,
    /// A model: its name in `cell2text models`, or its folder; the built-in one otherwise
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
}

impl From<&EngineArgs> for Settings {
    fn from(args: &EngineArgs) -> Self {
        Self { device: args.device, model: args.model.as_deref().map(super::models::find), ..Self::default() }
    }
}

/// How to generate text.
#[derive(Debug, Clone, Args)]
pub struct GenerationArgs {
    /// Seed of everything random: which cells, and sampled words
    #[arg(long, default_value_t = GenerationSettings::default().seed)]
    pub seed: u64,
    /// 0 takes the likeliest word each time; above, words are sampled
    #[arg(long, default_value_t = GenerationSettings::default().temperature, value_parser = temperature)]
    pub temperature: f32,
    /// When sampling, keep the likeliest words up to this probability
    #[arg(long, default_value_t = GenerationSettings::default().top_p, value_parser = top_p)]
    pub top_p: f32,
    /// Let the model write any text, not only those that it lists as known
    #[arg(long)]
    pub free_text: bool,
    /// Judge each cell by itself: without what its data set says of its tissue, and the cells most like it of its type
    #[arg(long)]
    pub alone: bool,
    /// Most tokens of a description
    #[arg(long, default_value_t = GenerationSettings::default().max_new_tokens, value_parser = at_least_one)]
    pub max_tokens: usize,
}

impl From<&GenerationArgs> for GenerationSettings {
    fn from(args: &GenerationArgs) -> Self {
        Self {
            form: if args.free_text { TextForm::Free } else { TextForm::Known },
            alone: args.alone,
            max_new_tokens: args.max_tokens,
            temperature: args.temperature,
            top_p: args.top_p,
            seed: args.seed,
        }
    }
}

fn temperature(text: &str) -> Result<f32, String> {
    in_range(text, "a number from 0 to 10", |x| (0.0..=10.0).contains(&x))
}

fn top_p(text: &str) -> Result<f32, String> {
    in_range(text, "a number above 0 and at most 1", |x| x > 0.0 && x <= 1.0)
}

fn in_range(text: &str, expected: &str, fits: impl Fn(f32) -> bool) -> Result<f32, String> {
    text.parse().ok().filter(|x| fits(*x)).ok_or_else(|| format!("expected {expected}"))
}

/// A whole number above 0.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    let n = at_least_one_u64(text)?;
    usize::try_from(n).map_err(|_| "expected a smaller number".to_owned())
}

/// A whole number above 0.
pub fn at_least_one_u64(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "expected a whole number above 0".to_owned())
}

/// Which cells are asked for: by name, else so many at random, else the first so many, else all.
///
/// # Errors
/// [`Failure::Engine`] where a name is unknown or stands for several cells.
pub fn cells(
    dataset: &Dataset,
    names: &[String],
    random: Option<usize>,
    first: Option<usize>,
    seed: u64,
) -> Result<Vec<usize>, Failure> {
    if !names.is_empty() {
        return Ok(find_cells(&dataset.obs.index, names)?);
    }
    if let Some(count) = random {
        return Ok(sample_cells(dataset.n_obs, count, seed));
    }
    Ok((0..first.unwrap_or(dataset.n_obs).min(dataset.n_obs)).collect())
}
