//! Runs of a gene-major twin: the entries of one gene over some cells, packed.
//!
//! A run is a byte that says how values are kept, then for each entry the distance to the cell before (LEB128) and the
//! value: LEB128 where all are whole numbers, as counts are, else four bytes.

/// Largest whole number that four-byte floats all hold exactly.
const LARGEST_WHOLE: f32 = 16_777_216.0;

/// Whether a value is kept as a whole number. A negative number or one that is none becomes 0 as one, a fraction loses
/// its end: none stays as it is.
pub(crate) fn is_whole(value: f32) -> bool {
    value < LARGEST_WHOLE && (value as u32) as f32 == value
}

/// Bytes of a number in LEB128.
pub(crate) fn leb128_bytes(value: u32) -> u32 {
    if value < 128 { 1 } else { (38 - value.leading_zeros()) / 7 }
}

/// Writes a number at the start of `room`, which becomes what is behind it.
pub(crate) fn put_leb128(mut value: u32, room: &mut &mut [u8]) -> Option<()> {
    loop {
        let (byte, rest) = std::mem::take(room).split_first_mut()?;
        *room = rest;
        if value < 128 {
            *byte = value as u8;
            return Some(());
        }
        *byte = value as u8 | 128;
        value >>= 7;
    }
}

/// Appends the run of one gene; cells rise or repeat.
pub fn encode(entries: &[(u32, f32)], bytes: &mut Vec<u8>) {
    if entries.is_empty() {
        return;
    }
    let whole = entries.iter().all(|(_, value)| is_whole(*value));
    bytes.push(u8::from(whole));
    bytes.reserve(2 * entries.len());
    let mut before = 0;
    for (cell, value) in entries {
        let distance = cell - before;
        before = *cell;
        if whole {
            let value = *value as u32;
            if distance < 128 && value < 128 {
                bytes.extend_from_slice(&[distance as u8, value as u8]);
            } else {
                leb128(distance, bytes);
                leb128(value, bytes);
            }
        } else {
            leb128(distance, bytes);
            bytes.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Adds a run to the cells of its part; `None` where it is damaged.
pub fn decode(run: &[u8], cells: &mut [f32]) -> Option<()> {
    let mut bytes = run;
    if bytes.is_empty() {
        return Some(());
    }
    let whole = match take(&mut bytes)? {
        0 => false,
        1 => true,
        _ => return None,
    };
    let mut cell = 0usize;
    while !bytes.is_empty() {
        cell += read_leb128(&mut bytes)? as usize;
        let value = if whole {
            read_leb128(&mut bytes)? as f32
        } else {
            let (value, rest) = bytes.split_first_chunk::<4>()?;
            bytes = rest;
            f32::from_le_bytes(*value)
        };
        *cells.get_mut(cell)? += value;
    }
    Some(())
}

fn take(bytes: &mut &[u8]) -> Option<u8> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(*first)
}

fn leb128(mut value: u32, bytes: &mut Vec<u8>) {
    while value >= 128 {
        bytes.push(value as u8 | 128);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn read_leb128(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0u32;
    for shift in [0, 7, 14, 21, 28] {
        let byte = take(bytes)?;
        value |= u32::from(byte & 127).checked_shl(shift)?;
        if byte < 128 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_read_back_as_written(
            entries in proptest::collection::vec((0u32..5000, prop_oneof![
                (0u32..3_000_000).prop_map(|v| v as f32), -5.0f32..5.0, Just(f32::MAX)
            ]), 0..200)
        ) {
            let mut entries = entries;
            entries.sort_by_key(|(cell, _)| *cell);
            let mut bytes = Vec::new();
            encode(&entries, &mut bytes);
            let (mut found, mut expected) = (vec![0.0f32; 5000], vec![0.0f32; 5000]);
            entries.iter().for_each(|(cell, value)| expected[*cell as usize] += value);
            prop_assert!(decode(&bytes, &mut found).is_some());
            prop_assert_eq!(found, expected);
        }
    }
}
