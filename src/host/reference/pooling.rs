//! From the tokens to one vector.

use std::vec;
use std::vec::Vec;

/// How the tokens become one vector. Masked tokens take no part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// They stay as they are: every token has scores of its own.
    None,
    /// The mean of each column.
    Mean,
    /// The maximum of each column.
    Max,
    /// The first token.
    First,
    /// The last token.
    Last,
    /// The mean of each column over the tokens of a window.
    WindowMean(PoolingWindow),
    /// The maximum of each column over the tokens of a window.
    WindowMax(PoolingWindow),
}

impl Pooling {
    /// `[tokens, width]` to `[width]`, or as it is; at least one flag of those that are pooled is true.
    pub(super) fn apply(self, stream: &[f64], width: usize, mask: Option<&[bool]>) -> Vec<f64> {
        let valid = |index: &usize| mask.is_none_or(|mask| mask[*index]);
        let tokens = stream.len() / width;
        let mut kept = (self.first(tokens)..tokens).filter(valid).map(|t| &stream[t * width..][..width]);
        match self {
            Self::None => stream.to_vec(),
            Self::First => kept.next().unwrap_or_default().to_vec(),
            Self::Last => kept.next_back().unwrap_or_default().to_vec(),
            Self::Max | Self::WindowMax(_) => {
                let mut pooled = vec![f64::NEG_INFINITY; width];
                for token in kept {
                    pooled.iter_mut().zip(token).for_each(|(p, &x)| *p = p.max(x));
                }
                pooled
            }
            Self::Mean | Self::WindowMean(_) => {
                let mut pooled = vec![0.0; width];
                let mut count = 0.0;
                for token in kept {
                    pooled.iter_mut().zip(token).for_each(|(sum, &x)| *sum += x);
                    count += 1.0;
                }
                pooled.iter_mut().for_each(|p| *p /= count);
                pooled
            }
        }
    }

    /// First token of a sequence of `tokens` tokens that is pooled.
    pub fn first(self, tokens: usize) -> usize {
        match self {
            Self::WindowMean(window) | Self::WindowMax(window) => window.first(tokens),
            Self::None | Self::Mean | Self::Max | Self::First | Self::Last => 0,
        }
    }
}

/// The last blocks of tokens, the last of which may not be full: block i has the tokens i · block to (i + 1) · block - 1,
/// wherever the sequence ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolingWindow {
    /// Tokens of a block.
    pub block: usize,
    /// Number of blocks.
    pub blocks: usize,
}

impl PoolingWindow {
    /// First token of the window of `tokens` tokens.
    pub fn first(self, tokens: usize) -> usize {
        tokens.div_ceil(self.block).saturating_sub(self.blocks) * self.block
    }
}
