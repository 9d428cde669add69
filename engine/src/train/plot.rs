//! The course of a run as a picture: loss and share of right answers over the steps, in SVG.

use std::fmt::Write as _;
use std::path::Path;

use crate::files::write_atomically;
use crate::{Error, Result};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 56.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 44.0;
/// Points drawn at most; more steps are averaged to as many.
const MOST_POINTS: usize = 400;
const LOSS_COLOUR: &str = "#b3412e";
const RIGHT_COLOUR: &str = "#2a6f97";

/// One step of the log.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    stage: usize,
    loss: f64,
    accuracy: f64,
}

/// Draws `metrics.csv` at `log` into `picture`.
///
/// # Errors
/// [`Error::Io`] when the log cannot be read or the picture not be written.
pub(super) fn draw_losses(log: &Path, picture: &Path) -> Result<()> {
    let text = std::fs::read_to_string(log).map_err(|e| Error::io("read the log", log, e))?;
    write_atomically(picture, svg(&read(&text)).as_bytes())
}

/// The steps of a log; lines that are none, as one that was cut off, are left out.
fn read(log: &str) -> Vec<Point> {
    let point = |line: &str| {
        let mut cells = line.split(',');
        let stage = cells.next()?.parse().ok()?;
        let loss: f64 = cells.nth(1)?.parse().ok()?;
        let accuracy: f64 = cells.next()?.parse().ok()?;
        (loss.is_finite() && accuracy.is_finite()).then_some(Point { stage, loss, accuracy })
    };
    log.lines().filter_map(point).collect()
}

fn svg(points: &[Point]) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    let most = points.iter().map(|p| p.loss).fold(0.0, f64::max);
    let top = nice_above(most);
    let x = |step: f64| LEFT + step / (points.len().max(1) as f64) * (WIDTH - LEFT - RIGHT);
    let y = |share: f64| TOP + (1.0 - share) * (HEIGHT - TOP - BOTTOM);
    for i in 0..=4 {
        let share = f64::from(i) / 4.0;
        let (at, loss, percent) = (y(share), share * top, share * 100.0);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"{LOSS_COLOUR}\">{loss:.2}</text>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{RIGHT_COLOUR}\">{percent:.0} %</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            WIDTH - RIGHT + 6.0,
            at + 4.0
        );
    }
    let mut start = 0;
    while start < points.len() {
        let stage = points[start].stage;
        let n = points[start..].iter().take_while(|p| p.stage == stage).count();
        let part = &points[start..start + n];
        let _ = writeln!(
            out,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{1:.1}\" stroke=\"#bbbbbb\" stroke-dasharray=\"4 3\"/>\n\
             <text x=\"{2:.1}\" y=\"{3:.1}\" fill=\"#444444\">stage {4}</text>",
            x(start as f64),
            HEIGHT - BOTTOM,
            x(start as f64) + 4.0,
            TOP - 8.0,
            stage + 1
        );
        let _ = writeln!(out, "{}", line(start, part, LOSS_COLOUR, |p| p.loss / top, &x, &y));
        let _ = writeln!(out, "{}", line(start, part, RIGHT_COLOUR, |p| p.accuracy, &x, &y));
        start += n;
    }
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"16\" fill=\"{LOSS_COLOUR}\">loss</text>\n\
         <text x=\"{:.1}\" y=\"16\" text-anchor=\"end\" fill=\"{RIGHT_COLOUR}\">right answers</text>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#444444\">step (of {})</text>\n</svg>",
        WIDTH - RIGHT,
        WIDTH / 2.0,
        HEIGHT - 12.0,
        points.len()
    );
    out
}

/// A line through the means of equal runs of steps.
fn line(
    start: usize,
    part: &[Point],
    colour: &str,
    value: impl Fn(&Point) -> f64,
    x: &impl Fn(f64) -> f64,
    y: &impl Fn(f64) -> f64,
) -> String {
    let run = part.len().div_ceil(MOST_POINTS).max(1);
    let mut path = String::new();
    for (i, steps) in part.chunks(run).enumerate() {
        let mean = steps.iter().map(&value).sum::<f64>() / steps.len() as f64;
        let at = start as f64 + (i * run) as f64 + steps.len() as f64 / 2.0;
        let _ = write!(path, "{:.1},{:.1} ", x(at), y(mean.clamp(0.0, 1.0)));
    }
    format!(
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
        path.trim_end()
    )
}

/// The least of 1, 2, 5, 10, … (and tenths of them) that is not below `value`.
fn nice_above(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0].iter().map(|f| f * power).find(|&v| v >= value).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_that_was_cut_off_is_left_out() {
        let log = "stage,step,loss,accuracy,gradient_norm,learning_rate,duration_secs\n\
                   0,1,5.0,0.1,1,1e-3,0.5\n1,1,2.0,0.5,1,1e-3,0.5\n1,2,1.";
        let points = read(log);
        assert_eq!(points.len(), 2);
        assert_eq!(points[1], Point { stage: 1, loss: 2.0, accuracy: 0.5 });
    }

    #[test]
    fn the_picture_has_a_line_of_loss_and_one_of_right_answers_for_each_stage() {
        let point = |stage, loss| Point { stage, loss, accuracy: 0.5 };
        let picture = svg(&[point(0, 4.0), point(0, 2.0), point(1, 1.0)]);
        assert_eq!(picture.matches("<polyline").count(), 4);
        // The axis ends at 5: a loss of 4 lies a fifth below the top, one of 1 a fifth above the bottom.
        assert!(picture.contains(",104.0 ") && picture.contains(",308.0\""), "{picture}");
        assert!(picture.ends_with("</svg>\n"));
        assert!(svg(&[]).contains("step (of 0)"));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!([0.0, 0.3, 2.0, 7.2, 10.0].map(nice_above), [1.0, 0.5, 2.0, 10.0, 10.0]);
    }
}
