//! Which matrix holds counts: a stated rule on a sample of each matrix.

use super::matrix::{Layout, Matrix};
use super::{AnnData, MatrixKey};
use crate::{Error, Result};

/// Rows looked at in each matrix.
const SAMPLE_ROWS: usize = 100;
/// Rows looked at side by side, since neighbours share a chunk of the file.
const ROWS_TOGETHER: usize = 4;
/// A matrix stored by columns is turned for the sample only up to this many entries: a third of a second.
const MOST_TURNED: u64 = 4 << 20;
/// Logged expression stays below this: log2 of a million is 20.
const LARGEST_LOG: f32 = 20.0;
/// Totals that differ by less than this share of their mean are "the same in every cell".
const EQUAL_TOTALS: f64 = 0.02;

/// What the numbers of a matrix are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scale {
    /// Whole numbers, none below zero.
    Counts,
    /// log1p of normalised values, taken as the natural logarithm.
    Log1p,
    /// Normalised, not logged.
    Linear,
    /// Some below zero: z-scores, as scanpy's `pp.scale` leaves them.
    Scaled,
}

impl Scale {
    /// In words, for a legend.
    pub fn label(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::Log1p => "log-normalised",
            Self::Linear => "normalised, linear",
            Self::Scaled => "scaled",
        }
    }

    /// What the user must know before trusting descriptions made from such values, if anything.
    pub fn caution(self) -> Option<&'static str> {
        match self {
            Self::Counts | Self::Linear => None,
            Self::Log1p => Some(
                "The values are logarithms; they are undone with exp(x) - 1. Where another base was used, the order \
                 of genes within a cell is kept but their proportions are not exact.",
            ),
            Self::Scaled => Some(
                "The values were scaled (z-scores) and their original size is lost. Only those above zero are used. \
                 Descriptions are unreliable: add the counts to the file, as layers/counts or raw/X.",
            ),
        }
    }
}

/// The matrix to read counts from, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixChoice {
    /// Which one.
    pub key: MatrixKey,
    /// What its numbers are.
    pub scale: Scale,
    /// Why it was chosen, in plain words.
    pub reason: String,
    /// Whether the user chose it, rather than the rule.
    pub chosen_by_user: bool,
}

/// What a look at some rows of a matrix shows.
#[derive(Debug, Default)]
struct Sample {
    values: usize,
    highest: f32,
    negative: bool,
    whole: bool,
    non_finite: u64,
    totals: Vec<f64>,
    unlogged_totals: Vec<f64>,
}

impl Sample {
    fn of(matrix: &Matrix) -> Result<Self> {
        let mut sample = Self { whole: true, ..Self::default() };
        let before = matrix.non_finite();
        if matrix.layout() != Layout::Csc || matrix.n_stored() <= MOST_TURNED {
            for start in spread(matrix.n_rows(), SAMPLE_ROWS, ROWS_TOGETHER) {
                let end = matrix.n_rows().min(start + ROWS_TOGETHER);
                for row in matrix.rows(start..end)? {
                    sample.look_at(&row.values);
                    if !row.is_empty() {
                        sample.totals.push(row.total());
                        sample.unlogged_totals.push(row.linearise(Scale::Log1p).total());
                    }
                }
            }
        } else {
            // Genes are read instead, and totals of cells stay unknown.
            for column in spread(matrix.n_cols(), SAMPLE_ROWS, 1) {
                let column = matrix.column(column, &crate::progress::Watch::silent())?;
                sample.non_finite += column.iter().filter(|v| !v.is_finite()).count() as u64;
                let values: Vec<f32> = column.into_iter().filter(|v| v.is_finite() && *v != 0.0).collect();
                sample.look_at(&values);
            }
        }
        sample.non_finite += matrix.non_finite() - before;
        Ok(sample)
    }

    fn look_at(&mut self, values: &[f32]) {
        self.values += values.len();
        for value in values {
            self.highest = self.highest.max(*value);
            self.negative |= *value < 0.0;
            self.whole &= value.fract() == 0.0;
        }
    }

    fn scale(&self) -> Scale {
        if self.negative {
            Scale::Scaled
        } else if self.whole {
            Scale::Counts
        } else if equal(&self.totals).is_some() && equal(&self.unlogged_totals).is_none() {
            Scale::Linear
        } else if self.highest <= LARGEST_LOG {
            Scale::Log1p
        } else {
            Scale::Linear
        }
    }

