//! The zip archives that torch writes: entries lie in the file as they are, uncompressed.

use std::collections::BTreeMap;
use std::ops::Range;

/// Where each entry's bytes lie in the file, by name.
///
/// # Errors
/// What was found in place of an archive whose entries are stored as they are.
pub(super) fn entries(file: &[u8]) -> Result<BTreeMap<String, Range<usize>>, String> {
    let (count, mut at) = directory(file)?;
    let mut found = BTreeMap::new();
    for _ in 0..count {
        let broken = || "a broken list of entries".to_owned();
        let head = file.get(at..at.saturating_add(46)).ok_or_else(broken)?;
        if head.get(..4) != Some(b"PK\x01\x02".as_slice()) {
            return Err(broken());
        }
        let half = |i: usize| usize::from(u16_at(head, i));
        let (method, name_len, extra_len, comment_len) = (half(10), half(28), half(30), half(32));
        let name = file.get(at + 46..at + 46 + name_len).ok_or_else(broken)?;
        let name = String::from_utf8_lossy(name).into_owned();
        let extra = file.get(at + 46 + name_len..at + 46 + name_len + extra_len).ok_or_else(broken)?;
        let (mut size, mut start) = (u64::from(u32_at(head, 24)), u64::from(u32_at(head, 42)));
        // Numbers that need more than 32 bits stand in an extra field, in this order, those that fit left out.
        let mut wide = field(extra, 1).unwrap_or_default().chunks_exact(8).map(|b| u64_at(b, 0));
        if size == u64::from(u32::MAX) {
            size = wide.next().ok_or_else(broken)?;
        }
        if u32_at(head, 20) == u32::MAX {
            wide.next();
        }
        if start == u64::from(u32::MAX) {
            start = wide.next().ok_or_else(broken)?;
        }
        if method != 0 && size > 0 {
            return Err(format!("the compressed entry {name:?}"));
        }
        let start = usize::try_from(start).map_err(|_| broken())?;
        let local = file.get(start..start.saturating_add(30)).ok_or_else(broken)?;
        if local.get(..4) != Some(b"PK\x03\x04".as_slice()) {
            return Err(broken());
        }
        let data = start + 30 + usize::from(u16_at(local, 26)) + usize::from(u16_at(local, 28));
        let size = usize::try_from(size).map_err(|_| broken())?;
        let end = data.checked_add(size).filter(|end| *end <= file.len()).ok_or_else(broken)?;
        found.insert(name, data..end);
        at += 46 + name_len + extra_len + comment_len;
    }
    Ok(found)
}

/// How many entries there are, and where their list begins.
fn directory(file: &[u8]) -> Result<(u64, usize), String> {
    const END: usize = 22;
    let none = || "no zip archive".to_owned();
    // A comment of up to 64 KiB may follow the end record.
    let first = file.len().saturating_sub(END + usize::from(u16::MAX));
    let at = (first..=file.len().checked_sub(END).ok_or_else(none)?)
        .rev()
        .find(|&at| file.get(at..at + 4) == Some(b"PK\x05\x06".as_slice()))
        .ok_or_else(none)?;
    let end = file.get(at..at + END).ok_or_else(none)?;
    let (count, start) = (u64::from(u16_at(end, 10)), u64::from(u32_at(end, 16)));
    let locator = at.checked_sub(20).and_then(|from| file.get(from..at));
    let wide = locator.filter(|l| l.get(..4) == Some(b"PK\x06\x07".as_slice())).and_then(|l| {
        let at = usize::try_from(u64_at(l, 8)).ok()?;
        file.get(at..at.checked_add(56)?).filter(|w| w.get(..4) == Some(b"PK\x06\x06".as_slice()))
    });
    let (count, start) = wide.map_or((count, start), |w| (u64_at(w, 32), u64_at(w, 48)));
    // An entry takes 46 bytes at least: a larger count is a lie.
    if count > file.len() as u64 / 46 {
        return Err("more entries than the file has room for".to_owned());
    }
    Ok((count, usize::try_from(start).map_err(|_| none())?))
}

/// The extra field of this number.
fn field(mut extra: &[u8], number: u16) -> Option<&[u8]> {
    while extra.len() >= 4 {
        let (id, len) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let body = extra.get(4..4 + len)?;
        if id == number {
            return Some(body);
        }
        extra = extra.get(4 + len..)?;
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
