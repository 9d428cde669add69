//! From a column of obs, a gene or what descriptions say to colours and counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use eframe::egui::Color32;
use engine::anndata::{Column, Values};
use engine::session::{Dataset, GeneColour};
use serde::{Deserialize, Serialize};

use super::super::annotating::{LabelColumn, UNASSIGNED};
use super::super::palette;
use super::super::selection::CellSet;
use super::in_words::number;

/// Categories above this number are not told apart; a column of names is no use as colours.
pub const MAX_CATEGORIES: usize = 400;

/// Which part of a range of numbers the colours span.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NumberRange {
    /// The scale begins at this percentile of the values, 0 to 100.
    pub low_percent: f32,
    /// It ends at this percentile.
    pub high_percent: f32,
    /// Whether even steps of colour are even steps of ln(1 + value).
    pub log: bool,
}

impl Default for NumberRange {
    fn default() -> Self {
        Self { low_percent: 0.0, high_percent: 100.0, log: false }
    }
}

impl NumberRange {
    /// The same with percentiles that can be used.
    pub fn sound(self) -> Self {
        let fine = |v: f32| v.is_finite() && (0.0..=100.0).contains(&v);
        if fine(self.low_percent) && fine(self.high_percent) && self.low_percent < self.high_percent {
            self
        } else {
            Self { log: self.log, ..Self::default() }
        }
    }

    /// Whether values are clipped.
    pub fn clips(&self) -> bool {
        self.low_percent > 0.0 || self.high_percent < 100.0
    }
}

/// How the colours of one colouring are chosen; what it says takes no new drawing order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Look {
    /// Rows of the legend that are not drawn.
    pub hidden: BTreeSet<usize>,
    /// The scale of numbers.
    pub scale: palette::Scale,
    /// Whether the file's own colours are used.
    pub from_file: bool,
    /// The user's colours by category.
    pub own: BTreeMap<String, [u8; 3]>,
}

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
    /// The palette's colour.
    from_palette: Color32,
    /// The file's colour.
    from_file: Option<Color32>,
}

impl Category {
    /// The colour that a look gives it.
    fn colour_in(&self, look: &Look) -> Color32 {
        if let Some([r, g, b]) = look.own.get(&self.name) {
            return Color32::from_rgb(*r, *g, *b);
        }
        self.from_file.filter(|_| look.from_file).unwrap_or(self.from_palette)
    }
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
        codes: Arc<[u32]>,
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
        /// Whether colours follow ln(1 + value); never where a value is below zero.
        log: bool,
        /// The least and the largest value.
        extremes: [f32; 2],
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

/// Categories that were worked out elsewhere.
#[derive(Debug, Clone)]
pub struct Words {
    /// Above the legend.
    pub title: String,
    /// Row of `names` of every cell.
    pub codes: Vec<Option<u32>>,
    /// The categories.
    pub names: Vec<String>,
    /// What a cell without one is called.
    pub missing: &'static str,
}

impl Colouring {
    /// One colour for all.
    pub fn plain() -> Self {
        Self { title: String::new(), meaning: Meaning::Plain }
    }

    /// By a column of obs, over the whole range of its numbers.
    pub fn by_column(dataset: &Dataset, column: &Column) -> Self {
        Self::by_column_over(dataset, column, NumberRange::default())
    }

    /// By a column of obs, over a part of the range of its numbers.
    pub fn by_column_over(dataset: &Dataset, column: &Column, range: NumberRange) -> Self {
        let title = column.name.clone();
        let n = dataset.n_obs;
        let meaning = match &column.values {
            Values::Categorical { codes, categories, ordered } => {
                let codes: Vec<Option<u32>> = codes
                    .iter()
                    .map(|&c| u32::try_from(c).ok().filter(|&c| (c as usize) < categories.len()))
                    .collect();
                let colours = dataset.category_colours.get(&column.name);
                categories_meaning(&codes, categories.clone(), colours, *ordered, n, "missing")
            }
            Values::Text(values) => {
                let (codes, names) = factorise(values.iter().map(|v| v.as_deref()));
                categories_meaning(&codes, names, None, false, n, "missing")
            }
            Values::Boolean(values) => {
                let codes: Vec<Option<u32>> = values.iter().map(|v| v.map(u32::from)).collect();
                categories_meaning(&codes, vec!["false".into(), "true".into()], None, false, n, "missing")
            }
            Values::Number(values) => {
                numbers_meaning(values.iter().map(|&v| v as f32).collect(), String::new(), false, range)
            }
            Values::Integer(values) => numbers_meaning(
                values.iter().map(|v| v.map_or(f32::NAN, |v| v as f32)).collect(),
                String::new(),
                false,
                range,
            ),
        };
        Self { title, meaning }
    }

