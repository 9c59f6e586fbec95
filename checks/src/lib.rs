//! The engine's unit tests that need neither a heap nor a float: `cargo test -p fixformer-checks` runs them on the
//! host, the program `units` on every board.
//!
//! A bare board has no unwinding: what does not hold is a value, [`Failure`], and the next check goes on.

#![no_std]

#[cfg(test)]
extern crate std;

mod accumulator;
mod activation;
mod attention;
mod buckets;
mod favor;
mod kernels;
mod lsh;
mod model;
mod outcome;
mod passing;
mod reciprocal;
mod rounding;
mod session;
mod softmax;
mod stream;

pub use outcome::{Failure, Outcome};

/// One unit test.
#[derive(Clone, Copy)]
pub struct Check {
    /// `GROUP::NAME`.
    pub name: &'static str,
    /// Does it.
    pub run: fn() -> Outcome,
    /// Bytes of stack that it takes at most.
    pub stack: usize,
}

/// Every check, by the part of the engine that it is about.
pub const GROUPS: [&[Check]; 14] = [
    rounding::ALL,
    softmax::ALL,
    reciprocal::ALL,
    activation::ALL,
    kernels::ALL,
    accumulator::ALL,
    attention::ALL,
    favor::ALL,
    lsh::ALL,
    passing::ALL,
    buckets::ALL,
    model::ALL,
    session::ALL,
    stream::ALL,
];

/// A check that fails, to see that failures are seen.
pub const WRONG_ON_PURPOSE: Check =
    Check { name: "checks::wrong_on_purpose", run: || outcome::equal(1 + 1, 3), stack: 1024 };

/// Makes each function a [`Check`] of at most `$stack` bytes of stack and, on the host, a test.
macro_rules! checks {
    ($group:literal, $stack:expr, $($(#[$note:meta])* fn $name:ident() $body:block)+) => {
        pub(crate) const ALL: &[$crate::Check] = &[$(
            $crate::Check { name: concat!($group, "::", stringify!($name)), run: $name, stack: $stack }
        ),+];

        $(
            $(#[$note])*
            // Its buffers are not to lie on the stack of whoever runs it.
            #[inline(never)]
            fn $name() -> $crate::Outcome {
                $body
                Ok(())
            }
        )+

        #[cfg(test)]
        mod on_the_host {
            $(
                #[test]
                fn $name() {
                    super::$name().unwrap();
                }
            )+
        }
    };
}
use checks;

#[cfg(test)]
mod tests {
    use super::{GROUPS, WRONG_ON_PURPOSE};
    use std::collections::HashSet;
    use std::string::ToString as _;

    #[test]
    fn names_differ() {
        let names: std::vec::Vec<_> = GROUPS.iter().copied().flatten().map(|check| check.name).collect();
        assert!(names.len() >= 50, "{}", names.len());
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    }

    #[test]
    fn what_does_not_hold_fails() {
        let failure = (WRONG_ON_PURPOSE.run)().unwrap_err().to_string();
        assert!(failure.ends_with(": found 2, expected 3"), "{failure}");
    }
}
