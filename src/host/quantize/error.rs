//! What can be wrong with a network that is to become integers.

use std::string::String;

/// Why a network cannot be quantised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// A weight or range is NaN or infinite.
    #[error("{tensor}: not finite; check the checkpoint and the calibration data")]
    NotFinite {
        /// Name of the tensor.
        tensor: String,
    },
    /// The blocks have different numbers of heads.
    #[error("block {block} has {found} heads, block 0 has {expected}; a model file has one number for all")]
    Heads {
        /// The block.
        block: usize,
        /// Its heads.
        found: usize,
        /// Heads of block 0.
        expected: usize,
    },
    /// The parameters of an attention contradict each other, or are not those of the engine.
    #[error("block {block}: `{field}` {problem}")]
    Attention {
        /// The block.
        block: usize,
        /// The parameter.
        field: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// No scale exists that keeps the layer's integers within their types.
    #[error("{tensor}: a weight of {weight:.3e} is out of proportion to the range of the layer's output")]
    Scale {
        /// Name of the tensor.
        tensor: String,
        /// Its largest weight.
        weight: f64,
    },
    /// Numbers that are too large or too close together.
    #[error(
        "head: output {output} gives numbers up to {largest:.3e} in magnitude that reach {reach:.3e} to either side of their middle; \
         a model file takes numbers below 1e9 that reach 1e-6 or more: give them another unit"
    )]
    Number {
        /// The output.
        output: usize,
        /// Largest magnitude.
        largest: f64,
        /// Half of what lies between the smallest and the largest.
        reach: f64,
    },
    /// No recordings to calibrate with.
    #[error("no recordings to calibrate with; give at least one")]
    NoRecordings,
    /// A recording that the network cannot take.
    #[error(transparent)]
    Recording(#[from] crate::host::calibrate::CalibrationError),
    /// A recording that the engine cannot take.
    #[error(transparent)]
    Input(#[from] crate::session::InputError),
    /// The file written is not a valid model.
    #[error("the model is not one that the engine can run: {0}")]
    Model(#[from] crate::ModelError),
}
