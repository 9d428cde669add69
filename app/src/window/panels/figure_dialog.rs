//! How a figure is written: format, size, resolution, ground, legend.

use eframe::egui::{DragValue, Grid, RichText, Ui};

use super::super::command::Action;
use super::super::dock::Pane;
use super::super::figure::{Format, Ground, MAX_POINTS, png};
use super::super::map::grouped;
use super::super::theme::{Tokens, space};
use super::widgets::{muted, primary_button};
use super::{Out, Scope};

/// Paints the dialog.
pub fn figure_dialog_ui(ui: &mut Ui, pane: Pane, scope: &Scope<'_>, out: Out<'_>) {
    let t = Tokens::of(ui);
    ui.set_width(400.0);
    ui.label(RichText::new(format!("Figure of {}", name(pane))).heading().color(t.text_strong));
    ui.add_space(space::M);
    let before = scope.saved.figure;
    let mut figure = before;
    Grid::new("figure").num_columns(2).spacing([16.0, 10.0]).show(ui, |ui| {
        ui.label("Format");
        ui.horizontal(|ui| {
            for format in Format::ALL {
                ui.selectable_value(&mut figure.format, format, format.text());
            }
        });
        ui.end_row();
        ui.label("Size");
        ui.horizontal(|ui| {
            let side = |v| DragValue::new(v).range(20.0..=500.0).speed(1.0).suffix(" mm").max_decimals(0);
            ui.name_inputs("Width", |ui| ui.add(side(&mut figure.width_mm)));
            ui.label("×");
            ui.name_inputs("Height", |ui| ui.add(side(&mut figure.height_mm)));
        });
        ui.end_row();
        ui.label("Resolution");
        ui.horizontal(|ui| {
            let value =
                DragValue::new(&mut figure.dpi).range(72.0..=600.0).speed(2.0).suffix(" dpi").max_decimals(0);
            ui.name_inputs("Resolution", |ui| ui.add(value));
            for dpi in [150.0, 300.0, 600.0] {
                ui.selectable_value(&mut figure.dpi, dpi, format!("{dpi:.0}"));
            }
        });
        ui.end_row();
        ui.label("Ground");
        ui.horizontal(|ui| {
            for ground in Ground::ALL {
                ui.selectable_value(&mut figure.ground, ground, ground.text());
            }
        });
        ui.end_row();
        if matches!(pane, Pane::Map | Pane::GeneMaps) {
            ui.label("Legend");
            ui.checkbox(&mut figure.legend, "Beside the map");
            ui.end_row();
        }
    });
    ui.add_space(space::S);
    let [width, height] = figure.pixels();
    let text = match figure.format {
        Format::Png => format!("{} × {} pixels.", grouped(width as i64), grouped(height as i64)),
        Format::Svg | Format::Pdf => format!(
            "Text stays text. More than {} points become pixels of {:.0} dpi.",
            grouped(MAX_POINTS as i64),
            figure.dpi
        ),
    };
    muted(ui, text);
    muted(ui, "The file also says what it shows: program, source file with its hash, colours, date.");
    ui.add_space(space::M);
    let too_large = figure.format == Format::Png && width.max(height) > png::MAX_SIDE;
    if too_large {
        let text = format!("At most {} pixels along one side.", grouped(png::MAX_SIDE as i64));
        ui.label(RichText::new(text).small().color(t.warn));
    }
    ui.add_enabled_ui(!too_large, |ui| {
        if primary_button(ui, "Export…").clicked() {
            out.push(Action::ChooseFigureFile(pane));
        }
    });
    if figure != before {
        out.push(Action::SetFigure(figure.sane()));
    }
}

/// The pane in a sentence.
fn name(pane: Pane) -> String {
    match pane {
        Pane::Map => "the map".to_owned(),
        Pane::Comparison => "the volcano plot".to_owned(),
        Pane::GeneMaps => "the small maps".to_owned(),
        _ => format!("the {}", pane.title().to_lowercase()),
    }
}
