//! From the data set and the settings to the numbers of a plot. Runs beside the window.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::analysis::Quality;
use engine::anndata::Values;
use engine::session::{Dataset, GeneColour};

use super::super::super::annotating::LabelColumn;
use super::super::super::dock::Pane;
use super::super::super::figure::scene::Paint;
use super::super::super::map::{Colouring, Meaning, grouped};
use super::super::super::selection::CellSet;
use super::aggregate::{self, Groups, Histogram, Pairs, Spread, Summary};
use super::settings::{Measure, PlotSettings};
use super::table::Table;

/// Everything a plot is made from.
#[derive(Clone)]
pub struct Inputs {
    /// Which plot.
    pub pane: Pane,
    /// The data set.
    pub dataset: Arc<Dataset>,
    /// The colours of the map, whose hidden categories do not count.
    pub colouring: Arc<Colouring>,
    /// Labels given by hand, whose columns can be groups.
    pub labels: Vec<Arc<LabelColumn>>,
    /// The hidden categories.
    pub hidden: BTreeSet<usize>,
    /// The selected cells; none selected means all.
    pub selection: Arc<CellSet>,
    /// What is to be shown.
    pub settings: PlotSettings,
    /// The column of the groups.
    pub group_by: Option<String>,
    /// The genes, in order.
    pub genes: Vec<GeneColour>,
    /// The quality figures, where they are shown, or why there are none.
    pub quality: Option<Result<Arc<Quality>, String>>,
    /// Colours of a single group and of cells without a value.
    pub paints: [Paint; 2],
}

impl PartialEq for Inputs {
    fn eq(&self, other: &Self) -> bool {
        self.pane == other.pane
            && Arc::ptr_eq(&self.dataset, &other.dataset)
            && Arc::ptr_eq(&self.colouring, &other.colouring)
            && self.hidden == other.hidden
            && self.labels.len() == other.labels.len()
            && self.labels.iter().zip(&other.labels).all(|(a, b)| Arc::ptr_eq(a, b))
            && Arc::ptr_eq(&self.selection, &other.selection)
            && self.settings == other.settings
            && self.group_by == other.group_by
            && self.paints == other.paints
            && match (&self.quality, &other.quality) {
                (Some(Ok(a)), Some(Ok(b))) => Arc::ptr_eq(a, b),
                (Some(Err(a)), Some(Err(b))) => a == b,
                (None, None) => true,
                _ => false,
            }
            && self.genes.len() == other.genes.len()
            && self.genes.iter().zip(&other.genes).all(|(a, b)| Arc::ptr_eq(&a.values, &b.values))
    }
}

/// The numbers of a plot.
#[derive(Debug, Clone)]
pub enum Numbers {
    /// One value, counted.
    Histogram {
        /// What it is.
        title: String,
        /// In what unit.
        unit: String,
        /// The counts.
        data: Histogram,
        /// The groups that divide the bars.
        groups: Groups,
    },
    /// Genes with their densities, `[genes][groups]`.
    Spreads {
        /// The genes.
        genes: Vec<String>,
        /// Their unit.
        unit: String,
        /// The densities.
        spreads: Vec<Vec<Spread>>,
        /// The groups.
        groups: Groups,
    },
    /// Genes with mean and share, `[genes][groups]`.
    Means {
        /// The genes.
        genes: Vec<String>,
        /// Their unit.
        unit: String,
        /// The means.
        summaries: Vec<Vec<Summary>>,
        /// The groups.
        groups: Groups,
    },
    /// Two values of every cell.
    Scatter {
        /// What is across and up, with units.
        names: [String; 2],
        /// Values across.
        x: Arc<[f32]>,
        /// Values up.
        y: Arc<[f32]>,
        /// The cells that count.
        pairs: Pairs,
        /// Cells with both values that are not selected, while others are: drawn behind, in no number.
        behind: Pairs,
        /// The groups of the cells that count.
        groups: Groups,
    },
    /// Groups divided by another column.
    Composition {
        /// The columns.
        titles: [String; 2],
        /// Counts, `[rows][parts]`.
        counts: Vec<Vec<usize>>,
        /// The rows.
        rows: Groups,
        /// The parts.
        parts: Groups,
    },
}

