//! LSH attention of a golden file in the engine: hashing and attending apart.

use std::vec;
use std::vec::Vec;

use super::super::{Case, Extra, Head, Mechanism};
use super::{fractional_bits, integers, peak};
use crate::attention::{self, lsh};
use crate::host::quantize::lsh::{lsh_record, lsh_scale};
use crate::host::reference::attention::lsh::Lsh;
use crate::kernels::{VALUE_LIMIT, dot_limit};
use crate::model::{self, AttentionKind, Rotations, write};
use crate::num::Requant;

impl Case {
    /// The buckets that the engine finds for `head`, `[rounds, tokens]`; none for another mechanism, for a file
    /// without rotations and for an option that the engine does not have.
    pub fn engine_buckets(&self, head: &Head) -> Option<Vec<usize>> {
        let (Mechanism::Lsh(parameters), Extra::Lsh { rotations, .. }) = (&self.mechanism, &head.extra)
        else {
            return None;
        };
        let mut rows = Rows::new(self, parameters, head)?;
        let record = Record::new(parameters, rotations, self.width, rows.frac)?;
        let mut buckets = vec![0; parameters.rounds * self.tokens];
        lsh::hash(record.parameters(), &rows.head(self.width, parameters.causal), &mut buckets);
        (!rotations.is_empty()).then(|| buckets.into_iter().map(usize::from).collect())
    }

    /// Buckets that the engine finds other than the authors, and how many there are; of all heads. `None` where
    /// the file has no buckets or no rotations.
    pub fn bucket_flips(&self) -> Option<(usize, usize)> {
        self.heads.iter().try_fold((0, 0), |(flips, hashes), head| {
            let Extra::Lsh { buckets: Some(expected), .. } = &head.extra else { return None };
            let found = self.engine_buckets(head)?;
            let differ = found.iter().zip(expected).filter(|(found, expected)| found != expected).count();
            Some((flips + differ, hashes + expected.len()))
        })
    }

    /// One head, on the authors' buckets where the file has them.
    pub(super) fn lsh(&self, parameters: &Lsh, head: &Head) -> Option<Vec<f64>> {
        let Extra::Lsh { buckets, rotations } = &head.extra else { return None };
        let mut rows = Rows::new(self, parameters, head)?;
        let record = Record::new(parameters, rotations, self.width, rows.frac)?;
        let kind = AttentionKind::Lsh(record.parameters());
        let mut scratch = vec![0; attention::words(&kind, self.tokens, self.width, parameters.causal)];
        let unit = f64::powi(0.5, rows.value_frac + rows.gain as i32);
        let work = rows.head(self.width, parameters.causal);
        match buckets {
            Some(buckets) => {
                let buckets: Vec<u16> = buckets.iter().map(|&bucket| bucket as u16).collect();
                lsh::attend_in(record.parameters(), &buckets, work, &mut scratch);
            }
            None => attention::attend(kind, work, &mut scratch),
        }
        Some(rows.rows.iter().map(|&row| f64::from(row) * unit).collect())
    }
}

/// The parameters in integers, of all widths that a rotation may have.
struct Record {
    lsh: write::Lsh,
    signs: Vec<u32>,
    bytes: Vec<i8>,
}

impl Record {
    /// `None` for an option that the engine does not have.
    fn new(lsh: &Lsh, rotations: &[f64], d: usize, frac: i32) -> Option<Self> {
        let lsh = lsh_record(lsh, &[rotations], d, frac).ok()?;
        let bytes = lsh.rotations.values.iter().map(|&value| value as i8).collect();
        Some(Self { signs: lsh.rotations.signs(), bytes, lsh })
    }

    fn parameters(&self) -> model::Lsh<'_> {
        let lsh = &self.lsh;
        model::Lsh {
            factors: &lsh.factors,
            rounds: lsh.rounds,
            chunk: lsh.chunk,
            before: lsh.before,
            after: lsh.after,
            multiple: lsh.multiple,
            in_bucket: lsh.in_bucket,
            skip_duplicates: lsh.skip_duplicates,
            padding_bucket: lsh.padding_bucket,
            epsilon: lsh.epsilon,
            rotation_heads: 1,
            rotations: match lsh.rotations.bits {
                1 => Rotations::Signs(&self.signs),
                8 => Rotations::Int8(&self.bytes),
                _ => Rotations::Int16(&lsh.rotations.values),
            },
        }
    }
}

/// One head's rows in integers.
struct Rows {
    rows: Vec<i16>,
    keys: Vec<i16>,
    values: Vec<i16>,
    visible: Vec<u16>,
    scale: Requant,
    frac: i32,
    value_frac: i32,
    gain: u32,
}

impl Rows {
    fn new(case: &Case, lsh: &Lsh, head: &Head) -> Option<Self> {
        let (rows, frac) = integers(&head.q, dot_limit(case.width));
        let (values, value_frac) = integers(&head.v, VALUE_LIMIT);
        Some(Self {
            keys: vec![0; rows.len()],
            rows,
            values,
            visible: case.visible(),
            scale: lsh_scale(lsh.scale, case.width, frac)?,
            frac,
            value_frac,
            gain: (fractional_bits(peak(&head.expected), i16::MAX) - value_frac).clamp(0, 12) as u32,
        })
    }

    fn head(&mut self, width: usize, causal: bool) -> attention::Given<'_> {
        attention::Given {
            index: 0,
            width,
            rows: &mut self.rows,
            keys: &self.keys,
            values: &self.values,
            visible: &self.visible,
            causal,
            scale: self.scale,
            gain: self.gain,
        }
    }
}
