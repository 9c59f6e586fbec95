//! Recordings from a data file, with what the command line adds to it.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use clap::{Args, ValueEnum};
use fixformer::Model;
use fixformer::host::data::{self, DataError, Label, Options, Reals, Recordings};
use fixformer::host::scale::SampleScale;
use fixformer::host::targets::Targets;

use crate::say::say;

/// What the data file does not say itself.
#[derive(Args, Clone)]
pub(crate) struct Reading {
    /// Real value of one raw unit, or one for each channel, separated by commas; needed for data that are not whole numbers
    #[arg(long, value_name = "REAL,…")]
    scale: Option<SampleScale>,
    /// Values per step, for lines of text and for arrays without an axis of channels
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    channels: Option<u16>,
    /// Column of a text file that is the class: `first`, `last`, `none` or its name [default: the one that is called
    /// label, labels, class or target]
    #[arg(long, value_name = "NAME|first|last|none")]
    label: Option<String>,
    /// The same as `--label last`
    #[arg(long, conflicts_with = "label")]
    labelled: bool,
    /// The labels in the order of the model's scores, separated by commas [default: numbers from 0; words by the
    /// alphabet]
    #[arg(long, value_name = "LABEL,…", value_delimiter = ',', allow_hyphen_values = true)]
    classes: Option<Vec<String>>,
    /// Columns of a text file to leave out, by name
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    ignore: Vec<String>,
    /// Whether the first line of a text file names its columns [default: found out, and asked for where it could be
    /// either]
    #[arg(long, value_enum, value_name = "yes|no")]
    header: Option<Header>,
    /// What separates the values of a text file: `,`, `;`, `tab` or another character [default: found out]
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<u8>,
    /// Samples a second that .wav files must have; nothing is resampled
    #[arg(long, value_name = "HZ")]
    rate: Option<u32>,
    /// Only the first so many recordings; an option of the commands that have it.
    #[arg(skip)]
    rows: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Header {
    Yes,
    No,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match (text, text.as_bytes()) {
        ("tab" | "\\t", _) => Ok(b'\t'),
        ("comma", _) => Ok(b','),
        ("semicolon", _) => Ok(b';'),
        ("space", _) => Ok(b' '),
        (_, &[byte]) if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b".+-\"\r\n".contains(&byte) => {
            Ok(byte)
        }
        _ => {
            Err("expected `,`, `;`, `tab` or another single character that is no part of a number".to_owned())
        }
    }
}

/// What a command does with the labels of recordings.
#[derive(Clone)]
pub(crate) enum Labels {
    /// Compares them with the classes of a model, which has so many, with their names if it has any.
    Classes(usize, Vec<String>),
    /// Compares them with the numbers of a model, or with the classes of its tokens.
    Values,
    /// Leaves them aside.
    Aside,
}

impl Labels {
    /// Those of a model.
    pub(crate) fn of(model: &Model<'_>) -> Self {
        if Targets::are_values(model) {
            return Self::Values;
        }
        let names = (0..model.classes()).map_while(|class| model.answers.name(class));
        Self::Classes(model.classes(), names.map(str::to_owned).collect())
    }

    /// The names of the classes, if the model has any.
    fn names(&self) -> Option<&[String]> {
        match self {
            Self::Classes(_, names) if !names.is_empty() => Some(names),
            _ => None,
        }
    }
}

/// Part of a data set.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Split {
    Train,
    Val,
    Test,
}

/// What a model asks of its recordings.
pub(crate) struct Wanted {
    /// Values of a step.
    pub(crate) channels: usize,
    /// Real value of one raw unit; none if the values are symbols or tokens.
    pub(crate) scale: Option<SampleScale>,
}

impl Reading {
    /// The same, of the first `rows` recordings alone.
    pub(crate) fn first(&self, rows: Option<u32>) -> Self {
        Self { rows: rows.map(|rows| rows as usize), ..self.clone() }
    }

    /// Loads one split and checks it against the model; notes in `reals` what its values were before they were rounded.
    pub(crate) fn load(
        &self,
        path: &Path,
        split: Split,
        wanted: &Wanted,
        labels: &Labels,
        reals: Option<&Reals>,
    ) -> Result<Recordings> {
        // Without a scale, real values are to stay an error.
        let reals = reals.filter(|_| self.scale.is_some());
        self.load_options(path, split, wanted, labels, self.options(labels, reals))
    }

    fn load_options(
        &self,
        path: &Path,
        split: Split,
        wanted: &Wanted,
        labels: &Labels,
        options: Options<'_>,
    ) -> Result<Recordings> {
        let recordings = data::load(path, split.into(), options);
        let recordings = recordings.map_err(|error| match (&error, &wanted.scale) {
            (DataError::NeedsScale { .. }, Some(scale)) => {
                anyhow!("{error}. The model counts in units of {scale}: add `--scale {scale}`")
            }
            _ => error.into(),
        })?;
        check_channels(path, &recordings, wanted.channels)?;
        warn_of_scale(path, recordings.scale.as_ref(), wanted.scale.as_ref());
        if let (Labels::Classes(count, names), None, Some(classes)) =
            (labels, &self.classes, &recordings.classes)
            && names.is_empty()
        {
            check_classes(path, classes, *count)?;
        }
        Ok(recordings)
    }

