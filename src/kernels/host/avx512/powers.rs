//! Powers of two, 32 at a time: a softmax.

use core::arch::asm;
use core::arch::x86_64::*;

use super::{LANES, PRODUCTS, first_halves_of, first_of};
use crate::kernels::portable;
use crate::num::{EXP2_STEPS, LogScore, OCTAVE, Requant};

/// See [`portable::softmax_weights`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
pub(in super::super) fn softmax_weights(
    dots: &[i32],
    scale: Requant,
    top: i32,
    weights: &mut [i16],
) -> Result<u32, i32> {
    let zero = _mm512_setzero_si512();
    let from_top = _mm512_set1_epi32(top << LogScore::FRAC_NBITS);
    let (rescale, powers, ones) = (Rescale::new(scale), Powers::new(), _mm512_set1_epi16(1));
    let in_order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    let (mut sum, mut above) = (zero, zero);
    let mut step = |dots: [__m512i; 2], there: __mmask32| {
        let [a, b] = dots.map(|dots| rescale.of(_mm512_sub_epi32(zero, dots)));
        let (a, b) = (_mm512_add_epi32(from_top, a), _mm512_add_epi32(from_top, b));
        let (in_a, in_b) = (there as __mmask16, (there >> LANES) as __mmask16);
        above = _mm512_mask_or_epi32(above, in_a, above, a);
        above = _mm512_mask_or_epi32(above, in_b, above, b);
        // What is farther than 16 bits say is as far as they say: there nothing is left of a power.
        let values = powers.of(_mm512_permutexvar_epi64(in_order, _mm512_packus_epi32(a, b)));
        sum = _mm512_dpwssd_epi32(sum, _mm512_maskz_mov_epi16(there, values), ones);
        values
    };
    let count = dots.len().min(weights.len());
    let (whole, rest) = dots[..count].as_chunks::<PRODUCTS>();
    let (weights, of_rest) = weights[..count].as_chunks_mut::<PRODUCTS>();
    for (dots, weights) in whole.iter().zip(weights) {
        // SAFETY: these are 32 products.
        let [a, b] = unsafe {
            let place = dots.as_ptr();
            [_mm512_loadu_epi32(place), _mm512_loadu_epi32(place.add(LANES))]
        };
        let values = step([a, b], u32::MAX);
        // SAFETY: these are 32 weights.
        unsafe { _mm512_storeu_epi16(weights.as_mut_ptr(), values) };
    }
    if !rest.is_empty() {
        let there = first_halves_of(rest.len());
        // SAFETY: what is there lies among the products.
        let [a, b] = unsafe {
            let place = rest.as_ptr();
            let b = _mm512_maskz_loadu_epi32((there >> LANES) as __mmask16, place.wrapping_add(LANES));
            [_mm512_maskz_loadu_epi32(there as __mmask16, place), b]
        };
        let values = step([a, b], there);
        // SAFETY: what is there lies among the weights.
        unsafe { _mm512_mask_storeu_epi16(of_rest.as_mut_ptr(), there, values) };
    }
    let above = _mm512_movepi32_mask(above);
    if above != 0 { Err(largest(dots)) } else { Ok(_mm512_reduce_add_epi32(sum) as u32) }
}

/// The largest of some products.
#[target_feature(enable = "avx512f")]
fn largest(dots: &[i32]) -> i32 {
    let mut most = _mm512_set1_epi32(-i32::MAX);
    for dots in dots.chunks(LANES) {
        let there = first_of(dots.len());
        // SAFETY: what is there lies among the products.
        let dots = unsafe { _mm512_maskz_loadu_epi32(there, dots.as_ptr()) };
        most = _mm512_mask_max_epi32(most, there, most, dots);
    }
    _mm512_reduce_max_epi32(most)
}

/// See [`portable::offset_exponents`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(in super::super) fn offset_exponents(
    products: &mut [i32],
    scale: Requant,
    offsets: &[i32],
    base: i32,
) -> i32 {
    if scale.multiplier == i16::MIN {
        return portable::offset_exponents(products, scale, offsets, base);
    }
    // The other sign changes sides: the scale has none then.
    let is_negative = scale.multiplier < 0;
    let rescale = Rescale::new(Requant { multiplier: scale.multiplier.abs(), ..scale });
    let (zero, base) = (_mm512_setzero_si512(), _mm512_set1_epi32(base));
    let mut most = _mm512_set1_epi32(-i32::MAX);
    for (products, offsets) in products.chunks_mut(LANES).zip(offsets.chunks(LANES)) {
        let there = first_of(products.len().min(offsets.len()));
        // SAFETY: what is there lies in both.
        let (product, offset) = unsafe {
            let product = _mm512_maskz_loadu_epi32(there, products.as_ptr());
            (product, _mm512_maskz_loadu_epi32(there, offsets.as_ptr()))
        };
        let product = if is_negative { _mm512_sub_epi32(zero, product) } else { product };
        let exponent = _mm512_sub_epi32(_mm512_add_epi32(rescale.of(product), offset), base);
        most = _mm512_mask_max_epi32(most, there, most, exponent);
        // SAFETY: as above.
        unsafe { _mm512_mask_storeu_epi32(products.as_mut_ptr(), there, exponent) };
    }
    _mm512_reduce_max_epi32(most)
}

