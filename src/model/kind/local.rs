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
        Ok(Self { chunk, before, after })
    }
}
