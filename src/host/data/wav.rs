//! Sound: a file is a recording.

use std::borrow::ToOwned;
use std::format;
use std::io::BufReader;
use std::path::Path;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use hound::{Error, SampleFormat, WavReader};

use super::{DataError, Number, Options, Recordings, raw};
use crate::host::file;

/// What is in a file.
pub(super) struct Sound {
    pub(super) channels: usize,
    pub(super) rate: u32,
    pub(super) values: Vec<i16>,
}

/// Largest magnitude of a sample of 16 bits, and what full scale is in those units.
const FULL: f64 = 32768.0;

pub(super) fn load(path: &Path, options: Options<'_>) -> Result<Recordings, DataError> {
    let Sound { channels, values, .. } = read(path, options)?;
    Ok(Recordings { channels, rows: vec![values], scale: options.scale.cloned(), ..Recordings::default() })
}

/// Samples of 16 bits are raw values as they are, others are made so, with the same full scale. Where there is a scale,
/// full scale is 1 in its units.
pub(super) fn read(path: &Path, options: Options<'_>) -> Result<Sound, DataError> {
    let failed = |error: Error| in_words(path, error);
    let file = file::open(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let mut reader = WavReader::new(BufReader::new(file)).map_err(failed)?;
    let spec = reader.spec();
    if let Some(expected) = options.rate.filter(|&rate| rate != spec.sample_rate) {
        let from = "asked for".to_string();
        return Err(DataError::Rate { path: path.to_owned(), found: spec.sample_rate, expected, from });
    }
    let channels = usize::from(spec.channels);
    let place = |index: usize| format!("sample {}, channel {}", index / channels, index % channels + 1);
    let mut values = Vec::new();
    let mut take = |index: usize, share: f64| {
        values.push(match options.scale {
            Some(_) => options.raw(path, Number::Real(share), [index, channels], || place(index))?,
            // Sound at full scale is one unit too large on the positive side.
            None => raw(path, Number::Real((share * FULL).min(FULL - 1.0)), Some(1.0), || place(index))?,
        });
        Ok(())
    };
    match spec.sample_format {
        SampleFormat::Int => {
            let full = f64::from(1_u32 << (spec.bits_per_sample - 1).min(31));
            for (index, sample) in reader.samples::<i32>().enumerate() {
                take(index, f64::from(sample.map_err(failed)?) / full)?;
            }
        }
        SampleFormat::Float => {
            for (index, sample) in reader.samples::<f32>().enumerate() {
                let sample = f64::from(sample.map_err(failed)?);
                if sample > 1.0 && options.scale.is_none() {
                    let value = sample.to_string();
                    return Err(DataError::OutsideRange {
                        path: path.to_owned(),
                        place: place(index),
                        value,
                    });
                }
                take(index, sample)?;
            }
        }
    }
    if values.is_empty() {
        return Err(DataError::Empty { path: path.to_owned(), place: "the file".to_string() });
    }
    Ok(Sound { channels, rate: spec.sample_rate, values })
}

fn in_words(path: &Path, error: Error) -> DataError {
    let problem = match error {
        Error::IoError(source) if source.kind() != std::io::ErrorKind::Other => {
            return DataError::Read { path: path.to_owned(), source };
        }
        Error::IoError(source) => cut(&source.to_string()),
        Error::FormatError(what) => format!("not a .wav file ({what}); save it again as one"),
        Error::Unsupported => {
            "its samples are compressed or of a kind that is not read; save them as integers of 16 bits, for example \
             with `sox IN.wav -e signed -b 16 OUT.wav`"
                .to_string()
        }
        error => cut(&error.to_string()),
    };
    DataError::Wav { path: path.to_owned(), problem }
}

fn cut(what: &str) -> String {
    format!("cut off or damaged ({what}); copy it again")
}
