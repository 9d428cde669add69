//! The keys of commands.

use eframe::egui::{Key, KeyboardShortcut, Modifiers};

use super::Command;

const fn plain(key: Key) -> Option<KeyboardShortcut> {
    Some(KeyboardShortcut::new(Modifiers::NONE, key))
}
const fn ctrl(key: Key) -> Option<KeyboardShortcut> {
    Some(KeyboardShortcut::new(Modifiers::COMMAND, key))
}
const fn ctrl_shift(key: Key) -> Option<KeyboardShortcut> {
    Some(KeyboardShortcut::new(Modifiers::COMMAND.plus(Modifiers::SHIFT), key))
}

impl Command {
    /// Its shortcuts; menus show the first.
    pub fn shortcuts(self) -> Vec<KeyboardShortcut> {
        let (first, second) = match self {
            Self::Open => (ctrl(Key::O), None),
            Self::OpenSample => (ctrl_shift(Key::O), None),
            Self::ExportCsv => (ctrl(Key::E), None),
            Self::ExportLabels => (ctrl_shift(Key::E), None),
            Self::WriteCopy => (ctrl_shift(Key::W), None),
            Self::OpenFolder => (ctrl_shift(Key::X), None),
            Self::OpenSession => (ctrl(Key::L), None),
            Self::SaveSession => (ctrl(Key::S), None),
            Self::Undo => (ctrl(Key::Z), None),
            Self::Redo => (ctrl_shift(Key::Z), ctrl(Key::Y)),
            Self::ShowHistory => (ctrl_shift(Key::Y), None),
            Self::NewLabels => (ctrl_shift(Key::L), None),
            Self::LabelCells => (plain(Key::T), None),
            Self::UnlabelCells => (plain(Key::Delete), None),
            Self::PanTool => (plain(Key::H), None),
            Self::LassoTool => (plain(Key::S), None),
            Self::BoxTool => (plain(Key::B), None),
            Self::SelectAllCells => (plain(Key::A), None),
            Self::SelectNoCells => (plain(Key::D), None),
            Self::InvertSelection => (plain(Key::I), None),
            Self::PasteCellNames => (ctrl_shift(Key::V), None),
            Self::SaveSet => (ctrl_shift(Key::S), None),
            Self::ShowCell => (ctrl(Key::Num4), None),
            Self::ShowSets => (ctrl(Key::Num5), None),
            Self::ShowLabels => (ctrl(Key::Num6), None),
            Self::Quit => (ctrl(Key::Q), None),
            Self::FitMap => (plain(Key::F), plain(Key::Space)),
            Self::ZoomIn => (plain(Key::Plus), plain(Key::Equals)),
            Self::ZoomOut => (plain(Key::Minus), None),
            Self::NextEmbedding => (plain(Key::E), None),
            Self::ComputeMap => (ctrl_shift(Key::U), None),
            Self::ShowMap => (plain(Key::M), None),
            Self::ShowCellList => (plain(Key::L), None),
            Self::FindGene => (plain(Key::G), ctrl(Key::F)),
            Self::ShowAllCategories => (ctrl_shift(Key::H), None),
            Self::ToggleDataPanel => (ctrl(Key::Num1), None),
            Self::ToggleCellPanel => (ctrl(Key::Num2), None),
            Self::ToggleOntology => (ctrl(Key::Num3), None),
            Self::ToggleLabels => (plain(Key::N), None),
            Self::BrowseOntology => (ctrl_shift(Key::F), None),
            Self::WholeOntology => (ctrl_shift(Key::Num3), None),
            Self::LargerText => (ctrl(Key::Plus), ctrl(Key::Equals)),
            Self::SmallerText => (ctrl(Key::Minus), None),
            Self::NormalText => (ctrl(Key::Num0), None),
            Self::DescribeCell => (plain(Key::Enter), None),
            Self::Stop => (ctrl(Key::Period), None),
            Self::AnnotateAll => (ctrl_shift(Key::A), None),
            Self::CopyDescription => (ctrl_shift(Key::C), None),
            Self::ClearSelection => (plain(Key::Escape), None),
            Self::WalkLeft => (plain(Key::ArrowLeft), None),
            Self::WalkRight => (plain(Key::ArrowRight), None),
            Self::WalkUp => (plain(Key::ArrowUp), None),
            Self::WalkDown => (plain(Key::ArrowDown), None),
            Self::ShowPalette => (ctrl(Key::P), ctrl(Key::K)),
            Self::ShowShortcuts => (plain(Key::Questionmark), plain(Key::F1)),
            Self::ShowHistogram => (plain(Key::Num1), None),
            Self::ShowViolin => (plain(Key::Num2), None),
            Self::ShowDotPlot => (plain(Key::Num3), None),
            Self::ShowHeatmap => (plain(Key::Num4), None),
            Self::ShowScatter => (plain(Key::Num5), None),
            Self::ShowComposition => (plain(Key::Num6), None),
            Self::ShowGeneMaps => (plain(Key::Num7), None),
            Self::ShowComparison => (plain(Key::Num8), None),
            Self::ShowGeneLists => (plain(Key::Num9), None),
            Self::ResetLayout => (ctrl_shift(Key::R), None),
            Self::ExportFigure => (ctrl_shift(Key::G), None),
            Self::ClearRecent => (ctrl_shift(Key::Delete), None),
            Self::ExportComparison => (ctrl_shift(Key::D), None),
            Self::ExportOntologySvg => (ctrl_shift(Key::P), None),
            Self::ExportOntologyCsv => (ctrl_shift(Key::T), None),
            Self::ThemeSystem => (plain(Key::F6), None),
            Self::ThemeLight => (plain(Key::F7), None),
            Self::ThemeDark => (plain(Key::F8), None),
            Self::ShowHint => (plain(Key::F2), None),
            Self::About => (plain(Key::F12), None),
            Self::ShowModels => (ctrl_shift(Key::M), None),
        };
        first.into_iter().chain(second).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_command_has_a_shortcut() {
        for command in Command::ALL {
            assert!(!command.shortcuts().is_empty(), "{command:?}");
        }
    }

    #[test]
    fn no_two_commands_share_a_shortcut() {
        let mut seen = HashMap::new();
        for command in Command::ALL {
            for shortcut in command.shortcuts() {
                if let Some(other) = seen.insert(shortcut, command) {
                    panic!("{command:?} and {other:?} share {shortcut:?}");
                }
            }
        }
    }
}