/// A plot's numbers, or why there are none.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The numbers.
    pub numbers: Result<Numbers, String>,
    /// Which cells they are of, in words.
    pub cells: String,
}

/// Works the numbers out.
pub fn compute(inputs: &Inputs) -> Outcome {
    let n_obs = inputs.dataset.n_obs;
    let counts = |cell: usize| {
        (inputs.selection.is_empty() || inputs.selection.contains(cell))
            && inputs.colouring.shows(cell, &inputs.hidden)
    };
    let n = if inputs.selection.is_empty() && inputs.hidden.is_empty() {
        n_obs
    } else {
        (0..n_obs).filter(|cell| counts(*cell)).count()
    };
    let numbers = if n == 0 {
        Err("No cell is left: the selected cells are all hidden in the legend.".to_owned())
    } else {
        numbers(inputs, &counts)
    };
    Outcome {
        numbers,
        cells: cells_in_words(n, n_obs, !inputs.selection.is_empty(), !inputs.hidden.is_empty()),
    }
}

/// Which cells are shown, in words.
fn cells_in_words(n: usize, n_obs: usize, selected: bool, hidden: bool) -> String {
    let (n, all) = (grouped(n as i64), grouped(n_obs as i64));
    match (selected, hidden) {
        (false, false) => format!("all {all} cells"),
        (true, false) => format!("{n} selected cells of {all}"),
        (false, true) => format!("{n} cells of {all}, without hidden categories"),
        (true, true) => format!("{n} selected cells of {all}, without hidden categories"),
    }
}

fn numbers(inputs: &Inputs, counts: &impl Fn(usize) -> bool) -> Result<Numbers, String> {
    let genes = || inputs.genes.iter().map(|g| g.symbol.clone()).collect::<Vec<_>>();
    let unit = inputs.genes.first().map_or("", |g| g.unit).to_owned();
    let one = || one_group(inputs, counts);
    match inputs.pane {
        Pane::Histogram => {
            let measure = inputs.settings.measure.as_ref().ok_or("Choose a gene or a column.")?;
            let (values, unit) = values_of(inputs, measure)?;
            let groups = if inputs.settings.split {
                groups(inputs, inputs.group_by.as_deref(), counts)?
            } else {
                one()
            };
            let data = aggregate::histogram(&values, &groups, inputs.settings.bins.clamp(5, 400));
            Ok(Numbers::Histogram { title: measure.name().to_owned(), unit, data, groups })
        }
        Pane::Violin => {
            let groups = groups(inputs, inputs.group_by.as_deref(), counts)?;
            let spreads = inputs
                .genes
                .iter()
                .map(|gene| {
                    groups.split(&gene.values).into_iter().map(|mut v| aggregate::spread(&mut v)).collect()
                })
                .collect();
            Ok(Numbers::Spreads { genes: genes(), unit, spreads, groups })
        }
        Pane::DotPlot | Pane::Heatmap => {
            let groups = groups(inputs, inputs.group_by.as_deref(), counts)?;
            let summaries = inputs.genes.iter().map(|g| aggregate::summaries(&g.values, &groups)).collect();
            Ok(Numbers::Means { genes: genes(), unit, summaries, groups })
        }
        Pane::Scatter => {
            let (Some(mx), Some(my)) = (&inputs.settings.x, &inputs.settings.y) else {
                return Err("Choose what is shown across and what is shown up.".to_owned());
            };
            let ((x, unit_x), (y, unit_y)) = (values_of(inputs, mx)?, values_of(inputs, my)?);
            let groups = match &inputs.group_by {
                Some(column) if inputs.settings.coloured => groups(inputs, Some(column), counts)?,
                _ => one(),
            };
            let pairs = aggregate::pairs(&x, &y, &groups);
            let is_behind = |cell: usize| {
                !inputs.selection.is_empty()
                    && !inputs.selection.contains(cell)
                    && inputs.colouring.shows(cell, &inputs.hidden)
            };
            let behind = aggregate::pairs(&x, &y, &one_group(inputs, &is_behind));
            if pairs.cells.is_empty() {
                return Err("No cell has both values.".to_owned());
            }
            let with_unit = |m: &Measure, unit: String| {
                if unit.is_empty() { m.name().to_owned() } else { format!("{}, {unit}", m.name()) }
            };
            Ok(Numbers::Scatter {
                names: [with_unit(mx, unit_x), with_unit(my, unit_y)],
                x,
                y,
                pairs,
                behind,
                groups,
            })
        }
        Pane::Composition => {
            let (Some(row), Some(part)) = (&inputs.group_by, &inputs.settings.part_by) else {
                return Err("Choose the groups and the column that divides them.".to_owned());
            };
            let rows = groups(inputs, Some(row), counts)?;
            let parts = groups(inputs, Some(part), counts)?;
            let counts = aggregate::composition(&rows, &parts);
            Ok(Numbers::Composition { titles: [row.clone(), part.clone()], counts, rows, parts })
        }
        Pane::Map | Pane::List | Pane::Comparison | Pane::GeneMaps | Pane::Genes => {
            Err("There is nothing to draw here.".to_owned())
        }
    }
}

