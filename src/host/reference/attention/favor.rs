//! FAVOR and FAVOR+ attention of one head: kernel features, `[tokens, d]` in and out.
//!
//! Choromanski et al. 2021, "Rethinking Attention with Performers" (arXiv 2009.14794), and the code of
//! google-research `performer/fast_attention/jax/fast_attention.py`. With features φ(q), φ(k) of length m',
//!
//! outₜ = φ(qₜ)ᵀ S / φ(qₜ)ᵀ z,  S = Σ φ(kₛ) vₛᵀ,  z = Σ φ(kₛ),
//!
//! where the sums run over every key, or over s ≤ t when causal. The trigonometric features of the first
//! version are left out: they are signed, denominators pass through zero and errors of 20 times the signal
//! occur.
//!
//! Offsets cancel unless ε or the guard is above 0. With them, implementations that subtract different
//! offsets differ legitimately: by O(ε) where denominators are ordinary (at ε = 1e-6 measured 3e-4 to 8e-3),
//! and by everything where the guard bites. A streaming evaluation with a running maximum is such an
//! implementation: [`Offsets::Seen`].

use std::vec;
use std::vec::Vec;

/// Parameters of FAVOR, shared by the heads.
#[derive(Debug, Clone, PartialEq)]
pub struct Favor {
    /// Which kernel the features estimate.
    pub features: Features,
    /// W, `[m, d]`, one random direction a row. None only for [`Features::Relu`]: then φ works on the input
    /// itself and m = d.
    pub projection: Option<Vec<f64>>,
    /// Whether a token sees itself and the past only.
    pub causal: bool,
    /// Multiplies q and k before anything else: d^-1/4 for the softmax kernel, 1 in the original ReLU.
    pub input_scale: f64,
    /// ε, added to every feature inside the factor m'^-1/2.
    pub epsilon: f64,
    /// What is subtracted in the exponent of the key features. The query has its own row's maximum.
    pub offsets: Offsets,
    /// g: a denominator D with |D| ≤ g becomes D + 2g. 0 switches the guard off.
    pub guard: f64,
    /// Added to every entry of z (the causal form of lucidrains/performer-pytorch: 1e-6).
    pub key_sum_epsilon: f64,
    /// Whether the sum is divided by the denominator at all.
    pub renormalize: bool,
    /// Keys that the engine adds to its sums together, if not as many as it likes. Here there is nothing to round, and no
    /// difference.
    pub tile: Option<usize>,
}

/// The feature map φ. With x̃ = scaled input, u = W x̃, n = |x̃|²/2 and offset o:
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Features {
    /// m^-1/2 (exp(u - n - o) + ε), Choromanski et al. 2021, lemma 1, "positive". Official default.
    Exponential,
    /// (2m)^-1/2 \[exp(u - n - o) + ε ; exp(-u - n - o) + ε\], the same lemma's hyperbolic form.
    Hyperbolic,
    /// max(u, 0) + ε: the generalised attention, another kernel and no estimate of the softmax.
    Relu,
}

/// The offset o of exponential features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Offsets {
    /// The maximum of u (|u| when hyperbolic), n left out: of the row for a query, over all tokens, future
    /// ones included, for the keys. The official choice; the largest feature of a row is exp(-n), not 1.
    Projection,
    /// The maximum of the whole exponent u - n: the largest feature is 1.
    Exponent,
    /// As `Projection`, but for the keys of causal attention the maximum over those that a query sees: nothing that
    /// comes later has an influence. There guard, `key_sum_epsilon` and `renormalize` are not read.
    Seen,
}

