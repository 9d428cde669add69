//! Design tokens: every colour, size and space of the chrome, for light and dark.
//!
//! The chrome is grey; colour is kept for the data, for the one accent that marks what can be acted on, and for
//! warnings. Text colours keep a contrast of at least 4.5:1 on the surfaces they are used on (WCAG AA); a test
//! checks it.

use eframe::egui;
use egui::{Color32, CornerRadius, FontFamily, FontId, Margin, Shadow, Stroke, TextStyle, Vec2};
use serde::{Deserialize, Serialize};

/// Light, dark, or what the system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThemeChoice {
    /// Follow the system.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl ThemeChoice {
    /// The preference egui understands.
    pub fn preference(self) -> egui::ThemePreference {
        match self {
            Self::System => egui::ThemePreference::System,
            Self::Light => egui::ThemePreference::Light,
            Self::Dark => egui::ThemePreference::Dark,
        }
    }
}

/// Spaces, in points: a grid of four.
pub mod space {
    /// Between a symbol and its text.
    pub const XS: f32 = 4.0;
    /// Between rows that belong together.
    pub const S: f32 = 8.0;
    /// Inside panels.
    pub const M: f32 = 12.0;
    /// Between sections.
    pub const L: f32 = 20.0;
}

/// The text style of a page title.
pub fn title_style() -> TextStyle {
    TextStyle::Name("title".into())
}

/// The text style of section headings and of values that matter: running text, semibold.
pub fn strong_style() -> TextStyle {
    TextStyle::Name("strong".into())
}

/// The semibold family.
fn strong_family() -> FontFamily {
    FontFamily::Name("strong".into())
}

/// Colours of one theme.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tokens {
    /// Whether this is the dark theme.
    pub dark: bool,
    /// Behind the map and the ontology graph.
    pub canvas: Color32,
    /// Panels and bars.
    pub panel: Color32,
    /// Cards and fields on a panel, menus, dialogs.
    pub raised: Color32,
    /// Quiet fill of buttons and chips.
    pub control: Color32,
    /// The same, pointed at.
    pub control_hover: Color32,
    /// Hairlines.
    pub line: Color32,
    /// Outlines of controls.
    pub outline: Color32,
    /// Headings and values.
    pub text_strong: Color32,
    /// Running text.
    pub text: Color32,
    /// Labels and explanations.
    pub text_muted: Color32,
    /// What can be acted on, and the selection.
    pub accent: Color32,
    /// Text on the accent.
    pub on_accent: Color32,
    /// A selected row.
    pub accent_soft: Color32,
    /// A doubt or a note of caution.
    pub warn: Color32,
    /// Behind a warning.
    pub warn_soft: Color32,
    /// An error.
    pub error: Color32,
    /// A claim that the cell's own genes support.
    pub good: Color32,
    /// Cells without a value.
    pub missing: Color32,
    /// Bars that show a magnitude in a panel.
    pub bar: Color32,
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

/// The dark theme.
pub const DARK: Tokens = Tokens {
    dark: true,
    canvas: rgb(0x14_16_19),
    panel: rgb(0x1B_1E_22),
    raised: rgb(0x24_28_2D),
    control: rgb(0x2C_31_37),
    control_hover: rgb(0x37_3D_45),
    line: rgb(0x2E_33_39),
    outline: rgb(0x43_4A_53),
    text_strong: rgb(0xF2_F4_F6),
    text: rgb(0xD5_DA_E0),
    text_muted: rgb(0x9A_A4_AF),
    accent: rgb(0x7F_B4_E6),
    on_accent: rgb(0x10_1B_26),
    accent_soft: rgb(0x24_3A_4F),
    warn: rgb(0xE8_B2_5A),
    warn_soft: rgb(0x38_2F_1F),
    error: rgb(0xF0_8A_82),
    good: rgb(0x7C_C4_9B),
    missing: rgb(0x4A_50_58),
    bar: rgb(0x6E_86_9E),
};