fn one_group(inputs: &Inputs, counts: &impl Fn(usize) -> bool) -> Groups {
    let names = [("all cells".to_owned(), inputs.paints[0])];
    Groups::new(inputs.dataset.n_obs, &names, |_| Some(0), counts)
}

fn groups(inputs: &Inputs, column: Option<&str>, counts: &impl Fn(usize) -> bool) -> Result<Groups, String> {
    let Some(column) = column else { return Ok(one_group(inputs, counts)) };
    // On the map the column may have colours that the user chose.
    let colouring = if inputs.colouring.title == column {
        inputs.colouring.clone()
    } else {
        let found = grouping(column, &inputs.dataset, &inputs.labels);
        Arc::new(found.ok_or_else(|| format!("There is no column {column}. Choose another."))?)
    };
    match &colouring.meaning {
        Meaning::Categories { categories, codes, .. } => {
            let names: Vec<(String, Paint)> = categories
                .iter()
                .map(|c| (c.name.clone(), if c.is_missing { inputs.paints[1] } else { c.colour.into() }))
                .collect();
            Ok(Groups::new(inputs.dataset.n_obs, &names, |cell| codes.get(cell).copied(), counts))
        }
        Meaning::Unusable(why) => Err(format!("{column} makes no groups. {why}")),
        _ => Err(format!("{column} holds numbers, which make no groups. Choose a column of categories.")),
    }
}

/// A column of the file, or of labels given by hand, as colours.
pub fn grouping(column: &str, dataset: &Dataset, labels: &[Arc<LabelColumn>]) -> Option<Colouring> {
    let of_file = dataset.obs.column(column).map(|found| Colouring::by_column(dataset, found));
    of_file.or_else(|| {
        let found = labels.iter().find(|l| l.name == column)?;
        Some(Colouring::by_labels(found, dataset.n_obs))
    })
}

/// The values of a gene or a column, with their unit.
fn values_of(inputs: &Inputs, measure: &Measure) -> Result<(Arc<[f32]>, String), String> {
    match measure {
        Measure::Gene(name) => {
            let gene = inputs.genes.iter().find(|g| g.symbol == *name);
            gene.map(|g| (g.values.clone(), g.unit.to_owned()))
                .ok_or_else(|| format!("The genes of this matrix do not hold {name}."))
        }
        Measure::Quality(figure) => match &inputs.quality {
            Some(Ok(quality)) => figure.values(quality),
            Some(Err(why)) => Err(why.clone()),
            None => Err("The cells are not counted yet.".to_owned()),
        },
        Measure::Column(name) => {
            let column = inputs.dataset.obs.column(name);
            let column = column.ok_or_else(|| format!("This file has no column {name}. Choose another."))?;
            let values: Vec<f32> = match &column.values {
                Values::Number(v) => v.iter().map(|v| *v as f32).collect(),
                _ if column.is_numeric() => (0..inputs.dataset.n_obs)
                    .map(|i| column.number(i).map_or(f32::NAN, |v| v as f32))
                    .collect(),
                _ => return Err(format!("{name} holds no numbers. Choose a column of numbers or a gene.")),
            };
            Ok((values.into(), String::new()))
        }
    }
}

