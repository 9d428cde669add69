//! The table of human genes and its look-ups.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::io::Read;
use std::sync::OnceLock;

use flate2::read::MultiGzDecoder;

use crate::error::Problem;
use crate::{Error, Result, assets};

/// A gene: its row in the built-in table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GeneId(pub u32);

/// By which of its names a gene was recognised, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Matched {
    /// Its Ensembl id, current or retired.
    Ensembl,
    /// Its symbol of today.
    Symbol,
    /// A symbol it bore before.
    PreviousSymbol,
    /// Another name in use for it.
    Alias,
}

impl Matched {
    /// The name of this kind, for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ensembl => "Ensembl id",
            Self::Symbol => "symbol",
            Self::PreviousSymbol => "previous symbol",
            Self::Alias => "alias",
        }
    }
}

/// A name found in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: GeneId,
    pub(super) matched: Matched,
    /// The name matched only once its case was disregarded.
    pub(super) case_changed: bool,
}

/// What a name stands for; `None` where several genes claim it with equal right.
type Meaning = (Matched, Option<GeneId>);

/// Human genes: Ensembl id, symbol, and the look-ups from every name in use.
#[derive(Debug)]
pub struct GeneTable {
    // What they point to is the text of the built-in table, which stays as long as the program runs: a string of its own
    // for each of some 200,000 names was half of what opening a file took.
    ensembl: Vec<&'static str>,
    symbols: Vec<&'static str>,
    /// The numbers in `ensembl`, rising.
    numbers: Vec<u64>,
    retired: HashMap<u64, GeneId>,
    names: HashMap<&'static str, Meaning>,
    /// Names that hold a lower-case letter, in upper case (`C9ORF72`).
    upper: HashMap<Box<str>, Meaning>,
}

/// A genome's name before a gene's, as in a file that holds reads of several genomes.
const GENOME_PREFIXES: [&str; 8] =
    ["GRCh38_", "GRCh38-", "GRCh37_", "hg19_", "hg38_", "GRCh38______", "hg19______", "homo_sapiens_"];

