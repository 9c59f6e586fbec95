//! Every kernel of this build against its portable meaning, and both against known answers.
//!
//! Runs on the host, under QEMU and on hardware (`selftest`). The inputs hold the extremes of every type, every
//! length around the tiles, and guard values around the outputs; the known answers catch a build in which
//! the portable kernels themselves give other bits than on the machine that recorded them.

mod attention;
mod extremes;
mod favor;
#[cfg(feature = "std")]
mod host;
mod in_place;
mod means;
mod norm;

use core::ops::Range;

use super::{ChannelPairs, Channels, Weight, pair_len, portable};
use crate::digest::Digest;
#[cfg(feature = "std")]
pub use host::of_host;

/// What went wrong with a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Mismatch {
    /// The backend gives other values than the portable kernel, or writes outside its output.
    Backend {
        /// Case that differs, from 0.
        case: u32,
    },
    /// The portable kernel gives other values than on the machine where they were recorded.
    KnownAnswer {
        /// Digest of all outputs.
        found: u64,
    },
}

type Check = (&'static str, fn() -> Result<(), Mismatch>);

/// Every check that has room for its buffers on the stack of a small core.
const SMALL_CHECKS: [Check; 22] = [
    ("linear_i8", linear_i8),
    ("linear_i16", linear_i16),
    ("attention_tile", attention::tile),
    ("tiles", attention::small_tiles),
    ("softmax_row", attention::softmax_row),
    ("layer_norm", norm::layer_norm),
    ("activate", in_place::activate),
    ("add", in_place::add),
    ("clamp", in_place::clamp),
    ("lift", means::lift),
    ("lift_twice", means::lift_twice),
    ("expand", means::expand),
    ("join", means::join),
    ("copy", means::copy),
    ("gather", means::gather),
    ("exponents", favor::exponents),
    ("dots_of_sums", favor::dots_of_sums),
    ("largest_weighted_sums", extremes::weighted_sums),
    ("largest_dots", extremes::dots),
    ("largest_channels", extremes::channels),
    ("extreme_weights", extremes::weights),
    ("extreme_features", extremes::features),
];

const LARGE_CHECKS: [Check; 4] = [
    ("large_linear_i8", large_linear_i8),
    ("large_linear_i16", large_linear_i16),
    ("large_layer_norm", norm::large_layer_norm),
    ("large_tiles", attention::large_tiles),
];

/// Runs every check; `report` gets the kernel's name and its result.
pub fn all(report: &mut impl FnMut(&'static str, Result<(), Mismatch>)) {
    each(&SMALL_CHECKS, report);
}

/// Layers deeper and rows wider than [`all`] has room for: their check takes 26 KB of stack.
pub fn large(report: &mut impl FnMut(&'static str, Result<(), Mismatch>)) {
    each(&LARGE_CHECKS, report);
}

fn each(checks: &[Check], report: &mut impl FnMut(&'static str, Result<(), Mismatch>)) {
    checks.iter().for_each(|&(name, check)| told(report, name, apart(check)));
}

/// Not inlined: what a report has on the stack does not lie there beside a check.
#[inline(never)]
fn told(
    report: &mut impl FnMut(&'static str, Result<(), Mismatch>),
    name: &'static str,
    result: Result<(), Mismatch>,
) {
    report(name, result);
}

/// Each check has its buffers on the stack: not inlined, they do not lie there side by side.
#[inline(never)]
fn apart(check: fn() -> Result<(), Mismatch>) -> Result<(), Mismatch> {
    check()
}

/// Digests of all outputs, as the portable kernels give them; `tests/kernels.rs` prints what it finds.
mod known {
    pub(super) const LINEAR_I8: u64 = 0x3576_b9d7_b1d3_cc88;
    pub(super) const LINEAR_I16: u64 = 0x673c_80f1_d335_8aa9;
    pub(super) const LARGE_LINEAR_I8: u64 = 0xfee8_cf0f_7571_438a;
    pub(super) const LARGE_LINEAR_I16: u64 = 0x0116_ad31_2487_0e78;
    pub(super) const ATTENTION_TILE: u64 = 0x5f49_de0e_fe85_af76;
    pub(super) const SOFTMAX_ROW: u64 = 0x329c_2da4_633f_517f;
    pub(super) const LAYER_NORM: u64 = 0x953a_e930_d771_d767;
    pub(super) const LARGE_LAYER_NORM: u64 = 0xeba2_d9bc_e715_0dd5;
    pub(super) const ACTIVATE: u64 = 0x1730_edf6_32ec_40cf;
    pub(super) const ADD: u64 = 0xebaa_b421_e172_8f04;
    pub(super) const CLAMP: u64 = 0xae88_94ec_f2e7_f6d6;
    pub(super) const LIFT: u64 = 0x407c_9a5e_c342_231a;
    pub(super) const LIFT_TWICE: u64 = 0x9d9f_d956_e22b_b146;
    pub(super) const EXPAND: u64 = 0x637d_5375_62fd_b10d;
    pub(super) const JOIN: u64 = 0xa41f_e166_7b75_f4da;
    pub(super) const EXPONENTS: u64 = 0xec35_790c_f84d_d162;
    pub(super) const DOTS_OF_SUMS: u64 = 0xcfbf_9a84_99fa_04aa;
    pub(super) const LARGEST_WEIGHTED_SUMS: u64 = 0x43a8_a2c3_8a09_6019;
    pub(super) const LARGEST_DOTS: u64 = 0xc763_df84_a0ad_cef0;
    pub(super) const LARGEST_CHANNELS: u64 = 0xa9d0_6c54_9b85_4fbd;
    pub(super) const EXTREME_WEIGHTS: u64 = 0xafe0_b439_f6b4_f017;
    pub(super) const EXTREME_FEATURES: u64 = 0xea83_8e2d_0bb4_00ac;
    pub(super) const GATHER: u64 = 0xd140_b4b6_1c0d_2fb1;
    pub(super) const COPY: u64 = 0x87c8_0652_5fd3_718d;
}

/// Longest row of the checks.
const LONGEST: usize = 67;
/// Written around every output: must survive.
const GUARD: i16 = 0x5a5a;

/// Compares outputs and collects them for the known answer.
struct Comparison {
    digest: Digest,
    cases: u32,
    failed: Option<u32>,
}

impl Comparison {
    const fn new() -> Self {
        Self { digest: Digest::new(), cases: 0, failed: None }
    }

    fn compare<T: PartialEq>(&mut self, portable: &[T], backend: &[T]) {
        if portable != backend && self.failed.is_none() {
            self.failed = Some(self.cases);
        }
        self.cases += 1;
    }

    /// Compares two guarded buffers of which `output` is output.
    fn guarded(&mut self, portable: &[i16], backend: &[i16], output: Range<usize>) {
        let outside = backend.iter().take(output.start).chain(backend.iter().skip(output.end));
        let intact = outside.fold(true, |intact, &value| intact & (value == GUARD));
        self.compare(&[true], &[intact]);
        self.compare(portable, backend);
        self.digest.scores(portable.get(output).unwrap_or_default());
    }

    /// Whether nothing differs, where there is no known answer: what is done is what other checks know.
    fn agreed(self) -> Result<(), Mismatch> {
        self.failed.map_or(Ok(()), |case| Err(Mismatch::Backend { case }))
    }

    fn finish(self, known: u64) -> Result<(), Mismatch> {
        match self.failed {
            Some(case) => Err(Mismatch::Backend { case }),
            None if self.digest.value() != known => Err(Mismatch::KnownAnswer { found: self.digest.value() }),
            None => Ok(()),
        }
    }
}

/// Deterministic values with many extremes (xorshift, Marsaglia 2003).
struct Source(u32);

impl Source {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// Within `-limit - 1 ..= limit`, one in eight at an end.
    fn below(&mut self, limit: i16) -> i16 {
        let bits = self.next();
        match bits >> 28 {
            0 => limit,
            1 => -limit - 1,
            _ => {
                ((bits & 0xffff) as i32 % (i32::from(limit) + 1)) as i16
                    * if bits >> 27 & 1 == 0 { 1 } else { -1 }
            }
        }
    }

    fn fill(&mut self, values: &mut [i16], limit: i16) {
        values.iter_mut().for_each(|value| *value = self.below(limit));
    }
}

fn linear_i8() -> Result<(), Mismatch> {
    linear(weight_i8, known::LINEAR_I8)
}

fn linear_i16() -> Result<(), Mismatch> {
    linear(weight_i16, known::LINEAR_I16)
}

fn large_linear_i8() -> Result<(), Mismatch> {
    large_linear(weight_i8, known::LARGE_LINEAR_I8)
}

fn large_linear_i16() -> Result<(), Mismatch> {
    large_linear(weight_i16, known::LARGE_LINEAR_I16)
}

fn weight_i8(source: &mut Source, _: usize) -> i8 {
    source.below(127) as i8
}

/// So large that the sum of as many products as there are inputs fits.
fn weight_i16(source: &mut Source, inputs: usize) -> i16 {
    source.below(if inputs > LONGEST { 450 } else { 900 })
}

/// Rows, columns and channels of the largest layers of the checks: within a tile, and beyond what is kept at a time.
const SMALL: [usize; 3] = [5, LONGEST, 4];
const DEEP: [usize; 3] = [4, 69, 3];
const WIDE: [usize; 3] = [2, 2, 67];
const LARGE_DEEP: [usize; 3] = [9, 131, 18];
const LARGE_WIDE: [usize; 3] = [5, 21, 67];

/// Weights of a layer of the shape `most`, the channels from `first` on.
const fn weights([_, inputs, outputs]: [usize; 3], first: usize) -> usize {
    (first + outputs).div_ceil(2) * pair_len(inputs)
}

/// [`linear_layer`] with buffers for layers up to the shape `$most` with up to `$first` channels before them.
macro_rules! linear_layer_within {
    ($most:ident, $first:literal) => {
        linear_layer::<
            W,
            { $most[0] * $most[1] + 1 },
            { weights($most, $first) },
            { $most[2] },
            { $most[0] * $most[2] + 2 },
        >
    };
}

fn linear<W: Weight + Default>(weight: fn(&mut Source, usize) -> W, known: u64) -> Result<(), Mismatch> {
    let mut source = Source(1);
    let mut comparison = Comparison::new();
    // Lists that are borrowed do not lie on the stack.
    for &inputs in &[1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, LONGEST] {
        for &(rows, outputs) in &[(1, 1), (1, SMALL[2]), (2, 2), (3, 3), (4, 3), (SMALL[0], SMALL[2])] {
            let check = linear_layer_within!(SMALL, 0);
            check(&mut source, &mut comparison, weight, SMALL, [rows, inputs, outputs], 0);
        }
    }
    for (case, &inputs) in [1, 2, 3, 6, 21, 63, 64, 65, 66, 67, 68, DEEP[1]].iter().enumerate() {
        for &(rows, outputs) in &[(1, 2), (3, 3), (4, 1), (DEEP[0], DEEP[2])] {
            let check = linear_layer_within!(DEEP, 1);
            check(&mut source, &mut comparison, weight, DEEP, [rows, inputs, outputs], case % 2);
        }
    }
    for (first, outputs) in [32, 33, 34, 64, WIDE[2]].into_iter().enumerate() {
        for inputs in [1, WIDE[1]] {
            let check = linear_layer_within!(WIDE, 4);
            check(&mut source, &mut comparison, weight, WIDE, [WIDE[0], inputs, outputs], first);
        }
    }
    comparison.finish(known)
}

fn large_linear<W: Weight + Default>(
    weight: fn(&mut Source, usize) -> W,
    known: u64,
) -> Result<(), Mismatch> {
    let mut source = Source(1);
    let mut comparison = Comparison::new();
    for (case, inputs) in [1, 2, 3, 6, 21, 63, 64, 65, 66, 128, 130, LARGE_DEEP[1]].into_iter().enumerate() {
        for (rows, outputs) in [(1, 2), (4, 3), (7, 16), (8, 17), (LARGE_DEEP[0], LARGE_DEEP[2])] {
            let check = linear_layer_within!(LARGE_DEEP, 3);
            check(&mut source, &mut comparison, weight, LARGE_DEEP, [rows, inputs, outputs], case % 4);
        }
    }
    for (first, outputs) in [32, 33, 34, 64, LARGE_WIDE[2]].into_iter().enumerate() {
        for inputs in [20, LARGE_WIDE[1]] {
            let check = linear_layer_within!(LARGE_WIDE, 4);
            check(&mut source, &mut comparison, weight, LARGE_WIDE, [LARGE_WIDE[0], inputs, outputs], first);
        }
    }
    comparison.finish(known)
}

/// A layer of the channels from `first` on, with the first of the parameters drawn for one of the shape `most`.
#[inline(never)]
fn linear_layer<
    W: Weight + Default,
    const VALUES: usize,
    const WEIGHTS: usize,
    const OUTPUTS: usize,
    const GUARDED: usize,
>(
    source: &mut Source,
    comparison: &mut Comparison,
    weight: fn(&mut Source, usize) -> W,
    most: [usize; 3],
    [rows, inputs, outputs]: [usize; 3],
    first: usize,
) {
    // Rows begin at a word and between two.
    let at = outputs % 2;
    let mut x = Aligned([0; VALUES]);
    source.fill(x.0.get_mut(at..at + most[0] * most[1]).unwrap_or_default(), i16::MAX);
    let x = x.0.get(at..at + rows * inputs).unwrap_or_default();
    // What is no weight meets zeros, or belongs to no channel.
    let mut weights = Aligned([W::default(); WEIGHTS]);
    weights.0.iter_mut().for_each(|w| *w = weight(&mut Source(7), inputs));
    for index in 0..most[1] * most[2] {
        let (channel, column) = (first + index / inputs, index % inputs);
        let weight = weight(source, inputs);
        if channel < first + outputs {
            let place = channel / 2 * pair_len(inputs) + 2 * column + channel % 2;
            weights.0.iter_mut().skip(place).take(1).for_each(|w| *w = weight);
        }
    }
    let (mut bias, mut multipliers) = ([0; OUTPUTS], [0; OUTPUTS]);
    bias.iter_mut().take(most[2]).for_each(|b| *b = i32::from(source.below(i16::MAX)) << 8);
    multipliers.iter_mut().take(most[2]).for_each(|m| *m = source.below(i16::MAX).max(0));
    let channels = Channels {
        bias: bias.get(..outputs).unwrap_or_default(),
        multipliers: multipliers.get(..outputs).unwrap_or_default(),
        shift: 1 + inputs as u32 % 30,
    };
    let weights = ChannelPairs::new(&weights.0, inputs, first);
    let mut buffers = [[GUARD; GUARDED]; 2];
    let [expected, found] = &mut buffers;
    let used = 1..1 + rows * outputs;
    portable::linear(x, weights, channels, expected.get_mut(used.clone()).unwrap_or_default());
    super::linear(x, weights, channels, found.get_mut(used.clone()).unwrap_or_default());
    comparison.guarded(expected, found, used);
}

/// Begins at a word.
#[repr(align(4))]
struct Aligned<T>(T);
