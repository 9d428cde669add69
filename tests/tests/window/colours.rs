//! Colours, legend and names on the map.

use app::window::{
    Action, ColourBy, ColourStyle, Command, Edit, LegendOrder, NumberRange, QualityFigure, Said, Scale,
};
use eframe::egui::{Key, Modifiers, Role};
use egui_kittest::kittest::Queryable as _;
use engine::describe::ClaimKind;
use tests::shared;

use super::driver::{Window, difference, lonely_cells, opened, sample};

fn column(name: &str) -> Action {
    Action::ColourBy(ColourBy::Column(name.into()))
}

fn legend(window: &Window) -> Vec<String> {
    window.names(Role::CheckBox)
}

/// The names on the map.
fn named(window: &Window) -> Vec<String> {
    let names =
        window.names(Role::Button).into_iter().filter(|n| n.starts_with("Select ") && n.contains(", "));
    names.collect()
}

#[test]
fn categories_are_named_on_the_map_and_a_click_on_a_name_selects_them() {
    let mut window = sample();
    let names = named(&window);
    assert!(names.contains(&"Select CD19+ B, 95 cells".to_owned()), "{names:?}");
    assert!(names.len() >= 7, "{names:?}");
    window.press("Select CD19+ B, 95 cells");
    assert_eq!(window.app().sets().current.len(), 95);
    window.key(Key::N);
    assert!(named(&window).is_empty(), "N takes the names away");
    window.key(Key::N);
    window.act(Action::ToggleCategory(6));
    assert!(!named(&window).iter().any(|n| n.contains("CD19+ B")), "what is hidden has no name");
}

#[test]
fn the_legend_is_sorted_by_name_and_by_count_from_its_options() {
    let mut window = sample();
    window.press("Options");
    window.0.get_by_role_and_label(Role::RadioButton, "Number of cells").click();
    window.settle();
    assert_eq!(window.app().colour_style().order, LegendOrder::Count);
    assert_eq!(legend(&window)[0], "Dendritic, 240 cells");
    assert_eq!(legend(&window)[9], "CD4+/CD45RA+/CD25- Naive T, 8 cells");
    window.act(column("louvain"));
    window.act(Action::SetColourStyle(ColourStyle { order: LegendOrder::Name, ..ColourStyle::default() }));
    let names: Vec<u32> =
        legend(&window).iter().map(|n| n.split(',').next().unwrap().parse().unwrap()).collect();
    assert!(names.windows(2).all(|w| w[0] < w[1]), "10 comes after 9: {names:?}");
}

#[test]
fn a_row_of_the_legend_selects_its_cells_and_takes_another_colour() {
    let mut window = sample();
    let row = window.0.get_by_label("CD56+ NK, 31 cells").rect().center();
    window.0.hover_at(row);
    window.0.event(eframe::egui::Event::ModifiersChanged(Modifiers::COMMAND));
    window.0.get_by_label("CD56+ NK, 31 cells").click_modifiers(Modifiers::COMMAND);
    window.settle();
    assert_eq!(window.app().sets().current.len(), 31);
    assert!(window.app().view().hidden.is_empty());
    let cell = lonely_cells(&window.data(), "bulk_labels", "CD56+ NK")[0];
    window.act(Action::SetCategoryColour(8, Some([250, 10, 250])));
    assert!(difference(window.colour_of(cell), [250, 10, 250]) < 16);
    window.act(Action::SetCategoryColour(8, None));
    let own = window.data().category_colours["bulk_labels"][8];
    assert!(difference(window.colour_of(cell), own) < 14);
    // The file's colours give way to those of the palette.
    window.act(Action::SetColourStyle(ColourStyle { from_file: false, ..ColourStyle::default() }));
    assert!(difference(window.colour_of(cell), own) > 30);
}

#[test]
fn the_menu_of_a_row_shows_only_its_cells() {
    let mut window = sample();
    window.0.get_by_label("CD56+ NK, 31 cells").hover();
    window.settle();
    window.press("CD56+ NK: more");
    window.assert_shows(&["Select 31 cells", "Show only this", "Any colour"]);
    window.press("Show only this");
    assert_eq!(window.app().view().hidden.len(), 9);
}

#[test]
fn the_scale_of_numbers_is_chosen_clipped_and_made_logarithmic() {
    let mut window = sample();
    window.act(column("n_counts"));
    let whole = window.names(Role::Image).into_iter().find(|n| n.starts_with("Scale of n_counts")).unwrap();
    window.press("Options");
    window.0.get_by_role_and_label(Role::RadioButton, "cividis").click();
    window.settle();
    assert_eq!(window.app().colour_style().scale, Scale::Cividis);
    window.act(Action::SetRange(NumberRange { low_percent: 1.0, high_percent: 99.0, log: true }));
    let clipped = window.names(Role::Image).into_iter().find(|n| n.starts_with("Scale of n_counts")).unwrap();
    assert_ne!(whole, clipped);
    window.assert_shows(&["log scale, clipped; the values run from "]);
    // Another column begins without the logarithm.
    window.act(column("percent_mito"));
    assert!(!window.app().view().range.log);
}

