//! Functions of one value, known by their values at many places.
//!
//! Exporters write an activation in ever other ways: GELU is one operator, or five with Erf, or eight with Pow and
//! Tanh. What they come to at a few hundred places is the same, and tells the functions apart that the engine has.

use std::rc::Rc;

use fixformer::host::reference::Activation;

/// A function, by its values at [`places`]; none for x itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Curve(Option<Rc<[f64]>>);

/// What a function comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    /// x · factor + shift.
    Line { factor: f64, shift: f64 },
    /// An activation, then · factor + shift.
    Activation { activation: Activation, factor: f64, shift: f64 },
}

/// Relative error up to which two functions are the same: far above that of 32-bit floats, far below what the two
/// forms of GELU differ by.
const TOLERANCE: f64 = 1e-6;

/// 0, and on both sides of it every twentieth up to 8, and a few large ones.
fn places() -> Vec<f64> {
    let near = (1..=160).map(|step| f64::from(step) / 20.0);
    let positive: Vec<f64> = near.chain([10.0, 16.0, 30.0, 64.0, 100.0, 1000.0]).collect();
    let negative = positive.iter().map(|x| -x);
    [0.0].into_iter().chain(positive.iter().copied()).chain(negative).collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= TOLERANCE * (1.0 + b.abs())
}

impl Curve {
    pub(super) fn is_identity(&self) -> bool {
        self.0.is_none()
    }

    fn values(&self) -> Rc<[f64]> {
        self.0.clone().unwrap_or_else(|| places().into())
    }

    /// `f` of this function.
    pub(super) fn then(&self, f: impl Fn(f64) -> f64) -> Self {
        let values: Rc<[f64]> = self.values().iter().map(|&x| f(x)).collect();
        let same = values.iter().zip(places()).all(|(&value, x)| value == x);
        Self((!same).then_some(values))
    }

    /// `f` of this function and another of the same value.
    pub(super) fn with(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self(Some(self.values().iter().zip(other.values().iter()).map(|(&a, &b)| f(a, b)).collect()))
    }

    /// Which function it is, if the engine has it.
    pub(super) fn shape(&self) -> Option<Shape> {
        let (values, places) = (self.values(), places());
        let at = |x: f64| values[places.iter().position(|&place| place == x).unwrap_or(0)];
        let is = |f: &dyn Fn(f64) -> f64| values.iter().zip(&places).all(|(&value, &x)| close(value, f(x)));
        let (shift, factor) = (at(0.0), at(1.0) - at(0.0));
        // Scaling the error too, so that a small factor does not make every function a line.
        let line = |x: f64| factor * x + shift;
        let straight =
            |(&value, &x): (&f64, &f64)| (value - line(x)).abs() <= 1e-9 * (shift.abs() + (factor * x).abs());
        if values.iter().zip(&places).all(straight) {
            return Some(Shape::Line { factor, shift });
        }
        [Activation::Relu, Activation::GeluErf, Activation::GeluTanh, Activation::Tanh].into_iter().find_map(
            |activation| {
                let factor = factor / activation.apply(1.0);
                let factor = if close(factor, 1.0) { 1.0 } else { factor };
                let sensible = (1e-3..1e3).contains(&factor.abs());
                (sensible && is(&|x| factor * activation.apply(x) + shift)).then_some(Shape::Activation {
                    activation,
                    factor,
                    shift,
                })
            },
        )
    }

    /// Whether it is x².
    pub(super) fn is_square(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|values| values.iter().zip(places()).all(|(&value, x)| close(value, x * x)))
    }

    /// The ε of 1 / √(x + ε), for `reciprocal`, or of √(x + ε), over the values that a variance can have.
    pub(super) fn epsilon(&self, reciprocal: bool) -> Option<f64> {
        let values = self.values();
        let positive = || values.iter().zip(places()).filter(|(_, x)| *x >= 0.0);
        let epsilon = if reciprocal { values[0].powi(-2) } else { values[0].powi(2) };
        let root = |x: f64| if reciprocal { 1.0 / (x + epsilon).sqrt() } else { (x + epsilon).sqrt() };
        let right =
            epsilon.is_finite() && positive().all(|(&value, x)| (value - root(x)).abs() <= 1e-6 * root(x));
        right.then_some(epsilon)
    }
}

/// The error function.
pub(super) fn erf(x: f64) -> f64 {
    // By its complement, which the reference has too: Φ(x √2) = (1 + erf x) / 2.
    let x = x * std::f64::consts::SQRT_2;
    if x == 0.0 { 0.0 } else { 2.0 * Activation::GeluErf.apply(x) / x - 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activation(activation: Activation) -> Option<Shape> {
        Some(Shape::Activation { activation, factor: 1.0, shift: 0.0 })
    }

    #[test]
    fn both_forms_of_gelu_in_parts() {
        let x = Curve::default();
        let half = x.then(|x| x * 0.5);
        let sum = x.then(|x| x / f64::from(std::f32::consts::SQRT_2)).then(erf).then(|x| x + 1.0);
        assert_eq!(half.with(&sum, |a, b| a * b).shape(), activation(Activation::GeluErf));

        let cube = x.then(|x| x.powi(3)).then(|x| x * f64::from(0.044_715_f32));
        let inner = x.with(&cube, |a, b| a + b).then(|x| x * f64::from(0.797_884_6_f32));
        let sum = inner.then(f64::tanh).then(|x| x + 1.0);
        assert_eq!(half.with(&sum, |a, b| a * b).shape(), activation(Activation::GeluTanh));
    }

    #[test]
    fn other_functions_are_none() {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        for f in [&|x: f64| x * sigmoid(x), &|x: f64| x * sigmoid(1.702 * x), &|x: f64| x.clamp(0.0, 6.0)]
            as [&dyn Fn(f64) -> f64; 3]
        {
            assert_eq!(Curve::default().then(f).shape(), None);
        }
    }

    #[test]
    fn lines_and_roots() {
        let line = Curve::default().then(|x| 3.0 * x - 2.0);
        assert_eq!(line.shape(), Some(Shape::Line { factor: 3.0, shift: -2.0 }));
        assert!(Curve::default().then(|x| x * 2.0).then(|x| x / 2.0).is_identity());
        let root = Curve::default().then(|x| x + 1e-12).then(f64::sqrt);
        assert!((root.epsilon(false).unwrap() - 1e-12).abs() < 1e-18);
        assert!((root.then(f64::recip).epsilon(true).unwrap() - 1e-12).abs() < 1e-18);
        assert_eq!(Curve::default().epsilon(false), None);
    }
}
