//! `fixformer diff`.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use fixformer::session::Plan;
use fixformer::trace::{Row, Rows};
use fixformer::{Model, Session};

use crate::model_file::ModelFile;

/// Exit code where the log differs.
const DIFFERENT: u8 = 3;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Model file that the device ran
    #[arg(value_name = "FXM")]
    file: PathBuf,
    /// Log of the device: lines `input ...` and `trace ...`; other lines do not matter
    #[arg(value_name = "LOG")]
    log: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<ExitCode> {
    let file = ModelFile::read(&arguments.file)?;
    let name = arguments.log.display();
    let log =
        fs::read_to_string(&arguments.log).map_err(|error| anyhow!("{name}: cannot be read: {error}"))?;
    let recordings = recordings(&log).map_err(|error| anyhow!("{name}: {error}"))?;
    if recordings.is_empty() {
        bail!("{name}: no line `input ...`; the program `replay` prints a log with `digests` or `values`");
    }
    let mut compared = 0;
    for recording in &recordings {
        let row = recording.row;
        match first_difference(file.model()?, recording)? {
            Err(difference) => {
                writeln!(out, "recording {row}: {difference}")?;
                return Ok(ExitCode::from(DIFFERENT));
            }
            Ok(rows) => compared += rows,
        }
    }
    let count = recordings.len();
    writeln!(out, "the same: {compared} rows of tensors in {count} recordings")?;
    Ok(ExitCode::SUCCESS)
}

/// What a log says of one recording.
struct Recording<'a> {
    row: usize,
    input: Vec<i16>,
    trace: Vec<Line<'a>>,
}

/// A row of a tensor: its place, digest and, if the log has them, values.
struct Line<'a> {
    text: &'a str,
    values: Option<Vec<i16>>,
}

fn recordings(log: &str) -> Result<Vec<Recording<'_>>> {
    let mut found: Vec<Recording<'_>> = Vec::new();
    for (number, line) in log.lines().enumerate() {
        let at = |what: &str| anyhow!("line {}: {what}", number + 1);
        // A logger may put a time before each line.
        if let Some((_, rest)) = line.split_once("input ") {
            let (row, values) = rest.split_once(' ').unwrap_or((rest, ""));
            let row = row.parse().map_err(|_| at("no number after `input`"))?;
            let input = numbers(values).map_err(|what| at(&what))?;
            found.push(Recording { row, input, trace: Vec::new() });
        } else if let Some(start) = line.find("trace ") {
            let (text, values) = match line[start..].split_once(" values") {
                Some((text, values)) => (text, Some(numbers(values).map_err(|what| at(&what))?)),
                None => (line[start..].trim_end(), None),
            };
            let recording = found.last_mut().ok_or_else(|| at("a row before any `input`"))?;
            recording.trace.push(Line { text, values });
        }
    }
    Ok(found)
}

fn numbers(text: &str) -> Result<Vec<i16>, String> {
    let number = |word: &str| word.parse().map_err(|_| format!("`{word}` is not a number of 16 bits"));
    text.split_whitespace().map(number).collect()
}

/// The rows that agree, or where the device and this machine part ways.
fn first_difference(model: Model<'_>, recording: &Recording<'_>) -> Result<Result<usize, String>> {
    let mut arena = vec![0; Plan::of(&model).words()];
    let mut net = Session::new(model, &mut arena).map_err(|error| anyhow!("{error}"))?;
    let mut lines = recording.trace.iter();
    let (mut rows, mut difference) = (0, None);
    let mut compare = Rows(|row: Row<'_>| {
        if difference.is_none() {
            difference = compare(&row, lines.next());
            rows += usize::from(difference.is_none());
        }
    });
    net.run_traced(&recording.input, None, &mut compare)?;
    let left = lines.len();
    if difference.is_none() && left > 0 {
        difference = Some(format!("the log has {left} rows more than the model makes"));
    }
    Ok(difference.map_or(Ok(rows), Err))
}

/// What is wrong with the device's line for `row`.
fn compare(row: &Row<'_>, line: Option<&Line<'_>>) -> Option<String> {
    let Row { site, row: token, column, values } = row;
    let Some(line) = line else {
        return Some(format!("the log ends before {site}, row {token}, column {column}"));
    };
    let expected = row.to_string();
    if let Some(device) = &line.values {
        let pairs = device.iter().zip(*values).enumerate();
        if let Some((index, (device, host))) = pairs.into_iter().find(|(_, (device, host))| device != host) {
            let column = column + index;
            return Some(format!("{site}, row {token}, column {column}: device {device}, host {host}"));
        }
        if device.len() != values.len() {
            let (found, expected) = (device.len(), values.len());
            return Some(format!("{site}, row {token}: {found} values in the log, {expected} on the host"));
        }
    }
    if line.text == expected {
        return None;
    }
    let place = |text: &str| text.split(" digest ").next().unwrap_or_default().to_owned();
    if place(line.text) != place(&expected) {
        return Some(format!("the log has `{}` where `{expected}` is expected", line.text));
    }
    let last = column + values.len();
    Some(format!(
        "{site}, row {token}, columns {column} .. {last}: device `{}`, host `{expected}`; a log with `values` names the value",
        line.text
    ))
}
