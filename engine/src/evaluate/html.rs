//! The report as one page that needs nothing else: no script, no font, no file.

use std::fmt::Write as _;

use super::bootstrap::Estimate;
use super::measures::{MEASURES, Measure};
use super::outcome::Method;
use super::plots::{Bar, bars, escape, figure, reliability};
use super::relation::Relation;
use super::report::{Figures, FileReport, Report};

/// Confusions and types listed of a file.
const LISTED: usize = 40;
/// Measures shown as bars.
const PLOTTED: [&str; 8] = [
    "cell_type.accuracy",
    "cell_type.exact_or_below",
    "cell_type.f1",
    "cell_type.pagerank_similarity",
    "cell_type.lineage",
    "tissue.organ",
    "disease.accuracy",
    "pathways.jaccard",
];
/// Measures at the head of the page.
const HEADLINES: [(&str, &str); 6] = [
    ("cell_type.accuracy", "cell type exact"),
    ("cell_type.exact_or_below", "exact or below"),
    ("cell_type.pagerank_similarity", "PageRank similarity"),
    ("cell_type.lineage", "same lineage"),
    ("cell_type.calibration_error", "calibration error"),
    ("text.well_formed", "well formed"),
];

const STYLE: &str = "
:root{color-scheme:light dark;--back:#fff;--card:#f6f7f9;--text:#1b2330;--soft:#566173;--line:#dde1e8;--model:#2563b0;
--linear:#c2620c;--boosting:#0d8a6a;--markers:#8b93a1;--good:#0d7a4d;--near:#8a5a00;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--back:#14181f;--card:#1c222b;--text:#e6eaf0;--soft:#9aa6b6;--line:#303947;
--model:#6aa7f0;--linear:#f0a050;--boosting:#4cc9a4;--markers:#8791a1;--good:#5fd49a;--near:#e3b04b;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1080px;padding:32px 24px 64px;background:var(--back);color:var(--text);
font:15px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif}
h1{font-size:24px;margin:0 0 4px}h2{font-size:19px;margin:40px 0 10px;padding-top:18px;border-top:1px solid var(--line)}
h3{font-size:15px;margin:24px 0 8px}p{margin:6px 0}.soft{color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0}
.card{background:var(--card);border-radius:8px;padding:12px 14px}.card b{display:block;font-size:24px;line-height:1.25;
font-variant-numeric:tabular-nums}.card span{color:var(--soft);font-size:13px;display:block}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14px;min-width:100%}
th,td{padding:4px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600}th.l,td.l{text-align:left}tr.group td{color:var(--soft);font-weight:600;
padding-top:12px;border-bottom-color:var(--soft);text-align:left}td small{color:var(--soft);font-size:12px;margin-left:6px}
td.range{color:var(--soft);font-size:12px;text-align:left;padding-left:0}td.name{white-space:normal;text-align:left;min-width:180px}
.columns{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);gap:28px;align-items:start}
@media(max-width:760px){.columns{grid-template-columns:1fr}}
.legend{display:flex;flex-wrap:wrap;gap:6px 18px;font-size:13px;color:var(--soft);margin:6px 0}
.legend i{display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:6px;vertical-align:-1px}
.plot{width:100%;height:auto;display:block}.reliability{max-width:340px}
.plot text{fill:var(--text);font:12px system-ui,sans-serif}.plot text.tick,.plot text.value{fill:var(--soft);font-size:11px}
.plot .grid{stroke:var(--line)}.plot .axis,.plot .diagonal{stroke:var(--soft)}.plot .diagonal{stroke-dasharray:4 4}
.plot .whisker{stroke:var(--text);stroke-width:1.3}.plot .line{fill:none;stroke-width:1.8}
.model{fill:var(--model)}.linear{fill:var(--linear)}.boosting{fill:var(--boosting)}.markers{fill:var(--markers)}
.faint{opacity:.55}rect{opacity:.85}polyline.model{stroke:var(--model)}polyline.linear{stroke:var(--linear)}
polyline.boosting{stroke:var(--boosting)}polyline.markers{stroke:var(--markers)}
.tag{font-size:12px;border-radius:9px;padding:1px 8px;border:1px solid currentColor;white-space:nowrap}
.same,.descendant{color:var(--good)}.ancestor,.sibling{color:var(--near)}.other,.none{color:var(--bad)}
.share{display:inline-block;width:90px;height:8px;border-radius:4px;background:var(--line);margin-left:8px;vertical-align:1px}
.share i{display:block;height:8px;border-radius:4px;background:var(--model)}
details{margin:10px 0}summary{cursor:pointer;color:var(--soft)}
";

