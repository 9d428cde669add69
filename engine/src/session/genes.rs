//! Genes over all cells: from the gene-major twin where there is one, else by a pass over the file. And the worker that
//! makes twins in the background.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::command::DataSource;
use super::data::OpenData;
use super::event::{Event, GeneColour};
use super::jobs::{JobContext, lock};
use super::run::Shared;
use crate::analysis::{log1p_cp10k, row_totals};
use crate::anndata::{CacheFolder, GeneCache, Scale};
use crate::error::Problem;
use crate::progress::Watch;
use crate::{Error, Result};

/// Memory for the genes of one pass.
const PASS_BYTES: usize = 256 << 20;
/// Least time between two pictures of a gene that is still being read.
const SHOW_EVERY: Duration = Duration::from_millis(250);
/// How long background work sleeps before it looks again whether the user's work is done.
const STAND_BACK: Duration = Duration::from_millis(5);

/// The gene-major twin of an open matrix, once it is there.
pub(super) type Twin = Arc<Mutex<Option<Arc<GeneCache>>>>;

impl OpenData {
    /// What the gene is called, where there is such a gene.
    fn symbol(&self, gene: usize) -> Result<&str> {
        self.dataset.genes.get(gene).map(String::as_str).ok_or_else(|| {
            Error::request(Problem::new(
                format!("gene {gene}"),
                "no such row of var",
                format!("a row below {}", self.dataset.genes.len()),
                "Choose a gene of the open data set.",
            ))
        })
    }

    /// Genes over all cells, as shown: see [`GeneColour::values`]. A single gene is handed to `so_far` from time to
    /// time while it is read, the cells to come missing.
    fn genes(
        &self,
        genes: &[usize],
        watch: &Watch,
        so_far: &mut dyn FnMut(GeneColour) -> Result<()>,
    ) -> Result<Vec<GeneColour>> {
        let needs_totals = matches!(self.dataset.matrix.scale, Scale::Counts | Scale::Linear);
        if let Some(columns) = self.read_twin(genes, needs_totals, watch)? {
            let totals = if needs_totals { Some(self.totals(watch)?) } else { None };
            return genes
                .iter()
                .zip(columns)
                .map(|(gene, values)| self.shown(*gene, values, totals.as_deref(), usize::MAX))
                .collect();
        }
        let known = self.totals.get().cloned();
        let mut shown = Instant::now();
        let mut in_between = |gathered: &crate::anndata::Gathered| {
            let (Some([gene]), Some(values)) = (genes.as_array::<1>(), gathered.columns.first()) else {
                return Ok(());
            };
            if shown.elapsed() < SHOW_EVERY || gathered.rows_done == 0 {
                return Ok(());
            }
            let totals = known.as_deref().or(gathered.totals.as_deref());
            let colour = self.shown(*gene, values.clone(), totals, gathered.rows_done)?;
            let told = so_far(colour);
            shown = Instant::now();
            told
        };
        let with_totals = needs_totals && known.is_none();
        let gathered = self.matrix.gather(genes, with_totals, watch, &mut in_between)?;
        if let Some(totals) = gathered.totals {
            self.totals.get_or_init(|| totals.into());
        }
        let totals = if needs_totals { Some(self.totals(watch)?) } else { None };
        genes
            .iter()
            .zip(gathered.columns)
            .map(|(gene, values)| self.shown(*gene, values, totals.as_deref(), usize::MAX))
            .collect()
    }

    /// The columns as the twin has them. A twin that cannot be read is forgotten: the file is there.
    fn read_twin(&self, genes: &[usize], needs_totals: bool, watch: &Watch) -> Result<Option<Vec<Vec<f32>>>> {
        let Some(twin) = lock(&self.twin).clone() else { return Ok(None) };
        if needs_totals && self.totals.get().is_none() {
            match twin.totals() {
                Ok(totals) => drop(self.totals.get_or_init(|| totals.into())),
                Err(error) => return Ok(self.forget_twin(&error)),
            }
        }
        let mut columns = Vec::with_capacity(genes.len());
        for gene in genes {
            watch.check()?;
            match twin.column(*gene) {
                Ok(column) => columns.push(column),
                Err(error) => return Ok(self.forget_twin(&error)),
            }
        }
        Ok(Some(columns))
    }

    fn forget_twin<T>(&self, error: &Error) -> Option<T> {
        tracing::warn!("the gene cache is not used any more: {error}");
        *lock(&self.twin) = None;
        None
    }

