//! Colours of the data: categories and the scale of numbers.

use eframe::egui::Color32;

/// The eight-colour set of Okabe and Ito without black, which stays apart for all common kinds of colour
/// blindness; the yellow is darkened so that it shows on white.
///
/// Source: Okabe and Ito, "Color universal design" (2008).
const OKABE_ITO: [u32; 7] = [0x0072B2, 0xE69F00, 0x009E73, 0xCC79A7, 0x56B4E9, 0xD55E00, 0xC9B200];

/// Entries of the scale of numbers.
pub const SCALE_STEPS: usize = 256;

/// Colours for `n` categories.
///
/// Up to seven take the set of Okabe and Ito. More take hues a golden angle apart in OKLCH with changing
/// lightness, so that neighbours differ in lightness as well as in hue.
pub fn categorical(n: usize) -> Vec<Color32> {
    if n <= OKABE_ITO.len() {
        return OKABE_ITO.iter().take(n).map(|&hex| from_hex(hex)).collect();
    }
    const LIGHTNESS: [f32; 3] = [0.70, 0.54, 0.80];
    const GOLDEN_ANGLE_DEGREES: f32 = 137.508;
    (0..n)
        .map(|i| {
            let lightness = LIGHTNESS[i % LIGHTNESS.len()];
            let chroma = if lightness > 0.75 { 0.11 } else { 0.14 };
            from_oklch(lightness, chroma, 255.0 + GOLDEN_ANGLE_DEGREES * i as f32)
        })
        .collect()
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

/// The colour at `t` of the scale as painted on a dark or a light ground.
///
/// The ends that would vanish into the ground are left out: the darkest part on dark, the palest on white.
pub fn scale(t: f32, dark: bool) -> Color32 {
    let (from, to) = if dark { (0.10, 1.0) } else { (0.0, 0.96) };
    viridis(from + (to - from) * t.clamp(0.0, 1.0))
}

fn from_hex(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

/// A colour from lightness, chroma and hue.
///
/// Source: Björn Ottosson, "A perceptual color space for image processing" (2020).
fn from_oklch(lightness: f32, chroma: f32, hue_degrees: f32) -> Color32 {
    let (sin, cos) = hue_degrees.to_radians().sin_cos();
    let (a, b) = (chroma * cos, chroma * sin);
    let l = (lightness + 0.396_337_78 * a + 0.215_803_76 * b).powi(3);
    let m = (lightness - 0.105_561_346 * a - 0.063_854_17 * b).powi(3);
    let s = (lightness - 0.089_484_18 * a - 1.291_485_5 * b).powi(3);
    let encode = |v: f32| {
        let v = v.clamp(0.0, 1.0);
        let v = if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
        (v * 255.0).round() as u8
    };
    Color32::from_rgb(
        encode(4.076_741_7 * l - 3.307_711_6 * m + 0.230_969_94 * s),
        encode(-1.268_438 * l + 2.609_757_4 * m - 0.341_319_38 * s),
        encode(-0.004_196_086_3 * l - 0.703_418_6 * m + 1.707_614_7 * s),
    )
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
    fn every_category_has_its_own_colour_up_to_sixty() {
        for n in [1, 7, 8, 24, 60] {
            let colours: BTreeSet<[u8; 4]> = categorical(n).iter().map(|c| c.to_array()).collect();
            assert_eq!(colours.len(), n);
        }
        assert!(categorical(0).is_empty());
    }
}