impl Report {
    /// The report as an HTML page.
    pub fn to_html(&self) -> String {
        let name = self.model.get("name").and_then(serde_json::Value::as_str).unwrap_or("Model");
        let id = self.model.get("id").and_then(serde_json::Value::as_str).unwrap_or("");
        let cells: usize = self.files.iter().map(|f| f.cells).sum();
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
             <title>Evaluation of {0}</title><style>{STYLE}</style></head><body>\n\
             <h1>Evaluation of {0}</h1><p class=\"soft\">model {1} · {2} labelled cells of {3} · Cell Ontology {4} · \
             Cell2Text {5}</p>",
            escape(name),
            escape(id),
            thousands(cells),
            match self.files.as_slice() {
                [only] => escape(&only.name),
                many => format!("{} files", many.len()),
            },
            escape(&self.ontology),
            escape(&self.program)
        );
        self.headlines(&mut page);
        self.comparison(&mut page);
        if self.files.len() > 1 {
            page.push_str("<h2>All files</h2>");
            self.many_files(&mut page);
        }
        for file in &self.files {
            one_file(file, self.files.len() > 1, &mut page);
        }
        self.footer(&mut page);
        page.push_str("</body></html>\n");
        page
    }

    fn headlines(&self, page: &mut String) {
        let Some(own) = self.mean.get(Method::Model.key()) else { return };
        page.push_str("<div class=\"cards\">");
        for (key, label) in HEADLINES {
            if let Some(f) = own.get(key) {
                let _ = write!(
                    page,
                    "<div class=\"card\"><span>{label}</span><b>{}</b><span>{} to {}</span>{}</div>",
                    figure(f.average.value),
                    figure(f.average.low),
                    figure(f.average.high),
                    f.macro_average
                        .map(|m| format!("<span>macro {}</span>", figure(m.value)))
                        .unwrap_or_default()
                );
            }
        }
        page.push_str("</div>");
    }

    fn comparison(&self, page: &mut String) {
        let methods = self.methods();
        page.push_str("<h2>");
        page.push_str(if methods.len() > 1 { "Model and baselines" } else { "Model" });
        page.push_str("</h2>");
        if methods.len() > 1 {
            legend(&methods, true, page);
        }
        page.push_str(
            "<div class=\"columns\" style=\"grid-template-columns:repeat(auto-fit,minmax(320px,1fr))\">",
        );
        for (title, of) in
            [("Average over cells", average as fn(&_) -> _), ("Average over classes (macro)", macro_average)]
        {
            let groups: Vec<(String, Vec<Bar<'_>>)> = PLOTTED
                .iter()
                .filter_map(|key| MEASURES.iter().find(|m| m.key == *key))
                .map(|measure| (name_of(measure), self.bars_of(&methods, measure, of)))
                .filter(|(_, bars)| !bars.is_empty())
                .collect();
            let _ = write!(page, "<div><h3>{title}</h3>{}</div>", bars(title, &groups));
        }
        page.push_str("</div>");
        match &self.settings.baselines {
            Some(source) => {
                let _ = write!(page, "<p class=\"soft\">Baselines learnt from {}.</p>", escape(source));
            }
            None if methods.len() > 1 => page.push_str(
                "<p class=\"soft\">A linear head and boosting run where --train or --recipe says what they learn \
                 from.</p>",
            ),
            None => {}
        }
    }

    fn bars_of(
        &self,
        methods: &[Method],
        measure: &Measure,
        of: fn(&super::report::Figure) -> Option<Estimate>,
    ) -> Vec<Bar<'static>> {
        methods
            .iter()
            .filter_map(|method| {
                let figure = self.mean.get(method.key())?.get(measure.key)?;
                Some(Bar { class: method.key(), owner: method.label(), estimate: of(figure)? })
            })
            .collect()
    }

    /// The model's averages, a column a file.
    fn many_files(&self, page: &mut String) {
        let Some(mean) = self.mean.get(Method::Model.key()) else { return };
        page.push_str("<div class=\"wide\"><table><tr><th class=\"l\">model</th>");
        for file in &self.files {
            let _ = write!(page, "<th>{}</th>", escape(file.name.trim_end_matches(".h5ad")));
        }
        page.push_str("<th>mean</th><th></th><th>macro</th></tr>");
        grouped(page, self.files.len() + 4, |measure, row| {
            let Some(own) = mean.get(measure.key) else { return false };
            let _ = write!(row, "<td class=\"l\">{}</td>", measure.label);
            for file in &self.files {
                let f = file.methods.get(Method::Model.key()).and_then(|f| f.get(measure.key));
                let _ = write!(row, "<td>{}</td>", f.map(|f| figure(f.average.value)).unwrap_or_default());
            }
            let _ = write!(
                row,
                "<td><b>{}</b></td><td class=\"range\">{}</td><td>{}</td>",
                figure(own.average.value),
                interval(&own.average),
                own.macro_average.map(|m| figure(m.value)).unwrap_or_default()
            );
            true
        });
        page.push_str("</table></div>");
    }

    fn footer(&self, page: &mut String) {
        let s = &self.settings;
        let _ = write!(
            page,
            "<h2>How it was measured</h2><p class=\"soft\">Labels from obs/{}. {} Intervals are 95 % bootstrap intervals \
             over {} resamples of the cells, seed {}. Greedy decoding, at most {} tokens, on {}; {:.0} s in all. \
             docs/evaluation.md says what each measure is.</p>",
            escape(&s.label),
            s.limit
                .map(|n| format!("At most {} cells a file, drawn at random.", thousands(n)))
                .unwrap_or_default(),
            thousands(s.resamples),
            s.seed,
            s.max_new_tokens,
            escape(&s.device),
            self.duration_secs
        );
    }
}

