//! Data frames as groups: anndata 0.7 (categories in `__categories`) and today's encoding.

use std::collections::HashSet;

use super::Note;
use super::frame::{Column, Frame, Values, boolean_text, number_text};
use super::legacy;
use super::store::{Content, Kind, Store, Stored};
use crate::progress::Watch;
use crate::{Error, Result};

/// Reads the data frame at `element`, whatever its age. A column that cannot be read becomes a note.
///
/// # Errors
/// [`Error::AnnData`] when there is no frame or its index cannot be read; [`Error::Cancelled`].
pub(super) fn read_frame(
    store: &Store,
    element: &str,
    watch: &Watch,
    notes: &mut Vec<Note>,
) -> Result<Frame> {
    match store.kind(element) {
        Kind::Dataset => return legacy::read_table(store, element, watch, notes),
        Kind::Group => {}
        Kind::Missing => {
            return Err(store.problem(
                element,
                "nothing there",
                "a table with the names of its rows",
                "Write the file again with anndata.",
            ));
        }
    }
    let index_name = index_name(store, element)?;
    let index_element = format!("{element}/{index_name}");
    let index = labels(read_values(store, &index_element, watch)?);
    let mut frame = Frame { index_name: index_name.clone(), index, columns: Vec::new() };

    // A column may share the dataset of the index: pandas allows both the same name. The file lists it then.
    let mut names = store.attr_texts(element, "column-order").unwrap_or_else(|| {
        let mut members = store.members(element);
        members.retain(|name| *name != index_name && name != "__categories");
        members
    });
    // A column has one place in the file, however often it is listed.
    let mut listed = HashSet::new();
    names.retain(|name| listed.insert(name.clone()));
    for (done, name) in names.iter().enumerate() {
        watch.step(&format!("Reading {element}"), done as u64, Some(names.len() as u64))?;
        let column = format!("{element}/{name}");
        match read_frame_column(store, element, name, watch) {
            Ok((values, note)) if values.len() == frame.len() => {
                notes.extend(note.map(|message| Note { element: column, message }));
                frame.columns.push(Column { name: name.clone(), values });
            }
            Ok((values, _)) => notes.push(Note {
                element: column,
                message: format!(
                    "The column has {} values for {} rows and is left out. Write it again with anndata to use it.",
                    values.len(),
                    frame.len()
                ),
            }),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => notes.push(Note { element: column, message: left_out(&error) }),
        }
    }
    Ok(frame)
}

/// The message for a column that could not be read.
pub(super) fn left_out(error: &Error) -> String {
    match error.problem() {
        Some(p) => {
            format!("The column is left out: found {}; expected {}. {}", p.found, p.expected, p.remedy)
        }
        None => format!("The column is left out: {error}"),
    }
}

/// The name of the dataset that holds the names of the rows.
pub(super) fn index_name(store: &Store, element: &str) -> Result<String> {
    let named = store.attr_text(element, "_index");
    let usual = ["_index", "index"].map(str::to_owned);
    for name in named.iter().chain(&usual) {
        if store.kind(&format!("{element}/{name}")) != Kind::Missing {
            return Ok(name.clone());
        }
    }
    Err(store.problem(
        format!("{element}/{}", named.as_deref().unwrap_or("_index")),
        "nothing there",
        "the names of the rows",
        "Write the file again with anndata.",
    ))
}

/// A column of a frame, and a remark on it. In files of anndata 0.7 a column of codes points to its labels by an
/// attribute; the labels lie in `__categories`.
pub(super) fn read_frame_column(
    store: &Store,
    frame: &str,
    name: &str,
    watch: &Watch,
) -> Result<(Values, Option<String>)> {
    let element = format!("{frame}/{name}");
    if store.kind(&element) == Kind::Dataset {
        let apart = format!("{frame}/__categories/{name}");
        let categories = match store.kind(&apart) {
            Kind::Dataset => Some(store.dataset(&apart)?),
            _ => store.referenced(&element, "categories"),
        };
        if let Some(categories) = categories {
            let codes = store.dataset(&element)?.read_column::<i64>()?;
            let ordered = store.attr_integers(&apart, "ordered").is_some_and(|v| v.first() == Some(&1));
            return Ok(categorical(&codes, labels(read_dataset(&categories, watch)?), ordered));
        }
    } else if store.kind(&element) == Kind::Group && store.kind(&format!("{element}/codes")) == Kind::Dataset
    {
        let codes = store.dataset(&format!("{element}/codes"))?.read_column::<i64>()?;
        let categories = read_categories(store, &element, watch)?;
        let ordered = store.attr_integers(&element, "ordered").is_some_and(|v| v.first() == Some(&1));
        return Ok(categorical(&codes, categories, ordered));
    }
    Ok((read_values(store, &element, watch)?, None))
}

/// Codes and labels as a column. A code without a label counts as missing and is remarked on.
pub(super) fn categorical(codes: &[i64], categories: Vec<String>, ordered: bool) -> (Values, Option<String>) {
    let mut beyond = 0usize;
    let codes = codes
        .iter()
        .map(|code| match i32::try_from(*code) {
            Ok(code) if code >= 0 && (code as usize) < categories.len() => code,
            Ok(-1) => -1,
            _ => {
                beyond += 1;
                -1
            }
        })
        .collect();
    let note = (beyond > 0).then(|| {
        format!(
            "{beyond} codes have no label among the {} categories; they are shown as missing.",
            categories.len()
        )
    });
    (Values::Categorical { codes, categories, ordered }, note)
}

