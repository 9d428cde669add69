//! The ontology terms shown, as a picture with text as text and as a table.

use std::fmt::Write as _;

use engine::ontology::Role;

use super::super::terms::{Counts, TermView};
use super::graph_layout::{GAP, NODE, parents_of, plan, rounded};

/// Free border around the picture.
const MARGIN: f32 = 16.0;
/// Terms side by side, beyond which a layer is divided into rows.
const COLUMNS: usize = 8;
/// Room below the picture for the line that says what it shows.
const FOOT: f32 = 28.0;

/// The neighbourhood as SVG. `column` is where the file's own terms come from.
pub fn ontology_svg(term: &TermView, counts: &Counts, column: Option<&str>) -> String {
    let picture = &term.neighbourhood;
    let plan = plan(picture, 0, *GAP.end(), COLUMNS);
    let (width, height) = (plan.size.x + 2.0 * MARGIN, plan.size.y + 2.0 * MARGIN + FOOT);
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} \
         {height:.0}\" font-family=\"Source Sans Pro, Source Sans 3, Helvetica, Arial, sans-serif\" font-size=\"12.5\">"
    );
    let _ = writeln!(out, "<title>{}</title>", escaped(&format!("{} in the Cell Ontology", term.label)));
    let _ = writeln!(out, "<desc>{}</desc>", escaped(&provenance(column)));
    let _ = writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>");
    let _ = writeln!(out, "<g fill=\"none\" stroke=\"#8a939d\" stroke-width=\"1\">");
    for line in &plan.lines {
        let points: Vec<String> = rounded(&line.corners)
            .into_iter()
            .map(|p| format!("{:.1},{:.1}", p.x + MARGIN, p.y + MARGIN))
            .collect();
        let _ = writeln!(out, "<polyline points=\"{}\"/>", points.join(" "));
    }
    let _ = writeln!(out, "</g>");
    for (node, rect) in picture.nodes.iter().zip(&plan.boxes) {
        let Some(rect) = rect else { continue };
        let (x, y) = (rect.left() + MARGIN, rect.top() + MARGIN);
        let is_focus = node.role == Role::Focus;
        let (fill, stroke, text) =
            if is_focus { ("#1f62a6", "#1f62a6", "#ffffff") } else { ("#ffffff", "#c3c9d0", "#2b323a") };
        let _ = writeln!(
            out,
            "<g><title>{}</title><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{}\" height=\"{}\" rx=\"6\" fill=\"{fill}\" \
             stroke=\"{stroke}\"/>",
            escaped(&format!("{} {}", node.id, node.label)),
            NODE.x,
            NODE.y
        );
        let cells = counts.of(&node.id);
        let base = y + NODE.y / 2.0 + 4.3;
        // Nothing measures letters here: what would be too long is squeezed into the box by who draws it.
        let room = NODE.x - 16.0 - if cells > 0 { 44.0 } else { 0.0 };
        let squeeze = if node.label.chars().count() as f32 * 6.0 > room {
            format!(" textLength=\"{room:.0}\" lengthAdjust=\"spacingAndGlyphs\"")
        } else {
            String::new()
        };
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{base:.1}\" fill=\"{text}\"{squeeze}>{}</text>",
            x + 8.0,
            escaped(&node.label)
        );
        if cells > 0 {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{base:.1}\" fill=\"{text}\" font-weight=\"600\" text-anchor=\"end\">{cells}</text>",
                x + NODE.x - 8.0
            );
        }
        let _ = writeln!(out, "</g>");
    }
    let _ = writeln!(
        out,
        "<text x=\"{MARGIN}\" y=\"{:.1}\" fill=\"#5a646f\">{}</text>\n</svg>",
        height - 12.0,
        escaped(&provenance(column))
    );
    out
}

fn provenance(column: Option<&str>) -> String {
    let version = engine::ontology::Ontology::builtin().map_or("", |o| o.version());
    let cells = column.map_or_else(
        || "Numbers: cells described as the term or a kind of it.".to_owned(),
        |column| format!("Numbers: cells of the term or a kind of it, by obs/{column} or by description."),
    );
    format!("Cell Ontology {version}. {cells} Cell2Text {}.", env!("CARGO_PKG_VERSION"))
}

/// The neighbourhood as a table: a row for every relation, and one for every term that is a kind of nothing shown.
pub fn ontology_csv(term: &TermView, counts: &Counts) -> String {
    let mut out = String::from(
        "\"term_id\",\"label\",\"role\",\"is_a_id\",\"is_a_label\",\"n_cells\",\"n_cells_with_kinds\",\
         \"n_cells_described_with_kinds\"\n",
    );
    let picture = &term.neighbourhood;
    for (at, node) in picture.nodes.iter().enumerate() {
        let parents = parents_of(picture, at);
        let rows: Vec<&str> = if parents.is_empty() { vec![""] } else { parents.into_iter().collect() };
        for parent in rows {
            let label = picture.nodes.iter().find(|n| n.id == parent).map_or("", |n| n.label.as_str());
            let own = counts.cells.get(&node.id).map_or(0, |c| c.own);
            let texts = [node.id.as_str(), &node.label, role_word(node.role), parent, label].map(quoted);
            let _ = writeln!(
                out,
                "{},{own},{},{}",
                texts.join(","),
                counts.of(&node.id),
                counts.described_as(&node.id)
            );
        }
    }
    out
}

/// A role as it stands in tables.
fn role_word(role: Role) -> &'static str {
    match role {
        Role::Focus => "focus",
        Role::Ancestor => "ancestor",
        Role::Sibling => "sibling",
        Role::Child => "kind",
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use engine::ontology::{Limits, Ontology};

    use super::*;

    fn view() -> (TermView, Counts) {
        let ontology = Ontology::builtin().unwrap();
        let neighbourhood = ontology.neighbourhood("CL:0000576", Limits::default()).unwrap();
        let cells = ontology.cell_counts([(["CL:0000860"], 7)]);
        let term =
            TermView { id: "CL:0000576".into(), label: "monocyte".into(), definition: None, neighbourhood };
        (term, Counts { cells, ..Counts::default() })
    }

    #[test]
    fn the_picture_holds_every_term_as_text_and_every_relation_as_a_line() {
        let (term, counts) = view();
        let svg = ontology_svg(&term, &counts, Some("a<b"));
        for node in &term.neighbourhood.nodes {
            assert!(svg.contains(&format!(">{}</text>", escaped(&node.label))), "{}", node.label);
        }
        assert_eq!(svg.matches("<polyline").count(), term.neighbourhood.edges.len());
        assert!(svg.contains(">7</text>") && svg.contains("obs/a&lt;b"));
        assert_eq!(svg.matches("<g").count(), svg.matches("</g>").count());
        assert!(svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn the_table_has_a_row_for_every_relation_with_the_cells_of_the_term() {
        let (term, counts) = view();
        let csv = ontology_csv(&term, &counts);
        let roots = (0..term.neighbourhood.nodes.len())
            .filter(|at| !term.neighbourhood.edges.iter().any(|(child, _)| child == at))
            .count();
        assert_eq!(csv.lines().count(), 1 + term.neighbourhood.edges.len() + roots);
        assert!(
            csv.lines()
                .any(|l| l.starts_with("\"CL:0000576\",\"monocyte\",\"focus\",") && l.ends_with(",0,7,0"))
        );
        assert!(csv.lines().any(|l| l.starts_with("\"CL:0000860\"") && l.ends_with(",7,7,0")), "{csv}");
    }
}