impl Favor {
    /// Attention of one head.
    ///
    /// `q`, `k` are `[tokens, width]`, not scaled, `v` is `[tokens, value width]`, and so is the result.
    /// Causal attention needs as many queries as keys. Keys with a false flag contribute nothing, to the
    /// sums or to the offset. `key_offset` replaces the keys' offset, where heads share one. A query with
    /// the denominator 0 gives zeros.
    pub fn attend(
        &self,
        q: &[f64],
        k: &[f64],
        v: &[f64],
        width: usize,
        keys: Option<&[bool]>,
        key_offset: Option<f64>,
    ) -> Vec<f64> {
        let (tokens, seen) = (q.len() / width, k.len() / width);
        assert!(!self.causal || tokens == seen, "causal attention needs one key per query");
        let value_width = v.len() / seen;
        let visible = |s: usize| keys.is_none_or(|flags| flags[s]);
        if self.causal && self.offsets == Offsets::Seen && key_offset.is_none() {
            return self.attend_seen(q, k, v, width, visible);
        }

        let key_rows: Vec<Exponents> = k.chunks_exact(width).map(|row| self.exponents(row)).collect();
        let offset = key_offset.unwrap_or_else(|| self.largest(&key_rows, visible));
        let mut sums = Sums::new(self.length(width), value_width, self.key_sum_epsilon);
        let add = |sums: &mut Sums, s: usize| {
            if visible(s) {
                sums.add(&self.features(&key_rows[s], offset), &v[s * value_width..][..value_width]);
            }
        };
        if !self.causal {
            (0..seen).for_each(|s| add(&mut sums, s));
        }

        let mut out = Vec::with_capacity(tokens * value_width);
        for (t, query) in q.chunks_exact(width).enumerate() {
            if self.causal {
                add(&mut sums, t);
            }
            let row = [self.exponents(query)];
            let phi = self.features(&row[0], self.largest(&row, |_| true));
            let (numerator, denominator) = sums.apply(&phi);
            out.extend(numerator.iter().map(|y| y / self.divisor(denominator)));
        }
        out
    }

    /// Causal attention with the running offset oₜ: with features of the offset 0 and without ε,
    ///
    /// outₜ = Σᵢ φᵢ(qₜ) (Sᵢ + ε exp(oₜ) Σ vₛ) / Σᵢ φᵢ(qₜ) (zᵢ + ε exp(oₜ) t), sums over s ≤ t.
    fn attend_seen(
        &self,
        q: &[f64],
        k: &[f64],
        v: &[f64],
        width: usize,
        visible: impl Fn(usize) -> bool,
    ) -> Vec<f64> {
        let value_width = v.len() / (k.len() / width);
        let plain = Favor { epsilon: 0.0, ..self.clone() };
        // The last feature is 1: its sums are those of the values and their number.
        let length = self.length(width);
        let mut sums = Sums::new(length + 1, value_width, 0.0);
        let key_rows: Vec<Exponents> = k.chunks_exact(width).map(|row| self.exponents(row)).collect();
        let mut offset = f64::NEG_INFINITY;
        let mut out = Vec::with_capacity(q.len() / width * value_width);
        for (t, query) in q.chunks_exact(width).enumerate() {
            if visible(t) {
                offset = offset.max(self.largest(&key_rows[t..=t], |_| true));
                let mut phi = plain.features(&key_rows[t], 0.0);
                phi.push(1.0);
                sums.add(&phi, &v[t * value_width..][..value_width]);
            }
            let row = [self.exponents(query)];
            let mut phi = self.features(&row[0], self.largest(&row, |_| true));
            let factor = if self.features == Features::Relu { 1.0 } else { 1.0 / (length as f64).sqrt() };
            phi.push(phi.iter().sum::<f64>() * self.epsilon * factor * offset.exp());
            let (numerator, denominator) = sums.apply(&phi);
            out.extend(numerator.iter().map(|y| if denominator == 0.0 { 0.0 } else { y / denominator }));
        }
        out
    }

    /// The offset of the key features of one head: what [`Favor::attend`] takes where it is given none.
    pub fn key_offset(&self, k: &[f64], width: usize, keys: Option<&[bool]>) -> f64 {
        let rows: Vec<Exponents> = k.chunks_exact(width).map(|row| self.exponents(row)).collect();
        self.largest(&rows, |s| keys.is_none_or(|flags| flags[s]))
    }

