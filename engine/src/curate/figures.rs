//! What a data set looks like in numbers: diversity, lengths, and their drawings.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Shannon's diversity over its greatest value for as many categories: 1 where all are alike, 0 where there is one
/// (the paper's Table 5).
pub fn normalised_shannon(counts: impl Iterator<Item = u64>) -> f64 {
    let counts: Vec<f64> = counts.filter(|n| *n > 0).map(|n| n as f64).collect();
    let total: f64 = counts.iter().sum();
    if counts.len() < 2 {
        return 0.0;
    }
    let entropy: f64 = counts.iter().map(|n| -(n / total) * (n / total).ln()).sum();
    entropy / (counts.len() as f64).ln()
}

/// Diversity of one variable, before and after choosing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Diversity {
    /// Over all usable cells.
    pub before: f64,
    /// Over the cells taken.
    pub after: f64,
    /// Categories among all usable cells.
    pub categories_before: usize,
    /// Categories among the cells taken.
    pub categories_after: usize,
}

/// How often each whole number occurred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lengths(BTreeMap<u32, u64>);

/// A distribution of lengths, as the report tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LengthReport {
    /// How many.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub sd: f64,
    /// The shortest.
    pub least: u32,
    /// The lower quartile.
    pub q25: u32,
    /// The median.
    pub median: u32,
    /// The upper quartile.
    pub q75: u32,
    /// The longest.
    pub most: u32,
    /// Width of a bin.
    pub bin_width: u32,
    /// How many fall into each bin from 0 on.
    pub bins: Vec<u64>,
}

impl Lengths {
    pub(super) fn add(&mut self, length: u32) {
        *self.0.entry(length).or_default() += 1;
    }

