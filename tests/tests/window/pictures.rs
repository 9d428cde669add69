//! Pictures of the window, compared pixel by pixel with those in `tests/snapshots`.
//!
//! None shows what a model said, so that a model trained anew leaves them as they are. After a change that is meant,
//! `UPDATE_SNAPSHOTS=1 cargo test --workspace --test window pictures` writes them anew: look at each one.

use app::window::{
    Action, ColourBy, Combine, Command, CompareSide, CompareSpec, Edit, Measure, PlotSettings, QualityFigure,
    Saved, ThemeChoice, WindowOptions,
};
use eframe::egui::{Key, vec2};
use engine::session::{DataSource, Settings};

use super::choosing;
use super::driver::{Window, lonely_cells, window};

/// Real graphics drivers round the edges of points differently: the stored pictures are of a software one.
fn is_software(window: &Window) -> bool {
    let drawn_by =
        window.words().into_iter().find(|words| words.starts_with("Drawn by ")).unwrap_or_default();
    if drawn_by.contains("software") {
        return true;
    }
    tests::skipped(&format!(
        "pictures are compared on software Vulkan only, and this window is \"{drawn_by}\""
    ));
    false
}

/// Compares the window with its picture; without the pointer, and without the adapter's name.
#[track_caller]
fn compare(window: &mut Window, name: &str) {
    window.0.remove_cursor();
    window.settle();
    if is_software(window) {
        // With larger text there are fewer points, and the bar stands elsewhere in them.
        let points = window.0.ctx.content_rect();
        let (corner, size) = (points.right_bottom() - vec2(240.0, 28.0), vec2(236.0, 22.0));
        window.0.mask(eframe::egui::Rect::from_min_size(corner, size));
        window.0.snapshot(name);
    }
}

/// Compares the window with its pictures in light and in dark, and leaves it light.
#[track_caller]
fn compare_both(window: &mut Window, name: &str) {
    window.run(Command::ThemeLight);
    compare(window, &format!("{name}_light"));
    window.run(Command::ThemeDark);
    compare(window, &format!("{name}_dark"));
    window.run(Command::ThemeLight);
}

/// A window on the sample that has no model, so that it says nothing that a model said.
fn without_model(theme: ThemeChoice) -> Window {
    window(WindowOptions {
        open: Some(DataSource::Sample),
        settings: Settings { model: Some("no-such-model".into()), ..Settings::default() },
        theme: Some(theme),
        ..WindowOptions::default()
    })
}

#[test]
fn pictures_of_the_first_page() {
    let mut window = window(WindowOptions { theme: Some(ThemeChoice::Light), ..WindowOptions::default() });
    compare_both(&mut window, "welcome");
}

#[test]
fn pictures_of_the_sample_light_and_dark() {
    let mut window = without_model(ThemeChoice::Light);
    compare_both(&mut window, "sample");
}

#[test]
fn pictures_of_a_cell_its_record_and_a_term_of_the_ontology() {
    let mut window = without_model(ThemeChoice::Light);
    window.act(Action::Run(Command::FindGene));
    window.type_in("LYZ");
    window.key(Key::Enter);
    let cell = lonely_cells(&window.data(), "bulk_labels", "CD14+ Monocyte")[0];
    window.act(Action::SelectCell(cell));
    window.press("Dismiss");
    window.act(Action::ShowTerm("CL:0000576".into()));
    compare_both(&mut window, "cell");
}

#[test]
fn pictures_of_a_selection_its_sets_and_labels_by_hand() {
    let mut window = without_model(ThemeChoice::Light);
    for (row, name) in [(5, "CD14 monocytes"), (6, "B cells"), (9, "Dendritic cells of both batches")] {
        window.act(Action::SelectCategory(row));
        window.act(Action::Edit(Edit::SaveSet(name.into())));
    }
    window.act(Action::SelectSet(0, Combine::Add));
    window.run(Command::LassoTool);
    window.run(Command::ShowSets);
    compare(&mut window, "sets_light");
    window.run(Command::ThemeDark);
    window.run(Command::FindGene);
    window.type_in("LYZ");
    window.key(Key::Enter);
    window.act(Action::SelectRange(3.0, 6.0));
    compare(&mut window, "sets_dark");

    window.act(Action::ColourBy(ColourBy::Column("bulk_labels".into())));
    for (row, name) in [(5, "monocyte"), (6, "B cell"), (8, "odd ones")] {
        window.act(Action::SelectCategory(row));
        window.run(Command::LabelCells);
        window.type_in(name);
        window.key(Key::Enter);
        window.act(Action::ColourBy(ColourBy::Column("bulk_labels".into())));
    }
    window.act(Action::ColourBy(ColourBy::Labels("cell_type_by_hand".into())));
    window.run(Command::LabelCells);
    window.type_in("natural k");
    compare_both(&mut window, "labels");
    window.run(Command::ShowHistory);
    compare_both(&mut window, "history");
}

