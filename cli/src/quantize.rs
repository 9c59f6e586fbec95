//! `fixformer quantize`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use fixformer::Model;
use fixformer::host::data::{self, Reals, Recordings};
use fixformer::host::evaluate::evaluate;
use fixformer::host::file::{Files, Output};
use fixformer::host::import::Precision;
use fixformer::host::quantize::{Progress, QuantizeError, Quantized, Settings, quantize};
use fixformer::host::reference::{Input, Network, Task, odd_name};
use fixformer::host::targets::Targets;
use fixformer::model::write;

use crate::eval::{IGNORED, wanted as of_model};
use crate::expect;
use crate::imported::{self, is_graph};
use crate::levels;
use crate::network::{Open, wanted};
use crate::progress::bar;
use crate::recordings::{Labels, Reading, Split};
use crate::threshold::{Chosen, Given};
use outcome::Outcome;

mod outcome;

/// Layers whose weights can have 16 bits, in each block: query, key, value, output, expand, contract.
const LAYERS_PER_BLOCK: usize = 6;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Description of the float model (TOML), a Hugging Face config.json, or an ONNX graph, which needs no weights
    /// [default: the configuration in the metadata of the weights]
    #[arg(long, value_name = "TOML|JSON|ONNX")]
    model: Option<PathBuf>,
    /// Its weights: a file, the index of its shards, or the folder of either
    #[arg(long, value_name = "SAFETENSORS")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    open: Open,
    /// Recordings that show the range of every tensor; of an .npz the training split is used
    #[arg(long, value_name = "DATA")]
    calibrate: PathBuf,
    /// Scores, [rows, classes], that your own framework gives the first recordings: the import is held against them, and
    /// where it differs the change is named that makes it agree; of an .npz `scores_train` or `scores`, or FILE.npz:ARRAY
    #[arg(long, value_name = "NPY|NPZ")]
    expect: Option<PathBuf>,
    /// The model file to write; one that is there is replaced once the new one is complete
    #[arg(short, long, value_name = "FXM")]
    output: PathBuf,
    /// Mean relative error of the scores up to which all weights stay at 8 bits, over the quarter of the probes
    /// with the smallest scores; 0 for 16 bits in every layer
    #[arg(long, value_name = "SHARE", default_value_t = Settings::default().score_error, value_parser = share)]
    error: f64,
    /// Recordings on which the error is measured, spread evenly over those given
    #[arg(long, value_name = "COUNT", default_value_t = Settings::default().probes as u32,
          value_parser = clap::value_parser!(u32).range(1..))]
    probes: u32,
    #[command(flatten)]
    threshold: Given,
    #[command(flatten)]
    choose: Chosen,
    #[command(flatten)]
    reading: Reading,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<ExitCode> {
    let output = arguments.output()?;
    let (mut network, precision, recordings, reals) = arguments.read()?;
    arguments.name_classes(&mut network)?;
    let checked = arguments.expect.as_ref().map(|path| {
        expect::check(
            path,
            arguments.described(),
            (&network, precision),
            (&recordings.rows, reals.as_deref()),
        )
    });
    let checked = checked.transpose()?;
    // A graph was compared with itself.
    if checked.is_none() && !is_graph(arguments.described()) {
        expect::hint();
    }
    let settings = Settings { score_error: arguments.error, probes: arguments.probes as usize };
    let mut quantized = with_progress(&network, &recordings.rows, settings)
        .map_err(|error| in_words(arguments, &network, error))?;
    quantized.words = arguments.with_thresholds(&quantized.words)?;
    output.write(&quantized.bytes())?;

    let model = Model::parse(&quantized.words)?;
    let outcome = Outcome {
        network: &network,
        quantized: &quantized,
        model,
        settings,
        checked,
        output: &arguments.output,
    };
    if arguments.json {
        outcome.json(out)?
    } else {
        outcome.table(out)?
    }
    Ok(ExitCode::SUCCESS)
}

/// The float model, the format of its weights, the recordings to calibrate it on, and their values before they were rounded.
type Read = (Network, Precision, Recordings, Option<Vec<Vec<f64>>>);

impl Arguments {
    /// The model file to write, which is none of the files that are read.
    fn output(&self) -> Result<Output> {
        let mut files = Files::default();
        files.read(match (&self.model, &self.weights) {
            (Some(graph), None) => imported::files(graph),
            (model, Some(weights)) => self.open.source(model.as_deref(), weights).files(),
            (None, None) => Vec::new(),
        });
        files.read(data::files(&self.calibrate));
        files.read(self.expect.as_deref().map(expect::file));
        Ok(files.write(&self.output)?)
    }

