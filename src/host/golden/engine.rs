//! What the fixed-point engine makes of a golden file: inputs rounded to 16 bits, outputs back in real units.

mod lsh;

use std::vec;
use std::vec::Vec;

use super::{Case, Extra, Mechanism};
use crate::attention::{self, Given};
use crate::host::quantize::favor::{Formats, KeyOffset, favor_parameters};
use crate::host::quantize::{Peaks, Runs, fractional_bits, log_scores, score_scale};
use crate::host::reference::attention::bigbird::{Pattern, Window};
use crate::host::reference::attention::favor::Offsets;
use crate::host::reference::attention::hierarchical::Interpolation;
use crate::kernels::{VALUE_LIMIT, dot_limit};
use crate::model::{AttentionKind, BigBird, BigBirdExtended, Hierarchical};

impl Case {
    /// The engine's output, one `[tokens, width]` a head; `None` for an option that the engine does not have.
    pub fn engine(&self) -> Option<Vec<Vec<f64>>> {
        let outputs = self.heads.iter().map(|head| self.engine_head(head));
        outputs.collect()
    }

    fn engine_head(&self, head: &super::Head) -> Option<Vec<f64>> {
        if head.v.len() != head.q.len() || self.queries.is_some() && self.queries != self.keys {
            return None;
        }
        match &self.mechanism {
            Mechanism::Hierarchical(parameters) => {
                let plain = parameters.interpolation == Interpolation::Constant
                    && parameters.guard.is_none()
                    && parameters.temperature == 1.0;
                let bias = match &head.extra {
                    Extra::Hierarchical { bias: Some(bias) } => log_scores(bias.iter())?,
                    _ => Vec::new(),
                };
                let extra =
                    if parameters.causal { self.extra_bits(head, parameters.block) } else { Vec::new() };
                let kind = Hierarchical { block: parameters.block, bias: &bias, extra: &extra };
                plain.then(|| self.attend(AttentionKind::Hierarchical(kind), head, parameters.causal))?
            }
            Mechanism::BigBird(parameters) if parameters.pattern == Pattern::Internal => {
                let Extra::BigBird { plan } = &head.extra else { return None };
                let plan: Vec<i16> = plan.iter().flatten().map(|&block| block as i16).collect();
                let kind = BigBird {
                    block: parameters.block,
                    dense_blocks: parameters.dense_up_to / parameters.block,
                    random: parameters.random,
                    rows: plan.len() / parameters.random.max(1),
                    plan: &plan,
                };
                self.attend(AttentionKind::BigBird(kind), head, parameters.causal)
            }
            Mechanism::Favor(parameters) => {
                let limit = dot_limit(self.width);
                let formats = Formats {
                    width: self.width,
                    query_frac: fractional_bits(peak(&head.q), limit),
                    key_frac: fractional_bits(peak(&head.k), limit),
                    key_offset: match head.extra {
                        Extra::Favor { key_offset: Some(shared) } => KeyOffset::Fixed(shared),
                        _ if parameters.causal && parameters.offsets == Offsets::Seen => KeyOffset::Seen,
                        _ => KeyOffset::Sequence,
                    },
                    causal: parameters.causal,
                };
                let favor = favor_parameters(parameters, formats).ok()?;
                self.attend(AttentionKind::Favor(favor.view()), head, parameters.causal)
            }
            Mechanism::BigBird(parameters) => {
                let Extra::BigBird { plan } = &head.extra else { return None };
                let Pattern::Extended { global, window } = parameters.pattern else { return None };
                // Rows may be short: -1 stands for no block.
                let row = |row: &Vec<usize>| {
                    let row = row.iter().map(|&block| block as i16).chain(std::iter::repeat(-1));
                    row.take(parameters.random).collect::<Vec<_>>()
                };
                let flat: Vec<i16> = plan.iter().flat_map(row).collect();
                let kind = BigBirdExtended {
                    block: parameters.block,
                    dense_tokens: parameters.dense_up_to,
                    global,
                    radius: match window {
                        Window::Blocks => None,
                        Window::Tokens(radius) => Some(radius),
                    },
                    random: parameters.random,
                    rows: plan.len(),
                    plan: &flat,
                };
                self.attend(AttentionKind::BigBirdExtended(kind), head, parameters.causal)
            }
            Mechanism::Lsh(parameters) => self.lsh(parameters, head),
        }
    }

    /// Extra bits of a causal hierarchical head, as its own values allow them.
    fn extra_bits(&self, head: &super::Head, block: usize) -> Vec<i8> {
        let (mut runs, mut peaks) = (Runs::default(), Peaks::default());
        let (values, _) = integers(&head.v, VALUE_LIMIT);
        values.chunks_exact(self.width).for_each(|row| runs.push(row, &mut peaks));
        peaks.bits(Hierarchical::levels(self.tokens, block), 1.0)
    }

    /// Rounds the inputs and attends. Scores, where the mechanism has any, are `q k / sqrt(d)`.
    fn attend(&self, kind: AttentionKind<'_>, head: &super::Head, causal: bool) -> Option<Vec<f64>> {
        let limit = dot_limit(self.width);
        let (mut rows, query_frac) = integers(&head.q, limit);
        let (keys, key_frac) = integers(&head.k, limit);
        let (values, value_frac) = integers(&head.v, VALUE_LIMIT);
        let scale = score_scale(query_frac + key_frac, self.width)?;
        let gain = (fractional_bits(peak(&head.expected), i16::MAX) - value_frac).clamp(0, 12);
        let visible = self.visible();
        let mut scratch = vec![0; attention::words(&kind, self.tokens, self.width, causal)];
        let work = Given {
            index: 0,
            width: self.width,
            rows: &mut rows,
            keys: &keys,
            values: &values,
            visible: &visible,
            causal,
            scale,
            gain: gain as u32,
        };
        attention::attend(kind, work, &mut scratch);
        let unit = f64::powi(0.5, value_frac + gain);
        Some(rows.iter().map(|&row| f64::from(row) * unit).collect())
    }

    /// The bit map of keys that are not masked.
    fn visible(&self) -> Vec<u16> {
        let seen = |token: usize| token < self.tokens && self.keys.as_ref().is_none_or(|keys| keys[token]);
        let word = |first: usize| (0..16).fold(0, |word, bit| word | u16::from(seen(first + bit)) << bit);
        (0..self.tokens).step_by(16).map(word).collect()
    }
}

/// The values as integers with the largest power-of-two scale that keeps them within `limit`.
fn integers(values: &[f64], limit: i16) -> (Vec<i16>, i32) {
    let frac = fractional_bits(peak(values), limit);
    let scale = f64::powi(2.0, frac);
    (values.iter().map(|value| (value * scale).round() as i16).collect(), frac)
}

fn peak(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most: f64, value| most.max(value.abs()))
}
