//! The map of a data set on its way: drawn as soon as there is something to draw, until the whole is open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use eframe::egui;
use engine::session::{DataSource, FirstLook};

use super::super::map::{self, Look, Map, NumberRange, Source};
use super::super::state::ColourBy;
use super::super::theme::Tokens;
use super::App;

impl App {
    /// Begins to draw what a first look shows.
    pub(super) fn look_first(&mut self, ctx: &egui::Context, look: &FirstLook) {
        let dataset = Arc::new(map::dataset_of(look));
        let by = map::first_colour(&dataset);
        // A file that was open before is shown as it was left, which may be otherwise.
        if let (DataSource::File(path), Some((last, view))) = (&look.source, &self.saved.last_view)
            && last == path
            && (view.embedding != look.embedding.name || view.colour_by != by || view.camera.is_some())
        {
            return;
        }
        let source = match by {
            ColourBy::Column(name) => Source::Column(name),
            _ => Source::Nothing,
        };
        let mut first = self.map.another();
        first.show(ctx, &dataset, 0, source, NumberRange::default());
        self.first = Some(first);
    }

    /// Takes up finished work, and lets go of the first look where what it showed does not come. Called every frame.
    pub(super) fn update_first(&mut self) {
        if self.work.opening.is_none() {
            self.first = None;
        }
        if let Some(first) = &mut self.first {
            first.update();
        }
    }

    /// The map of the data set on its way, once it can be drawn.
    pub fn first_map(&self) -> Option<&Map> {
        self.first.as_ref().filter(|first| first.scene().is_some())
    }

    /// Brings its colours in line with the theme. Called every frame.
    pub(super) fn style_first(&mut self, look: &Look, tokens: &Tokens) {
        if let Some(first) = &mut self.first {
            // What was hidden or coloured by hand belongs to the data set that is open.
            first.update_table(&Look { hidden: BTreeSet::new(), own: BTreeMap::new(), ..*look }, tokens);
        }
    }

    /// The map to go on with once the whole is open: what is drawn stays until its own colours are there.
    pub(super) fn take_first(&mut self) {
        match self.first.take().filter(|first| first.scene().is_some()) {
            Some(first) => self.map = first,
            None => self.map.clear(),
        }
    }
}
