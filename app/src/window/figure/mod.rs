//! Figures: one model of shapes, text and pixels, painted in the window and written as PNG, SVG and PDF.

pub mod font;
mod map;
pub mod paint;
mod pdf;
pub mod png;
pub mod scene;
mod svg;

use std::path::{Path, PathBuf};

use engine::session::DataSource;

pub use map::{MapFigure, Sheet};
pub use scene::Scene;

/// Points up to this number are drawn one by one in SVG and PDF; more become pixels.
pub const MAX_POINTS: usize = 20_000;
/// Points a millimetre.
pub const POINTS_PER_MM: f32 = 72.0 / 25.4;

/// The formats of figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Pixels.
    #[default]
    Png,
    /// Shapes and text for drawing programs and the web.
    Svg,
    /// Shapes and text for print.
    Pdf,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::Png, Self::Svg, Self::Pdf];

    /// Its name.
    pub fn text(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Svg => "SVG",
            Self::Pdf => "PDF",
        }
    }

    /// The ending of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Svg => "svg",
            Self::Pdf => "pdf",
        }
    }
}

/// How a figure is written.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The format.
    pub format: Format,
    /// Width in millimetres.
    pub width_mm: f32,
    /// Height in millimetres.
    pub height_mm: f32,
    /// Dots an inch of a PNG, and of points that became pixels.
    pub dpi: f32,
    /// What it is painted on.
    pub ground: Ground,
    /// Whether the legend stands beside the map.
    pub legend: bool,
}

/// What a figure is painted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ground {
    /// White.
    #[default]
    White,
    /// Nothing.
    Transparent,
    /// The dark theme's.
    Dark,
}

impl Ground {
    /// All grounds.
    pub const ALL: [Self; 3] = [Self::White, Self::Transparent, Self::Dark];

    /// Its name.
    pub fn text(self) -> &'static str {
        match self {
            Self::White => "White",
            Self::Transparent => "Transparent",
            Self::Dark => "Dark",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: Format::Png,
            // The width of a page of most journals.
            width_mm: 180.0,
            height_mm: 120.0,
            dpi: 300.0,
            ground: Ground::White,
            legend: true,
        }
    }
}

impl Settings {
    /// The same within what can be written.
    pub fn sane(mut self) -> Self {
        let keep =
            |v: f32, low: f32, high: f32, other: f32| if v.is_finite() { v.clamp(low, high) } else { other };
        self.width_mm = keep(self.width_mm, 20.0, 500.0, 180.0);
        self.height_mm = keep(self.height_mm, 20.0, 500.0, 120.0);
        self.dpi = keep(self.dpi, 72.0, 600.0, 300.0);
        self
    }

    /// Width and height in points.
    pub fn size(&self) -> [f32; 2] {
        [self.width_mm * POINTS_PER_MM, self.height_mm * POINTS_PER_MM]
    }

    /// Width and height of a PNG.
    pub fn pixels(&self) -> [usize; 2] {
        self.size().map(|v| (v * self.dpi / 72.0).round() as usize)
    }
}

/// What a figure rests on; it travels inside the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Provenance {
    /// The figure's title.
    pub title: String,
    /// The program with its version.
    pub software: String,
    /// What else is to be known, name and value.
    pub facts: Vec<(String, String)>,
}

impl Provenance {
    /// The provenance of a figure of this data set; `facts` say what is shown.
    ///
    /// The hash of the source file is not yet in it: see [`Provenance::with_hash`].
    pub fn new(title: String, source: &DataSource, facts: Vec<(String, String)>) -> Self {
        let file = match source {
            DataSource::Sample => "PBMC sample that ships with the program".to_owned(),
            DataSource::File(path) => super::workspace::file_name(path),
        };
        let mut all = vec![("Source".to_owned(), file)];
        all.extend(facts);
        all.push(("Date".to_owned(), now_utc()));
        Self { title, software: format!("Cell2Text {}", env!("CARGO_PKG_VERSION")), facts: all }
    }

    /// Adds the hash of the source file. Reads the whole file: not for the window's thread.
    pub fn with_hash(mut self, source: &DataSource) -> Self {
        if let DataSource::File(path) = source {
            let watch = engine::progress::Watch::silent();
            let hash = engine::files::sha256_of_file(path, &watch)
                .unwrap_or_else(|error| format!("unknown: {error}"));
            self.facts.push(("SHA256".to_owned(), hash));
        }
        self
    }

    /// In one line.
    pub fn sentence(&self) -> String {
        let facts: Vec<String> = self.facts.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        format!("{}; {}", self.software, facts.join("; "))
    }

    /// As JSON.
    pub fn json(&self) -> String {
        let mut map = serde_json::Map::new();
        map.insert("software".into(), self.software.clone().into());
        map.insert("title".into(), self.title.clone().into());
        for (key, value) in &self.facts {
            map.insert(key.to_lowercase(), value.clone().into());
        }
        serde_json::Value::Object(map).to_string()
    }

    /// The text chunks of a PNG; Title, Software and Description are names that the format knows.
    fn texts(&self) -> Vec<(String, String)> {
        vec![
            ("Title".into(), self.title.clone()),
            ("Software".into(), self.software.clone()),
            ("Description".into(), self.sentence()),
            ("Cell2Text".into(), self.json()),
        ]
    }
}

