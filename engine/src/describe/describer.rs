//! A loaded model that describes the cells of a data set.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use super::claims::{Claim, ClaimKind, Description, OtherType};
use super::context::{Context, TaughtTexts};
use super::evidence::{Evidence, EvidenceReader, RankedCell, Signatures};
use super::parse::{read_description, read_name};
use super::template::Phrases;
use crate::anndata::{Scale, SparseRow};
use crate::error::Problem;
use crate::model::{
    Bundle, Cell2Text, Generated, GenerationSettings, Grammar, Guidance, Input, Leaning, SentencePrompter,
    TokenGrammar, Weighing, tempered,
};
use crate::nn::{ChosenDevice, DevicePreference, choose_device};
use crate::ontology::Ontology;
use crate::progress::Watch;
use crate::tokens::{RankEncoder, Readings, cell_sentence, sentence_columns};
use crate::{Error, Result};

/// A model on a device, with all that is needed to turn its text into claims.
#[derive(Debug)]
pub struct Describer {
    model: Cell2Text,
    bundle: Bundle,
    device: ChosenDevice,
    signatures: Signatures,
    ontology: &'static Ontology,
    phrases: &'static Phrases,
    taught: Option<TaughtTexts>,
}

/// What a describer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescriberReport {
    /// Name of the model.
    pub name: String,
    /// Short hash of its weights.
    pub id: String,
    /// Bytes of weights.
    pub bytes: u64,
    /// The device.
    pub device_name: String,
    /// Why that device.
    pub device_reason: String,
}

/// One data set's genes, brought to those of a model.
#[derive(Debug)]
pub struct CellReader {
    form: CellForm,
    evidence: EvidenceReader,
    scale: Scale,
    pub(super) context: Option<Context>,
}

/// How a cell's genes become tokens.
#[derive(Debug)]
enum CellForm {
    /// By rank, for an encoder. A cell is read as a whole where one of several readings would show the model fewer than
    /// `least` tokens.
    Ranks { encoder: RankEncoder, readings: Readings, least: usize },
    /// As a sentence of symbols, for the decoder itself.
    Sentence { prompter: Box<SentencePrompter>, symbols: Vec<String> },
}

/// Weights of a model that a core's own caches hold well enough for each core to work by itself.
const SMALL_MODEL_BYTES: u64 = 32 << 20;
/// Cells that a core describes together at least: fewer take nearly as long.
const LEAST_CELLS_OF_A_CORE: usize = 8;

/// Types beside the claimed one that are told at most, and the probability below which they are not.
const MOST_TOLD: usize = 3;
const LEAST_TOLD: f32 = 0.05;
/// Types that a cell votes for at most, and the probability below which it does not.
const MOST_WEIGHTS: usize = 12;
const LEAST_WEIGHT: f32 = 0.005;

/// One cell made ready.
struct ReadCell {
    cell: usize,
    /// The tokens of each reading.
    readings: Vec<Vec<u32>>,
    ranked: Vec<u32>,
    linear: SparseRow,
    n_genes_read: usize,
}

impl Describer {
    /// Loads the bundle in `folder`, or the built-in model, onto the device that `preference` chooses.
    ///
    /// # Errors
    /// What reading the bundle and opening the device give; [`Error::Cancelled`].
    pub fn load(folder: Option<&Path>, preference: DevicePreference, watch: &Watch) -> Result<Self> {
        let bundle = match folder {
            Some(folder) => Bundle::open(folder)?,
            None => Bundle::builtin()?,
        };
        let device = choose_device(preference)?;
        let model = Cell2Text::load(&bundle, &device.device, watch)?;
        let signatures = match &bundle.manifest.signatures {
            Some(name) => Signatures::read_tsv(&bundle.files.text(name)?)?,
            None => shipped_signatures()?,
        };
        let taught = match (&bundle.manifest.taught, &bundle.manifest.grammar) {
            (Some(taught), Some(grammar)) => {
                let slots: Vec<Vec<String>> = bundle.files.json(grammar)?;
                Some(TaughtTexts::new(bundle.files.json(taught)?, &slots, Ontology::builtin()?)?)
            }
            _ => None,
        };
        let (ontology, phrases) = (Ontology::builtin()?, Phrases::builtin()?);
        Ok(Self { model, bundle, device, signatures, ontology, phrases, taught })
    }

