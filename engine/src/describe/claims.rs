//! A description taken apart: what it claims, where in the text, and on what evidence.

use std::ops::Range;

use serde::Serialize;

use super::surroundings::Surroundings;

/// What a claim is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimKind {
    /// The cell's type.
    CellType,
    /// The definition of that type, as the model words it.
    Definition,
    /// The tissue it comes from.
    Tissue,
    /// The donor's disease, or none.
    Disease,
    /// The donor's stage of life.
    Stage,
    /// An active pathway.
    Pathway,
}

impl ClaimKind {
    /// Its name in tables and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::CellType => "cell_type",
            Self::Definition => "definition",
            Self::Tissue => "tissue",
            Self::Disease => "disease",
            Self::Stage => "stage",
            Self::Pathway => "pathway",
        }
    }
}

/// A gene that speaks for a claim.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvidenceGene {
    /// The symbol.
    pub symbol: String,
    /// Its place in the cell's rank value encoding, 1 = highest.
    pub rank: usize,
}

/// One claim of a description.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claim {
    /// What it is about.
    pub kind: ClaimKind,
    /// The value claimed, as "monocyte".
    pub value: String,
    /// Its ontology term or gene-set name, where one was recognised.
    pub term: Option<String>,
    /// The bytes of [`Description::text`] that say it.
    pub span: Range<usize>,
    /// The model's probability of this claim given the cell and the words before, 0 to 1: among all claims that could
    /// stand there, and calibrated where the model's bundle says how, or else that of the words.
    pub probability: f32,
    /// Genes of this cell that speak for it; only cell types and pathways have any.
    pub evidence: Vec<EvidenceGene>,
    /// Whether the cell's own genes support it. `None` where the data cannot tell (tissue, disease, stage).
    pub supported: Option<bool>,
}

/// A generated description and what was made of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// Row of obs.
    pub cell: usize,
    /// The whole text.
    pub text: String,
    /// Its claims, in the order of the text.
    pub claims: Vec<Claim>,
    /// Whether every clause of the template was there and the cell type is a known term.
    pub well_formed: bool,
    /// Tokens generated.
    pub n_tokens: usize,
    /// Genes that the model read.
    pub n_genes_read: usize,
    /// Cells all over the data set whose own claims told where its cells come from, before this cell's tissue was judged;
    /// 0 where the cell was judged by itself.
    pub n_context_cells: usize,
    /// Wall time of encoding and generating, in seconds (shared out evenly over a batch).
    pub duration_secs: f32,
    /// What the cells around it said of its type, where they were asked.
    pub around: Option<Surroundings>,
    /// The types that it may be by its own genes, as places among those that the model can name, each with its
    /// probability: the likeliest first, and no more than matter. Cells vote with these.
    #[serde(skip)]
    pub type_weights: Vec<(u16, f32)>,
    /// The likeliest types beside the one that it claims, the likeliest first.
    pub other_types: Vec<OtherType>,
}

/// A type that a cell may be, beside the one that it claims.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OtherType {
    /// Its name.
    pub name: String,
    /// Its ontology term, where the ontology knows it.
    pub term: Option<String>,
    /// Its probability, 0 to 1, on the same scale as that of the claim.
    pub probability: f32,
}

impl Description {
    /// The claim of `kind`, where there is one; the first of several pathways.
    pub fn claim(&self, kind: ClaimKind) -> Option<&Claim> {
        self.claims.iter().find(|c| c.kind == kind)
    }
}
