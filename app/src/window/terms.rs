//! The Cell Ontology beside the window: loaded and searched on another thread, with the user's own cells under its
//! terms.

use std::collections::BTreeMap;
use std::sync::Arc;

use eframe::egui;
use engine::anndata::{Column, Values};
use engine::ontology::{CellCounts, Hit, Limits, Neighbourhood, Ontology};
use engine::session::{Annotations, Dataset};

use super::background::{Poll, Task};
use super::descriptions::Descriptions;
use super::workspace::{Workspace, cell_type_term};

/// The column that CELLxGENE keeps the terms of cell types in.
const ID_COLUMN: &str = "cell_type_ontology_term_id";
/// A column names cell types if at least this share of its cells carries a name of the ontology.
const LEAST_SHARE: f64 = 0.1;
/// Columns of more categories name no types.
const MOST_CATEGORIES: usize = 1_000;
/// Seconds after which counts follow new descriptions.
const COUNT_AGAIN_SECS: f64 = 0.5;

/// A term with its neighbours.
#[derive(Debug)]
pub struct TermView {
    /// Its id.
    pub id: String,
    /// Its label.
    pub label: String,
    /// Its definition, where the ontology holds one.
    pub definition: Option<String>,
    /// Its neighbours, laid out.
    pub neighbourhood: Neighbourhood,
}

/// The terms that the file gives to its cells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileTerms {
    /// The column, where there is one.
    pub column: Option<String>,
    /// Whether the column holds ids; if not, its words were looked up as names.
    pub by_id: bool,
    /// The terms.
    pub ids: Vec<String>,
    /// Row of `ids` of every cell; `u32::MAX` where the file gives none.
    pub of_cell: Vec<u32>,
}

/// Cells under each term that has any.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// By the file or by a description.
    pub cells: BTreeMap<String, CellCounts>,
    /// By descriptions alone.
    pub described: BTreeMap<String, CellCounts>,
}

impl Counts {
    /// Cells of a term and its kinds.
    pub fn of(&self, id: &str) -> u64 {
        self.cells.get(id).map_or(0, |c| c.with_kinds)
    }

    /// Cells described as a term or one of its kinds.
    pub fn described_as(&self, id: &str) -> u64 {
        self.described.get(id).map_or(0, |c| c.with_kinds)
    }

    /// The terms that cells have themselves, not through a kind of them; those of most cells first.
    pub fn types(&self) -> Vec<(&str, u64)> {
        let own = self.cells.iter().filter(|(_, c)| c.own > 0);
        let mut types: Vec<(&str, u64)> = own.map(|(id, c)| (id.as_str(), c.own)).collect();
        types.sort_by_key(|(id, own)| (std::cmp::Reverse(*own), *id));
        types
    }
}

