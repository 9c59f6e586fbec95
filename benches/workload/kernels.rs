//! The kernels, one call at a time.

use super::{Buffers, Source};
use core::hint::black_box;
use fixformer::attention::lsh;
use fixformer::kernels::{
    Activation, ChannelPairs, Channels, NormParameters, Weight, activate, add, clamp, layer_norm, linear,
    softmax_weights,
};
use fixformer::model::AttentionKind;
use fixformer::num::Requant;

/// One kernel at one shape.
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    /// Rows, and what goes into and comes out of each.
    pub(crate) shape: [usize; 3],
    /// Products that the shape asks for.
    pub(crate) macs: usize,
}

/// The shapes of the specification, then calls as a layer makes them: four rows at a time.
const LINEAR: [[usize; 3]; 9] = [
    [64, 32, 32],
    [64, 64, 64],
    [64, 64, 256],
    [256, 64, 64],
    [1, 64, 64],
    [4, 32, 16],
    [4, 32, 32],
    [4, 32, 128],
    [4, 128, 32],
];
const LINEAR_WIDE: [[usize; 3]; 5] = [[64, 64, 64], [1, 64, 64], [4, 32, 16], [4, 32, 32], [4, 32, 128]];

/// Hands every kernel and its work to `meter`.
pub(crate) fn each(buffers: &mut Buffers, meter: &mut impl FnMut(Kernel, &mut dyn FnMut())) {
    let Buffers { queries: x, values: out, weights, wide_weights, .. } = buffers;
    let mut source = Source::new(1);
    source.fill(x);
    source.fill(wide_weights);
    weights.iter_mut().for_each(|w| *w = source.next() as i8);

    for shape in LINEAR {
        linear_layer("linear", shape, x, &weights[..], out, meter);
    }
    for shape in LINEAR_WIDE {
        linear_layer("linear_i16", shape, x, &wide_weights[..], out, meter);
    }
    [64, 256].into_iter().for_each(|keys| softmax(keys, meter));
    [32, 64].into_iter().for_each(|width| norm(width, x, out, meter));
    elementwise(x, out, meter);
    features(buffers, meter);
    hash(buffers, meter);
}

fn linear_layer<W: Weight>(
    name: &'static str,
    [rows, inputs, outputs]: [usize; 3],
    x: &[i16],
    weights: &[W],
    out: &mut [i16],
    meter: &mut impl FnMut(Kernel, &mut dyn FnMut()),
) {
    let (bias, multipliers) = ([77; 256], [20_000; 256]);
    let channels = Channels { bias: &bias[..outputs], multipliers: &multipliers[..outputs], shift: 8 };
    let (x, weights, out) = (&x[..rows * inputs], &weights[..outputs * inputs], &mut out[..rows * outputs]);
    let kernel = Kernel { name, shape: [rows, inputs, outputs], macs: rows * inputs * outputs };
    let weights = ChannelPairs::new(weights, inputs, 0);
    meter(kernel, &mut || linear(black_box(x), black_box(weights), channels, black_box(&mut *out)));
}

/// The weights of a row of scores, in the tiles that the kernel takes.
fn softmax(keys: usize, meter: &mut impl FnMut(Kernel, &mut dyn FnMut())) {
    let mut source = Source::new(2);
    let mut dots = [0; 256];
    dots.iter_mut().for_each(|dot| *dot = i32::from(source.next()) << 12);
    let mut weights = [0; 256];
    let scale = Requant { multiplier: 24_000, shift: 13 };
    // No score lies above one unit of log2.
    let top = 1;
    meter(Kernel { name: "softmax", shape: [1, keys, keys], macs: 0 }, &mut || {
        let sum = softmax_weights(black_box(&dots[..keys]), scale, top, black_box(&mut weights[..keys]));
        black_box(sum.is_ok());
    });
}

fn norm(width: usize, x: &[i16], out: &mut [i16], meter: &mut impl FnMut(Kernel, &mut dyn FnMut())) {
    let (gain, bias) = ([16_000; 64], [55; 64]);
    let norm = NormParameters { gain: &gain[..width], bias: &bias[..width], shift: 13, epsilon: 10_737 };
    let (x, out) = (&x[..width], &mut out[..width]);
    let kernel = Kernel { name: "layer_norm", shape: [1, width, width], macs: 0 };
    meter(kernel, &mut || layer_norm(black_box(x), norm, black_box(&mut *out)));
}

/// What a layer does to each value, four rows of 32 at a time.
fn elementwise(x: &[i16], out: &mut [i16], meter: &mut impl FnMut(Kernel, &mut dyn FnMut())) {
    const COUNT: usize = 4 * 32;
    let (x, out) = (&x[..COUNT], &mut out[..COUNT]);
    let activations = [
        ("relu", Activation::Relu),
        ("gelu_erf", Activation::GeluErf),
        ("gelu_tanh", Activation::GeluTanh),
        ("tanh", Activation::Tanh),
    ];
    let kernel = |name| Kernel { name, shape: [4, 32, 32], macs: 0 };
    for (name, activation) in activations {
        out.copy_from_slice(x);
        meter(kernel(name), &mut || activate(black_box(&mut *out), activation, 12));
    }
    out.copy_from_slice(x);
    meter(kernel("add"), &mut || add(black_box(&mut *out), 1, black_box(x)));
    meter(kernel("clamp"), &mut || clamp(black_box(&mut *out), 8191));
    meter(kernel("copy"), &mut || black_box(&mut *out).copy_from_slice(black_box(x)));
}

/// One token through a FAVOR+ head of 64 features: those of its query and key, the state, the output.
fn features(buffers: &mut Buffers, meter: &mut impl FnMut(Kernel, &mut dyn FnMut())) {
    for width in [16, 32] {
        let kind = super::heads::favor(width);
        let macs = 4 * width * super::heads::DIRECTIONS;
        let kernel = Kernel { name: "favor_token", shape: [1, width, super::heads::DIRECTIONS], macs };
        let mut run = super::heads::Run::new(buffers, "favor", kind, [1, width], true);
        run.prepare();
        meter(kernel, &mut || run.attend());
    }
}

/// Buckets of 64 tokens: 2 rounds of 16 buckets, in two factors of 4.
fn hash(buffers: &mut Buffers, meter: &mut impl FnMut(Kernel, &mut dyn FnMut())) {
    const TOKENS: usize = 64;
    for width in [16, 32] {
        let AttentionKind::Lsh(parameters) = super::heads::lsh(TOKENS, width) else { return };
        let mut buckets = [0; super::heads::ROUNDS * TOKENS];
        let macs = TOKENS * super::heads::ROUNDS * parameters.columns() * width;
        let kernel = Kernel { name: "lsh_hash", shape: [TOKENS, width, parameters.bucket_count()], macs };
        let kind = AttentionKind::Lsh(parameters);
        let mut run = super::heads::Run::new(buffers, "lsh", kind, [TOKENS, width], false);
        run.prepare();
        let head = run.head();
        meter(kernel, &mut || lsh::hash(black_box(parameters), black_box(&head), black_box(&mut buckets)));
    }
}