    /// Loads one split for a model that does not say what one raw unit is: real values get a power of two that fits
    /// them, with room for somewhat larger ones, unless `scale` or the command line says it. Notes them in `reals`.
    pub(crate) fn load_unscaled(
        &self,
        path: &Path,
        split: Split,
        labels: &Labels,
        scale: Option<&SampleScale>,
        reals: &Reals,
    ) -> Result<Recordings> {
        let options = self.options(labels, Some(reals));
        let options = Options { scale: options.scale.or(scale), ..options };
        let recordings = data::load(path, split.into(), options)?;
        let (None, Some(span)) = (options.scale, reals.all()) else {
            warn_of_scale(path, recordings.scale.as_ref(), scale);
            return Ok(recordings);
        };
        let fits =
            |power: &i32| span.iter().all(|x| (x / f64::from(*power).exp2() + 0.5).floor().abs() <= FULL);
        let power = (SMALLEST_SCALE..LARGEST_SCALE).find(fits).unwrap_or(LARGEST_SCALE);
        let scale = SampleScale::from(f64::from(power).exp2());
        Ok(data::load(path, split.into(), Options { scale: Some(&scale), ..options })?)
    }

    /// What the classes are called, in order, if that was listed.
    pub(crate) fn names(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    /// Whether a column of the data at `path` may be the label although nobody said so.
    pub(crate) fn may_have_label(&self, path: &Path) -> bool {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        self.label.is_none() && !self.labelled && matches!(&*ending, "csv" | "tsv" | "txt")
    }

    fn options<'a>(&'a self, labels: &'a Labels, reals: Option<&'a Reals>) -> Options<'a> {
        let label = match self.label.as_deref() {
            None if self.labelled => Some(Label::Last),
            None => None,
            Some("first") => Some(Label::First),
            Some("last") => Some(Label::Last),
            Some("none") => Some(Label::None),
            Some(name) => Some(Label::Named(name)),
        };
        Options {
            scale: self.scale.as_ref(),
            channels: self.channels.map(usize::from),
            label,
            classes: self.classes.as_deref(),
            names: labels.names(),
            labels: match labels {
                Labels::Classes(..) => data::Labels::Classes,
                Labels::Values => data::Labels::Values,
                Labels::Aside => data::Labels::Aside,
            },
            ignore: &self.ignore,
            header: self.header.map(|header| header == Header::Yes),
            delimiter: self.delimiter,
            rate: self.rate,
            rows: self.rows,
            reals,
        }
    }
}

/// Powers of two that are tried for real values.
const SMALLEST_SCALE: i32 = -40;
const LARGEST_SCALE: i32 = 24;
/// Largest raw value of data that choose their own scale.
const FULL: f64 = 26_000.0;

/// Refuses recordings with another number of values in a step.
pub(crate) fn check_channels(path: &Path, recordings: &Recordings, wanted: usize) -> Result<()> {
    if recordings.channels == wanted {
        return Ok(());
    }
    bail!(
        "{}: a step of the recordings has {}, the model takes {}; {}",
        path.display(),
        values(recordings.channels),
        values(wanted),
        remedy(recordings, wanted)
    );
}

/// What to do where the recordings have other channels.
fn remedy(recordings: &Recordings, wanted: usize) -> String {
    let whole = recordings.rows.iter().all(|row| row.len().is_multiple_of(wanted));
    let steps = recordings.rows.iter().all(|row| row.len() == wanted * recordings.channels);
    match recordings.channels {
        // One value a step may only mean that the file does not say how many there are.
        1 if whole => format!("add `--channels {wanted}` if the values of a step follow one another"),
        // Another order in memory: a reshape would mix the channels.
        _ if steps => format!(
            "if the recordings are [{wanted} channels, {} steps], transpose them: `x.transpose(0, 2, 1)`",
            recordings.channels
        ),
        _ => "give the data of this model".to_owned(),
    }
}

/// Words are numbered by the alphabet, which is right only if all of them are there.
fn check_classes(path: &Path, classes: &[String], count: usize) -> Result<()> {
    let path = path.display();
    if classes.len() != count {
        bail!(
            "{path}: the labels are {}, but the model has {count} classes; list all of them in the order of its scores: \
             `--classes {}`",
            classes.join(", "),
            classes.join(",")
        );
    }
    let numbered: Vec<String> =
        classes.iter().enumerate().map(|(index, class)| format!("{index} is {class}")).collect();
    say(format_args!("note: {path}: class {}; `--classes` gives them another order", numbered.join(", ")));
    Ok(())
}

impl From<Split> for data::Split {
    fn from(split: Split) -> Self {
        match split {
            Split::Train => Self::Train,
            Split::Val => Self::Validation,
            Split::Test => Self::Test,
        }
    }
}

impl Split {
    /// Word in the keys of an `.npz`.
    pub(crate) fn name(self) -> &'static str {
        data::Split::from(self).name()
    }
}

/// Another unit than the model's gives wrong answers without any error.
fn warn_of_scale(path: &Path, found: Option<&SampleScale>, wanted: Option<&SampleScale>) {
    let (Some(found), Some(wanted)) = (found, wanted) else { return };
    if !found.is(wanted) {
        let written = if found.count() == 1 { found.to_string() } else { format!("[{found}]") };
        say(format_args!(
            "warning: {}: one raw unit is {found}, but the model takes units of {wanted}; convert the recordings, \
             or import the model with `scale = {written}`",
            path.display()
        ));
    }
}

fn values(count: usize) -> String {
    if count == 1 { "1 value".to_owned() } else { format!("{count} values") }
}
