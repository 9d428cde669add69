//! Tables of annotations: obs (one row a cell) and var (one row a gene).

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A table as obs or var: named rows and typed columns of the same length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frame {
    /// The name of the index, as `_index` or `barcode`.
    pub index_name: String,
    /// The names of the rows, `[rows]`. Not necessarily unique.
    pub index: Vec<String>,
    /// The columns, in file order, each `[rows]`.
    pub columns: Vec<Column>,
}

impl Frame {
    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether the table has no rows.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }
}

/// A table that several hold, since the names of millions of cells are large. Changing it copies it first where another
/// holds it too.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SharedFrame(Arc<Frame>);

impl From<Frame> for SharedFrame {
    fn from(frame: Frame) -> Self {
        Self(Arc::new(frame))
    }
}

impl Deref for SharedFrame {
    type Target = Frame;

    fn deref(&self) -> &Frame {
        &self.0
    }
}

impl DerefMut for SharedFrame {
    fn deref_mut(&mut self) -> &mut Frame {
        Arc::make_mut(&mut self.0)
    }
}

/// One column of a [`Frame`].
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its values, `[rows]`.
    pub values: Values,
}

/// The values of a column, `[rows]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Labels out of a list.
    Categorical {
        /// The row of `categories` of each row; -1 where the value is missing.
        codes: Vec<i32>,
        /// The labels, in file order. Some may be unused.
        categories: Vec<String>,
        /// Whether their order means something.
        ordered: bool,
    },
    /// Free text; `None` where missing.
    Text(Vec<Option<String>>),
    /// Numbers; NaN where missing.
    Number(Vec<f64>),
    /// Whole numbers; `None` where missing.
    Integer(Vec<Option<i64>>),
    /// Truth values; `None` where missing.
    Boolean(Vec<Option<bool>>),
}

/// A column as labels, for colouring: see [`Column::label_codes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelCodes {
    /// The row of `categories` of each row; -1 where the value is missing.
    pub codes: Vec<i32>,
    /// The labels.
    pub categories: Vec<String>,
}

impl Values {
    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Categorical { codes, .. } => codes.len(),
            Self::Text(v) => v.len(),
            Self::Number(v) => v.len(),
            Self::Integer(v) => v.len(),
            Self::Boolean(v) => v.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of `row` as text, as Python prints it; `None` where missing or beyond the end.
    pub fn text(&self, row: usize) -> Option<String> {
        match self {
            Self::Categorical { codes, categories, .. } => {
                let code = usize::try_from(*codes.get(row)?).ok()?;
                categories.get(code).cloned()
            }
            Self::Text(v) => v.get(row)?.clone(),
            Self::Number(v) => {
                let number = *v.get(row)?;
                (!number.is_nan()).then(|| number_text(number))
            }
            Self::Integer(v) => v.get(row)?.map(|n| n.to_string()),
            Self::Boolean(v) => v.get(row)?.map(|b| boolean_text(b).to_owned()),
        }
    }
}

impl Column {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value of `row` as text, as Python prints it (`True`, `1.0`); `None` where missing.
    pub fn text(&self, row: usize) -> Option<String> {
        self.values.text(row)
    }

    /// The value of `row` as a number; `None` where missing or where the column holds labels or text.
    /// Truth values are 0 and 1.
    pub fn number(&self, row: usize) -> Option<f64> {
        match &self.values {
            Values::Categorical { .. } | Values::Text(_) => None,
            Values::Number(v) => v.get(row).copied().filter(|n| !n.is_nan()),
            Values::Integer(v) => v.get(row).copied().flatten().map(|n| n as f64),
            Values::Boolean(v) => v.get(row).copied().flatten().map(|b| f64::from(u8::from(b))),
        }
    }

    /// Whether the file stores the column as labels out of a list.
    pub fn is_categorical(&self) -> bool {
        matches!(self.values, Values::Categorical { .. })
    }

    /// Whether [`Column::number`] answers: numbers, whole numbers and truth values.
    pub fn is_numeric(&self) -> bool {
        matches!(self.values, Values::Number(_) | Values::Integer(_) | Values::Boolean(_))
    }

    /// How many rows have no value.
    pub fn missing(&self) -> usize {
        match &self.values {
            Values::Categorical { codes, .. } => codes.iter().filter(|code| **code < 0).count(),
            Values::Text(v) => v.iter().filter(|t| t.is_none()).count(),
            Values::Number(v) => v.iter().filter(|n| n.is_nan()).count(),
            Values::Integer(v) => v.iter().filter(|n| n.is_none()).count(),
            Values::Boolean(v) => v.iter().filter(|b| b.is_none()).count(),
        }
    }