type Loaded = (Result<&'static Ontology, String>, FileTerms);

/// The term shown, or on its way, and the cells under all terms.
#[derive(Debug, Default)]
pub struct Terms {
    asked: Option<(String, Task<Result<TermView, String>>)>,
    shown: Option<Arc<TermView>>,
    /// Why the last term could not be shown.
    error: Option<String>,
    /// Whether more neighbours are shown, where there is room for them.
    wide: bool,
    ontology: Option<&'static Ontology>,
    loading: Option<Task<Loaded>>,
    /// The data set that `file` was read from.
    of: Option<Arc<Dataset>>,
    file: FileTerms,
    counts: Arc<Counts>,
    /// The state of the descriptions that was counted, and when; `None` before the first count.
    counted: Option<(u64, f64)>,
}

impl Terms {
    /// Asks for a term by its id; what is shown stays until the answer is there.
    pub fn ask(&mut self, ctx: &egui::Context, id: &str) {
        if self.asked.as_ref().is_some_and(|(asked, _)| asked == id)
            || (self.asked.is_none() && self.shown.as_ref().is_some_and(|t| t.id == id))
        {
            return;
        }
        self.look_up(ctx, id.to_owned());
    }

    fn look_up(&mut self, ctx: &egui::Context, id: String) {
        let limits =
            if self.wide { Limits { ancestors: 60, siblings: 40, children: 80 } } else { Limits::default() };
        let wanted = id.clone();
        self.asked = Some((id, Task::start(ctx, "ontology", move || look_up(&wanted, limits))));
    }

    /// Shows more neighbours or fewer.
    pub fn widen(&mut self, ctx: &egui::Context, wide: bool) {
        if self.wide != wide {
            self.wide = wide;
            let id = self.asked.as_ref().map(|(id, _)| id.clone());
            if let Some(id) = id.or_else(|| self.shown.as_ref().map(|t| t.id.clone())) {
                self.look_up(ctx, id);
            }
        }
    }

    /// Forgets the term shown; the counts stay.
    pub fn clear(&mut self) {
        self.asked = None;
        self.shown = None;
        self.error = None;
    }

    /// Takes up answers, and counts the cells of a new data set and of new descriptions. Called every frame.
    pub fn update(&mut self, ctx: &egui::Context, work: &Workspace) {
        match self.asked.as_ref().map(|(_, task)| task.poll()) {
            Some(Poll::Running) | None => {}
            Some(answer) => {
                self.asked = None;
                match answer {
                    Poll::Done(Ok(term)) => {
                        self.shown = Some(Arc::new(term));
                        self.error = None;
                    }
                    Poll::Done(Err(error)) => self.error = Some(error),
                    Poll::Lost | Poll::Running => {
                        self.error = Some("The Cell Ontology could not be read.".into());
                    }
                }
            }
        }
        self.load(ctx, work);
        self.count(ctx, &work.descriptions);
    }

    fn load(&mut self, ctx: &egui::Context, work: &Workspace) {
        match self.loading.as_ref().map(Task::poll) {
            Some(Poll::Done((ontology, file))) => {
                self.loading = None;
                self.file = file;
                self.counted = None;
                match ontology {
                    Ok(ontology) => self.ontology = Some(ontology),
                    Err(error) => self.error = Some(error),
                }
            }
            Some(Poll::Lost) => self.loading = None,
            Some(Poll::Running) | None => {}
        }
        let Some(dataset) = &work.dataset else { return };
        // The columns of obs are the same in every matrix of a file.
        if self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, dataset)) {
            return;
        }
        self.of = Some(dataset.clone());
        self.file = FileTerms::default();
        self.counts = Arc::default();
        let dataset = dataset.clone();
        self.loading = Some(Task::start(ctx, "terms of the cells", move || match Ontology::builtin() {
            Ok(ontology) => (Ok(ontology), file_terms(&dataset, ontology)),
            Err(error) => (Err(error.to_string()), FileTerms::default()),
        }));
    }

    fn count(&mut self, ctx: &egui::Context, descriptions: &Descriptions) {
        let Some(ontology) = self.ontology.filter(|_| self.loading.is_none()) else { return };
        let now = ctx.time();
        match self.counted {
            Some((counted, _)) if counted == descriptions.revision() => return,
            Some((_, at)) if now - at < COUNT_AGAIN_SECS => {
                ctx.request_repaint_after_secs(COUNT_AGAIN_SECS as f32);
                return;
            }
            _ => {}
        }
        self.counted = Some((descriptions.revision(), now));
        self.counts = Arc::new(counts(ontology, &self.file, descriptions));
    }

    /// Whether the term asked for is on its way.
    pub fn is_busy(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether anything is being worked out.
    pub fn is_working(&self) -> bool {
        self.asked.is_some() || self.loading.is_some()
    }

    /// The term shown.
    pub fn shown(&self) -> Option<&Arc<TermView>> {
        self.shown.as_ref()
    }

    /// Why there is none.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// The ontology, once it is loaded.
    pub fn ontology(&self) -> Option<&'static Ontology> {
        self.ontology
    }

    /// The user's cells under each term.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// The terms that the file gives to its cells.
    pub fn file(&self) -> &FileTerms {
        &self.file
    }

    /// Terms that match what was typed.
    pub fn search(&self, query: &str, limit: usize) -> Vec<Hit> {
        self.ontology.map(|o| o.search(query, limit)).unwrap_or_default()
    }

    /// Cells that the file or a description puts under a term or one of its kinds, rising.
    pub fn cells_of(&self, id: &str, work: &Workspace) -> Vec<usize> {
        let Some(ontology) = self.ontology else { return Vec::new() };
        let is_below = |term: &str| ontology.current(term).is_some_and(|t| ontology.is_a(&t.id, id));
        let rows: Vec<bool> = self.file.ids.iter().map(|term| is_below(term)).collect();
        let by_file = |row: &u32| rows.get(*row as usize).copied().unwrap_or(false);
        let mut cells: Vec<usize> = self
            .file
            .of_cell
            .iter()
            .enumerate()
            .filter(|(_, row)| by_file(row))
            .map(|(cell, _)| cell)
            .collect();
        let described = work.descriptions.iter();
        cells.extend(
            described
                .filter(|(_, d)| cell_type_term(d).is_some_and(|term| is_below(&term)))
                .map(|(cell, _)| *cell),
        );
        cells.sort_unstable();
        cells.dedup();
        cells
    }
}

