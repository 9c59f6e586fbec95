//! The whole way from a float network to a model: ranges, integers, and 16 bits for the layers that need them.

use std::string::String;
use std::vec::Vec;

use super::{Precision, QuantizeError, extra_bits, integers};
use crate::host::calibrate::{Ranges, calibrate, site_name};
use crate::host::parallel;
use crate::host::reference::{Input, Network, Positions};
use crate::host::report::{Fidelity, TensorReport, fidelity, tensors};
use crate::model::{Model, write};

/// A layer that leaves more than this share of the error is not worth its flash.
const MINIMUM_GAIN: f64 = 0.98;
/// How many times the aim the error has to be for such layers to be tried together.
const FAR: f64 = 2.0;
/// What they must leave at most, if they do not reach the aim.
const HALF: f64 = 0.5;

/// What the quantiser aims at.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Mean relative L2 error of the scores up to which 8-bit weights stay, over the quarter of the probes with
    /// the smallest scores: a network is surer of its training rows than of others. Zero means 16 bits in every layer.
    pub score_error: f64,
    /// Recordings on which the error is measured, spread evenly over those given.
    pub probes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { score_error: 0.006, probes: 256 }
    }
}

/// A quantised network and what is known of it.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// Integers of every layer.
    pub file: write::File,
    /// The model file.
    pub words: Vec<u32>,
    /// Layers that were chosen for 16-bit weights, in that order; none where every layer got them unasked.
    pub promotions: Vec<Promotion>,
    /// Recordings on which the error was measured.
    pub probes: usize,
    /// Score error and agreement on the probes.
    pub fidelity: Fidelity,
    /// Every tensor against the reference, in order of the forward pass.
    pub tensors: Vec<TensorReport>,
}

impl Quantized {
    /// The bytes of the model file.
    pub fn bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// A layer that got 16-bit weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Promotion {
    /// Its name.
    pub layer: String,
    /// Score error before.
    pub before: f64,
    /// Score error after.
    pub after: f64,
}

/// How far the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// One more recording was calibrated.
    Calibrated,
    /// One more layer was tried with 16-bit weights.
    Tried,
}

/// Quantises `network` with the ranges that `recordings` (training rows) show, on every core of the host; the result does
/// not depend on their number. `progress` is called from several threads.
///
/// # Errors
/// [`QuantizeError`] names the tensor or the recording.
pub fn quantize(
    network: &Network,
    recordings: &[Vec<i16>],
    settings: Settings,
    progress: impl Fn(Progress) + Sync,
) -> Result<Quantized, QuantizeError> {
    if recordings.is_empty() {
        return Err(QuantizeError::NoRecordings);
    }
    // Before the float network runs: it takes its parameters at their word.
    super::attention::check(network)?;
    let ranges = calibrate(network, recordings, || progress(Progress::Calibrated))?;
    let stride = recordings.len().div_ceil(settings.probes.max(1));
    let probes = Probes::new(network, recordings.iter().step_by(stride));

    let narrow = integers(network, &ranges, &Precision::new())?.words();
    let extra = extra_bits(Model::parse(&narrow)?, recordings)?;

    let search = Search { network, ranges: &ranges, extra, probes: &probes, aim: settings.score_error };
    let (reached, promotions) = match settings.score_error {
        0.0 => (search.attempt(&layers(network).into_iter().collect())?, Vec::new()),
        _ => search.run(&progress)?,
    };
    let Attempt { file, words, .. } = reached;
    let fidelity = fidelity(Model::parse(&words)?, &probes.recordings, &probes.expected);
    let tensors = tensors(network, Model::parse(&words)?, &probes.recordings);
    Ok(Quantized { file, words, promotions, probes: probes.recordings.len(), fidelity, tensors })
}

/// Looks for the layers that need 16-bit weights.
struct Search<'a> {
    network: &'a Network,
    ranges: &'a Ranges,
    /// Of the means of causal hierarchical layers, by block.
    extra: Vec<Vec<i8>>,
    probes: &'a Probes<'a>,
    /// Score error at which it is done.
    aim: f64,
}