fn average(figure: &super::report::Figure) -> Option<Estimate> {
    Some(figure.average)
}

fn macro_average(figure: &super::report::Figure) -> Option<Estimate> {
    figure.macro_average
}

fn name_of(measure: &Measure) -> String {
    match measure.group {
        "cell type" if measure.label != "exact" && measure.label != "F1" => measure.label.to_owned(),
        group => format!("{group} {}", measure.label),
    }
}

fn interval(e: &Estimate) -> String {
    format!("{}–{}", figure(e.low), figure(e.high))
}

fn legend(methods: &[Method], intervals: bool, page: &mut String) {
    page.push_str("<div class=\"legend\">");
    for method in methods {
        let _ = write!(
            page,
            "<span><i style=\"background:var(--{})\"></i>{}</span>",
            method.key(),
            method.label()
        );
    }
    page.push_str(if intervals { "<span>lines: 95 % interval</span></div>" } else { "</div>" });
}

/// Rows of measures under a row for each group; `row` writes the cells of a measure, or says that it has none.
fn grouped(page: &mut String, width: usize, mut row: impl FnMut(&Measure, &mut String) -> bool) {
    let mut group = "";
    for measure in &MEASURES {
        let mut cells = String::new();
        if !row(measure, &mut cells) {
            continue;
        }
        if measure.group != group {
            group = measure.group;
            let _ = write!(page, "<tr class=\"group\"><td colspan=\"{width}\">{group}</td></tr>");
        }
        let _ = write!(page, "<tr>{cells}</tr>");
    }
}

fn one_file(file: &FileReport, folded: bool, page: &mut String) {
    let _ = write!(
        page,
        "<h2>{}</h2><p class=\"soft\">{} of {} cells, {} types, read from {}.</p>",
        escape(&file.name),
        thousands(file.cells),
        thousands(file.n_obs),
        file.cell_types,
        escape(&file.matrix)
    );
    for note in &file.notes {
        let _ = write!(page, "<p>{}</p>", escape(note));
    }
    // A table of four methods needs the whole width.
    page.push_str(if file.methods.len() > 2 { "<div><div>" } else { "<div class=\"columns\"><div>" });
    figures_table(file, page);
    page.push_str("</div><div>");
    let curves: Vec<_> = Method::ALL
        .into_iter()
        .filter_map(|m| file.reliability.get(m.key()).map(|curve| (m, m.label(), curve)))
        .filter(|(_, _, curve)| curve.bins.iter().any(|b| b.cells > 0))
        .collect();
    if !curves.is_empty() {
        page.push_str("<h3>How far to trust the cell type's probability</h3>");
        if curves.len() > 1 {
            legend(&curves.iter().map(|(method, _, _)| *method).collect::<Vec<_>>(), false, page);
        }
        let curves: Vec<_> = curves.iter().map(|(m, label, curve)| (m.key(), *label, *curve)).collect();
        page.push_str(&reliability(&curves));
        page.push_str(
            "<p class=\"soft\">On the dashed line a probability keeps its promise. Below: how many answers have it, of \
             the model.</p>",
        );
    }
    page.push_str("</div></div>");
    if folded {
        page.push_str("<details><summary>types and confusions</summary>");
    }
    types_table(file, page);
    confusions_table(file, page);
    if folded {
        page.push_str("</details>");
    }
}