    /// m', the number of features of a row.
    fn length(&self, width: usize) -> usize {
        let m = self.projection.as_ref().map_or(width, |w| w.len() / width);
        if self.features == Features::Hyperbolic { 2 * m } else { m }
    }

    fn divisor(&self, denominator: f64) -> f64 {
        if !self.renormalize {
            return 1.0;
        }
        let guarded =
            if denominator.abs() <= self.guard { denominator + 2.0 * self.guard } else { denominator };
        // No key at all: the numerator is 0 as well.
        if guarded == 0.0 { 1.0 } else { guarded }
    }

    /// u and n of one row.
    fn exponents(&self, row: &[f64]) -> Exponents {
        let scaled: Vec<f64> = row.iter().map(|x| x * self.input_scale).collect();
        let u = match &self.projection {
            Some(w) => w.chunks_exact(row.len()).map(|direction| dot(direction, &scaled)).collect(),
            None => scaled.clone(),
        };
        Exponents { u, n: dot(&scaled, &scaled) / 2.0 }
    }

    /// The offset of the given rows together; 0 for features without an exponent and for no row at all.
    fn largest(&self, rows: &[Exponents], visible: impl Fn(usize) -> bool) -> f64 {
        let row_offset = |row: &Exponents| {
            let largest = match self.features {
                Features::Hyperbolic => row.u.iter().fold(0.0, |largest: f64, u| largest.max(u.abs())),
                _ => row.u.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            };
            match self.offsets {
                Offsets::Projection | Offsets::Seen => largest,
                Offsets::Exponent => largest - row.n,
            }
        };
        let rows = rows.iter().enumerate().filter(|(s, _)| visible(*s));
        let largest = rows.map(|(_, row)| row_offset(row)).fold(f64::NEG_INFINITY, f64::max);
        if self.features == Features::Relu || largest == f64::NEG_INFINITY { 0.0 } else { largest }
    }

    /// φ of one row, `[m']`.
    fn features(&self, row: &Exponents, offset: f64) -> Vec<f64> {
        let exponential = |u: f64| (u - row.n - offset).exp() + self.epsilon;
        let mut phi: Vec<f64> = match self.features {
            Features::Relu => return row.u.iter().map(|u| u.max(0.0) + self.epsilon).collect(),
            Features::Exponential => row.u.iter().map(|&u| exponential(u)).collect(),
            Features::Hyperbolic => {
                row.u.iter().map(|&u| exponential(u)).chain(row.u.iter().map(|&u| exponential(-u))).collect()
            }
        };
        let factor = 1.0 / (phi.len() as f64).sqrt();
        phi.iter_mut().for_each(|x| *x *= factor);
        phi
    }
}

/// u = W x̃ and n = |x̃|²/2.
struct Exponents {
    u: Vec<f64>,
    n: f64,
}

/// S, `[m', value width]`, and z, `[m']`.
struct Sums {
    s: Vec<f64>,
    z: Vec<f64>,
    value_width: usize,
    epsilon: f64,
}

impl Sums {
    fn new(features: usize, value_width: usize, epsilon: f64) -> Sums {
        Sums { s: vec![0.0; features * value_width], z: vec![0.0; features], value_width, epsilon }
    }

    fn add(&mut self, phi: &[f64], value: &[f64]) {
        for ((&feature, row), z) in phi.iter().zip(self.s.chunks_exact_mut(self.value_width)).zip(&mut self.z)
        {
            *z += feature;
            row.iter_mut().zip(value).for_each(|(s, v)| *s += feature * v);
        }
    }

    /// φᵀ S and φᵀ (z + ε).
    fn apply(&self, phi: &[f64]) -> (Vec<f64>, f64) {
        let mut numerator = vec![0.0; self.value_width];
        for (&feature, row) in phi.iter().zip(self.s.chunks_exact(self.value_width)) {
            numerator.iter_mut().zip(row).for_each(|(y, s)| *y += feature * s);
        }
        let denominator = phi.iter().zip(&self.z).map(|(feature, z)| feature * (z + self.epsilon)).sum();
        (numerator, denominator)
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}
