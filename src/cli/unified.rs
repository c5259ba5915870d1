//! Differences of two texts in the unified format. Source: POSIX `diff -u`; E. Myers, "An O(ND) Difference Algorithm", 1986.

/// Lines around a difference that are shown with it.
const CONTEXT: usize = 3;
/// Differences of two texts that are looked for; where there are more, everything that differs is shown as replaced.
const EDITS_MAX: usize = 1_000;

/// One line of the way from the old text to the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit<'a> {
    Keep(&'a str),
    Remove(&'a str),
    Add(&'a str),
}

/// The difference of two texts; empty if there is none.
pub(super) fn unified_diff(old_name: &str, old: &str, new_name: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let edits = edits_between(&old, &new);
    let hunks = hunks(&edits);
    if hunks.is_empty() {
        return String::new();
    }
    let mut text = format!("--- {old_name}\n+++ {new_name}\n");
    for (first, last) in hunks {
        text += &hunk(&edits, first, last);
    }
    text
}

/// The shortest way from the old lines to the new ones. Equal ends are cut off first: what people change is small.
fn edits_between<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Edit<'a>> {
    let head = old.iter().zip(new).take_while(|(left, right)| left == right).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(left, right)| left == right).count();
    let (old_core, new_core) = (&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail]);
    let mut edits: Vec<Edit<'a>> = old[..head].iter().copied().map(Edit::Keep).collect();
    match shortest(old_core, new_core) {
        Some(core) => edits.extend(core),
        None => {
            edits.extend(old_core.iter().copied().map(Edit::Remove));
            edits.extend(new_core.iter().copied().map(Edit::Add));
        }
    }
    edits.extend(old_rest[old_rest.len() - tail..].iter().copied().map(Edit::Keep));
    edits
}

/// How far each diagonal is reached with so many edits. A diagonal is `x - y`, shifted so that it is not negative.
struct Reach {
    offset: usize,
    /// One row of furthest `x` per number of edits, for the way back.
    rows: Vec<Vec<usize>>,
}

