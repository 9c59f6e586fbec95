//! Whether the first line names the columns.

use std::string::String;
use std::vec::Vec;

use super::super::Number;

/// Fewer numbers that count up from 0 may well be a recording.
const SHORT: usize = 8;
/// Spreadsheets count from 1; as many numbers that do so may be a header.
const LONG: usize = 16;

/// What the first line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    Names,
    Data,
    /// One as well as the other.
    Either,
}

/// What `first` is, the fields of the first line, before lines whose fields of one column are `below(column)`.
///
/// Names are all words; or the numbers 0 … n-1; or 0 … n-2 and a word, beside it or before it. Fields without text are
/// the heading of an index.
pub(super) fn first_line<'a, I>(first: &[&'a str], below: impl Fn(usize) -> I) -> First
where
    I: Iterator<Item = &'a str>,
{
    let titled: Vec<(usize, &str)> =
        first.iter().copied().enumerate().filter(|(_, text)| !is_nameless(text)).collect();
    let blank = titled.len() < first.len();
    let (words, numbers): (Vec<_>, Vec<_>) =
        titled.iter().partition(|(_, text)| Number::parse(text, true).is_none());
    if numbers.is_empty() {
        return if words.is_empty() { First::Data } else { First::Names };
    }
    let from = |first: usize| {
        numbers.iter().enumerate().all(|(index, (_, text))| text.parse() == Ok(first + index))
            && numbers.iter().all(|(_, text)| !text.starts_with('+'))
    };
    let (counts, from_one) = (from(0), from(1) && numbers.len() >= LONG);
    let sure = match words.as_slice() {
        [] => blank,
        // A word at one of the ends is the label's heading or a label: what stands below it tells.
        [(column, word)] if *column == titled[0].0 || *column == titled[titled.len() - 1].0 => {
            let column: Vec<&str> = below(*column).collect();
            if column.contains(word) {
                return First::Data;
            }
            blank || !column.is_empty() && column.iter().all(|text| Number::parse(text, true).is_some())
        }
        _ => return First::Data,
    };
    match (counts, from_one) {
        (true, _) if sure || numbers.len() >= SHORT => First::Names,
        (true, _) | (_, true) => First::Either,
        _ => First::Data,
    }
}

/// Blank, or what pandas calls a column that had no name.
pub(super) fn is_nameless(name: &str) -> bool {
    name.is_empty() || name.strip_prefix("Unnamed: ").is_some_and(|rest| rest.parse::<u32>().is_ok())
}

/// Whether these fields of a column are an index: all blank, or whole numbers that differ.
pub(super) fn is_index<'a>(fields: impl Iterator<Item = &'a str>) -> bool {
    let fields: Vec<&str> = fields.collect();
    let whole = |text: &&&str| matches!(Number::parse(text, false), Some(Number::Integer(_)));
    let mut distinct: Vec<&str> = fields.clone();
    distinct.sort_unstable();
    distinct.dedup();
    fields.iter().all(|text| text.is_empty())
        || fields.iter().filter(whole).count() == fields.len() && distinct.len() == fields.len()
}

/// One line of text, shortened.
pub(super) fn shown(first: &[&str]) -> String {
    match first {
        [a, b, c, .., last] if first.len() > 6 => [a, b, c, "…", last].join(","),
        _ => first.join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn of(first: &str, second: &str) -> First {
        let first: Vec<&str> = first.split(',').collect();
        let second: Vec<&str> = second.split(',').collect();
        first_line(&first, |column| second.get(column).copied().into_iter())
    }

    fn counting(from: usize, to: usize) -> String {
        (from..to).map(|n| n.to_string()).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn headers_and_recordings() {
        let numbers = counting(100, 130);
        for (first, second, right) in [
            ("a,b,label", "1,2,0", First::Names),
            ("x", "1", First::Names),
            ("a,,b", "1,2,3", First::Names),
            (",0,1", "0,5,6", First::Names),
            ("Unnamed: 0,0,1", "0,5,6", First::Names),
            ("nan,2", "1,2", First::Data),
            ("1,2x", "3,4", First::Data),
            ("12,x,13", "1,2,3", First::Data),
            ("x,1,2,3", "0,1,2,3", First::Data),
            ("0,1,2", "5,6,7", First::Either),
            ("0,2,1", "5,6,7", First::Data),
            ("0.0,1.0,2.0", "5,6,7", First::Data),
            // The word stands among numbers: no label.
            ("0,1,label", "5,6,1", First::Names),
            ("label,0,1", "1,5,6", First::Names),
            ("0,1,up", "5,6,up", First::Data),
            ("0,1,up", "5,6,down", First::Either),
            ("1,2,3,4", "5,6,7,8", First::Data),
            (",5,6", "1,5,6", First::Data),
            ("", "", First::Data),
        ] {
            assert_eq!(of(first, second), right, "{first:?} above {second:?}");
        }
        assert_eq!(of(&counting(0, 27), &numbers), First::Names);
        assert_eq!(of(&counting(0, 8), &numbers), First::Names);
        assert_eq!(of(&counting(0, 7), &numbers), First::Either);
        assert_eq!(of(&counting(1, 30), &numbers), First::Either);
        assert_eq!(of(&(counting(0, 9) + ",x"), &(counting(30, 39) + ",down")), First::Names);
    }
}
