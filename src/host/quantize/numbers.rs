//! Outputs that are numbers: each has the middle and the reach that calibration has seen, so that neither a large offset nor
//! another output takes its bits.

use std::vec::Vec;

use super::{Builder, HEADROOM, QuantizeError, exp2, fractional_bits};
use crate::host::reference::Linear;
use crate::model::write;

/// Fractional bits of an offset.
const OFFSET: i32 = 32;
/// Bits of the mantissa of a step.
const MANTISSA: i32 = 30;

impl Builder<'_> {
    /// The last layer, to numbers from -1 to 1 over what calibration has seen, and for each output what its score
    /// stands for.
    pub(super) fn numbers(
        &self,
        input_frac: i32,
        means: &[f64],
    ) -> Result<(write::Linear, Vec<write::Number>), QuantizeError> {
        let head = &self.network.head;
        let spans: Vec<Span> = self.ranges.outputs.iter().map(|&[low, high]| Span::of(low, high)).collect();
        for (output, span) in spans.iter().enumerate() {
            span.check(output)?;
        }
        let mut even = Linear::clone(head);
        for row in even.weights.chunks_exact_mut(head.outputs) {
            row.iter_mut().zip(&spans).for_each(|(weight, span)| *weight /= span.reach);
        }
        for (bias, span) in even.bias.iter_mut().zip(&spans) {
            *bias = (*bias - span.middle) / span.reach;
        }
        let linear = self.linear("head", &even, input_frac, fractional_bits(HEADROOM, i16::MAX), means)?;
        let numbers = spans.iter().map(|span| span.integers(linear.frac)).collect();
        Ok((linear, numbers))
    }
}

/// The numbers that an output gives.
struct Span {
    middle: f64,
    /// To either side.
    reach: f64,
}

impl Span {
    fn of(low: f64, high: f64) -> Self {
        let reach = (high - low) / 2.0;
        // An output that is always the same has no reach of its own.
        Self { middle: low + reach, reach: if reach > 0.0 { reach } else { 1.0 } }
    }

    /// Refuses numbers for which a model file has no integers: it gives them with 32 bits before and behind the point.
    fn check(&self, output: usize) -> Result<(), QuantizeError> {
        let (most, least) = (exp2(30), exp2(MANTISSA - 2 * OFFSET + 14));
        let largest = self.middle.abs() + 2.0 * self.reach;
        if largest.is_finite() && largest < most && self.reach > least {
            return Ok(());
        }
        Err(QuantizeError::Number { output, largest, reach: self.reach })
    }

    /// Offset, and mantissa and right shift of the step, of scores with so many fractional bits.
    fn integers(&self, frac: i32) -> write::Number {
        let step = self.reach * exp2(-frac);
        let shift = MANTISSA - 1 - step.log2().floor() as i32;
        write::Number {
            offset: (self.middle * exp2(OFFSET)).round() as i64,
            mantissa: (step * exp2(shift)).round() as i32,
            shift: shift as u32,
        }
    }
}
