//! What descriptions say of cells, as colours: a category or a number a cell.

use std::collections::BTreeMap;

use engine::describe::{ClaimKind, Description};
use engine::session::Annotations;

use super::map::{Source, Words};
use super::state::Said;

/// What a cell without a description is called.
const NOT_DESCRIBED: &str = "not described";

/// The colours for one thing said, of `n_obs` cells.
pub fn source(annotations: &Annotations, said: Said, n_obs: usize) -> Source {
    if said == Said::Probability {
        let mut values = vec![f32::NAN; n_obs];
        for (cell, description) in annotations {
            if let (Some(value), Some(claim)) =
                (values.get_mut(*cell), description.claim(ClaimKind::CellType))
            {
                *value = claim.probability;
            }
        }
        let unit = "probability of the words to the model".to_owned();
        return Source::Numbers { title: said.text().to_owned(), values: values.into(), unit };
    }
    let mut codes = vec![None; n_obs];
    let mut names: Vec<String> = Vec::new();
    let mut known: BTreeMap<String, u32> = BTreeMap::new();
    for (cell, description) in annotations {
        let (Some(code), Some(word)) = (codes.get_mut(*cell), word(description, said)) else { continue };
        *code = Some(*known.entry(word).or_insert_with_key(|word| {
            names.push(word.clone());
            (names.len() - 1) as u32
        }));
    }
    // In the order of the alphabet, so that a category stays where it is while more cells are described.
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|a, b| names[*a].cmp(&names[*b]));
    let mut rank = vec![0u32; names.len()];
    for (place, name) in order.iter().enumerate() {
        rank[*name] = place as u32;
    }
    for code in codes.iter_mut().flatten() {
        *code = rank[*code as usize];
    }
    let names = order.into_iter().map(|at| std::mem::take(&mut names[at])).collect();
    Source::Words(Words { title: said.text().to_owned(), codes, names, missing: NOT_DESCRIBED })
}

/// The category of one description.
fn word(description: &Description, said: Said) -> Option<String> {
    let value = |kind| description.claim(kind).map(|c| c.value.clone());
    match said {
        Said::CellType => value(ClaimKind::CellType),
        Said::Tissue => value(ClaimKind::Tissue),
        Said::Disease => value(ClaimKind::Disease),
        Said::Stage => value(ClaimKind::Stage),
        Said::Pathway => value(ClaimKind::Pathway),
        Said::Support => {
            let words = match description.claim(ClaimKind::CellType)?.supported {
                Some(true) => "supported by its genes",
                Some(false) => "not supported by its genes",
                None => "cannot be checked",
            };
            Some(words.to_owned())
        }
        Said::Probability => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::description;
    use super::*;
    use engine::describe::Claim;
    use std::sync::Arc;

    fn described(cell: usize, value: &str, probability: f32) -> (usize, Arc<Description>) {
        let claim = Claim {
            kind: ClaimKind::CellType,
            value: value.into(),
            term: None,
            span: 0..0,
            probability,
            evidence: Vec::new(),
            supported: Some(probability > 0.5),
        };
        let description = Description { claims: vec![claim], ..description(cell) };
        (cell, Arc::new(description))
    }

    #[test]
    fn what_is_said_becomes_categories_in_the_order_of_the_alphabet() {
        let said: Annotations = [
            described(3, "T cell", 0.9),
            described(1, "B cell", 0.2),
            described(4, "T cell", 0.6),
            described(9, "x", 1.0),
        ]
        .into_iter()
        .collect();
        let Source::Words(labels) = source(&said, Said::CellType, 5) else { panic!() };
        assert_eq!(labels.names, ["B cell", "T cell", "x"].map(str::to_owned)[..2].to_vec());
        assert_eq!(labels.codes, [None, Some(0), None, Some(1), Some(1)]);
        let Source::Words(labels) = source(&said, Said::Support, 5) else { panic!() };
        assert_eq!(labels.names, ["not supported by its genes", "supported by its genes"]);
        let Source::Words(labels) = source(&said, Said::Tissue, 5) else { panic!() };
        assert!(labels.names.is_empty() && labels.codes.iter().all(Option::is_none));
    }

    #[test]
    fn how_sure_the_model_was_becomes_a_number_where_there_is_one() {
        let said: Annotations = [described(1, "B cell", 0.25)].into_iter().collect();
        let Source::Numbers { values, .. } = source(&said, Said::Probability, 3) else { panic!() };
        assert!(values[0].is_nan() && values[1] == 0.25);
    }
}