/// Any one-dimensional element: a dataset, a categorical, or values with a mask.
pub(super) fn read_values(store: &Store, element: &str, watch: &Watch) -> Result<Values> {
    if store.kind(element) != Kind::Group {
        return read_dataset(&store.dataset(element)?, watch);
    }
    let part = |name: &str| format!("{element}/{name}");
    if store.kind(&part("codes")) == Kind::Dataset {
        let codes = store.dataset(&part("codes"))?.read_column::<i64>()?;
        let categories = read_categories(store, element, watch)?;
        return Ok(categorical(&codes, categories, false).0);
    }
    if store.kind(&part("values")) == Kind::Dataset && store.kind(&part("mask")) == Kind::Dataset {
        let values = read_dataset(&store.dataset(&part("values"))?, watch)?;
        let mask = store.dataset(&part("mask"))?.read_column::<u8>()?;
        if mask.len() != values.len() {
            return Err(store.problem(
                part("mask"),
                format!("{} values", mask.len()),
                format!("{}, as many as there are values", values.len()),
                "Write the column again with anndata.",
            ));
        }
        return Ok(masked(values, &mask));
    }
    let kind =
        store.attr_text(element, "encoding-type").unwrap_or_else(|| "a group without encoding-type".into());
    Err(store.problem(
        element,
        kind,
        "an array, a categorical or a nullable array",
        "Convert the column to text, numbers or categories and write the file again.",
    ))
}

/// The labels of the categorical `element`. They are no categorical themselves: one that leads back to itself would never end.
fn read_categories(store: &Store, element: &str, watch: &Watch) -> Result<Vec<String>> {
    let categories = format!("{element}/categories");
    if store.kind(&categories) == Kind::Group && store.kind(&format!("{categories}/codes")) != Kind::Missing {
        return Err(store.problem(
            categories,
            "a categorical",
            "labels: texts, numbers, or values with a mask",
            "Write the column again with anndata.",
        ));
    }
    read_values(store, &categories, watch).map(labels)
}

fn masked(values: Values, mask: &[u8]) -> Values {
    fn hide<T>(values: Vec<Option<T>>, mask: &[u8]) -> Vec<Option<T>> {
        values.into_iter().zip(mask).map(|(v, m)| v.filter(|_| *m == 0)).collect()
    }
    match values {
        Values::Text(v) => Values::Text(hide(v, mask)),
        Values::Integer(v) => Values::Integer(hide(v, mask)),
        Values::Boolean(v) => Values::Boolean(hide(v, mask)),
        Values::Number(v) => {
            Values::Number(v.into_iter().zip(mask).map(|(v, m)| if *m == 0 { v } else { f64::NAN }).collect())
        }
        Values::Categorical { codes, categories, ordered } => {
            let codes = codes.into_iter().zip(mask).map(|(c, m)| if *m == 0 { c } else { -1 }).collect();
            Values::Categorical { codes, categories, ordered }
        }
    }
}

/// A dataset as a column, by what it holds.
pub(super) fn read_dataset(stored: &Stored, watch: &Watch) -> Result<Values> {
    watch.check()?;
    Ok(match stored.content() {
        Content::Boolean => {
            Values::Boolean(stored.read_column::<u8>()?.into_iter().map(|b| Some(b != 0)).collect())
        }
        Content::Integer => Values::Integer(stored.read_column::<i64>()?.into_iter().map(Some).collect()),
        Content::Unsigned64 => unsigned(&stored.read_column::<u64>()?),
        Content::Float => Values::Number(stored.read_column::<f64>()?),
        Content::Text => Values::Text(stored.texts(watch)?.into_iter().map(Some).collect()),
        Content::Named(names) => named(&stored.read_column::<i64>()?, names),
        Content::Compound => {
            return Err(stored.store().problem(
                &stored.element,
                "a table",
                "one column of text or numbers",
                "Split the table into columns and write the file again.",
            ));
        }
        Content::Other(found) => {
            return Err(stored.store().problem(
                &stored.element,
                format!("data of type {found}"),
                "text, numbers or truth values",
                "Convert the column and write the file again.",
            ));
        }
    })
}

/// Whole numbers, or plain numbers where one is too large for 63 bits.
pub(super) fn unsigned(values: &[u64]) -> Values {
    let whole: Option<Vec<Option<i64>>> = values.iter().map(|v| i64::try_from(*v).ok().map(Some)).collect();
    whole.map_or_else(|| Values::Number(values.iter().map(|v| *v as f64).collect()), Values::Integer)
}

/// Numbers that have names (an HDF5 enumeration) as labels.
pub(super) fn named(values: &[i64], names: Vec<(i64, String)>) -> Values {
    let code = |value: &i64| names.iter().position(|(v, _)| v == value).map_or(-1, |at| at as i32);
    let codes = values.iter().map(code).collect();
    Values::Categorical {
        codes,
        categories: names.into_iter().map(|(_, name)| name).collect(),
        ordered: false,
    }
}

/// Values as labels, each as Python prints it; a missing one is an empty label.
pub(super) fn labels(values: Values) -> Vec<String> {
    match values {
        Values::Text(v) => v.into_iter().map(Option::unwrap_or_default).collect(),
        Values::Number(v) => v.into_iter().map(number_text).collect(),
        Values::Integer(v) => v.into_iter().map(|n| n.map(|n| n.to_string()).unwrap_or_default()).collect(),
        Values::Boolean(v) => {
            v.into_iter().map(|b| b.map(boolean_text).unwrap_or_default().to_owned()).collect()
        }
        values @ Values::Categorical { .. } => {
            (0..values.len()).map(|row| values.text(row).unwrap_or_default()).collect()
        }
    }
}
