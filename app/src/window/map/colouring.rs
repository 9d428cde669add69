//! From a column of obs or a gene to colours, counts and drawing order.

use std::collections::BTreeSet;
use std::sync::Arc;

use eframe::egui::Color32;
use engine::anndata::{Column, Values};
use engine::session::{Dataset, GeneColour};

use super::super::annotating::{LabelColumn, UNASSIGNED};
use super::super::palette;
use super::super::selection::CellSet;

/// Categories above this number are not told apart; a column of names is no use as colours.
pub const MAX_CATEGORIES: usize = 400;
/// Numbers of colour in the table that are not categories or steps of the scale: the first is for cells without
/// a value.
const MISSING: u32 = 0;

/// One row of the legend.
#[derive(Debug, Clone, PartialEq)]
pub struct Category {
    /// Its name.
    pub name: String,
    /// Cells in it.
    pub count: usize,
    /// Its colour; the missing one is coloured by the theme.
    pub colour: Color32,
    /// Whether it stands for cells without a value.
    pub is_missing: bool,
}

/// What the colours mean.
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    /// Every cell alike.
    Plain,
    /// Categories; a cell's number is `codes[cell]`, its row in the legend.
    Categories {
        /// The legend.
        categories: Vec<Category>,
        /// Row of the legend of every cell.
        codes: Vec<u32>,
    },
    /// Numbers.
    Numbers {
        /// Values, NaN where missing.
        values: Arc<[f32]>,
        /// The value at the low end of the scale.
        low: f32,
        /// The value at its high end.
        high: f32,
        /// What the values are.
        unit: String,
        /// Cells without a value.
        missing: usize,
    },
    /// A column that cannot be coloured by, and why.
    Unusable(String),
}

/// The colours of all cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Colouring {
    /// The column or the gene.
    pub title: String,
    /// What the colours mean.
    pub meaning: Meaning,
}

impl Colouring {
    /// One colour for all.
    pub fn plain() -> Self {
        Self { title: String::new(), meaning: Meaning::Plain }
    }

    /// By a column of obs.
    pub fn by_column(dataset: &Dataset, column: &Column) -> Self {
        let title = column.name.clone();
        let n = dataset.n_obs;
        let meaning = match &column.values {
            Values::Categorical { codes, categories, .. } => {
                let codes: Vec<Option<u32>> = codes
                    .iter()
                    .map(|&c| u32::try_from(c).ok().filter(|&c| (c as usize) < categories.len()))
                    .collect();
                let colours = dataset.category_colours.get(&column.name);
                categories_meaning(&codes, categories.clone(), colours, n)
            }
            Values::Text(values) => {
                let (codes, names) = factorise(values.iter().map(|v| v.as_deref()));
                categories_meaning(&codes, names, None, n)
            }
            Values::Boolean(values) => {
                let codes: Vec<Option<u32>> = values.iter().map(|v| v.map(u32::from)).collect();
                categories_meaning(&codes, vec!["false".into(), "true".into()], None, n)
            }
            Values::Number(values) => {
                numbers_meaning(values.iter().map(|&v| v as f32).collect(), String::new(), false)
            }
            Values::Integer(values) => numbers_meaning(
                values.iter().map(|v| v.map_or(f32::NAN, |v| v as f32)).collect(),
                String::new(),
                false,
            ),
        };
        Self { title, meaning }
    }

    /// By a gene.
    pub fn by_gene(gene: &GeneColour) -> Self {
        Self {
            title: gene.symbol.clone(),
            meaning: numbers_meaning(gene.values.clone(), gene.unit.to_owned(), true),
        }
    }

