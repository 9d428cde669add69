//! All genes of a file at once.

use std::collections::{BTreeMap, HashMap};

use super::species::{Census, Species};
use super::table::{Found, GeneId, GeneTable, Matched};

/// What the columns of a file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedGenes {
    /// The gene of each column, in the file's order; several columns may be the same gene.
    pub ids: Vec<Option<GeneId>>,
    /// Where the names were taken from: `var index`, `var/feature_name`.
    pub source: String,
    /// Columns filled from other candidates where `source` said nothing, by candidate.
    pub filled: BTreeMap<String, usize>,
    /// Columns by the kind of name that told the gene.
    pub matched: BTreeMap<Matched, usize>,
    /// Names that match only when their case is disregarded.
    pub case_changed: usize,
    /// The species that the names speak for, where they do.
    pub species: Option<Species>,
    /// Why this species, in words for people.
    pub species_reason: String,
}

impl ResolvedGenes {
    /// Columns whose gene is known.
    pub fn known(&self) -> usize {
        self.matched.values().sum()
    }
}

/// A candidate's name, its values, and the gene found for each.
type Pass<'a> = (&'a str, &'a [String], Vec<Option<Found>>);

/// Resolves all genes of a file.
///
/// `candidates` are the columns that may hold ids or symbols, by name, best guess first (the var index, then var
/// columns). The one that resolves most genes is taken; columns it leaves open are filled from the others, but
/// never with a gene that is there already. A column known only by a previous symbol or an alias is left open
/// when another column is that gene by its id or its symbol: in the file's own annotation they are two genes.
///
/// `organism` is what the file says of its organism, a name or an NCBI taxon.
pub fn resolve_genes(
    table: &GeneTable,
    candidates: &[(&str, &[String])],
    organism: Option<&str>,
) -> ResolvedGenes {
    let mut passes: Vec<Pass<'_>> = candidates
        .iter()
        .map(|(name, values)| (*name, *values, values.iter().map(|value| table.find(value)).collect()))
        .collect();
    // Most genes first; the sort is stable, so that the earlier candidate wins a tie.
    passes.sort_by_key(|(_, _, found)| std::cmp::Reverse(found.iter().flatten().count()));

    let mut census = Census::default();
    let mut passes = passes.into_iter();
    let (source, mut found) = match passes.next() {
        Some((name, values, found)) => {
            for (value, found) in values.iter().zip(&found) {
                census.count(table, value, found.as_ref());
            }
            (name.to_owned(), found)
        }
        None => (String::new(), Vec::new()),
    };
    drop_weaker_claims(&mut found);

    let mut filled = BTreeMap::new();
    for (name, _, others) in passes {
        let mut held: HashMap<GeneId, ()> = found.iter().flatten().map(|found| (found.id, ())).collect();
        let mut added = 0;
        for (slot, other) in found.iter_mut().zip(others) {
            if slot.is_none()
                && let Some(other) = other
                && held.insert(other.id, ()).is_none()
            {
                *slot = Some(other);
                added += 1;
            }
        }
        if added > 0 {
            filled.insert(name.to_owned(), added);
        }
    }

    let mut matched = BTreeMap::new();
    for found in found.iter().flatten() {
        *matched.entry(found.matched).or_default() += 1;
    }
    let (species, species_reason) = census.verdict(organism);
    ResolvedGenes {
        ids: found.iter().map(|found| found.map(|found| found.id)).collect(),
        source,
        filled,
        matched,
        case_changed: found.iter().flatten().filter(|found| found.case_changed).count(),
        species,
        species_reason,
    }
}