/// Myers' algorithm; `None` if more than [`EDITS_MAX`] edits are needed.
fn shortest<'a>(old: &[&'a str], new: &[&'a str]) -> Option<Vec<Edit<'a>>> {
    let most = (old.len() + new.len()).min(EDITS_MAX);
    let offset = most + 1;
    let mut furthest = vec![0_usize; 2 * offset + 1];
    let mut rows = Vec::new();
    for edits in 0..=most {
        rows.push(furthest.clone());
        // Every second diagonal from -edits to +edits.
        for diagonal in (offset - edits..=offset + edits).step_by(2) {
            let mut x = step_to(&furthest, diagonal, offset, edits);
            let mut y = x + offset - diagonal;
            while x < old.len() && y < new.len() && old[x] == new[y] {
                (x, y) = (x + 1, y + 1);
            }
            furthest[diagonal] = x;
            if x >= old.len() && y >= new.len() {
                return Some(way_back(&Reach { offset, rows }, edits, old, new));
            }
        }
    }
    None
}

/// Where a diagonal is entered from its neighbours: by an added line (down) or a removed one (right).
fn step_to(furthest: &[usize], diagonal: usize, offset: usize, edits: usize) -> usize {
    if enters_down(furthest, diagonal, offset, edits) { furthest[diagonal + 1] } else { furthest[diagonal - 1] + 1 }
}

fn enters_down(furthest: &[usize], diagonal: usize, offset: usize, edits: usize) -> bool {
    edits == 0 || diagonal == offset - edits || diagonal != offset + edits && furthest[diagonal - 1] < furthest[diagonal + 1]
}

fn way_back<'a>(reach: &Reach, edits: usize, old: &[&'a str], new: &[&'a str]) -> Vec<Edit<'a>> {
    let (mut x, mut y) = (old.len(), new.len());
    let mut way = Vec::new();
    for edits in (1..=edits).rev() {
        let (furthest, diagonal) = (&reach.rows[edits], x + reach.offset - y);
        let down = enters_down(furthest, diagonal, reach.offset, edits);
        let before_diagonal = if down { diagonal + 1 } else { diagonal - 1 };
        let before_x = furthest[before_diagonal];
        let before_y = before_x + reach.offset - before_diagonal;
        let (enter_x, enter_y) = if down { (before_x, before_y + 1) } else { (before_x + 1, before_y) };
        while x > enter_x && y > enter_y {
            (x, y) = (x - 1, y - 1);
            way.push(Edit::Keep(old[x]));
        }
        way.push(if down { Edit::Add(new[before_y]) } else { Edit::Remove(old[before_x]) });
        (x, y) = (before_x, before_y);
    }
    while x > 0 {
        x -= 1;
        way.push(Edit::Keep(old[x]));
    }
    way.reverse();
    way
}

/// The stretches of edits that are shown together: from the first to behind the last.
fn hunks(edits: &[Edit<'_>]) -> Vec<(usize, usize)> {
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for (place, _) in edits.iter().enumerate().filter(|(_, edit)| !matches!(edit, Edit::Keep(_))) {
        let (first, last) = (place.saturating_sub(CONTEXT), (place + 1 + CONTEXT).min(edits.len()));
        match hunks.last_mut() {
            Some((_, end)) if first <= *end => *end = last,
            Some(_) | None => hunks.push((first, last)),
        }
    }
    hunks
}

fn hunk(edits: &[Edit<'_>], first: usize, last: usize) -> String {
    let lines_of = |edits: &[Edit<'_>]| {
        let old = edits.iter().filter(|edit| !matches!(edit, Edit::Add(_))).count();
        let new = edits.iter().filter(|edit| !matches!(edit, Edit::Remove(_))).count();
        (old, new)
    };
    let (old_before, new_before) = lines_of(&edits[..first]);
    let (old_count, new_count) = lines_of(&edits[first..last]);
    // An empty side is written as the line before it.
    let start = |before: usize, count: usize| if count == 0 { before } else { before + 1 };
    let (old_start, new_start) = (start(old_before, old_count), start(new_before, new_count));
    let mut text = format!("@@ -{old_start},{old_count} +{new_start},{new_count} @@\n");
    for edit in &edits[first..last] {
        let (mark, line) = match edit {
            Edit::Keep(line) => (' ', line),
            Edit::Remove(line) => ('-', line),
            Edit::Add(line) => ('+', line),
        };
        text.push(mark);
        text += line;
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shows_what_changed_with_three_lines_around() {
        let old: String = (1..=20).map(|n| format!("{n}\n")).collect();
        let new = old.replace("\n5\n", "\nfive\nand more\n").replace("\n18\n", "\n");
        let expected = "--- old\n+++ new\n@@ -2,7 +2,8 @@\n 2\n 3\n 4\n-5\n+five\n+and more\n 6\n 7\n 8\n@@ -15,6 +16,5 @@\n 15\n 16\n 17\n-18\n 19\n 20\n";
        assert_eq!(unified_diff("old", &old, "new", &new), expected);
    }

    #[test]
    fn shows_new_and_deleted_texts() {
        assert_eq!(unified_diff("/dev/null", "", "new", "a\n"), "--- /dev/null\n+++ new\n@@ -0,0 +1,1 @@\n+a\n");
        assert_eq!(unified_diff("old", "a\n", "/dev/null", ""), "--- old\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a\n");
        assert_eq!(unified_diff("old", "a\n", "new", "a\n"), "");
    }

    #[test]
    fn edits_obeyed_and_violated() {
        let lines = |prefix: &str, count: usize| (0..count).map(|n| format!("{prefix}{n}\n")).collect::<String>();
        let replaced = |count: usize| unified_diff("old", &lines("a", count), "new", &lines("b", count));
        for count in [EDITS_MAX / 2, EDITS_MAX / 2 + 1] {
            let diff = replaced(count);
            assert_eq!(diff.lines().filter(|line| line.starts_with("-a")).count(), count);
            assert_eq!(diff.lines().filter(|line| line.starts_with("+b")).count(), count);
        }
    }

    /// The length of the longest common subsequence, by the textbook.
    fn common(old: &[&str], new: &[&str]) -> usize {
        let mut row = vec![0; new.len() + 1];
        for left in old {
            let mut diagonal = 0;
            for (place, right) in new.iter().enumerate() {
                let above = row[place + 1];
                row[place + 1] = if left == right { diagonal + 1 } else { above.max(row[place]) };
                diagonal = above;
            }
        }
        row[new.len()]
    }

    proptest! {
        #[test]
        fn leads_from_the_old_text_to_the_new_one_by_the_shortest_way(old in "[abc]{0,12}", new in "[abc]{0,12}") {
            let split = |text: &'static str| text.split("").filter(|part| !part.is_empty()).collect::<Vec<_>>();
            let (old, new) = (split(old.leak()), split(new.leak()));
            let edits = edits_between(&old, &new);
            let side = |skip_add: bool| -> Vec<&str> {
                edits.iter().filter_map(|edit| match (edit, skip_add) {
                    (Edit::Keep(line), _) | (Edit::Remove(line), true) | (Edit::Add(line), false) => Some(*line),
                    (Edit::Remove(_), false) | (Edit::Add(_), true) => None,
                }).collect()
            };
            prop_assert_eq!(side(true), old.clone());
            prop_assert_eq!(side(false), new.clone());
            let kept = edits.iter().filter(|edit| matches!(edit, Edit::Keep(_))).count();
            prop_assert_eq!(kept, common(&old, &new));
        }
    }
}
