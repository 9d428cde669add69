//! Panels beside the map: plots and their tables, lists of genes, comparisons, small maps, figures, the layout.

use app::window::{
    Action, ColourBy, Command, CompareSide, CompareSpec, Dialogs, GeneList, Measure, Pane, PlotSettings,
    QualityFigure, ThemeChoice, WindowOptions,
};
use eframe::egui::{Key, Modifiers, Role, pos2};
use egui_kittest::kittest::Queryable as _;
use engine::session::DataSource;

use super::driver::{Window, sample, window};
use super::selecting::{draw, selected};

/// Shows these genes in the plots, by the labels of the sample.
fn plots(genes: &[&str]) -> Action {
    Action::SetPlots(Box::new(PlotSettings {
        genes: genes.iter().map(|g| (*g).to_owned()).collect(),
        group_by: Some("bulk_labels".into()),
        ..PlotSettings::default()
    }))
}

/// Presses the button below a dialog.
fn close_dialog(window: &mut Window) {
    window.press("Close");
}

/// What the pictures of the window say of themselves.
fn image(window: &Window, begins: &str) -> String {
    let names = window.names(Role::Image);
    names.iter().find(|n| n.starts_with(begins)).unwrap_or_else(|| panic!("{begins} in {names:?}")).clone()
}

#[test]
fn a_violin_plot_opens_beside_the_map_asks_for_genes_and_shows_them_with_their_table() {
    let mut window = sample();
    window.key(Key::Num2);
    window.assert_shows(&["No genes yet"]);
    window.0.get_by_role_and_label(Role::TextInput, "Genes to add").focus();
    window.settle();
    window.type_in("LYZ; ENSG00000156738.18, cd20 NOTAGENE");
    window.key(Key::Enter);
    assert_eq!(image(&window, "Violin plot"), "Violin plot of LYZ, MS4A1 over 10 groups, of all 700 cells");
    window.assert_shows(&["Not in this data set: NOTAGENE."]);
    assert!(window.map().starts_with("UMAP, 700 cells"), "the map stays beside it");
    window.press("Table");
    // Read with pandas: the largest LYZ of raw.X among monocytes, and how many they are.
    let row = window.words().into_iter().find(|w| w.starts_with("LYZ, CD14+ Monocyte, 129, ")).unwrap();
    let fields: Vec<&str> = row.split(", ").collect();
    let largest: f32 = fields[8].parse().unwrap();
    assert!((largest - 5.36).abs() < 0.6, "{row}");
    window.press("Table");
    assert!(window.names(Role::Image).iter().any(|n| n.starts_with("Violin plot")));
}

#[test]
fn every_plot_shows_its_numbers_in_words() {
    let mut window = sample();
    window.act(plots(&["LYZ", "CD79A", "NKG7"]));
    for (command, words) in [
        (Command::ShowDotPlot, "Means of LYZ, CD79A, NKG7 over 10 groups, of all 700 cells"),
        (Command::ShowHeatmap, "Means of LYZ, CD79A, NKG7 over 10 groups, of all 700 cells"),
        (Command::ShowHistogram, "Histogram of n_genes"),
        (Command::ShowScatter, "CD79A"),
        (Command::ShowComposition, "10 groups of bulk_labels divided into "),
    ] {
        window.run(command);
        let shown = image(&window, words);
        assert!(shown.ends_with("of all 700 cells"), "{shown}");
    }
    window.act(Action::SetPlots(Box::new(PlotSettings {
        measure: Some(Measure::Gene("LYZ".into())),
        ..PlotSettings::default()
    })));
    window.run(Command::ShowHistogram);
    assert!(image(&window, "Histogram of LYZ: from 0 to 5.3").contains("median"));
}

#[test]
fn plots_leave_out_what_is_hidden_in_the_legend() {
    let mut window = sample();
    window.act(plots(&["LYZ"]));
    window.run(Command::ShowDotPlot);
    window.0.get_by_label("CD14+ Monocyte, 129 cells").click();
    window.settle();
    let shown = image(&window, "Means of LYZ over 9 groups");
    assert!(shown.ends_with("of 571 cells of 700, without hidden categories"), "{shown}");
}