impl GeneTable {
    /// The table that ships with the program, parsed once.
    ///
    /// # Errors
    /// [`Error::Genes`] when the built-in table is damaged.
    pub fn builtin() -> Result<&'static Self> {
        static TABLE: OnceLock<std::result::Result<GeneTable, Problem>> = OnceLock::new();
        let table = TABLE.get_or_init(|| {
            let mut text = String::new();
            MultiGzDecoder::new(assets::GENES_TSV_GZ)
                .read_to_string(&mut text)
                .map_err(|error| damaged(error.to_string()))?;
            Self::parse(text.leak())
        });
        table.as_ref().map_err(|problem| Error::genes(problem.clone()))
    }

    /// Parses rows of `ensembl_id, symbol, previous symbols, aliases, shared` below one header row.
    fn parse(text: &'static str) -> std::result::Result<Self, Problem> {
        let mut table = Self {
            ensembl: Vec::new(),
            symbols: Vec::new(),
            numbers: Vec::new(),
            retired: HashMap::new(),
            names: HashMap::new(),
            upper: HashMap::new(),
        };
        let mut named: [Vec<(&'static str, GeneId)>; 3] = Default::default();
        for (number, line) in text.lines().enumerate().skip(1) {
            let mut cells = line.split('\t');
            let mut next = || cells.next().ok_or_else(|| damaged(format!("line {} too short", number + 1)));
            let (id, symbol, previous, aliases, shared) = (next()?, next()?, next()?, next()?, next()?);
            let digits = ensembl_number(id).ok_or_else(|| damaged(format!("the id {id}")))?;
            if table.numbers.last().is_some_and(|last| *last >= digits) {
                return Err(damaged(format!("{id} out of order")));
            }
            let gene = GeneId(table.ensembl.len() as u32);
            table.ensembl.push(id);
            table.symbols.push(symbol);
            table.numbers.push(digits);
            if symbol != id && shared.is_empty() {
                named[0].push((symbol, gene));
            }
            named[1].extend(previous.split('|').filter(|name| !name.is_empty()).map(|name| (name, gene)));
            for alias in aliases.split('|').filter(|name| !name.is_empty()) {
                match ensembl_number(alias) {
                    Some(old) => {
                        table.retired.insert(old, gene);
                    }
                    None => named[2].push((alias, gene)),
                }
            }
        }
        table.names.reserve(named.iter().map(Vec::len).sum());
        for (matched, names) in
            [Matched::Symbol, Matched::PreviousSymbol, Matched::Alias].into_iter().zip(named)
        {
            for (name, gene) in names {
                claim(&mut table.names, name, matched, gene);
                if name.bytes().any(|letter| letter.is_ascii_lowercase()) {
                    claim(&mut table.upper, name.to_ascii_uppercase().into(), matched, gene);
                }
            }
        }
        Ok(table)
    }

    /// Genes in the table.
    pub fn len(&self) -> usize {
        self.ensembl.len()
    }

    /// Whether the table holds no gene.
    pub fn is_empty(&self) -> bool {
        self.ensembl.is_empty()
    }

    /// The Ensembl id of a gene, without version. Empty for an id that this table did not give out.
    pub fn ensembl_id(&self, id: GeneId) -> &str {
        self.ensembl.get(id.0 as usize).copied().unwrap_or_default()
    }

    /// The symbol of a gene; its Ensembl id where it has none. Empty for an id that this table did not give out.
    pub fn symbol(&self, id: GeneId) -> &str {
        self.symbols.get(id.0 as usize).copied().unwrap_or_default()
    }

    /// The gene of an Ensembl id: with or without `.version`, with `_PAR_Y`, in the old form `ENSGR…` of the
    /// pseudo-autosomal copies, or retired and replaced since.
    pub fn by_ensembl(&self, id: &str) -> Option<GeneId> {
        let number = ensembl_number(id)?;
        match self.numbers.binary_search(&number) {
            Ok(row) => Some(GeneId(row as u32)),
            Err(_) => self.retired.get(&number).copied(),
        }
    }

    /// The gene of a name: an Ensembl id, a symbol, a previous symbol or an alias, in this order of right, with
    /// or without a genome's name before it (`GRCh38_`). A name that several genes claim with equal right is not
    /// resolved.
    ///
    /// Case counts. A name wholly in lower or wholly in upper case also matches when only its case is wrong
    /// (`cd3e`, `C9ORF72`); one in the mouse's style (`Cd3e`) does not: it is another gene, of another species.
    pub fn resolve(&self, name: &str) -> Option<(GeneId, Matched)> {
        self.find(name).map(|found| (found.id, found.matched))
    }

    pub(super) fn find(&self, name: &str) -> Option<Found> {
        let name = name.trim();
        if let Some(found) = self.find_bare(name) {
            return Some(found);
        }
        if let Some(bare) = GENOME_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
            return self.find_bare(bare.trim_start_matches('_'));
        }
        // `SYMBOL_ENSG…`, as written where symbols repeat.
        if let Some((_, id)) = name.rsplit_once('_')
            && let Some(id) = self.by_ensembl(id)
        {
            return Some(Found { id, matched: Matched::Ensembl, case_changed: false });
        }
        // R's `make.names` writes `HLA.DRB1` for `HLA-DRB1`.
        if name.contains('.') && !name.contains('-') { self.find_bare(&name.replace('.', "-")) } else { None }
    }

    fn find_bare(&self, name: &str) -> Option<Found> {
        if let Some(id) = self.by_ensembl(name) {
            return Some(Found { id, matched: Matched::Ensembl, case_changed: false });
        }
        if let Some((matched, id)) = self.names.get(name) {
            return id.map(|id| Found { id, matched: *matched, case_changed: false });
        }
        let lower = name.contains(|letter: char| letter.is_ascii_lowercase());
        if lower && name.contains(|letter: char| letter.is_ascii_uppercase()) {
            return None;
        }
        let upper = name.to_ascii_uppercase();
        let in_upper = if lower { self.names.get(upper.as_str()) } else { None };
        let (matched, id) = in_upper.or_else(|| self.upper.get(upper.as_str()))?;
        id.map(|id| Found { id, matched: *matched, case_changed: true })
    }

    /// Whether `name` in upper case is a symbol of today.
    pub(super) fn is_symbol_in_upper_case(&self, name: &str) -> bool {
        matches!(self.names.get(name.to_ascii_uppercase().as_str()), Some((Matched::Symbol, _)))
    }
}

/// Enters the claim of `gene` on `name`: the first kind of claim wins, two of the same kind cancel out.
fn claim<Name: Eq + Hash>(
    names: &mut HashMap<Name, Meaning>,
    name: Name,
    matched: Matched,
    gene: GeneId,
) {
    match names.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert((matched, Some(gene)));
        }
        Entry::Occupied(mut entry) => {
            let (by, holder) = *entry.get();
            if by == matched && holder != Some(gene) {
                entry.insert((by, None));
            }
        }
    }
}