fn look_up(id: &str, limits: Limits) -> Result<TermView, String> {
    let ontology = Ontology::builtin().map_err(|e| e.to_string())?;
    let neighbourhood = ontology.neighbourhood(id, limits).map_err(|e| e.to_string())?;
    let term = ontology.term(id);
    Ok(TermView {
        id: id.to_owned(),
        label: term.map_or_else(|| id.to_owned(), |t| t.label.clone()),
        definition: term.and_then(|t| t.definition.clone()),
        neighbourhood,
    })
}

/// The column that says most of the cells' types: ids where there are any, else the column in which the most cells
/// carry a name that the ontology knows.
fn file_terms(dataset: &Dataset, ontology: &Ontology) -> FileTerms {
    let by_id = |column: &Column| terms_of(column, |word| ontology.term(word).map(|t| t.id.clone()));
    let by_name = |column: &Column| terms_of(column, |word| ontology.by_name(word).map(|t| t.id.clone()));
    let least = (LEAST_SHARE * dataset.n_obs as f64) as usize;
    let best = |of: &dyn Fn(&Column) -> Option<FileTerms>, by_id: bool| {
        let found = dataset.obs.columns.iter().filter_map(of);
        let known = |terms: &FileTerms| terms.of_cell.iter().filter(|row| **row != u32::MAX).count();
        let enough = found.map(|terms| (known(&terms), terms)).filter(|(known, _)| *known > least);
        // The first of several that say as much, but the column of CELLxGENE before all.
        enough
            .rev()
            .max_by_key(|(known, terms)| (terms.column.as_deref() == Some(ID_COLUMN), *known))
            .map(|(_, terms)| FileTerms { by_id, ..terms })
    };
    best(&by_id, true).or_else(|| best(&by_name, false)).unwrap_or_default()
}

/// The terms of a column's words; `None` where the column holds no words or none that `term` knows.
fn terms_of(column: &Column, term: impl Fn(&str) -> Option<String>) -> Option<FileTerms> {
    let Values::Categorical { codes, categories, .. } = &column.values else { return None };
    if categories.len() > MOST_CATEGORIES {
        return None;
    }
    let mut ids: Vec<String> = Vec::new();
    let rows: Vec<u32> = categories
        .iter()
        .map(|word| {
            let Some(id) = term(word) else { return u32::MAX };
            let row = ids.iter().position(|known| *known == id).unwrap_or_else(|| {
                ids.push(id);
                ids.len() - 1
            });
            row as u32
        })
        .collect();
    if ids.is_empty() {
        return None;
    }
    let of_cell = codes
        .iter()
        .map(|code| usize::try_from(*code).ok().and_then(|c| rows.get(c).copied()).unwrap_or(u32::MAX))
        .collect();
    Some(FileTerms { column: Some(column.name.clone()), by_id: false, ids, of_cell })
}