    /// By labels given by hand. The rows of the legend are the labels in their order, also those without cells; cells
    /// without a label come last.
    pub fn by_labels(column: &LabelColumn, n_obs: usize) -> Self {
        let mut categories: Vec<Category> = column
            .categories
            .iter()
            .map(|c| Category {
                name: c.name.clone(),
                count: c.cells.len(),
                colour: Color32::from_rgb(c.colour[0], c.colour[1], c.colour[2]),
                is_missing: false,
            })
            .collect();
        let missing_row = categories.len() as u32;
        let codes = column.codes(n_obs).into_iter().map(|code| code.unwrap_or(missing_row)).collect();
        let missing = n_obs.saturating_sub(column.labelled());
        if missing > 0 {
            categories.push(Category {
                name: UNASSIGNED.into(),
                count: missing,
                colour: Color32::GRAY,
                is_missing: true,
            });
        }
        Self { title: column.name.clone(), meaning: Meaning::Categories { categories, codes } }
    }

    /// The cells of one row of the legend.
    pub fn cells_of(&self, row: usize) -> Option<CellSet> {
        match &self.meaning {
            Meaning::Categories { codes, categories } if row < categories.len() => {
                Some(CellSet::from_fn(codes.len(), |cell| codes[cell] as usize == row))
            }
            _ => None,
        }
    }

    /// The cells whose number lies from `low` to `high`, both included.
    pub fn cells_between(&self, low: f32, high: f32) -> Option<CellSet> {
        match &self.meaning {
            Meaning::Numbers { values, .. } => {
                Some(CellSet::from_fn(values.len(), |cell| (low..=high).contains(&values[cell])))
            }
            _ => None,
        }
    }

    /// The value of one cell as text, for tooltips.
    pub fn text(&self, cell: usize) -> Option<String> {
        match &self.meaning {
            Meaning::Plain | Meaning::Unusable(_) => None,
            Meaning::Categories { categories, codes } => {
                codes.get(cell).and_then(|&c| categories.get(c as usize)).map(|c| c.name.clone())
            }
            Meaning::Numbers { values, .. } => {
                values.get(cell).map(|v| if v.is_nan() { "missing".to_owned() } else { number(*v) })
            }
        }
    }

    /// Whether `cell` is shown while the categories in `hidden` are not.
    pub fn shows(&self, cell: usize, hidden: &BTreeSet<usize>) -> bool {
        match &self.meaning {
            Meaning::Categories { codes, .. } if !hidden.is_empty() => {
                codes.get(cell).is_none_or(|&c| !hidden.contains(&(c as usize)))
            }
            _ => true,
        }
    }

    /// The colour table: entry 0 for missing values, then the categories or the steps of the scale.
    pub fn table(
        &self,
        hidden: &BTreeSet<usize>,
        dark: bool,
        missing: Color32,
        plain: Color32,
    ) -> Vec<[u8; 4]> {
        let opaque = |c: Color32| [c.r(), c.g(), c.b(), 255];
        let mut table = vec![opaque(missing)];
        match &self.meaning {
            Meaning::Plain | Meaning::Unusable(_) => table.push(opaque(plain)),
            Meaning::Categories { categories, .. } => {
                table.extend(categories.iter().enumerate().map(|(i, c)| {
                    let colour = if c.is_missing { missing } else { c.colour };
                    if hidden.contains(&i) { [0; 4] } else { opaque(colour) }
                }));
            }
            Meaning::Numbers { .. } => table.extend(
                (0..palette::SCALE_STEPS)
                    .map(|i| opaque(palette::scale(i as f32 / (palette::SCALE_STEPS - 1) as f32, dark))),
            ),
        }
        table
    }

    /// The cells in drawing order, each with its entry in the colour table.
    ///
    /// High values are drawn last, so that they are not covered; categories are drawn in a shuffled order that is
    /// always the same, so that none covers the others by its place in the file. Cells without a place are left out.
    pub fn drawing_order(&self, positions: &[[f32; 2]]) -> Vec<[u32; 2]> {
        let placed =
            |cell: &u32| positions.get(*cell as usize).is_some_and(|p| p[0].is_finite() && p[1].is_finite());
        let mut order: Vec<u32> = (0..positions.len() as u32).filter(placed).collect();
        match &self.meaning {
            Meaning::Numbers { values, .. } => {
                let key = |cell: &u32| {
                    values
                        .get(*cell as usize)
                        .map_or(f32::NEG_INFINITY, |v| if v.is_nan() { f32::NEG_INFINITY } else { *v })
                };
                order.sort_by(|a, b| key(a).total_cmp(&key(b)).then(scramble(*a).cmp(&scramble(*b))));
            }
            Meaning::Categories { categories, codes } => {
                let is_missing = |cell: &u32| {
                    codes
                        .get(*cell as usize)
                        .and_then(|&c| categories.get(c as usize))
                        .is_some_and(|c| c.is_missing)
                };
                order.sort_by_key(|cell| (!is_missing(cell), scramble(*cell)));
            }
            Meaning::Plain | Meaning::Unusable(_) => order.sort_by_key(|cell| scramble(*cell)),
        }
        order.into_iter().map(|cell| [cell, self.entry(cell as usize)]).collect()
    }

