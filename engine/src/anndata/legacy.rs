//! Tables of files older than anndata 0.7: obs, var and obsm as one compound dataset each, the labels of
//! categorical columns in `uns/<column>_categories`.

use hdf5::types::{FloatSize, IntSize, TypeDescriptor};

use super::columns::{categorical, labels, left_out, named, read_dataset, unsigned};
use super::frame::{Column, Frame, Values};
use super::store::{Kind, Store, Stored, fixed_texts, text_of};
use super::{DenseF32, Note, packed};
use crate::progress::Watch;
use crate::{Error, Result};

/// Reads the compound table at `element`. The field `index` (or `_index`, or the first field of text) names the rows.
pub(super) fn read_table(
    store: &Store,
    element: &str,
    watch: &Watch,
    notes: &mut Vec<Note>,
) -> Result<Frame> {
    let table = store.dataset(element)?;
    let fields = fields(&table)?;
    let is_text = |ty: &TypeDescriptor| {
        use TypeDescriptor::{FixedAscii, FixedUnicode, VarLenAscii, VarLenUnicode};
        matches!(ty, FixedAscii(_) | FixedUnicode(_) | VarLenAscii | VarLenUnicode)
    };
    let index_field = ["index", "_index"]
        .iter()
        .find_map(|name| fields.iter().position(|(field, _)| field == name))
        .or_else(|| fields.iter().position(|(_, ty)| is_text(ty)))
        .ok_or_else(|| {
            store.problem(
                element,
                "a table without a field of text",
                "a field `index` with the names of the rows",
                "Write the file again with anndata.",
            )
        })?;
    let mut frame = Frame::default();
    if let Some((name, ty)) = fields.get(index_field) {
        frame.index_name.clone_from(name);
        frame.index = labels(read_field(&table, name, ty)?);
    }
    for (done, (name, ty)) in fields.iter().enumerate() {
        if done == index_field {
            continue;
        }
        watch.step(&format!("Reading {element}"), done as u64, Some(fields.len() as u64))?;
        let column = format!("{element}/{name}");
        match read_field(&table, name, ty).and_then(|values| with_labels(store, name, values, watch)) {
            Ok((values, note)) => {
                notes.extend(note.map(|message| Note { element: column, message }));
                frame.columns.push(Column { name: name.clone(), values });
            }
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => notes.push(Note { element: column, message: left_out(&error) }),
        }
    }
    Ok(frame)
}

/// Whole numbers become labels when `uns/<column>_categories` has a label for each of them.
fn with_labels(store: &Store, name: &str, values: Values, watch: &Watch) -> Result<(Values, Option<String>)> {
    let element = format!("uns/{name}_categories");
    let Values::Integer(codes) = &values else { return Ok((values, None)) };
    if store.kind(&element) != Kind::Dataset {
        return Ok((values, None));
    }
    let categories = labels(read_dataset(&store.dataset(&element)?, watch)?);
    let codes: Vec<i64> = codes.iter().map(|code| code.unwrap_or(-1)).collect();
    // obs and var share the names in uns: a column of counts may meet the labels of another table.
    if codes.iter().any(|code| *code < -1 || *code >= categories.len() as i64) {
        return Ok((values, None));
    }
    Ok(categorical(&codes, categories, false))
}

/// The names and types of the fields of a one-dimensional compound dataset.
fn fields(table: &Stored) -> Result<Vec<(String, TypeDescriptor)>> {
    table.check_readable()?;
    match (table.descriptor(), table.shape.as_slice()) {
        (Some(TypeDescriptor::Compound(compound)), [_]) => {
            Ok(compound.fields.into_iter().map(|field| (field.name, field.ty)).collect())
        }
        (found, shape) => Err(table.store().problem(
            &table.element,
            found.map_or_else(|| "an unknown type".to_owned(), |ty| format!("{ty} of shape {shape:?}")),
            "a table: a group of columns, or one dataset of records",
            "Write the file again with anndata 0.8 or later.",
        )),
    }
}

