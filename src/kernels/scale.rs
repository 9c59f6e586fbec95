//! A row times one factor.

#[cfg(fixformer_mve)]
mod helium;

#[cfg(not(fixformer_mve))]
pub(crate) use super::portable::scale;
#[cfg(fixformer_mve)]
pub(crate) use helium::scale;