    /// What was seen, as the end of a sentence that begins with the name of the matrix.
    fn seen(&self) -> String {
        let mut text = match self.scale() {
            Scale::Counts if self.values == 0 => "holds only zeros where it was looked at".to_owned(),
            Scale::Counts => "holds whole numbers, none below zero: counts".to_owned(),
            Scale::Log1p => match equal(&self.unlogged_totals) {
                Some(total) => format!(
                    "holds logarithms: no value is above {:.1}, and exp(x) - 1 sums to about {total:.0} in every cell",
                    self.highest
                ),
                None => format!(
                    "seems to hold logarithms: fractions, none below zero, none above {:.1}",
                    self.highest
                ),
            },
            Scale::Linear => match equal(&self.totals) {
                Some(total) => format!("holds normalised values that sum to about {total:.0} in every cell"),
                None => format!(
                    "holds fractions up to {:.0}, too high for logarithms: normalised values",
                    self.highest
                ),
            },
            Scale::Scaled => "holds values below zero: scaled values (z-scores)".to_owned(),
        };
        if self.non_finite > 0 {
            text.push_str(&format!(
                "; {} values looked at are NaN or infinite and are left out",
                self.non_finite
            ));
        }
        text
    }
}

/// The mean of `totals` when they are nearly the same, and enough to tell.
fn equal(totals: &[f64]) -> Option<f64> {
    if totals.len() < 3 {
        return None;
    }
    let mean = totals.iter().sum::<f64>() / totals.len() as f64;
    let low = totals.iter().copied().fold(f64::INFINITY, f64::min);
    let high = totals.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (mean > 0.0 && high - low <= EQUAL_TOTALS * mean).then_some(mean)
}

/// Starts of at most `wanted / together` groups of `together`, spread evenly over `n`; all of them when `n` is small.
fn spread(n: usize, wanted: usize, together: usize) -> Vec<usize> {
    if n <= wanted {
        return (0..n).step_by(together).collect();
    }
    let groups = wanted / together;
    (0..groups)
        .map(|group| (group as u128 * (n - together) as u128 / (groups - 1).max(1) as u128) as usize)
        .collect()
}

/// How much the name of a layer says "counts": 2 for `counts` itself, 1 for a name like it, 0 for another.
fn named_like_counts(name: &str) -> u8 {
    let plain: String = name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    match plain.as_str() {
        "counts" => 2,
        "raw" | "umi" | "umis" => 1,
        other => {
            let derived = ["norm", "log", "scale", "corrected", "denoised", "imputed"];
            u8::from(other.contains("count") && !derived.iter().any(|word| other.contains(word)))
        }
    }
}

/// Parts of the counts (RNA velocity) are not the counts.
fn is_part_of_counts(name: &str) -> bool {
    matches!(name.to_lowercase().as_str(), "spliced" | "unspliced" | "ambiguous" | "matrix_spliced")
}

