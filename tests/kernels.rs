//! The kernels of the host's build against real arithmetic.

use fixformer::attention::{Given, attend, words};
use fixformer::kernels::{
    Backend, ChannelPairs, Channels, NormParameters, VALUE_LIMIT, choose, dot_limit, layer_norm, linear,
    portable,
};
use fixformer::model::AttentionKind;
use fixformer::num::Requant;
use proptest::prelude::*;

#[test]
fn dot_products_at_the_limit_do_not_overflow() {
    for width in 1..=1024_usize {
        let limit = i64::from(dot_limit(width));
        assert!(width as i64 * limit * limit <= i64::from(i32::MAX), "{width}");
    }
    assert_eq!(dot_limit(16), 11_585);
    assert_eq!(dot_limit(32), 8191);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A linear layer is the real result, rounded once.
    #[test]
    fn linear_rounds_once(
        x in prop::collection::vec(any::<i16>(), 24),
        weights in prop::collection::vec(any::<i8>(), 6 * 8),
        bias in prop::collection::vec(-100_000..100_000, 5),
        multipliers in prop::collection::vec(0..=i16::MAX, 5),
        shift in 1_u32..12,
    ) {
        let channels = Channels { bias: &bias, multipliers: &multipliers, shift };
        let mut out = [0; 15];
        linear(&x, ChannelPairs::new(&weights, 8, 0), channels, &mut out);
        for (row, out) in out.chunks(5).enumerate() {
            for (channel, &found) in out.iter().enumerate() {
                let weights = weights[channel / 2 * 16 + channel % 2..].iter().step_by(2);
                let products = x[row * 8..][..8].iter().zip(weights);
                let sum: f64 = products.map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
                let scale = f64::from(multipliers[channel]) * (-16.0 - f64::from(shift)).exp2();
                let exact = ((sum + f64::from(bias[channel])) * scale + 0.5).floor();
                prop_assert_eq!(f64::from(found), exact.clamp(-32768.0, 32767.0));
            }
        }
    }

    /// Layer normalisation is within two units of the real result.
    #[test]
    fn layer_norm_is_close(x in prop::collection::vec(-9000_i16..9000, 2..200), epsilon in 0_u32..100_000) {
        let n = x.len() as f64;
        let (gain, bias) = (vec![1 << 14; x.len()], vec![3 << 12; x.len()]);
        let norm = NormParameters { gain: &gain, bias: &bias, shift: 14, epsilon: u64::from(epsilon) };
        let mut out = vec![0; x.len()];
        layer_norm(&x, norm, &mut out);
        let frac = fixformer::kernels::normalised_frac(x.len());
        let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
        prop_assume!(variance > 1.0);
        for (&x, &found) in x.iter().zip(&out) {
            let normalised = (f64::from(x) - mean) / (variance + f64::from(epsilon) / (n * n)).sqrt();
            let exact = normalised * f64::from(frac).exp2() + 0.75;
            prop_assert!((f64::from(found) - exact).abs() < 2.0, "{} {}", found, exact);
        }
    }
}

/// Exact attention of one query row in f64.
fn reference(q: &[f64], k: &[f64], v: &[f64], seen: impl Fn(usize) -> bool) -> Vec<f64> {
    let d = q.len();
    let scores: Vec<f64> = k
        .chunks(d)
        .enumerate()
        .map(|(j, k)| {
            if seen(j) {
                q.iter().zip(k).map(|(a, b)| a * b).sum::<f64>() / (d as f64).sqrt()
            } else {
                f64::NEG_INFINITY
            }
        })
        .collect();
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
    let total: f64 = weights.iter().sum();
    (0..d).map(|c| weights.iter().zip(v.chunks(d)).map(|(w, v)| w * v[c]).sum::<f64>() / total).collect()
}

