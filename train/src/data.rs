//! The recordings that a recipe is trained on, checked against it before anything is trained.

use std::path::Path;

use anyhow::{Result, anyhow, bail, ensure};
use fixformer::host::data::{self, DataError, Label, Options, Recordings, Split};
use fixformer::host::draw::Source;
use fixformer::host::import::description::InputKind;
use fixformer::host::scale::SampleScale;
use fixformer::model::{Linear, MAX_TOKENS};

use crate::recipe::Recipe;

/// Recordings with their classes.
#[derive(Debug, Clone, Default)]
pub struct Set {
    /// Raw values, `[steps, channels]` each.
    pub rows: Vec<Vec<i16>>,
    /// The class of each.
    pub labels: Vec<usize>,
}

/// All that a training needs.
#[derive(Debug, Clone)]
pub struct Data {
    /// To learn from.
    pub train: Set,
    /// To choose the best weights by.
    pub validation: Set,
    /// Number of classes.
    pub classes: usize,
    /// Tokens of the longest recording.
    pub tokens: usize,
    /// One more than the largest token id; 0 if recordings are no tokens.
    pub vocabulary: usize,
}

impl Data {
    /// Loads the training and the validation recordings of `path`.
    ///
    /// # Errors
    /// The first thing that `recipe` cannot be trained with, by file, array and row.
    pub fn load(recipe: &Recipe, path: &Path) -> Result<Data> {
        let train = load(recipe, path, Split::Train).map_err(in_words)?;
        let (mut train, scale) = labelled(train, path, Split::Train)?;
        check_scale(recipe, path, scale)?;
        let classes = classes(recipe, path, &train)?;
        // Other files have no splits.
        let archive = path.extension().is_some_and(|extension| extension == "npz");
        let validation = match archive.then(|| load(recipe, path, Split::Validation)) {
            Some(Ok(recordings)) => labelled(recordings, path, Split::Validation)?.0,
            None | Some(Err(DataError::MissingKey { .. })) => {
                held_out(&mut train, recipe.training.validation, classes, recipe.training.seed)
            }
            Some(Err(error)) => return Err(in_words(error)),
        };
        ensure!(!validation.rows.is_empty(), "{}: no recording is left to validate with", path.display());
        let mut data = Data { train, validation, classes, tokens: 0, vocabulary: 0 };
        for (set, split) in [(&data.train, Split::Train), (&data.validation, Split::Validation)] {
            let place = |row: usize| format!("{}: recording {row} of `{}`", path.display(), split.name());
            for (row, (recording, &label)) in set.rows.iter().zip(&set.labels).enumerate() {
                ensure!(
                    label < classes,
                    "{}: its label {label} is outside the classes 0 ..= {}; correct it or `train.classes`",
                    place(row),
                    classes - 1
                );
                data.tokens = data.tokens.max(tokens(recipe, recording, || place(row))?);
            }
        }
        if matches!(recipe.description.input, InputKind::Tokens { .. }) {
            data.vocabulary = vocabulary(recipe, path, &data)?;
        }
        if let Some(max) = recipe.description.max_tokens {
            data.tokens = max;
        }
        Ok(data)
    }
}

/// One split, with what the recipe says and the file does not.
fn load(recipe: &Recipe, path: &Path, split: Split) -> Result<Recordings, DataError> {
    let (channels, scale) = match &recipe.description.input {
        InputKind::Samples { channels, scale, .. } => (Some(*channels), Some(scale)),
        _ => (None, None),
    };
    let options = Options { channels, label: Some(Label::Last), ..Options::default() };
    match data::load(path, split, options) {
        Err(DataError::NeedsScale { .. }) if scale.is_some() => {
            data::load(path, split, Options { scale, ..options })
        }
        other => other,
    }
}

/// The words of a data error have its cause already.
fn in_words(error: DataError) -> anyhow::Error {
    anyhow!("{error}")
}

fn labelled(recordings: Recordings, path: &Path, split: Split) -> Result<(Set, Option<SampleScale>)> {
    let Recordings { rows, labels, scale, .. } = recordings;
    let Some(labels) = labels else {
        bail!(
            "{}: no array `y_{}`; training needs the class of each recording",
            path.display(),
            split.name()
        );
    };
    Ok((Set { rows, labels }, scale))
}

