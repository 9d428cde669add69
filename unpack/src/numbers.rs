//! Numbers as they lie in files, little-endian, made into those that are computed with.

use half::f16;

/// The type of a number in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it: signed, unsigned, floating; bits
pub enum Number {
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    F32,
    F64,
}

impl Number {
    /// Bytes of one.
    pub fn width(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::F16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }
}

/// Makes `out` of `bytes`, value by value, as far as both reach.
fn each<const N: usize, T>(bytes: &[u8], out: &mut [T], value: impl Fn([u8; N]) -> T) {
    for (place, b) in out.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *place = value(*b);
    }
}

/// Numbers for display and computing.
pub fn floats(bytes: &[u8], number: Number, out: &mut [f32]) {
    match number {
        Number::I8 => each(bytes, out, |b| f32::from(i8::from_le_bytes(b))),
        Number::I16 => each(bytes, out, |b| f32::from(i16::from_le_bytes(b))),
        Number::I32 => each(bytes, out, |b| i32::from_le_bytes(b) as f32),
        Number::I64 => each(bytes, out, |b| i64::from_le_bytes(b) as f32),
        Number::U8 => each(bytes, out, |b| f32::from(u8::from_le_bytes(b))),
        Number::U16 => each(bytes, out, |b| f32::from(u16::from_le_bytes(b))),
        Number::U32 => each(bytes, out, |b| u32::from_le_bytes(b) as f32),
        Number::U64 => each(bytes, out, |b| u64::from_le_bytes(b) as f32),
        Number::F16 => each(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
        Number::F32 => each(bytes, out, f32::from_le_bytes),
        Number::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
    }
}

/// Numbers in full: those of 64 bits beyond 2^53 are rounded.
pub fn doubles(bytes: &[u8], number: Number, out: &mut [f64]) {
    match number {
        Number::I8 => each(bytes, out, |b| f64::from(i8::from_le_bytes(b))),
        Number::I16 => each(bytes, out, |b| f64::from(i16::from_le_bytes(b))),
        Number::I32 => each(bytes, out, |b| f64::from(i32::from_le_bytes(b))),
        Number::I64 => each(bytes, out, |b| i64::from_le_bytes(b) as f64),
        Number::U8 => each(bytes, out, |b| f64::from(u8::from_le_bytes(b))),
        Number::U16 => each(bytes, out, |b| f64::from(u16::from_le_bytes(b))),
        Number::U32 => each(bytes, out, |b| f64::from(u32::from_le_bytes(b))),
        Number::U64 => each(bytes, out, |b| u64::from_le_bytes(b) as f64),
        Number::F16 => each(bytes, out, |b| f16::from_le_bytes(b).to_f64()),
        Number::F32 => each(bytes, out, |b| f64::from(f32::from_le_bytes(b))),
        Number::F64 => each(bytes, out, f64::from_le_bytes),
    }
}

/// Whole numbers; what is beyond 63 bits is clipped, and fractions are cut off.
pub fn integers(bytes: &[u8], number: Number, out: &mut [i64]) {
    match number {
        Number::I8 => each(bytes, out, |b| i64::from(i8::from_le_bytes(b))),
        Number::I16 => each(bytes, out, |b| i64::from(i16::from_le_bytes(b))),
        Number::I32 => each(bytes, out, |b| i64::from(i32::from_le_bytes(b))),
        Number::I64 => each(bytes, out, i64::from_le_bytes),
        Number::U8 => each(bytes, out, |b| i64::from(u8::from_le_bytes(b))),
        Number::U16 => each(bytes, out, |b| i64::from(u16::from_le_bytes(b))),
        Number::U32 => each(bytes, out, |b| i64::from(u32::from_le_bytes(b))),
        Number::U64 => each(bytes, out, |b| i64::try_from(u64::from_le_bytes(b)).unwrap_or(i64::MAX)),
        Number::F16 => each(bytes, out, |b| f16::from_le_bytes(b).to_f32() as i64),
        Number::F32 => each(bytes, out, |b| f32::from_le_bytes(b) as i64),
        Number::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as i64),
    }
}

/// Places in a row; what is below 0 or beyond 32 bits becomes `u32::MAX`, or, of 32 bits and negative, a number of 2^31
/// or more, which no side of a matrix reaches.
pub fn places(bytes: &[u8], number: Number, out: &mut [u32]) {
    let clip = |v: i64| u32::try_from(v).unwrap_or(u32::MAX);
    match number {
        Number::I8 => each(bytes, out, |b| clip(i8::from_le_bytes(b).into())),
        Number::I16 => each(bytes, out, |b| clip(i16::from_le_bytes(b).into())),
        Number::I32 | Number::U32 => each(bytes, out, u32::from_le_bytes),
        Number::I64 => each(bytes, out, |b| clip(i64::from_le_bytes(b))),
        Number::U8 => each(bytes, out, |b| u8::from_le_bytes(b).into()),
        Number::U16 => each(bytes, out, |b| u16::from_le_bytes(b).into()),
        Number::U64 => each(bytes, out, |b| u32::try_from(u64::from_le_bytes(b)).unwrap_or(u32::MAX)),
        Number::F16 => each(bytes, out, |b| clip(f16::from_le_bytes(b).to_f32() as i64)),
        Number::F32 => each(bytes, out, |b| clip(f32::from_le_bytes(b) as i64)),
        Number::F64 => each(bytes, out, |b| clip(f64::from_le_bytes(b) as i64)),
    }
}

/// Turns the bytes of each value of `width` round: big-endian to little-endian.
pub fn swap(bytes: &mut [u8], width: usize) {
    if width > 1 {
        bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_type_are_the_same_number() {
        let all: [(Number, Vec<u8>); 11] = [
            (Number::I8, vec![7]),
            (Number::I16, 7i16.to_le_bytes().into()),
            (Number::I32, 7i32.to_le_bytes().into()),
            (Number::I64, 7i64.to_le_bytes().into()),
            (Number::U8, vec![7]),
            (Number::U16, 7u16.to_le_bytes().into()),
            (Number::U32, 7u32.to_le_bytes().into()),
            (Number::U64, 7u64.to_le_bytes().into()),
            (Number::F16, f16::from_f32(7.0).to_le_bytes().into()),
            (Number::F32, 7f32.to_le_bytes().into()),
            (Number::F64, 7f64.to_le_bytes().into()),
        ];
        for (number, mut bytes) in all {
            assert_eq!(bytes.len(), number.width());
            let (mut f, mut d, mut i, mut p) = ([0.0], [0.0], [0], [0]);
            floats(&bytes, number, &mut f);
            doubles(&bytes, number, &mut d);
            integers(&bytes, number, &mut i);
            places(&bytes, number, &mut p);
            assert_eq!((f, d, i, p), ([7.0], [7.0], [7], [7]), "{number:?}");
            swap(&mut bytes, number.width());
            swap(&mut bytes, number.width());
            places(&bytes, number, &mut p);
            assert_eq!(p, [7]);
        }
    }

    #[test]
    fn places_that_no_matrix_has_are_too_large_to_be_taken_for_others() {
        let of = |bytes: &[u8], number| {
            let mut p = [0];
            places(bytes, number, &mut p);
            p[0]
        };
        assert!(of(&(-1i32).to_le_bytes(), Number::I32) >= 1 << 31);
        assert_eq!(of(&(-1i64).to_le_bytes(), Number::I64), u32::MAX);
        assert_eq!(of(&(1i64 << 40).to_le_bytes(), Number::I64), u32::MAX);
        assert_eq!(of(&[0xff], Number::I8), u32::MAX);
    }
}