/// Why a figure was not written.
#[derive(Debug)]
pub enum FigureError {
    /// It has more pixels than programs open.
    TooLarge {
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
    },
    /// It could not be packed.
    Encode(String),
    /// The file could not be written.
    Write(engine::Error),
}

impl std::fmt::Display for FigureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge { width, height } => write!(
                f,
                "The picture would have {width} × {height} pixels, and {} along one side is the most. Choose a \
                 smaller size or fewer dots an inch.",
                png::MAX_SIDE
            ),
            Self::Encode(why) => write!(f, "The picture could not be packed: {why}. Choose another format."),
            Self::Write(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for FigureError {}

/// The file's bytes in a format.
///
/// # Errors
/// Where the figure is too large or cannot be packed.
pub fn bytes(scene: &Scene, settings: &Settings, provenance: &Provenance) -> Result<Vec<u8>, FigureError> {
    match settings.format {
        Format::Png => png::write(scene, settings.dpi, provenance),
        Format::Svg => svg::write(scene, provenance).map(String::into_bytes),
        Format::Pdf => pdf::write(scene, provenance),
    }
}

/// Writes a figure, whole or not at all. Returns where.
///
/// # Errors
/// What [`bytes`] says, and where the file cannot be written.
pub fn write(
    scene: &Scene,
    settings: &Settings,
    provenance: &Provenance,
    path: &Path,
) -> Result<PathBuf, FigureError> {
    let bytes = bytes(scene, settings, provenance)?;
    let path = path.with_extension(settings.format.extension());
    engine::files::write_atomically(&path, &bytes).map_err(FigureError::Write)?;
    Ok(path)
}

/// The time as `2026-11-21T14:30:00Z`.
///
/// Source: Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
fn now_utc() -> String {
    let secs = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64);
    utc(secs)
}

fn utc(secs: i64) -> String {
    let (days, second) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let m = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * m + 2) / 5 + 1;
    let month = if m < 10 { m + 3 } else { m - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::scene::{Across, Paint, Raster};
    use super::*;

    fn scene() -> Scene {
        let mut scene = Scene::new([200.0, 100.0]);
        scene.background = Some(Paint([255; 4]));
        scene.fill([10.0, 10.0], [50.0, 50.0], Paint([0, 114, 178, 128]));
        scene.text([100.0, 50.0], Across::Centre, 12.0, Paint([0, 0, 0, 255]), "CD14+ & γδ T");
        scene.turned_text([20.0, 80.0], Across::Left, 10.0, Paint([0, 0, 0, 255]), -45.0, "LYZ");
        let raster = std::sync::Arc::new(Raster { width: 2, height: 2, pixels: vec![[9, 8, 7, 200]; 4] });
        scene.items.push(scene::Item::Image { min: [150.0, 10.0], max: [190.0, 50.0], raster });
        scene
    }

    fn provenance() -> Provenance {
        let facts = vec![("Coloured by".to_owned(), "LYZ".to_owned())];
        Provenance::new("UMAP <1>".into(), &DataSource::File("/data/a b.h5ad".into()), facts)
    }

    fn holds(bytes: &[u8], what: &str) -> bool {
        bytes.windows(what.len()).any(|w| w == what.as_bytes())
    }

    #[test]
    fn every_format_holds_its_text_as_text_and_what_it_rests_on() {
        for format in Format::ALL {
            let settings = Settings { format, ..Settings::default() };
            let bytes = bytes(&scene(), &settings, &provenance()).unwrap();
            match format {
                Format::Png => {
                    assert!(holds(&bytes, "\u{89}PNG") || bytes.starts_with(b"\x89PNG"));
                    assert!(holds(&bytes, "Coloured by: LYZ"));
                    assert!(holds(&bytes, "\"source\":\"a b.h5ad\""));
                }
                Format::Svg => {
                    assert!(holds(&bytes, ">CD14+ &amp; γδ T</text>"));
                    assert!(holds(&bytes, "<title>UMAP &lt;1&gt;</title>"));
                    assert!(holds(&bytes, "Coloured by: LYZ"));
                    assert!(holds(&bytes, "rotate(-45 20 80)"));
                    assert!(holds(&bytes, "data:image/png;base64,iVBOR"));
                }
                Format::Pdf => {
                    assert!(bytes.starts_with(b"%PDF-"));
                    assert!(holds(&bytes, "/Colouredby"));
                    assert!(holds(&bytes, "/SourceSansPro-Regular"));
                    assert!(holds(&bytes, "/FontFile2"));
                }
            }
            assert!(!holds(&bytes, "/data/"), "a figure names the file, not the folders of its maker");
        }
    }

    #[test]
    fn the_day_is_that_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_795_271_387), "2026-11-21T14:29:47Z");
    }

    #[test]
    fn sizes_that_make_no_sense_are_brought_back() {
        let wild = Settings { width_mm: f32::NAN, height_mm: 1e9, dpi: 0.0, ..Settings::default() }.sane();
        assert_eq!((wild.width_mm, wild.height_mm, wild.dpi), (180.0, 500.0, 72.0));
        assert_eq!(Settings { width_mm: 25.4, dpi: 300.0, ..Settings::default() }.pixels()[0], 300);
    }
}
