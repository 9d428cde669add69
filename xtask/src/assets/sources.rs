//! What was taken from where: `assets/SOURCES.md`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::packages::{ONTOLOGY, SCANPY, SCHEMA};

/// The marks between which this chore writes; what stands outside is kept.
const BEGIN: &str = "<!-- begin: written by cargo xtask assets -->";
const END: &str = "<!-- end: written by cargo xtask assets -->";

/// What the builders saw.
#[derive(Debug, Default)]
pub struct Report {
    /// GENCODE's release.
    pub gencode: String,
    /// Genes in the table.
    pub genes: usize,
    /// The newest change in the HGNC file, empty where the former table's names were kept.
    pub hgnc_date: String,
    /// Genes to which HGNC gave names.
    pub hgnc_genes: usize,
    /// Terms in the ontology table.
    pub terms: usize,
    /// Deprecated ones among them.
    pub retired_terms: usize,
    /// `is_a` relations.
    pub is_a: usize,
    /// The GMT's file name and its number of sets.
    pub hallmark: Option<(String, usize)>,
}

impl Report {
    /// One line for the terminal.
    pub fn summary(&self) -> String {
        format!(
            "{} genes ({} with HGNC's names), {} Cell Ontology terms with {} is_a relations, {} gene sets",
            self.genes,
            self.hgnc_genes,
            self.terms,
            self.is_a,
            self.hallmark.as_ref().map_or(0, |(_, sets)| *sets)
        )
    }

    /// Writes the record, keeping what others wrote outside the marks and the lines whose source was not
    /// brought along this time.
    pub fn write(&self, path: &Path, cl_release: &str) -> Result<()> {
        let before = fs::read_to_string(path).unwrap_or_else(|_| {
            format!("# Where the assets come from\n\nNothing here is downloaded by the program.\n\n{BEGIN}\n{END}\n")
        });
        let (head, rest) = before.split_once(BEGIN).context("SOURCES.md: the begin mark is missing")?;
        let (old, tail) = rest.split_once(END).context("SOURCES.md: the end mark is missing")?;
        let kept =
            |start: &str| old.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();

        let hgnc = if self.hgnc_date.is_empty() {
            kept("| `genes/human.tsv.gz`: previous")
        } else {
            format!(
                "| `genes/human.tsv.gz`: previous symbols, aliases, retired ids | HGNC complete set, last change {} | \
                 free use, no restriction | `symbol`, `prev_symbol`, `alias_symbol`, `ensembl_gene_id` of approved \
                 entries, {} of them matched | joined to GENCODE by Ensembl id, else by symbol; an id that GENCODE \
                 retired is kept as an alias |",
                self.hgnc_date, self.hgnc_genes
            )
        };
        let hallmark = match &self.hallmark {
            None => kept("| `pathways/hallmark.tsv.gz`"),
            Some((file, sets)) => format!(
                "| `pathways/hallmark.tsv.gz` | MSigDB Hallmark gene sets, {file} (Liberzon et al. 2015) | CC BY 4.0 | \
                 names and members of {sets} sets | sorted, written as `name`, tab, members; addresses and \
                 descriptions left out |"
            ),
        };
        let table = format!(
            "\n| file | source | licence | what was taken | how it was changed |\n| --- | --- | --- | --- | --- |\n\
             | `genes/human.tsv.gz`: ids and symbols | {} {}, GENCODE human release {} | MIT; GENCODE is free for any \
             use | id and symbol of {} genes | `shared` marks a symbol that more than one gene carries, where this row \
             is not the one it means |\n\
             {hgnc}\n\
             | `ontology/cl.tsv.gz` | {} {}, Cell Ontology release {cl_release} | MIT; Cell Ontology CC BY 4.0 | id, \
             label, synonyms, is_a, replaced_by and deprecated of {} terms ({} deprecated, {} is_a relations) | rewritten \
             as a table; definitions and relations to other ontologies left out |\n\
             | `sample/pbmc68k_reduced.h5ad` | {} {}, `datasets/10x_pbmc68k_reduced.h5ad` (700 cells of 10x Genomics' \
             68k PBMC, Zheng et al. 2017) | BSD-3-Clause; data CC BY 4.0 | the file | unchanged |\n\
             {hallmark}\n",
            SCHEMA.name,
            SCHEMA.version,
            self.gencode,
            self.genes,
            ONTOLOGY.name,
            ONTOLOGY.version,
            self.terms,
            self.retired_terms,
            self.is_a,
            SCANPY.name,
            SCANPY.version,
        );
        super::write(path, format!("{head}{BEGIN}\n{table}\n{END}{tail}").as_bytes())
    }
}