    /// The column as labels, whatever its type, or `None` when it has more than `cap` different ones.
    ///
    /// A categorical column keeps the file's categories and their order, also unused ones, so that colours stored
    /// for them fit. Any other column gets the values that occur: numbers in rising order, text in the order of the
    /// alphabet.
    pub fn label_codes(&self, cap: usize) -> Option<LabelCodes> {
        match &self.values {
            Values::Categorical { codes, categories, .. } => (categories.len() <= cap)
                .then(|| LabelCodes { codes: codes.clone(), categories: categories.clone() }),
            Values::Text(v) => {
                coded(v.iter().map(Option::as_deref), cap, |labels| labels.sort_unstable(), str::to_owned)
            }
            Values::Number(v) => coded(
                v.iter().map(|n| (!n.is_nan()).then(|| n.to_bits())),
                cap,
                |labels| labels.sort_by(|a, b| f64::from_bits(*a).total_cmp(&f64::from_bits(*b))),
                |bits| number_text(f64::from_bits(bits)),
            ),
            Values::Integer(v) => {
                coded(v.iter().copied(), cap, |labels| labels.sort_unstable(), |n| n.to_string())
            }
            Values::Boolean(v) => {
                coded(v.iter().copied(), cap, |labels| labels.sort_unstable(), |b| boolean_text(b).to_owned())
            }
        }
    }
}

fn coded<K: Copy + Eq + std::hash::Hash>(
    values: impl Iterator<Item = Option<K>> + Clone,
    cap: usize,
    sort: impl FnOnce(&mut Vec<K>),
    text: impl Fn(K) -> String,
) -> Option<LabelCodes> {
    let mut rank: HashMap<K, i32> = HashMap::new();
    for value in values.clone().flatten() {
        rank.entry(value).or_insert(0);
        if rank.len() > cap {
            return None;
        }
    }
    let mut labels: Vec<K> = rank.keys().copied().collect();
    sort(&mut labels);
    for (code, label) in (0i32..).zip(&labels) {
        rank.insert(*label, code);
    }
    let codes = values.map(|value| value.and_then(|v| rank.get(&v).copied()).unwrap_or(-1)).collect();
    Some(LabelCodes { codes, categories: labels.into_iter().map(text).collect() })
}

/// A number as Python prints it: `1.0`, `0.1`, `inf`, `1e-07`.
pub(super) fn number_text(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let size = number.abs();
    // A number stored with 32 bits reads best with the digits of its own type: 0.1, not 0.10000000149011612.
    let narrow = number as f32;
    let exact = f64::from(narrow) == number;
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = if exact { format!("{narrow:e}") } else { format!("{number:e}") };
        return match text.split_once('e') {
            Some((digits, power)) => match power.strip_prefix('-') {
                Some(power) => format!("{digits}e-{power:0>2}"),
                None => format!("{digits}e+{power:0>2}"),
            },
            None => text,
        };
    }
    // A whole number has no digits that 32 bits could round.
    if exact && number.fract() != 0.0 { format!("{narrow:?}") } else { format!("{number:?}") }
}

pub(super) fn boolean_text(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: Values) -> Column {
        Column { name: "c".into(), values }
    }

    #[test]
    fn values_read_as_python_prints_them() {
        assert_eq!(number_text(1.0), "1.0");
        assert_eq!(number_text(f64::from(0.1f32)), "0.1");
        assert_eq!(number_text(0.1), "0.1");
        assert_eq!(number_text(1e-7), "1e-07");
        assert_eq!(number_text(2.5e20), "2.5e+20");
        assert_eq!(number_text(-0.0), "-0.0");
        assert_eq!(number_text(f64::NEG_INFINITY), "-inf");
        // Exact in 32 bits too, whose shortest digits are those of another whole number.
        assert_eq!(number_text(123_456_792.0), "123456792.0");
        assert_eq!(column(Values::Boolean(vec![Some(true), None])).text(0).unwrap(), "True");
        assert_eq!(column(Values::Boolean(vec![Some(true), None])).text(1), None);
    }

    #[test]
    fn a_missing_label_has_no_text_and_no_number() {
        let c = column(Values::Categorical {
            codes: vec![1, -1, 7],
            categories: vec!["a".into(), "b".into()],
            ordered: false,
        });
        assert_eq!(c.text(0).as_deref(), Some("b"));
        assert_eq!(c.text(1), None);
        assert_eq!(c.text(2), None, "a code without a label");
        assert_eq!(c.text(3), None, "beyond the end");
        assert_eq!(c.number(0), None);
        assert_eq!(c.missing(), 1);
    }

    #[test]
    fn any_column_becomes_labels_up_to_the_cap() {
        let numbers = column(Values::Integer(vec![Some(10), Some(9), None, Some(10)]));
        let labels = numbers.label_codes(2).unwrap();
        assert_eq!(labels.categories, ["9", "10"]);
        assert_eq!(labels.codes, [1, 0, -1, 1]);
        assert_eq!(numbers.label_codes(1), None);
        let text = column(Values::Text(vec![Some("b".into()), Some("a".into()), None]));
        assert_eq!(text.label_codes(5).unwrap().codes, [1, 0, -1]);
        let floats = column(Values::Number(vec![2.5, f64::NAN, -1.0]));
        assert_eq!(floats.label_codes(5).unwrap().categories, ["-1.0", "2.5"]);
        let unused = column(Values::Categorical {
            codes: vec![0],
            categories: vec!["x".into(), "y".into()],
            ordered: true,
        });
        assert_eq!(unused.label_codes(5).unwrap().categories, ["x", "y"]);
    }
}
