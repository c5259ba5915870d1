//! Compares texts with numbers in them as people do: `item 9` before `item 10`. Pure; a total order.

use std::cmp::Ordering;

/// Compares runs of digits by their value and everything else by character; equal in both, by the texts themselves.
pub fn compare(left: &str, right: &str) -> Ordering {
    let (mut left_rest, mut right_rest) = (left, right);
    while !left_rest.is_empty() && !right_rest.is_empty() {
        let (left_part, left_after) = split_run(left_rest);
        let (right_part, right_after) = split_run(right_rest);
        let order = match (is_digit_run(left_part), is_digit_run(right_part)) {
            (true, true) => compare_digits(left_part, right_part),
            (true, false) | (false, true) | (false, false) => left_part.cmp(right_part),
        };
        if order.is_ne() {
            return order;
        }
        (left_rest, right_rest) = (left_after, right_after);
    }
    left_rest.len().cmp(&right_rest.len()).then_with(|| left.cmp(right))
}

/// Splits a run of digits or a single other character off.
fn split_run(text: &str) -> (&str, &str) {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let end = if digits > 0 { digits } else { text.chars().next().map_or(0, char::len_utf8) };
    text.split_at(end)
}

fn is_digit_run(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_digit())
}

/// By value, however long: without leading zeros the longer number is the larger one.
fn compare_digits(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn orders_numbers_inside_texts() {
        let ascending =
            ["", "a", "a 1", "a 2", "a 02b", "a 2c", "a 10", "a 123456789012345678901234567890", "a b", "b", "é1", "é 2x"];
        let mut sorted = ascending;
        sorted.reverse();
        sorted.sort_by(|left, right| compare(left, right));
        assert_eq!(&sorted[..10], &ascending[..10]);
    }

    proptest! {
        #[test]
        fn is_a_total_order(a in "[0-2a ]{0,6}", b in "[0-2a ]{0,6}", c in "[0-2a ]{0,6}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &b).is_eq(), a == b);
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }
    }
}
