//! `fixformer run`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Args;
use fixformer::Model;
use fixformer::host::data::Recordings;
use fixformer::host::engine::{Cores, Runner};
use fixformer::host::evaluate::Problem;
use fixformer::host::judge::{Answer, Judge, of_classes};
use fixformer::host::metrics::calibration::{sigmoid, softmax};
use fixformer::model::Task;
use serde::Serialize;

use crate::eval::{read_graph, wanted};
use crate::model_file::ModelFile;
use crate::names::Names;
use crate::network::Checkpoint;
use crate::problem::remedy;
use crate::progress::bar;
use crate::recordings::{Labels, Reading, Split};
use crate::table::{Table, percent};
use crate::threshold::Given;

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
    #[command(flatten)]
    checkpoint: Checkpoint,
    #[command(flatten)]
    threshold: Given,
    /// Print the scores too
    #[arg(long)]
    scores: bool,
    /// Print a JSON object a recording instead of the table
    #[arg(long)]
    json: bool,
}

/// What is said of a recording, or of one of its tokens where each has an answer of its own.
#[derive(Serialize)]
struct Line<'a> {
    model: &'a str,
    file: &'a str,
    row: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<usize>,
    #[serde(flatten)]
    said: Said,
    /// Samples of the recording beyond the range that calibration has seen.
    saturated: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    scores: Option<&'a [f64]>,
}

/// An answer.
#[derive(Serialize)]
#[serde(untagged)]
enum Said {
    Class {
        class: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        label: Option<String>,
        probability: f64,
    },
    Labels {
        labels: Vec<String>,
        probabilities: Vec<f64>,
    },
    Numbers {
        values: Vec<f64>,
    },
}

impl Said {
    fn of(judge: &Judge, scores: &[f64], names: &Names) -> Self {
        match judge.answer(scores) {
            Answer::Class(class) => Self::Class {
                class,
                label: names.name(class).map(str::to_owned),
                probability: softmax(&of_classes(&[scores.to_vec()])[0])[class],
            },
            Answer::Labels(labels) => Self::Labels {
                labels: labels
                    .iter()
                    .enumerate()
                    .filter(|(_, yes)| **yes)
                    .map(|(at, _)| names.shown(at))
                    .collect(),
                probabilities: scores.iter().copied().map(sigmoid).collect(),
            },
            Answer::Numbers => Self::Numbers { values: scores.to_vec() },
        }
    }

    /// The headings of [`Said::cells`].
    fn headings(task: Task, outputs: usize, names: &Names) -> Vec<String> {
        let heading = |output: usize| match names.unit(output) {
            Some(unit) => format!("{} [{unit}]", names.shown(output)),
            None => names.shown(output),
        };
        match task {
            Task::Regression => (0..outputs).map(heading).collect(),
            Task::Multilabel if outputs > 1 => vec!["labels".to_owned()],
            _ if names.name(0).is_some() => ["class", "label", "probability"].map(str::to_owned).to_vec(),
            _ => ["class", "probability"].map(str::to_owned).to_vec(),
        }
    }

