//! The blocks of a model, one at a time: read from the file as they are needed, or placed in flash by the compiler.

use super::Embedded;
use crate::model::{Block, Blocks, Model};

/// Gives a block of the model to a function.
// By reference: a block moved is a block more on the stack.
pub(super) type Visit = for<'m> fn(&Model<'m>, &mut Position<'m>, usize, &mut dyn FnMut(&Block<'m>));

/// How far the blocks of a file are read: up to the one that was asked for last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position<'m> {
    next: usize,
    blocks: Option<Blocks<'m>>,
}

/// Reads a block from the file.
pub(super) fn read<'m>(
    model: &Model<'m>,
    position: &mut Position<'m>,
    index: usize,
    give: &mut dyn FnMut(&Block<'m>),
) {
    let mut blocks = match position.blocks {
        Some(blocks) if position.next <= index => blocks,
        _ => {
            position.next = 0;
            model.blocks()
        }
    };
    while position.next < index && blocks.next().is_some() {
        position.next += 1;
    }
    position.blocks = Some(blocks);
    if let Some(block) = &blocks.next() {
        give(block);
    }
}

/// Gives the block that the compiler has read.
pub(super) fn placed<'m, M: Embedded>(
    _: &Model<'m>,
    _: &mut Position<'m>,
    index: usize,
    give: &mut dyn FnMut(&Block<'m>),
) {
    if let Some(block) = M::BLOCKS.get(index) {
        give(block);
    }
}