#[test]
fn a_click_on_a_gene_of_a_plot_colours_the_map_by_it() {
    let mut window = sample();
    window.act(plots(&["LYZ"]));
    window.run(Command::ShowHeatmap);
    let rect = window
        .0
        .get_by(|n: &egui_kittest::kittest::AccessKitNode<'_>| {
            n.role() == Role::Image && n.label().is_some_and(|l| l.starts_with("Means of LYZ"))
        })
        .rect();
    // The first cell of the heatmap lies right of the names and below the turned name of the gene.
    let names = 24.0..300.0;
    let mut x = names.start;
    while x < names.end && !window.map().contains("coloured by LYZ") {
        window.click_at(rect.min + eframe::egui::vec2(x, 60.0));
        window.settle();
        x += 16.0;
    }
    assert!(window.map().contains("coloured by LYZ"));
}

#[test]
fn a_pasted_list_is_saved_colours_the_map_by_its_mean_and_says_what_it_misses() {
    let mut window = sample();
    window.key(Key::Num9);
    window.assert_shows(&["Saved lists", "None yet."]);
    window.0.get_by_role_and_label(Role::MultilineTextInput, "Genes of the list").focus();
    window.settle();
    window.type_in("LYZ\tCST3;\nS100A9, xyzzy, ENSG00000090382.7");
    window
        .assert_shows(&["3 genes of this data set, 1 named more than once", "Not in this data set: xyzzy."]);
    window.0.get_by_role_and_label(Role::TextInput, "Name of the list").focus();
    window.settle();
    window.type_in("monocytes");
    window.press("Save list");
    assert!(window.names(Role::Button).iter().any(|n| n == "monocytes, 5 genes"));
    window.press("Colour by mean");
    assert_eq!(window.map(), "UMAP, 700 cells, coloured by monocytes");
    window.press("Maps");
    let maps: Vec<String> =
        window.names(Role::Image).into_iter().filter(|n| n.starts_with("Map of ")).collect();
    assert_eq!(maps.len(), 3, "{maps:?}");
    assert!(maps[0].starts_with("Map of LYZ, values from 0 to 5.36"), "{maps:?}");
}

#[test]
fn columns_and_genes_have_small_maps_with_the_camera_and_the_selection_of_the_large_one() {
    let mut window = sample();
    window.act(Action::SetPlots(Box::new(PlotSettings {
        genes: vec!["LYZ".into()],
        map_columns: vec!["bulk_labels".into(), "percent_mito".into(), "of another file".into()],
        ..PlotSettings::default()
    })));
    window.run(Command::ShowGeneMaps);
    window.settle();
    let maps = |window: &Window| -> Vec<String> {
        window.names(Role::Image).into_iter().filter(|n| n.starts_with("Map of ")).collect()
    };
    let shown = maps(&window);
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert_eq!(shown[0], "Map of bulk_labels, 10 categories");
    assert!(shown[1].starts_with("Map of percent_mito, 0"), "{shown:?}");
    window.act(Action::SelectCategory(5));
    window.assert_shows(&["129 selected cells stand out"]);
    window.0.get_by_role_and_label(Role::Image, &shown[1]).click();
    window.settle();
    assert!(window.map().contains("coloured by percent_mito; 129 selected"), "{}", window.map());
    // The columns are chosen from a menu.
    window.press("Columns of this panel");
    window.0.get_by_role_and_label(Role::CheckBox, "percent_mito").click();
    window.settle();
    assert_eq!(maps(&window).len(), 2);
    window.key(Key::Escape);
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("maps.svg");
    window.act(Action::AskFigure(Pane::GeneMaps));
    window.press("SVG");
    window.act(Action::WriteFigure(Pane::GeneMaps, svg.clone()));
    let text = std::fs::read_to_string(svg).unwrap();
    assert!(text.contains("bulk_labels") && text.contains("LYZ"));
}

#[test]
fn lists_of_genes_are_loaded_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let gmt = folder.path().join("sets.gmt");
    std::fs::write(&gmt, "T\tcells\tCD3D\tCD3E\nB\t\tMS4A1\tCD79A\n").unwrap();
    let csv = folder.path().join("out.csv");
    let mut window = window(WindowOptions {
        open: Some(DataSource::Sample),
        dialogs: Dialogs::Answers { open: Some(gmt), save: Some(csv.clone()) },
        ..WindowOptions::default()
    });
    window.run(Command::ShowGeneLists);
    window.press("Load…");
    window.assert_shows(&["Loaded 2 lists of genes"]);
    window.press("Export…");
    let text = std::fs::read_to_string(csv).unwrap();
    assert!(text.contains("\"T\",\"cells\",\"CD3E\",\"\""), "{text}");
    let broken = folder.path().join("empty.gmt");
    std::fs::write(&broken, "\n").unwrap();
    window.act(Action::ImportGeneLists(broken));
    window.assert_shows(&["The lists of genes were not loaded", "no list of genes was found"]);
}

