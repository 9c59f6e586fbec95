//! Whole classifiers: a case names the file of its weights, whose metadata has the configuration.

use std::path::Path;
use std::string::String;
use std::vec::Vec;

use safetensors::SafeTensors;

use super::{GoldenError, Metadata};
use crate::host::draw;
use crate::host::engine::Engine;
use crate::host::import::Source;
use crate::host::quantize::{QuantizeError, Settings, quantize};
use crate::host::reference::{AttentionKind, Input, Network};
use crate::host::report::Collector;
use crate::model::Model;
use crate::trace::Tensor;

/// A Hugging Face classifier on one sequence of token ids, and the scores that it gave.
#[derive(Debug, Clone)]
pub struct WholeModel {
    /// The classifier, with the random choices of the case.
    pub network: Network,
    /// Token ids.
    pub ids: Vec<i16>,
    /// One flag per token, false: padding. None if there is none.
    pub mask: Option<Vec<bool>>,
    /// `[classes]`.
    pub expected: Vec<f64>,
}

/// Sequences from which the quantiser takes its ranges.
const CALIBRATION: usize = 16;

pub(super) fn load(
    path: &Path,
    tensors: &SafeTensors<'_>,
    metadata: &Metadata,
) -> Result<Option<WholeModel>, GoldenError> {
    let Some(weights) = metadata.get("weights") else { return Ok(None) };
    let values = |name: &str| match super::tensor(path, tensors, name)? {
        Some((_, values)) => Ok(values),
        None => Err(GoldenError::tensor(path, name, "is missing")),
    };
    let ids: Vec<i16> = values("input_ids")?.iter().map(|&id| id as i16).collect();
    let mask = super::tensor(path, tensors, "attention_mask")?;
    let mask = mask.map(|(_, mask)| mask.iter().map(|&flag| flag != 0.0).collect());
    let source = Source {
        weights: path.with_file_name(weights),
        frozen: Some(path.into()),
        max_tokens: Some(ids.len()),
        overrides: metadata.get("config_overrides").cloned(),
        ..Source::default()
    };
    let network = source.network()?;
    Ok(Some(WholeModel { network, ids, mask, expected: values("logits")? }))
}

impl WholeModel {
    /// `bigbird classifier` or `reformer classifier`.
    pub fn name(&self) -> String {
        std::format!("{} classifier", self.network.name)
    }

    /// What the reference and the engine make of the case. The engine has 16-bit weights, and ranges from sequences
    /// drawn at random, among which the case itself is not.
    ///
    /// # Errors
    /// What the network or the quantiser cannot take.
    pub fn run(&self) -> Result<Run, GoldenError> {
        let vocabulary = match self.network.input {
            Input::Tokens { vocabulary, .. } => vocabulary as f64,
            _ => 0.0,
        };
        let mut source = draw::Source(1);
        let mut sequence = || self.ids.iter().map(|_| (source.uniform() * vocabulary) as i16).collect();
        let recordings: Vec<Vec<i16>> = (0..CALIBRATION).map(|_| sequence()).collect();
        let settings = Settings { score_error: 0.0, ..Settings::default() };
        let quantized = quantize(&self.network, &recordings, settings, |_| {})?;
        let model = Model::parse(&quantized.words).map_err(QuantizeError::from)?;
        let (mut engine, mut tensors) = (Engine::new(model), Collector::new(&model));
        let mut session = engine.session();
        let scores = session.run_traced(&self.ids, self.mask.as_deref(), &mut tensors);
        let scores = scores.map(|scores| scores.to_f64().collect());
        let mut buckets = None;
        let reference = self.network.forward(&self.ids, self.mask.as_deref(), &mut |site, expected| {
            if let Some(block) = site.block.filter(|_| site.tensor == "query")
                && let Some(found) = tensors.values(block, Tensor::Query)
            {
                self.compare_buckets(block, &found, expected, &mut buckets);
            }
        });
        Ok(Run { reference: reference?, engine: scores.unwrap_or_default(), buckets })
    }

    /// Counts the hashes of the engine's queries that differ from those of the reference, and all.
    fn compare_buckets(
        &self,
        block: usize,
        found: &[f64],
        expected: &[f64],
        counts: &mut Option<(usize, usize)>,
    ) {
        let attention = &self.network.blocks[block].attention;
        let AttentionKind::Lsh { parameters, rotations } = &attention.kind else { return };
        // At most one chunk is not hashed.
        if self.ids.len() <= parameters.chunk {
            return;
        }
        let (width, d) = (attention.query.outputs, attention.query.outputs / attention.heads);
        for head in 0..attention.heads {
            let rotations = &rotations[head % rotations.len()];
            let [found, expected] = [found, expected].map(|x| {
                let rows = x.chunks_exact(width).flat_map(|row| &row[head * d..][..d]);
                let rows: Vec<f64> = rows.copied().collect();
                parameters.hash(&rows, d, rotations, self.mask.as_deref())
            });
            let (flips, all) = counts.get_or_insert((0, 0));
            *flips += found.iter().zip(&expected).filter(|(a, b)| a != b).count();
            *all += expected.len();
        }
    }
}

/// Scores, and how the buckets of LSH attention compare.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// `[classes]`, of the float reference.
    pub reference: Vec<f64>,
    /// `[classes]`, of the engine.
    pub engine: Vec<f64>,
    /// Buckets of the engine that are not those of the reference, and how many there are; none without LSH. One token
    /// in another bucket moves the edges of all later chunks of its round.
    pub buckets: Option<(usize, usize)>,
}
