//! Colours of the data: categories and the scales of numbers.

use std::sync::OnceLock;

use eframe::egui::Color32;
use serde::{Deserialize, Serialize};

/// The set of Okabe and Ito without black, which stays apart for all common kinds of colour blindness; the yellow is a
/// little darker so that it shows on white.
///
/// Source: Okabe and Ito, "Color universal design" (2008).
const OKABE_ITO: [u32; 7] = [0x0072B2, 0xE69F00, 0x009E73, 0xCC79A7, 0x56B4E9, 0xD55E00, 0xE8DA3A];

/// Entries of the scale of numbers.
pub const SCALE_STEPS: usize = 256;

/// Colours made beyond those of Okabe and Ito; categories beyond begin again.
const MOST: usize = 256;

/// The scale that numbers are painted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Dark violet to yellow.
    #[default]
    Viridis,
    /// Dark blue to yellow: the same to those who see no red or no green.
    Cividis,
}

impl Scale {
    /// All scales.
    pub const ALL: [Self; 2] = [Self::Viridis, Self::Cividis];

    /// Its name.
    pub fn text(self) -> &'static str {
        match self {
            Self::Viridis => "viridis",
            Self::Cividis => "cividis",
        }
    }
}

/// Colours for `n` categories. The first are the same for every `n`.
///
/// The first seven are those of Okabe and Ito. Each further one is, of a grid over the visible colours, the one
/// farthest from all before it to the eye that confuses it most: normal, without red, or without green.
///
/// Source of the method: Glasbey et al., "Colour displays for categorical images" (2007).
pub fn categorical(n: usize) -> Vec<Color32> {
    static COLOURS: OnceLock<Vec<Color32>> = OnceLock::new();
    let colours = COLOURS.get_or_init(|| far_apart(MOST));
    colours.iter().copied().cycle().take(n).collect()
}

fn far_apart(n: usize) -> Vec<Color32> {
    const LIGHTNESS: std::ops::RangeInclusive<u32> = 46..=86;
    let mut chosen: Vec<Color32> = OKABE_ITO.iter().map(|&hex| from_hex(hex)).collect();
    let mut candidates: Vec<Color32> = Vec::new();
    for lightness in LIGHTNESS.step_by(4) {
        for chroma in [2, 7, 11, 15, 19] {
            for hue in (0..360).step_by(10) {
                candidates.extend(from_oklch(lightness as f32 / 100.0, chroma as f32 / 100.0, hue as f32));
            }
        }
    }
    let seen: Vec<[[f32; 3]; 3]> = candidates.iter().map(|c| seen_by_all(*c)).collect();
    // The distance of each candidate from the nearest colour chosen so far.
    let mut far = vec![f32::INFINITY; candidates.len()];
    let mut taken = 0;
    while chosen.len() < n {
        for colour in chosen.iter().skip(taken).map(|c| seen_by_all(*c)) {
            for (far, seen) in far.iter_mut().zip(&seen) {
                *far = far.min(apart(seen, &colour));
            }
        }
        taken = chosen.len();
        let farthest = far.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(at, _)| at);
        match farthest.and_then(|at| candidates.get(at)) {
            Some(colour) => chosen.push(*colour),
            None => break,
        }
    }
    chosen
}

/// A colour in OKLab as seen with normal eyes, without green cones, and without red cones.
///
/// Source of the two simulations: Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of
/// color vision deficiency" (2009), severity 1.
fn seen_by_all(colour: Color32) -> [[f32; 3]; 3] {
    const EYES: [[[f32; 3]; 3]; 3] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_82, 0.042_94, 0.968_881],
        ],
        [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ],
    ];
    let linear = [colour.r(), colour.g(), colour.b()].map(|v| {
        let v = f32::from(v) / 255.0;
        if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    });
    EYES.map(|eye| to_oklab(eye.map(|row| dot(row, linear).clamp(0.0, 1.0))))
}