#[test]
fn two_categories_are_compared_and_a_gene_of_the_table_colours_the_map() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("compared.csv");
    let mut window = window(WindowOptions {
        open: Some(DataSource::Sample),
        dialogs: Dialogs::Answers { open: None, save: Some(csv.clone()) },
        ..WindowOptions::default()
    });
    window.key(Key::Num8);
    window.assert_shows(&["No comparison yet", "No cells are selected."]);
    let side = |name: &str| CompareSide::Category { column: "bulk_labels".into(), name: name.into() };
    window.act(Action::SetComparison(CompareSpec {
        a: side("CD19+ B"),
        b: side("CD14+ Monocyte"),
        welch: false,
    }));
    window.press("Compare");
    window.assert_shows(&["A: CD19+ B (bulk_labels), 95 cells. B: CD14+ Monocyte (bulk_labels), 129 cells."]);
    let genes: Vec<String> =
        window.names(Role::Button).into_iter().filter(|n| n.contains(", score ")).collect();
    assert!(genes[..6].iter().any(|g| g.starts_with("CD79A,")), "{genes:?}");
    window.press(&genes[0].clone());
    let symbol = genes[0].split(',').next().unwrap();
    assert_eq!(window.map(), format!("UMAP, 700 cells, coloured by {symbol}"));
    window.press("Volcano");
    assert!(window.names(Role::Image).iter().any(|n| n.starts_with("Volcano plot of 765 genes")));
    window.press("Export CSV…");
    window.assert_shows(&["Wrote 765 genes to compared.csv"]);
    assert!(std::fs::read_to_string(csv).unwrap().contains("CD79A"));
}

#[test]
fn a_narrow_comparison_leaves_columns_out_and_a_wide_one_shows_all() {
    let mut window = sample();
    let side = |name: &str| CompareSide::Category { column: "bulk_labels".into(), name: name.into() };
    window.act(Action::SetComparison(CompareSpec {
        a: side("CD19+ B"),
        b: side("CD14+ Monocyte"),
        welch: true,
    }));
    window.key(Key::Num8);
    window.act(Action::Compare);
    let sorts = |window: &Window| {
        window.names(Role::Button).into_iter().filter(|n| n.starts_with("Sort by ")).collect::<Vec<_>>()
    };
    for _ in 0..5 {
        window.run(Command::LargerText);
    }
    let narrow = sorts(&window);
    assert!(narrow.len() < 8 && narrow.contains(&"Sort by Score".to_owned()), "{narrow:?}");
    window.run(Command::NormalText);
    window.run(Command::ToggleDataPanel);
    window.run(Command::ToggleCellPanel);
    assert_eq!(sorts(&window).len(), 8);
}

#[test]
fn a_box_in_a_plot_of_two_values_selects_its_cells_on_the_map() {
    let mut window = sample();
    window.act(Action::SetPlots(Box::new(PlotSettings {
        x: Some(Measure::Column("n_genes".into())),
        y: Some(Measure::Column("n_counts".into())),
        coloured: false,
        ..PlotSettings::default()
    })));
    window.run(Command::ShowScatter);
    window.assert_shows(&["Of all 700 cells. Drag a box to select cells."]);
    let is_plot = |n: &egui_kittest::kittest::AccessKitNode<'_>| {
        n.role() == Role::Image && n.label().is_some_and(|l| l.starts_with("n_counts against n_genes"))
    };
    let rect = window.0.get_by(is_plot).rect();
    // The left half of the frame: its margins are 64 points at the left and 20 at the right.
    let (left, right) = (rect.left() + 6.0 + 64.0, rect.left() + 6.0 + rect.width().floor() - 20.0);
    let middle = 0.5 * (left + right);
    let corners = [pos2(left + 2.0, rect.top() + 16.0), pos2(middle, rect.bottom() - 66.0)];
    draw(&mut window, &corners, Modifiers::NONE);
    let data = window.data();
    let column = data.obs.column("n_genes").unwrap();
    let value = |cell: usize| column.number(cell).unwrap();
    let (least, most) = (0..700).map(value).fold((f64::INFINITY, 0.0f64), |(l, h), v| (l.min(v), h.max(v)));
    let (half, slack) = (0.5 * (least + most), 0.01 * (most - least));
    let chosen = selected(&window);
    assert!(!chosen.is_empty() && chosen.len() < 700, "{}", chosen.len());
    for cell in 0..700 {
        let is_in = chosen.contains(&cell);
        let want = value(cell) <= half;
        assert!(is_in == want || (value(cell) - half).abs() < slack, "cell {cell}: {}", value(cell));
    }
    // What is not selected stays in the plot, and the frame where it is.
    window.assert_shows(&[&format!("Of {} selected cells of 700. Drag a box", chosen.len())]);
    let rest = [pos2(middle, rect.top() + 16.0), pos2(right - 2.0, rect.bottom() - 66.0)];
    draw(&mut window, &rest, Modifiers::SHIFT);
    assert_eq!(selected(&window).len(), 700);
    window.ctrl(Key::Z);
    assert_eq!(selected(&window), chosen);
    window.run(Command::ShowHistory);
    window.assert_shows(&["Box in n_counts by n_genes"]);
}

