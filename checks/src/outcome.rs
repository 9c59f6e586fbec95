//! What a check finds.

use core::fmt;
use core::panic::Location;

/// The end of a check.
pub type Outcome = Result<(), Failure>;

/// Where a check found something else than it expected.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    place: &'static Location<'static>,
    found: i64,
    expected: i64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, found, expected } = self;
        write!(f, "{}:{}: found {found}, expected {expected}", place.file(), place.line())
    }
}

/// A number that a message can show.
pub(crate) trait Number: Copy {
    fn number(self) -> i64;
}

macro_rules! numbers {
    ($($type:ty)+) => { $(
        impl Number for $type {
            fn number(self) -> i64 {
                self as i64
            }
        }
    )+ };
}
numbers!(bool i16 u16 i32 u32 i64 u64 usize);

/// Both are the same.
#[track_caller]
pub(crate) fn equal<T: Number>(found: T, expected: T) -> Outcome {
    near(found, expected, 0)
}

/// They differ by no more than `tolerance`.
#[track_caller]
pub(crate) fn near<T: Number>(found: T, expected: T, tolerance: u64) -> Outcome {
    let (found, expected) = (found.number(), expected.number());
    match found.abs_diff(expected) <= tolerance {
        true => Ok(()),
        false => Err(Failure { place: Location::caller(), found, expected }),
    }
}

/// It is so.
#[track_caller]
pub(crate) fn holds(found: bool) -> Outcome {
    equal(found, true)
}

/// Two rows of the same length whose columns differ by no more than `tolerance`.
#[track_caller]
pub(crate) fn rows<T: Number>(found: &[T], expected: &[T], tolerance: u64) -> Outcome {
    equal(found.len(), expected.len())?;
    for (&found, &expected) in found.iter().zip(expected) {
        near(found, expected, tolerance)?;
    }
    Ok(())
}