/// The light theme.
pub const LIGHT: Tokens = Tokens {
    dark: false,
    canvas: rgb(0xFF_FF_FF),
    panel: rgb(0xF6_F7_F8),
    raised: rgb(0xFF_FF_FF),
    control: rgb(0xE9_EC_EF),
    control_hover: rgb(0xDD_E1_E6),
    line: rgb(0xE1_E4_E8),
    outline: rgb(0xC3_C9_D0),
    text_strong: rgb(0x14_18_1D),
    text: rgb(0x2B_32_3A),
    text_muted: rgb(0x5A_64_6F),
    accent: rgb(0x1F_62_A6),
    on_accent: rgb(0xFF_FF_FF),
    accent_soft: rgb(0xD8_E8_F7),
    warn: rgb(0x8A_56_00),
    warn_soft: rgb(0xFB_F1_DC),
    error: rgb(0xB3_26_1E),
    good: rgb(0x1D_6B_42),
    missing: rgb(0xC9_CE_D4),
    bar: rgb(0x8A_A2_BA),
};

impl Tokens {
    /// The tokens of the theme that `ui` is painted in.
    pub fn of(ui: &egui::Ui) -> &'static Self {
        Self::for_dark(ui.visuals().dark_mode)
    }

    /// The tokens of the dark theme or of the light one.
    pub fn for_dark(dark: bool) -> &'static Self {
        if dark { &DARK } else { &LIGHT }
    }
}

/// Source Sans Pro under the SIL Open Font License, beside its licence. egui's own fonts stay behind it for the
/// characters it lacks.
fn fonts() -> egui::FontDefinitions {
    let mut fonts = egui::FontDefinitions::default();
    let regular: &'static [u8] = include_bytes!("fonts/SourceSansPro-Regular.ttf");
    let semibold: &'static [u8] = include_bytes!("fonts/SourceSansPro-Semibold.ttf");
    let behind = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    for (name, bytes, family) in
        [("regular", regular, FontFamily::Proportional), ("semibold", semibold, strong_family())]
    {
        fonts.font_data.insert(name.to_owned(), std::sync::Arc::new(egui::FontData::from_static(bytes)));
        let names = std::iter::once(name.to_owned()).chain(behind.iter().cloned()).collect();
        fonts.families.insert(family, names);
    }
    fonts
}

/// Hands the fonts and both themes to egui.
pub fn install(ctx: &egui::Context) {
    ctx.set_fonts(fonts());
    for (theme, tokens) in [(egui::Theme::Dark, &DARK), (egui::Theme::Light, &LIGHT)] {
        ctx.style_mut_of(theme, |style| apply(style, tokens));
    }
    // The View menu has commands for the size of text, with the same keys.
    ctx.options_mut(|options| options.zoom_with_keyboard = false);
}

