//! A scene as SVG: text stays text, pixels are an embedded PNG.

use std::fmt::Write as _;

use super::font::Weight;
use super::png::encode;
use super::scene::{Across, Item, Line, Paint, Point, Raster, Scene};
use super::{FigureError, Provenance};

/// The scene as an SVG document with what it rests on in its metadata.
///
/// # Errors
/// Where a raster cannot be encoded.
pub fn write(scene: &Scene, provenance: &Provenance) -> Result<String, FigureError> {
    let [width, height] = scene.size;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" width=\"{}pt\" \
         height=\"{}pt\" viewBox=\"0 0 {} {}\" font-family=\"'Source Sans Pro', 'Source Sans 3', Helvetica, Arial, \
         sans-serif\">",
        n(width),
        n(height),
        n(width),
        n(height)
    );
    let _ = writeln!(out, "<title>{}</title>", escape(&provenance.title));
    let _ = writeln!(out, "<desc>{}</desc>", escape(&provenance.sentence()));
    let _ = writeln!(out, "<metadata>{}</metadata>", escape(&provenance.json()));
    if let Some(paint) = scene.background {
        let _ = writeln!(
            out,
            "<rect width=\"{}\" height=\"{}\"{}/>",
            n(width),
            n(height),
            attribute("fill", Some(paint))
        );
    }
    for item in &scene.items {
        item_out(&mut out, item)?;
    }
    out.push_str("</svg>\n");
    Ok(out)
}

fn item_out(out: &mut String, item: &Item) -> Result<(), FigureError> {
    match item {
        Item::Box { min, max, fill, line } => {
            let _ = writeln!(
                out,
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{}{}/>",
                n(min[0]),
                n(min[1]),
                n(max[0] - min[0]),
                n(max[1] - min[1]),
                attribute("fill", *fill),
                stroke(*line)
            );
        }
        Item::Disc { centre, radius, fill, line } => {
            let _ = writeln!(
                out,
                "<circle cx=\"{}\" cy=\"{}\" r=\"{}\"{}{}/>",
                n(centre[0]),
                n(centre[1]),
                n(*radius),
                attribute("fill", *fill),
                stroke(*line)
            );
        }
        Item::Path { points, line } => {
            let _ = writeln!(out, "<path d=\"{}\" fill=\"none\"{}/>", path(points), stroke(Some(*line)));
        }
        Item::Band { one, other, fill } => {
            let outline: Vec<Point> = one.iter().chain(other.iter().rev()).copied().collect();
            let _ = writeln!(out, "<path d=\"{}Z\"{}/>", path(&outline), attribute("fill", Some(*fill)));
        }
        Item::Text(text) => {
            let anchor = match text.across {
                Across::Left => "start",
                Across::Centre => "middle",
                Across::Right => "end",
            };
            let [x, y] = text.place;
            let turn = if text.angle_degrees == 0.0 {
                String::new()
            } else {
                format!(" transform=\"rotate({} {} {})\"", n(text.angle_degrees), n(x), n(y))
            };
            let weight = if text.weight == Weight::Semibold { " font-weight=\"600\"" } else { "" };
            let _ = writeln!(
                out,
                "<text x=\"{}\" y=\"{}\" font-size=\"{}\" text-anchor=\"{anchor}\"{weight}{turn}{}>{}</text>",
                n(x),
                n(y + text.baseline_shift()),
                n(text.size),
                attribute("fill", Some(text.paint)),
                escape(&text.text)
            );
        }
        Item::Image { min, max, raster } => {
            let _ = writeln!(
                out,
                "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" \
                 xlink:href=\"data:image/png;base64,{}\"/>",
                n(min[0]),
                n(min[1]),
                n(max[0] - min[0]),
                n(max[1] - min[1]),
                base64(&encode(&Raster::clone(raster), &[], None)?)
            );
        }
    }
    Ok(())
}

/// A number with two decimals at most.
fn n(v: f32) -> String {
    let text = format!("{v:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn path(points: &[Point]) -> String {
    let mut out = String::new();
    for (i, [x, y]) in points.iter().enumerate() {
        let _ = write!(out, "{}{} {}", if i == 0 { "M" } else { "L" }, n(*x), n(*y));
    }
    out
}

fn attribute(name: &str, paint: Option<Paint>) -> String {
    let Some(Paint([r, g, b, a])) = paint else { return format!(" {name}=\"none\"") };
    let mut out = format!(" {name}=\"#{r:02x}{g:02x}{b:02x}\"");
    if a < 255 {
        let _ = write!(out, " {name}-opacity=\"{}\"", n(f32::from(a) / 255.0));
    }
    out
}

fn stroke(line: Option<Line>) -> String {
    line.map_or_else(String::new, |line| {
        format!("{} stroke-width=\"{}\"", attribute("stroke", Some(line.paint)), n(line.width))
    })
}

/// Text as it may stand in XML; signs that XML forbids are left out.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' => out.push(c),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

/// Source: RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            if i <= chunk.len() {
                out.push(char::from(SIGNS[(group >> (18 - 6 * i) & 63) as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_the_letters_of_the_standard() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn signs_of_xml_are_written_as_text() {
        assert_eq!(escape("a<b> & \"γδ\"\u{1}"), "a&lt;b&gt; &amp; &quot;γδ&quot;");
    }
}
