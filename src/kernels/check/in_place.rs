//! Kernels that change a row in place.

use super::{Comparison, GUARD, LONGEST, Mismatch, Source, known};
use crate::kernels::{self, Activation, portable};

pub(super) fn activate() -> Result<(), Mismatch> {
    in_place(4, known::ACTIVATE, |x, case, backend| {
        let activation = match case % 4 {
            0 => Activation::Relu,
            1 => Activation::GeluErf,
            2 => Activation::GeluTanh,
            _ => Activation::Tanh,
        };
        let kernel = if backend { kernels::activate } else { portable::activate };
        kernel(x, activation, case as u32 / 4 % 16);
    })
}

pub(super) fn add() -> Result<(), Mismatch> {
    in_place(5, known::ADD, |x, case, backend| {
        let mut y = [0; LONGEST];
        Source(1 + case as u32).fill(&mut y, i16::MAX);
        let kernel = if backend { kernels::add } else { portable::add };
        kernel(x, case as i32 % 31 - 15, &y);
    })
}

pub(super) fn clamp() -> Result<(), Mismatch> {
    in_place(6, known::CLAMP, |x, case, backend| {
        let kernel = if backend { kernels::clamp } else { portable::clamp };
        kernel(x, 1 + (case as i16) * 300);
    })
}

/// Kernels that change a row in place: `kernel(row, case, whether it is the backend's)`.
fn in_place(seed: u32, known: u64, kernel: impl Fn(&mut [i16], usize, bool)) -> Result<(), Mismatch> {
    let mut source = Source(seed);
    let mut comparison = Comparison::new();
    for length in 0..LONGEST {
        let mut buffers = [[GUARD; LONGEST + 2]; 2];
        let [expected, found] = &mut buffers;
        source.fill(expected.get_mut(1..=length).unwrap_or_default(), i16::MAX);
        *found = *expected;
        kernel(expected.get_mut(1..=length).unwrap_or_default(), length, false);
        kernel(found.get_mut(1..=length).unwrap_or_default(), length, true);
        comparison.guarded(expected, found, 1..1 + length);
    }
    comparison.finish(known)
}
