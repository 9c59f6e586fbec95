//! Trains the models that fixformer runs: from labelled sequences and a [recipe](recipe::Recipe) to a checkpoint that
//! `fixformer quantize` reads.
//!
//! The attentions are those of the engine, with what they draw drawn by the same code, written as tensor operations
//! that can be differentiated; `tests/reference.rs` holds each against the f64 reference.

pub mod attention;
pub mod batch;
pub mod checkpoint;
pub mod data;
pub mod device;
pub mod generate;
pub mod model;
pub mod parameters;
pub mod recipe;
pub mod training;
pub mod whitening;
