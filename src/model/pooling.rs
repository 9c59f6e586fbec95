//! How tokens become one row.

use super::ModelError;
use super::read::{Reader, tri};

/// How tokens become one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// They stay as they are: every token has scores of its own.
    None,
    /// Mean over the tokens that are not masked.
    Mean,
    /// Maximum of each column.
    Max,
    /// First token that is not masked.
    First,
    /// Last token that is not masked.
    Last,
    /// [`Pooling::Mean`] over the tokens of a window.
    WindowMean(PoolingWindow),
    /// [`Pooling::Max`] over the tokens of a window.
    WindowMax(PoolingWindow),
}

/// The last blocks of a sequence, at absolute positions: block `i` has the tokens `i * block .. (i + 1) * block`.
///
/// After `n` tokens the window has the block of token `n - 1`, as far as it has come, and the `blocks - 1` before it: at most
/// `blocks * block` tokens and, once so many have passed, more than `(blocks - 1) * block`. It moves on by a whole block, so
/// that a stream keeps a row for each block and none for each token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolingWindow {
    /// Tokens of a block, `1 ..=` [`PoolingWindow::MAX_BLOCK`].
    pub block: usize,
    /// Blocks, the open one included, `1 ..=` [`PoolingWindow::MAX_BLOCKS`].
    pub blocks: usize,
}

impl PoolingWindow {
    /// Most tokens of a block: the sum of their columns has 32 bits.
    pub const MAX_BLOCK: usize = 1 << 15;
    /// Most blocks.
    pub const MAX_BLOCKS: usize = 1 << 10;

    /// First token of the window after `tokens` tokens.
    pub const fn first(self, tokens: usize) -> usize {
        // No block is empty, but the compiler does not know.
        let block = if self.block > 0 { self.block } else { 1 };
        let open = tokens.saturating_sub(1) / block;
        (open + 1).saturating_sub(self.blocks) * block
    }

    const fn read(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        let block = tri!(reader.field("pooling.window.block", 1, Self::MAX_BLOCK as u32));
        let blocks = tri!(reader.field("pooling.window.blocks", 1, Self::MAX_BLOCKS as u32));
        Ok(Self { block, blocks })
    }
}

impl Pooling {
    /// The window, where there is one.
    pub const fn window(self) -> Option<PoolingWindow> {
        match self {
            Self::WindowMean(window) | Self::WindowMax(window) => Some(window),
            Self::None | Self::Mean | Self::Max | Self::First | Self::Last => None,
        }
    }

    /// A kind, and the window after the kinds that have one.
    pub(super) const fn read(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(match tri!(reader.field("pooling", 0, 6)) {
            0 => Self::Mean,
            1 => Self::Max,
            2 => Self::First,
            3 => Self::Last,
            4 => Self::WindowMean(tri!(PoolingWindow::read(reader))),
            5 => Self::WindowMax(tri!(PoolingWindow::read(reader))),
            _ => Self::None,
        })
    }

    /// As [`Pooling::read`] takes it.
    #[cfg(feature = "std")]
    pub(super) fn write(self, out: &mut super::write::Words) {
        let kind = match self {
            Self::Mean => 0,
            Self::Max => 1,
            Self::First => 2,
            Self::Last => 3,
            Self::WindowMean(_) => 4,
            Self::WindowMax(_) => 5,
            Self::None => 6,
        };
        out.sizes(&[kind]);
        if let Some(PoolingWindow { block, blocks }) = self.window() {
            out.sizes(&[block, blocks]);
        }
    }
}