#[test]
fn quality_figures_are_plotted_without_being_in_the_file() {
    let mut window = sample();
    window.act(Action::SetPlots(Box::new(PlotSettings {
        measure: Some(Measure::Quality(QualityFigure::Genes)),
        x: Some(Measure::Quality(QualityFigure::Counts)),
        y: Some(Measure::Quality(QualityFigure::Mitochondrial)),
        ..PlotSettings::default()
    })));
    window.run(Command::ShowHistogram);
    assert!(image(&window, "Histogram of Genes seen per cell: from ").ends_with("of all 700 cells"));
    // The sample holds few genes, one of them mitochondrial: the axis says so.
    window.run(Command::ShowScatter);
    let shown =
        image(&window, "Mitochondrial share, % of the total in 1 mitochondrial gene against Counts per cell");
    assert!(shown.ends_with("of all 700 cells"), "{shown}");
}

#[test]
fn the_map_and_the_plots_are_saved_as_figures_that_say_what_they_rest_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = sample();
    window.act(plots(&["LYZ", "MS4A1"]));
    window.run(Command::ShowDotPlot);
    for (pane, words) in [(Pane::Map, "CD14+ Monocyte"), (Pane::DotPlot, "MS4A1")] {
        let svg = folder.path().join(format!("{pane:?}.svg"));
        window.act(Action::AskFigure(pane));
        window.press("SVG");
        window.act(Action::WriteFigure(pane, svg.clone()));
        let text = std::fs::read_to_string(&svg).unwrap();
        assert!(text.contains(&format!(">{words}</text>")), "{pane:?} holds its text");
        assert!(text.contains("Source: PBMC sample"), "{pane:?}");
        close_dialog(&mut window);
        window.assert_shows(&["Saved the figure as "]);
    }
    window.act(Action::AskFigure(Pane::Map));
    window.press("PNG");
    let png = folder.path().join("map.png");
    window.act(Action::WriteFigure(Pane::Map, png.clone()));
    let picture = image::open(png).unwrap();
    assert_eq!((picture.width(), picture.height()), (2126, 1417), "180 × 120 mm at 300 dpi");
    window.press("PDF");
    let pdf = folder.path().join("map.pdf");
    window.act(Action::WriteFigure(Pane::Map, pdf.clone()));
    assert!(std::fs::read(pdf).unwrap().starts_with(b"%PDF-1"));
    close_dialog(&mut window);
    window.run(Command::ExportFigure);
    window.assert_shows(&["Figure of the map", "More than 20,000 points become pixels"]);
}

#[test]
fn panes_are_closed_and_the_layout_is_reset() {
    let mut window = sample();
    window.run(Command::ShowViolin);
    window.run(Command::ShowCellList);
    window.0.get_by_role_and_label(Role::TextInput, "Find a cell by name or value").focus();
    window.settle();
    window.type_in("cd56+ nk");
    window.assert_shows(&["31 cells"]);
    // Each cross says what it closes.
    let crosses: Vec<String> =
        window.names(Role::Button).into_iter().filter(|n| n.starts_with("Close ")).collect();
    assert_eq!(crosses, ["Close Map", "Close List", "Close Violin plot"]);
    window.press("Close List");
    assert!(window.map().starts_with("UMAP"));
    assert!(!window.names(Role::Button).iter().any(|n| n == "Close List"));
    window.run(Command::ShowHistogram);
    assert!(window.names(Role::Button).iter().any(|n| n == "Violin plot"), "plots are tabs of one place");
    window.run(Command::ResetLayout);
    assert!(!window.names(Role::Button).iter().any(|n| n == "Histogram"));
    assert!(window.map().starts_with("UMAP"));
}

