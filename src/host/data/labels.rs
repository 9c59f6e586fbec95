//! From what files call classes to the indices of a model's scores.

use std::borrow::ToOwned;
use std::collections::BTreeSet;
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;

use super::{DataError, Labels as Wanted, Number, Options, Recordings};

/// The classes of recordings.
pub(super) struct Labels {
    /// Of each recording.
    pub(super) indices: Vec<usize>,
    /// What the classes are called, where they are more than numbers from 0.
    pub(super) classes: Option<Vec<String>>,
}

/// Most classes that a message lists.
const MOST_LISTED: usize = 20;

/// What labels are looked up in where a file lists `classes` itself: the names of the model, unless those are words and the
/// classes are numbers.
pub(super) fn known<'a>(names: Option<&'a [String]>, classes: &'a [String]) -> &'a [String] {
    let comparable = |names: &&[String]| are_numbers(names) || !are_numbers(classes);
    names.filter(comparable).unwrap_or(classes)
}

fn are_numbers(names: &[String]) -> bool {
    names.iter().all(|name| Number::parse(name, false).is_some())
}

/// Notes what `texts` say of recordings, as the options ask for it; see [`resolve`].
pub(super) fn note(
    path: &Path,
    texts: &[String],
    options: Options<'_>,
    place: impl Fn(usize) -> String,
    recordings: &mut Recordings,
) -> Result<(), DataError> {
    match options.labels {
        Wanted::Aside => {}
        Wanted::Values => recordings.values = Some(numbers(path, texts, place)?),
        Wanted::Classes => {
            let Labels { indices, classes } = resolve(path, texts, options, place)?;
            (recordings.labels, recordings.classes) = (Some(indices), classes);
        }
    }
    Ok(())
}

/// The classes that `texts` name, the text of recording `row` standing at `place(row)`: their places in the list of the
/// options; or without one the numbers from 0 that they are, or else their places among the names, or in the alphabet.
pub(super) fn resolve(
    path: &Path,
    texts: &[String],
    options: Options<'_>,
    place: impl Fn(usize) -> String,
) -> Result<Labels, DataError> {
    // No list of classes mends that.
    if let Some(row) = texts.iter().position(String::is_empty) {
        return Err(DataError::BlankLabel { path: path.to_owned(), place: place(row) });
    }
    // Names that are numbers are what labels that are numbers say.
    if let Some(classes) = options.classes.or(options.names.filter(|names| are_numbers(names))) {
        return listed(path, texts, classes, place);
    }
    let numbers: Vec<Option<Number>> = texts.iter().map(|text| Number::parse(text, false)).collect();
    let words = numbers.iter().filter(|number| number.is_none()).count();
    if words == 0 {
        let index = |(row, number): (usize, &Option<Number>)| {
            number.and_then(index).ok_or_else(|| DataError::Label {
                path: path.to_owned(),
                place: place(row),
                value: texts[row].clone(),
                listed: list(texts),
            })
        };
        let indices = numbers.iter().enumerate().map(index).collect::<Result<_, _>>()?;
        return Ok(Labels { indices, classes: None });
    }
    if words < texts.len() {
        let word_is_odd = 2 * words < texts.len();
        let row = numbers.iter().position(|number| number.is_none() == word_is_odd).unwrap_or_default();
        return Err(DataError::MixedLabels {
            path: path.to_owned(),
            place: place(row),
            value: texts[row].clone(),
            other: if word_is_odd { "others are numbers" } else { "others are words" }.to_string(),
            listed: list(texts),
        });
    }
    if let Some(names) = options.names {
        return listed(path, texts, names, place);
    }
    let classes: Vec<String> = texts.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
    listed(path, texts, &classes, place)
}

fn listed(
    path: &Path,
    texts: &[String],
    classes: &[String],
    place: impl Fn(usize) -> String,
) -> Result<Labels, DataError> {
    for (index, class) in classes.iter().enumerate() {
        if classes[..index].iter().any(|other| same(other, class)) {
            return Err(DataError::ClassTwice { path: path.to_owned(), class: class.clone() });
        }
    }
    let index = |(row, text): (usize, &String)| {
        classes.iter().position(|class| same(class, text)).ok_or_else(|| DataError::UnknownClass {
            path: path.to_owned(),
            place: place(row),
            value: text.clone(),
            classes: classes.to_vec(),
        })
    };
    let indices = texts.iter().enumerate().map(index).collect::<Result<_, _>>()?;
    Ok(Labels { indices, classes: Some(classes.to_vec()) })
}

/// The same word, or the same number: `1` and `1.0`.
fn same(class: &str, text: &str) -> bool {
    let number = |text| Number::parse(text, false).map(Number::real);
    class == text || number(class).is_some_and(|class| number(text) == Some(class))
}

fn index(number: Number) -> Option<usize> {
    let value = number.real();
    (value.fract() == 0.0 && (0.0..=u32::MAX.into()).contains(&value)).then_some(value as usize)
}

/// The numbers that `texts` are, the text of recording `row` standing at `place(row)`.
fn numbers(
    path: &Path,
    texts: &[String],
    place: impl Fn(usize) -> String,
) -> Result<Vec<Vec<f64>>, DataError> {
    let number = |(row, text): (usize, &String)| match Number::parse(text, false) {
        Some(number) => Ok(std::vec![number.real()]),
        None => Err(DataError::Number {
            path: path.to_owned(),
            place: place(row),
            text: text.clone(),
            remedy: "the answer of this model is a number: correct it, or give a file that has them"
                .to_string(),
        }),
    };
    texts.iter().enumerate().map(number).collect()
}

/// All labels in order, as `--classes` takes them.
fn list(texts: &[String]) -> String {
    let mut distinct: Vec<&String> = texts.iter().collect::<BTreeSet<_>>().into_iter().collect();
    let value = |text: &String| Number::parse(text, false).map_or(f64::INFINITY, Number::real);
    distinct.sort_by(|a, b| value(a).total_cmp(&value(b)));
    distinct.dedup_by(|a, b| same(a, b));
    distinct.retain(|text| !text.is_empty());
    let mut words: Vec<&str> = distinct.iter().take(MOST_LISTED).map(|text| text.as_str()).collect();
    if distinct.len() > MOST_LISTED {
        words.push("…");
    }
    words.join(",")
}