    /// What it is and where it runs.
    pub fn report(&self) -> DescriberReport {
        DescriberReport {
            name: self.bundle.manifest.name.clone(),
            id: self.bundle.id(),
            bytes: self.model.bytes,
            device_name: self.device.name.clone(),
            device_reason: self.device.reason.clone(),
        }
    }

    /// Names, hashes and versions for the provenance of an export.
    pub fn provenance(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.bundle.manifest.name,
            "id": self.bundle.id(),
            "licence": self.bundle.manifest.licence,
            "hashes": self.bundle.manifest.hashes,
            "prompt": self.bundle.manifest.prompt,
            "sentence": self.bundle.manifest.sentence,
            "device": self.device.name,
            "ontology": self.ontology.version(),
        })
    }

    /// Brings the columns of a data set to this model's genes. `symbols` are the names shown as evidence.
    ///
    /// # Errors
    /// [`Error::Genes`] or [`Error::Pathways`] when a shipped table is damaged.
    pub fn bind(&self, ensembl_ids: &[Option<&str>], symbols: &[String], scale: Scale) -> Result<CellReader> {
        Ok(CellReader {
            form: match &self.model.input {
                Input::Vectors(input) => CellForm::Ranks {
                    encoder: RankEncoder::new(
                        &input.genes,
                        input.entry.kind,
                        input.entry.max_len,
                        ensembl_ids,
                    ),
                    readings: input.entry.readings,
                    least: input.prompter.prompt.top_k,
                },
                Input::Sentence(prompter) => {
                    CellForm::Sentence { prompter: prompter.clone(), symbols: symbols.to_vec() }
                }
            },
            evidence: EvidenceReader::new(ensembl_ids, symbols)?,
            scale,
            context: None,
        })
    }

    /// Describes one cell; `on_text` gets the text as it is written.
    ///
    /// # Errors
    /// [`Error::Request`] when the cell shows no gene that the model knows; [`Error::Cancelled`]; what the device gives.
    pub fn describe(
        &self,
        reader: &CellReader,
        cell: usize,
        row: &SparseRow,
        settings: &GenerationSettings,
        watch: &Watch,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Description> {
        let started = Instant::now();
        let read = reader.read(cell, row)?;
        let context = reader.context_for(settings);
        let texts = self.model.generate(
            &[&read.readings],
            &[cell as u64],
            self.guidance(context.map(|context| &context.leaning)),
            settings,
            watch,
            &mut |piece| on_text(&piece.text),
        )?;
        let text = texts.into_iter().next().unwrap_or_default();
        Ok(self.conclude(reader, &read, text, context, started.elapsed().as_secs_f32()))
    }

    /// Texts that lean as told, their types and pathways weighed against each other where the model says which it can name.
    fn guidance<'a>(&'a self, leaning: Option<&'a Leaning>) -> Guidance<'a> {
        let Some(taught) = &self.taught else { return Guidance { leaning, ..Guidance::default() } };
        let weighing = Weighing {
            slot: taught.cell_type_slot(),
            families: taught.families(),
            temperature: self.temperature_of(ClaimKind::CellType),
        };
        Guidance { leaning, weighed: Some(weighing), settled: taught.pathway_slots() }
    }

    /// What the scores of claims of `kind` are divided by.
    fn temperature_of(&self, kind: ClaimKind) -> f64 {
        self.bundle.manifest.temperatures.get(kind.name()).copied().unwrap_or(1.0)
    }

    /// Cells to describe at once at most: no more than keys and values of a gigabyte come to.
    pub fn cells_at_once(&self) -> usize {
        const CACHE_BUDGET_BYTES: u64 = 1 << 30;
        const MOST_AT_ONCE: u64 = 32;
        let one = self.bundle.manifest.cache_bytes(&self.model.decoder_config).max(1);
        (CACHE_BUDGET_BYTES / one).clamp(1, MOST_AT_ONCE) as usize
    }

    /// Describes many cells at once: the same descriptions as one by one, in less time.
    ///
    /// # Errors
    /// As [`Describer::describe`], for the first cell that has no known gene.
    pub fn describe_batch(
        &self,
        reader: &CellReader,
        cells: &[(usize, SparseRow)],
        settings: &GenerationSettings,
        watch: &Watch,
    ) -> Result<Vec<Description>> {
        let context = reader.context_for(settings);
        let guidance = self.guidance(context.map(|context| &context.leaning));
        self.describe_batch_in(reader, cells, context, guidance, settings, watch)
    }

    /// [`Describer::describe_batch`] with what is known of the cells beside their genes: what other cells of the data set
    /// say, and what guides the texts.
    pub(super) fn describe_batch_in(
        &self,
        reader: &CellReader,
        cells: &[(usize, SparseRow)],
        context: Option<&Context>,
        guidance: Guidance<'_>,
        settings: &GenerationSettings,
        watch: &Watch,
    ) -> Result<Vec<Description>> {
        let started = Instant::now();
        let read = cells.iter().map(|(cell, row)| reader.read(*cell, row)).collect::<Result<Vec<_>>>()?;
        let readings: Vec<&[Vec<u32>]> = read.iter().map(|r| r.readings.as_slice()).collect();
        let streams: Vec<u64> = read.iter().map(|r| r.cell as u64).collect();
        let texts = self.generate_batch(&readings, &streams, guidance, settings, watch)?;
        let share = started.elapsed().as_secs_f32() / cells.len().max(1) as f32;
        Ok(read
            .iter()
            .zip(texts)
            .map(|(read, text)| self.conclude(reader, read, text, context, share))
            .collect())
    }

    /// The texts of many cells. On the CPU each core writes some of them by itself where the model is a small one: handing each
    /// product to all cores takes as long as such a product.
    fn generate_batch(
        &self,
        cells: &[&[Vec<u32>]],
        streams: &[u64],
        guidance: Guidance<'_>,
        settings: &GenerationSettings,
        watch: &Watch,
    ) -> Result<Vec<Generated>> {
        let generate = |cells: &[&[Vec<u32>]], streams: &[u64]| {
            self.model.generate(cells, streams, guidance, settings, watch, &mut |_| {})
        };
        let is_small = self.device.is_cpu() && self.model.bytes <= SMALL_MODEL_BYTES;
        let cores = rayon::current_num_threads().min(cells.len() / LEAST_CELLS_OF_A_CORE);
        if !is_small || cores < 2 {
            return generate(cells, streams);
        }
        let share = cells.len().div_ceil(cores);
        let texts = std::thread::scope(|scope| {
            let writing: Vec<_> = cells
                .chunks(share)
                .zip(streams.chunks(share))
                .map(|(cells, streams)| scope.spawn(move || by_itself(|| generate(cells, streams))))
                .collect();
            let written = writing
                .into_iter()
                .map(|one| one.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload)));
            written.collect::<Result<Vec<_>>>()
        })?;
        Ok(texts.concat())
    }

    /// The written texts of `cells` as they are, with the scores of their words.
    pub(super) fn write(
        &self,
        reader: &CellReader,
        cells: &[(usize, SparseRow)],
        watch: &Watch,
    ) -> Result<Vec<Generated>> {
        let read = cells.iter().map(|(cell, row)| reader.read(*cell, row)).collect::<Result<Vec<_>>>()?;
        let readings: Vec<&[Vec<u32>]> = read.iter().map(|r| r.readings.as_slice()).collect();
        let streams: Vec<u64> = read.iter().map(|r| r.cell as u64).collect();
        let settings = GenerationSettings::default();
        self.model.generate(&readings, &streams, self.guidance(None), &settings, watch, &mut |_| {})
    }

    /// What the model was taught, where its bundle says so.
    pub(super) fn taught(&self) -> Option<&TaughtTexts> {
        self.taught.as_ref()
    }

    /// The texts that it may write, where its bundle lists them.
    pub(super) fn grammar(&self) -> Option<&Grammar> {
        self.model.grammar.as_ref().map(TokenGrammar::grammar)
    }

    /// Genes that set the cell types apart that this model knows.
    pub fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    /// One vector a cell, from the state of the encoder that the adapter reads: the first token's, where the encoding
    /// has one for the whole cell, followed by the mean over its genes (Geneformer's `cls` and `cell` embeddings).
    ///
    /// # Errors
    /// As [`Describer::describe_batch`].
    pub fn embed_batch(
        &self,
        reader: &CellReader,
        cells: &[(usize, SparseRow)],
        watch: &Watch,
    ) -> Result<Vec<Vec<f32>>> {
        let wholes = cells.iter().map(|(cell, row)| reader.whole(*cell, row)).collect::<Result<Vec<_>>>()?;
        let wholes: Vec<&[u32]> = wholes.iter().map(Vec::as_slice).collect();
        self.model.cell_vectors(&wholes, watch)
    }

    fn conclude(
        &self,
        reader: &CellReader,
        read: &ReadCell,
        text: Generated,
        context: Option<&Context>,
        duration_secs: f32,
    ) -> Description {
        let reading = match &reader.form {
            CellForm::Ranks { .. } => read_description(&text.text, self.ontology, self.phrases),
            CellForm::Sentence { .. } => read_name(&text.text, self.ontology),
        };
        let cell = RankedCell { columns: &read.ranked, row: &read.linear };
        let weights = text.weights_at(self.temperature_of(ClaimKind::CellType));
        let mut settled = text.settled.values();
        let claims = reading
            .statements
            .into_iter()
            .map(|s| {
                let Evidence { genes, supported } = match (s.kind, s.term.as_deref()) {
                    (ClaimKind::CellType, Some(id)) => match self.signatures.genes(id) {
                        Some(signature) => reader.evidence.for_type(signature, &cell),
                        None => Evidence { genes: Vec::new(), supported: None },
                    },
                    (ClaimKind::Pathway, Some(set)) => reader.evidence.for_pathway(set, &cell),
                    // A type or pathway that nobody knows has nothing to stand on.
                    (ClaimKind::CellType | ClaimKind::Pathway, None) => {
                        Evidence { genes: Vec::new(), supported: Some(false) }
                    }
                    _ => Evidence { genes: Vec::new(), supported: None },
                };
                let temperature = self.temperature_of(s.kind);
                let weighed = match s.kind {
                    ClaimKind::CellType => weights.first().copied(),
                    ClaimKind::Pathway => {
                        settled.next().and_then(|of| tempered(of, temperature).first().copied())
                    }
                    _ => None,
                };
                let probability = match weighed {
                    Some((_, probability)) => probability,
                    None if text.choices.is_empty() => text.probability(&s.span),
                    None => text.probability_among_known(&s.decision, temperature),
                };
                Claim {
                    kind: s.kind,
                    value: text.text[s.span.clone()].to_owned(),
                    term: s.term,
                    probability,
                    span: s.span,
                    evidence: genes,
                    supported,
                }
            })
            .collect();
        Description {
            cell: read.cell,
            claims,
            well_formed: reading.well_formed && text.ended,
            n_tokens: text.tokens.len(),
            text: text.text,
            n_genes_read: read.n_genes_read,
            n_context_cells: context.map_or(0, |context| context.n_cells),
            duration_secs,
            around: None,
            other_types: self.other_types(weights.get(1..).unwrap_or_default()),
            type_weights: weights
                .into_iter()
                .take(MOST_WEIGHTS)
                .filter(|(_, probability)| *probability >= LEAST_WEIGHT)
                .filter_map(|(place, probability)| Some((u16::try_from(place).ok()?, probability)))
                .collect(),
        }
    }

    /// Those of `others`, the likeliest first, that are likely enough to be told.
    pub(super) fn other_types(&self, others: &[(usize, f32)]) -> Vec<OtherType> {
        let told = others.iter().take_while(|(_, p)| *p >= LEAST_TOLD).take(MOST_TOLD);
        told.filter_map(|&(place, probability)| {
            let named = self.taught.as_ref()?.cell_type(place)?;
            Some(OtherType { name: named.name.clone(), term: named.term.clone(), probability })
        })
        .collect()
    }
}

