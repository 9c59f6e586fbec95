//! What only some models ask of their layers, as functions: a program links those of its model.

use core::ops::Range;

use super::pool::Pool;
use super::{embed, recent, running, statistics};
use crate::kernels::{Activation, Curve, relu};
use crate::model::{Input, Model};

type ClassToken = fn(&Model<'_>, &mut [i16]) -> usize;
type Measure = fn(&Model<'_>, &[i16], usize, (Range<usize>, usize), &mut [i32]);
type Standardize = fn(&[i16], usize, &[i32], usize, &mut [i16]) -> u32;
type Free = fn(&Input<'_>, &[i16], bool, &mut [i32], usize, &mut [i16]) -> u32;
type FirstPooled = fn(&Model<'_>, usize) -> usize;
type TakeIn = fn(&Model<'_>, usize, Option<&[i16]>, &mut Pool<'_>) -> bool;
type Most = fn(&Model<'_>, &[u32], &mut [i16]);

/// What a model may use, or may not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rare {
    /// [`embed::class_token`], where there is one.
    pub(super) class_token: Option<ClassToken>,
    /// [`statistics::measure`], where a recording is looked at first.
    pub(crate) measure: Option<Measure>,
    /// [`embed::standardize`], where that makes every deviation one.
    pub(super) standardize: Option<Standardize>,
    /// [`running::free`], where the channels have running statistics.
    pub(super) free: Option<Free>,
    /// [`recent::first_pooled`], [`recent::take_in`] and [`recent::most`], where a window is pooled.
    pub(crate) first_pooled: Option<FirstPooled>,
    pub(super) take_in: Option<TakeIn>,
    pub(super) most: Option<Most>,
    /// Of the activations that are curves, in their order.
    curves: [Option<Curve>; CURVES.len()],
}

/// The activations that are curves.
const CURVES: [Activation; 3] = [Activation::GeluErf, Activation::GeluTanh, Activation::Tanh];

impl Rare {
    /// Everything, for a model known at run time.
    pub(crate) const ALL: Self = Self {
        class_token: Some(embed::class_token),
        measure: Some(statistics::measure),
        standardize: Some(embed::standardize),
        free: Some(running::free),
        first_pooled: Some(recent::first_pooled),
        take_in: Some(recent::take_in),
        most: Some(recent::most),
        curves: [Curve::of(CURVES[0]), Curve::of(CURVES[1]), Curve::of(CURVES[2])],
    };

    /// What `model` uses.
    pub(crate) const fn of(model: &Model<'_>) -> Self {
        let Self { class_token, measure, standardize, free, first_pooled, take_in, most, .. } = Self::ALL;
        let passes = statistics::passes(model);
        let pools_window = model.pooling.window().is_some();
        Self {
            class_token: if model.class_token.is_some() { class_token } else { None },
            measure: if passes > 0 { measure } else { None },
            standardize: if passes > 1 { standardize } else { None },
            free: if model.input.is_running() { free } else { None },
            first_pooled: if pools_window { first_pooled } else { None },
            take_in: if pools_window { take_in } else { None },
            most: if pools_window { most } else { None },
            curves: Self::curves(model),
        }
    }

    const fn curves(model: &Model<'_>) -> [Option<Curve>; CURVES.len()] {
        let mut curves = [None; CURVES.len()];
        let mut blocks = model.blocks();
        while let Some(block) = blocks.take_next() {
            let activation = block.feed_forward.activation;
            if let Some(curve) = Curve::of(activation) {
                curves[place(activation)] = Some(curve);
            }
        }
        if let Some(hidden) = &model.head_hidden
            && let Some(curve) = Curve::of(hidden.activation)
        {
            curves[place(hidden.activation)] = Some(curve);
        }
        curves
    }

    /// The activation in place; `frac` fractional bits before and after.
    pub(crate) fn activate(&self, x: &mut [i16], activation: Activation, frac: u32) {
        match self.curves.get(place(activation)) {
            Some(Some(curve)) => curve.apply(x, frac),
            _ => relu(x),
        }
    }
}

/// Place of an activation among the curves; that of ReLU is outside.
const fn place(activation: Activation) -> usize {
    (activation as usize).wrapping_sub(1)
}

const _: () = {
    let mut index = 0;
    while index < CURVES.len() {
        assert!(place(CURVES[index]) == index);
        index += 1;
    }
};
