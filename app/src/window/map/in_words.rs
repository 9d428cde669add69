//! Numbers as a person reads them.

/// A number as a person reads it: about three digits that matter.
pub fn number(v: f32) -> String {
    let size = v.abs();
    if !v.is_finite() {
        v.to_string()
    } else if v == 0.0 {
        "0".into()
    } else if !(1e-3..1e6).contains(&size) {
        format!("{v:.2e}")
    } else if size >= 1000.0 {
        grouped(v.round() as i64)
    } else {
        let decimals = if size >= 100.0 {
            0
        } else if size >= 10.0 {
            1
        } else if size >= 0.1 {
            2
        } else {
            4
        };
        let text = format!("{v:.decimals$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    }
}

/// An integer with a comma every three digits.
pub fn grouped(v: i64) -> String {
    let digits = v.unsigned_abs().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if v < 0 {
        out.push('-');
    }
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (v, text) in [
            (0.0, "0"),
            (3.0, "3"),
            (2.5, "2.5"),
            (0.0123, "0.0123"),
            (12.34, "12.3"),
            (1234.6, "1,235"),
            (-0.5, "-0.5"),
            (1.0e-5, "1.00e-5"),
        ] {
            assert_eq!(number(v), text);
        }
        assert_eq!(grouped(-1_234_567), "-1,234,567");
        assert_eq!(grouped(700), "700");
    }
}
