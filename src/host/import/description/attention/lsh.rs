//! LSH attention.

use std::format;
use std::string::ToString;
use std::vec::Vec;

use serde::Deserialize;

use super::{Place, Problem, Tensors, at_most, check_chunks, one, positive, problem, unused};
use crate::host::draw::lsh_signs;
use crate::host::reference::AttentionKind;
use crate::host::reference::attention::lsh as float;
use crate::model;

/// `encoder.attention` of the kind `lsh`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the text of `Attention` says what the keys mean")]
pub struct Lsh {
    #[serde(default)]
    pub causal: bool,
    pub buckets: Buckets,
    pub rounds: usize,
    pub chunk: usize,
    #[serde(default = "one")]
    pub before: usize,
    #[serde(default)]
    pub after: usize,
    #[serde(default)]
    pub in_bucket: bool,
    #[serde(default)]
    pub skip_duplicates: bool,
    #[serde(default)]
    pub scale: Scale,
    pub seed: Option<u64>,
}

/// How many buckets a round has.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Buckets {
    /// Their number.
    One(usize),
    /// Its factors, each with directions of its own.
    Factors(Vec<usize>),
}

/// What scores are divided by; keys have length one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// 1, as in trax and the Hugging Face model.
    #[default]
    Unit,
    /// The root of the head's width, as in lucidrains' code.
    SqrtWidth,
}

/// What a model file has room for.
const MOST_FACTORS: usize = 8;

impl Lsh {
    fn factors(&self) -> &[usize] {
        match &self.buckets {
            Buckets::One(buckets) => std::slice::from_ref(buckets),
            Buckets::Factors(factors) => factors,
        }
    }

    /// Columns of one round's rotation: half the sum of the factors.
    pub(super) fn columns(&self) -> usize {
        self.factors().iter().sum::<usize>() / 2
    }

    /// Refuses parameters that contradict each other.
    pub(super) fn check(&self, tensors: &Tensors) -> Result<(), Problem> {
        let factors = self.factors();
        positive("encoder.attention.buckets (number of factors)", factors.len())?;
        at_most("buckets (number of factors)", MOST_FACTORS, factors.len())?;
        if let Some(odd) = factors.iter().find(|&&factor| factor == 0 || !factor.is_multiple_of(2)) {
            return Err(problem(
                "buckets",
                format!("has {odd}; buckets come in pairs, so give even numbers"),
            ));
        }
        let buckets = factors.iter().fold(1, |product: usize, &factor| product.saturating_mul(factor));
        at_most("buckets", model::Lsh::MAX_BUCKETS, buckets)?;
        positive("encoder.attention.rounds", self.rounds)?;
        at_most("rounds", model::Lsh::MAX_ROUNDS, self.rounds)?;
        check_chunks(self.chunk, self.before, self.after)?;
        if self.seed.is_some() && tensors.rotations.is_some() {
            return Err(unused("seed", "`tensors.rotations` names the rotations"));
        }
        if self.skip_duplicates && !self.in_bucket && self.rounds > 1 {
            let what = "is true, across buckets and in several rounds; give in_bucket = true, rounds = 1 or \
                        skip_duplicates = false";
            return Err(problem("skip_duplicates", what.to_string()));
        }
        Ok(())
    }

    /// `stored` is `[1 or heads, head width, rounds, columns]`.
    pub(super) fn kind(&self, place: Place, stored: Option<Vec<f64>>) -> Result<AttentionKind, Problem> {
        let parameters = float::Lsh {
            buckets: self.factors().to_vec(),
            rounds: self.rounds,
            chunk: self.chunk,
            before: self.before,
            after: self.after,
            multiple: place.multiple,
            causal: self.causal,
            scale: match self.scale {
                Scale::Unit => float::ScoreScale::Unit,
                Scale::SqrtWidth => float::ScoreScale::SqrtWidth,
            },
            in_bucket: self.in_bucket,
            duplicates: match self.skip_duplicates {
                true => float::Duplicates::Skipped,
                false => float::Duplicates::Counted,
            },
            padding_bucket: true,
        };
        let one = place.head_width * self.rounds * self.columns();
        let rotations = stored.unwrap_or_else(|| {
            let signs = lsh_signs(one * place.heads, self.seed.unwrap_or(0), place.layer);
            signs.into_iter().map(f64::from).collect()
        });
        let rotations: Vec<_> = rotations.chunks(one).map(<[f64]>::to_vec).collect();
        if rotations.len() != 1 && rotations.len() != place.heads {
            let problem =
                format!("has {} sets, for {} heads; give 1 or one each", rotations.len(), place.heads);
            return Err(Problem::Field { field: "tensors.rotations".to_string(), problem });
        }
        Ok(AttentionKind::Lsh { rotations, parameters })
    }
}
