//! Changing a name where it stands.

use eframe::egui::{self, Key, TextEdit, Ui};

use super::super::document::MAX_NAME;
use super::Local;

/// A name that is being changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renaming {
    /// Whose name, as "set 3".
    pub key: String,
    /// The name so far.
    pub text: String,
    /// Whether the field has had the keyboard.
    pub begun: bool,
}

impl Local {
    /// Begins to change a name.
    pub fn rename(&mut self, key: String, name: &str) {
        self.renaming = Some(Renaming { key, text: name.to_owned(), begun: false });
    }

    /// Whether this name is being changed.
    pub fn renames(&self, key: &str) -> bool {
        self.renaming.as_ref().is_some_and(|r| r.key == key)
    }
}

/// Paints the field and returns the name once it was entered. Escape leaves it as it was.
pub fn rename_ui(ui: &mut Ui, local: &mut Local, width: f32, what: &str) -> Option<String> {
    let renaming = local.renaming.as_mut()?;
    let response = ui
        .add(TextEdit::singleline(&mut renaming.text).desired_width(width).char_limit(MAX_NAME))
        .accessible_name(what);
    if !renaming.begun {
        renaming.begun = true;
        response.request_focus();
        select_all(ui, &response, &renaming.text);
        return None;
    }
    if ui.input(|i| i.key_pressed(Key::Escape)) {
        local.renaming = None;
        return None;
    }
    if response.lost_focus() {
        return local.renaming.take().map(|r| r.text);
    }
    None
}

/// Selects the whole text, so that typing replaces it.
fn select_all(ui: &Ui, response: &egui::Response, text: &str) {
    let mut state = egui::text_edit::TextEditState::load(ui.ctx(), response.id).unwrap_or_default();
    let end = egui::text::CCursor::new(text.chars().count());
    let range = egui::text::CCursorRange::two(egui::text::CCursor::new(0), end);
    state.cursor.set_char_range(Some(range));
    state.store(ui.ctx(), response.id);
}
