//! A look at the tensors between the layers, which costs nothing when it is not used.

use crate::digest::Digest;
use core::fmt;

/// A tensor of the forward pass, `[tokens, width]` unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Tensor {
    /// Stem or table, positions and norm.
    Embedding,
    /// Norm of the attention sublayer.
    Norm1,
    /// Queries of all heads.
    Query,
    /// Keys of all heads.
    Key,
    /// Values of all heads.
    Value,
    /// Weighted values, heads side by side.
    Attended,
    /// Stream after the attention sublayer; the first one of a reversible block.
    Residual1,
    /// Norm of the feed-forward sublayer.
    Norm2,
    /// `[tokens, hidden]` after the activation; without a block, of the head.
    Hidden,
    /// Stream after the feed-forward sublayer; the second one of a reversible block.
    Residual2,
    /// After the final norm, `[tokens, output width]`.
    Normed,
    /// `[1, output width]`.
    Pooled,
    /// The same after its norm.
    PooledNorm,
    /// `[1, outputs]`; with hidden and normed rows before them `[tokens, outputs]` where each token has scores of its own.
    Scores,
}

impl Tensor {
    /// Name in reports: `residual1`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Norm1 => "norm1",
            Self::Query => "query",
            Self::Key => "key",
            Self::Value => "value",
            Self::Attended => "attended",
            Self::Residual1 => "residual1",
            Self::Norm2 => "norm2",
            Self::Hidden => "hidden",
            Self::Residual2 => "residual2",
            Self::Normed => "normed",
            Self::Pooled => "pooled",
            Self::PooledNorm => "pooled_norm",
            Self::Scores => "scores",
        }
    }
}

/// Which tensor: its block, if it belongs to one, and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Site {
    /// Block, from 0.
    pub block: Option<usize>,
    /// Tensor.
    pub tensor: Tensor,
}

/// `block0.query`, or `embedding` where there is no block.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(block) = self.block {
            write!(f, "block{block}.")?;
        }
        f.write_str(self.tensor.name())
    }
}

/// A rectangle of a tensor: rows `row ..` and columns `column .. column + width`, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Tile<'a> {
    /// First token.
    pub row: usize,
    /// First column.
    pub column: usize,
    /// Columns.
    pub width: usize,
    /// Columns of the whole tensor.
    pub tensor_width: usize,
    /// Values.
    pub values: &'a [i16],
    /// Their fractional bits.
    pub frac: i32,
}

/// Sees every tensor as it is made, in tiles.
pub trait Trace {
    /// One tile.
    fn tile(&mut self, site: Site, tile: Tile<'_>);
}

/// A row of a tensor, or of one head's columns of it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Which tensor.
    pub site: Site,
    /// Token.
    pub row: usize,
    /// First column.
    pub column: usize,
    /// Values.
    pub values: &'a [i16],
}

/// As in a device's log: `trace block0.query row 12 column 16 digest 5d3a1f0c9be24768`.
impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { site, row, column, values } = self;
        let mut digest = Digest::new();
        digest.scores(values);
        write!(f, "trace {site} row {row} column {column} digest {digest}")
    }
}

/// Shows every row to a function, in the order in which they are made.
pub struct Rows<F>(pub F);

impl<F: FnMut(Row<'_>)> Trace for Rows<F> {
    fn tile(&mut self, site: Site, tile: Tile<'_>) {
        for (index, values) in tile.values.chunks(tile.width.max(1)).enumerate() {
            (self.0)(Row { site, row: tile.row + index, column: tile.column, values });
        }
    }
}

/// Looks at nothing.
impl Trace for () {
    #[inline(always)]
    fn tile(&mut self, _: Site, _: Tile<'_>) {}
}
