//! The list of models: what each is and needs, and which one describes cells.

use eframe::egui::{
    Align, Frame, Label, Layout, Margin, ProgressBar, RichText, ScrollArea, Spinner, Stroke, Ui, vec2,
};
use engine::model::InstalledModel;

use super::super::command::Action;
use super::super::models::{Fit, Found, Listed, folder_name};
use super::super::theme::{Tokens, space, strong_style};
use super::widgets::{muted, quiet_button, warning_triangle};
use super::{Out, Scope};
use crate::models::{parameters, size};

/// Paints the list.
pub fn models_ui(ui: &mut Ui, scope: &Scope<'_>, out: Out<'_>) {
    let t = Tokens::of(ui);
    let screen = ui.ctx().content_rect();
    ui.set_width(580.0_f32.min(screen.width() - 88.0));
    ui.label(RichText::new("Models").heading().color(t.text_strong));
    muted(
        ui,
        "One of them describes cells. All run on this computer and send nothing. The one in use stays until another is \
         ready.",
    );
    ui.add_space(space::M);
    let Some(found) = scope.models.found() else {
        ui.horizontal(|ui| {
            ui.add(Spinner::new().size(14.0).color(t.text_muted));
            ui.label(RichText::new("Looking for models").color(t.text_muted));
        });
        return;
    };
    let height = (screen.height() - 280.0).max(140.0);
    ScrollArea::vertical().max_height(height).auto_shrink([false, true]).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::S;
        for listed in &found.list {
            Frame::new()
                .fill(t.raised)
                .stroke(Stroke::new(1.0, if is_in_use(listed, scope) { t.accent } else { t.line }))
                .corner_radius(6)
                .inner_margin(Margin::symmetric(12, 8))
                .show(ui, |ui| model_ui(ui, listed, found, scope, out));
        }
    });
    ui.add_space(space::S);
    ui.horizontal(|ui| {
        if quiet_button(ui, "Add a folder…")
            .on_hover_text("List a model that lies in another folder.")
            .clicked()
        {
            out.push(Action::AskModelFolder);
        }
        muted(ui, where_words(found));
    });
}

fn is_in_use(listed: &Listed, scope: &Scope<'_>) -> bool {
    listed.folder == scope.work.model_folder
}

/// Where models compute, and what is free there.
fn where_words(found: &Found) -> String {
    let free = match found.free_bytes {
        _ if found.on_gpu => "How much of its memory is free is not known".to_owned(),
        Some(bytes) => format!("{} of memory are free", size(bytes)),
        None => "How much memory is free is not known here".to_owned(),
    };
    format!("{free}. Models run on {}.", if found.on_gpu { found.device.as_str() } else { "the processor" })
}

fn model_ui(ui: &mut Ui, listed: &Listed, found: &Found, scope: &Scope<'_>, out: Out<'_>) {
    let t = Tokens::of(ui);
    ui.spacing_mut().item_spacing.y = 2.0;
    let name = match &listed.model {
        Ok(model) => model.name.clone(),
        Err(_) => folder_name(listed.folder.as_deref()),
    };
    ui.horizontal(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            choice_ui(ui, listed, &name, scope, out);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let text = RichText::new(&name).text_style(strong_style()).color(t.text_strong);
                ui.add(Label::new(text).truncate());
            });
        });
    });
    match &listed.model {
        Ok(model) => {
            muted(ui, facts(model));
            need_ui(ui, model, found, is_in_use(listed, scope) && scope.work.model.is_some());
        }
        Err(why) => {
            ui.horizontal_top(|ui| {
                let (rect, _) = ui.allocate_exact_size(vec2(12.0, 14.0), eframe::egui::Sense::hover());
                warning_triangle(ui, rect.center(), t.warn);
                ui.add(Label::new(RichText::new(why).small().color(t.text)).wrap().selectable(true));
            });
        }
    }
    // Of those in the folder of models the name alone is enough, as on the command line.
    if let Some(folder) = listed.folder.as_deref().filter(|_| listed.model.is_ok()) {
        let path = folder.display().to_string();
        let text = if listed.added { path.clone() } else { format!("Folder {}", folder_name(Some(folder))) };
        ui.add(Label::new(RichText::new(text).small().color(t.text_muted)).truncate()).on_hover_text(path);
    }
}

