//! The models that every board runs, each with recordings and what the host makes of them.

use crate::cases::{Folders, Recordings, cases};
use crate::command::target;
use crate::demo::write;
use crate::host::{fixed, words};
use crate::report::Report;
use crate::zoo;
use anyhow::{Context, Result, anyhow, ensure};
use fixformer::host::draw::Source;
use fixformer::model::Input;
use fixformer::session::Plan;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A model file, some recordings, and the host's answers.
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    /// File of the recordings in [`folder`].
    pub(crate) recordings: String,
    /// How many there are, and whether somebody recorded them.
    pub(crate) rows: usize,
    pub(crate) source: &'static str,
    pub(crate) digest: String,
    scores: Vec<Vec<i16>>,
    model_bytes: u64,
    pub(crate) arena_bytes: u64,
    /// Values of the longest recording.
    longest: u64,
}

impl Model {
    /// Those of the demo whose files are here, the digits first, with `rows` recordings; then the zoo with `zoo_rows`.
    pub(crate) fn all(folders: &Folders, rows: usize, zoo_rows: usize) -> Result<Vec<Self>> {
        let cases = cases(folders)?;
        let demo = cases.iter().map(|case| Self::recorded(case.name, &case.file, &case.test.spread(rows)));
        let mut models: Vec<Self> = demo.collect::<Result<_>>()?;
        let mut sets = BTreeMap::new();
        for recipe in zoo::with_files()? {
            if !sets.contains_key(&recipe.data) {
                sets.insert(recipe.data.clone(), recipe.at_hand(&folders.data)?);
            }
            let (name, file) = (&recipe.name, recipe.file());
            models.push(match &sets[&recipe.data] {
                Some(test) => Self::recorded(name, &file, &test.spread(zoo_rows)),
                None => Self::new(name, &file, &drawn(&file, zoo_rows)?, "drawn"),
            }?);
        }
        Ok(models)
    }

    /// With recordings that somebody made.
    pub(crate) fn recorded(name: &str, file: &Path, test: &Recordings) -> Result<Self> {
        Self::new(name, file, test, "recorded")
    }

    fn new(name: &str, file: &Path, test: &Recordings, source: &'static str) -> Result<Self> {
        let recordings = format!("{name}.rec");
        write(&folder().join(&recordings), test)?;
        let host = fixed(file, &test.rows).with_context(|| name.to_owned())?;
        let (words, digest) = (words(file)?, host.digest());
        let model = parse(file, &words)?;
        Ok(Self {
            name: name.to_owned(),
            file: file.to_owned(),
            recordings,
            rows: test.rows.len(),
            source,
            digest,
            scores: host.scores,
            model_bytes: model.bytes() as u64,
            arena_bytes: Plan::of(&model).bytes() as u64,
            longest: test.rows.iter().map(Vec::len).max().unwrap_or_default() as u64,
        })
    }

    /// Whether a program with `room` bytes for model and arena, and a value of a recording for every 64 of them, can
    /// read it: `replay`.
    pub(crate) fn fits(&self, room: u64) -> bool {
        self.model_bytes + self.arena_bytes <= room && self.longest <= room / 64
    }

    /// Fails unless every bit is the host's.
    pub(crate) fn check(&self, report: Report) -> Result<Report> {
        ensure!(report.scores == self.scores, "{:?}, on the host {:?}", report.scores, self.scores);
        ensure!(report.digest == self.digest, "digest {}, on the host {}", report.digest, self.digest);
        Ok(report)
    }
}

/// Where the boards find recordings.
pub(crate) fn folder() -> PathBuf {
    target().join("recordings")
}

fn parse<'w>(file: &Path, words: &'w [u32]) -> Result<fixformer::Model<'w>> {
    fixformer::Model::parse(words).map_err(|error| anyhow!("{}: {error}", file.display()))
}

/// Recordings of the kind that the model file takes, always the same: the first as long as it may be, the others of any
/// length.
fn drawn(file: &Path, rows: usize) -> Result<Recordings> {
    let words = words(file)?;
    let model = parse(file, &words)?;
    let channels = model.input.step_values();
    let most = model.max_input() / channels;
    let least = match model.input {
        Input::Samples { window, .. } | Input::OneHot { window, .. } => window.width,
        Input::Tokens { .. } => 1,
    };
    let mut source = Source(0);
    let mut value = || match model.input {
        // As far as a sample does not saturate.
        Input::Samples { shift, .. } => {
            let limit = i32::from(i16::MAX >> shift);
            (source.below(2 * limit as usize + 1) as i32 - limit) as i16
        }
        // And one that is none of the symbols.
        Input::OneHot { symbols, .. } => source.below(symbols + 1) as i16,
        Input::Tokens { table } => source.below(table.rows) as i16,
    };
    let mut lengths = Source(1);
    let steps = (0..rows).map(|row| if row == 0 { most } else { least + lengths.below(most - least + 1) });
    let rows: Vec<Vec<i16>> = steps.map(|steps| (0..steps * channels).map(|_| value()).collect()).collect();
    Ok(Recordings { channels: u16::try_from(channels)?, labels: vec![0; rows.len()], rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is drawn is taken, and every value that may come does.
    #[test]
    fn every_model_of_the_zoo_takes_what_is_drawn() {
        let recipes = zoo::with_files().unwrap();
        assert!(recipes.len() >= 24);
        for recipe in recipes {
            let (name, file) = (&recipe.name, recipe.file());
            let test = drawn(&file, 3).unwrap();
            let words = words(&file).unwrap();
            let model = parse(&file, &words).unwrap();
            assert_eq!(test.rows[0].len(), model.max_input(), "{name}");
            assert!(test.rows.iter().all(|row| row.len() <= model.max_input()), "{name}");
            let values = test.rows[0].iter();
            let (least, most) = (*values.clone().min().unwrap(), *values.max().unwrap());
            match model.input {
                Input::Samples { .. } => assert!(least < 0 && most > 0, "{name}"),
                Input::OneHot { symbols, .. } => assert_eq!((least, most), (0, symbols as i16), "{name}"),
                Input::Tokens { table } => assert_eq!((least, most), (0, table.rows as i16 - 1), "{name}"),
            }
            assert_eq!(fixed(&file, &test.rows[2..]).unwrap().scores.len(), 1, "{name}");
        }
    }
}
