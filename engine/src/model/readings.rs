//! What several readings of a cell say together.
//!
//! A cell may be read more than once, each time without some of its genes ([`crate::tokens::RankEncoder::readings`]). The rows
//! of a batch are then the readings, those of a cell behind each other, and one text is written for all of them: errors that
//! rest on single genes differ between readings, and the mean has fewer of them, as with any ensemble.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::weigh::{Weights, in_order};

/// The weights of cells by those of their rows: of each alternative the mean over `readings` rows.
pub(super) fn mean_weights(of_rows: Vec<Weights>, readings: usize) -> Vec<Weights> {
    if readings < 2 {
        return of_rows;
    }
    let mean = |rows: &[Weights]| {
        let mut shares: BTreeMap<usize, f64> = BTreeMap::new();
        for &(place, weight) in rows.iter().flatten() {
            *shares.entry(place).or_default() += f64::from(weight);
        }
        in_order(shares)
    };
    of_rows.chunks(readings).map(mean).collect()
}

/// The scores of the next token of each cell by those of its rows, `vocab` a row: their mean. Among any of the tokens that is
/// the geometric mean of what the readings hold for likely, whatever the others are.
pub(super) fn mean_scores(of_rows: &[f32], vocab: usize, readings: usize) -> Cow<'_, [f32]> {
    if readings < 2 || vocab == 0 {
        return Cow::Borrowed(of_rows);
    }
    let mut means = Vec::with_capacity(of_rows.len() / readings);
    for rows in of_rows.chunks_exact(vocab * readings) {
        let sum = |token: usize| rows.iter().skip(token).step_by(vocab).sum::<f32>();
        means.extend((0..vocab).map(|token| sum(token) / readings as f32));
    }
    Cow::Owned(means)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::model::{Bundle, Cell2Text, GenerationSettings, Guidance, Weighing};
    use crate::progress::Watch;

    #[test]
    fn a_cell_that_is_read_twice_alike_is_told_as_one_that_is_read_once() {
        let silent = Watch::silent();
        let model = Cell2Text::load(&Bundle::builtin().unwrap(), &Device::flex(), &silent).unwrap();
        let families: Vec<usize> = (0..1000).collect();
        let weighed = Some(Weighing { slot: 1, families: &families, temperature: 1.0 });
        let guidance = Guidance { weighed, settled: &[7, 9], ..Guidance::default() };
        let tell = |cells: &[&[Vec<u32>]]| {
            let streams: Vec<u64> = (0..cells.len() as u64).collect();
            let settings = GenerationSettings::default();
            model.generate(cells, &streams, guidance, &settings, &silent, &mut |_| {}).unwrap()
        };
        let cells: Vec<Vec<u32>> = (0..3).map(|i| (10 + 300 * i..50 + 300 * i).collect()).collect();
        let [a, b, c] = &cells[..] else { panic!("three cells") };
        let once = tell(&[a, b, c].map(std::slice::from_ref));
        let twice = |cell: &Vec<u32>| vec![cell.clone(), cell.clone()];
        // Others in the same batch are read once, or in ways that show the model less.
        let mixed = tell(&[&twice(a), &twice(b), &[c.clone(), c[..5].to_vec()]]);
        for (one, other) in once.iter().zip(&mixed) {
            assert_eq!((&one.text, one.ended), (&other.text, true));
            assert_eq!(one.settled.len(), 2);
            for (one, other) in one.weights.iter().zip(&other.weights) {
                assert!(one.0 == other.0 && (one.1 - other.1).abs() < 1e-4, "{one:?} {other:?}");
            }
        }
        assert_eq!(tell(&[&[]]), [crate::model::Generated::default()]);
        // Two readings that differ tell what neither tells for sure.
        let both = &tell(&[&[a.clone(), b.clone()]])[0];
        let weight = |of: &crate::model::Generated| {
            of.weights.iter().find(|(place, _)| *place == once[0].weights[0].0).map_or(0.0, |(_, w)| *w)
        };
        let mean = (weight(&once[0]) + weight(&once[1])) / 2.0;
        assert!((weight(both) - mean).abs() < 1e-3, "{} {mean}", weight(both));
    }

    #[test]
    fn scores_and_weights_of_a_cell_are_the_means_over_its_readings() {
        let scores = [1.0, 2.0, 3.0, 6.0, 10.0, 20.0, 30.0, 40.0];
        assert_eq!(*mean_scores(&scores, 2, 2), [2.0, 4.0, 20.0, 30.0]);
        assert_eq!(*mean_scores(&scores, 2, 1), scores);
        let rows = vec![vec![(3, 0.75), (1, 0.25)], vec![(1, 1.0)], vec![(5, 1.0)], vec![(5, 0.5), (2, 0.5)]];
        assert_eq!(mean_weights(rows.clone(), 2), [vec![(1, 0.625), (3, 0.375)], vec![(5, 0.75), (2, 0.25)]]);
        assert_eq!(mean_weights(rows.clone(), 1), rows);
        assert_eq!(mean_weights(vec![Vec::new(); 4], 2), vec![Weights::new(); 2]);
    }
}
