//! Categories that are hidden stay hidden when the rows of the legend change under them.
//!
//! The view keeps hidden categories by their rows. Labels come and go, and types are added while cells are described: the
//! rows of the others move.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::map::{Colouring, Meaning};
use super::App;

/// The categories of a legend, row by row.
#[derive(Debug)]
pub(super) struct LegendRows {
    of: Arc<Colouring>,
    /// Name, and whether it stands for a missing value.
    rows: Vec<(String, bool)>,
}

impl LegendRows {
    fn new(of: &Arc<Colouring>) -> Self {
        let rows = match &of.meaning {
            Meaning::Categories { categories, .. } => {
                categories.iter().map(|category| (category.name.clone(), category.is_missing)).collect()
            }
            _ => Vec::new(),
        };
        Self { of: of.clone(), rows }
    }

    /// The rows of `now` that hold the categories which are `hidden` here.
    fn followed(&self, hidden: &BTreeSet<usize>, now: &Self) -> BTreeSet<usize> {
        let names: BTreeSet<_> = hidden.iter().filter_map(|row| self.rows.get(*row)).collect();
        now.rows.iter().enumerate().filter(|(_, row)| names.contains(row)).map(|(at, _)| at).collect()
    }
}

impl App {
    /// Brings the hidden rows in line with the legend. Called every frame; costs nothing where the colours are the same.
    pub(super) fn follow_hidden(&mut self) {
        let now = self.map.colouring();
        if self.legend_rows.as_ref().is_some_and(|before| Arc::ptr_eq(&before.of, now)) {
            return;
        }
        let now = LegendRows::new(now);
        if let Some(before) = &self.legend_rows
            && before.of.title == now.of.title
            && before.rows != now.rows
            && !self.view.hidden.is_empty()
        {
            self.view.hidden = before.followed(&self.view.hidden, &now);
        }
        self.legend_rows = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(names: &[&str]) -> LegendRows {
        let rows = names.iter().map(|name| ((*name).to_owned(), *name == "unassigned")).collect();
        LegendRows { of: Arc::new(Colouring::plain()), rows }
    }

    #[test]
    fn what_is_hidden_keeps_its_name_when_rows_come_and_go() {
        let before = rows(&["B", "T", "unassigned"]);
        let hidden = BTreeSet::from([0, 2]);
        assert_eq!(before.followed(&hidden, &rows(&["A", "B", "T", "unassigned"])), BTreeSet::from([1, 3]));
        assert_eq!(before.followed(&hidden, &rows(&["T", "unassigned"])), BTreeSet::from([1]));
        assert_eq!(before.followed(&hidden, &rows(&["B", "T"])), BTreeSet::from([0]));
        assert!(before.followed(&BTreeSet::from([7]), &before).is_empty());
    }
}
