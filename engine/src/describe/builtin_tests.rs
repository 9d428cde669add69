//! What the built-in model must do, whatever it was trained on last.

use super::*;
use crate::anndata::{AnnData, MatrixKey, SparseRow};
use crate::genes::GeneTable;
use crate::model::Bundle;
use crate::nn::DevicePreference;
use crate::ontology::{Ontology, PageRankSimilarity};
use crate::progress::{Cancel, Watch};
use crate::test_support::shared_file;

/// A file's cells, ready to be described.
struct Cells {
    file: AnnData,
    key: MatrixKey,
    reader: CellReader,
}

impl Cells {
    fn open(describer: &Describer, path: &std::path::Path) -> Self {
        let file = AnnData::open(path, &Watch::silent()).unwrap();
        let choice = file.choose_matrix().unwrap();
        let var = file.var(&choice.key);
        let table = GeneTable::builtin().unwrap();
        let resolved = file.resolve_genes(table, &choice.key);
        let ids: Vec<Option<&str>> =
            resolved.ids.iter().map(|id| id.map(|id| table.ensembl_id(id))).collect();
        let reader = describer.bind(&ids, &var.index, choice.scale).unwrap();
        Self { key: choice.key, reader, file }
    }

    fn row(&self, cell: usize) -> SparseRow {
        self.file.matrix(&self.key).unwrap().row(cell).unwrap()
    }
}

fn describer() -> Describer {
    Describer::load(None, DevicePreference::Cpu, &Watch::silent()).unwrap()
}

fn sample(describer: &Describer) -> Cells {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.h5ad");
    std::fs::write(&path, crate::assets::SAMPLE_H5AD).unwrap();
    Cells::open(describer, &path)
}

fn describe(describer: &Describer, cells: &Cells, cell: usize, row: &SparseRow) -> (Description, String) {
    let mut streamed = String::new();
    let settings = GenerationSettings::default();
    let description = describer
        .describe(&cells.reader, cell, row, &settings, &Watch::silent(), &mut |piece| {
            streamed.push_str(piece);
        })
        .unwrap();
    (description, streamed)
}

#[test]
fn the_built_in_model_is_whole_and_within_its_size() {
    let bundle = Bundle::builtin().unwrap();
    bundle.verify().unwrap();
    let bytes: usize = crate::assets::BUILTIN_MODEL.iter().map(|(_, b)| b.len()).sum();
    assert!(bytes <= 16 << 20, "{bytes} bytes");
}

#[test]
fn what_is_streamed_is_the_whole_text_to_its_last_token() {
    let describer = describer();
    let cells = sample(&describer);
    let (description, streamed) = describe(&describer, &cells, 0, &cells.row(0));
    assert_eq!(streamed, description.text);
    assert!(description.text.ends_with('.'), "{}", description.text);
}

#[test]
fn a_limit_on_tokens_cuts_the_text_and_loses_none_before_it() {
    let describer = describer();
    let cells = sample(&describer);
    let whole = describe(&describer, &cells, 3, &cells.row(3)).0;
    let settings = GenerationSettings { max_new_tokens: 7, ..GenerationSettings::default() };
    let mut streamed = String::new();
    let cut = describer
        .describe(&cells.reader, 3, &cells.row(3), &settings, &Watch::silent(), &mut |p| streamed.push_str(p))
        .unwrap();
    assert_eq!(cut.n_tokens, 7);
    assert_eq!(streamed, cut.text);
    assert!(whole.text.starts_with(&cut.text) && !cut.well_formed);
}

#[test]
fn nothing_of_one_cell_leaks_into_the_next() {
    let describer = describer();
    let cells = sample(&describer);
    let alone = describe(&describer, &cells, 10, &cells.row(10)).0;
    let other = describe(&describer, &cells, 400, &cells.row(400)).0;
    let again = describe(&describer, &cells, 10, &cells.row(10)).0;
    assert_eq!((alone.text, alone.claims), (again.text, again.claims));
    assert_eq!(other.cell, 400);
}

#[test]
fn a_batch_says_of_each_cell_what_it_says_of_it_alone() {
    let describer = describer();
    let cells = sample(&describer);
    // As many as several cores share among them.
    let rows: Vec<(usize, SparseRow)> = (0..700).step_by(17).map(|c| (c, cells.row(c))).collect();
    let batch = describer
        .describe_batch(&cells.reader, &rows, &GenerationSettings::default(), &Watch::silent())
        .unwrap();
    for ((cell, row), together) in rows.iter().zip(batch) {
        let alone = describe(&describer, &cells, *cell, row).0;
        assert_eq!((alone.cell, &alone.text), (*cell, &together.text));
        let surety = |d: &Description| d.claims.iter().map(|claim| claim.probability).collect::<Vec<_>>();
        let (alone, together) = (surety(&alone), surety(&together));
        assert!(alone.iter().zip(&together).all(|(a, b)| (a - b).abs() < 1e-4), "{alone:?} {together:?}");
    }
}