impl Search<'_> {
    fn attempt(&self, precision: &Precision) -> Result<Attempt, QuantizeError> {
        let mut file = integers(self.network, self.ranges, precision)?;
        for (block, extra) in file.blocks.iter_mut().zip(&self.extra) {
            if let write::AttentionKind::Hierarchical(hierarchical) = &mut block.kind {
                hierarchical.extra.clone_from(extra);
            }
        }
        let words = file.words();
        let error = self.probes.hard_error(Model::parse(&words)?);
        Ok(Attempt { file, words, error })
    }

    fn run(&self, progress: &(impl Fn(Progress) + Sync)) -> Result<(Attempt, Vec<Promotion>), QuantizeError> {
        let mut precision = Precision::new();
        let mut promotions = Vec::new();
        let mut reached = self.attempt(&precision)?;
        if reached.error <= self.aim {
            return Ok((reached, promotions));
        }
        let mut rejected = Vec::new();
        for layer in self.by_gain(&reached, progress)? {
            if reached.error <= self.aim {
                break;
            }
            precision.insert(layer.clone());
            let next = self.attempt(&precision)?;
            if next.error < MINIMUM_GAIN * reached.error {
                promotions.push(Promotion { layer, before: reached.error, after: next.error });
                reached = next;
            } else {
                precision.remove(&layer);
                rejected.push(layer);
            }
        }
        if reached.error > FAR * self.aim
            && let Some((all, together)) = self.together(precision, rejected, reached.error)?
        {
            promotions.extend(together);
            reached = all;
        }
        Ok((reached, promotions))
    }

    /// The layers, first those in which a byte of flash removes most of the error: rounding errors of different
    /// layers are independent, they add in squares.
    fn by_gain(
        &self,
        reached: &Attempt,
        progress: &(impl Fn(Progress) + Sync),
    ) -> Result<Vec<String>, QuantizeError> {
        let gain = |layer: &String| {
            let alone = self.attempt(&Precision::from([layer.clone()]))?;
            let bytes = 4 * (alone.words.len() - reached.words.len()).max(1);
            progress(Progress::Tried);
            Ok(((reached.error.powi(2) - alone.error.powi(2)) / bytes as f64, layer.clone()))
        };
        let shares = parallel::shares(&layers(self.network), |_, layers| {
            layers.iter().map(gain).collect::<Result<Vec<_>, QuantizeError>>()
        });
        let mut gains = shares.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
        gains.sort_by(|a, b| b.0.total_cmp(&a.0));
        Ok(gains.into_iter().map(|(_, layer)| layer).collect())
    }

    /// Where many layers share the error none of them removes much alone, and where rounding decides between buckets
    /// nothing helps before all is fine: `layers` on top of each other, if that reaches the aim or halves `error`.
    fn together(
        &self,
        mut precision: Precision,
        layers: Vec<String>,
        error: f64,
    ) -> Result<Option<(Attempt, Vec<Promotion>)>, QuantizeError> {
        let (mut promotions, mut last) = (Vec::new(), None);
        let mut before = error;
        for layer in layers {
            precision.insert(layer.clone());
            let next = self.attempt(&precision)?;
            promotions.push(Promotion { layer, before, after: next.error });
            before = next.error;
            last = Some(next);
            if before <= self.aim {
                break;
            }
        }
        let last = last.filter(|last| last.error <= self.aim.max(HALF * error));
        Ok(last.map(|last| (last, promotions)))
    }
}

struct Attempt {
    file: write::File,
    words: Vec<u32>,
    error: f64,
}

/// Recordings with the scores that the float network gives them, those with the smallest scores first.
struct Probes<'a> {
    recordings: Vec<&'a [i16]>,
    expected: Vec<Vec<f64>>,
}

impl<'a> Probes<'a> {
    fn new(network: &Network, recordings: impl Iterator<Item = &'a Vec<i16>>) -> Self {
        // Calibration has run every recording: none fails here.
        let scores = |recording: &[i16]| network.forward(recording, None, &mut |_, _| {}).unwrap_or_default();
        let mut rows: Vec<_> = recordings.map(|row| (row.as_slice(), scores(row))).collect();
        let size = |scores: &[f64]| scores.iter().map(|score| score * score).sum::<f64>();
        rows.sort_by(|a, b| size(&a.1).total_cmp(&size(&b.1)));
        let (recordings, expected) = rows.into_iter().unzip();
        Self { recordings, expected }
    }

    fn hard_error(&self, model: Model<'_>) -> f64 {
        let quarter = self.recordings.len().div_ceil(4);
        fidelity(model, &self.recordings[..quarter], &self.expected[..quarter]).score_error
    }
}

/// Names of the layers with weights, as the quantiser uses them.
fn layers(network: &Network) -> Vec<String> {
    let mut names = Vec::new();
    names.push(String::from(match network.input {
        Input::Samples { .. } | Input::OneHot { .. } => "stem",
        Input::Tokens { .. } => "table",
    }));
    match network.positions {
        Positions::Learned(_) => names.push(String::from("positions")),
        Positions::Axial(_) => names.extend(super::AXIAL.map(String::from)),
        Positions::None | Positions::Sinusoidal => {}
    }
    for (index, block) in network.blocks.iter().enumerate() {
        let unused = block.attention.kind.shares_query().then_some("key");
        for layer in ["query", "key", "value", "output", "expand", "contract"] {
            if Some(layer) != unused {
                names.push(site_name(Some(index), layer));
            }
        }
    }
    names.extend(network.hidden.iter().map(|_| String::from("hidden")));
    names.push(String::from("head"));
    names
}
