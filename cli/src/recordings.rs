//! Recordings from a data file, with what the command line adds to it.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use clap::{Args, ValueEnum};
use fixformer::host::data::{self, DataError, Options, Recordings};

/// What the data file does not say itself.
#[derive(Args)]
pub(crate) struct Reading {
    /// Real value of one raw unit; needed for data that are not whole numbers
    #[arg(long, value_name = "REAL")]
    scale: Option<f64>,
    /// Values per step, for .csv lines and for arrays without an axis of channels
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    channels: Option<u16>,
    /// The last column of a .csv is the class
    #[arg(long)]
    labelled: bool,
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
    pub(crate) scale: Option<f64>,
}

impl Reading {
    /// Loads one split and checks it against the model.
    pub(crate) fn load(&self, path: &Path, split: Split, wanted: &Wanted) -> Result<Recordings> {
        let channels = self.channels.map(usize::from);
        let options = Options { scale: self.scale, channels, labelled: self.labelled };
        let recordings = data::load(path, split.into(), options);
        let recordings = recordings.map_err(|error| match (&error, wanted.scale) {
            (DataError::NeedsScale { .. }, Some(scale)) => {
                anyhow!("{error}. The model counts in units of {scale}: add `--scale {scale}`")
            }
            _ => error.into(),
        })?;
        check_channels(path, &recordings, wanted.channels)?;
        warn_of_scale(path, recordings.scale, wanted.scale);
        Ok(recordings)
    }

    /// Loads one split for a model that does not say what one raw unit is: real values get a power of two that fits
    /// them, with room for somewhat larger ones, unless `scale` or the command line says it.
    pub(crate) fn load_unscaled(&self, path: &Path, split: Split, scale: Option<f64>) -> Result<Recordings> {
        let channels = self.channels.map(usize::from);
        let options = Options { scale: self.scale.or(scale), channels, labelled: self.labelled };
        match data::load(path, split.into(), options) {
            Err(DataError::NeedsScale { .. }) => {}
            result => {
                let recordings = result?;
                warn_of_scale(path, recordings.scale, scale);
                return Ok(recordings);
            }
        }
        let mut last = None;
        for power in SMALLEST_SCALE..=LARGEST_SCALE {
            let scale = Some(2_f64.powi(power));
            match data::load(path, split.into(), Options { scale, ..options }) {
                Ok(recordings) if peak(&recordings) <= FULL => return Ok(recordings),
                Err(error) if !matches!(error, DataError::OutsideRange { .. }) => return Err(error.into()),
                result => last = Some(result),
            }
        }
        last.map_or_else(|| bail!("{}: no scale fits its values", path.display()), |result| Ok(result?))
    }
}

/// Powers of two that are tried for real values.
const SMALLEST_SCALE: i32 = -40;
const LARGEST_SCALE: i32 = 24;
/// Largest raw value of data that choose their own scale.
const FULL: u16 = 26_000;

fn peak(recordings: &Recordings) -> u16 {
    recordings.rows.iter().flatten().map(|value| value.unsigned_abs()).max().unwrap_or(0)
}

/// Refuses recordings with another number of values in a step.
pub(crate) fn check_channels(path: &Path, recordings: &Recordings, wanted: usize) -> Result<()> {
    if recordings.channels == wanted {
        return Ok(());
    }
    // One value a step may only mean that the file does not say how many there are.
    let remedy = match recordings.channels {
        1 => format!("add `--channels {wanted}` if the values of a step follow one another"),
        _ => "give the data of this model".to_owned(),
    };
    bail!(
        "{}: a step of the recordings has {}, the model takes {}; {remedy}",
        path.display(),
        values(recordings.channels),
        values(wanted),
    );
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
fn warn_of_scale(path: &Path, found: Option<f64>, wanted: Option<f64>) {
    let (Some(found), Some(wanted)) = (found, wanted) else { return };
    // A model file keeps the scale as an f32.
    if found as f32 != wanted as f32 {
        eprintln!(
            "warning: {}: one raw unit is {found}, but the model takes units of {wanted}; convert the recordings, \
             or import the model with `scale = {found}`",
            path.display()
        );
    }
}

fn values(count: usize) -> String {
    if count == 1 { "1 value".to_owned() } else { format!("{count} values") }
}