/// Does `work` without handing any of it to other threads.
fn by_itself<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(alone) => alone.install(work),
        // No thread to be had: those that are there do.
        Err(_) => work(),
    }
}

/// The genes of cell types that ship with the built-in model: they tell of cells, whichever model reads these, and serve
/// as evidence for one that brings none of its own.
fn shipped_signatures() -> Result<Signatures> {
    let builtin = Bundle::builtin()?;
    match &builtin.manifest.signatures {
        Some(name) => Signatures::read_tsv(&builtin.files.text(name)?),
        None => Ok(Signatures::default()),
    }
}

impl CellReader {
    /// What the rest of the data set says, where it was looked over.
    pub fn context(&self) -> Option<&Context> {
        self.context.as_ref()
    }

    pub(super) fn context_for(&self, settings: &GenerationSettings) -> Option<&Context> {
        self.context.as_ref().filter(|_| !settings.alone)
    }

    /// What the values of the data set are.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// Columns whose gene the model knows.
    pub fn known_columns(&self) -> usize {
        match &self.form {
            CellForm::Ranks { encoder, .. } => encoder.known_columns(),
            CellForm::Sentence { symbols, .. } => symbols.iter().filter(|s| !s.trim().is_empty()).count(),
        }
    }

    /// Whether the model can read the cell: it shows at least one gene that the model knows.
    pub fn can_read(&self, row: &SparseRow) -> bool {
        !self.ranked_columns(&row.linearise(self.scale)).is_empty()
    }