#[test]
fn two_pathways_are_told_of_each_cell_and_how_likely_each_is() {
    let describer = describer();
    let cells = sample(&describer);
    let rows: Vec<(usize, SparseRow)> = (0..700).step_by(50).map(|c| (c, cells.row(c))).collect();
    let settings = GenerationSettings::default();
    for description in describer.describe_batch(&cells.reader, &rows, &settings, &Watch::silent()).unwrap() {
        let told: Vec<&Claim> = description.claims.iter().filter(|c| c.kind == ClaimKind::Pathway).collect();
        let [first, second] = told[..] else { panic!("{}", description.text) };
        assert_ne!(first.term, second.term, "{}", description.text);
        // Of 34, and the second is one of those that are left.
        assert!(first.probability > 1.0 / 34.0 && second.probability > 1.0 / 34.0, "{told:?}");
        assert!(first.probability < 1.0 && second.probability < 1.0, "{told:?}");
    }
}

#[test]
fn cells_described_together_take_the_type_that_most_of_those_around_them_claim() {
    let describer = describer();
    let cells = sample(&describer);
    let matrix = cells.file.matrix(&cells.key).unwrap();
    let (settings, watch) = (GenerationSettings::default(), Watch::silent());
    let numbers: Vec<usize> = (0..matrix.n_rows()).step_by(5).collect();
    let rows = matrix.rows_at(&numbers, &watch).unwrap();
    let alone = describer.describe_batch(&cells.reader, &rows, &settings, &watch).unwrap();
    let alone: Vec<_> = alone.into_iter().map(std::sync::Arc::new).collect();
    let mut told = Vec::new();
    let mut keep = |descriptions: Vec<_>| {
        told.extend(descriptions);
        Ok(())
    };
    describer.describe_together(&cells.reader, &matrix, &alone, &settings, &watch, &mut keep).unwrap();
    assert_eq!(told.len(), alone.len());
    let mut changed = 0;
    for now in &told {
        let before = alone.iter().find(|before| before.cell == now.cell).unwrap();
        let value = |d: &Description| d.claim(ClaimKind::CellType).unwrap().value.clone();
        let around = now.around.as_ref().unwrap();
        assert_eq!(around.cells, numbers.len() / 20);
        assert!(
            around.agreeing_of_cluster <= around.cells_of_cluster && around.cells_of_cluster < alone.len()
        );
        assert_eq!(around.alone_probability, before.claim(ClaimKind::CellType).unwrap().probability);
        match &around.alone {
            Some(alone) => {
                assert_eq!(*alone, value(before));
                assert_ne!(value(now), value(before));
                assert!(now.well_formed && around.agreeing_of_cluster > 0, "{}", now.text);
                changed += 1;
            }
            None => assert_eq!(now.text, before.text),
        }
    }
    assert!(changed > 0 && changed < told.len(), "{changed} of {}", told.len());
    // Too few cells have nothing to say to each other.
    describer
        .describe_together(&cells.reader, &matrix, &alone[..40], &settings, &watch, &mut |_| panic!("told"))
        .unwrap();
}

#[test]
fn shuffled_genes_change_what_the_model_says() {
    let describer = describer();
    let cells = sample(&describer);
    let n_columns = cells.file.matrix(&cells.key).unwrap().n_cols() as u32;
    let numbers = [5usize, 120, 240, 360, 480, 600];
    let changed = numbers.iter().filter(|&&cell| {
        let row = cells.row(cell);
        // A fixed step through the columns that meets every one of them once.
        let mut moved: Vec<(u32, f32)> = row.iter().map(|(c, v)| ((c * 331 + 17) % n_columns, v)).collect();
        moved.sort_by_key(|(c, _)| *c);
        let (columns, values) = moved.into_iter().unzip();
        let shuffled = SparseRow { columns, values };
        describe(&describer, &cells, cell, &row).0.text
            != describe(&describer, &cells, cell, &shuffled).0.text
    });
    // Among 765 genes a shuffled cell may chance to read like another of its kind.
    let changed = changed.count();
    assert!(changed + 1 >= numbers.len(), "{changed} of {}", numbers.len());
}

