//! JavaScript's conversions between numbers and text, and numbers as JSON.

use std::fmt::Write as _;

use serde_json::Number;

/// The largest magnitude below which every whole number has an exact `f64`: 2^53.
const SAFE_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// Appends `Number::toString(number)`. Source: ECMA-262, 6.1.6.1.20.
pub(super) fn write(text: &mut String, number: f64) {
    if number.is_nan() {
        text.push_str("NaN");
    } else if number.is_infinite() {
        text.push_str(if number > 0.0 { "Infinity" } else { "-Infinity" });
    } else if let Some(whole) = safe_integer(number) {
        write!(text, "{whole}").expect("writing to a String cannot fail");
    } else {
        write_finite(text, number);
    }
}

pub(super) fn to_text(number: f64) -> String {
    let mut text = String::new();
    write(&mut text, number);
    text
}

/// Lays out the shortest digits that read back as `number`, as JavaScript does.
fn write_finite(text: &mut String, number: f64) {
    let scientific = format!("{:e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').expect("`{:e}` writes an exponent");
    let digits: String = mantissa.chars().filter(|digit| *digit != '.').collect();
    let point = exponent.parse::<i32>().expect("an exponent is a small number") + 1;
    let count = i32::try_from(digits.len()).expect("there are at most 17 digits");
    let split = |at: i32| digits.split_at(usize::try_from(at).unwrap_or(0));
    if number < 0.0 {
        text.push('-');
    }
    let result = if count <= point && point <= 21 {
        write!(text, "{digits}{:0<1$}", "", usize::try_from(point - count).unwrap_or(0))
    } else if 0 < point && point <= 21 {
        let (whole, fraction) = split(point);
        write!(text, "{whole}.{fraction}")
    } else if -6 < point && point <= 0 {
        write!(text, "0.{:0<1$}{digits}", "", usize::try_from(-point).unwrap_or(0))
    } else {
        let (first, rest) = split(1);
        let point_mark = if rest.is_empty() { "" } else { "." };
        write!(text, "{first}{point_mark}{rest}e{:+}", point - 1)
    };
    result.expect("writing to a String cannot fail");
}

/// The number as an integer, if it is one that has no neighbour with the same `f64`. Minus zero counts as zero.
fn safe_integer(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked, and a fraction shows in the comparison")]
    let whole = number as i64;
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
    let is_same = whole as f64 == number;
    (number.abs() < SAFE_INTEGER_MAX && is_same).then_some(whole)
}

/// The number as `JSON.stringify` writes it; `None` for what it writes as null.
pub(super) fn to_json(number: f64) -> Option<Number> {
    if let Some(whole) = safe_integer(number) {
        return Some(Number::from(whole));
    }
    if number.fract() == 0.0 {
        // As the text reads: `1e21` stays a float, `123456789012345680000` does not fit, `9007199254740992` is an integer.
        let text = to_text(number);
        return text
            .parse::<u64>()
            .map(Number::from)
            .ok()
            .or_else(|| text.parse::<i64>().map(Number::from).ok())
            .or_else(|| Number::from_f64(number));
    }
    Number::from_f64(number)
}

/// `StringToNumber(text)`. Source: ECMA-262, 7.1.4.1.1.
pub(super) fn from_text(text: &str) -> f64 {
    let text = text.trim_matches(is_white_space);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match text.as_bytes() {
        [] => 0.0,
        [b'0', b'x' | b'X', digits @ ..] => from_digits(digits, 4),
        [b'0', b'o' | b'O', digits @ ..] => from_digits(digits, 3),
        [b'0', b'b' | b'B', digits @ ..] => from_digits(digits, 1),
        _ if unsigned == "Infinity" => {
            if text.starts_with('-') {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            }
        }
        // Rust also reads `inf` and `nan`, and nothing else that JavaScript does not.
        _ if unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') => text.parse().unwrap_or(f64::NAN),
        _ => f64::NAN,
    }
}

/// The value of digits with `bits` bits each, rounded to the nearest number, ties to even.
fn from_digits(digits: &[u8], bits: u32) -> f64 {
    /// Bits of the mantissa that is collected: room for one more digit and the mark of lost bits.
    const MANTISSA_BITS: u32 = 120;
    let (mut mantissa, mut dropped_bits) = (0_u128, 0_i32);
    for digit in digits {
        let Some(value) = char::from(*digit).to_digit(1 << bits) else { return f64::NAN };
        if mantissa >> MANTISSA_BITS == 0 {
            mantissa = mantissa << bits | u128::from(value);
        } else {
            mantissa |= u128::from(value != 0); // Lost digits matter only for which way a tie is rounded.
            dropped_bits = dropped_bits.saturating_add_unsigned(bits);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "rounds as JavaScript does")]
    let rounded = mantissa as f64;
    if digits.is_empty() { f64::NAN } else { rounded * 2_f64.powi(dropped_bits) }
}

/// White space and line ends. Source: ECMA-262, 12.2 and 12.3. Unlike Rust's `char::is_whitespace`, not U+0085 but U+FEFF.
pub(super) fn is_white_space(character: char) -> bool {
    character == '\u{feff}' || (character.is_whitespace() && character != '\u{85}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_numbers_as_javascript_does() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (1.5e-7, "1.5e-7"),
            (0.000_001, "0.000001"),
            (1e-7, "1e-7"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (12345.678, "12345.678"),
            (-1e-10, "-1e-10"),
            (4.35, "4.35"),
        ] {
            assert_eq!(to_text(number), expected);
        }
    }

    #[test]
    fn reads_numbers_as_javascript_does() {
        for (text, expected) in [
            ("", 0.0),
            (" \u{feff}\n42\t", 42.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("+1e3", 1000.0),
            ("-Infinity", f64::NEG_INFINITY),
            ("0x1F", 31.0),
            ("0b101", 5.0),
            ("0o17", 15.0),
            ("0x20000000000001", 9_007_199_254_740_992.0),
            ("0x20000000000003", 9_007_199_254_740_996.0),
        ] {
            assert_eq!(from_text(text), expected, "{text:?}");
        }
        for text in ["abc", "1 2", "inf", "nan", "infinity", ".", "1e", "-0x1", "0x", "1_000", "0b2", "\u{85}1", "--1", "1n"] {
            assert!(from_text(text).is_nan(), "{text:?}");
        }
    }

    #[test]
    fn long_hexadecimal_numbers_round_once() {
        let text = format!("0x1{}8{}1", "0".repeat(13), "0".repeat(40));
        assert_eq!(from_text(&text), 2_f64.powi(55 * 4) * (1.0 + 2_f64.powi(-52)));
    }

    #[test]
    fn whole_numbers_are_integers_in_json() {
        assert_eq!(to_json(3.0).unwrap().to_string(), "3");
        assert_eq!(to_json(-0.0).unwrap().to_string(), "0");
        assert!(to_json(2_f64.powi(60)).unwrap().is_u64());
        assert!(to_json(1e300).unwrap().is_f64());
        assert_eq!(to_json(f64::NAN), None);
    }
}