fn check_scale(recipe: &Recipe, path: &Path, found: Option<SampleScale>) -> Result<()> {
    if let (InputKind::Samples { scale, .. }, Some(found)) = (&recipe.description.input, found) {
        ensure!(
            scale.is(&found),
            "{}: one raw unit is {found}, but `input.scale` of {} is {scale}; make them equal",
            path.display(),
            recipe.path.display()
        );
    }
    Ok(())
}

/// The number of classes; each has a training recording.
fn classes(recipe: &Recipe, path: &Path, train: &Set) -> Result<usize> {
    let largest = train.labels.iter().max().map_or(0, |label| label + 1);
    let classes = recipe.training.classes.unwrap_or(largest);
    ensure!(
        classes <= Linear::MAX_WIDTH as usize,
        "{}: {classes} classes; a model file takes at most {}: correct the labels",
        path.display(),
        Linear::MAX_WIDTH
    );
    ensure!(
        classes > 1,
        "{}: all training recordings are of class 0; give at least 2 classes",
        path.display()
    );
    // A label outside is named with its row later.
    if let Some(empty) = (0..classes.min(largest.max(2))).find(|class| !train.labels.contains(class)) {
        bail!(
            "{}: class {empty} of {classes} has no training recording; renumber the classes",
            path.display()
        );
    }
    ensure!(
        largest >= classes,
        "{}: class {largest} of {classes} has no training recording; correct `train.classes`",
        path.display()
    );
    Ok(classes)
}

/// Takes a share of each class out of `train`, at least one recording of a class that has two.
fn held_out(train: &mut Set, share: f64, classes: usize, seed: u64) -> Set {
    let mut source = Source(seed);
    let mut out = vec![false; train.rows.len()];
    for class in 0..classes {
        let mut members: Vec<usize> = (0..out.len()).filter(|&row| train.labels[row] == class).collect();
        let count = (members.len() as f64 * share).round().max(1.0) as usize;
        for _ in 0..count.min(members.len() - 1) {
            out[members.swap_remove(source.below(members.len()))] = true;
        }
    }
    let mut validation = Set::default();
    let all = std::mem::take(train);
    for ((row, label), out) in all.rows.into_iter().zip(all.labels).zip(out) {
        let set = if out { &mut validation } else { &mut *train };
        set.rows.push(row);
        set.labels.push(label);
    }
    validation
}

/// Tokens that a recording makes, if the recipe takes it.
fn tokens(recipe: &Recipe, recording: &[i16], place: impl Fn() -> String) -> Result<usize> {
    let (channels, window) = match &recipe.description.input {
        InputKind::Samples { channels, window, .. } => (*channels, Some(window)),
        InputKind::OneHot { window, .. } => (1, Some(window)),
        InputKind::Tokens { .. } => (1, None),
    };
    let steps = recording.len() / channels;
    let (width, stride) = window.map_or((1, 1), |window| (window.width, window.stride));
    ensure!(steps >= width, "{}: {steps} steps are shorter than one window of {width}", place());
    let tokens = (steps - width) / stride + 1;
    if let Some(max) = recipe.description.max_tokens {
        ensure!(
            tokens <= max,
            "{}: {tokens} tokens, but `max_tokens` of {} is {max}; raise it or shorten the recording",
            place(),
            recipe.path.display()
        );
    }
    ensure!(
        tokens <= MAX_TOKENS as usize,
        "{}: {tokens} tokens; a model file takes at most {MAX_TOKENS}: shorten the recording, or raise the stride",
        place()
    );
    Ok(tokens)
}

/// One more than the largest id of any split, the test included: its ids are part of the language.
fn vocabulary(recipe: &Recipe, path: &Path, data: &Data) -> Result<usize> {
    let test = load(recipe, path, Split::Test).map(|test| test.rows).unwrap_or_default();
    let all = data.train.rows.iter().chain(&data.validation.rows).chain(&test);
    let mut largest = 0;
    for id in all.flatten() {
        let Ok(id) = usize::try_from(*id) else {
            bail!("{}: token {id} is negative; number the tokens 0, 1, 2, …", path.display());
        };
        largest = largest.max(id);
    }
    Ok(largest + 1)
}
