//! Extra bits of the means in causal hierarchical attention: constants of a model, found in recordings by the engine.

use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

use super::HEADROOM;
use crate::host::parallel;
use crate::kernels::VALUE_LIMIT;
use crate::model::{AttentionKind, Causality, Hierarchical, Model};
use crate::session::{InputError, Plan, Session};
use crate::trace::{Row, Rows, Tensor};

/// [`Hierarchical::extra`] of every block: `[levels]` of a causal hierarchical one, nothing of others. A level keeps a
/// further bit if the means of all recordings leave room for it and some to spare; one that no recording is long enough
/// for has as many bits as the last that was seen.
///
/// # Errors
/// The first recording that the model cannot take.
pub fn extra_bits(model: Model<'_>, recordings: &[Vec<i16>]) -> Result<Vec<Vec<i8>>, InputError> {
    let levels: Vec<usize> = model
        .blocks()
        .map(|block| match block.attention.kind {
            AttentionKind::Hierarchical(parameters)
                if block.attention.causality() != Causality::Bidirectional =>
            {
                parameters.extra.len()
            }
            _ => 0,
        })
        .collect();
    let wanted = |block: Option<usize>| block.filter(|&block| levels[block] > 0);
    let mut peaks = vec![Peaks::default(); levels.len()];
    if levels.iter().any(|&count| count > 0) {
        let shares = parallel::shares(recordings, |_, recordings| {
            let mut memory = vec![0; Plan::of(&model).words()];
            let Ok(mut session) = Session::new(model, &mut memory) else {
                unreachable!("the plan has that size")
            };
            let mut peaks = vec![Peaks::default(); levels.len()];
            for recording in recordings {
                let mut runs: BTreeMap<(usize, usize), Runs> = BTreeMap::new();
                let mut note = Rows(|row: Row<'_>| {
                    let Row { site, column, values, .. } = row;
                    if let (Some(block), Tensor::Value) = (wanted(site.block), site.tensor) {
                        runs.entry((block, column)).or_default().push(values, &mut peaks[block]);
                    }
                });
                session.run_traced(recording, None, &mut note)?;
            }
            Ok(peaks)
        });
        for share in shares {
            peaks.iter_mut().zip(share?).for_each(|(peaks, share)| peaks.merge(&share));
        }
    }
    Ok(peaks.iter().zip(levels).map(|(peaks, levels)| peaks.bits(levels, HEADROOM)).collect())
}

/// Largest magnitude of the sum of `2^level` values, by level from 1. Sums, not the means of the engine: their rounding
/// would need all recordings to be run once for each level.
#[derive(Clone, Debug, Default)]
pub(in crate::host) struct Peaks(Vec<i64>);

impl Peaks {
    fn note(&mut self, level: usize, sum: &[i64]) {
        if self.0.len() < level {
            self.0.resize(level, 0);
        }
        self.0[level - 1] = sum.iter().fold(self.0[level - 1], |peak, x| peak.max(x.abs()));
    }

    fn merge(&mut self, other: &Peaks) {
        (1..).zip(&other.0).for_each(|(level, &peak)| self.note(level, &[peak]));
    }

    /// Extra bits of `levels` levels, for values up to `headroom` times as large as those seen.
    pub(in crate::host) fn bits(&self, levels: usize, headroom: f64) -> Vec<i8> {
        let mut bits = 0;
        let of_level = |level: usize| {
            if let Some(&peak) = self.0.get(level - 1) {
                // The mean with one more bit than the level below.
                let mean = headroom * peak as f64 * f64::powi(2.0, i32::from(bits) + 1 - level as i32);
                bits += i8::from(bits < Hierarchical::MAX_EXTRA && mean <= f64::from(VALUE_LIMIT));
            }
            bits
        };
        (1..=levels).map(of_level).collect()
    }
}

/// The runs of `2^level` rows that are not complete yet; rows come in order from the first on.
#[derive(Clone, Debug, Default)]
pub(in crate::host) struct Runs(Vec<Option<Vec<i64>>>);

impl Runs {
    /// Adds a row and notes the runs that it completes.
    pub(in crate::host) fn push(&mut self, row: &[i16], peaks: &mut Peaks) {
        let mut sum: Vec<i64> = row.iter().map(|&x| x.into()).collect();
        for level in 1.. {
            if self.0.len() < level {
                self.0.push(None);
            }
            let Some(first) = self.0[level - 1].take() else {
                self.0[level - 1] = Some(sum);
                return;
            };
            sum.iter_mut().zip(first).for_each(|(sum, first)| *sum += first);
            peaks.note(level, &sum);
        }
    }
}