/// Opens the columns that hold a gene by a weaker kind of name than another column does.
fn drop_weaker_claims(found: &mut [Option<Found>]) {
    let rank = |matched: Matched| match matched {
        Matched::Ensembl | Matched::Symbol => 0,
        Matched::PreviousSymbol => 1,
        Matched::Alias => 2,
    };
    let mut best: HashMap<GeneId, i32> = HashMap::new();
    for found in found.iter().flatten() {
        let held = best.entry(found.id).or_insert(i32::MAX);
        *held = (*held).min(rank(found.matched));
    }
    for slot in found {
        let weaker =
            slot.is_some_and(|found| best.get(&found.id).is_some_and(|best| *best < rank(found.matched)));
        if weaker {
            *slot = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genes::testing;
    use crate::test_support::shared_file;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_candidate_that_resolves_most_is_taken_and_gaps_are_filled() {
        let table = GeneTable::builtin().unwrap();
        let index = strings(&["0", "1", "2", "3"]);
        let ids = strings(&["ENSG00000156738", "ENSG99999999999", "ENSG00000198851", "ENSG99999999998"]);
        let symbols = strings(&["CD3E", "LYZ", "nonsense", "MS4A1"]);
        let genes =
            resolve_genes(table, &[("var index", &index), ("var/ids", &ids), ("var/name", &symbols)], None);
        assert_eq!(genes.source, "var/name");
        assert_eq!(genes.known(), 3);
        let genes = resolve_genes(table, &[("var/ids", &ids[..3]), ("var/name", &symbols[..3])], None);
        assert_eq!(genes.source, "var/ids", "the first wins a tie");
        assert_eq!(genes.filled.get("var/name"), Some(&1));
        assert_eq!(genes.ids[1], table.resolve("LYZ").map(|(id, _)| id));
        assert_eq!(genes.species, Some(Species::Human));
    }

    #[test]
    fn a_former_name_yields_to_the_gene_that_is_there_itself() {
        let table = GeneTable::builtin().unwrap();
        let names = strings(&["ARNTL", "BMAL1", "ENSG00000133794.2"]);
        let genes = resolve_genes(table, &[("var index", &names)], None);
        assert_eq!(genes.ids[0], None);
        assert_eq!(genes.ids[1], genes.ids[2], "columns may share a gene");
        assert_eq!(resolve_genes(table, &[("var index", &names[..1])], None).known(), 1);
    }

    #[test]
    fn no_candidate_and_no_gene_give_nothing() {
        let table = GeneTable::builtin().unwrap();
        let genes = resolve_genes(table, &[], None);
        assert!(genes.ids.is_empty() && genes.species.is_none());
    }

    #[test]
    fn real_files_resolve_and_tell_their_species() {
        let table = GeneTable::builtin().unwrap();
        let share = |file: &str, column: &str| {
            let names = testing::var_column(&shared_file(&format!("data/{file}"))?, column);
            let genes = resolve_genes(table, &[("var index", &names)], None);
            Some((genes.known() as f64 / names.len() as f64, genes))
        };
        let Some((pbmc, genes)) = share("cells/pbmc3k_seurat.h5ad", "gene_symbol") else { return };
        assert!(pbmc > 0.88, "{pbmc}: {:?}", genes.matched);
        assert_eq!(genes.species, Some(Species::Human));

        let Some((breast, genes)) = share("cells/breast_visium_hbca2504.h5ad", "name_0") else { return };
        assert!(breast > 0.96, "{breast}: {:?}", genes.matched);
        assert_eq!(genes.species, Some(Species::Human));

        let Some((kidney, genes)) = share("cells/mouse_kidney_tabulamuris215.h5ad", "gene_symbol") else {
            return;
        };
        assert!(kidney < 0.01, "{kidney}");
        assert_eq!(genes.species, Some(Species::Mouse), "{}", genes.species_reason);

        // Five of the 200 versioned ids are placeholders.
        for (file, species, least) in [
            ("var_lowercase", Species::Human, 0.99),
            ("var_genome_prefix", Species::Human, 0.99),
            ("var_ensembl_versioned", Species::Human, 0.97),
            ("var_mouse_case", Species::Mouse, 0.0),
        ] {
            let Some((known, genes)) = share(&format!("h5ad_zoo/{file}.h5ad"), "_index") else { return };
            assert_eq!(genes.species, Some(species), "{file}: {}", genes.species_reason);
            assert!(known >= least && (least > 0.0 || known < 0.05), "{file}: {known}");
            assert_eq!(genes.case_changed > 0, file == "var_lowercase", "{file}");
        }
    }
}
