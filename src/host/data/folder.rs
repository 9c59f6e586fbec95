//! A folder for each class, and a file for each recording.

use std::borrow::ToOwned;
use std::format;
use std::fs;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

use super::csv::Table;
use super::{DataError, Number, Options, Recordings, Split, extension, labels, npz, wav};

/// What a file holds.
struct One {
    channels: usize,
    rate: Option<u32>,
    values: Vec<i16>,
}

pub(super) fn load(path: &Path, split: Split, options: Options<'_>) -> Result<Recordings, DataError> {
    let root = of_split(path, split)?;
    let (folders, beside) = entries(&root)?;
    let mut files = Vec::new();
    let names: Vec<String> = folders.iter().map(|folder| name(folder)).collect();
    if folders.is_empty() {
        files.extend(beside.into_iter().map(|file| (file, None)));
    } else if let Some(stray) = beside.iter().find(|file| is_data(file) && extension(file) != "txt") {
        let problem = "lies beside the folders of the classes; move it into one of them".to_string();
        return Err(DataError::Folder { path: stray.clone(), problem });
    }
    for (folder, class) in folders.iter().zip(&names) {
        let (deeper, inside) = entries(folder)?;
        if let Some(deeper) = deeper.into_iter().next() {
            let problem =
                "is a folder in that of a class; put the recordings right below their class".to_string();
            return Err(DataError::Folder { path: deeper, problem });
        }
        files.extend(inside.into_iter().map(|file| (file, Some(class.clone()))));
    }

    let mut recordings = Recordings { scale: options.scale.cloned(), ..Recordings::default() };
    let mut first: Option<(PathBuf, One)> = None;
    for (file, _) in files.iter().take(options.rows.unwrap_or(usize::MAX)) {
        let mut one = one(file, options)?;
        recordings.rows.push(core::mem::take(&mut one.values));
        match &first {
            None => first = Some((file.clone(), one)),
            Some((other, expected)) => alike(file, &one, other, expected)?,
        }
    }
    let Some((_, One { channels, .. })) = first else {
        return Err(DataError::Empty { path: root, place: "the folder".to_string() });
    };
    recordings.channels = channels;
    if !folders.is_empty() {
        let texts: Vec<String> = files.iter().filter_map(|(_, class)| class.clone()).collect();
        // A class without recordings keeps its place.
        let numbered = names.iter().all(|name| name.parse::<u32>().is_ok());
        let listed = options.classes.or((!numbered).then(|| labels::known(options.names, &names)));
        let options = Options { classes: listed, ..options };
        labels::note(path, &texts, options, |row| files[row].0.display().to_string(), &mut recordings)?;
    }
    let inside = |(file, _): &(PathBuf, _)| file.strip_prefix(&root).unwrap_or(file).display().to_string();
    recordings.files = Some(files.iter().map(inside).collect());
    Ok(recordings)
}

/// The recording in a file.
fn one(path: &Path, options: Options<'_>) -> Result<One, DataError> {
    match extension(path).as_str() {
        "wav" => {
            let sound = wav::read(path, options)?;
            Ok(One { channels: sound.channels, rate: Some(sound.rate), values: sound.values })
        }
        "npy" => {
            let (channels, values) = npz::load_one(path, options)?;
            Ok(One { channels, rate: None, values })
        }
        "csv" | "tsv" | "txt" => steps(path, options),
        _ => {
            let expected = "each recording of a folder as a file that ends in .wav, .npy, .csv, .tsv or .txt";
            Err(DataError::Format { path: path.to_owned(), expected })
        }
    }
}

/// A text file of one recording: its lines are the steps and its columns the channels; a single line has the values
/// step by step.
fn steps(path: &Path, options: Options<'_>) -> Result<One, DataError> {
    let table = Table::read(path, options)?;
    let columns = table.columns.len();
    let channels = if table.lines.len() == 1 { options.channels.unwrap_or(1) } else { columns };
    let mut values = Vec::with_capacity(table.lines.len() * columns);
    for line in &table.lines {
        for (index, &column) in table.columns.iter().enumerate() {
            let number = table.number(path, line, column, false)?;
            let number = options.scale.map_or(number, |_| Number::Real(number.real()));
            values.push(options.raw(path, number, [index, channels], || line.place(column))?);
        }
    }
    if values.is_empty() {
        return Err(DataError::Empty { path: path.to_owned(), place: "the file".to_string() });
    }
    if channels == 0 || !values.len().is_multiple_of(channels) {
        let (path, place, values) = (path.to_owned(), "the recording".to_string(), values.len());
        return Err(DataError::Channels { path, place, values, channels });
    }
    Ok(One { channels, rate: None, values })
}

/// Recordings of one data set have the same channels, and the same rate.
fn alike(file: &Path, one: &One, other: &Path, expected: &One) -> Result<(), DataError> {
    if one.channels != expected.channels {
        let problem = format!(
            "{} values a step, but {} in {}; give all recordings the same channels",
            one.channels,
            expected.channels,
            other.display()
        );
        return Err(DataError::Folder { path: file.to_owned(), problem });
    }
    if let (Some(found), Some(rate)) = (one.rate, expected.rate)
        && found != rate
    {
        let from = format!("in {}", other.display());
        return Err(DataError::Rate { path: file.to_owned(), found, expected: rate, from });
    }
    Ok(())
}

/// The folder of a split, if there are some, or else the whole.
fn of_split(path: &Path, split: Split) -> Result<PathBuf, DataError> {
    let names = |split: Split| match split {
        Split::Train => &["train", "training"][..],
        Split::Validation => &["val", "valid", "validation", "dev"],
        Split::Test => &["test", "testing"],
    };
    let (folders, _) = entries(path)?;
    let of = |split: Split| {
        folders.iter().find(|folder| names(split).contains(&name(folder).to_lowercase().as_str()))
    };
    if let Some(folder) = of(split) {
        return Ok(folder.clone());
    }
    let splits = [Split::Train, Split::Validation, Split::Test];
    let present: Vec<String> = splits.into_iter().filter_map(of).map(|folder| name(folder)).collect();
    if present.is_empty() {
        return Ok(path.to_owned());
    }
    let problem = format!(
        "no folder `{}`; there are {}. Choose another split or rename the folder",
        split.name(),
        present.join(", ")
    );
    Err(DataError::Folder { path: path.to_owned(), problem })
}

/// Folders and files in order of their names, without what systems hide.
fn entries(path: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), DataError> {
    let failed = |source| DataError::Read { path: path.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        found.push(entry.map_err(failed)?.path());
    }
    let hidden = |path: &PathBuf| {
        let name = name(path);
        name.starts_with('.') || ["Thumbs.db", "desktop.ini", "__MACOSX"].contains(&name.as_str())
    };
    found.retain(|path| !hidden(path));
    found.sort();
    Ok(found.into_iter().partition(|path| path.is_dir()))
}

/// A folder for each split has one for each class.
const DEEPEST: usize = 2;

/// The files that recordings are read from, of all splits.
pub(super) fn files(path: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), Vec::from([path.to_owned()]));
    for _ in 0..=DEEPEST {
        let found: Vec<_> = folders.iter().filter_map(|folder| entries(folder).ok()).collect();
        folders.clear();
        for (deeper, inside) in found {
            folders.extend(deeper);
            files.extend(inside.into_iter().filter(|file| is_data(file)));
        }
    }
    files
}

fn is_data(path: &Path) -> bool {
    ["wav", "npy", "npz", "csv", "tsv", "txt", "ts"].contains(&extension(path).as_str())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
