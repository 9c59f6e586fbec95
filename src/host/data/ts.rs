//! `.ts` files of the time series classification archive: directives that begin with `@`, then a recording a line, its
//! channels one after the other with a colon between them, and its class after the last.

use std::borrow::ToOwned;
use std::format;
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;

use super::{DataError, Labels, Number, Options, Recordings, labels, text};

/// What the directives say.
#[derive(Default)]
struct Header {
    /// The classes in the file's order, where there is one after each recording.
    classes: Option<Vec<String>>,
    /// Whether a number to be predicted is after each recording.
    target: bool,
    dimensions: Option<usize>,
}

pub(super) fn load(path: &Path, options: Options<'_>) -> Result<Recordings, DataError> {
    let text = text::read(path)?;
    let mut header = Header::default();
    let mut in_data = false;
    let (mut rows, mut texts, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let mut channels = None;
    for (line, number) in text.lines().zip(1_u64..) {
        let failed = |problem: String| DataError::Ts { path: path.to_owned(), line: number, problem };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(directive) = line.strip_prefix('@') {
            in_data = in_data || directive.trim().eq_ignore_ascii_case("data");
            header.read(directive).map_err(failed)?;
            continue;
        }
        if !in_data {
            return Err(failed("recordings before `@data`; begin the file with its directives".to_string()));
        }
        let mut parts: Vec<&str> = line.split(':').collect();
        if header.classes.is_some() || header.target {
            texts.push(parts.pop().unwrap_or_default().trim().to_string());
            places.push(number);
        }
        let expected = *channels.get_or_insert(header.dimensions.unwrap_or(parts.len()));
        if parts.len() != expected || expected == 0 {
            let found = parts.len();
            let after = if texts.is_empty() { "" } else { " before the label" };
            return Err(failed(format!(
                "{found} channels{after}, expected {expected}; separate channels with `:`, and say with `@classLabel` \
                 whether a label follows"
            )));
        }
        rows.push(recording(path, number, &parts, options)?);
    }
    if rows.is_empty() {
        return Err(DataError::Empty { path: path.to_owned(), place: "the file".to_string() });
    }
    let channels = channels.unwrap_or(1);
    if channels > 1 {
        // A line has one channel after the other.
        options.reals.iter().for_each(|reals| reals.forget());
    }
    let mut recordings =
        Recordings { channels, rows, scale: options.scale.cloned(), ..Recordings::default() };
    let classes = header.classes.unwrap_or_default();
    let whole = |class: &String| class.parse::<u32>().is_ok();
    // Numbers from 0 stay what they are, even where the file lists them in another order.
    let from_zero = classes.iter().all(whole) && classes.iter().any(|class| class == "0");
    let listed = (!from_zero && !classes.is_empty()).then_some(classes.as_slice());
    // A number that is to be found is no class.
    let has_labels = if header.target { options.labels == Labels::Values } else { !texts.is_empty() };
    if has_labels {
        let listed = options.classes.or(listed.map(|listed| labels::known(options.names, listed)));
        let options = Options { classes: listed, ..options };
        labels::note(path, &texts, options, |row| format!("line {}", places[row]), &mut recordings)?;
    }
    Ok(recordings)
}

impl Header {
    fn read(&mut self, directive: &str) -> Result<(), String> {
        let mut words = directive.split_whitespace();
        let name = words.next().unwrap_or_default().to_ascii_lowercase();
        let first = words.next().unwrap_or_default().to_ascii_lowercase();
        match (name.as_str(), first.as_str()) {
            ("timestamps", "true") => {
                return Err("values with time stamps are not read; save them at equal steps, without stamps"
                    .to_string());
            }
            ("classlabel", "true") => self.classes = Some(words.map(str::to_owned).collect()),
            ("targetlabel", "true") => self.target = true,
            ("dimensions" | "dimension", count) => {
                let count =
                    count.parse().map_err(|_| format!("`@dimensions` is `{count}`; give a whole number"))?;
                self.dimensions = Some(count);
            }
            ("univariate", "true") => self.dimensions = Some(1),
            _ => {}
        }
        Ok(())
    }
}

/// The values of a line, step by step.
fn recording(path: &Path, line: u64, parts: &[&str], options: Options<'_>) -> Result<Vec<i16>, DataError> {
    let channel = |(channel, part): (usize, &&str)| {
        let value = |(step, text): (usize, &str)| {
            let text = text.trim();
            let place = || format!("line {line}, channel {}, value {}", channel + 1, step + 1);
            let number = Number::parse(text, false).ok_or_else(|| DataError::Number {
                path: path.to_owned(),
                place: place(),
                text: text.to_string(),
                remedy: match text {
                    "?" | "" => "fill missing values in, or remove the recording".to_string(),
                    _ => "correct it".to_string(),
                },
            })?;
            let number = options.scale.map_or(number, |_| Number::Real(number.real()));
            options.raw(path, number, [channel, parts.len()], place)
        };
        part.split(',').enumerate().map(value).collect::<Result<Vec<i16>, _>>()
    };
    let channels: Vec<Vec<i16>> = parts.iter().enumerate().map(channel).collect::<Result<_, _>>()?;
    let steps = channels[0].len();
    if let Some(other) = channels.iter().position(|channel| channel.len() != steps) {
        let found = channels[other].len();
        let problem = format!(
            "channel {} has {found} values, the first {steps}; make the channels of a recording equally long",
            other + 1
        );
        return Err(DataError::Ts { path: path.to_owned(), line, problem });
    }
    Ok((0..steps).flat_map(|step| channels.iter().map(move |channel| channel[step])).collect())
}