    /// The float model and the recordings to calibrate it on.
    fn read(&self) -> Result<Read> {
        let reals = if self.expect.is_some() { Reals::keeping() } else { Reals::default() };
        match (&self.model, &self.weights) {
            (Some(graph), None) if is_graph(graph) => {
                let (split, labels) = (Split::Train, &Labels::Aside);
                let mut recordings =
                    self.reading.load_unscaled(&self.calibrate, split, labels, None, &reals)?;
                let channels = recordings.channels;
                let (network, precision) =
                    imported::network(graph, &self.calibrate, &mut recordings, self.open.max_tokens())?;
                // Where the axes changed places, the channels are not those of the file.
                let as_read =
                    recordings.channels == channels && matches!(network.input, Input::Samples { .. });
                if as_read {
                    levels::check(&self.calibrate, &recordings, &reals)?;
                }
                let reals = reals.rows(&recordings).filter(|_| as_read);
                Ok((network, precision, recordings, reals))
            }
            (Some(graph), Some(weights)) if is_graph(graph) => {
                bail!(
                    "{}: an ONNX graph has its weights itself; remove `--weights {}`",
                    graph.display(),
                    weights.display()
                )
            }
            (_, Some(weights)) => {
                let (network, precision) = self.open.read(self.model.as_deref(), weights)?;
                let wanted = wanted(&network);
                let (split, labels) = (Split::Train, &Labels::Aside);
                let recordings = self.reading.load(&self.calibrate, split, &wanted, labels, Some(&reals))?;
                if wanted.scale.is_some() {
                    levels::check(&self.calibrate, &recordings, &reals)?;
                }
                let reals = reals.rows(&recordings).filter(|_| wanted.scale.is_some());
                Ok((network, precision, recordings, reals))
            }
            (_, None) => {
                let message =
                    "the following required arguments were not provided:\n  --weights <SAFETENSORS>\n";
                clap::Error::raw(clap::error::ErrorKind::MissingRequiredArgument, message).exit()
            }
        }
    }

    /// Gives the classes the names that the command line lists.
    fn name_classes(&self, network: &mut Network) -> Result<()> {
        let Some(names) = self.reading.names() else { return Ok(()) };
        let (listed, count) = (names.len(), network.answers.named(network.head.outputs));
        if listed != count {
            let what = if network.answers.task == Task::Regression { "numbers" } else { "classes" };
            bail!("--classes lists {listed}, but the model has {count} {what}; list each once, in order");
        }
        if let Some(name) = odd_name(names) {
            bail!("--classes has {name:?}; give each a text of its own, without control characters");
        }
        let own = &network.answers.names;
        if !own.is_empty() && own != names {
            bail!(
                "--classes lists other names than `head.classes` of the description; leave one of them out"
            );
        }
        network.answers.names = names.to_vec();
        Ok(())
    }

    /// The words of the model file with the thresholds that are given, or that the validation split chooses.
    fn with_thresholds(&self, words: &[u32]) -> Result<Vec<u32>> {
        let model = Model::parse(words)?;
        if !self.threshold.is_given() && !self.choose.is_given() {
            return Ok(words.to_vec());
        }
        let mut judge = self.threshold.judge(&model)?;
        if self.choose.is_given() {
            let (split, labels) = (Split::Val, Labels::of(&model));
            let recordings = self.reading.load(&self.calibrate, split, &of_model(&model), &labels, None);
            let recordings = recordings.map_err(|error| {
                anyhow!(
                    "{error}. A threshold is chosen on the validation split of the calibration data; where there is none, \
                     leave `--choose-threshold` out, and choose it with `fixformer eval M.fxm DATA --choose-threshold … \
                     --keep-threshold`"
                )
            })?;
            let targets = Targets::of(&model, &recordings, IGNORED)
                .map_err(|error| anyhow!("{}: {} split, {error}", self.calibrate.display(), split.name()))?;
            let evaluation = evaluate(model, None, &recordings.rows, targets.as_ref(), &|| {})
                .map_err(|error| anyhow!("{}: {} split, {error}", self.calibrate.display(), split.name()))?;
            judge = self.choose.judge(&model, judge, &evaluation.scores, targets.as_ref())?;
        }
        let words = write::with_thresholds(words, model.answers.task, &judge.raw(&model));
        Model::parse(&words)?;
        Ok(words)
    }

    /// The file that describes the model.
    fn described(&self) -> &Path {
        self.model.as_deref().or(self.weights.as_deref()).unwrap_or(Path::new(""))
    }

    /// The file that has the weights.
    fn origin(&self) -> &Path {
        self.weights.as_deref().or(self.model.as_deref()).unwrap_or(Path::new(""))
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a share from 0 to below 1, for example 0.005".to_owned()),
    }
}

fn with_progress(
    network: &Network,
    rows: &[Vec<i16>],
    settings: Settings,
) -> Result<Quantized, QuantizeError> {
    let calibration = bar("calibrating", rows.len());
    // Stem or table, positions (axial: two), a hidden layer of the head, head.
    let search = bar("comparing", network.blocks.len() * LAYERS_PER_BLOCK + 5);
    let quantized = quantize(network, rows, settings, |progress| match progress {
        Progress::Calibrated => calibration.inc(1),
        Progress::Tried => search.inc(1),
    });
    calibration.finish_and_clear();
    search.finish_and_clear();
    quantized
}

/// Names the file that is at fault and what to do.
fn in_words(arguments: &Arguments, network: &Network, error: QuantizeError) -> anyhow::Error {
    let (weights, data) = (arguments.origin().display(), arguments.calibrate.display());
    match error {
        QuantizeError::Recording(error) => anyhow!(
            "{data}: {error}. The model takes 1 to {} tokens; repair or remove that recording",
            network.max_tokens
        ),
        QuantizeError::NoRecordings => anyhow!("{data}: {error}"),
        error => anyhow!("{weights}: {error}"),
    }
}