/// At the end of a model's line: whether it is in use, on its way, or can be chosen.
fn choice_ui(ui: &mut Ui, listed: &Listed, name: &str, scope: &Scope<'_>, out: Out<'_>) {
    let t = Tokens::of(ui);
    let on_its_way = scope.work.choosing.as_ref().filter(|c| c.load && c.folder == listed.folder);
    if let Some(choosing) = on_its_way {
        if quiet_button(ui, "Stop").on_hover_text("Stop loading. The model in use stays.").clicked() {
            out.push(Action::CancelJob(choosing.job));
        }
        match scope.work.jobs.iter().find(|job| job.id == choosing.job) {
            Some(job) => {
                let progress = job.progress.as_ref();
                let share = progress.and_then(|p| Some(p.done as f32 / p.total.filter(|n| *n > 0)? as f32));
                let bar = ProgressBar::new(share.unwrap_or(0.0)).desired_width(120.0).desired_height(6.0);
                let what = progress.map_or("Loading", |p| p.what.as_str());
                ui.add(bar.fill(t.accent)).on_hover_text(what).accessible_name(what);
            }
            None => {
                muted(ui, "Waits for the running work");
            }
        }
        return;
    }
    if is_in_use(listed, scope) {
        ui.label(RichText::new("In use").small().color(t.accent));
    } else if listed.model.is_ok() && quiet_button(ui, "Use").accessible_name(format!("Use {name}")).clicked()
    {
        out.push(Action::UseModel(listed.folder.clone()));
    }
    if let Some(folder) = listed.folder.as_ref().filter(|_| listed.added && !is_in_use(listed, scope)) {
        let forget = quiet_button(ui, "Forget").on_hover_text("List it no more. The folder stays as it is.");
        if forget.accessible_name(format!("Forget {name}")).clicked() {
            out.push(Action::ForgetModel(folder.clone()));
        }
    }
}

/// Size, kind and licence in one line.
fn facts(model: &InstalledModel) -> String {
    let bits = match model.bits {
        Some(bits) => bits.to_string(),
        // A GGUF file has few bits without saying so in the manifest.
        None if model.bytes_in_memory < 3 * model.parameters => {
            format!("{:.0} bits", model.bytes_in_memory as f64 * 8.0 / model.parameters.max(1) as f64)
        }
        None => "32 bits".to_owned(),
    };
    let reads = if model.reads_sentences { "names cell types from gene symbols" } else { "describes cells" };
    format!("{}, {bits} · {reads} · licence {}", parameters(model.parameters), model.licence)
}

/// What memory it needs, and whether that is there.
fn need_ui(ui: &mut Ui, model: &InstalledModel, found: &Found, loaded: bool) {
    let t = Tokens::of(ui);
    let need = model.needs();
    let of = if found.on_gpu { "of the graphics card's memory" } else { "of memory" };
    let parts = format!(
        "{} of weights, {} while it reads and writes a cell",
        size(need.saturating_sub(model.cache_bytes)),
        size(model.cache_bytes)
    );
    if loaded {
        muted(ui, format!("Has {} {of}: {parts}.", size(need)));
    } else if found.fit(model) == Fit::TooLarge {
        let free = found.free_bytes.unwrap_or(0);
        ui.horizontal_top(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(12.0, 14.0), eframe::egui::Sense::hover());
            warning_triangle(ui, rect.center(), t.warn);
            let text = format!(
                "Needs {} {of}, and {} are free: loading may fail, or slow everything down. {parts}.",
                size(need),
                size(free)
            );
            ui.add(Label::new(RichText::new(text).small().color(t.text)).wrap());
        });
    } else {
        muted(ui, format!("Needs {} {of}: {parts}.", size(need)));
    }
}
