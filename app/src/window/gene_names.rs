//! Finding the genes of a data set by any of their names: symbol, the file's own name, Ensembl id with or without a
//! version, previous symbol or alias.

use std::collections::HashMap;

use engine::genes::GeneTable;
use engine::session::Dataset;

/// The rows of a data set's genes by name.
#[derive(Debug, Default)]
pub struct GeneIndex {
    /// Names as they stand, and in capitals.
    exact: HashMap<String, usize>,
    capitals: HashMap<String, usize>,
    ensembl: HashMap<String, usize>,
}

/// A pasted list, brought to the genes of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolved {
    /// Rows of the gene list, in the order of the names, each once.
    pub genes: Vec<usize>,
    /// Names that are no gene of the data set.
    pub missing: Vec<String>,
    /// Names that named a gene a second time.
    pub repeated: usize,
}

/// An Ensembl id without its version.
fn without_version(name: &str) -> &str {
    match name.split_once('.') {
        Some((id, version))
            if id.len() > 4
                && id.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("ENS"))
                && !version.is_empty()
                && version.bytes().all(|b| b.is_ascii_digit()) =>
        {
            id
        }
        _ => name,
    }
}

impl GeneIndex {
    /// The index of a data set. The first gene of a name keeps it.
    pub fn new(dataset: &Dataset) -> Self {
        let mut index = Self::default();
        let n = dataset.genes.len();
        // Symbols before the file's own names: what is shown is what is meant.
        for names in [&dataset.genes, &dataset.gene_names_in_file] {
            for (row, name) in names.iter().enumerate().take(n) {
                index.exact.entry(name.clone()).or_insert(row);
                index.capitals.entry(name.to_uppercase()).or_insert(row);
                let id = without_version(name);
                if id.len() < name.len() {
                    index.ensembl.entry(id.to_uppercase()).or_insert(row);
                }
            }
        }
        for (row, id) in dataset.ensembl_ids.iter().enumerate().take(n) {
            if let Some(id) = id {
                index.ensembl.entry(id.to_uppercase()).or_insert(row);
            }
        }
        index
    }

    /// The row of the gene that a name means: as written; without regard to case; an Ensembl id without its version;
    /// a previous symbol or an alias of a gene that is there.
    pub fn find(&self, name: &str) -> Option<usize> {
        let name = name.trim();
        if name.is_empty() {
            return None;
        }
        if let Some(row) = self.exact.get(name) {
            return Some(*row);
        }
        let capitals = name.to_uppercase();
        let id = without_version(&capitals);
        self.capitals
            .get(&capitals)
            .or_else(|| self.ensembl.get(id))
            .or_else(|| self.capitals.get(id))
            .copied()
            .or_else(|| self.by_other_name(name, &capitals))
    }

    fn by_other_name(&self, name: &str, capitals: &str) -> Option<usize> {
        let table = GeneTable::builtin().ok()?;
        let (gene, _) = table.resolve(name).or_else(|| table.resolve(capitals))?;
        let id = table.ensembl_id(gene).to_uppercase();
        self.ensembl.get(&id).or_else(|| self.capitals.get(&table.symbol(gene).to_uppercase())).copied()
    }

    /// The genes of names.
    pub fn resolve<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Resolved {
        let mut out = Resolved::default();
        for name in names {
            match self.find(name) {
                Some(row) if out.genes.contains(&row) => out.repeated += 1,
                Some(row) => out.genes.push(row),
                None => out.missing.push(name.to_owned()),
            }
        }
        out
    }
}

/// The names in a pasted text: anything between commas, semicolons, tabs, line ends and spaces, without quotes.
pub fn names_in(text: &str) -> Vec<&str> {
    text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|'))
        .map(|name| name.trim_matches(|c| matches!(c, '"' | '\'' | '[' | ']' | '(' | ')' | '{' | '}')))
        .filter(|name| !name.is_empty())
        .collect()
}

/// Whether a text holds more than one name.
pub fn is_list(text: &str) -> bool {
    names_in(text).len() > 1
}

#[cfg(test)]
mod tests {
    use super::super::testing::dataset;
    use super::*;

    #[test]
    fn a_gene_is_found_by_every_name_it_has() {
        let index = GeneIndex::new(&dataset());
        for (name, row) in [
            ("CD3E", 0),
            ("cd3e", 0),
            ("ENSG00000198851", 0),
            ("ensg00000198851.14", 0),
            ("lysozyme", 1),
            ("ENSG00000090382.7", 1),
            // The previous symbol and an alias of MS4A1, which the file knows by its symbol only.
            ("CD20", 3),
        ] {
            assert_eq!(index.find(name), Some(row), "{name}");
        }
        for name in ["", " ", "xyzzy", "ENSG00000198851.x", "NOTCH1"] {
            assert_eq!(index.find(name), None, "{name}");
        }
    }

    #[test]
    fn a_pasted_list_may_have_any_separators_and_what_is_not_found_is_told() {
        let text = "[\"CD3E\", 'LYZ';\tMS4A1\n CD20 | Xyzzy1]\n\n";
        assert_eq!(names_in(text), ["CD3E", "LYZ", "MS4A1", "CD20", "Xyzzy1"]);
        let resolved = GeneIndex::new(&dataset()).resolve(names_in(text));
        assert_eq!(resolved.genes, [0, 1, 3]);
        assert_eq!((resolved.missing, resolved.repeated), (vec!["Xyzzy1".to_owned()], 1));
        assert!(is_list("CD3E LYZ") && !is_list(" CD3E "));
    }
}