    /// Columns whose gene the model knows and the cell shows, in the order in which the model reads them.
    fn ranked_columns(&self, linear: &SparseRow) -> Vec<u32> {
        match &self.form {
            CellForm::Ranks { encoder, .. } => encoder.ranked_columns(linear),
            CellForm::Sentence { symbols, .. } => sentence_columns(linear, symbols),
        }
    }

    /// The values of a cell, and its genes in the order in which the model reads them.
    fn ranked(&self, cell: usize, row: &SparseRow) -> Result<(SparseRow, Vec<u32>)> {
        let linear = row.linearise(self.scale);
        let ranked = self.ranked_columns(&linear);
        if ranked.is_empty() {
            return Err(Error::request(Problem::new(
                format!("cell {cell}"),
                "no gene above zero that the model knows",
                "at least one",
                "Choose another cell, or another matrix if this one is not the counts.",
            )));
        }
        Ok((linear, ranked))
    }

    fn read(&self, cell: usize, row: &SparseRow) -> Result<ReadCell> {
        let (linear, ranked) = self.ranked(cell, row)?;
        let (readings, n_genes_read) = match &self.form {
            CellForm::Ranks { encoder, readings, least } => {
                let readings = encoder.readings(&linear, *readings, *least);
                let read: HashSet<u32> = readings.iter().flatten().copied().collect();
                let n = ranked.len().min(read.len());
                (readings, n)
            }
            CellForm::Sentence { prompter, symbols } => {
                let n = ranked.len().min(prompter.entry.genes);
                (vec![prompter.tokens(&cell_sentence(&linear, symbols, n), n)?], n)
            }
        };
        Ok(ReadCell { cell, readings, ranked, linear, n_genes_read })
    }

    /// The tokens of a cell that is read as a whole.
    fn whole(&self, cell: usize, row: &SparseRow) -> Result<Vec<u32>> {
        match &self.form {
            CellForm::Ranks { encoder, .. } => Ok(encoder.encode(&self.ranked(cell, row)?.0, None)),
            CellForm::Sentence { .. } => Ok(self.read(cell, row)?.readings.concat()),
        }
    }
}
