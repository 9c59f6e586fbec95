//! Operators on single values.

use super::curve::erf;
use super::graph::{Kind, Node};
use fixformer::host::reference::Activation;

/// A function of one value.
type Unary = Box<dyn Fn(f64) -> f64>;
/// A function of two values.
type Binary = Box<dyn Fn(f64, f64) -> f64>;

/// A function of one value and the kind of its results; none for other operators.
pub(super) fn unary(node: &Node, kind: Kind) -> Option<(Unary, Kind)> {
    let alpha = |default: f64| node.float("alpha").unwrap_or(default);
    let function: Unary = match &*node.operator {
        "Neg" => Box::new(|x| -x),
        "Abs" => Box::new(f64::abs),
        "Sqrt" => Box::new(f64::sqrt),
        "Reciprocal" => Box::new(f64::recip),
        "Exp" => Box::new(f64::exp),
        "Log" => Box::new(f64::ln),
        "Sin" => Box::new(f64::sin),
        "Cos" => Box::new(f64::cos),
        "Floor" => Box::new(f64::floor),
        "Ceil" => Box::new(f64::ceil),
        "Round" => Box::new(f64::round_ties_even),
        "Sign" => Box::new(|x| if x == 0.0 { 0.0 } else { x.signum() }),
        "Erf" => Box::new(erf),
        "Tanh" => Box::new(f64::tanh),
        "Sigmoid" => Box::new(|x| 1.0 / (1.0 + (-x).exp())),
        "Relu" => Box::new(|x| x.max(0.0)),
        "LeakyRelu" => {
            let alpha = alpha(0.01);
            Box::new(move |x| if x < 0.0 { alpha * x } else { x })
        }
        "Elu" => {
            let alpha = alpha(1.0);
            Box::new(move |x| if x < 0.0 { alpha * x.exp_m1() } else { x })
        }
        "Softplus" => Box::new(|x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        "HardSwish" => Box::new(|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        "Mish" => Box::new(|x| x * (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh()),
        "Gelu" | "com.microsoft.Gelu" if node.text("approximate") == Some("tanh") => {
            Box::new(|x| Activation::GeluTanh.apply(x))
        }
        "Gelu" | "com.microsoft.Gelu" => Box::new(|x| Activation::GeluErf.apply(x)),
        "com.microsoft.FastGelu" => Box::new(|x| Activation::GeluTanh.apply(x)),
        "Not" => return Some((Box::new(|x| f64::from(u8::from(x == 0.0))), Kind::Flag)),
        "IsNaN" => return Some((Box::new(|x| f64::from(u8::from(x.is_nan()))), Kind::Flag)),
        "IsInf" => return Some((Box::new(|x| f64::from(u8::from(x.is_infinite()))), Kind::Flag)),
        _ => return None,
    };
    Some((function, kind))
}

/// A function of two values of `kind`, and the kind of its results; none for other operators.
pub(super) fn binary(node: &Node, kind: Kind) -> Option<(Binary, Kind)> {
    let whole = kind == Kind::Whole;
    let flag = |f: fn(f64, f64) -> bool| -> Binary { Box::new(move |a, b| f64::from(u8::from(f(a, b)))) };
    let function: Binary = match &*node.operator {
        "Add" | "Sum" => Box::new(|a, b| a + b),
        "Sub" => Box::new(|a, b| a - b),
        "Mul" => Box::new(|a, b| a * b),
        "Div" if whole => Box::new(|a, b| (a / b).trunc()),
        "Div" => Box::new(|a, b| a / b),
        "Mod" if node.int("fmod") == Some(1) => Box::new(|a, b| a % b),
        "Mod" => Box::new(|a, b| a - b * (a / b).floor()),
        // By multiplication where there is one: Pow of a negative x with 3.0 or 2.0.
        "Pow" => {
            Box::new(|a, b| if b.fract() == 0.0 && b.abs() < 16.0 { a.powi(b as i32) } else { a.powf(b) })
        }
        "Min" => Box::new(f64::min),
        "Max" => Box::new(f64::max),
        "Equal" => return Some((flag(|a, b| a == b), Kind::Flag)),
        "Less" => return Some((flag(|a, b| a < b), Kind::Flag)),
        "Greater" => return Some((flag(|a, b| a > b), Kind::Flag)),
        "LessOrEqual" => return Some((flag(|a, b| a <= b), Kind::Flag)),
        "GreaterOrEqual" => return Some((flag(|a, b| a >= b), Kind::Flag)),
        "And" => return Some((flag(|a, b| a != 0.0 && b != 0.0), Kind::Flag)),
        "Or" => return Some((flag(|a, b| a != 0.0 || b != 0.0), Kind::Flag)),
        "Xor" => return Some((flag(|a, b| (a != 0.0) != (b != 0.0)), Kind::Flag)),
        _ => return None,
    };
    Some((function, kind))
}
