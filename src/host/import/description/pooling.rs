//! How tokens become one vector: `[pooling]`.

use std::format;
use std::string::ToString;

use serde::Deserialize;

use super::{Problem, positive};
use crate::host::reference;
use crate::model;

/// `[pooling]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pooling {
    /// Which kind.
    #[serde(default)]
    pub kind: PoolingKind,
    /// The tokens that `mean` and `max` are taken over; all of them without.
    pub window: Option<PoolingWindow>,
    /// Whether the pooled vector is normalised.
    #[serde(default)]
    pub norm: bool,
    /// Of that norm; that of the encoder without.
    pub epsilon: Option<f64>,
}

/// What becomes of the tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the table of the module above says what the words mean")]
pub enum PoolingKind {
    #[default]
    Mean,
    Max,
    First,
    Last,
    None,
}

/// The last `blocks` blocks of `block` tokens, the open one included: see [`model::PoolingWindow`].
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolingWindow {
    /// Tokens of a block.
    pub block: usize,
    /// Number of blocks.
    pub blocks: usize,
}

impl Pooling {
    /// What it stands for in the reference.
    pub fn reference(&self) -> reference::Pooling {
        use reference::Pooling::{First, Last, Max, Mean, None as Each, WindowMax, WindowMean};
        let window =
            self.window.map(|PoolingWindow { block, blocks }| reference::PoolingWindow { block, blocks });
        match (self.kind, window) {
            (PoolingKind::Mean, None) => Mean,
            (PoolingKind::Mean, Some(window)) => WindowMean(window),
            (PoolingKind::Max, None) => Max,
            (PoolingKind::Max, Some(window)) => WindowMax(window),
            (PoolingKind::First, _) => First,
            (PoolingKind::Last, _) => Last,
            (PoolingKind::None, _) => Each,
        }
    }

    /// Refuses a window where there is none, and one that a model file does not take.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let Some(PoolingWindow { block, blocks }) = self.window else { return Ok(()) };
        if !matches!(self.kind, PoolingKind::Mean | PoolingKind::Max) {
            let problem = "is for `mean` and `max`; change `pooling.kind` or remove the window".to_string();
            return Err(Problem::Field { field: "pooling.window".to_string(), problem });
        }
        let limits = [
            ("pooling.window.block", block, model::PoolingWindow::MAX_BLOCK),
            ("pooling.window.blocks", blocks, model::PoolingWindow::MAX_BLOCKS),
        ];
        for (field, value, most) in limits {
            positive(field, value)?;
            if value > most {
                let problem = format!("is {value}; a model file takes 1 to {most}");
                return Err(Problem::Field { field: field.to_string(), problem });
            }
        }
        Ok(())
    }
}
