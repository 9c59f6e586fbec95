//! `fixformer eval`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use fixformer::Model;
use fixformer::host::count::thousands;
use fixformer::host::data::{Reals, Recordings};
use fixformer::host::engine::{Cores, Decided, Rereads, Streams};
use fixformer::host::evaluate::{EvaluateError, Evaluation, Float, evaluate_by};
use fixformer::host::judge::Judge;
use fixformer::host::printable::printable;
use fixformer::host::reference::Network;
use fixformer::host::scale::SampleScale;
use fixformer::host::targets::Targets;
use fixformer::kernels::backend;
use fixformer::model::{Task, write};
use serde::Serialize;

use crate::model_file::ModelFile;
use crate::names::Names;
use crate::network::Checkpoint;
use crate::problem::remedy;
use crate::progress::bar;
use crate::recordings::{Labels, Reading, Split, Wanted};
use crate::say::say;
use crate::scores::Scored;
use crate::table::{Table, percent};
use crate::threshold::{Chosen, Given};
use quality::Quality;

mod outputs;
mod quality;

/// The label of tokens that do not count, where nothing else is said: that of the large frameworks.
pub(crate) const IGNORED: f64 = -100.0;
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
    /// In `y` of shape [rows, tokens], the label of tokens that do not count
    #[arg(long, value_name = "NUMBER", default_value_t = IGNORED, allow_negative_numbers = true)]
    ignore_label: f64,
    #[command(flatten)]
    threshold: Given,
    #[command(flatten)]
    choose: Chosen,
    /// Write the thresholds into the model file, where devices and later commands take them from
    #[arg(long)]
    keep_threshold: bool,
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
    if arguments.keep_threshold && !arguments.threshold.is_given() && !arguments.choose.is_given() {
        bail!(
            "--keep-threshold keeps what `--threshold` gives or `--choose-threshold` finds; add one of them"
        );
    }
    Names::of(&model, arguments.reading.names(), None)?;
    let (scores, rewritten) = outputs::of(arguments)?;
    let (network, recordings, reals) = read(arguments, &model)?;
    let (data, split) = (arguments.data.display(), arguments.split.name());
    let targets = Targets::of(&model, &recordings, arguments.ignore_label)
        .map_err(|error| anyhow!("{data}: {split} split, {error}"))?;
    let judge = arguments.threshold.judge(&model)?;
    let float = network.as_ref().map(|network| Float { network, reals: reals.as_deref() });
    let (evaluation, decided) = evaluated(arguments, (&model, float), &judge, &recordings, targets.as_ref())?;
    let judge = arguments.choose.judge(&model, judge, &evaluation.scores, targets.as_ref())?;
    let evaluation = evaluation.judged(targets.as_ref(), &judge);
    if let Some(scores) = &scores {
        let tokens = || recordings.rows.iter().map(|row| model.input.tokens(row.len())).collect();
        let tokens = model.is_per_token().then(tokens);
        Scored { evaluation: &evaluation, targets: targets.as_ref(), judge: &judge, tokens }.write(scores)?;
    }
    // Before anything is printed: whoever reads that may stop.
    if let Some(rewritten) = &rewritten {
        let words = write::with_thresholds(file.words(), model.answers.task, &judge.raw(&model));
        Model::parse(&words).map_err(|error| {
            anyhow!(
                "{}: with the threshold it is no model: {error}; it is as it was",
                arguments.file.display()
            )
        })?;
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        rewritten.write(&bytes)?;
    }
    let is_said =
        arguments.threshold.is_given() || arguments.choose.is_given() || model.answers.has_thresholds();
    let names = Names::of(&model, arguments.reading.names(), recordings.classes.as_deref())?;
    let quality = Quality::of(&evaluation, targets.as_ref(), &judge, &names, is_said);

    let name = file.name(&model);
    if arguments.json {
        json(&name, &evaluation, quality, decided, out)?;
    } else {
        let data = arguments.data.file_name().unwrap_or_default().to_string_lossy();
        let rows = thousands(evaluation.rows);
        let (name, data) = (printable(&name), printable(&data));
        writeln!(out, "{name}: {rows} recordings of {data}, {split} split")?;
        summary(&evaluation, model.answers.task, out)?;
        saturated(&evaluation, out)?;
        if let Some(decision) = &decided {
            decision.write(out)?;
        }
        quality.write(out)?;
        if let Some(confusion) = &evaluation.confusion {
            matrix(confusion, &names, out)?;
        }
    }
    if arguments.choose.is_given() {
        let next = match arguments.keep_threshold {
            true => "look at others",
            false => "keep it with `--keep-threshold`, or give it after `--threshold`, and look at others",
        };
        say(format_args!(
            "note: the threshold was chosen on these recordings, so their figures are too good; {next}"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the recordings as the arguments ask for it.
fn evaluated(
    arguments: &Arguments,
    (model, float): (&Model<'_>, Option<Float<'_>>),
    judge: &Judge,
    recordings: &Recordings,
    targets: Option<&Targets>,
) -> Result<(Evaluation, Option<Decision>)> {
    let bar = bar("evaluating", recordings.rows.len());
    let (rows, progress) = (&recordings.rows, || bar.inc(1));
    let mut decided = None;
    let ran: &(dyn Fn() + Sync) = if float.is_some() { &|| {} } else { &progress };
    let result = if arguments.passes {
        let mut passes =
            Rereads::new(*model, ran).map_err(|error| anyhow!("{}: {error}", arguments.file.display()))?;
        evaluate_by(&mut passes, *model, float, rows, targets, &progress)
    } else if arguments.stream {
        let mut streams = Streams::new(*model, judge.clone(), ran)
            .map_err(|error| anyhow!("{}: {error}", arguments.file.display()))?;
        let result = evaluate_by(&mut streams, *model, float, rows, targets, &progress);
        // Numbers decide nothing, tokens with scores of their own each for themselves, and a threshold that is yet to be
        // chosen something else.
        let decides = model.answers.task != Task::Regression && !model.is_per_token();
        let decides = decides && !arguments.choose.is_given();
        decided = Decision::of(streams.decided()).filter(|_| decides);
        result
    } else {
        evaluate_by(&mut Cores::new(*model, ran), *model, float, rows, targets, &progress)
    };
    bar.finish_and_clear();
    Ok((result.map_err(|error| in_words(arguments, model, &error))?, decided))
}

/// The float model, if anybody says where it is, and the recordings.
fn read(arguments: &Arguments, model: &Model<'_>) -> Result<Read> {
    let Arguments { file, data, checkpoint, split, .. } = arguments;
    let reals = Reals::keeping();
    let (wanted, labels) = (wanted(model), &Labels::of(model));
    let reading = arguments.reading.first(arguments.rows);
    if let Some(graph) = checkpoint.graph(file) {
        let read = (&reading, data.as_path(), *split);
        let (network, recordings) = read_graph(checkpoint, (file, model), &graph, read, labels)?;
        return Ok((Some(network), recordings, None));
    }
    let network = checkpoint.import(file, model)?;
    let recordings = reading.load(data, *split, &wanted, labels, Some(&reals))?;
    let rows = reals.rows(&recordings).filter(|_| wanted.scale.is_some());
    Ok((network, recordings, rows))
}

/// The float model, the recordings, and their values before they were rounded.
type Read = (Option<Network>, Recordings, Option<Vec<Vec<f64>>>);

/// The network of the graph that the model in `file` was made of, and recordings as the graph takes them, arranged as the model
/// does.
pub(crate) fn read_graph(
    checkpoint: &Checkpoint,
    (file, model): (&Path, &Model<'_>),
    graph: &Path,
    (reading, data, split): (&Reading, &Path, Split),
    labels: &Labels,
) -> Result<(Network, Recordings)> {
    let scale = wanted(model).scale;
    let mut recordings = reading.load_unscaled(data, split, labels, scale.as_ref(), &Reals::default())?;
    recordings.scale = recordings.scale.or(scale);
    let network = checkpoint.import_graph(graph, file, model, data, &mut recordings)?;
    Ok((network, recordings))
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
    anyhow!(
        "{data}: {split} split, row {row}: {problem}; {}",
        remedy(model, problem, arguments.reading.may_have_label(&arguments.data))
    )
}

fn summary(evaluation: &Evaluation, task: Task, out: &mut impl Write) -> Result<()> {
    let unknown = "unknown: no float reference";
    let (fixed, float) = (evaluation.accuracy_fixed(), evaluation.accuracy_float());
    // Of several labels an answer is right where all of them are.
    let accuracy =
        if task == Task::Multilabel && evaluation.confusion.is_none() { "all right" } else { "accuracy" };
    match (fixed, float) {
        _ if task == Task::Regression => {}
        (None, _) => writeln!(out, "  accuracy   unknown: the recordings have no labels")?,
        (Some(fixed), None) => writeln!(out, "  {accuracy:<9}  fixed {}, float {unknown}", percent(fixed))?,
        (Some(fixed), Some(float)) => {
            let answers = |right: Option<usize>| right.unwrap_or_default() as i64;
            let more = answers(evaluation.fixed_right) - answers(evaluation.float_right);
            let what = if evaluation.labelled == evaluation.rows { "row" } else { "token" };
            let difference = match more {
                0 => "no difference".to_owned(),
                _ => {
                    let points = 100.0 * (fixed - float);
                    format!("{points:+.2} points, {more:+} {what}{}", if more.abs() == 1 { "" } else { "s" })
                }
            };
            writeln!(
                out,
                "  {accuracy:<9}  fixed {}, float {} ({difference})",
                percent(fixed),
                percent(float)
            )?;
        }
    }
    if task != Task::Regression {
        let of = match (evaluation.scores.len() == evaluation.rows, task) {
            (true, Task::Multilabel) => "recordings get the same answers",
            (true, _) => "recordings get the same class",
            (false, _) => "tokens get the same class",
        };
        let agreement = evaluation.agreement();
        let agreement =
            agreement.map_or(unknown.to_owned(), |share| format!("{} of the {of} from both", percent(share)));
        writeln!(out, "  agreement  {agreement}")?;
    }
    let error = evaluation.score_error.map_or(unknown.to_owned(), |error| {
        let of = match task {
            Task::Regression => "of its standard deviation, root mean square error of an output",
            Task::Multiclass | Task::Multilabel => "mean relative L2 error",
        };
        format!("{} {of}, fixed against float", percent(error))
    });
    writeln!(out, "  scores     {error}")?;
    writeln!(out, "  digest     {}", evaluation.digest)?;
    Ok(())
}

/// What is beyond the range of the model is cut to it, which no score shows.
fn saturated(evaluation: &Evaluation, out: &mut impl Write) -> Result<()> {
    let (samples, recordings) = beyond(evaluation);
    if samples > 0 {
        let (samples, recordings, all) =
            (thousands(samples), thousands(recordings), thousands(evaluation.rows));
        writeln!(
            out,
            "  range      {samples} samples in {recordings} of {all} recordings are beyond the range that calibration has \
             seen, and were cut to it; calibrate on such recordings too"
        )?;
    }
    Ok(())
}

/// Samples beyond the range, and recordings that have some.
fn beyond(evaluation: &Evaluation) -> (usize, usize) {
    let saturated = &evaluation.saturated;
    let samples = saturated.iter().map(|&samples| samples as usize).sum();
    (samples, saturated.iter().filter(|&&samples| samples > 0).count())
}

/// Labels down, predictions across.
fn matrix(confusion: &[Vec<usize>], names: &Names, out: &mut impl Write) -> Result<()> {
    let classes = confusion.len();
    if classes > MATRIX_CLASSES {
        return worst(confusion, names, out);
    }
    writeln!(out, "\nconfusion: a row is a label, a column what the fixed-point engine said")?;
    let columns: Vec<String> = (0..classes).map(|class| names.shown(class)).collect();
    let mut headings = vec!["label"];
    headings.extend(columns.iter().map(String::as_str));
    headings.push("right");
    let mut table = Table::new(0, &headings);
    for (label, counts) in confusion.iter().enumerate() {
        let total: usize = counts.iter().sum();
        let right = if total == 0 { "-".to_owned() } else { percent(counts[label] as f64 / total as f64) };
        // Zeros would hide the few numbers that matter.
        let cells = counts.iter().map(|&count| if count == 0 { ".".to_owned() } else { thousands(count) });
        table.row([names.shown(label)].into_iter().chain(cells).chain([right]));
    }
    Ok(table.write(out)?)
}

fn worst(confusion: &[Vec<usize>], names: &Names, out: &mut impl Write) -> Result<()> {
    let mut wrong: Vec<(usize, usize, usize)> = Vec::new();
    for (label, counts) in confusion.iter().enumerate() {
        let others = counts.iter().enumerate().filter(|&(class, &count)| class != label && count > 0);
        wrong.extend(others.map(|(class, &count)| (count, label, class)));
    }
    wrong.sort_by_key(|&(count, label, class)| (std::cmp::Reverse(count), label, class));
    writeln!(out, "\nmost frequent confusions of {} classes", confusion.len())?;
    let mut table = Table::new(0, &["label", "fixed", "rows"]);
    for (count, label, class) in wrong.into_iter().take(WORST) {
        table.row([names.shown(label), names.shown(class), thousands(count)]);
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
    /// The kernels that ran; none changes a bit.
    backend: &'static str,
    saturated_samples: usize,
    saturated_recordings: usize,
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
    let (saturated_samples, saturated_recordings) = beyond(evaluation);
    let line = Line {
        model,
        rows: evaluation.rows,
        accuracy_float: evaluation.accuracy_float(),
        accuracy_fixed: evaluation.accuracy_fixed(),
        agreement: evaluation.agreement(),
        logit_rel_l2: evaluation.score_error,
        digest: evaluation.digest.to_string(),
        backend: backend(),
        saturated_samples,
        saturated_recordings,
        confusion: evaluation.confusion.as_ref(),
        quality,
        decision,
    };
    writeln!(out, "{}", serde_json::to_string(&line)?)?;
    Ok(())
}
