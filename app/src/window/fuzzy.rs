//! Fuzzy search: the letters of the query, in order, with gaps.

/// How well `query` fits `text`; `None` where a letter is missing. Higher is better.
///
/// Case does not matter and spaces in the query are ignored. Letters at the start of a word and runs of letters
/// count more; long gaps and long texts count less.
pub fn score(query: &str, text: &str) -> Option<i32> {
    let wanted: Vec<char> =
        query.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    if wanted.is_empty() {
        return Some(0);
    }
    let letters: Vec<char> = text.chars().flat_map(|c| c.to_lowercase().next()).collect();
    // From every place where the first letter stands, match greedily; keep the best.
    let mut best: Option<i32> = None;
    for start in (0..letters.len()).filter(|&i| letters[i] == wanted[0]) {
        if let Some(found) = score_from(&wanted, &letters, start) {
            best = Some(best.map_or(found, |b| b.max(found)));
        }
    }
    best.map(|b| b * 4 - letters.len().min(80) as i32 / 4)
}

fn score_from(wanted: &[char], letters: &[char], start: usize) -> Option<i32> {
    let mut total = 0;
    let mut previous: Option<usize> = None;
    let mut at = start;
    for &w in wanted {
        let found = (at..letters.len()).find(|&i| letters[i] == w)?;
        let starts_word = found == 0 || !letters[found - 1].is_alphanumeric();
        total += 1;
        if starts_word {
            total += 6;
        }
        match previous {
            Some(p) if found == p + 1 => total += 5,
            Some(p) => total -= ((found - p) as i32).min(6),
            None => total -= (found as i32).min(8),
        }
        previous = Some(found);
        at = found + 1;
    }
    Some(total)
}

/// The items that fit, best first; equal ones in the order given.
pub fn rank<T>(query: &str, items: impl IntoIterator<Item = T>, text: impl Fn(&T) -> String) -> Vec<T> {
    let mut found: Vec<(i32, T)> =
        items.into_iter().filter_map(|item| score(query, &text(&item)).map(|s| (s, item))).collect();
    found.sort_by_key(|(s, _)| std::cmp::Reverse(*s));
    found.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_must_stand_in_order() {
        assert!(score("opn", "Open file").is_some());
        assert!(score("nepo", "Open file").is_none());
        assert!(score("xyz", "Open file").is_none());
        assert_eq!(score("", "Open file"), Some(0));
    }

    #[test]
    fn starts_of_words_and_runs_come_first() {
        let found = rank("ec", ["Describe cell", "Export CSV", "Recent"], |s| (*s).to_owned());
        assert_eq!(found[0], "Export CSV");
        let found = rank("fit", ["Find a gene in the title", "Fit map"], |s| (*s).to_owned());
        assert_eq!(found[0], "Fit map");
    }

    #[test]
    fn a_gene_typed_in_small_letters_is_found() {
        assert_eq!(rank("cd3e", ["CD3D", "CD3E", "CD3EAP"], |s| (*s).to_owned()), ["CD3E", "CD3EAP"]);
    }

    #[test]
    fn letters_beyond_ascii_are_compared_without_case() {
        assert!(score("é", "Café").is_some());
        assert!(score("φ", "Φ phase").is_some());
        // Lowered, this letter becomes two; the search must only not fall over it.
        assert_eq!(score("stanbul", "İstanbul").map(|s| s > 0), Some(true));
    }
}
