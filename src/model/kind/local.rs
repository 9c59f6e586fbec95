//! Parameters of local attention.

use super::super::read::{Reader, tri};
use super::super::{MAX_TOKENS, ModelError, Shape};

/// Parameters of attention to a circular window of chunks: the local layers of Reformer models.
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
    pub(super) const fn read(reader: &mut Reader<'_>, shape: Shape) -> Result<Self, ModelError> {
        let chunk = tri!(reader.field("local.chunk", 1, MAX_TOKENS));
        let before = tri!(reader.field("local.before", 0, 255));
        let after = tri!(reader.field("local.after", 0, 255));
        // What a sum of weights has room for.
        let keys = chunk * (before + 1 + after);
        if chunk < shape.max_tokens && keys > MAX_TOKENS as usize {
            let field = "local.chunk (keys of a query: chunk * (before + 1 + after))";
            return Err(ModelError::Range { field, found: keys as u32, low: 1, high: MAX_TOKENS });
        }
        let multiple = tri!(read_multiple(reader, "local.multiple (of the chunk)", chunk));
        Ok(Self { chunk, before, after, multiple })
    }
}

/// A multiple of `chunk`.
pub(super) const fn read_multiple(
    reader: &mut Reader<'_>,
    field: &'static str,
    chunk: usize,
) -> Result<usize, ModelError> {
    let multiple = tri!(reader.field(field, 1, 1 << 30));
    if !multiple.is_multiple_of(chunk) {
        return Err(ModelError::Mismatch { field, found: multiple as u32, expected: chunk as u32 });
    }
    Ok(multiple)
}
