//! Scores of attention of which some are hidden.

use super::super::array::Array;
use super::super::error::Problem;
use super::super::expression::{Expression, Rows};
use super::super::graph::Node;
use super::super::layout::Parameters;
use super::{Reader, Value};

impl Reader<'_> {
    /// Numbers added to scores: zero, or so little that the softmax makes it nothing.
    pub(super) fn masked(&mut self, node: &Node, rows: &Rows, values: &Array<f64>) -> Result<Rows, Problem> {
        let mut visible = Vec::with_capacity(values.data.len());
        for &value in &values.data {
            visible.push(match value {
                0.0 => true,
                ..=-1e3 => false,
                _ => {
                    let text =
                        format!("adds {value} to a score; expected a mask of 0 and a large negative number");
                    return Err(Problem::at(node, text));
                }
            });
        }
        self.seen(node, rows, &visible)
    }

    /// Scores of which some are hidden, which has to be the future or nothing.
    fn seen(&mut self, node: &Node, rows: &Rows, visible: &[bool]) -> Result<Rows, Problem> {
        let entry = self.expressions.entry(rows.id);
        let (tokens, features) = (entry.tokens, entry.features);
        let Expression::Scores { q, k, heads, scale, causal } = entry.expression else {
            return Err(Problem::at(node, "hides values that are no scores of attention"));
        };
        let all = visible.iter().all(|&visible| visible);
        let past = rows
            .at
            .data
            .iter()
            .zip(visible)
            .all(|(element, &visible)| visible == (element.feature % tokens as u32 <= element.token));
        if !all && !past {
            return Err(Problem::at(
                node,
                "hides tokens by a mask that is neither empty nor causal; expected one of these: the engine masks \
                 padding on its own",
            ));
        }
        let scores = Expression::Scores { q, k, heads, scale, causal: causal || !all };
        let id = self.expressions.add(scores, tokens, features, &node.place());
        Ok(self.rows(id, Array::clone(&rows.at)))
    }

    /// `Where`: all of one side, or scores of which some are replaced by a large negative number.
    pub(super) fn chosen(
        &mut self,
        parameters: &Parameters<'_>,
        values: &[Option<Value>],
    ) -> Result<Value, Problem> {
        let node = parameters.node;
        let condition = parameters.required(0)?;
        let [Some(yes), Some(no)] = [&values[1], &values[2]] else {
            return Err(parameters.problem("has not its three inputs; the file is damaged"));
        };
        let side = match condition.uniform() {
            Some(value) => Some(if value != 0.0 { yes } else { no }),
            None => None,
        };
        if let Some(side) = side {
            return Ok(side.clone());
        }
        let (rows, hidden, when) = match (yes, no) {
            (Value::Rows(rows), Value::Constant(hidden)) => (rows, hidden, false),
            (Value::Constant(hidden), Value::Rows(rows)) => (rows, hidden, true),
            _ => return Err(Problem::at(node, "chooses between two tensors of the recording")),
        };
        if !hidden.uniform().is_some_and(|value| value <= -1e3) {
            return Err(Problem::at(node, "replaces values; expected only scores that a mask hides"));
        }
        let rows = self.settled(rows)?;
        let condition = condition.array.broadcast(&rows.at.shape);
        let condition = condition.ok_or_else(|| parameters.problem("its mask does not fit the scores"))?;
        let visible: Vec<bool> = condition.data.iter().map(|&value| (value != 0.0) != when).collect();
        self.seen(node, &rows, &visible).map(Value::Rows)
    }
}