/// [`Requant::apply`] of sixteen, with a multiplier that is not below zero.
struct Rescale {
    /// The multiplier in the lower and in the upper half of every word.
    lower: __m512i,
    upper: __m512i,
    half: __m512i,
    shift: __m128i,
}

impl Rescale {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn new(scale: Requant) -> Self {
        let multiplier = i32::from(scale.multiplier);
        Self {
            lower: _mm512_set1_epi32(multiplier),
            upper: _mm512_set1_epi32(multiplier << 16),
            half: _mm512_set1_epi32(1 << (scale.shift - 1)),
            shift: _mm_cvtsi32_si128(scale.shift as i32),
        }
    }

    /// `x = 2^16 upper + lower`: of the product with the lower half, which has no sign, the upper half counts.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn of(&self, x: __m512i) -> __m512i {
        let of_lower: __m512i;
        // The compiler would widen the product of what it knows of the multiplier.
        // SAFETY: the processor has AVX-512BW, and nothing but the result changes.
        unsafe {
            asm!(
                "vpmulhuw {product}, {x}, {multiplier}",
                product = lateout(zmm_reg) of_lower,
                x = in(zmm_reg) x,
                multiplier = in(zmm_reg) self.lower,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        let product = _mm512_dpwssd_epi32(of_lower, x, self.upper);
        _mm512_sra_epi32(_mm512_add_epi32(product, self.half), self.shift)
    }
}

/// Steps of a [`COARSE`] power.
const STEPS: usize = 32;

/// Powers of two whose products are those of [`OCTAVE`], but for a last bit that is [`MORE`] in some.
const COARSE: [u16; EXP2_STEPS / STEPS] = [
    61968, 60640, 59341, 58069, 56825, 55607, 54416, 53250, 52109, 50992, 49899, 48830, 47784, 46760, 45758,
    44778, 43818, 42879, 41960, 41061, 40181, 39320, 38478, 37653, 36846, 36057, 35284, 34528, 33788, 33064,
    32356, 31662,
];
const FINE: [u16; STEPS] = [
    34655, 34631, 34608, 34584, 34561, 34538, 34514, 34491, 34468, 34444, 34421, 34398, 34374, 34351, 34328,
    34304, 34281, 34258, 34235, 34212, 34189, 34166, 34142, 34119, 34096, 34073, 34050, 34027, 34004, 33981,
    33958, 33935,
];
static MORE: [u16; EXP2_STEPS / 16] = more();

const fn more() -> [u16; EXP2_STEPS / 16] {
    let mut more = [0; EXP2_STEPS / 16];
    let mut i = 0;
    while i < EXP2_STEPS {
        let product = (COARSE[i / STEPS] as u32 * FINE[i % STEPS] as u32) >> 16;
        assert!(OCTAVE[i] as u32 == product || OCTAVE[i] as u32 == product + 1);
        more[i / 16] |= (OCTAVE[i] - product as u16) << (i % 16);
        i += 1;
    }
    more
}

/// `2^-x` with 14 fractional bits of 32 distances without a sign.
struct Powers {
    coarse: __m512i,
    fine: __m512i,
    more: [__m512i; 2],
}

impl Powers {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn new() -> Self {
        const { assert!(EXP2_STEPS == 1 << LogScore::FRAC_NBITS && EXP2_STEPS == PRODUCTS * STEPS) };
        let load = |table: &[u16; PRODUCTS]| {
            // SAFETY: these are 32 of 16 bits.
            unsafe { _mm512_loadu_epi16(table.as_ptr().cast()) }
        };
        let (first, second) = MORE.split_at(PRODUCTS);
        let halves = [first, second].map(|half| half.as_array().expect("half of the table"));
        Self { coarse: load(&COARSE), fine: load(&FINE), more: [load(halves[0]), load(halves[1])] }
    }

    /// As `exp2_weight` does. What a permutation looks up is told by as many bits as it has elements.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn of(&self, distances: __m512i) -> __m512i {
        // From here on nothing is left, as shown by what is nearest.
        const FARTHEST: i16 = 16 * EXP2_STEPS as i16 - 1;
        let distances = _mm512_min_epu16(distances, _mm512_set1_epi16(FARTHEST));
        let coarse = _mm512_permutexvar_epi16(_mm512_srli_epi16::<5>(distances), self.coarse);
        let fine = _mm512_permutexvar_epi16(distances, self.fine);
        let more = _mm512_permutex2var_epi16(self.more[0], _mm512_srli_epi16::<4>(distances), self.more[1]);
        let bit = _mm512_srlv_epi16(more, _mm512_and_si512(distances, _mm512_set1_epi16(15)));
        let more = _mm512_and_si512(bit, _mm512_set1_epi16(1));
        let mantissa = _mm512_add_epi16(_mm512_mulhi_epu16(coarse, fine), more);
        let whole = _mm512_srli_epi16::<{ LogScore::FRAC_NBITS }>(distances);
        // The mean with zero is half, rounded up.
        _mm512_avg_epu16(_mm512_srlv_epi16(mantissa, whole), _mm512_setzero_si512())
    }
}