/// A number for a table: short, and what any program reads.
fn field(v: f32) -> String {
    if v.is_finite() {
        format!("{v:.6}").trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        String::new()
    }
}

impl Numbers {
    /// The numbers as a table.
    pub fn table(&self) -> Table {
        match self {
            Self::Histogram { data, groups, .. } => {
                let mut table = Table::new(&["from", "to"]);
                table.header.extend(groups.groups.iter().map(|g| g.name.clone()));
                for (b, edges) in data.edges.windows(2).enumerate() {
                    let counts = data.counts.iter().map(|g| g[b].to_string());
                    table.rows.push([field(edges[0]), field(edges[1])].into_iter().chain(counts).collect());
                }
                table
            }
            Self::Spreads { genes, spreads, groups, .. } => {
                let mut table = Table::new(&[
                    "gene",
                    "group",
                    "cells",
                    "mean",
                    "min",
                    "q1",
                    "median",
                    "q3",
                    "max",
                    "bandwidth",
                ]);
                for (gene, of_gene) in genes.iter().zip(spreads) {
                    for (group, s) in groups.groups.iter().zip(of_gene) {
                        let mut row = vec![gene.clone(), group.name.clone(), s.n.to_string(), field(s.mean)];
                        row.extend(s.quartiles.iter().map(|q| field(*q)));
                        row.push(field(s.bandwidth));
                        table.rows.push(row);
                    }
                }
                table
            }
            Self::Means { genes, summaries, groups, .. } => {
                let mut table = Table::new(&["gene", "group", "cells", "mean", "share_above_zero"]);
                for (gene, of_gene) in genes.iter().zip(summaries) {
                    for (group, s) in groups.groups.iter().zip(of_gene) {
                        table.rows.push(vec![
                            gene.clone(),
                            group.name.clone(),
                            s.n.to_string(),
                            field(s.mean),
                            field(s.share),
                        ]);
                    }
                }
                table
            }
            Self::Scatter { names, x, y, pairs, groups, .. } => {
                let mut table = Table::new(&["cell", &names[0], &names[1], "group"]);
                for &cell in &pairs.cells {
                    let at = cell as usize;
                    let group = groups.of_cell.get(at).and_then(|g| groups.groups.get(*g as usize));
                    table.rows.push(vec![
                        (at + 1).to_string(),
                        x.get(at).map_or_else(String::new, |v| field(*v)),
                        y.get(at).map_or_else(String::new, |v| field(*v)),
                        group.map_or_else(String::new, |g| g.name.clone()),
                    ]);
                }
                table
            }
            Self::Composition { titles, counts, rows, parts } => {
                let mut table = Table::new(&[&titles[0], "cells"]);
                table.header.extend(parts.groups.iter().map(|g| g.name.clone()));
                for (row, of_row) in rows.groups.iter().zip(counts) {
                    let total = of_row.iter().sum::<usize>().to_string();
                    let parts = of_row.iter().map(usize::to_string);
                    table.rows.push([row.name.clone(), total].into_iter().chain(parts).collect());
                }
                table
            }
        }
    }

    /// The plot in words, for who cannot see it.
    pub fn words(&self) -> String {
        let over = |genes: &[String], groups: &Groups| {
            format!("{} over {} groups", genes.join(", "), groups.groups.len())
        };
        match self {
            Self::Histogram { title, data, .. } => {
                let [low, .., high] = data.all.quartiles;
                let median = data.all.quartiles[2];
                format!("Histogram of {title}: from {low} to {high}, median {median}")
            }
            Self::Spreads { genes, groups, .. } => format!("Violin plot of {}", over(genes, groups)),
            Self::Means { genes, groups, .. } => format!("Means of {}", over(genes, groups)),
            Self::Scatter { names, pairs, .. } => format!(
                "{} against {}: {} points, correlation {:.3}",
                names[1],
                names[0],
                pairs.cells.len(),
                pairs.correlation
            ),
            Self::Composition { titles, rows, parts, .. } => format!(
                "{} groups of {} divided into {} of {}",
                rows.groups.len(),
                titles[0],
                parts.groups.len(),
                titles[1]
            ),
        }
    }
}
