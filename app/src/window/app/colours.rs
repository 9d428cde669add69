//! What colours the cells.

use eframe::egui;
use engine::session::{Command as Request, Dataset};

use super::super::document::Edit;
use super::super::map::{self, Source};
use super::super::said;
use super::super::state::ColourBy;
use super::super::workspace::Severity;
use super::App;

impl App {
    /// Colours the cells by something else, once it is read.
    pub(super) fn colour_by(&mut self, ctx: &egui::Context, by: ColourBy) {
        if self.view.colour_by != by {
            self.view.hidden.clear();
            self.local.legend_query.clear();
            self.view.range.log = false;
        }
        self.view.colour_by = by;
        if matches!(self.view.colour_by, ColourBy::Quality(_)) && !self.judge_quality() {
            return;
        }
        if let ColourBy::GeneSet { name, genes } = &self.view.colour_by {
            let (name, genes) = (name.clone(), genes.clone());
            if !self.read_gene_set(name, &genes) {
                return;
            }
        }
        if let ColourBy::Gene { gene, symbol } = &self.view.colour_by {
            let n_genes = self.work.dataset.as_ref().map_or(0, |d| d.genes.len());
            if *gene >= n_genes {
                let text = format!("The genes of this matrix do not hold {symbol}.");
                self.work.notify(Severity::Error, "Gene not found", text);
                return;
            }
            let read = self.work.gene.as_ref().is_some_and(|g| g.gene == *gene);
            if !read {
                if let Some(job) = self.work.gene_job.take() {
                    self.session.cancel(job);
                }
                self.work.gene_job = Some(self.send(Request::ColourByGene { gene: *gene }));
                return;
            }
        }
        self.recolour(ctx);
    }

    /// Draws the cells anew in the colours that are there.
    pub(super) fn recolour(&mut self, ctx: &egui::Context) {
        let Some(dataset) = &self.work.dataset else { return };
        let source = match &self.view.colour_by {
            ColourBy::Nothing => Source::Nothing,
            ColourBy::Column(name) => Source::Column(name.clone()),
            ColourBy::Gene { gene, .. } => match &self.work.gene {
                Some(read) if read.gene == *gene => Source::Gene(read.clone()),
                _ => Source::Nothing,
            },
            ColourBy::GeneSet { name, .. } => match &self.work.gene_set {
                Some((_, read)) if read.symbol == *name => Source::Gene(read.clone()),
                _ => Source::Nothing,
            },
            ColourBy::Quality(figure) => {
                self.work.quality.as_ref().map_or(Source::Nothing, |judged| figure.source(judged))
            }
            ColourBy::Said(said) => {
                self.said_drawn = (self.work.descriptions.revision(), ctx.time());
                said::source(&self.work.descriptions, *said, dataset.n_obs)
            }
            ColourBy::Labels(name) => self
                .work
                .labels
                .iter()
                .find(|c| c.name == *name)
                .map_or(Source::Nothing, |column| Source::Labels(column.clone())),
        };
        let embedding = dataset.embeddings.iter().position(|e| e.name == self.view.embedding).unwrap_or(0);
        self.map.show(ctx, dataset, embedding, source, self.view.range);
    }

    /// Draws what descriptions say anew while they come, but not with every one of them.
    pub(super) fn recolour_said(&mut self, ctx: &egui::Context) {
        const AGAIN_AFTER_SECS: f64 = 0.5;
        let (drawn, at) = self.said_drawn;
        if !matches!(self.view.colour_by, ColourBy::Said(_)) || self.work.descriptions.revision() == drawn {
            return;
        }
        if ctx.time() - at >= AGAIN_AFTER_SECS {
            self.recolour(ctx);
        } else {
            ctx.request_repaint_after_secs(AGAIN_AFTER_SECS as f32);
        }
    }

    /// Gives the category in `row` of the legend a colour of its own, or its first one back.
    pub(super) fn set_category_colour(&mut self, ctx: &egui::Context, row: usize, colour: Option<[u8; 3]>) {
        let colouring = self.map.colouring();
        let map::Meaning::Categories { categories, .. } = &colouring.meaning else { return };
        let Some(category) = categories.get(row) else { return };
        let (column, category) = (colouring.title.clone(), category.name.clone());
        let labels = self.work.labels.iter().position(|c| c.name == column);
        let number = labels
            .and_then(|at| self.work.labels.get(at)?.categories.iter().position(|c| c.name == category));
        let edit = match (labels, number, colour) {
            (Some(column), Some(category), Some(colour)) => Edit::ColourLabel { column, category, colour },
            _ => Edit::ColourCategory { column, category, colour },
        };
        self.edit(ctx, &edit);
    }

    /// Another matrix may list other genes in another order: the gene that colours the cells is found by its name again.
    pub(super) fn find_gene_again(&mut self, dataset: &Dataset) {
        let ColourBy::Gene { gene, symbol } = &mut self.view.colour_by else { return };
        if dataset.genes.get(*gene) == Some(symbol) {
            return;
        }
        if let Some(row) = self.work.gene_names.find(symbol) {
            *gene = row;
            return;
        }
        let text = format!("{} does not hold {symbol}. Other colours are shown.", dataset.matrix.key);
        self.work.notify(Severity::Warning, "Gene not found", text);
        self.view.colour_by = map::first_colour(dataset);
        self.view.hidden.clear();
    }
}
