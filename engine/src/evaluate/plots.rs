//! The plots of the report's page, as SVG. Colours come from the page's style, so that both themes have their own.

use std::fmt::Write as _;

use super::bootstrap::Estimate;
use super::calibration::Reliability;

/// Text as it stands in HTML and SVG.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// A bar of a group: the class of its colour, who it belongs to, and its figure.
pub(super) struct Bar<'a> {
    pub(super) class: &'a str,
    pub(super) owner: &'a str,
    pub(super) estimate: Estimate,
}

/// Groups of horizontal bars on a scale from 0 to 1, each with its interval.
pub(super) fn bars(title: &str, groups: &[(String, Vec<Bar<'_>>)]) -> String {
    const LABELS: f64 = 150.0;
    const SCALE: f64 = 400.0;
    const BAR: f64 = 13.0;
    const GAP: f64 = 12.0;
    let height: f64 = groups.iter().map(|(_, bars)| bars.len() as f64 * BAR + GAP).sum::<f64>() + 26.0;
    let width = LABELS + SCALE + 60.0;
    let mut svg = format!(
        "<svg class=\"plot\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">",
        escape(title)
    );
    let x = |value: f64| LABELS + SCALE * value.clamp(0.0, 1.0);
    for tick in 0..=5 {
        let value = f64::from(tick) / 5.0;
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"2\" y2=\"{bottom:.1}\"/>\
             <text class=\"tick\" x=\"{x:.1}\" y=\"{label:.1}\" text-anchor=\"middle\">{value:.1}</text>",
            x = x(value),
            bottom = height - 20.0,
            label = height - 6.0
        );
    }
    let mut y = 4.0;
    for (name, bars) in groups {
        let middle = y + bars.len() as f64 * BAR / 2.0 + 4.0;
        let _ = write!(
            svg,
            "<text class=\"name\" x=\"{:.1}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>",
            LABELS - 10.0,
            escape(name)
        );
        for bar in bars {
            let e = &bar.estimate;
            let _ = write!(
                svg,
                "<g><title>{owner}, {name}: {value:.3} ({low:.3} to {high:.3})</title>\
                 <rect class=\"{class}\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{bar_height:.1}\" rx=\"1.5\"/>\
                 <line class=\"whisker\" x1=\"{x_low:.1}\" x2=\"{x_high:.1}\" y1=\"{centre:.1}\" y2=\"{centre:.1}\"/>\
                 <text class=\"value\" x=\"{text:.1}\" y=\"{base:.1}\">{short}</text></g>",
                owner = escape(bar.owner),
                name = escape(name),
                value = e.value,
                low = e.low,
                high = e.high,
                class = bar.class,
                left = x(0.0),
                length = (x(e.value) - x(0.0)).max(0.5),
                bar_height = BAR - 2.5,
                x_low = x(e.low),
                x_high = x(e.high),
                centre = y + (BAR - 2.5) / 2.0,
                text = x(e.high.max(e.value)) + 6.0,
                base = y + BAR - 4.0,
                short = figure(e.value),
            );
            y += BAR;
        }
        y += GAP;
    }
    svg.push_str("</svg>");
    svg
}

/// A reliability curve: how often answers of each probability were right, the diagonal being what was promised, with
/// the number of answers of each bin below.
pub(super) fn reliability(curves: &[(&str, &str, &Reliability)]) -> String {
    const SIDE: f64 = 260.0;
    const LEFT: f64 = 46.0;
    const TOP: f64 = 8.0;
    const COUNTS: f64 = 46.0;
    let width = LEFT + SIDE + 16.0;
    let height = TOP + SIDE + 34.0 + COUNTS + 8.0;
    let x = |p: f64| LEFT + SIDE * p;
    let y = |p: f64| TOP + SIDE * (1.0 - p);
    let mut svg = format!(
        "<svg class=\"plot reliability\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"Reliability curve of the cell type\">"
    );
    for tick in 0..=5 {
        let p = f64::from(tick) / 5.0;
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{1:.1}\"/>\
             <line class=\"grid\" x1=\"{LEFT}\" x2=\"{2:.1}\" y1=\"{3:.1}\" y2=\"{3:.1}\"/>\
             <text class=\"tick\" x=\"{0:.1}\" y=\"{4:.1}\" text-anchor=\"middle\">{p:.1}</text>\
             <text class=\"tick\" x=\"{5:.1}\" y=\"{6:.1}\" text-anchor=\"end\">{p:.1}</text>",
            x(p),
            TOP + SIDE,
            LEFT + SIDE,
            y(p),
            TOP + SIDE + 14.0,
            LEFT - 6.0,
            y(p) + 4.0
        );
    }
    let _ = write!(
        svg,
        "<line class=\"diagonal\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        x(0.0),
        y(0.0),
        x(1.0),
        y(1.0)
    );
    for (class, owner, curve) in curves {
        let points: Vec<(f64, f64, u64)> = curve
            .bins
            .iter()
            .filter(|b| b.cells > 0)
            .map(|b| (x(b.confidence), y(b.accuracy), b.cells))
            .collect();
        let path: Vec<String> = points.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(svg, "<polyline class=\"line {class}\" points=\"{}\"/>", path.join(" "));
        for (x, y, cells) in points {
            let _ = write!(
                svg,
                "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"><title>{}: {cells} cells</title></circle>",
                escape(owner)
            );
        }
    }
    if let Some((class, owner, curve)) = curves.first() {
        let most = curve.bins.iter().map(|b| b.cells).max().unwrap_or(0).max(1) as f64;
        let bottom = TOP + SIDE + 34.0 + COUNTS;
        for bin in &curve.bins {
            let tall = COUNTS * bin.cells as f64 / most;
            let _ = write!(
                svg,
                "<rect class=\"{class} faint\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\">\
                 <title>{}: {} cells from {:.1} to {:.1}</title></rect>",
                x(bin.from) + 1.0,
                bottom - tall,
                SIDE / 10.0 - 2.0,
                escape(owner),
                bin.cells,
                bin.from,
                bin.to
            );
        }
        let _ = write!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{bottom:.1}\" y2=\"{bottom:.1}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">cells</text>",
            LEFT + SIDE,
            LEFT - 6.0,
            bottom - 2.0
        );
    }
    let _ = write!(
        svg,
        "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">probability given</text>\
         <text class=\"tick\" transform=\"translate(12 {:.1}) rotate(-90)\" text-anchor=\"middle\">share right</text>",
        LEFT + SIDE / 2.0,
        TOP + SIDE + 28.0,
        TOP + SIDE / 2.0
    );
    svg.push_str("</svg>");
    svg
}

/// A share as it is shown: `.683`.
pub(super) fn figure(value: f64) -> String {
    let text = format!("{value:.3}");
    match text.strip_prefix("0.") {
        Some(rest) => format!(".{rest}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_the_page() {
        assert_eq!(escape("<b>\"T&B\""), "&lt;b&gt;&quot;T&amp;B&quot;");
    }

    #[test]
    fn bars_are_as_long_as_their_figures() {
        let estimate = Estimate { value: 0.5, low: 0.4, high: 0.6 };
        let svg = bars("t", &[("exact".to_owned(), vec![Bar { class: "model", owner: "model", estimate }])]);
        assert!(svg.contains("width=\"200.0\"") && svg.contains(">.500<"), "{svg}");
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"));
    }
}