    /// The entry of a cell in the colour table.
    fn entry(&self, cell: usize) -> u32 {
        match &self.meaning {
            Meaning::Plain | Meaning::Unusable(_) => 1,
            Meaning::Categories { codes, .. } => codes.get(cell).map_or(MISSING, |c| c + 1),
            Meaning::Numbers { values, low, high, .. } => match values.get(cell) {
                Some(v) if !v.is_nan() => {
                    let span = high - low;
                    let t = if span > 0.0 { ((v - low) / span).clamp(0.0, 1.0) } else { 0.0 };
                    1 + (t * (palette::SCALE_STEPS - 1) as f32).round() as u32
                }
                _ => MISSING,
            },
        }
    }
}

/// A shuffle without a table: the same for every start and every data set.
///
/// Source: the finaliser of MurmurHash3.
fn scramble(cell: u32) -> u32 {
    let mut h = cell ^ 0x9E37_79B9;
    h = (h ^ (h >> 16)).wrapping_mul(0x85EB_CA6B);
    h = (h ^ (h >> 13)).wrapping_mul(0xC2B2_AE35);
    h ^ (h >> 16)
}

fn factorise<'a>(values: impl Iterator<Item = Option<&'a str>> + Clone) -> (Vec<Option<u32>>, Vec<String>) {
    let names: BTreeSet<&str> = values.clone().flatten().collect();
    let numbers: std::collections::HashMap<&str, u32> =
        names.iter().enumerate().map(|(i, name)| (*name, i as u32)).collect();
    let codes = values.map(|v| v.and_then(|v| numbers.get(v).copied())).collect();
    (codes, names.into_iter().map(str::to_owned).collect())
}

fn categories_meaning(
    codes: &[Option<u32>],
    names: Vec<String>,
    from_file: Option<&Vec<[u8; 3]>>,
    n_obs: usize,
) -> Meaning {
    let mut counts = vec![0usize; names.len()];
    for code in codes.iter().flatten() {
        counts[*code as usize] += 1;
    }
    let used = counts.iter().filter(|c| **c > 0).count();
    if used > MAX_CATEGORIES {
        return Meaning::Unusable(format!(
            "It has {used} different values, more than colours can tell apart. Choose a column with fewer."
        ));
    }
    // The file's own colours count only when there is one for every category, as scanpy requires, too.
    let own: Vec<Color32> = match from_file {
        Some(colours) if colours.len() >= names.len() => {
            colours.iter().map(|[r, g, b]| Color32::from_rgb(*r, *g, *b)).collect()
        }
        _ => palette::categorical(names.len()),
    };
    let mut rows = vec![None; names.len()];
    let mut categories = Vec::new();
    for (i, name) in names.into_iter().enumerate() {
        // Categories that no cell is in would only lengthen the legend.
        if counts[i] > 0 {
            rows[i] = Some(categories.len() as u32);
            let name = if name.is_empty() { "(empty)".to_owned() } else { name };
            categories.push(Category { name, count: counts[i], colour: own[i], is_missing: false });
        }
    }
    let missing = n_obs - codes.iter().flatten().count().min(n_obs);
    let missing_row = categories.len() as u32;
    if missing > 0 {
        categories.push(Category {
            name: "missing".into(),
            count: missing,
            colour: Color32::GRAY,
            is_missing: true,
        });
    }
    let codes = (0..n_obs)
        .map(|cell| codes.get(cell).copied().flatten().and_then(|c| rows[c as usize]).unwrap_or(missing_row))
        .collect();
    Meaning::Categories { categories, codes }
}

