//! Which cells: by name, or drawn at random.

use std::collections::HashMap;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::error::Problem;
use crate::{Error, Result};

/// `count` different cells of `n_obs` (all, where there are fewer), drawn evenly, in file order. The same seed
/// gives the same cells.
pub fn sample_cells(n_obs: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut cells = rand::seq::index::sample(&mut rng, n_obs, count.min(n_obs)).into_vec();
    cells.sort_unstable();
    cells
}

/// The rows of the cells called `names` in `index`, in the order of `names`.
///
/// # Errors
/// [`Error::Request`] where a name is unknown, or stands for several cells.
pub fn find_cells(index: &[String], names: &[String]) -> Result<Vec<usize>> {
    let mut rows: HashMap<&str, (Option<usize>, usize)> =
        names.iter().map(|n| (n.as_str(), (None, 0))).collect();
    for (row, name) in index.iter().enumerate() {
        if let Some((first, count)) = rows.get_mut(name.as_str()) {
            first.get_or_insert(row);
            *count += 1;
        }
    }
    names
        .iter()
        .map(|name| match rows.get(name.as_str()) {
            Some((Some(row), 1)) => Ok(*row),
            Some((Some(_), count)) => Err(Error::request(Problem::new(
                format!("cell \"{name}\""),
                format!("{count} cells of that name"),
                "one",
                "Make the cell names unique first, in Python with adata.obs_names_make_unique().",
            ))),
            _ => Err(Error::request(Problem::new(
                format!("cell \"{name}\""),
                "no cell of that name",
                index.first().map_or_else(
                    || "a file with cells".to_owned(),
                    |first| format!("a name of obs, as \"{first}\""),
                ),
                "Check the spelling; names are case-sensitive and include suffixes such as \"-1\".",
            ))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_different_cells_in_file_order_and_repeats_with_its_seed() {
        let cells = sample_cells(1000, 50, 7);
        assert_eq!(cells.len(), 50);
        assert!(cells.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(cells, sample_cells(1000, 50, 7));
        assert_ne!(cells, sample_cells(1000, 50, 8));
        assert_eq!(sample_cells(3, 50, 7), [0, 1, 2]);
        assert!(sample_cells(0, 5, 7).is_empty());
    }

    #[test]
    fn cells_are_found_in_the_order_asked_and_doubtful_names_refused() {
        let index = ["a", "b", "c", "b"].map(str::to_owned);
        let ask = |names: &[&str]| {
            find_cells(&index, &names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
                .map_err(|e| e.to_string())
        };
        assert_eq!(ask(&["c", "a", "c"]).unwrap(), [2, 0, 2]);
        assert!(ask(&["b"]).unwrap_err().contains("2 cells of that name"));
        assert!(ask(&["d"]).unwrap_err().contains("no cell of that name"));
    }
}
