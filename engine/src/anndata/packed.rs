//! Reading with a memory layout known only at run time.
//!
//! The hdf5 crate reads into Rust types whose layout is fixed when the program is compiled. The compound tables of
//! old files and fixed-length strings have layouts that only the file knows. These two functions hand HDF5 a layout
//! made at run time; they are the only unsafe code of this module.
#![allow(unsafe_code)] // two implementations of hdf5's unsafe trait, argued below

use std::cell::RefCell;

use hdf5::types::{CompoundField, CompoundType, TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5::{Container, H5Type};

thread_local! {
    static LAYOUT: RefCell<Option<TypeDescriptor>> = const { RefCell::new(None) };
    static FIELD: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A byte of a buffer whose elements have the layout in `LAYOUT`.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Byte(u8);

// SAFETY: the type is private to this file and used only by `read_packed`, which sets a layout made of plain bytes
// and allots `layout.size()` of them for each element of the container.
unsafe impl H5Type for Byte {
    fn type_descriptor() -> TypeDescriptor {
        LAYOUT.with_borrow(Clone::clone).unwrap_or_else(u8::type_descriptor)
    }
}

/// One field of a compound element, chosen by the name in `FIELD`.
#[repr(transparent)]
struct Field<T>(T);

// SAFETY: a compound of one field at offset 0 has the layout of the field's own type.
unsafe impl<T: H5Type> H5Type for Field<T> {
    fn type_descriptor() -> TypeDescriptor {
        let name = FIELD.with_borrow(Clone::clone);
        let fields = vec![CompoundField::new(&name, T::type_descriptor(), 0, 0)];
        TypeDescriptor::Compound(CompoundType { fields, size: size_of::<T>() })
    }
}

/// Whether every bit pattern of this layout is a value, with no pointer in it.
fn is_plain(layout: &TypeDescriptor) -> bool {
    match layout {
        TypeDescriptor::Integer(_)
        | TypeDescriptor::Unsigned(_)
        | TypeDescriptor::Float(_)
        | TypeDescriptor::Boolean
        | TypeDescriptor::Enum(_)
        | TypeDescriptor::FixedAscii(_)
        | TypeDescriptor::FixedUnicode(_) => true,
        TypeDescriptor::FixedArray(inner, _) => is_plain(inner),
        TypeDescriptor::Compound(compound) => compound.fields.iter().all(|field| is_plain(&field.ty)),
        _ => false,
    }
}

/// All elements of `container`, converted to `layout`, end to end: `elements * layout.size()` bytes.
pub(super) fn read_packed(container: &Container, layout: &TypeDescriptor) -> hdf5::Result<Vec<u8>> {
    if !is_plain(layout) {
        return Err("a layout with pointers cannot be read as bytes".into());
    }
    let bytes = container.space()?.size().checked_mul(layout.size()).ok_or("too many bytes")?;
    let mut buffer = vec![Byte(0); bytes];
    LAYOUT.set(Some(layout.clone()));
    let read = container.read_into_raw(&mut buffer);
    LAYOUT.set(None);
    read?;
    Ok(buffer.into_iter().map(|byte| byte.0).collect())
}

/// One field of fixed size of every element of a compound `container`, end to end.
pub(super) fn read_packed_field(
    container: &Container,
    name: &str,
    ty: &TypeDescriptor,
) -> hdf5::Result<Vec<u8>> {
    let size = ty.size();
    let fields = vec![CompoundField::new(name, ty.clone(), 0, 0)];
    read_packed(container, &TypeDescriptor::Compound(CompoundType { fields, size }))
}

/// The text field `name` of every element of a compound `container`, where it has a variable length.
pub(super) fn read_text_field(
    container: &Container,
    name: &str,
    unicode: bool,
) -> hdf5::Result<Vec<Vec<u8>>> {
    // A name that the file's type lacks would leave the buffer as it was: never read such a one.
    let TypeDescriptor::Compound(compound) = container.dtype()?.to_descriptor()? else {
        return Err("not a compound".into());
    };
    let stored = compound.fields.iter().find(|field| field.name == name).map(|field| &field.ty);
    let expected = if unicode { TypeDescriptor::VarLenUnicode } else { TypeDescriptor::VarLenAscii };
    if stored != Some(&expected) {
        return Err("no such text field".into());
    }
    FIELD.set(name.to_owned());
    if unicode {
        let values = container.read_raw::<Field<VarLenUnicode>>()?;
        Ok(values.iter().map(|field| field.0.as_bytes().to_vec()).collect())
    } else {
        let values = container.read_raw::<Field<VarLenAscii>>()?;
        Ok(values.iter().map(|field| field.0.as_bytes().to_vec()).collect())
    }
}
