//! The two sides of a comparison: what they are in words and which cells they hold.

use std::sync::Arc;

use eframe::egui::{Button, ScrollArea, Ui, vec2};
use engine::analysis::{CompareRequest, Test};
use engine::session::Dataset;
use serde::{Deserialize, Serialize};

use super::super::super::annotating::LabelColumn;
use super::super::super::map::{Meaning, grouped};
use super::super::super::selection::Sets;
use super::super::Scope;
use super::super::plots::compute::grouping;
use super::super::plots::picker::{group_columns, stays_open};

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompareSide {
    /// The selected cells.
    #[default]
    Selection,
    /// A named set.
    Named(String),
    /// The cells of one category.
    Category {
        /// The column of obs.
        column: String,
        /// The category.
        name: String,
    },
    /// All cells that are not on the first side.
    Others,
}

impl CompareSide {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Selection => "Selected cells".to_owned(),
            Self::Named(name) => name.clone(),
            Self::Category { column, name } => format!("{name} ({column})"),
            Self::Others => "All other cells".to_owned(),
        }
    }
}

/// What is compared with what, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CompareSpec {
    /// The first set.
    pub a: CompareSide,
    /// The second set.
    pub b: CompareSide,
    /// Whether the test is Welch's t, not Wilcoxon's.
    pub welch: bool,
}

impl Default for CompareSpec {
    fn default() -> Self {
        Self { a: CompareSide::Selection, b: CompareSide::Others, welch: false }
    }
}

/// The cells of one side.
fn cells(
    side: &CompareSide,
    dataset: &Dataset,
    sets: &Sets,
    labels: &[Arc<LabelColumn>],
) -> Result<Arc<[usize]>, String> {
    let found: Vec<usize> = match side {
        CompareSide::Selection => sets.current.iter().collect(),
        CompareSide::Named(name) => {
            let set = sets.named.iter().find(|s| s.name == *name);
            set.ok_or_else(|| format!("There is no set {name} any more. Choose another."))?
                .cells
                .iter()
                .collect()
        }
        CompareSide::Category { column, name } => {
            let found = grouping(column, dataset, labels);
            let found =
                found.ok_or_else(|| format!("There is no column {column} any more. Choose another."))?;
            match &found.meaning {
                Meaning::Categories { categories, codes, .. } => {
                    let row = categories.iter().position(|c| c.name == *name);
                    let row = row.ok_or_else(|| format!("{column} has no category {name}."))? as u32;
                    codes.iter().enumerate().filter(|(_, c)| **c == row).map(|(cell, _)| cell).collect()
                }
                _ => return Err(format!("{column} holds no categories.")),
            }
        }
        CompareSide::Others => Vec::new(),
    };
    Ok(found.into())
}

/// What the engine is asked for.
///
/// # Errors
/// Where the sets cannot be compared: what is missing, and what to do.
pub fn request(
    spec: &CompareSpec,
    dataset: &Dataset,
    sets: &Sets,
    labels: &[Arc<LabelColumn>],
) -> Result<CompareRequest, String> {
    let a = cells(&spec.a, dataset, sets, labels)?;
    let few = |n: usize, side: &CompareSide| match (n, side) {
        (0, CompareSide::Selection) => {
            Err("No cells are selected. Select some on the map, or choose a category.".to_owned())
        }
        (0 | 1, side) => Err(format!("{} holds fewer than two cells. Choose a larger set.", side.words())),
        _ => Ok(()),
    };
    few(a.len(), &spec.a)?;
    let b = match &spec.b {
        CompareSide::Others => {
            if dataset.n_obs.saturating_sub(a.len()) < 2 {
                return Err("The first set holds all cells: nothing is left to compare with.".to_owned());
            }
            None
        }
        side => {
            let b = cells(side, dataset, sets, labels)?;
            few(b.len(), side)?;
            if spec.a == spec.b {
                return Err("Both sides are the same cells. Choose another second set.".to_owned());
            }
            Some(b)
        }
    };
    Ok(CompareRequest { a, b, test: if spec.welch { Test::WelchT } else { Test::Wilcoxon } })
}

/// A menu to choose the cells of one side.
pub fn side_ui(
    ui: &mut Ui,
    name: &str,
    side: &mut CompareSide,
    scope: &Scope<'_>,
    dataset: &Dataset,
    second: bool,
) {
    let words = side.words();
    ui.scope(|ui| {
        ui.set_max_width(190.0);
        stays_open(ui, words.clone(), &format!("{name}: {words}"), |ui| {
            ui.set_width(240.0);
            let mut row = |ui: &mut Ui, value: CompareSide, text: String| {
                let button = Button::selectable(*side == value, text).truncate().min_size(vec2(240.0, 0.0));
                if ui.add(button).clicked() {
                    *side = value;
                    ui.close();
                }
            };
            let n = scope.work.sets.current.len();
            row(ui, CompareSide::Selection, format!("Selected cells ({})", grouped(n as i64)));
            if second {
                row(ui, CompareSide::Others, "All other cells".to_owned());
            }
            for set in &scope.work.sets.named {
                let text = format!("{} ({})", set.name, grouped(set.cells.len() as i64));
                row(ui, CompareSide::Named(set.name.clone()), text);
            }
            ScrollArea::vertical().max_height(320.0).show(ui, |ui| {
                for column in group_columns(scope) {
                    ui.collapsing(column, |ui| {
                        let Some(found) = grouping(column, dataset, &scope.work.labels) else { return };
                        if let Meaning::Categories { categories, .. } = &found.meaning {
                            for category in categories {
                                let (column, name) = (column.to_owned(), category.name.clone());
                                let text = format!("{} ({})", category.name, grouped(category.count as i64));
                                row(ui, CompareSide::Category { column, name }, text);
                            }
                        }
                    });
                }
            });
        });
    });
}

#[cfg(test)]
mod tests {
    use super::super::super::super::selection::{CellSet, NamedSet};
    use super::super::super::super::testing::dataset;
    use super::*;

    #[test]
    fn sides_become_cells_and_what_cannot_be_compared_is_said() {
        let data = dataset();
        let named = NamedSet { name: "mine".into(), cells: Arc::new(CellSet::from_cells(3, [0, 2])) };
        let mut sets = Sets { current: Arc::new(CellSet::none(3)), named: vec![named] };
        let mut spec = CompareSpec::default();
        assert!(request(&spec, &data, &sets, &[]).unwrap_err().contains("No cells are selected"));
        spec.a = CompareSide::Named("mine".into());
        assert!(request(&spec, &data, &sets, &[]).unwrap_err().contains("nothing is left"));
        spec.b = CompareSide::Category { column: "louvain".into(), name: "0".into() };
        assert!(request(&spec, &data, &sets, &[]).unwrap_err().contains("fewer than two"));
        spec.b = spec.a.clone();
        assert!(request(&spec, &data, &sets, &[]).unwrap_err().contains("the same cells"));
        sets.current = Arc::new(CellSet::from_cells(3, [1, 2]));
        spec.b = CompareSide::Selection;
        spec.welch = true;
        let asked = request(&spec, &data, &sets, &[]).unwrap();
        assert_eq!(
            (&asked.a[..], asked.b.as_deref(), asked.test),
            (&[0, 2][..], Some(&[1, 2][..]), Test::WelchT)
        );
    }
}