#[test]
fn a_stop_ends_a_description_at_the_next_token() {
    let describer = describer();
    let cells = sample(&describer);
    let cancel = Cancel::new();
    let watch = Watch::new(cancel.clone(), |_| {});
    let mut pieces = 0;
    let result = describer.describe(
        &cells.reader,
        0,
        &cells.row(0),
        &GenerationSettings::default(),
        &watch,
        &mut |_| {
            pieces += 1;
            if pieces == 3 {
                cancel.cancel();
            }
        },
    );
    assert!(result.unwrap_err().is_cancelled());
    assert_eq!(pieces, 3);
}

#[test]
fn a_cell_without_a_known_gene_is_refused_with_a_remedy() {
    let describer = describer();
    let cells = sample(&describer);
    let settings = GenerationSettings::default();
    let empty = SparseRow::default();
    let error = describer
        .describe(&cells.reader, 9, &empty, &settings, &Watch::silent(), &mut |_| {})
        .unwrap_err()
        .to_string();
    assert!(error.contains("cell 9") && error.contains("Choose another cell"), "{error}");
}

/// What the model says of the cells of one labelled study, against their labels.
#[derive(Default)]
struct Figures {
    cells: usize,
    well_formed: f64,
    exact: f64,
    below: f64,
    similarity: f64,
    tissue: f64,
    supported: f64,
    /// Expected calibration error of the type's probability, ten bins, "right" being exact.
    calibration_error: f64,
}

impl Figures {
    /// Of at most `most` cells, evenly through the file; cells labelled with a type in `vague` do not count.
    fn of(describer: &Describer, path: &std::path::Path, tissue: &str, vague: &[&str], most: usize) -> Self {
        let cells = Cells::open(describer, path);
        let truth = cells.file.obs().column("cell_type_ontology_term_id").unwrap();
        let (ontology, similarity) = (Ontology::builtin().unwrap(), PageRankSimilarity::builtin().unwrap());
        let labelled: Vec<usize> = (0..cells.file.n_obs())
            .filter(|&c| {
                truth.text(c).is_some_and(|t| ontology.term(&t).is_some() && !vague.contains(&t.as_str()))
            })
            .collect();
        let step = labelled.len().div_ceil(most).max(1);
        let numbers: Vec<usize> = labelled.into_iter().step_by(step).collect();
        let mut figures = Self { cells: numbers.len(), ..Self::default() };
        let one = 1.0 / numbers.len() as f64;
        let mut bins = [(0.0, 0.0); 10];
        for chunk in numbers.chunks(64) {
            let rows: Vec<(usize, SparseRow)> = chunk.iter().map(|&c| (c, cells.row(c))).collect();
            let settings = GenerationSettings::default();
            for d in describer.describe_batch(&cells.reader, &rows, &settings, &Watch::silent()).unwrap() {
                let target = truth.text(d.cell).unwrap();
                let share = |holds: bool| if holds { one } else { 0.0 };
                figures.well_formed += share(d.well_formed);
                let Some(claim) = d.claim(ClaimKind::CellType) else { continue };
                figures.supported += share(claim.supported == Some(true));
                let exact = claim.term.as_deref() == Some(target.as_str());
                if let Some(term) = claim.term.as_deref() {
                    figures.exact += share(exact);
                    figures.below += share(ontology.is_a(term, &target));
                    figures.similarity += similarity.similarity(term, &target) * one;
                }
                let bin = &mut bins[((claim.probability * 10.0) as usize).min(9)];
                bin.0 += f64::from(claim.probability) * one;
                bin.1 += share(exact);
                figures.tissue += share(d.claim(ClaimKind::Tissue).is_some_and(|c| c.value == tissue));
            }
        }
        figures.calibration_error = bins.iter().map(|(sure, right)| (sure - right).abs()).sum();
        figures
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} cells: well formed {:.4}, exact {:.4}, exact or below {:.4}, PageRank similarity {:.4}, tissue {:.4}, \
             type supported by genes {:.4}, calibration error {:.4}",
            self.cells,
            self.well_formed,
            self.exact,
            self.below,
            self.similarity,
            self.tissue,
            self.supported,
            self.calibration_error
        )
    }
}

/// The built-in model, or the one in the folder that `CELL2TEXT_CARD_MODEL` names, to try one before it ships.
fn model_of_the_card() -> Describer {
    let folder = std::env::var_os("CELL2TEXT_CARD_MODEL").map(std::path::PathBuf::from);
    Describer::load(folder.as_deref(), DevicePreference::Cpu, &Watch::silent()).unwrap()
}

fn all_cells_asked() -> bool {
    std::env::var("CELL2TEXT_CARD_CELLS").is_ok_and(|v| v == "all")
}

