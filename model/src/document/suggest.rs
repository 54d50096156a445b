//! "Did you mean": the nearest known word by edit distance, or the list of what is allowed.

/// The most words a help lists.
const LISTED_MAX: usize = 24;
/// The longest word compared, in characters; a longer one resembles nothing.
const COMPARED_CHARS_MAX: usize = 64;

/// A help for a word that is none of `known`: the nearest, else all of them under `title`.
pub(super) fn help_for<'k>(
    word: &str,
    title: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(near) = nearest(word, known.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    let listed: Vec<String> =
        known.iter().take(LISTED_MAX).map(|word| format!("`{word}`")).collect();
    let more = if known.len() > LISTED_MAX { ", ..." } else { "" };
    match listed.is_empty() {
        true => format!("{title}: none"),
        false => format!("{title}: {}{more}", listed.join(", ")),
    }
}

/// The nearest known word, when it is near enough to be a slip: a third of its letters.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let word: Vec<char> = word.chars().take(COMPARED_CHARS_MAX + 1).collect();
    if word.len() > COMPARED_CHARS_MAX {
        return None;
    }
    let scored = known.filter_map(|candidate| {
        let chars = candidate.chars().count();
        let far_max = (chars.min(word.len()) / 3).max(1);
        // A distance is at least what one word is longer than the other: most need no table.
        if chars.abs_diff(word.len()) > far_max {
            return None;
        }
        let distance = distance(&word, candidate);
        (distance <= far_max && distance < word.len()).then_some((distance, candidate))
    });
    scored.min().map(|(_, candidate)| candidate)
}

/// Optimal string alignment: insert, delete, replace, swap of neighbours; case costs nothing.
fn distance(a: &[char], b: &str) -> usize {
    let fold = |c: char| c.to_ascii_lowercase();
    let b: Vec<char> = b.chars().take(2 * COMPARED_CHARS_MAX).collect();
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = fold(a[i - 1]) == fold(b[j - 1]);
            let replaced = above[j - 1] + usize::from(!same);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            let swapped = i > 1
                && j > 1
                && fold(a[i - 1]) == fold(b[j - 2])
                && fold(a[i - 2]) == fold(b[j - 1]);
            if swapped {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests;
