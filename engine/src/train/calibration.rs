//! The last step of a run: how sure the finished model may sound, by studies that it was not trained on.

use std::collections::BTreeMap;
use std::path::Path;

use super::recipe::Recipe;
use super::sources::CalibrationStudy;
use crate::anndata::AnnData;
use crate::describe::{Calibration, Describer, LabelledCell};
use crate::error::Problem;
use crate::genes::GeneTable;
use crate::nn::DevicePreference;
use crate::ontology::Ontology;
use crate::progress::Watch;
use crate::{Error, Result};

/// The temperatures of the bundle in `folder`, or of the built-in model, by the studies of `recipe` below `data`.
///
/// # Errors
/// [`Error::Train`] naming a file or column that is not as the recipe says; what reading and describing give.
pub(super) fn temperatures(
    folder: Option<&Path>,
    recipe: &Recipe,
    known_tissues: &[String],
    data: &Path,
    device: DevicePreference,
    watch: &Watch,
) -> Result<BTreeMap<String, f64>> {
    let mut calibration = Calibration::default();
    if recipe.calibration.is_empty() {
        return Ok(BTreeMap::new());
    }
    let describer = Describer::load(folder, device, watch)?;
    let table = GeneTable::builtin()?;
    for study in &recipe.calibration {
        let file = AnnData::open(&data.join(&study.file), watch)?;
        let choice = file.choose_matrix()?;
        let resolved = file.resolve_genes(table, &choice.key);
        let ids: Vec<Option<&str>> =
            resolved.ids.iter().map(|id| id.map(|id| table.ensembl_id(id))).collect();
        let reader = describer.bind(&ids, &file.var(&choice.key).index, choice.scale)?;
        let labelled = labels(study, recipe, known_tissues, &file, data)?;
        let matrix = file.matrix(&choice.key)?;
        // Evenly through the file: its order may follow its types.
        let step = labelled.len().div_ceil(study.most_cells.max(1)).max(1);
        let mut cells = Vec::new();
        for (cell, cell_type, tissue) in labelled.into_iter().step_by(step) {
            watch.check()?;
            let row = matrix.row(cell)?;
            if reader.can_read(&row) {
                cells.push(LabelledCell { cell, row, cell_type, tissue });
            }
        }
        calibration.add_study(&describer, &reader, &cells, watch)?;
    }
    Ok(calibration.temperatures())
}

/// Row, cell type and tissue of each labelled cell.
fn labels(
    study: &CalibrationStudy,
    recipe: &Recipe,
    known_tissues: &[String],
    file: &AnnData,
    data: &Path,
) -> Result<Vec<(usize, String, Option<String>)>> {
    let ontology = Ontology::builtin()?;
    let obs = file.obs();
    let types = obs.column(&study.cell_type_column).ok_or_else(|| {
        Error::train(
            Problem::new(
                format!("obs/{}", study.cell_type_column),
                "no such column",
                "Cell Ontology ids",
                "Correct the recipe.",
            )
            .in_file(data.join(&study.file)),
        )
    })?;
    let tissues = obs.column(&study.tissue_column);
    let rows = (0..file.n_obs()).filter_map(|row| {
        let id = types.text(row)?;
        if ontology.term(&id).is_none() || recipe.cells.vague.contains(&id) {
            return None;
        }
        let tissue = tissues.and_then(|c| c.text(row)).map(|t| study.tissues.get(&t).cloned().unwrap_or(t));
        Some((row, id, tissue.filter(|t| known_tissues.contains(t))))
    });
    Ok(rows.collect())
}
