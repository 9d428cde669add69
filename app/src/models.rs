//! Where models lie on this machine, and their sizes in words. Both faces go by it.

use std::path::PathBuf;

/// The folder of models: `CELL2TEXT_MODELS` where that is set, else in the user's data folder.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os("CELL2TEXT_MODELS").map(PathBuf::from).or_else(|| {
        Some(directories::ProjectDirs::from("org", "Cell2Text", "Cell2Text")?.data_dir().join("models"))
    })
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    if bytes < 100_000 {
        format!("{:.0} kB", bytes as f64 / 1e3)
    } else if bytes < 1_000_000_000 {
        format!("{:.1} MB", bytes as f64 / 1e6)
    } else {
        format!("{:.2} GB", bytes as f64 / 1e9)
    }
}

/// A number of parameters for people.
pub fn parameters(n: u64) -> String {
    match n {
        0..1_000_000 => format!("{:.0} thousand parameters", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} million parameters", n as f64 / 1e6),
        _ => format!("{:.2} billion parameters", n as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_with_the_words_that_fit_them() {
        assert_eq!(parameters(42_400), "42 thousand parameters");
        assert_eq!(parameters(1_235_814_400), "1.24 billion parameters");
        assert_eq!(parameters(316_000_000), "316.0 million parameters");
        assert_eq!(size(21_340_000), "21.3 MB");
        assert_eq!(size(28_672), "29 kB");
    }
}
