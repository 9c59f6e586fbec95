//! Token ids as rows of a table.

use std::rc::Rc;

use fixformer::host::reference::Linear;

use super::super::array::Array;
use super::super::error::Problem;
use super::super::expression::{Element, Expression, Rows};
use super::super::graph::{Constant, Node};
use super::super::layout::Parameters;
use super::Reader;

impl Reader<'_> {
    /// Rows of a table for token ids.
    pub(super) fn embedded(&mut self, parameters: &Parameters<'_>, ids: &Rows) -> Result<Rows, Problem> {
        let table = &parameters.required(0)?.array;
        let axis = parameters.axis(parameters.node.int("axis").unwrap_or(0), table.rank())?;
        let ([vocabulary, width], 0) = (&table.shape[..], axis) else {
            return Err(parameters.problem(format!(
                "looks up a table of shape {:?} along axis {axis}; expected [vocabulary, width] along axis 0",
                table.shape
            )));
        };
        self.symbols(parameters.node, ids, *vocabulary, *width, table.data.clone())
    }

    /// Unit vectors of token ids.
    pub(super) fn one_hot(&mut self, parameters: &Parameters<'_>, ids: &Rows) -> Result<Rows, Problem> {
        let depth = parameters.required(1)?.uniform().unwrap_or(0.0) as usize;
        let values = &parameters.required(2)?.array.data;
        let last = matches!(parameters.node.int("axis"), None | Some(-1));
        let &[off, on] = &values[..] else { return Err(parameters.problem("has not its two values")) };
        if depth == 0 || !last {
            return Err(parameters.problem("expected a depth above 0 and the last axis"));
        }
        let unit = |index: usize| if index / depth == index % depth { on } else { off };
        self.symbols(parameters.node, ids, depth, depth, (0..depth * depth).map(unit).collect())
    }

    /// Token ids compared with each id there is, along the last axis: unit vectors too.
    pub(super) fn compared(
        &mut self,
        node: &Node,
        ids: &Rows,
        constant: &Constant,
        at: &Array<Element>,
    ) -> Result<Rows, Problem> {
        let wrong =
            || Problem::at(node, "compares the input; expected token ids, each with all there are in order");
        let depth = constant.array.data.len();
        let counting = constant.array.data.iter().zip(0..).all(|(&value, id)| value == f64::from(id));
        if !counting || constant.array.shape.last() != Some(&depth) || ids.at.shape.last() != Some(&1) {
            return Err(wrong());
        }
        let shape = at.shape[..at.rank() - 1].to_vec();
        let ids =
            Rows { at: Rc::new(Array::clone(&ids.at).reshaped(shape).ok_or_else(wrong)?), ..ids.clone() };
        let unit =
            (0..depth * depth).map(|index| f64::from(u8::from(index / depth == index % depth))).collect();
        self.symbols(node, &ids, depth, depth, unit)
    }

    fn symbols(
        &mut self,
        node: &Node,
        ids: &Rows,
        vocabulary: usize,
        width: usize,
        weights: Vec<f64>,
    ) -> Result<Rows, Problem> {
        let entry = self.expressions.entry(ids.id);
        if entry.expression != Expression::Symbols || !ids.curve.is_identity() {
            return Err(Problem::at(
                node,
                "is not indexed by the input itself; expected token ids as they are",
            ));
        }
        let tokens = entry.tokens;
        let map = Linear { inputs: vocabulary, outputs: width, weights, bias: vec![0.0; width] };
        let id = self.expressions.add(Expression::Affine { of: ids.id, map }, tokens, width, &node.place());
        let shape = [&ids.at.shape[..], &[width]].concat();
        let columns = |element: Element| (0..width as u32).map(move |feature| Element { feature, ..element });
        let data = ids.at.data.iter().copied().flat_map(columns).collect();
        Ok(self.rows(id, Array::new(shape, data)))
    }
}