#[test]
fn genes_come_before_scattered_letters_in_the_palette() {
    let mut window = sample();
    window.act(Action::ColourBy(ColourBy::Column("louvain".into())));
    window.ctrl(Key::P);
    window.type_in("cd20");
    window.key(Key::Enter);
    assert_eq!(window.map(), "UMAP, 700 cells, coloured by MS4A1");
    window.act(Action::SaveGeneList(GeneList {
        name: "T".into(),
        description: String::new(),
        genes: vec!["CD3D".into()],
    }));
}

/// Pictures for the eye: run with `PANEL_PICTURES=folder`.
#[test]
fn pictures_of_panels_for_the_eye() {
    let Ok(folder) = std::env::var("PANEL_PICTURES") else { return };
    for theme in [ThemeChoice::Light, ThemeChoice::Dark] {
        let mut window = window(WindowOptions {
            open: Some(DataSource::Sample),
            theme: Some(theme),
            ..WindowOptions::default()
        });
        let save = |window: &mut Window, name: &str| {
            window.0.remove_cursor();
            window.settle();
            let path = format!("{folder}/{name}_{theme:?}.png");
            window.0.render().unwrap().save(path).unwrap();
        };
        window.run(Command::ToggleCellPanel);
        window.run(Command::ShowViolin);
        save(&mut window, "empty");
        window.act(plots(&["LYZ", "CD79A", "NKG7", "CST3", "IL32"]));
        save(&mut window, "violin");
        for (command, name) in [
            (Command::ShowDotPlot, "dots"),
            (Command::ShowHeatmap, "heat"),
            (Command::ShowHistogram, "histogram"),
            (Command::ShowScatter, "scatter"),
            (Command::ShowComposition, "composition"),
            (Command::ShowGeneMaps, "maps"),
            (Command::ShowGeneLists, "lists"),
            (Command::ShowComparison, "comparison_empty"),
        ] {
            window.run(command);
            save(&mut window, name);
        }
        let side = |name: &str| CompareSide::Category { column: "bulk_labels".into(), name: name.into() };
        window.act(Action::SetComparison(CompareSpec {
            a: side("CD19+ B"),
            b: side("CD14+ Monocyte"),
            welch: false,
        }));
        window.act(Action::Compare);
        save(&mut window, "comparison");
        window.press("Volcano");
        save(&mut window, "volcano");
        window.act(Action::AskFigure(Pane::Map));
        save(&mut window, "dialog");
        for (pane, name) in [(Pane::Map, "map"), (Pane::GeneMaps, "maps")] {
            window.act(Action::WriteFigure(pane, format!("{folder}/figure_{name}_{theme:?}.png").into()));
        }
    }
}

#[test]
fn small_maps_have_a_table_of_all_cells_or_of_the_selected_ones() {
    let mut window = sample();
    window.act(Action::SetPlots(Box::new(PlotSettings {
        genes: vec!["LYZ".into(), "NKG7".into()],
        map_columns: vec!["bulk_labels".into()],
        ..PlotSettings::default()
    })));
    window.run(Command::ShowGeneMaps);
    window.press("Table");
    window.assert_shows(&["700 cells", "Cell, bulk_labels, LYZ, NKG7"]);
    // Read with anndata: the first cell, its label, and raw.X of both genes: 2.812 and 0.
    window.assert_shows(&["AAAGCCTGGCTAAC-1, CD14+ Monocyte, 2.81, 0"]);
    window.act(Action::SelectCategory(6));
    let chosen = selected(&window).len();
    window.assert_shows(&[&format!("{chosen} selected cells")]);
    let rows = |window: &Window| {
        let words = window.words().into_iter();
        words.filter(|w| w.matches(", ").count() == 3 && w.contains("-")).collect::<Vec<_>>()
    };
    let shown = rows(&window);
    assert!(shown.len() > 5 && shown.iter().all(|row| row.contains(", CD19+ B, ")), "{shown:?}");
    window.press(&shown[2]);
    let name = shown[2].split(", ").next().unwrap().to_owned();
    let cell = window.data().obs.index.iter().position(|n| *n == name);
    assert_eq!(window.app().selected_cell(), cell);
    // The graph of its type has a table, too.
    window.run(Command::ToggleOntology);
    window.press("Table");
    assert!(window.names(Role::Image).iter().any(|n| n.starts_with("Map of LYZ")));
}
