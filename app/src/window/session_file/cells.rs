//! Sets of cells as text.

use super::super::selection::CellSet;

/// Cells as text: `runs` and, for each run, how many cells to skip and how many to take; or, where that is shorter,
/// `bits` and 16 hexadecimal digits for each 64 cells.
pub fn encode(cells: &CellSet) -> String {
    if cells.is_empty() {
        return String::new();
    }
    let mut text = "runs".to_owned();
    let longest = 4 + 16 * cells.words().len();
    let mut end = 0;
    for (start, len) in cells.runs() {
        text += &format!(" {} {len}", start - end);
        end = start + len;
        if text.len() > longest {
            let digits = cells.words().iter().map(|word| format!("{word:016x}"));
            return std::iter::once("bits ".to_owned()).chain(digits).collect();
        }
    }
    text
}

/// The cells of [`encode`]'s text.
pub fn decode(text: &str, n_obs: usize) -> Result<CellSet, String> {
    if text.is_empty() {
        return Ok(CellSet::none(n_obs));
    }
    if let Some(runs) = text.strip_prefix("runs ") {
        let mut numbers =
            runs.split(' ').map(|n| n.parse::<usize>().map_err(|_| format!("the number “{}”", shortened(n))));
        let mut runs = Vec::new();
        let mut end = 0usize;
        while let Some(skip) = numbers.next() {
            let len = numbers.next().ok_or("a run without a length")??;
            let start = end.checked_add(skip?).ok_or("a run that is too long")?;
            end = start.checked_add(len).ok_or("a run that is too long")?;
            if end > n_obs {
                return Err(format!("cell {}, but there are {n_obs} cells", end - 1));
            }
            runs.push((start, len));
        }
        return Ok(CellSet::from_runs(n_obs, runs));
    }
    let digits = text.strip_prefix("bits ").ok_or_else(|| format!("“{}”", shortened(text)))?;
    if digits.len() != n_obs.div_ceil(64) * 16 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!("{} digits for {n_obs} cells", digits.len()));
    }
    let words = digits.as_bytes().chunks(16).map(|chunk| {
        std::str::from_utf8(chunk)
            .ok()
            .and_then(|word| u64::from_str_radix(word, 16).ok())
            .unwrap_or_default()
    });
    CellSet::from_words(n_obs, words.collect()).ok_or_else(|| "cells beyond the last one".to_owned())
}

/// The beginning of a text, for messages.
pub fn shortened(text: &str) -> String {
    text.chars().take(24).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scattered_cells_are_written_as_bits_and_blocks_as_runs() {
        let block = CellSet::from_cells(10_000, 100..9_000);
        assert_eq!(encode(&block), "runs 100 8900");
        let scattered = CellSet::from_fn(10_000, |c| c % 3 == 0);
        let text = encode(&scattered);
        assert!(text.starts_with("bits ") && text.len() < 2_600, "{}", text.len());
        assert_eq!(decode(&text, 10_000).unwrap(), scattered);
    }
}