/// How far apart two colours are to the eye that tells them apart least.
fn apart(a: &[[f32; 3]; 3], b: &[[f32; 3]; 3]) -> f32 {
    let distance =
        |a: &[f32; 3], b: &[f32; 3]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
    a.iter().zip(b).map(|(a, b)| distance(a, b)).fold(f32::INFINITY, f32::min)
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The colour at `t`, 0 to 1, of the scale viridis: even steps look even, also without colour vision.
///
/// Source: a polynomial of degree six fitted to matplotlib's table; a test checks it against the table.
pub fn viridis(t: f32) -> Color32 {
    const C: [[f32; 3]; 7] = [
        [0.277_727_33, 0.005_407_344_5, 0.334_099_8],
        [0.105_093_04, 1.404_613_5, 1.384_590_1],
        [-0.330_861_84, 0.214_847_56, 0.095_095_16],
        [-4.634_230_6, -5.799_101, -19.332_441],
        [6.228_27, 14.179_934, 56.690_55],
        [4.776_385, -13.745_145, -65.353_035],
        [-5.435_456, 4.645_852_6, 26.312_435],
    ];
    let t = if t.is_nan() { 0.0 } else { t.clamp(0.0, 1.0) };
    let channel = |k: usize| {
        let v = C.iter().rev().fold(0.0, |acc, c| acc * t + c[k]);
        (v.clamp(0.0, 1.0) * 255.0).round() as u8
    };
    Color32::from_rgb(channel(0), channel(1), channel(2))
}

/// The colour at `t`, 0 to 1, of the scale cividis, which looks the same with and without red and green cones.
///
/// Source: Nuñez, Anderton and Renslow (2018); every sixteenth entry of matplotlib's table, with straight lines between.
pub fn cividis(t: f32) -> Color32 {
    const TABLE: [u32; 17] = [
        0x00224E, 0x002E6A, 0x1A386F, 0x32436D, 0x434E6C, 0x535A6D, 0x61656F, 0x6F7073, 0x7D7C78, 0x8B8778,
        0x9A9376, 0xAAA073, 0xBBAD6D, 0xCCBA64, 0xDDC858, 0xEFD748, 0xFEE838,
    ];
    let t = if t.is_nan() { 0.0 } else { t.clamp(0.0, 1.0) };
    let place = t * (TABLE.len() - 1) as f32;
    let entry = |at: usize| from_hex(TABLE.get(at).copied().unwrap_or(0xFEE838));
    let (low, high) = (entry(place as usize), entry(place as usize + 1));
    let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * place.fract()).round() as u8;
    Color32::from_rgb(mix(low.r(), high.r()), mix(low.g(), high.g()), mix(low.b(), high.b()))
}

/// The colour at `t` of the scale viridis as painted on a dark or a light ground.
pub fn scale(t: f32, dark: bool) -> Color32 {
    scale_of(Scale::Viridis, t, dark)
}

/// The colour at `t` of a scale as painted on a dark or a light ground.
///
/// The ends that would vanish into the ground are left out: the darkest part on dark, the palest on white.
pub fn scale_of(scale: Scale, t: f32, dark: bool) -> Color32 {
    let (from, to) = if dark { (0.10, 1.0) } else { (0.0, 0.96) };
    let t = from + (to - from) * t.clamp(0.0, 1.0);
    match scale {
        Scale::Viridis => viridis(t),
        Scale::Cividis => cividis(t),
    }
}