#[test]
fn what_descriptions_say_colours_the_cells_and_the_rest_is_not_described() {
    let mut window = sample();
    let cell = lonely_cells(&window.data(), "bulk_labels", "CD14+ Monocyte")[0];
    window.act(Action::SelectCell(cell));
    let said = window.app().description(cell).unwrap().claim(ClaimKind::CellType).unwrap().value.clone();
    window.act(Action::ColourBy(ColourBy::Said(Said::CellType)));
    assert_eq!(legend(&window), [format!("{said}, 1 cell"), "not described, 699 cells".to_owned()]);
    window.act(Action::ColourBy(ColourBy::Said(Said::Probability)));
    window.assert_shows(&["Scale of Probability of the cell type from 0 to ", "missing in 699 cells"]);
    // A cell described later joins.
    window.act(Action::ColourBy(ColourBy::Said(Said::Support)));
    let other = lonely_cells(&window.data(), "bulk_labels", "CD19+ B")[0];
    window.act(Action::SelectCell(other));
    window.step_while(|w| !legend(w).contains(&"not described, 698 cells".to_owned()));
}

#[test]
fn quality_figures_that_the_file_lacks_are_counted_and_colour_the_cells() {
    let mut window = sample();
    window.act(Action::ColourBy(ColourBy::Quality(QualityFigure::Genes)));
    assert_eq!(window.map(), "UMAP, 700 cells, coloured by Genes seen per cell");
    window.assert_shows(&["Scale of Genes seen per cell from 0 to ", "genes above zero in raw/X"]);
    window.act(Action::ColourBy(ColourBy::Quality(QualityFigure::Mitochondrial)));
    window.assert_shows(&["% of the total in 1 mitochondrial gene"]);
    // The palette knows them, too.
    window.ctrl(Key::K);
    window.type_in("counts per");
    window.key(Key::Enter);
    assert_eq!(window.map(), "UMAP, 700 cells, coloured by Counts per cell");
    // They select by range, as any number does, and the step is one of the history.
    window.run(Command::ShowSets);
    window.assert_shows(&["By Counts per cell"]);
    window.act(Action::SelectRange(-1.0, f32::MAX));
    assert_eq!(window.app().sets().current.len(), 700);
    // Of scaled values there is nothing to count, and the legend says so.
    window.act(Action::UseMatrix(engine::anndata::MatrixKey::X));
    window.assert_shows(&["scaled values (z-scores)"]);
}

#[test]
fn the_mitochondrial_share_of_real_cells_colours_the_map() {
    let Some(path) = shared("data/cells/pbmc3k_seurat.h5ad") else { return };
    let mut window = opened(path);
    window.act(Action::ColourBy(ColourBy::Quality(QualityFigure::Mitochondrial)));
    assert!(window.map().ends_with("coloured by Mitochondrial share"), "{}", window.map());
    window.assert_shows(&["% of the total in 13 mitochondrial genes"]);
}

#[test]
fn a_long_legend_has_all_its_rows() {
    let Some(path) = shared("data/cells/breast_visium_hbca2504.h5ad") else { return };
    let mut window = opened(path);
    let data = window.data();
    let long = data.obs.columns.iter().find(|c| match &c.values {
        engine::anndata::Values::Categorical { categories, .. } => (13..=60).contains(&categories.len()),
        _ => false,
    });
    let Some(long) = long else { return };
    window.act(column(&long.name));
    let Some(first) = legend(&window).first().cloned() else { panic!("no legend") };
    let name = first.rsplit_once(", ").unwrap().0.to_owned();
    window.assert_hides(&["No category fits."]);
    assert!(legend(&window).iter().any(|row| row.starts_with(&name)));
}

#[test]
fn the_legend_follows_cells_that_are_told_again_with_those_around_them() {
    let mut window = sample();
    window.act(Action::ColourBy(ColourBy::Said(Said::CellType)));
    window.run(Command::AnnotateAll);
    let mut told: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    let mut again = 0;
    for cell in 0..700 {
        let description = window.app().description(cell).expect("every cell is described");
        *told.entry(description.claim(ClaimKind::CellType).unwrap().value.clone()).or_default() += 1;
        again += usize::from(description.around.as_ref().is_some_and(|around| around.alone.is_some()));
    }
    assert!(again > 0, "no cell was told another type by those around it");
    let unit = |n: usize| if n == 1 { "cell" } else { "cells" };
    let expected: Vec<String> = told.iter().map(|(name, n)| format!("{name}, {n} {}", unit(*n))).collect();
    assert_eq!(legend(&window), expected);
}

#[test]
fn unassigned_cells_stay_hidden_while_labels_come() {
    let mut window = sample();
    window.act(Action::SelectCategory(5));
    window.act(Action::Edit(Edit::NewColumn("mine".into())));
    let new = |name: &str| Action::Edit(Edit::NewCategory { column: 0, name: name.into(), term: None });
    window.act(new("A"));
    window.act(Action::Edit(Edit::Assign { column: 0, category: Some(0) }));
    window.act(Action::SelectCategory(6));
    window.act(Action::ColourBy(ColourBy::Labels("mine".into())));
    assert_eq!(legend(&window), ["A, 129 cells", "unassigned, 571 cells"]);
    window.act(Action::ToggleCategory(1));
    window.act(new("B"));
    window.act(Action::Edit(Edit::Assign { column: 0, category: Some(1) }));
    assert_eq!(legend(&window), ["A, 129 cells", "B, 95 cells", "unassigned, 476 cells"]);
    assert_eq!(window.app().view().hidden, std::collections::BTreeSet::from([2]));
}
