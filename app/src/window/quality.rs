//! Quality figures of the cells as colours and as values of plots.

use std::sync::Arc;

use engine::analysis::Quality;
use serde::{Deserialize, Serialize};

use super::map::Source;

/// One of the figures that the engine works out for every cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityFigure {
    /// The sum of the cell's counts.
    Counts,
    /// Genes above zero.
    Genes,
    /// Percent of the counts in mitochondrial genes.
    Mitochondrial,
}

impl QualityFigure {
    /// All of them, in the order of lists.
    pub const ALL: [Self; 3] = [Self::Counts, Self::Genes, Self::Mitochondrial];

    /// Its name in lists and above the legend.
    pub fn text(self) -> &'static str {
        match self {
            Self::Counts => "Counts per cell",
            Self::Genes => "Genes seen per cell",
            Self::Mitochondrial => "Mitochondrial share",
        }
    }

    /// Its value in every cell, `[n_obs]`, and what the values are.
    ///
    /// # Errors
    /// Where the data have no such figure: why.
    pub fn values(self, quality: &Quality) -> Result<(Arc<[f32]>, String), String> {
        match self {
            Self::Counts => {
                Ok((quality.totals.clone(), format!("{} in {}", quality.total_unit, quality.matrix)))
            }
            Self::Genes => Ok((quality.n_genes.clone(), format!("genes above zero in {}", quality.matrix))),
            Self::Mitochondrial => match &quality.percent_mitochondrial {
                Some(percent) => {
                    let n = quality.mitochondrial.len();
                    let genes = if n == 1 { "gene" } else { "genes" };
                    Ok((percent.clone(), format!("% of the total in {n} mitochondrial {genes}")))
                }
                None => Err(format!(
                    "None of the genes of {} is mitochondrial: no name begins with MT-. Choose another matrix where \
                     the file has one with all genes.",
                    quality.matrix
                )),
            },
        }
    }

    /// The colours of the figure; `judged` is what the engine found, or why it found nothing.
    pub fn source(self, judged: &Result<Arc<Quality>, String>) -> Source {
        let title = self.text().to_owned();
        match judged.as_ref().map_err(Clone::clone).and_then(|quality| self.values(quality)) {
            Ok((values, unit)) => Source::Numbers { title, values, unit },
            Err(why) => Source::Unusable { title, why },
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::anndata::MatrixKey;

    use super::*;

    #[test]
    fn a_figure_that_the_data_lack_says_why() {
        let quality = Quality {
            matrix: MatrixKey::X,
            total_unit: "counts",
            totals: [3.0, 0.0].into(),
            n_genes: [2.0, 0.0].into(),
            percent_mitochondrial: None,
            mitochondrial: Vec::new(),
        };
        let (values, unit) = QualityFigure::Counts.values(&quality).unwrap();
        assert_eq!((&values[..], unit.as_str()), (&[3.0, 0.0][..], "counts in X"));
        let judged = Ok(Arc::new(quality));
        let Source::Unusable { why, .. } = QualityFigure::Mitochondrial.source(&judged) else { panic!() };
        assert!(why.contains("no name begins with MT-"), "{why}");
        let Source::Unusable { why, .. } = QualityFigure::Genes.source(&Err("scaled".into())) else {
            panic!()
        };
        assert_eq!(why, "scaled");
    }
}