fn numbers_meaning(values: Arc<[f32]>, unit: String, from_zero: bool) -> Meaning {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let missing = values.iter().filter(|v| v.is_nan()).count();
    let (mut low, mut high) =
        finite().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return Meaning::Unusable("It holds no number.".into());
    }
    // A gene's scale begins at zero, so that two genes can be compared; not where values are centred.
    if from_zero && low > 0.0 {
        low = 0.0;
    }
    if low == high && from_zero {
        high = low + 1.0;
    }
    Meaning::Numbers { values, low, high, unit, missing }
}

/// A number as a person reads it: about three digits that matter.
pub fn number(v: f32) -> String {
    let size = v.abs();
    if !v.is_finite() {
        v.to_string()
    } else if v == 0.0 {
        "0".into()
    } else if !(1e-3..1e6).contains(&size) {
        format!("{v:.2e}")
    } else if size >= 1000.0 {
        grouped(v.round() as i64)
    } else {
        let decimals = if size >= 100.0 {
            0
        } else if size >= 10.0 {
            1
        } else if size >= 0.1 {
            2
        } else {
            4
        };
        let text = format!("{v:.decimals$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    }
}

/// An integer with a comma every three digits.
pub fn grouped(v: i64) -> String {
    let digits = v.unsigned_abs().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if v < 0 {
        out.push('-');
    }
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn categories(codes: &[i32], names: &[&str], colours: Option<&Vec<[u8; 3]>>) -> Colouring {
        let codes: Vec<Option<u32>> = codes.iter().map(|&c| u32::try_from(c).ok()).collect();
        let names = names.iter().map(|n| (*n).to_owned()).collect();
        Colouring { title: "c".into(), meaning: categories_meaning(&codes, names, colours, codes.len()) }
    }

    fn legend(colouring: &Colouring) -> Vec<(String, usize)> {
        match &colouring.meaning {
            Meaning::Categories { categories, .. } => {
                categories.iter().map(|c| (c.name.clone(), c.count)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn missing_values_are_a_category_and_unused_ones_are_none() {
        let c = categories(&[0, 2, -1, 2, -1], &["a", "unused", "b"], None);
        assert_eq!(legend(&c), [("a".into(), 1), ("b".into(), 2), ("missing".into(), 2)]);
        assert_eq!(c.text(3).unwrap(), "b");
        assert_eq!(c.text(2).unwrap(), "missing");
        assert!(!c.shows(2, &BTreeSet::from([2])));
        assert!(c.shows(0, &BTreeSet::from([2])));
    }

    #[test]
    fn colours_of_the_file_are_used_when_there_is_one_for_every_category() {
        let c = categories(&[0, 1], &["a", "b"], Some(&vec![[1, 2, 3], [4, 5, 6], [7, 8, 9]]));
        let table = c.table(&BTreeSet::new(), true, Color32::GRAY, Color32::WHITE);
        assert_eq!(table[1..], [[1, 2, 3, 255], [4, 5, 6, 255]]);
        let c = categories(&[0, 1], &["a", "b"], Some(&vec![[1, 2, 3]]));
        let table = c.table(&BTreeSet::from([1]), true, Color32::GRAY, Color32::WHITE);
        assert_eq!(table[2], [0; 4]);
        assert_ne!(table[1], [1, 2, 3, 255]);
    }

    #[test]
    fn high_values_are_drawn_last_and_cells_without_a_place_never() {
        let values: Arc<[f32]> = vec![3.0, 0.0, f32::NAN, 5.0, 1.0].into();
        let c = Colouring { title: "g".into(), meaning: numbers_meaning(values, String::new(), true) };
        let order = c.drawing_order(&[[0.0; 2], [0.0; 2], [0.0; 2], [0.0; 2], [f32::NAN, 0.0]]);
        assert_eq!(order, [[2, 0], [1, 1], [0, 1 + 153], [3, 256]]);
    }

    #[test]
    fn categories_are_drawn_in_a_shuffled_order_that_does_not_change() {
        let codes: Vec<i32> = (0..1000).map(|i| i / 500).collect();
        let positions = vec![[0.0; 2]; 1000];
        let c = categories(&codes, &["a", "b"], None);
        let order = c.drawing_order(&positions);
        assert_eq!(order, c.drawing_order(&positions));
        let early = order[..500].iter().filter(|i| i[1] == 1).count();
        assert!((200..300).contains(&early), "{early}");
    }

    #[test]
    fn rows_of_the_legend_and_ranges_of_numbers_give_their_cells() {
        let c = categories(&[0, 2, -1, 2, -1], &["a", "unused", "b"], None);
        let cells = |row: usize| c.cells_of(row).map(|set| set.iter().collect::<Vec<_>>());
        assert_eq!((cells(1), cells(2), cells(3)), (Some(vec![1, 3]), Some(vec![2, 4]), None));
        assert!(c.cells_between(0.0, 1.0).is_none());
        let values: Arc<[f32]> = vec![3.0, 0.0, f32::NAN, 5.0, 1.0].into();
        let c = Colouring { title: "g".into(), meaning: numbers_meaning(values, String::new(), true) };
        assert_eq!(c.cells_between(1.0, 3.0).unwrap().iter().collect::<Vec<_>>(), [0, 4]);
        assert!(c.cells_of(0).is_none());
    }

    #[test]
    fn labels_given_by_hand_keep_their_colours_and_their_rows() {
        use super::super::super::annotating::LabelCategory;
        let label = |name: &str, cells: &[usize], colour: [u8; 3]| LabelCategory {
            name: name.into(),
            colour,
            term: None,
            cells: Arc::new(CellSet::from_cells(4, cells.iter().copied())),
        };
        let column = LabelColumn {
            name: "x".into(),
            categories: vec![label("none yet", &[], [9; 3]), label("T", &[1, 2], [1, 2, 3])],
        };
        let c = Colouring::by_labels(&column, 4);
        assert_eq!(legend(&c), [("none yet".into(), 0), ("T".into(), 2), ("unassigned".into(), 2)]);
        assert_eq!(c.text(2).unwrap(), "T");
        let table = c.table(&BTreeSet::new(), true, Color32::GRAY, Color32::WHITE);
        assert_eq!(table[2], [1, 2, 3, 255]);
    }

    #[test]
    fn too_many_values_are_said_to_be_too_many() {
        let n = MAX_CATEGORIES + 1;
        let codes: Vec<i32> = (0..n as i32).collect();
        let names: Vec<String> = (0..n).map(|i| i.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(matches!(categories(&codes, &names, None).meaning, Meaning::Unusable(_)));
        assert!(matches!(numbers_meaning(vec![f32::NAN].into(), String::new(), false), Meaning::Unusable(_)));
    }

    #[test]
    fn a_gene_begins_at_zero_and_centred_values_do_not() {
        let range = |values: Vec<f32>| match numbers_meaning(values.into(), String::new(), true) {
            Meaning::Numbers { low, high, .. } => (low, high),
            other => panic!("{other:?}"),
        };
        assert_eq!(range(vec![1.0, 4.0]), (0.0, 4.0));
        assert_eq!(range(vec![-2.0, 4.0]), (-2.0, 4.0));
        assert_eq!(range(vec![0.0, 0.0]), (0.0, 1.0));
    }

    #[test]
    fn numbers_read_well() {
        for (v, text) in [
            (0.0, "0"),
            (3.0, "3"),
            (2.5, "2.5"),
            (0.0123, "0.0123"),
            (12.34, "12.3"),
            (1234.6, "1,235"),
            (-0.5, "-0.5"),
            (1.0e-5, "1.00e-5"),
        ] {
            assert_eq!(number(v), text);
        }
        assert_eq!(grouped(-1_234_567), "-1,234,567");
        assert_eq!(grouped(700), "700");
    }
}