    /// By a gene, over its whole range.
    pub fn by_gene(gene: &GeneColour) -> Self {
        Self::by_gene_over(gene, NumberRange::default())
    }

    /// By a gene, over a part of its range.
    pub fn by_gene_over(gene: &GeneColour, range: NumberRange) -> Self {
        Self {
            title: gene.symbol.clone(),
            meaning: numbers_meaning(gene.values.clone(), gene.unit.to_owned(), true, range),
        }
    }

    /// By categories worked out elsewhere.
    pub fn by_words(words: Words) -> Self {
        let n = words.codes.len();
        let meaning = categories_meaning(&words.codes, words.names, None, false, n, words.missing);
        Self { title: words.title, meaning }
    }

    /// By numbers worked out elsewhere; the scale begins at zero.
    pub fn by_numbers(title: String, values: Arc<[f32]>, unit: String, range: NumberRange) -> Self {
        Self { title, meaning: numbers_meaning(values, unit, true, range) }
    }

    /// The same in the colours of another look; what is large is shared.
    pub fn restyled(&self, look: &Look) -> Self {
        let mut styled = self.clone();
        if let Meaning::Categories { categories, .. } = &mut styled.meaning {
            for category in categories {
                category.colour = category.colour_in(look);
            }
        }
        styled
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
                from_palette: Color32::from_rgb(c.colour[0], c.colour[1], c.colour[2]),
                from_file: None,
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
                from_palette: Color32::GRAY,
                from_file: None,
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
    pub fn table(&self, look: &Look, dark: bool, missing: Color32, plain: Color32) -> Vec<[u8; 4]> {
        let opaque = |c: Color32| [c.r(), c.g(), c.b(), 255];
        let mut table = vec![opaque(missing)];
        match &self.meaning {
            Meaning::Plain | Meaning::Unusable(_) => table.push(opaque(plain)),
            Meaning::Categories { categories, .. } => {
                table.extend(categories.iter().enumerate().map(|(i, c)| {
                    let own = look.own.contains_key(&c.name);
                    let colour = if c.is_missing && !own { missing } else { c.colour_in(look) };
                    if look.hidden.contains(&i) { [0; 4] } else { opaque(colour) }
                }));
            }
            Meaning::Numbers { .. } => table.extend((0..palette::SCALE_STEPS).map(|i| {
                let share = i as f32 / (palette::SCALE_STEPS - 1) as f32;
                opaque(palette::scale_of(look.scale, share, dark))
            })),
        }
        table
    }
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
    ordered: bool,
    n_obs: usize,
    missing_name: &str,
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
    let of_file = from_file.filter(|colours| colours.len() >= names.len());
    let palette: Vec<Color32> = if ordered && names.len() > 2 {
        // Where the order means something the colours show it.
        (0..names.len()).map(|i| palette::viridis(0.1 + 0.85 * i as f32 / (names.len() - 1) as f32)).collect()
    } else {
        palette::categorical(names.len())
    };
    let mut rows = vec![None; names.len()];
    let mut categories = Vec::new();
    for (i, name) in names.into_iter().enumerate() {
        // Categories that no cell is in would only lengthen the legend.
        if counts[i] > 0 {
            rows[i] = Some(categories.len() as u32);
            let name = if name.is_empty() { "(empty)".to_owned() } else { name };
            let own = of_file.and_then(|c| c.get(i)).map(|[r, g, b]| Color32::from_rgb(*r, *g, *b));
            let from_palette = palette.get(i).copied().unwrap_or(Color32::GRAY);
            categories.push(Category {
                name,
                count: counts[i],
                colour: own.unwrap_or(from_palette),
                is_missing: false,
                from_palette,
                from_file: own,
            });
        }
    }
    let missing = n_obs - codes.iter().flatten().count().min(n_obs);
    let missing_row = categories.len() as u32;
    if missing > 0 {
        categories.push(Category {
            name: missing_name.to_owned(),
            count: missing,
            colour: Color32::GRAY,
            is_missing: true,
            from_palette: Color32::GRAY,
            from_file: None,
        });
    }
    let codes = (0..n_obs)
        .map(|cell| codes.get(cell).copied().flatten().and_then(|c| rows[c as usize]).unwrap_or(missing_row))
        .collect();
    Meaning::Categories { categories, codes }
}

fn numbers_meaning(values: Arc<[f32]>, unit: String, from_zero: bool, range: NumberRange) -> Meaning {
    let range = range.sound();
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let missing = values.iter().filter(|v| v.is_nan()).count();
    let (least, most) = finite().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if least > most {
        return Meaning::Unusable("It holds no number.".into());
    }
    let (mut low, mut high) = (least, most);
    if range.clips() {
        let mut sorted: Vec<f32> = finite().collect();
        let (from, to) =
            (percentile(&mut sorted, range.low_percent), percentile(&mut sorted, range.high_percent));
        // Of a gene found in few cells nearly all percentiles are zero: then its whole range is shown.
        if from < to {
            (low, high) = (from, to);
        }
    }
    // A gene's scale begins at zero, so that two genes can be compared; not where values are centred.
    if from_zero && low > 0.0 && range.low_percent == 0.0 {
        low = 0.0;
    }
    if low == high && from_zero {
        high = low + 1.0;
    }
    let log = range.log && least >= 0.0;
    Meaning::Numbers { values, low, high, unit, missing, log, extremes: [least, most] }
}

/// The value below which `percent` of `values` lie; they are put into another order. The nearest rank is taken.
fn percentile(values: &mut [f32], percent: f32) -> f32 {
    let Some(last) = values.len().checked_sub(1) else { return 0.0 };
    let rank = ((f64::from(percent) / 100.0) * last as f64).round() as usize;
    *values.select_nth_unstable_by(rank.min(last), f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn categories(codes: &[i32], names: &[&str], colours: Option<&Vec<[u8; 3]>>) -> Colouring {
        let codes: Vec<Option<u32>> = codes.iter().map(|&c| u32::try_from(c).ok()).collect();
        let names = names.iter().map(|n| (*n).to_owned()).collect();
        Colouring {
            title: "c".into(),
            meaning: categories_meaning(&codes, names, colours, false, codes.len(), "missing"),
        }
    }

    fn whole(values: Arc<[f32]>, from_zero: bool) -> Meaning {
        numbers_meaning(values, String::new(), from_zero, NumberRange::default())
    }

    fn colour(colouring: &Colouring, row: usize) -> Color32 {
        match &colouring.meaning {
            Meaning::Categories { categories, .. } => categories[row].colour,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn colours_span_the_percentiles_asked_for_and_the_whole_range_where_those_are_all_zero() {
        let ends = |values: Vec<f32>, low_percent: f32, high_percent: f32| {
            let range = NumberRange { low_percent, high_percent, log: false };
            match numbers_meaning(values.into(), String::new(), true, range) {
                Meaning::Numbers { low, high, .. } => (low, high),
                other => panic!("{other:?}"),
            }
        };
        // numpy.percentile(range(101), q) is q.
        let hundred: Vec<f32> = (0..=100).rev().map(|v| v as f32).collect();
        assert_eq!(ends(hundred.clone(), 0.0, 99.0), (0.0, 99.0));
        assert_eq!(ends(hundred.clone(), 5.0, 95.0), (5.0, 95.0));
        assert_eq!(ends(hundred, 80.0, 20.0), (0.0, 100.0), "what cannot be used is not used");
        let mut rare = vec![0.0; 1000];
        rare[3] = 7.0;
        assert_eq!(ends(rare, 0.0, 99.0), (0.0, 7.0));
    }

    #[test]
    fn log_colours_are_even_in_logarithms_and_off_where_values_fall_below_zero() {
        let range = NumberRange { log: true, ..NumberRange::default() };
        let log = |values: Vec<f32>| Colouring {
            title: String::new(),
            meaning: numbers_meaning(values.into(), String::new(), false, range),
        };
        // ln(1 + 9) is half of ln(1 + 99).
        let c = log(vec![0.0, 9.0, 99.0]);
        assert_eq!([0, 1, 2].map(|cell| c.entry(cell)), [1, 1 + 128, 256]);
        let c = log(vec![-1.0, 0.0, 1.0]);
        assert_eq!(c.entry(1), 1 + 128);
        assert!(matches!(c.meaning, Meaning::Numbers { log: false, .. }));
    }

    #[test]
    fn ordered_categories_take_the_colours_of_a_scale() {
        let codes: Vec<Option<u32>> = (0..4).map(Some).collect();
        let names = || ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let ordered = categories_meaning(&codes, names(), None, true, 4, "missing");
        let Meaning::Categories { categories, .. } = ordered else { panic!() };
        let light: Vec<u32> = categories
            .iter()
            .map(|c| u32::from(c.colour.r()) + 2 * u32::from(c.colour.g()) + u32::from(c.colour.b()) / 4)
            .collect();
        assert!(light.windows(2).all(|w| w[0] < w[1]), "{light:?}");
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
        let from_file = Look { from_file: true, ..Look::default() };
        let table = c.table(&from_file, true, Color32::GRAY, Color32::WHITE);
        assert_eq!(table[1..], [[1, 2, 3, 255], [4, 5, 6, 255]]);
        let table = c.table(&Look::default(), true, Color32::GRAY, Color32::WHITE);
        assert_ne!(table[1], [1, 2, 3, 255], "the file's colours can be left");
        let own = Look { own: BTreeMap::from([("b".into(), [9, 9, 9])]), ..from_file };
        let table = c.table(&own, true, Color32::GRAY, Color32::WHITE);
        assert_eq!(table[1..], [[1, 2, 3, 255], [9, 9, 9, 255]]);
        assert_eq!(colour(&c.restyled(&own), 1), Color32::from_rgb(9, 9, 9));
        let c = categories(&[0, 1], &["a", "b"], Some(&vec![[1, 2, 3]]));
        let look = Look { hidden: BTreeSet::from([1]), from_file: true, ..Look::default() };
        let table = c.table(&look, true, Color32::GRAY, Color32::WHITE);
        assert_eq!(table[2], [0; 4]);
        assert_ne!(table[1], [1, 2, 3, 255]);
    }

    #[test]
    fn rows_of_the_legend_and_ranges_of_numbers_give_their_cells() {
        let c = categories(&[0, 2, -1, 2, -1], &["a", "unused", "b"], None);
        let cells = |row: usize| c.cells_of(row).map(|set| set.iter().collect::<Vec<_>>());
        assert_eq!((cells(1), cells(2), cells(3)), (Some(vec![1, 3]), Some(vec![2, 4]), None));
        assert!(c.cells_between(0.0, 1.0).is_none());
        let values: Arc<[f32]> = vec![3.0, 0.0, f32::NAN, 5.0, 1.0].into();
        let c = Colouring { title: "g".into(), meaning: whole(values, true) };
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
        let table = c.table(&Look::default(), true, Color32::GRAY, Color32::WHITE);
        assert_eq!(table[2], [1, 2, 3, 255]);
    }

    #[test]
    fn too_many_values_are_said_to_be_too_many() {
        let n = MAX_CATEGORIES + 1;
        let codes: Vec<i32> = (0..n as i32).collect();
        let names: Vec<String> = (0..n).map(|i| i.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(matches!(categories(&codes, &names, None).meaning, Meaning::Unusable(_)));
        assert!(matches!(whole(vec![f32::NAN].into(), false), Meaning::Unusable(_)));
    }

    #[test]
    fn a_gene_begins_at_zero_and_centred_values_do_not() {
        let range = |values: Vec<f32>| match whole(values.into(), true) {
            Meaning::Numbers { low, high, .. } => (low, high),
            other => panic!("{other:?}"),
        };
        assert_eq!(range(vec![1.0, 4.0]), (0.0, 4.0));
        assert_eq!(range(vec![-2.0, 4.0]), (-2.0, 4.0));
        assert_eq!(range(vec![0.0, 0.0]), (0.0, 1.0));
    }
}