fn figures_table(file: &FileReport, page: &mut String) {
    let methods: Vec<(Method, &Figures)> =
        Method::ALL.into_iter().filter_map(|m| file.methods.get(m.key()).map(|f| (m, f))).collect();
    page.push_str("<div class=\"wide\"><table><tr><th class=\"l\"></th>");
    for (method, _) in &methods {
        let range = if *method == Method::Model { "<th></th>" } else { "" };
        let _ = write!(page, "<th>{}</th>{range}<th>macro</th>", method.label());
    }
    page.push_str("</tr>");
    let ranges = usize::from(methods.iter().any(|(m, _)| *m == Method::Model));
    grouped(page, 1 + ranges + 2 * methods.len(), |measure, row| {
        if methods.iter().all(|(_, figures)| !figures.contains_key(measure.key)) {
            return false;
        }
        let _ = write!(row, "<td class=\"l\">{}</td>", measure.label);
        for (method, figures) in &methods {
            let own = figures.get(measure.key);
            let _ = write!(row, "<td>{}</td>", own.map(|f| figure(f.average.value)).unwrap_or_default());
            if *method == Method::Model {
                let _ = write!(
                    row,
                    "<td class=\"range\">{}</td>",
                    own.map(|f| interval(&f.average)).unwrap_or_default()
                );
            }
            let of_classes = own.and_then(|f| f.macro_average).map(|m| figure(m.value));
            let _ = write!(row, "<td>{}</td>", of_classes.unwrap_or_default());
        }
        true
    });
    page.push_str("</table></div>");
}

fn types_table(file: &FileReport, page: &mut String) {
    page.push_str(
        "<h3>By true type</h3><div class=\"wide\"><table><tr><th class=\"l\">type</th><th>cells</th><th>exact</th>\
         <th>exact or below</th><th>similarity</th><th>lineage</th></tr>",
    );
    for own in file.by_type.iter().take(LISTED) {
        let _ = write!(
            page,
            "<tr><td class=\"name\">{}<small>{}</small></td><td>{}</td><td>{}<span class=\"share\"><i \
             style=\"width:{:.0}%\"></i></span></td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&own.label),
            escape(&own.cell_type),
            thousands(own.cells),
            figure(own.exact),
            own.exact * 100.0,
            figure(own.exact_or_below),
            figure(own.pagerank_similarity),
            figure(own.lineage)
        );
    }
    page.push_str("</table></div>");
    more(file.by_type.len(), page);
}

fn confusions_table(file: &FileReport, page: &mut String) {
    page.push_str(
        "<h3>What was said of which type</h3><div class=\"wide\"><table><tr><th class=\"l\">true</th>\
         <th class=\"l\">said</th><th>cells</th><th class=\"l\">relation</th><th>steps</th></tr>",
    );
    for c in file.confusions.iter().take(LISTED) {
        let said = if c.said.is_empty() { "no known type" } else { &c.said_label };
        let _ = write!(
            page,
            "<tr><td class=\"name\">{}</td><td class=\"name\">{}</td><td>{}</td><td class=\"l\"><span \
             class=\"tag {}\">{}</span></td><td>{}</td></tr>",
            escape(&c.truth_label),
            escape(said),
            thousands(c.cells),
            class_of(c.relation),
            c.relation.label(),
            c.distance.filter(|d| *d > 0).map(|d| d.to_string()).unwrap_or_default()
        );
    }
    page.push_str("</table></div>");
    more(file.confusions.len(), page);
}

fn more(all: usize, page: &mut String) {
    if all > LISTED {
        let _ = write!(page, "<p class=\"soft\">and {} more, all in the JSON</p>", thousands(all - LISTED));
    }
}

fn class_of(relation: Relation) -> &'static str {
    match relation {
        Relation::Same => "same",
        Relation::Descendant => "descendant",
        Relation::Ancestor => "ancestor",
        Relation::Sibling => "sibling",
        Relation::Other => "other",
        Relation::None => "none",
    }
}

/// A count with its thousands apart.
fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut spaced = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            spaced.push(',');
        }
        spaced.push(c);
    }
    spaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_set_apart_by_thousands() {
        assert_eq!(
            ["0", "999", "1,000", "12,345,678"],
            [0, 999, 1000, 12_345_678].map(thousands).each_ref().map(String::as_str)
        );
    }
}
