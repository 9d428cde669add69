//! The human gene table: GENCODE's genes, with the names they had before.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::packages::{GENE_INFO, HUMAN_GENES, Packages, SCHEMA};
use super::sources::Report;

/// The columns of the table, in order.
const HEADER: &str = "ensembl_id\tsymbol\tprevious_symbols\taliases\tshared";

#[derive(Debug, Default)]
struct Gene {
    symbol: String,
    biotype: String,
    previous: BTreeSet<String>,
    aliases: BTreeSet<String>,
}

/// The table as text: one row a gene in the order of the ids. The column `shared` holds `1` where the symbol
/// alone does not mean this gene, because another one carries it with more right or none can be preferred.
/// Without an HGNC file the previous symbols and aliases of the table at `before` are kept.
pub fn build(packages: &Packages, hgnc: Option<&Path>, before: &Path, report: &mut Report) -> Result<String> {
    let mut genes = BTreeMap::new();
    let bytes = super::gunzip(packages.read(SCHEMA, HUMAN_GENES)?)?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes.as_slice());
    for record in reader.records() {
        let record = record?;
        let (Some(id), Some(symbol), Some(biotype)) = (record.get(0), record.get(1), record.get(4)) else {
            bail!("{HUMAN_GENES}: a row has fewer than 5 columns");
        };
        let gene = Gene { symbol: symbol.to_owned(), biotype: biotype.to_owned(), ..Gene::default() };
        genes.insert(id.to_owned(), gene);
    }
    report.gencode = gencode_release(&String::from_utf8(packages.read(SCHEMA, GENE_INFO)?)?);
    report.genes = genes.len();

    let named = match hgnc {
        Some(path) => from_hgnc(&mut genes, path, report)?,
        None => {
            super::keep(before, "--hgnc FILE (HGNC's complete set)")?;
            from_table(&mut genes, before)?
        }
    };
    let meant = meant_by_symbol(&genes, &named);

    let mut text = format!("{HEADER}\n");
    for (id, gene) in &genes {
        let shared = gene.symbol != *id && meant.get(gene.symbol.as_str()) != Some(&id.as_str());
        let join = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join("|");
        let shared = if shared { "1" } else { "" };
        text +=
            &format!("{id}\t{}\t{}\t{}\t{shared}\n", gene.symbol, join(&gene.previous), join(&gene.aliases));
    }
    Ok(text)
}

/// Which gene a symbol means: the only one that carries it; else the one HGNC gives it to; else the only
/// protein-coding one; else none.
fn meant_by_symbol<'a>(
    genes: &'a BTreeMap<String, Gene>,
    named: &BTreeSet<String>,
) -> HashMap<&'a str, &'a str> {
    let mut carriers: HashMap<&str, Vec<&str>> = HashMap::new();
    for (id, gene) in genes {
        carriers.entry(&gene.symbol).or_default().push(id);
    }
    let only = |ids: Vec<&'a str>| if let [id] = ids.as_slice() { Some(*id) } else { None };
    carriers
        .into_iter()
        .filter_map(|(symbol, ids)| {
            let by_hgnc = ids.iter().copied().filter(|id| named.contains(*id)).collect();
            let coding = |id: &&str| genes.get(*id).is_some_and(|gene| gene.biotype == "protein_coding");
            let by_type = ids.iter().copied().filter(coding).collect();
            only(ids).or_else(|| only(by_hgnc)).or_else(|| only(by_type)).map(|id| (symbol, id))
        })
        .collect()
}

/// Adds HGNC's previous symbols, aliases and retired ids; returns the ids that HGNC gives to their symbol.
fn from_hgnc(
    genes: &mut BTreeMap<String, Gene>,
    path: &Path,
    report: &mut Report,
) -> Result<BTreeSet<String>> {
    let bytes = super::read_maybe_gz(path)?;
    let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').flexible(true).from_reader(bytes.as_slice());
    let headers = reader.headers()?.clone();
    let column = |name: &str| {
        headers
            .iter()
            .position(|header| header == name)
            .with_context(|| format!("{}: no column {name}; is it HGNC's complete set?", path.display()))
    };
    let (symbol, status, id) = (column("symbol")?, column("status")?, column("ensembl_gene_id")?);
    let (alias, previous, modified) =
        (column("alias_symbol")?, column("prev_symbol")?, column("date_modified")?);

    let mut named = BTreeSet::new();
    let mut records = Vec::new();
    for record in reader.records() {
        let record = record?;
        if record.get(modified).unwrap_or("") > report.hgnc_date.as_str() {
            report.hgnc_date = record.get(modified).unwrap_or("").to_owned();
        }
        if record.get(status) == Some("Approved") {
            records.push(record);
        }
    }
    for record in &records {
        let (id, symbol) = (record.get(id).unwrap_or(""), record.get(symbol).unwrap_or(""));
        if genes.get(id).is_some_and(|gene| gene.symbol == symbol) {
            named.insert(id.to_owned());
        }
    }
    // A record whose id GENCODE has retired is the gene that bears its symbol today, if only one does.
    let today: HashMap<String, String> = meant_by_symbol(genes, &named)
        .into_iter()
        .map(|(symbol, id)| (symbol.to_owned(), id.to_owned()))
        .collect();
    for record in &records {
        let (old_id, symbol) = (record.get(id).unwrap_or(""), record.get(symbol).unwrap_or(""));
        let current =
            if genes.contains_key(old_id) { Some(old_id) } else { today.get(symbol).map(String::as_str) };
        let Some(gene) = current.and_then(|id| genes.get_mut(id)) else { continue };
        report.hgnc_genes += 1;
        let names = |column: usize| {
            let cell = record.get(column).unwrap_or("").to_owned();
            cell.split('|')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty() && !name.contains('\t'))
                .collect::<Vec<_>>()
        };
        gene.previous.extend(names(previous));
        gene.aliases.extend(names(alias));
        if gene.symbol != symbol {
            gene.previous.insert(symbol.to_owned());
        }
        if current != Some(old_id) && old_id.starts_with("ENSG") {
            gene.aliases.insert(old_id.to_owned());
        }
        let own = gene.symbol.clone();
        gene.previous.remove(&own);
        let known: Vec<String> = gene.previous.iter().cloned().chain([own]).collect();
        gene.aliases.retain(|name| !known.contains(name));
    }
    Ok(named)
}

/// Takes previous symbols and aliases over from the table built last time.
fn from_table(genes: &mut BTreeMap<String, Gene>, before: &Path) -> Result<BTreeSet<String>> {
    let text = String::from_utf8(super::read_maybe_gz(before)?)?;
    let mut named = BTreeSet::new();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let [id, symbol, previous, aliases, shared] = cells.as_slice() else {
            bail!("{}: a row does not have 5 columns", before.display());
        };
        let Some(gene) = genes.get_mut(*id) else { continue };
        let split = |cell: &str| -> Vec<String> {
            cell.split('|').filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        gene.previous.extend(split(previous));
        gene.aliases.extend(split(aliases));
        if gene.symbol == *symbol && shared.is_empty() {
            named.insert((*id).to_owned());
        }
    }
    Ok(named)
}

/// The `version` that stands in the `human` block.
fn gencode_release(yaml: &str) -> String {
    yaml.lines()
        .skip_while(|line| !line.starts_with("human:"))
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .find_map(|line| line.trim().strip_prefix("version:"))
        .map(|version| version.trim().to_owned())
        .unwrap_or_default()
}
