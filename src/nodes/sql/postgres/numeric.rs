//! `numeric` as text and back: decimal digits without loss. Pure.
//! Source: PostgreSQL, `numeric_send` and `numeric_recv` in `src/backend/utils/adt/numeric.c`: groups of four decimal digits.

use super::types::ConversionError;

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NOT_A_NUMBER: u16 = 0xc000;
const INFINITY: u16 = 0xd000;
const NEGATIVE_INFINITY: u16 = 0xf000;

/// Digits that a text may have before and behind the point: PostgreSQL's own bounds are 131,072 and 16,383.
const DIGITS_MAX: usize = 16_383;

/// The decimal notation of a binary value.
///
/// Errors: `Damaged`.
pub(super) fn decode(bytes: &[u8]) -> Result<String, ConversionError> {
    let words: Vec<u16> =
        bytes.chunks(2).map(|pair| pair.try_into().map(u16::from_be_bytes)).collect::<Result<_, _>>().map_err(|_| DAMAGED)?;
    let (Some([count, weight, sign, scale]), Some(groups)) = (words.first_chunk::<4>(), words.get(4..)) else {
        return Err(DAMAGED);
    };
    match *sign {
        NOT_A_NUMBER => return Ok("NaN".to_owned()),
        INFINITY => return Ok("Infinity".to_owned()),
        NEGATIVE_INFINITY => return Ok("-Infinity".to_owned()),
        POSITIVE | NEGATIVE if groups.len() == usize::from(*count) && groups.iter().all(|group| *group < 10_000) => {}
        _ => return Err(DAMAGED),
    }
    // The group at `place` counts 10,000 to the power of `place`; those that are not sent are zero.
    let weight = i32::from(weight.cast_signed());
    let group = |place: i32| usize::try_from(weight - place).ok().and_then(|index| groups.get(index)).copied().unwrap_or(0);
    let mut text = String::new();
    for place in (0..=weight.max(0)).rev() {
        text.push_str(&format!("{:04}", group(place)));
    }
    let mut text = text.trim_start_matches('0').to_owned();
    if text.is_empty() {
        text.push('0');
    }
    if *scale > 0 {
        let places = (i32::from(*scale) + 3) / 4;
        let fraction: String = (1..=places).map(|place| format!("{:04}", group(-place))).collect();
        text.push('.');
        text.push_str(&fraction[..usize::from(*scale)]);
    }
    if *sign == NEGATIVE {
        text.insert(0, '-');
    }
    Ok(text)
}

/// The binary form of a decimal notation: `-12.50`, `1e3`, `NaN`.
///
/// Errors: `Unfit` if it is no number or has too many digits.
pub(super) fn encode(text: &str) -> Result<Vec<u8>, ConversionError> {
    if text == "NaN" {
        return Ok(words(&[0, 0, NOT_A_NUMBER, 0]));
    }
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (NEGATIVE, rest),
        None => (POSITIVE, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = plain_digits(unsigned)?;
    // Zeros fill both halves up to whole groups around the point.
    let whole_groups = whole.len().div_ceil(4);
    let mut digits = "0".repeat(whole_groups * 4 - whole.len()) + &whole + &fraction;
    digits.push_str(&"0".repeat(digits.len().next_multiple_of(4) - digits.len()));
    let mut groups = digits
        .as_bytes()
        .chunks(4)
        .map(|group| group.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
        .collect::<Vec<u16>>();
    let leading = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..leading);
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let weight = i16::try_from(whole_groups)
        .and_then(|whole| i16::try_from(leading).map(|skipped| whole - skipped - 1))
        .map_err(|_| UNFIT)?;
    let count = u16::try_from(groups.len()).map_err(|_| UNFIT)?;
    let scale = u16::try_from(fraction.len()).map_err(|_| UNFIT)?;
    let (weight, sign) = if groups.is_empty() { (0, POSITIVE) } else { (weight, sign) };
    let mut all = vec![count, weight.cast_unsigned(), sign, scale];
    all.append(&mut groups);
    Ok(words(&all))
}

/// The digits before and behind the point, with the exponent worked in.
fn plain_digits(text: &str) -> Result<(String, String), ConversionError> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| UNFIT)?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || whole.len() + fraction.len() == 0 {
        return Err(UNFIT);
    }
    let shift = usize::try_from(exponent.unsigned_abs()).map_err(|_| UNFIT)?;
    if whole.len() + fraction.len() + shift > DIGITS_MAX {
        return Err(UNFIT);
    }
    let (mut whole, mut fraction) = (whole.to_owned(), fraction.to_owned());
    if exponent >= 0 {
        fraction.push_str(&"0".repeat(shift.saturating_sub(fraction.len())));
        let behind = fraction.split_off(shift);
        whole.push_str(&fraction);
        fraction = behind;
    } else {
        whole.insert_str(0, &"0".repeat(shift));
        fraction.insert_str(0, &whole.split_off(whole.len() - shift));
    }
    Ok((whole, fraction))
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

const DAMAGED: ConversionError = ConversionError::Damaged { what: "numeric" };
const UNFIT: ConversionError = ConversionError::Unfit { expected: "a decimal number" };

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, shown: &str) {
        assert_eq!(encode(text).and_then(|bytes| decode(&bytes)), Ok(shown.to_owned()), "{text}");
    }

    #[test]
    fn keeps_every_digit() {
        for text in ["0", "1", "-1", "9999", "10000", "12345678.9", "0.0001", "0.00001234", "-0.5", "100000000", "1.10", "NaN"] {
            check(text, text);
        }
        check("123456789012345678901234567890.123456789", "123456789012345678901234567890.123456789");
        check("+007", "7");
        check("-0.00", "0.00");
        check(".5", "0.5");
        check("1.5e3", "1500");
        check("1.5E-3", "0.0015");
        check("12e-1", "1.2");
    }

    #[test]
    fn refuses_what_is_no_number() {
        for text in ["", "-", ".", "1.2.3", "1e", "0x1", "1 ", "Infinity", "1e99999999"] {
            assert_eq!(encode(text), Err(UNFIT), "{text}");
        }
    }

    #[test]
    fn writes_what_the_server_writes() {
        // `select numeric_send(12345.67)`
        assert_eq!(encode("12345.67").unwrap(), [0, 3, 0, 1, 0, 0, 0, 2, 0, 1, 0x09, 0x29, 0x1a, 0x2c]);
        assert_eq!(decode(&[0, 0, 0, 0, 0xf0, 0, 0, 0x20]), Ok("-Infinity".to_owned()));
        assert_eq!(decode(&[0, 2, 0, 0, 0, 0, 0, 0, 0, 1]), Err(DAMAGED));
    }
}
