//! The Cell Ontology table and the gene-set table.

use std::io::Read;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::packages::{ONTOLOGY, Packages};
use super::sources::Report;

/// The Cell Ontology's facts as text: a line with the release, a line with the columns, one row a term in the
/// order of the ids. Definitions are left out: they are text, not facts.
pub fn ontology_table(packages: &Packages, release: &str, report: &mut Report) -> Result<String> {
    let member = format!("cellxgene_ontology_guide/data/CL-ontology-v{release}.json.zst");
    let bytes = packages.read(ONTOLOGY, &member)?;
    let mut json = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(bytes.as_slice())
        .map_err(|error| anyhow::anyhow!("{member}: {error}"))?
        .read_to_end(&mut json)?;
    let terms: Value = serde_json::from_slice(&json).with_context(|| member.clone())?;
    let terms = terms.as_object().with_context(|| format!("{member}: not an object of terms"))?;

    let mut rows: Vec<(&String, String)> = Vec::with_capacity(terms.len());
    for (id, term) in terms.iter().filter(|(id, _)| id.starts_with("CL:")) {
        let text = |key: &str| term.get(key).and_then(Value::as_str).unwrap_or("");
        let mut synonyms: Vec<&str> = term
            .get("synonyms")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        synonyms.sort_unstable();
        synonyms.dedup();
        let mut parents: Vec<&str> = term
            .get("ancestors")
            .and_then(Value::as_object)
            .map(|ancestors| {
                let near = ancestors.iter().filter(|(_, distance)| distance.as_u64() == Some(1));
                near.map(|(parent, _)| parent.as_str()).filter(|parent| parent.starts_with("CL:")).collect()
            })
            .unwrap_or_default();
        parents.sort_unstable();
        let label = text("label");
        let deprecated = term.get("deprecated").and_then(Value::as_bool).unwrap_or(false);
        report.terms += 1;
        report.retired_terms += usize::from(deprecated);
        report.is_a += parents.len();
        let cells = [
            id.as_str(),
            label,
            &synonyms.join("|"),
            &parents.join("|"),
            text("replaced_by"),
            if deprecated { "1" } else { "" },
        ];
        if synonyms.iter().any(|name| name.contains('|'))
            || cells.iter().any(|cell| cell.contains(['\t', '\n']))
        {
            bail!("{member}: {id} holds a separator in a name");
        }
        rows.push((id, cells.join("\t")));
    }
    rows.sort();
    let mut table = format!("#cell ontology\t{release}\n");
    table += "id\tlabel\tsynonyms\tis_a\treplaced_by\tdeprecated\n";
    for (_, row) in rows {
        table += &row;
        table.push('\n');
    }
    Ok(table)
}

/// Gene sets as text: `name \t gene gene …`, sets and genes in alphabetical order.
pub fn gene_set_table(gmt: &str) -> Result<String> {
    let mut rows = Vec::new();
    for (number, line) in gmt.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut cells = line.split('\t');
        let (Some(name), Some(_)) = (cells.next(), cells.next()) else {
            bail!("line {} of the GMT has fewer than two columns", number + 1);
        };
        let mut genes: Vec<&str> = cells.map(str::trim).filter(|gene| !gene.is_empty()).collect();
        genes.sort_unstable();
        genes.dedup();
        rows.push(format!("{name}\t{}\n", genes.join(" ")));
    }
    rows.sort();
    Ok(rows.concat())
}