/// One field of every record.
fn read_field(table: &Stored, name: &str, ty: &TypeDescriptor) -> Result<Values> {
    let store = table.store();
    let dataset = table.hdf5()?;
    let failed = |e: hdf5::Error| store.failed(&format!("{}/{name}", table.element), &e);
    let packed = |ty: &TypeDescriptor| packed::read_packed_field(dataset, name, ty).map_err(failed);
    let integers = || -> Result<Vec<i64>> {
        let bytes = packed(&TypeDescriptor::Integer(IntSize::U8))?;
        Ok(words(&bytes).map(i64::from_ne_bytes).collect())
    };
    Ok(match ty {
        TypeDescriptor::Boolean => {
            Values::Boolean(packed(ty)?.into_iter().map(|byte| Some(byte != 0)).collect())
        }
        TypeDescriptor::Unsigned(IntSize::U8) => {
            let bytes = packed(ty)?;
            unsigned(&words(&bytes).map(u64::from_ne_bytes).collect::<Vec<_>>())
        }
        TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_) => {
            Values::Integer(integers()?.into_iter().map(Some).collect())
        }
        TypeDescriptor::Float(_) => {
            let bytes = packed(&TypeDescriptor::Float(FloatSize::U8))?;
            Values::Number(words(&bytes).map(f64::from_ne_bytes).collect())
        }
        TypeDescriptor::Enum(names) => {
            let names = names.members.iter().map(|m| (m.value as i64, m.name.clone())).collect();
            named(&integers()?, names)
        }
        TypeDescriptor::FixedAscii(width) | TypeDescriptor::FixedUnicode(width) => {
            Values::Text(fixed_texts(&packed(ty)?, *width).into_iter().map(Some).collect())
        }
        TypeDescriptor::VarLenAscii | TypeDescriptor::VarLenUnicode => {
            let unicode = *ty == TypeDescriptor::VarLenUnicode;
            let texts = packed::read_text_field(dataset, name, unicode).map_err(failed)?;
            Values::Text(texts.iter().map(|bytes| Some(text_of(bytes))).collect())
        }
        other => {
            return Err(store.problem(
                format!("{}/{name}", table.element),
                other.to_string(),
                "text, numbers or truth values",
                "Convert the column and write the file again.",
            ));
        }
    })
}

fn words(bytes: &[u8]) -> impl Iterator<Item = [u8; 8]> {
    bytes.chunks_exact(8).filter_map(|word| word.try_into().ok())
}

/// The fields of a compound obsm, each with its number of columns; 0 for what is no array of numbers.
pub(super) fn obsm_fields(table: &Stored) -> Result<Vec<(String, usize)>> {
    Ok(fields(table)?
        .into_iter()
        .map(|(name, ty)| match ty {
            TypeDescriptor::FixedArray(inner, cols) if is_number(&inner) => (name, cols),
            ty if is_number(&ty) => (name, 1),
            _ => (name, 0),
        })
        .collect())
}

fn is_number(ty: &TypeDescriptor) -> bool {
    matches!(ty, TypeDescriptor::Float(_) | TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_))
}

/// One field of a compound obsm.
pub(super) fn read_obsm_field(table: &Stored, name: &str, cols: usize) -> Result<DenseF32> {
    let rows = table.column_len()?;
    table.check_readable()?;
    let single = TypeDescriptor::Float(FloatSize::U4);
    let found = fields(table)?.into_iter().find(|(field, _)| field == name).map(|(_, ty)| ty);
    let ty = match found {
        Some(TypeDescriptor::FixedArray(..)) => TypeDescriptor::FixedArray(Box::new(single), cols),
        _ => single,
    };
    let bytes = packed::read_packed_field(table.hdf5()?, name, &ty)
        .map_err(|e| table.store().failed(&format!("{}/{name}", table.element), &e))?;
    let values: Vec<f32> =
        bytes.chunks_exact(4).filter_map(|word| word.try_into().ok()).map(f32::from_ne_bytes).collect();
    Ok(DenseF32 { rows, cols, values })
}