fn apply(style: &mut egui::Style, t: &Tokens) {
    style.text_styles = [
        (title_style(), FontId::new(28.0, strong_family())),
        (TextStyle::Heading, FontId::new(18.0, strong_family())),
        (strong_style(), FontId::new(14.5, strong_family())),
        (TextStyle::Body, FontId::new(14.5, FontFamily::Proportional)),
        (TextStyle::Button, FontId::new(14.5, FontFamily::Proportional)),
        (TextStyle::Small, FontId::new(12.5, FontFamily::Proportional)),
        (TextStyle::Monospace, FontId::new(12.5, FontFamily::Monospace)),
    ]
    .into();
    let spacing = &mut style.spacing;
    spacing.item_spacing = Vec2::new(space::S, space::XS);
    spacing.button_padding = Vec2::new(10.0, 4.0);
    spacing.interact_size.y = 26.0;
    spacing.menu_margin = Margin::same(6);
    spacing.window_margin = Margin::same(16);
    spacing.combo_height = 320.0;
    spacing.tooltip_width = 360.0;
    spacing.icon_spacing = 6.0;
    spacing.scroll.bar_width = 8.0;
    spacing.scroll.floating_width = 6.0;
    style.interaction.tooltip_delay = 0.35;
    style.interaction.selectable_labels = false;
    style.animation_time = 0.12;
    #[cfg(debug_assertions)]
    {
        style.debug.show_unaligned = false;
    }

    let v = &mut style.visuals;
    v.dark_mode = t.dark;
    v.panel_fill = t.panel;
    v.window_fill = t.raised;
    v.window_stroke = Stroke::new(1.0, t.outline);
    v.window_corner_radius = CornerRadius::same(10);
    v.menu_corner_radius = CornerRadius::same(8);
    let shadow_alpha = if t.dark { 110 } else { 36 };
    v.window_shadow =
        Shadow { offset: [0, 8], blur: 28, spread: 0, color: Color32::from_black_alpha(shadow_alpha) };
    v.popup_shadow =
        Shadow { offset: [0, 4], blur: 14, spread: 0, color: Color32::from_black_alpha(shadow_alpha) };
    v.extreme_bg_color = t.raised;
    v.text_edit_bg_color = Some(if t.dark { t.canvas } else { t.raised });
    v.faint_bg_color = t.control;
    v.code_bg_color = t.control;
    v.hyperlink_color = t.accent;
    v.warn_fg_color = t.warn;
    v.error_fg_color = t.error;
    v.weak_text_color = Some(t.text_muted);
    v.selection.bg_fill = t.accent_soft;
    v.selection.stroke = Stroke::new(1.0, t.accent);
    v.text_cursor.stroke = Stroke::new(1.5, t.accent);
    v.striped = false;
    v.interact_cursor = Some(egui::CursorIcon::PointingHand);

    let radius = CornerRadius::same(6);
    for w in [
        &mut v.widgets.noninteractive,
        &mut v.widgets.inactive,
        &mut v.widgets.hovered,
        &mut v.widgets.active,
        &mut v.widgets.open,
    ] {
        w.corner_radius = radius;
        w.expansion = 0.0;
    }
    let w = &mut v.widgets;
    w.noninteractive.bg_fill = t.panel;
    w.noninteractive.weak_bg_fill = t.panel;
    w.noninteractive.bg_stroke = Stroke::new(1.0, t.line);
    w.noninteractive.fg_stroke = Stroke::new(1.0, t.text);
    w.inactive.bg_fill = t.control;
    w.inactive.weak_bg_fill = t.control;
    w.inactive.bg_stroke = Stroke::new(1.0, if t.dark { t.control } else { t.outline.gamma_multiply(0.7) });
    w.inactive.fg_stroke = Stroke::new(1.0, t.text);
    w.hovered.bg_fill = t.control_hover;
    w.hovered.weak_bg_fill = t.control_hover;
    w.hovered.bg_stroke = Stroke::new(1.0, t.outline);
    w.hovered.fg_stroke = Stroke::new(1.0, t.text_strong);
    w.active.bg_fill = t.control_hover;
    w.active.weak_bg_fill = t.control_hover;
    w.active.bg_stroke = Stroke::new(1.0, t.accent);
    w.active.fg_stroke = Stroke::new(1.0, t.text_strong);
    w.open = w.hovered;
}

/// The contrast of two opaque colours, 1 to 21.
///
/// Source: WCAG 2.2, "contrast ratio" and "relative luminance".
#[cfg(test)]
fn contrast(a: Color32, b: Color32) -> f32 {
    let luminance = |c: Color32| {
        let channel = |v: u8| {
            let v = f32::from(v) / 255.0;
            if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(c.r()) + 0.7152 * channel(c.g()) + 0.0722 * channel(c.b())
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keeps_a_contrast_of_four_and_a_half_on_every_surface_it_is_used_on() {
        for t in [&DARK, &LIGHT] {
            for surface in [t.canvas, t.panel, t.raised] {
                for (name, text) in [
                    ("strong", t.text_strong),
                    ("text", t.text),
                    ("muted", t.text_muted),
                    ("accent", t.accent),
                    ("warn", t.warn),
                    ("error", t.error),
                    ("good", t.good),
                ] {
                    let c = contrast(text, surface);
                    assert!(c >= 4.5, "{name} on {surface:?}, dark {}: {c:.2}", t.dark);
                }
            }
            for (text, surface) in [
                (t.on_accent, t.accent),
                (t.text, t.control),
                (t.text_strong, t.accent_soft),
                (t.text, t.warn_soft),
                (t.warn, t.warn_soft),
                (t.text_strong, t.control_hover),
            ] {
                assert!(contrast(text, surface) >= 4.5, "{text:?} on {surface:?}");
            }
        }
    }

    #[test]
    fn black_on_white_is_the_highest_contrast() {
        assert!((contrast(Color32::BLACK, Color32::WHITE) - 21.0).abs() < 0.01);
    }
}