impl AnnData {
    /// Chooses the matrix that holds counts, by a rule on about 100 rows spread over each matrix:
    ///
    /// 1. a layer named like counts (`counts` first), if its numbers are whole and none is below zero;
    /// 2. `raw/X`, if so;
    /// 3. `X`, if so;
    /// 4. any other layer, if so, but for parts of the counts (`spliced`, `unspliced`, `ambiguous`);
    /// 5. else logarithms: `raw/X`, then `X`, then layers. Values are taken for logarithms when they are fractions,
    ///    none is below zero and none is above 20; exp(x) - 1 adding up to the same total in every cell confirms it,
    ///    the values themselves doing so refutes it;
    /// 6. else normalised values that are not logged, in the same order;
    /// 7. else scaled values (some are below zero), in the same order;
    /// 8. a matrix in which only zeros were seen comes last.
    ///
    /// Of a large matrix stored by columns 100 genes are looked at instead of cells, and totals are not compared.
    ///
    /// A matrix that cannot be read is passed over while another can.
    ///
    /// # Errors
    /// [`Error::AnnData`] when the file has no matrix that can be read: the first one's error, or that there is none.
    pub fn choose_matrix(&self) -> Result<MatrixChoice> {
        let mut layers: Vec<&MatrixKey> =
            self.matrices().iter().filter(|key| matches!(key, MatrixKey::Layer(_))).collect();
        layers.sort_by_key(|key| match key {
            MatrixKey::Layer(name) => (std::cmp::Reverse(named_like_counts(name)), is_part_of_counts(name)),
            _ => (std::cmp::Reverse(0), false),
        });
        let is_layer = |key: &MatrixKey, like: bool| {
            matches!(key, MatrixKey::Layer(name)
                if (named_like_counts(name) > 0) == like && (like || !is_part_of_counts(name)))
        };
        let others = [MatrixKey::Raw, MatrixKey::X];
        let others: Vec<&MatrixKey> = others.iter().filter(|key| self.matrices().contains(key)).collect();
        let order = layers.iter().filter(|key| is_layer(key, true));
        let order = order.chain(&others).chain(layers.iter().filter(|key| is_layer(key, false)));

        let mut seen: Vec<(&MatrixKey, Sample)> = Vec::new();
        let mut first_error: Option<Error> = None;
        for key in order {
            match self.matrix(key).and_then(|matrix| Sample::of(&matrix)) {
                Ok(sample) if sample.scale() == Scale::Counts && sample.values > 0 => {
                    return Ok(choice(key, &sample, &seen));
                }
                Ok(sample) => seen.push((key, sample)),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        // Layers of parts of the counts come in here: better than nothing.
        for key in layers.iter().filter(|key| !is_layer(key, true) && !is_layer(key, false)) {
            match self.matrix(key).and_then(|matrix| Sample::of(&matrix)) {
                Ok(sample) => seen.push((key, sample)),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        let place = |key: &MatrixKey| match key {
            MatrixKey::Raw => 0,
            MatrixKey::X => 1,
            MatrixKey::Layer(_) => 2,
        };
        let rank = |(key, sample): &(&MatrixKey, Sample)| {
            let scale = match sample.scale() {
                Scale::Counts if sample.values == 0 => 4,
                Scale::Counts => 0,
                Scale::Log1p => 1,
                Scale::Linear => 2,
                Scale::Scaled => 3,
            };
            (scale, place(key))
        };
        seen.sort_by_key(rank);
        match seen.first() {
            Some((key, sample)) => Ok(choice(key, sample, &seen)),
            None => Err(first_error.unwrap_or_else(|| self.no_matrix())),
        }
    }

    /// What `key` holds, as a choice made by the user.
    ///
    /// # Errors
    /// [`Error::AnnData`] when that matrix cannot be read.
    pub fn choose_by_user(&self, key: &MatrixKey) -> Result<MatrixChoice> {
        let sample = Sample::of(&self.matrix(key)?)?;
        Ok(MatrixChoice {
            key: key.clone(),
            scale: sample.scale(),
            reason: format!("Chosen by you. {key} {}.", sample.seen()),
            chosen_by_user: true,
        })
    }
}

fn choice(key: &MatrixKey, sample: &Sample, seen: &[(&MatrixKey, Sample)]) -> MatrixChoice {
    let mut reason = format!("{key} {}.", sample.seen());
    for (other, sample) in seen.iter().filter(|(other, _)| *other != key) {
        reason.push_str(&format!(" {other} {}.", sample.seen()));
    }
    if sample.scale() != Scale::Counts {
        reason.push_str(" No matrix of the file holds counts.");
    }
    MatrixChoice { key: key.clone(), scale: sample.scale(), reason, chosen_by_user: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampled_rows_are_spread_from_the_first_to_the_last() {
        assert_eq!(spread(6, 100, 4), [0, 4]);
        let far = spread(1_000_000, 100, 4);
        assert_eq!((far.len(), far[0], far[24]), (25, 0, 999_996));
        assert!(spread(0, 100, 4).is_empty());
        assert_eq!(spread(101, 100, 1).len(), 100);
    }

    #[test]
    fn layer_names_are_judged_by_what_they_say() {
        assert_eq!(named_like_counts("counts"), 2);
        for name in ["raw_counts", "Count", "UMIs", "raw", "dense_counts"] {
            assert_eq!(named_like_counts(name), 1, "{name}");
        }
        for name in ["normalized_counts", "logcounts", "scaled", "spliced", "data"] {
            assert_eq!(named_like_counts(name), 0, "{name}");
        }
    }

    fn sample(rows: &[&[f32]]) -> Sample {
        let mut sample = Sample { whole: true, ..Sample::default() };
        for row in rows {
            let row =
                crate::anndata::SparseRow { columns: (0..row.len() as u32).collect(), values: row.to_vec() };
            sample.look_at(&row.values);
            sample.totals.push(row.total());
            sample.unlogged_totals.push(row.linearise(Scale::Log1p).total());
        }
        sample
    }

    #[test]
    fn the_scale_is_told_from_the_values() {
        assert_eq!(sample(&[&[1.0, 3.0], &[2.0, 250.0]]).scale(), Scale::Counts);
        assert_eq!(sample(&[&[1.0, -0.5]]).scale(), Scale::Scaled);
        assert_eq!(sample(&[&[0.5, 3.1], &[0.1, 2.0], &[4.0, 1.0]]).scale(), Scale::Log1p);
        assert_eq!(sample(&[&[0.5, 310.0], &[0.1, 20.0], &[4.0, 1.0]]).scale(), Scale::Linear);
        // Proportions: small, but they sum to 1 as they are.
        assert_eq!(sample(&[&[0.25, 0.75], &[0.5, 0.5], &[0.9, 0.1]]).scale(), Scale::Linear);
        // log1p of values per 10,000.
        let logged = |a: f32| [a.ln_1p(), (10_000.0 - a).ln_1p()];
        let rows = [logged(100.0), logged(2_500.0), logged(7_000.0)];
        let sample = sample(&[&rows[0], &rows[1], &rows[2]]);
        assert_eq!(sample.scale(), Scale::Log1p);
        assert!(sample.seen().contains("about 10000 in every cell"), "{}", sample.seen());
    }
}
