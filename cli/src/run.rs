//! `fixformer run`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use fixformer::Model;
use fixformer::host::data::Recordings;
use fixformer::host::engine::{Cores, Runner};
use fixformer::host::evaluate::Problem;
use fixformer::host::metrics::calibration::softmax;
use fixformer::host::metrics::classes::answer;
use serde::Serialize;

use crate::eval::wanted;
use crate::model_file::ModelFile;
use crate::problem::remedy;
use crate::progress::bar;
use crate::recordings::{Labels, Reading, Split};
use crate::table::{Table, percent};
use crate::threshold::{self, Threshold};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Model file
    #[arg(value_name = "FXM")]
    file: PathBuf,
    /// Recordings: .npz, .npy, .csv, .tsv, .ts, .wav or folders; labels are left aside
    #[arg(value_name = "FILE", required = true)]
    data: Vec<PathBuf>,
    /// Which part of an .npz or of a folder
    #[arg(long, value_enum, default_value_t = Split::Test)]
    split: Split,
    #[command(flatten)]
    reading: Reading,
    /// Of two classes, the probability above which the answer is the second
    #[arg(long, value_name = "PROBABILITY", value_parser = threshold::parse)]
    threshold: Option<Threshold>,
    /// Print the scores too
    #[arg(long)]
    scores: bool,
    /// Print a JSON object a recording instead of the table
    #[arg(long)]
    json: bool,
}

/// What is said of a recording.
#[derive(Serialize)]
struct Line<'a> {
    model: &'a str,
    file: &'a str,
    row: usize,
    class: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    probability: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scores: Option<&'a [f64]>,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<ExitCode> {
    let file = ModelFile::read(&arguments.file)?;
    let model = file.model()?;
    let names = arguments.reading.names();
    if let Some(names) = names.filter(|names| names.len() != model.classes) {
        let (listed, classes) = (names.len(), model.classes);
        bail!("--classes lists {listed}, but the model has {classes} classes; list each once, in order");
    }
    let name = file.name(&model);
    // All files first: nothing is printed of some where another cannot be read.
    let mut ran = Vec::new();
    for path in &arguments.data {
        let recordings = arguments.reading.load(path, arguments.split, &wanted(&model), Labels::Aside)?;
        let scores = scores(model, path, &recordings)?;
        ran.push((path.display().to_string(), recordings, scores));
    }

    let mut headings = vec!["file", "row", "class", "probability"];
    if names.is_some() {
        headings.insert(3, "label");
    }
    if arguments.scores {
        headings.push("scores");
    }
    let mut table = Table::new(1, &headings);
    for (path, recordings, scores) in &ran {
        let threshold =
            arguments.threshold.map(|threshold| threshold.of(model.classes, scores, None)).transpose()?;
        for (row, scores) in scores.iter().enumerate() {
            let class = answer(scores, threshold.map(|found| found.margin));
            // Where each recording has a file of its own, that is its name.
            let inner = recordings
                .files
                .as_ref()
                .map(|files| Path::new(path).join(&files[row]).display().to_string());
            let line = Line {
                model: &name,
                file: inner.as_deref().unwrap_or(path),
                row,
                class,
                label: names.map(|names| names[class].as_str()),
                probability: softmax(scores)[class],
                scores: arguments.scores.then_some(scores.as_slice()),
            };
            if arguments.json {
                writeln!(out, "{}", serde_json::to_string(&line)?)?;
                continue;
            }
            let scores =
                line.scores.map(|scores| scores.iter().map(f64::to_string).collect::<Vec<_>>().join(" "));
            let mut cells = vec![line.file.to_owned(), row.to_string(), class.to_string()];
            cells.extend(line.label.map(str::to_owned));
            cells.push(percent(line.probability));
            table.row(cells.into_iter().chain(scores));
        }
    }
    if !arguments.json {
        table.write(out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Of each recording.
fn scores(model: Model<'_>, path: &Path, recordings: &Recordings) -> Result<Vec<Vec<f64>>> {
    let bar = bar("running", recordings.rows.len());
    let progress = || bar.inc(1);
    let rows: Vec<&[i16]> = recordings.rows.iter().map(Vec::as_slice).collect();
    let mut raw = Vec::new();
    let result = Cores::new(model, &progress).run(&rows, &mut raw);
    bar.finish_and_clear();
    result.map_err(|error| {
        let problem = Problem::Input(error.problem);
        let place = match &recordings.files {
            Some(files) => format!("{}", path.join(&files[error.row]).display()),
            None => format!("{}: row {}", path.display(), error.row),
        };
        anyhow!("{place}: {problem}; {}", remedy(&model, &problem))
    })?;
    let unit = f64::powi(0.5, model.head.frac);
    let real = |scores: &[i16]| scores.iter().map(|&score| f64::from(score) * unit).collect();
    Ok(raw.chunks(model.classes).map(real).collect())
}