fn counts(ontology: &Ontology, file: &FileTerms, descriptions: &Annotations) -> Counts {
    let said: BTreeMap<usize, String> =
        descriptions.iter().filter_map(|(cell, d)| Some((*cell, cell_type_term(d)?))).collect();
    // Cells of the same terms together: there are few such groups, however many cells.
    let mut by_file = vec![0u64; file.ids.len()];
    let mut both: BTreeMap<(Option<&str>, &str), u64> = BTreeMap::new();
    let id_of = |cell: usize| file.of_cell.get(cell).and_then(|row| file.ids.get(*row as usize));
    for row in &file.of_cell {
        if let Some(count) = by_file.get_mut(*row as usize) {
            *count += 1;
        }
    }
    for (cell, term) in &said {
        if let Some(count) = file.of_cell.get(*cell).and_then(|row| by_file.get_mut(*row as usize)) {
            *count -= 1;
        }
        *both.entry((id_of(*cell).map(String::as_str), term.as_str())).or_default() += 1;
    }
    let alone = file.ids.iter().zip(by_file).map(|(id, cells)| (vec![id.as_str()], cells));
    let pairs =
        both.iter().map(|((file, said), cells)| (file.iter().copied().chain([*said]).collect(), *cells));
    let described = both.iter().map(|((_, said), cells)| ([*said], *cells));
    Counts {
        cells: ontology.cell_counts(alone.chain(pairs).filter(|(_, cells): &(Vec<&str>, u64)| *cells > 0)),
        described: ontology.cell_counts(described),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::dataset;
    use super::*;

    fn with_column(name: &str, words: &[&str], codes: Vec<i32>) -> Dataset {
        let mut data = dataset();
        data.n_obs = codes.len();
        data.obs.columns = vec![Column {
            name: name.into(),
            values: Values::Categorical {
                codes,
                categories: words.iter().map(|w| (*w).to_owned()).collect(),
                ordered: false,
            },
        }];
        data
    }

    #[test]
    fn ids_of_the_file_come_before_names_and_names_are_looked_up() {
        let ontology = Ontology::builtin().unwrap();
        let mut data = with_column(ID_COLUMN, &["CL:0000576", "unknown", "CL:0000084"], vec![0, 1, 2, -1, 0]);
        data.obs.columns.insert(
            0,
            Column {
                name: "cell_type".into(),
                values: Values::Categorical {
                    codes: vec![0, 0, 1, 1, 0],
                    categories: vec!["monocyte".into(), "T cells".into()],
                    ordered: false,
                },
            },
        );
        let terms = file_terms(&data, ontology);
        assert_eq!((terms.column.as_deref(), terms.by_id), (Some(ID_COLUMN), true));
        assert_eq!(terms.of_cell, [0, u32::MAX, 1, u32::MAX, 0]);
        data.obs.columns.truncate(1);
        let terms = file_terms(&data, ontology);
        assert_eq!((terms.column.as_deref(), terms.by_id), (Some("cell_type"), false));
        assert_eq!(terms.ids, ["CL:0000576", "CL:0000084"]);
        let none = with_column("louvain", &["0", "1"], vec![0, 1]);
        assert_eq!(file_terms(&none, ontology), FileTerms::default());
    }

    #[test]
    fn every_cell_counts_once_under_a_term_whoever_named_it() {
        let ontology = Ontology::builtin().unwrap();
        let data = with_column("t", &["monocyte", "T cell"], vec![0, 0, 1, -1]);
        let file = file_terms(&data, ontology);
        let only_file = counts(ontology, &file, &Annotations::new());
        assert_eq!((only_file.of("CL:0000576"), only_file.of("CL:0000738")), (2, 3));
        assert_eq!(only_file.types(), [("CL:0000576", 2), ("CL:0000084", 1)]);
        assert_eq!(only_file.described_as("CL:0000738"), 0);
    }
}