    /// Values as shown; those of the rows from `rows_done` on are missing.
    fn shown(
        &self,
        gene: usize,
        mut values: Vec<f32>,
        totals: Option<&[f64]>,
        rows_done: usize,
    ) -> Result<GeneColour> {
        let symbol = self.symbol(gene)?.to_owned();
        let unit = match self.dataset.matrix.scale {
            Scale::Counts | Scale::Linear => {
                for (value, total) in values.iter_mut().zip(totals.unwrap_or_default()) {
                    *value = log1p_cp10k(*value, *total);
                }
                "log1p of counts per 10,000"
            }
            Scale::Log1p => "log1p as in the file",
            Scale::Scaled => "scaled as in the file",
        };
        for value in values.iter_mut().skip(rows_done) {
            *value = f32::NAN;
        }
        Ok(GeneColour { gene, symbol, values: values.into(), unit })
    }

    /// Row sums of the chosen matrix, `[n_obs]`: one pass over the file, the first time.
    pub(super) fn totals(&self, watch: &Watch) -> Result<Arc<[f64]>> {
        if let Some(totals) = self.totals.get() {
            return Ok(totals.clone());
        }
        let totals = row_totals(&self.matrix, watch)?;
        Ok(self.totals.get_or_init(|| totals.into()).clone())
    }
}

/// Colours the cells by one gene.
pub(super) fn colour(shared: &Shared, ctx: &JobContext, gene: usize) -> Result<()> {
    let open = shared.data_of(ctx.epoch, &ctx.watch)?;
    ctx.started(format!("Colouring by {}", open.symbol(gene)?))?;
    let mut so_far = |colour| ctx.emit(Event::GeneColouring { job: ctx.id, colour });
    for colour in open.genes(&[gene], &ctx.watch, &mut so_far)? {
        ctx.emit(Event::GeneColoured { job: ctx.id, colour })?;
    }
    Ok(())
}

/// Reads several genes, as many at a time as a pass may hold.
pub(super) fn read_genes(shared: &Shared, ctx: &JobContext, genes: &[usize]) -> Result<()> {
    let open = shared.data_of(ctx.epoch, &ctx.watch)?;
    // What is not there is refused before anything is read.
    for gene in genes {
        open.symbol(*gene)?;
    }
    ctx.started(match genes {
        [gene] => format!("Reading {}", open.symbol(*gene)?),
        genes => format!("Reading {} genes", genes.len()),
    })?;
    let at_once = (PASS_BYTES / (4 * open.dataset.n_obs.max(1))).max(1);
    for some in genes.chunks(at_once) {
        for colour in open.genes(some, &ctx.watch, &mut |_| Ok(()))? {
            ctx.emit(Event::GeneRead { job: ctx.id, colour })?;
        }
    }
    Ok(())
}

/// Hashes the open file and makes the gene-major twin of the open matrix, or finds it. It stands back while anything is done
/// for the user.
pub(super) fn order_genes(shared: &Shared, ctx: &JobContext) -> Result<()> {
    let open = shared.data_of(ctx.epoch, &ctx.watch)?;
    let hub = shared.hub.clone();
    let quiet = ctx.watch.quiet().standing_back(move || hub.user_waits(), STAND_BACK);
    // First, since it takes a fraction of the time, and what it reads the twin finds in the system's cache.
    open.hash_ahead(&quiet);
    make_twin(shared, ctx, &open)
}

fn make_twin(shared: &Shared, ctx: &JobContext, open: &OpenData) -> Result<()> {
    let Some(folder) = &shared.settings.gene_caches else { return Ok(()) };
    if lock(&open.twin).is_some() || !open.matrix.profits_from_gene_cache() {
        return Ok(());
    }
    let folder = CacheFolder::new(folder);
    if let Some(twin) = folder.open(&open.matrix)? {
        *lock(&open.twin) = Some(Arc::new(twin));
        return Ok(());
    }
    ctx.started(format!("Ordering {} by gene", open.dataset.name))?;
    let source = match &open.dataset.source {
        DataSource::File(path) => path.clone(),
        DataSource::Sample => return Ok(()),
    };
    let hub = shared.hub.clone();
    let watch = ctx.watch.clone().standing_back(move || hub.user_waits(), STAND_BACK);
    // A pool of its own: work that stands back must not hold the threads that the user's work needs.
    let threads = (rayon::current_num_threads() / 2).max(1);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|n| format!("cell2text-genes-{n}"))
        .build()
        .map_err(|e| {
            Error::request(Problem::new(
                "the gene cache",
                format!("no threads to be had ({e})"),
                "at least one",
                "Genes are read from the file itself, which takes longer.",
            ))
        })?;
    let built = pool.install(|| folder.build(&open.matrix, &source, &watch))?;
    *lock(&open.twin) = built.map(Arc::new);
    Ok(())
}
