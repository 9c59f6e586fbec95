//! Local attention.

use super::super::read::{Reader, tri};
use super::super::{MAX_TOKENS, ModelError, Shape};

pub(super) const NUMBER: usize = 5;
pub(super) const NAME: &str = "local";

/// Parameters of attention to a circular window of chunks: the local layers of Reformer models.
///
/// A causal layer is causal in every bit with at most one chunk before and none after; else, where the circle closes
/// decides which chunks are seen twice, and it is causal only in who attends to whom.
#[derive(Clone, Copy, Debug)]
pub struct Local {
    /// Tokens of a chunk.
    pub chunk: usize,
    /// Chunks that a query sees before its own.
    pub before: usize,
    /// Chunks that a query sees after its own.
    pub after: usize,
    /// An input longer than a chunk counts as filled up to a multiple of this many tokens: of the chunk, or of all
    /// chunks of the model.
    pub multiple: usize,
}

impl Local {
    pub(super) const fn read(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Self {
            chunk: tri!(reader.field("local.chunk", 1, MAX_TOKENS)),
            before: tri!(reader.field("local.before", 0, 255)),
            after: tri!(reader.field("local.after", 0, 255)),
            multiple: tri!(reader.field("local.multiple", 1, MOST_MULTIPLE)),
        })
    }

    pub(super) const fn check(&self, shape: Shape, causal: bool) -> Result<(), ModelError> {
        // What a sum of weights has room for. Where one chunk is all of a run, it may be a part of a stream.
        let keys = (self.chunk * (self.before + 1 + self.after)) as u32;
        let is_part = self.chunk < shape.max_tokens || causal && self.can_be_strict();
        if is_part && keys > MAX_TOKENS {
            let field = "local.chunk (keys of a query: chunk * (before + 1 + after))";
            return Err(ModelError::Range { field, found: keys, low: 1, high: MAX_TOKENS });
        }
        check_multiple("local.multiple (of the chunk)", self.multiple, self.chunk)
    }

    pub(super) const fn can_be_strict(&self) -> bool {
        self.after == 0 && self.before <= 1
    }

    #[cfg(feature = "std")]
    pub(in crate::model) fn write(&self, out: &mut crate::model::write::Words) {
        out.sizes(&[NUMBER, self.chunk, self.before, self.after, self.multiple]);
    }
}

/// Largest number of tokens that an input is filled up to a multiple of.
pub(super) const MOST_MULTIPLE: u32 = 1 << 30;

pub(super) const fn check_multiple(
    field: &'static str,
    multiple: usize,
    chunk: usize,
) -> Result<(), ModelError> {
    if !multiple.is_multiple_of(chunk) {
        return Err(ModelError::Mismatch { field, found: multiple as u32, expected: chunk as u32 });
    }
    Ok(())
}
