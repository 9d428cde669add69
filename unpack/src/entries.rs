//! The entries of a matrix by cells, as they follow each other: each a gene and a value.

/// Entries looked at together: those of a block without a hit are only compared.
const TOGETHER: usize = 64;

/// Adds to `hits` where in `genes` the gene `wanted` stands, and gives the largest gene.
pub fn find_one(genes: &[u32], wanted: u32, hits: &mut Vec<(u32, u32)>) -> u32 {
    let mut largest = 0;
    let mut start = 0;
    for block in genes.chunks(TOGETHER) {
        let mut any = false;
        for gene in block {
            largest = largest.max(*gene);
            any |= *gene == wanted;
        }
        if any {
            let found = block.iter().enumerate().filter(|(_, gene)| **gene == wanted);
            hits.extend(found.map(|(at, _)| (start + at as u32, 0)));
        }
        start += TOGETHER as u32;
    }
    largest
}

/// Adds to `hits` where in `genes` a gene stands that has a slot other than `u32::MAX`, with the slot, and gives the
/// largest gene.
pub fn find_several(genes: &[u32], slots: &[u32], hits: &mut Vec<(u32, u32)>) -> u32 {
    let mut largest = 0;
    for (at, gene) in (0u32..).zip(genes) {
        largest = largest.max(*gene);
        match slots.get(*gene as usize) {
            Some(slot) if *slot != u32::MAX => hits.push((at, *slot)),
            _ => {}
        }
    }
    largest
}

/// The sum of the values, but for those that are not finite.
pub fn finite_sum(values: &[f32]) -> f64 {
    // In four parts, so that the additions need not wait for each other.
    let mut sums = [0.0f64; 4];
    let (fours, rest) = values.as_chunks::<4>();
    for four in fours {
        for (sum, value) in sums.iter_mut().zip(four) {
            *sum += f64::from(*value);
        }
    }
    let sum = sums.iter().sum::<f64>() + rest.iter().map(|value| f64::from(*value)).sum::<f64>();
    if sum.is_finite() {
        return sum;
    }
    values.iter().filter(|value| value.is_finite()).map(|value| f64::from(*value)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gene_is_found_wherever_it_stands_and_the_largest_is_told() {
        let mut genes = vec![7u32; 200];
        for at in [0, 63, 64, 130, 199] {
            genes[at] = 3;
        }
        genes[150] = 9;
        let mut hits = Vec::new();
        assert_eq!(find_one(&genes, 3, &mut hits), 9);
        assert_eq!(hits, [(0, 0), (63, 0), (64, 0), (130, 0), (199, 0)]);
        let mut slots = [u32::MAX; 8];
        (slots[3], slots[2]) = (1, 0);
        hits.clear();
        assert_eq!(find_several(&genes, &slots, &mut hits), 9);
        assert_eq!(hits.len(), 5);
        assert!(hits.iter().all(|(_, slot)| *slot == 1));
    }

    #[test]
    fn sums_leave_out_what_is_not_finite() {
        assert_eq!(finite_sum(&[1.0, 2.0, 3.0, 4.0, 5.0]), 15.0);
        assert_eq!(finite_sum(&[1.0, f32::NAN, 3.0, f32::INFINITY, 5.0]), 9.0);
        assert_eq!(finite_sum(&[]), 0.0);
    }
}