/// Relative L2 error of `exact::attend` over `n` queries of one head, values normally distributed with deviation
/// `hot` for queries and keys.
fn attention_error(n: usize, d: usize, hot: f64, causal: bool, mask: impl Fn(usize) -> bool) -> f64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut normal = || {
        let mut sum = -6.0;
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sum += (state >> 11) as f64 / (1_u64 << 53) as f64;
        }
        sum
    };
    let q: Vec<f64> = (0..n * d).map(|_| hot * normal()).collect();
    let k: Vec<f64> = (0..n * d).map(|_| hot * normal()).collect();
    let v: Vec<f64> = (0..n * d).map(|_| normal()).collect();
    let peak = |x: &[f64]| x.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let frac = |x: &[f64], limit: i16| (f64::from(limit) / peak(x)).log2().floor();
    let (fq, fk, fv) = (frac(&q, dot_limit(d)), frac(&k, dot_limit(d)), frac(&v, VALUE_LIMIT));
    let integers =
        |x: &[f64], frac: f64| x.iter().map(|x| (x * frac.exp2()).round() as i16).collect::<Vec<_>>();
    let (qi, ki, vi) = (integers(&q, fq), integers(&k, fk), integers(&v, fv));

    let factor = std::f64::consts::LOG2_E * 1024.0 * (-fq - fk).exp2() / (d as f64).sqrt();
    let shift = (f64::from(i16::MAX) / factor).log2().floor() - 16.0;
    let scale = Requant { multiplier: (factor * (16.0 + shift).exp2()).round() as i16, shift: shift as u32 };
    let visible: Vec<u16> = (0..n.div_ceil(16))
        .map(|w| (0..16).fold(0, |word, bit| word | u16::from(16 * w + bit < n && mask(16 * w + bit)) << bit))
        .collect();
    let (mut rows, mut keys) = (qi, ki);
    let gain = 2;
    let (rows_mut, keys_mut) = (&mut rows[..], &mut keys[..]);
    let head = Given {
        index: 0,
        width: d,
        rows: rows_mut,
        keys: keys_mut,
        values: &vi,
        visible: &visible,
        causal,
        scale,
        gain,
    };
    attend(AttentionKind::Exact, head, &mut vec![0; words(&AttentionKind::Exact, n, d, causal)]);
    let (mut error, mut size) = (0.0, 0.0);
    for (i, out) in rows.chunks(d).enumerate() {
        let horizon = if causal { i + 1 } else { n };
        let exact = reference(&q[i * d..][..d], &k, &v, |j| j < horizon && mask(j));
        for (&found, exact) in out.iter().zip(exact) {
            error += (f64::from(found) * (-fv - f64::from(gain)).exp2() - exact).powi(2);
            size += exact * exact;
        }
    }
    (error / size).sqrt()
}

#[test]
fn exact_attention_is_within_a_thousandth_of_the_real_one() {
    for (n, d) in [(1, 16), (15, 16), (16, 8), (17, 16), (100, 32), (256, 16), (300, 64), (64, 5)] {
        for (causal, hot) in [(false, 1.0), (true, 1.0), (false, 2.5), (true, 2.5)] {
            let error = attention_error(n, d, hot, causal, |j| j % 7 != 3);
            println!("n {n} d {d} causal {causal} deviation {hot}: {error:.2e}");
            assert!(error <= if hot > 1.0 { 2e-3 } else { 1e-3 }, "n {n} d {d}: {error:e}");
        }
    }
}

/// Attention of `rows` to themselves with the values, everything visible or nothing.
fn attended(rows: &[i16], values: &[i16], width: usize, visible: bool, gain: u32) -> Vec<i16> {
    let (mut rows, keys) = (rows.to_vec(), rows.to_vec());
    let tokens = rows.len() / width;
    let visible = vec![if visible { u16::MAX } else { 0 }; rows.len().div_ceil(16 * width)];
    let head = Given {
        index: 0,
        width,
        rows: &mut rows,
        keys: &keys,
        values,
        visible: &visible,
        causal: false,
        scale: Requant { multiplier: 1, shift: 1 },
        gain,
    };
    attend(AttentionKind::Exact, head, &mut vec![7; words(&AttentionKind::Exact, tokens, width, false)]);
    rows
}

#[test]
fn a_long_sequence_does_not_overflow_the_accumulator() {
    // All scores equal and all values at the limit: the largest sum there can be.
    let n = 16_384;
    let rows = attended(&vec![0; n], &vec![-VALUE_LIMIT; n], 1, true, 2);
    assert!(rows.iter().all(|&out| out == -VALUE_LIMIT << 2));
}

#[test]
fn attention_to_nothing_is_zero() {
    assert_eq!(attended(&[1; 4], &[1; 4], 2, false, 2), [0; 4]);
}

/// What lies on the stack is no part of it.
#[test]
fn lengths_that_differ_are_cut_to_the_shorter() {
    let x = [1_i16, 2, 3, 4, 5, 6, 7, 8];
    let weights = ChannelPairs::new(&[1_i8; 64], 2, 0);
    let channels = Channels { bias: &[0, 0], multipliers: &[1 << 14; 3], shift: 1 };
    let mut expected = [0_i16; 8];
    portable::linear(&x, weights, channels, &mut expected);
    for backend in Backend::all() {
        choose(Some(backend));
        let mut found = [0_i16; 8];
        linear(&x, weights, channels, &mut found);
        assert_eq!(found, expected);
    }
    choose(None);
}
