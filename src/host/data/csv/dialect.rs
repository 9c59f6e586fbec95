//! What separates the values of a line.

use std::string::String;
use std::vec::Vec;

/// Lines that are looked at.
const SAMPLE: usize = 16;

/// A semicolon and a tab separate nothing else, so they come before the comma, which may be a decimal one.
const CANDIDATES: [u8; 3] = [b'\t', b';', b','];

/// The separator of `text`: the first of the candidates that is in every line, or else the most frequent.
pub(super) fn delimiter(text: &str) -> u8 {
    let lines: Vec<String> =
        text.split(['\r', '\n']).filter(|line| !line.trim().is_empty()).take(SAMPLE).map(unquoted).collect();
    let count = |line: &String, candidate: u8| line.bytes().filter(|&byte| byte == candidate).count();
    let in_all = |candidate: &u8| !lines.is_empty() && lines.iter().all(|line| count(line, *candidate) > 0);
    let total = |candidate: u8| lines.iter().map(|line| count(line, candidate)).sum::<usize>();
    let most = CANDIDATES.into_iter().max_by_key(|&candidate| total(candidate));
    CANDIDATES.into_iter().find(in_all).or(most).unwrap_or(b',')
}

/// Excel's line that says the separator, and what follows it.
pub(super) fn declared(text: &str) -> Option<(u8, usize)> {
    let first = text.split(['\r', '\n']).next().unwrap_or_default();
    match first.trim_matches('"').strip_prefix("sep=").map(str::as_bytes) {
        Some(&[delimiter]) => Some((delimiter, first.len())),
        _ => None,
    }
}

/// Without what stands in quotes.
fn unquoted(line: &str) -> String {
    line.split('"').step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators() {
        for (text, right) in [
            ("1,2\n3,4\n", b','),
            ("0,76;3,78\n0,17;0,01\n", b';'),
            ("0,76\t3,78\n", b'\t'),
            ("\"a;b\",c\n1,2\n", b','),
            ("a;b,c\n1,2,3\n1,2,3\n", b','),
            ("1\n2\n", b','),
            ("", b','),
            // A line too short for a separator; its error is about that line.
            ("1;2\n3\n4;5\n", b';'),
        ] {
            assert_eq!(delimiter(text), right, "{text:?}");
        }
        assert_eq!(declared("sep=;\r\n1;2"), Some((b';', 5)));
        assert_eq!(declared("september,1"), None);
    }
}