fn from_hex(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

/// A colour from lightness, chroma and hue; `None` where screens cannot show it.
///
/// Source: Björn Ottosson, "A perceptual color space for image processing" (2020).
fn from_oklch(lightness: f32, chroma: f32, hue_degrees: f32) -> Option<Color32> {
    let (sin, cos) = hue_degrees.to_radians().sin_cos();
    let (a, b) = (chroma * cos, chroma * sin);
    let l = (lightness + 0.396_337_78 * a + 0.215_803_76 * b).powi(3);
    let m = (lightness - 0.105_561_346 * a - 0.063_854_17 * b).powi(3);
    let s = (lightness - 0.089_484_18 * a - 1.291_485_5 * b).powi(3);
    let linear = [
        4.076_741_7 * l - 3.307_711_6 * m + 0.230_969_94 * s,
        -1.268_438 * l + 2.609_757_4 * m - 0.341_319_38 * s,
        -0.004_196_086_3 * l - 0.703_418_6 * m + 1.707_614_7 * s,
    ];
    if linear.iter().any(|v| !(0.0..=1.0).contains(v)) {
        return None;
    }
    let [r, g, b] = linear.map(|v| {
        let v = if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
        (v * 255.0).round() as u8
    });
    Some(Color32::from_rgb(r, g, b))
}

/// Linear light to OKLab; the inverse of what [`from_oklch`] does.
fn to_oklab(linear: [f32; 3]) -> [f32; 3] {
    let cones = [
        dot([0.412_221_46, 0.536_332_55, 0.051_445_995], linear),
        dot([0.211_903_5, 0.680_699_5, 0.107_396_96], linear),
        dot([0.088_302_46, 0.281_718_85, 0.629_978_7], linear),
    ]
    .map(f32::cbrt);
    [
        dot([0.210_454_26, 0.793_617_8, -0.004_072_047], cones),
        dot([1.977_998_5, -2.428_592_2, 0.450_593_7], cones),
        dot([0.025_904_037, 0.782_771_77, -0.808_675_77], cones),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn viridis_agrees_with_the_table_of_matplotlib() {
        for (t, hex) in
            [(0.0, 0x440154), (0.25, 0x3B528B), (0.5, 0x21918C), (0.75, 0x5EC962), (1.0, 0xFDE725)]
        {
            let (got, want) = (viridis(t), from_hex(hex));
            for (a, b) in [(got.r(), want.r()), (got.g(), want.g()), (got.b(), want.b())] {
                assert!(a.abs_diff(b) <= 5, "at {t}: {got:?} against {want:?}");
            }
        }
        assert_eq!(viridis(f32::NAN), viridis(0.0));
        assert_eq!(viridis(7.0), viridis(1.0));
    }

    #[test]
    fn cividis_agrees_with_the_table_of_matplotlib() {
        for (t, hex) in [(0.0, 0x00224E), (0.3, 0x4E576C), (0.5, 0x7D7C78), (0.75, 0xBBAD6D), (1.0, 0xFEE838)]
        {
            let (got, want) = (cividis(t), from_hex(hex));
            for (a, b) in [(got.r(), want.r()), (got.g(), want.g()), (got.b(), want.b())] {
                assert!(a.abs_diff(b) <= 5, "at {t}: {got:?} against {want:?}");
            }
        }
        assert_eq!(cividis(f32::NAN), cividis(0.0));
    }

    /// The least distance of two of the first `n` colours, to the eye that tells them apart least.
    fn least_distance(n: usize) -> f32 {
        let seen: Vec<_> = categorical(n).into_iter().map(seen_by_all).collect();
        let pairs = seen.iter().enumerate().flat_map(|(i, a)| seen[..i].iter().map(move |b| (a, b)));
        pairs.map(|(a, b)| apart(a, b)).fold(f32::INFINITY, f32::min)
    }

    #[test]
    fn the_first_ten_colours_stay_apart_without_red_or_without_green_cones() {
        // The distances in OKLab were worked out beside with numpy: 0.0761 up to ten colours, 0.0718 up to twenty.
        assert!(least_distance(10) > 0.076, "{}", least_distance(10));
        assert!(least_distance(20) > 0.070, "{}", least_distance(20));
        assert!(least_distance(30) > 0.050, "{}", least_distance(30));
        // scanpy's and matplotlib's first ten, for comparison, come as near as this.
        let tab10 = [
            0x1F77B4, 0xFF7F0E, 0x2CA02C, 0xD62728, 0x9467BD, 0x8C564B, 0xE377C2, 0x7F7F7F, 0xBCBD22,
            0x17BECF,
        ];
        let seen: Vec<_> = tab10.into_iter().map(|hex| seen_by_all(from_hex(hex))).collect();
        let nearest = seen.iter().enumerate().flat_map(|(i, a)| seen[..i].iter().map(move |b| apart(a, b)));
        assert!(nearest.fold(f32::INFINITY, f32::min) < 0.04);
    }

    #[test]
    fn a_category_keeps_its_colour_when_others_are_added() {
        assert_eq!(categorical(40)[..12], categorical(12)[..]);
        assert_eq!(categorical(400).len(), 400);
    }

    #[test]
    fn every_category_has_its_own_colour_up_to_sixty() {
        for n in [1, 7, 8, 24, 60] {
            let colours: BTreeSet<[u8; 4]> = categorical(n).iter().map(|c| c.to_array()).collect();
            assert_eq!(colours.len(), n);
        }
        assert!(categorical(0).is_empty());
    }
}
