//! Whole classifiers: a case names the file of its weights, whose metadata has the configuration.

use std::collections::HashMap;
use std::path::Path;
use std::string::String;
use std::vec::Vec;

use safetensors::SafeTensors;

use super::{GoldenError, Metadata};
use crate::host::draw;
use crate::host::import::Source;
use crate::host::quantize::{QuantizeError, Settings, quantize};
use crate::host::reference::{AttentionKind, Input, Network, ReferenceError};
use crate::model::Model;
use crate::session::{Plan, Session};
use crate::trace::{Site, Tensor, Tile, Trace};

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

    /// Scores of the float reference.
    ///
    /// # Errors
    /// What the network cannot take.
    pub fn reference(&self) -> Result<Vec<f64>, ReferenceError> {
        self.network.forward(&self.ids, self.mask.as_deref(), &mut |_, _| {})
    }

    /// What the engine makes of the case: 16-bit weights, and ranges from sequences drawn at random, among which the
    /// case itself is not.
    ///
    /// # Errors
    /// What the quantiser cannot take.
    pub fn engine(&self) -> Result<EngineRun, QuantizeError> {
        let Input::Tokens { vocabulary, .. } = self.network.input else { return Ok(EngineRun::default()) };
        let mut source = draw::Source(1);
        let mut sequence =
            || self.ids.iter().map(|_| (source.uniform() * vocabulary as f64) as i16).collect();
        let recordings: Vec<Vec<i16>> = (0..CALIBRATION).map(|_| sequence()).collect();
        let settings = Settings { score_error: 0.0, ..Settings::default() };
        let quantized = quantize(&self.network, &recordings, settings, |_| {})?;
        let model = Model::parse(&quantized.words)?;
        let mut memory = std::vec![0; Plan::of(&model).words()];
        let Ok(mut session) = Session::new(model, &mut memory) else { return Ok(EngineRun::default()) };
        let mut queries = Queries::default();
        let scores = session.run_traced(&self.ids, self.mask.as_deref(), &mut queries);
        let scores = scores.map(|scores| scores.to_f64().collect()).unwrap_or_default();
        Ok(EngineRun { scores, buckets: self.buckets(&queries) })
    }

    /// Hashes of the engine's queries that differ from those of the reference, and how many there are.
    fn buckets(&self, found: &Queries) -> Option<(usize, usize)> {
        let mut counts: Option<(usize, usize)> = None;
        let _ = self.network.forward(&self.ids, self.mask.as_deref(), &mut |site, expected| {
            let Some(block) = site.block.filter(|_| site.tensor == "query") else { return };
            let attention = &self.network.blocks[block].attention;
            let (AttentionKind::Lsh { parameters, rotations }, Some(found)) =
                (&attention.kind, found.0.get(&block))
            else {
                return;
            };
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
        });
        counts
    }
}

/// The engine's scores, and how its buckets compare.
#[derive(Debug, Clone, Default)]
pub struct EngineRun {
    /// `[classes]`.
    pub scores: Vec<f64>,
    /// Buckets of LSH attention that are not those of the reference, and how many there are; none without LSH. One
    /// token in another bucket moves the edges of all later chunks of its round.
    pub buckets: Option<(usize, usize)>,
}

/// The queries of each block, `[tokens, all heads]`.
#[derive(Default)]
struct Queries(HashMap<usize, Vec<f64>>);

impl Trace for Queries {
    fn tile(&mut self, site: Site, tile: Tile<'_>) {
        let (Some(block), Tensor::Query) = (site.block, site.tensor) else { return };
        let queries = self.0.entry(block).or_default();
        let unit = f64::powi(0.5, tile.frac);
        for (row, values) in tile.values.chunks_exact(tile.width).enumerate() {
            let start = (tile.row + row) * tile.tensor_width;
            queries.resize(queries.len().max(start + tile.tensor_width), 0.0);
            let columns = queries[start + tile.column..].iter_mut();
            columns.zip(values).for_each(|(out, &x)| *out = f64::from(x) * unit);
        }
    }
}
