//! A token of a stream that is missing: no row of it is made, and what the mechanisms keep moves on.

use super::Manner;
use super::blocks::Position;
use super::plan::Name;
use super::running::Running;
use super::whole;
use crate::attention::{Answers, Budget, Progress};
use crate::memory::i16s_in;
use crate::model::{AttentionKind, Block};

/// Takes the token at the run's place past all blocks, as one that is masked; what a run on it would leave in its rows is not
/// looked at by what follows.
pub(super) fn pass_blocks<W: Manner>(run: &mut Running<'_, W>) {
    let (visit, model, mut position) = (run.visit, run.model, Position::default());
    for index in 0..run.course.blocks {
        visit(model, &mut position, index, &mut |block| pass(run, block, index));
    }
}

fn pass<W: Manner>(run: &mut Running<'_, W>, block: &Block<'_>, index: usize) {
    let Some((mut head, life)) = whole::head(run, &block.attention) else { return };
    run.course.side_by_side = true;
    let of_heads = whole::Memory::of(run, index);
    let (token, width, budget) = (run.place.tile, head.width, &mut Budget::UNLIMITED.clone());
    for number in 0..run.course.heads {
        head.index = number;
        let names = [Name::Memory, Name::Scratch, Name::Query];
        let [memory, scratch, row] = run.plan.take(run.memory, names);
        let words = memory.get_mut(of_heads.of_head(number)).unwrap_or_default();
        if token == 0 {
            (life.begin)(&head, words, scratch);
        }
        let tokens = token..token + 1;
        if let AttentionKind::Hierarchical(_) = head.kind {
            // What is gathered of a level is kept from the first token of its run on, even of one that is missing.
            let rows = i16s_in(row, 0..width);
            // Not what lies there: it may be too large for a query.
            rows.fill(0);
            let answers =
                Answers { tokens, rows, stride: width, backwards: false, absorbs: true, visible: 0 };
            let mut progress = Progress { token, absorbs: true, resumed: false };
            (life.answer)(&head, words, scratch, answers, &mut progress, budget);
        } else {
            (life.absorb)(&head, words, scratch, tokens, 0, false, budget);
        }
    }
    run.fracs = block.fed(block.attended(run.fracs));
}