    fn cells(&self) -> Vec<String> {
        match self {
            Self::Class { class, label, probability } => {
                let label = label.clone().into_iter();
                [class.to_string()].into_iter().chain(label).chain([percent(*probability)]).collect()
            }
            Self::Labels { labels, .. } => {
                vec![if labels.is_empty() { "-".to_owned() } else { labels.join(", ") }]
            }
            Self::Numbers { values } => values.iter().map(|value| format!("{value:.4}")).collect(),
        }
    }
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<ExitCode> {
    let file = ModelFile::read(&arguments.file)?;
    let model = file.model()?;
    let names = Names::of(&model, arguments.reading.names(), None)?;
    let (name, judge) = (file.name(&model), arguments.threshold.judge(&model)?);
    // All files first: nothing is printed of some where another cannot be read.
    let mut ran = Vec::new();
    for path in &arguments.data {
        let labels = &Labels::Aside;
        let recordings = match arguments.checkpoint.graph(&arguments.file) {
            Some(graph) => {
                let read = (&arguments.reading, path.as_path(), arguments.split);
                read_graph(&arguments.checkpoint, (&arguments.file, &model), &graph, read, labels)?.1
            }
            None => arguments.reading.load(path, arguments.split, &wanted(&model), labels, None)?,
        };
        let found = scores(model, path, &arguments.reading, &recordings)?;
        ran.push((path.display().to_string(), recordings, found));
    }

    let mut headings = vec!["file".to_owned(), "row".to_owned()];
    if model.is_per_token() {
        headings.push("token".to_owned());
    }
    headings.extend(Said::headings(model.answers.task, model.outputs(), &names));
    let range_is_left = ran.iter().any(|(_, _, found)| found.iter().any(|(_, saturated)| *saturated > 0));
    if range_is_left {
        headings.push("beyond range".to_owned());
    }
    if arguments.scores {
        headings.push("scores".to_owned());
    }
    let mut table = Table::new(1, &headings.iter().map(String::as_str).collect::<Vec<_>>());
    for (path, recordings, found) in &ran {
        for (row, (scores, saturated)) in found.iter().enumerate() {
            // Where each recording has a file of its own, that is its name.
            let inner = recordings
                .files
                .as_ref()
                .map(|files| Path::new(path).join(&files[row]).display().to_string());
            for (token, scores) in scores.iter().enumerate() {
                let line = Line {
                    model: &name,
                    file: inner.as_deref().unwrap_or(path),
                    row,
                    token: model.is_per_token().then_some(token),
                    said: Said::of(&judge, scores, &names),
                    saturated: *saturated,
                    scores: arguments.scores.then_some(scores.as_slice()),
                };
                if arguments.json {
                    writeln!(out, "{}", serde_json::to_string(&line)?)?;
                    continue;
                }
                let mut cells = vec![line.file.to_owned(), row.to_string()];
                cells.extend(line.token.map(|token| token.to_string()));
                cells.extend(line.said.cells());
                cells.extend(range_is_left.then(|| saturated.to_string()));
                let scores = line.scores.map(|scores| scores.iter().map(f64::to_string).collect::<Vec<_>>());
                cells.extend(scores.map(|scores| scores.join(" ")));
                table.row(cells);
            }
        }
    }
    if !arguments.json {
        table.write(out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The scores of a recording, or of each of its tokens; and how many samples are beyond the range.
type Found = (Vec<Vec<f64>>, u32);

/// Of each recording.
fn scores(model: Model<'_>, path: &Path, reading: &Reading, recordings: &Recordings) -> Result<Vec<Found>> {
    let bar = bar("running", recordings.rows.len());
    let progress = || bar.inc(1);
    let rows: Vec<&[i16]> = recordings.rows.iter().map(Vec::as_slice).collect();
    let (mut raw, mut cores) = (Vec::new(), Cores::new(model, &progress));
    let result = cores.run(&rows, &mut raw);
    bar.finish_and_clear();
    result.map_err(|error| {
        let problem = Problem::Input(error.problem);
        let place = match &recordings.files {
            Some(files) => format!("{}", path.join(&files[error.row]).display()),
            None => format!("{}: row {}", path.display(), error.row),
        };
        anyhow!("{place}: {problem}; {}", remedy(&model, &problem, reading.may_have_label(path)))
    })?;
    let real = |scores: &[i16]| model.answers.to_f64(scores, model.head.frac).collect();
    let mut all = raw.chunks(model.outputs()).map(real);
    let answers = |row: &[i16]| match model.is_per_token() {
        true => model.input.tokens(row.len()),
        false => 1,
    };
    let found = rows.iter().zip(cores.saturated());
    Ok(found.map(|(row, &saturated)| (all.by_ref().take(answers(row)).collect(), saturated)).collect())
}
