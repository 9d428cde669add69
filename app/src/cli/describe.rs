//! `cell2text describe`: a few cells, read as they are written.

use std::sync::Arc;

use clap::Args;
use engine::describe::{Claim, ClaimKind, Description, GenerationSettings, OtherType};
use engine::session::{Dataset, ModelReport};
use serde_json::json;

use super::client::Client;
use super::failure::Failure;
use super::input::{EngineArgs, GenerationArgs, InputArgs, at_least_one, cells};
use super::output::{Output, tell_findings};

/// Describes cells one by one; the text appears as it is generated
#[derive(Debug, Clone, Args)]
pub struct DescribeArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Name of a cell; may be given several times
    #[arg(long = "cell", value_name = "NAME", required_unless_present = "random")]
    cells: Vec<String>,
    /// Draw this many cells at random
    #[arg(long, value_name = "N", conflicts_with = "cells", value_parser = at_least_one)]
    random: Option<usize>,
    /// Print one JSON object a line for each cell
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    generation: GenerationArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

impl DescribeArgs {
    /// Describes the cells asked for.
    ///
    /// # Errors
    /// What opening or describing fails with.
    pub fn run(&self) -> Result<(), Failure> {
        let client = Client::new(&self.engine)?;
        let dataset = client.open(&self.input)?;
        let cells = cells(&dataset, &self.cells, self.random, None, self.generation.seed)?;
        tell_findings(&dataset.findings);
        let settings = GenerationSettings::from(&self.generation);
        let mut out = Output::new();
        for cell in cells {
            if self.json {
                let description = client.describe(cell, &settings, |_| Ok(()))?;
                let model = client.model().map(|model| json!({ "name": model.name, "id": model.id }));
                out.json(&json!({
                    "name": name(&dataset, cell),
                    "description": &*description,
                    "model": model,
                    "settings": settings,
                }))?;
            } else {
                stream(&client, &dataset, cell, &settings, &mut out)?;
            }
        }
        Ok(())
    }
}

fn name(dataset: &Dataset, cell: usize) -> &str {
    dataset.obs.index.get(cell).map_or("", String::as_str)
}

/// Describes one cell on the screen: its name, the text as it comes, what is claimed on what evidence.
pub(super) fn stream(
    client: &Client,
    dataset: &Dataset,
    cell: usize,
    settings: &GenerationSettings,
    out: &mut Output,
) -> Result<Arc<Description>, Failure> {
    // The name comes with the first word, so that a failure before it leaves no half result.
    let mut title = Some(name(dataset, cell));
    let description = client.describe(cell, settings, |text| {
        if let Some(title) = title.take() {
            out.line(title)?;
        }
        out.piece(text)
    })?;
    out.line(title.unwrap_or_default())?;
    for claim in &description.claims {
        out.line(format_args!("  {}", claim_line(claim)))?;
        if let Some(line) =
            others_line(&description.other_types).filter(|_| claim.kind == ClaimKind::CellType)
        {
            out.line(format_args!("  {line}"))?;
        }
    }
    out.line(format_args!("  {}", summary(&description, client.model().as_ref())))?;
    out.line("")?;
    Ok(description)
}

/// A claim in one line, as `cell type  monocyte (CL:0000576)  0.93  on LYZ (1), S100A9 (2)`.
fn claim_line(claim: &Claim) -> String {
    let what = match claim.kind {
        ClaimKind::CellType => "cell type",
        ClaimKind::Definition => "definition",
        ClaimKind::Tissue => "tissue",
        ClaimKind::Disease => "disease",
        ClaimKind::Stage => "stage",
        ClaimKind::Pathway => "pathway",
    };
    let mut line = format!("{what:10}  {}", claim.value);
    if let Some(term) = &claim.term {
        line += &format!(" ({term})");
    }
    line += &format!("  {:.2}", claim.probability);
    if !claim.evidence.is_empty() {
        let genes = claim.evidence.iter().map(|gene| format!("{} ({})", gene.symbol, gene.rank));
        line += &format!("  on {}", genes.collect::<Vec<_>>().join(", "));
    }
    if claim.supported == Some(false) {
        line += "  not supported by this cell's genes";
    }
    line
}

/// What else the cell may be, as `or          naive B cell  0.21, plasmablast  0.08`.
fn others_line(others: &[OtherType]) -> Option<String> {
    let others: Vec<String> =
        others.iter().map(|other| format!("{}  {:.2}", other.name, other.probability)).collect();
    (!others.is_empty()).then(|| format!("{:10}  {}", "or", others.join(", ")))
}

fn summary(description: &Description, model: Option<&ModelReport>) -> String {
    let mut line = format!(
        "{} tokens from {} genes in {:.1} s",
        description.n_tokens, description.n_genes_read, description.duration_secs
    );
    if let Some(model) = model {
        line += &format!(", {} {} on {}", model.name, model.id, model.device.name);
    }
    if !description.well_formed {
        line += "; not well formed";
    }
    line
}

#[cfg(test)]
mod tests {
    use engine::describe::EvidenceGene;

    use super::*;

    #[test]
    fn a_claim_is_shown_with_its_evidence_and_its_lack_of_support() {
        let mut claim = Claim {
            kind: ClaimKind::CellType,
            value: "monocyte".to_owned(),
            term: Some("CL:0000576".to_owned()),
            span: 0..8,
            probability: 0.934,
            evidence: vec![EvidenceGene { symbol: "LYZ".to_owned(), rank: 1 }],
            supported: Some(true),
        };
        assert_eq!(claim_line(&claim), "cell type   monocyte (CL:0000576)  0.93  on LYZ (1)");
        claim.evidence.clear();
        claim.term = None;
        claim.supported = Some(false);
        assert_eq!(claim_line(&claim), "cell type   monocyte  0.93  not supported by this cell's genes");
    }

    #[test]
    fn other_types_stand_in_one_line_and_only_where_there_are_any() {
        assert_eq!(others_line(&[]), None);
        let other = |name: &str, probability| OtherType { name: name.to_owned(), term: None, probability };
        let line = others_line(&[other("naive B cell", 0.214), other("plasmablast", 0.08)]).unwrap();
        assert_eq!(line, "or          naive B cell  0.21, plasmablast  0.08");
    }
}
