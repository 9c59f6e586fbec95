//! `fixformer eval`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Args;
use fixformer::Model;
use fixformer::host::count::thousands;
use fixformer::host::data::{Reals, Recordings};
use fixformer::host::engine::{Decided, Rereads, Streams};
use fixformer::host::evaluate::{EvaluateError, Evaluation, evaluate, evaluate_by};
use fixformer::host::metrics::classes;
use fixformer::host::reference::Network;
use fixformer::host::scale::SampleScale;
use serde::Serialize;

use crate::model_file::ModelFile;
use crate::network::Checkpoint;
use crate::problem::remedy;
use crate::progress::bar;
use crate::recordings::{Labels, Reading, Split, Wanted};
use crate::scores::Scored;
use crate::table::{Table, percent};
use crate::threshold::{self, Threshold};
use quality::Quality;

mod quality;

/// Widest confusion matrix that is printed whole.
const MATRIX_CLASSES: usize = 24;
/// Confusions listed for a wider one.
const WORST: usize = 12;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Model file
    #[arg(value_name = "FXM")]
    file: PathBuf,
    /// Recordings: .npz, .npy, .csv, .tsv, .ts, .wav, or a folder with one for each class
    #[arg(value_name = "DATA")]
    data: PathBuf,
    #[command(flatten)]
    checkpoint: Checkpoint,
    /// Which part of an .npz or of a folder
    #[arg(long, value_enum, default_value_t = Split::Test)]
    split: Split,
    /// Only the first so many recordings
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    rows: Option<u32>,
    #[command(flatten)]
    reading: Reading,
    /// Push the recordings step by step through a stream; says where the decisions came too
    #[arg(long)]
    stream: bool,
    /// Read every recording again and again, in memory that does not depend on its length
    #[arg(long, conflicts_with = "stream")]
    passes: bool,
    /// Of two classes, the probability above which the answer is the second; or how these recordings choose it: `f1`
    /// for the largest F1, `recall=R` for the highest that finds at least the share R of class 1
    #[arg(long, value_name = "PROBABILITY|f1|recall=R", value_parser = threshold::parse)]
    threshold: Option<Threshold>,
    /// Write label, class and scores of every recording to a .csv
    #[arg(long, value_name = "CSV")]
    scores: Option<PathBuf>,
    /// Print one JSON object instead of the tables
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<ExitCode> {
    let file = ModelFile::read(&arguments.file)?;
    let model = file.model()?;
    let (network, mut recordings) = read(arguments, &model)?;
    if let Some(rows) = arguments.rows {
        recordings.rows.truncate(rows as usize);
        if let Some(labels) = &mut recordings.labels {
            labels.truncate(rows as usize);
        }
    }

    let bar = bar("evaluating", recordings.rows.len());
    let labels = recordings.labels.as_deref();
    let (rows, progress) = (&recordings.rows, || bar.inc(1));
    let mut decided = None;
    let ran: &(dyn Fn() + Sync) = if network.is_some() { &|| {} } else { &progress };
    let result = if arguments.passes {
        let mut passes =
            Rereads::new(model, ran).map_err(|error| anyhow!("{}: {error}", arguments.file.display()))?;
        evaluate_by(&mut passes, model, network.as_ref(), rows, labels, &progress)
    } else if arguments.stream {
        let mut streams =
            Streams::new(model, ran).map_err(|error| anyhow!("{}: {error}", arguments.file.display()))?;
        let result = evaluate_by(&mut streams, model, network.as_ref(), rows, labels, &progress);
        decided = Decision::of(streams.decided());
        result
    } else {
        evaluate(model, network.as_ref(), rows, labels, &progress)
    };
    bar.finish_and_clear();
    let evaluation = result.map_err(|error| in_words(arguments, &model, &error))?;
    let threshold =
        arguments.threshold.map(|threshold| threshold.of(model.classes, &evaluation.scores, labels));
    let threshold = threshold.transpose()?;
    let margin = threshold.map(|found| found.margin);
    let evaluation = evaluation.judged(labels, margin);
    if let Some(path) = &arguments.scores {
        Scored { scores: &evaluation.scores, labels, saturated: None, threshold: margin }.write(path)?;
    }
    let quality = match labels {
        Some(labels) => {
            let classes = classes::evaluate(&evaluation.scores, labels, margin);
            Quality::of_classes(&classes, recordings.classes.as_deref(), threshold)
        }
        None => Quality::unlabelled(threshold),
    };

    let name = file.name(&model);
    if arguments.json {
        json(&name, &evaluation, quality, decided, out)?;
    } else {
        let data = arguments.data.file_name().unwrap_or_default().to_string_lossy();
        let rows = thousands(evaluation.rows);
        writeln!(out, "{name}: {rows} recordings of {data}, {} split", arguments.split.name())?;
        summary(&evaluation, out)?;
        if let Some(decision) = &decided {
            decision.write(out)?;
        }
        quality.write(out)?;
        if let Some(confusion) = &evaluation.confusion {
            matrix(confusion, out)?;
        }
    }
    if arguments.threshold.is_some_and(Threshold::is_chosen) {
        eprintln!(
            "note: the threshold was chosen on these recordings, so their figures are too good; choose it on others \
             (`--split val`) and give it as a probability"
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The float model, if anybody says where it is, and the recordings.
fn read(arguments: &Arguments, model: &Model<'_>) -> Result<(Option<Network>, Recordings)> {
    let Arguments { file, data, checkpoint, split, .. } = arguments;
    let (wanted, labels) = (wanted(model), Labels::Of(model.classes));
    if let Some(graph) = checkpoint.graph(file) {
        let mut recordings = arguments.reading.load_unscaled(
            data,
            *split,
            labels,
            wanted.scale.as_ref(),
            &Reals::default(),
        )?;
        recordings.scale = recordings.scale.or(wanted.scale);
        let network = checkpoint.import_graph(&graph, file, model, data, &mut recordings)?;
        return Ok((Some(network), recordings));
    }
    let network = checkpoint.import(file, model)?;
    Ok((network, arguments.reading.load(data, *split, &wanted, labels)?))
}

/// What a model asks of its recordings.
pub(crate) fn wanted(model: &Model<'_>) -> Wanted {
    let scales = model.sample_scale_bits().iter().map(|&bits| f32::from_bits(bits));
    // By its decimal text: 0.1 as an f32 is to be 0.1, not 0.10000000149.
    let scales: Vec<f64> = scales.filter_map(|scale| scale.to_string().parse().ok()).collect();
    let scale = (!scales.is_empty()).then(|| SampleScale::of_channels(scales));
    Wanted { channels: model.input.step_values(), scale }
}

/// Names the file and the row, and says what to do.
fn in_words(
    arguments: &Arguments,
    model: &Model<'_>,
    EvaluateError { row, problem }: &EvaluateError,
) -> anyhow::Error {
    let (data, split) = (arguments.data.display(), arguments.split.name());
    anyhow!("{data}: {split} split, row {row}: {problem}; {}", remedy(model, problem))
}

fn summary(evaluation: &Evaluation, out: &mut impl Write) -> Result<()> {
    let share = |count| percent(evaluation.share(count));
    let unknown = "unknown: no float reference";
    match (evaluation.fixed_right, evaluation.float_right) {
        (None, _) => writeln!(out, "  accuracy   unknown: the recordings have no labels")?,
        (Some(fixed), None) => writeln!(out, "  accuracy   fixed {}, float {unknown}", share(fixed))?,
        (Some(fixed), Some(float)) => {
            let rows = fixed as i64 - float as i64;
            let points = 100.0 * rows as f64 / evaluation.rows.max(1) as f64;
            let difference = match rows {
                0 => "no difference".to_owned(),
                _ => {
                    format!("{points:+.2} points, {rows:+} {}", if rows.abs() == 1 { "row" } else { "rows" })
                }
            };
            writeln!(out, "  accuracy   fixed {}, float {} ({difference})", share(fixed), share(float))?;
        }
    }
    let agreement = evaluation.agree.map_or(unknown.to_owned(), |agree| {
        format!("{} of the recordings get the same class from both", share(agree))
    });
    writeln!(out, "  agreement  {agreement}")?;
    let error = evaluation.score_error.map_or(unknown.to_owned(), |error| {
        format!("{} mean relative L2 error, fixed against float", percent(error))
    });
    writeln!(out, "  scores     {error}")?;
    writeln!(out, "  digest     {}", evaluation.digest)?;
    Ok(())
}

/// Labels down, predictions across.
fn matrix(confusion: &[Vec<usize>], out: &mut impl Write) -> Result<()> {
    let classes = confusion.len();
    if classes > MATRIX_CLASSES {
        return worst(confusion, out);
    }
    writeln!(out, "\nconfusion: a row is a label, a column what the fixed-point engine said")?;
    let columns: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
    let mut headings = vec!["label"];
    headings.extend(columns.iter().map(String::as_str));
    headings.push("right");
    let mut table = Table::new(0, &headings);
    for (label, counts) in confusion.iter().enumerate() {
        let total: usize = counts.iter().sum();
        let right = if total == 0 { "-".to_owned() } else { percent(counts[label] as f64 / total as f64) };
        // Zeros would hide the few numbers that matter.
        let cells = counts.iter().map(|&count| if count == 0 { ".".to_owned() } else { thousands(count) });
        table.row([label.to_string()].into_iter().chain(cells).chain([right]));
    }
    Ok(table.write(out)?)
}

fn worst(confusion: &[Vec<usize>], out: &mut impl Write) -> Result<()> {
    let mut wrong: Vec<(usize, usize, usize)> = Vec::new();
    for (label, counts) in confusion.iter().enumerate() {
        let others = counts.iter().enumerate().filter(|&(class, &count)| class != label && count > 0);
        wrong.extend(others.map(|(class, &count)| (count, label, class)));
    }
    wrong.sort_by_key(|&(count, label, class)| (std::cmp::Reverse(count), label, class));
    writeln!(out, "\nmost frequent confusions of {} classes", confusion.len())?;
    let mut table = Table::new(0, &["label", "fixed", "rows"]);
    for (count, label, class) in wrong.into_iter().take(WORST) {
        table.row([label.to_string(), class.to_string(), thousands(count)]);
    }
    Ok(table.write(out)?)
}

/// When streams decided, over all recordings.
#[derive(Clone, Copy, Serialize)]
struct Decision {
    /// Median of the token from which on the class was that of the end.
    decided_token_median: usize,
    /// Mean of that token as a share of the recording's tokens.
    decided_share_mean: f64,
}

impl Decision {
    fn of(decided: &[Decided]) -> Option<Self> {
        let mut tokens: Vec<usize> = decided.iter().map(|decided| decided.token).collect();
        tokens.sort_unstable();
        let shares = decided.iter().map(|decided| decided.token as f64 / decided.tokens as f64);
        let decided_share_mean = shares.sum::<f64>() / decided.len() as f64;
        let decided_token_median = *tokens.get(tokens.len() / 2)?;
        Some(Self { decided_token_median, decided_share_mean })
    }

    fn write(&self, out: &mut impl Write) -> Result<()> {
        let (token, share) = (thousands(self.decided_token_median), percent(self.decided_share_mean));
        writeln!(
            out,
            "  decided    at token {token} (median), after {share} of a recording (mean): from there on the class \
             was that of its end"
        )?;
        Ok(())
    }
}

#[derive(Serialize)]
struct Line<'a> {
    model: &'a str,
    rows: usize,
    accuracy_float: Option<f64>,
    accuracy_fixed: Option<f64>,
    agreement: Option<f64>,
    logit_rel_l2: Option<f64>,
    digest: String,
    confusion: Option<&'a Vec<Vec<usize>>>,
    #[serde(flatten)]
    quality: Quality,
    #[serde(flatten)]
    decision: Option<Decision>,
}

fn json(
    model: &str,
    evaluation: &Evaluation,
    quality: Quality,
    decision: Option<Decision>,
    out: &mut impl Write,
) -> Result<()> {
    let share = |count: Option<usize>| count.map(|count| evaluation.share(count));
    let line = Line {
        model,
        rows: evaluation.rows,
        accuracy_float: share(evaluation.float_right),
        accuracy_fixed: share(evaluation.fixed_right),
        agreement: share(evaluation.agree),
        logit_rel_l2: evaluation.score_error,
        digest: evaluation.digest.to_string(),
        confusion: evaluation.confusion.as_ref(),
        quality,
        decision,
    };
    writeln!(out, "{}", serde_json::to_string(&line)?)?;
    Ok(())
}