#[test]
fn pictures_of_a_file_that_cannot_be_opened() {
    let mut window = without_model(ThemeChoice::Light);
    // A relative path: the message must not depend on where the repository lies.
    window.drop_file("tests/window/notes.h5ad");
    compare_both(&mut window, "error");
}

#[test]
fn pictures_of_plots_and_a_comparison_beside_the_map() {
    let mut window = without_model(ThemeChoice::Light);
    window.run(Command::ToggleCellPanel);
    window.act(Action::SetPlots(Box::new(PlotSettings {
        genes: ["LYZ", "CD79A", "NKG7", "CST3", "IL32"].map(str::to_owned).to_vec(),
        group_by: Some("bulk_labels".into()),
        x: Some(Measure::Quality(QualityFigure::Counts)),
        y: Some(Measure::Quality(QualityFigure::Genes)),
        ..PlotSettings::default()
    })));
    window.run(Command::ShowDotPlot);
    compare_both(&mut window, "dots");
    window.run(Command::ShowViolin);
    compare_both(&mut window, "violin");
    window.run(Command::ShowGeneMaps);
    compare_both(&mut window, "small_maps");
    window.act(Action::ColourBy(ColourBy::Quality(QualityFigure::Genes)));
    window.act(Action::SelectRange(300.0, 5_000.0));
    window.run(Command::ShowScatter);
    compare_both(&mut window, "scatter");
    window.key(Key::D);
    let side = |name: &str| CompareSide::Category { column: "bulk_labels".into(), name: name.into() };
    window.act(Action::SetComparison(CompareSpec {
        a: side("CD19+ B"),
        b: side("CD14+ Monocyte"),
        welch: false,
    }));
    window.run(Command::ShowComparison);
    window.act(Action::Compare);
    compare_both(&mut window, "comparison");
}

#[test]
fn pictures_of_a_hundred_terms_of_the_ontology() {
    let mut window = without_model(ThemeChoice::Light);
    // A fibroblast has some forty kinds, and as many cells stand beside it.
    window.act(Action::ShowTerm("CL:0000057".into()));
    window.run(Command::WholeOntology);
    compare_both(&mut window, "ontology");
}

#[test]
fn pictures_of_the_models_to_choose_from() {
    let root = tempfile::tempdir().unwrap();
    let models = choosing::lay_out(root.path());
    std::fs::create_dir_all(models.join("broken")).unwrap();
    std::fs::write(models.join("broken/cell2text.toml"), "format = 1").unwrap();
    let mut window = choosing::with_models(&models, ThemeChoice::Light, &Saved::default());
    window.run(Command::ShowModels);
    compare(&mut window, "models_light");
    window.press("Close");
    window.run(Command::ThemeDark);
    window.run(Command::ShowModels);
    compare(&mut window, "models_dark");
}

#[test]
fn pictures_of_twice_the_size_in_a_small_window() {
    let mut window = without_model(ThemeChoice::Light);
    for _ in 0..7 {
        window.run(Command::LargerText);
    }
    compare(&mut window, "large_light");
    window.run(Command::ThemeDark);
    window.run(Command::ShowHistogram);
    compare(&mut window, "large_dark");
}

#[test]
fn pictures_of_the_list_the_palette_and_the_shortcuts() {
    let mut window = without_model(ThemeChoice::Light);
    window.act(Action::ColourBy(ColourBy::Column("bulk_labels".into())));
    window.key(Key::L);
    compare_both(&mut window, "list");
    window.run(Command::ShowPalette);
    window.type_in("sel");
    compare_both(&mut window, "palette");
    window.key(Key::Escape);
    window.key(Key::F1);
    compare_both(&mut window, "shortcuts");
}