/// The number in a human Ensembl gene id, whatever stands after a `.` or in `_PAR_Y`.
fn ensembl_number(id: &str) -> Option<u64> {
    let rest = id.strip_prefix("ENSG").or_else(|| id.strip_prefix("ensg"))?;
    let rest = rest.strip_suffix("_PAR_Y").unwrap_or(rest);
    let digits = match rest.split_once('.') {
        Some((digits, version)) if version.bytes().all(|byte| byte.is_ascii_digit()) => digits,
        Some(_) => return None,
        None => rest,
    };
    let digits = digits.strip_prefix('R').unwrap_or(digits);
    let right = (10..=11).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if right { digits.parse().ok() } else { None }
}

fn damaged(found: String) -> Problem {
    Problem::new(
        "the built-in gene table",
        found,
        "rows as `cargo xtask assets` writes them",
        "Install the program again.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ensembl(name: &str) -> Option<(&'static str, Matched)> {
        let table = GeneTable::builtin().unwrap();
        table.resolve(name).map(|(id, matched)| (table.ensembl_id(id), matched))
    }

    #[test]
    fn the_builtin_table_holds_gencodes_genes() {
        let table = GeneTable::builtin().unwrap();
        assert_eq!(table.len(), 78_894);
        let id = table.by_ensembl("ENSG00000156738").unwrap();
        assert_eq!(table.symbol(id), "MS4A1");
        assert_eq!(table.ensembl_id(GeneId(u32::MAX)), "");
    }

    #[test]
    fn every_form_of_an_ensembl_id_is_the_same_gene() {
        for name in
            ["ENSG00000156738", "ENSG00000156738.18", "GRCh38_ENSG00000156738", "hg19_ENSG00000156738.2"]
        {
            assert_eq!(ensembl(name), Some(("ENSG00000156738", Matched::Ensembl)), "{name}");
        }
        for name in ["ENSG00000182378.15_PAR_Y", "ENSG00000182378_PAR_Y", "ENSGR0000182378"] {
            assert_eq!(ensembl(name), Some(("ENSG00000182378", Matched::Ensembl)), "{name}");
        }
        assert_eq!(ensembl("MS4A1_ENSG00000156738"), Some(("ENSG00000156738", Matched::Ensembl)));
        for name in
            ["ENSG", "ENSG0000015673", "ENSG00000156738.x", "ENSG000001567380", "ENSMUSG00000024673", "", " "]
        {
            assert_eq!(ensembl(name), None, "{name}");
        }
    }

    #[test]
    fn symbols_of_today_of_before_and_aliases_are_told_apart() {
        assert_eq!(ensembl("MS4A1"), Some(("ENSG00000156738", Matched::Symbol)));
        assert_eq!(ensembl("ARNTL"), Some(("ENSG00000133794", Matched::PreviousSymbol)));
        assert_eq!(ensembl("CD279"), ensembl("PDCD1").map(|(id, _)| (id, Matched::Alias)));
        assert_eq!(ensembl("PD1"), None, "an alias of PDCD1 and of SNCA");
        assert_eq!(ensembl("HLA.DRB1"), ensembl("HLA-DRB1"));
        assert!(ensembl("HLA-DRB1").is_some());
    }

    #[test]
    fn an_alias_of_several_genes_is_not_resolved() {
        let text = "h\nENSG00000000001\tA\t\tX|Y\t\nENSG00000000002\tB\t\tX|A\t\nENSG00000000003\tC\tY\t\t\n";
        let table = GeneTable::parse(text).unwrap();
        assert_eq!(table.resolve("X"), None);
        assert_eq!(table.resolve("Y"), Some((GeneId(2), Matched::PreviousSymbol)));
        assert_eq!(table.resolve("A"), Some((GeneId(0), Matched::Symbol)));
    }

    #[test]
    fn a_symbol_of_several_genes_means_the_preferred_one_or_none() {
        assert_eq!(ensembl("MATR3"), Some(("ENSG00000015479", Matched::Symbol)));
        assert_eq!(ensembl("Y_RNA"), None);
    }

    #[test]
    fn lower_and_upper_case_match_but_the_mouse_style_does_not() {
        assert_eq!(ensembl("ms4a1"), Some(("ENSG00000156738", Matched::Symbol)));
        assert_eq!(ensembl("C9ORF72"), ensembl("C9orf72"));
        assert!(ensembl("C9orf72").is_some());
        assert_eq!(ensembl("Ms4a1"), None);
        assert_eq!(ensembl("Cd3e"), None);
    }

    #[test]
    fn a_damaged_table_is_an_error() {
        for text in [
            "h\nENSG00000000001\tA",
            "h\nX\tA\t\t\t",
            "h\nENSG00000000002\tA\t\t\t\nENSG00000000001\tB\t\t\t",
        ] {
            assert!(GeneTable::parse(text).is_err(), "{text}");
        }
    }
}
