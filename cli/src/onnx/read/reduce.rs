//! Reductions: pooling over tokens, and normalisation over the columns of a token.

use super::super::array::Array;
use super::super::constant::{groups, reduced_axes};
use super::super::error::Problem;
use super::super::expression::{Element, Expression, Pool, Rows};
use super::super::layout::Parameters;
use super::Reader;

impl Reader<'_> {
    /// `ReduceMean`, `ReduceMax`, `ReduceSum` and their like.
    pub(super) fn reduced(&mut self, parameters: &Parameters<'_>, rows: &Rows) -> Result<Rows, Problem> {
        let node = parameters.node;
        let global = node.operator.starts_with("Global");
        let axes = match global {
            true => (2..rows.at.rank()).collect(),
            false => reduced_axes(parameters, rows.at.rank())?,
        };
        let keep = global || node.int("keepdims") != Some(0);
        let (shape, found) = groups(&rows.at, &axes, keep);
        let place = node.place();
        if let (Expression::Centered { of }, true) = (self.expressions.get(rows.id), rows.curve.is_square()) {
            let of = *of;
            self.all_columns(parameters, rows, &found)?;
            let tokens = self.expressions.entry(of).tokens;
            let id = self.expressions.add(Expression::Variance { of }, tokens, 1, &place);
            return Ok(self.rows(id, firsts(shape, &found, true, false)));
        }
        let rows = self.settled(rows)?;
        let (_, found) = groups(&rows.at, &axes, keep);
        let entry = self.expressions.entry(rows.id);
        let (tokens, features) = (entry.tokens, entry.features);
        let same_token = |group: &Vec<Element>| group.iter().all(|element| element.token == group[0].token);
        if features > 1 && node.operator == "ReduceMean" && found.iter().all(same_token) {
            self.all_columns(parameters, &rows, &found)?;
            let id = self.expressions.add(Expression::Mean { of: rows.id }, tokens, 1, &place);
            return Ok(self.rows(id, firsts(shape, &found, true, false)));
        }
        for group in &found {
            let first = group[0];
            let mut order: Vec<u32> = group.iter().map(|element| element.token).collect();
            order.sort_unstable();
            let one = group.iter().all(|e| (e.batch, e.feature) == (first.batch, first.feature));
            if !one || !order.iter().copied().eq(0..tokens as u32) {
                return Err(parameters.problem(format!(
                    "over {} values, which are not one column of all {tokens} tokens; expected pooling over all tokens",
                    group.len()
                )));
            }
        }
        let pooling = if node.operator.contains("Max") { Pool::Max } else { Pool::Mean };
        let id = self.expressions.add(Expression::Pooled { of: rows.id, pooling }, 1, features, &place);
        let pooled = self.rows(id, firsts(shape, &found, false, true));
        match &*node.operator {
            "ReduceSum" => Ok(Rows { place, ..pooled.then(|x| x * tokens as f64) }),
            _ => Ok(pooled),
        }
    }

    /// `LayerNormalization`.
    pub(super) fn layer_norm(&mut self, parameters: &Parameters<'_>, rows: &Rows) -> Result<Rows, Problem> {
        let node = parameters.node;
        let rows = self.settled(rows)?;
        let first = parameters.axis(node.int("axis").unwrap_or(-1), rows.at.rank())?;
        let axes: Vec<usize> = (first..rows.at.rank()).collect();
        let (_, found) = groups(&rows.at, &axes, true);
        self.all_columns(parameters, &rows, &found)?;
        let entry = self.expressions.entry(rows.id);
        let (tokens, features) = (entry.tokens, entry.features);
        let vector = |input: usize, default: f64| {
            let numbers = parameters.constants.get(input).copied().flatten();
            let mut sorted = vec![default; features];
            if let Some(numbers) = numbers {
                if numbers.array.data.len() != features {
                    return Err(parameters.problem("has not one number for each column; the file is damaged"));
                }
                for (element, &value) in found[0].iter().zip(&numbers.array.data) {
                    sorted[element.feature as usize] = value;
                }
            }
            Ok(sorted)
        };
        let (gain, bias) = (vector(1, 1.0)?, vector(2, 0.0)?);
        let epsilon = node.float("epsilon").unwrap_or(1e-5);
        let norm = Expression::Norm { of: rows.id, gain, bias, epsilon };
        let id = self.expressions.add(norm, tokens, features, &node.place());
        Ok(self.rows(id, Array::clone(&rows.at)))
    }

    /// Whether each group is all columns of one token, in the same order everywhere.
    fn all_columns(
        &self,
        parameters: &Parameters<'_>,
        rows: &Rows,
        groups: &[Vec<Element>],
    ) -> Result<(), Problem> {
        let features = self.expressions.entry(rows.id).features;
        let order = |group: &[Element]| group.iter().map(|element| element.feature).collect::<Vec<u32>>();
        let Some(first) = groups.first().map(|group| order(group)) else {
            return Err(parameters.problem("over no values at all"));
        };
        let mut sorted = first.clone();
        sorted.sort_unstable();
        let all = sorted.iter().copied().eq(0..features as u32);
        let one = |group: &Vec<Element>| {
            order(group) == first
                && group.iter().all(|e| (e.batch, e.token) == (group[0].batch, group[0].token))
        };
        if all && groups.iter().all(one) {
            return Ok(());
        }
        Err(parameters.problem(format!(
            "over {} values; expected the {features} columns of each token, as LayerNorm has it",
            groups[0].len()
        )))
    }
}

/// The first element of each group, as the result of a reduction over columns or tokens.
fn firsts(shape: Vec<usize>, groups: &[Vec<Element>], columns: bool, tokens: bool) -> Array<Element> {
    let one = |group: &Vec<Element>| {
        let mut element = group[0];
        if columns {
            element.feature = 0;
        }
        if tokens {
            element.token = 0;
        }
        element
    };
    Array::new(shape, groups.iter().map(one).collect())
}