/// Figures of docs/model-card.md on a real study that the model never saw. By default a twentieth of the cells;
/// `CELL2TEXT_CARD_CELLS=all` takes them all and prints the card's figures.
#[test]
fn the_model_card_holds_on_pbmc3k_which_was_never_trained_on() {
    let Some(path) = shared_file("data/cells/pbmc3k_seurat.h5ad") else { return };
    let most = if all_cells_asked() { usize::MAX } else { 132 };
    let figures = Figures::of(&model_of_the_card(), &path, "blood", &[], most);
    crate::test_support::say(&format!("pbmc3k, {figures}"));
    assert!(figures.well_formed >= CARD_WELL_FORMED - SLACK, "well formed: {}", figures.well_formed);
    assert!(figures.exact >= CARD_EXACT - SLACK, "exact: {}", figures.exact);
    assert!(figures.similarity >= CARD_SIMILARITY - SLACK, "similarity: {}", figures.similarity);
    assert!(figures.tissue >= CARD_TISSUE - SLACK, "tissue: {}", figures.tissue);
}

/// Of every hundred cells, at least 99 are described in the same words at 8 bits.
#[test]
fn at_8_bits_the_built_in_model_says_the_same() {
    let Some(path) = shared_file("data/cells/pbmc3k_seurat.h5ad") else { return };
    let folder = tempfile::tempdir().unwrap();
    let silent = Watch::silent();
    let out = folder.path().join("model");
    crate::model::quantise(&Bundle::builtin().unwrap(), &out, crate::nn::quant::Bits::Eight, &silent)
        .unwrap();
    let full = describer();
    let small = Describer::load(Some(&out), DevicePreference::Cpu, &silent).unwrap();
    assert!(small.report().bytes < full.report().bytes * 6 / 10);
    let (in_full, in_small) = (Cells::open(&full, &path), Cells::open(&small, &path));
    let step = if all_cells_asked() { 1 } else { 20 };
    let numbers: Vec<usize> = (0..in_full.file.n_obs()).step_by(step).collect();
    let (mut same, mut same_type) = (0, 0);
    for chunk in numbers.chunks(64) {
        let rows: Vec<(usize, SparseRow)> = chunk.iter().map(|&c| (c, in_full.row(c))).collect();
        let settings = GenerationSettings::default();
        let said = |by: &Describer, cells: &Cells| {
            by.describe_batch(&cells.reader, &rows, &settings, &Watch::silent()).unwrap()
        };
        for (a, b) in said(&full, &in_full).iter().zip(&said(&small, &in_small)) {
            same += usize::from(a.text == b.text);
            let kind = |d: &Description| d.claim(ClaimKind::CellType).and_then(|c| c.term.clone());
            same_type += usize::from(kind(a) == kind(b));
        }
    }
    let n = numbers.len();
    crate::test_support::say(&format!(
        "8 bits: same text for {same}, same type for {same_type} of {n} cells"
    ));
    // One in a hundred may differ; of a twentieth of the cells, chance may make it two.
    assert!(n - same <= (n / 100).max(2), "{same} of {n}");
}

/// The card's second table: studies that only tell how sure the model may sound. Printed when all cells are asked for.
#[test]
fn the_model_card_tells_of_other_studies() {
    if !all_cells_asked() {
        return crate::test_support::skipped("CELL2TEXT_CARD_CELLS=all prints the figures of other studies");
    }
    let describer = model_of_the_card();
    let vague = ["CL:0000542", "CL:0000763", "CL:0000738", "CL:0001064", "CL:0000766"];
    for (file, tissue) in [
        ("pollen299", "brain"),
        ("brain_oligodendroglioma_infercnv184", "brain"),
        ("melanoma_chetah150", "skin of body"),
        ("pbmc_indrops_scannotate644", "blood"),
        ("fetal_intestine_visium344", "intestine"),
        ("pbmc68k_reduced_scanpy700", "blood"),
    ] {
        let Some(path) = shared_file(&format!("data/cells/{file}.h5ad")) else { return };
        let figures = Figures::of(&describer, &path, tissue, &vague, 350);
        crate::test_support::say(&format!("{file}, {figures}"));
        assert!(figures.well_formed > 0.99, "{file}: {}", figures.well_formed);
    }
}

/// The figures that docs/model-card.md states.
const CARD_WELL_FORMED: f64 = 1.0;
const CARD_EXACT: f64 = 0.763;
const CARD_SIMILARITY: f64 = 0.9;
const CARD_TISSUE: f64 = 0.997;
/// A twentieth of the cells may differ this much by chance.
const SLACK: f64 = 0.08;