    /// The length that a share `q` of all does not exceed.
    fn quantile(&self, q: f64, count: u64) -> u32 {
        let wanted = ((q * count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (length, n) in &self.0 {
            seen += n;
            if seen >= wanted {
                return *length;
            }
        }
        0
    }

    pub(super) fn report(&self, bin_width: u32) -> LengthReport {
        let count: u64 = self.0.values().sum();
        let of = |f: &dyn Fn(f64) -> f64| {
            self.0.iter().map(|(length, n)| f(f64::from(*length)) * *n as f64).sum::<f64>()
                / count.max(1) as f64
        };
        let mean = of(&|x| x);
        let sd = of(&|x| (x - mean) * (x - mean)).sqrt();
        let most = self.0.keys().next_back().copied().unwrap_or(0);
        let mut bins = vec![0; if count == 0 { 0 } else { (most / bin_width) as usize + 1 }];
        for (length, n) in &self.0 {
            if let Some(bin) = bins.get_mut((length / bin_width) as usize) {
                *bin += n;
            }
        }
        LengthReport {
            count,
            mean,
            sd,
            least: self.0.keys().next().copied().unwrap_or(0),
            q25: self.quantile(0.25, count),
            median: self.quantile(0.5, count),
            q75: self.quantile(0.75, count),
            most,
            bin_width,
            bins,
        }
    }
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 54.0;
/// Blue and orange that colour-blind readers tell apart.
const COLOURS: [&str; 2] = ["#3b6ea8", "#d98032"];

fn head(title: &str, width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"15\">{}</text>\n",
        escaped(title)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A step that gives about five marks up to `top`: 1, 2 or 5 times a power of ten.
fn nice_step(top: f64) -> f64 {
    let rough = (top / 5.0).max(1e-9);
    let power = 10f64.powf(rough.log10().floor());
    let lead = rough / power;
    power
        * if lead <= 1.0 {
            1.0
        } else if lead <= 2.0 {
            2.0
        } else if lead <= 5.0 {
            5.0
        } else {
            10.0
        }
}

/// A histogram with its mean marked (the paper's Figures 2 and 3).
pub(super) fn histogram_svg(title: &str, unit: &str, lengths: &LengthReport) -> String {
    let (plot_w, plot_h) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let top = lengths.bins.iter().copied().max().unwrap_or(0).max(1) as f64;
    let range = (lengths.bins.len().max(1) as u32 * lengths.bin_width) as f64;
    let x = |value: f64| LEFT + value / range * plot_w;
    let y = |count: f64| TOP + plot_h - count / top * plot_h;
    let mut svg = head(title, WIDTH, HEIGHT);
    let step = nice_step(top);
    let mut mark = 0.0;
    while mark <= top {
        let at = y(mark);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{mark}</text>",
            LEFT + plot_w,
            LEFT - 8.0,
            at + 4.0
        );
        mark += step;
    }
    for (bin, count) in lengths.bins.iter().enumerate().filter(|(_, count)| **count > 0) {
        let from = x((bin as u32 * lengths.bin_width) as f64);
        let to = x(((bin as u32 + 1) * lengths.bin_width) as f64);
        let at = y(*count as f64);
        let _ = writeln!(
            svg,
            "<rect x=\"{from:.1}\" y=\"{at:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
            (to - from - 0.5).max(0.5),
            TOP + plot_h - at,
            COLOURS[0]
        );
    }
    let step = nice_step(range);
    let mut mark = 0.0;
    while mark <= range {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{mark}</text>",
            x(mark),
            TOP + plot_h + 18.0
        );
        mark += step;
    }
    let mean = x(lengths.mean);
    let _ = writeln!(
        svg,
        "<line x1=\"{mean:.1}\" x2=\"{mean:.1}\" y1=\"{TOP}\" y2=\"{:.1}\" stroke=\"{}\" stroke-width=\"2\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">mean {:.1}</text>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
         <text transform=\"translate(18 {:.1}) rotate(-90)\" text-anchor=\"middle\">cells</text>\n</svg>",
        TOP + plot_h,
        COLOURS[1],
        mean,
        TOP - 6.0,
        lengths.mean,
        LEFT + plot_w / 2.0,
        HEIGHT - 14.0,
        escaped(unit),
        TOP + plot_h / 2.0
    );
    svg
}

/// Diversity before and after, side by side (the paper's Table 5 as a figure).
pub(super) fn diversity_svg(rows: &[(&str, Diversity)]) -> String {
    let (bar, gap) = (22.0, 26.0);
    let height = TOP + rows.len() as f64 * (2.0 * bar + gap) + BOTTOM;
    let (left, plot_w) = (150.0, WIDTH - 150.0 - 70.0);
    let mut svg = head("Normalised Shannon diversity", WIDTH, height);
    for (row, (name, diversity)) in rows.iter().enumerate() {
        let y = TOP + row as f64 * (2.0 * bar + gap);
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 10.0,
            y + bar + 4.0,
            escaped(name)
        );
        for (i, (value, categories)) in
            [(diversity.before, diversity.categories_before), (diversity.after, diversity.categories_after)]
                .into_iter()
                .enumerate()
        {
            let top = y + i as f64 * bar;
            let _ = writeln!(
                svg,
                "<rect x=\"{left}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{value:.4}, {categories} categories</text>",
                value * plot_w * 0.85,
                bar - 2.0,
                COLOURS[1 - i],
                left + value * plot_w * 0.85 + 6.0,
                top + 15.0
            );
        }
    }
    let y = height - 20.0;
    for (i, name) in ["before choosing", "after choosing"].into_iter().enumerate() {
        let x = left + i as f64 * 150.0;
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{y:.1}\">{name}</text>",
            y - 11.0,
            COLOURS[1 - i],
            x + 18.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diversity_is_1_for_equal_shares_and_0_for_one_category() {
        assert!((normalised_shannon([7, 7, 7, 0].into_iter()) - 1.0).abs() < 1e-12);
        assert_eq!(normalised_shannon([9].into_iter()), 0.0);
        assert_eq!(normalised_shannon(std::iter::empty()), 0.0);
        // scipy.stats.entropy([0.5, 0.25, 0.25]) / log(3)
        assert!((normalised_shannon([2, 1, 1].into_iter()) - 0.946_394_630_357_186).abs() < 1e-12);
    }

    #[test]
    fn lengths_are_summed_up_as_numpy_does() {
        let mut lengths = Lengths::default();
        for length in [3, 1, 4, 1, 5, 9, 2, 6] {
            lengths.add(length);
        }
        let report = lengths.report(2);
        assert_eq!((report.count, report.least, report.most), (8, 1, 9));
        // np.mean, np.std; quantiles by method="inverted_cdf".
        assert!((report.mean - 3.875).abs() < 1e-12 && (report.sd - 2.570_870_475_150_391_7).abs() < 1e-12);
        assert_eq!((report.q25, report.median, report.q75), (1, 3, 5));
        assert_eq!(report.bins, [2, 2, 2, 1, 1]);
        assert!(Lengths::default().report(2).bins.is_empty());
    }

    #[test]
    fn drawings_are_whole_and_escape_their_words() {
        let mut lengths = Lengths::default();
        (0..50).for_each(|i| lengths.add(i * 7));
        let histogram = histogram_svg("Genes & more", "genes <a cell>", &lengths.report(20));
        assert!(histogram.contains("Genes &amp; more") && histogram.ends_with("</svg>\n"));
        assert_eq!(histogram.matches("<rect").count(), 1 + 18);
        assert!(histogram_svg("", "", &Lengths::default().report(20)).ends_with("</svg>\n"));
        let diversity = Diversity { before: 0.3, after: 0.9, categories_before: 5, categories_after: 4 };
        let figure = diversity_svg(&[("Cell type", diversity)]);
        assert!(figure.contains("0.9000, 4 categories") && figure.ends_with("</svg>\n"));
    }
}
