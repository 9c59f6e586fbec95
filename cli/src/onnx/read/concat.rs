//! Tensors one after the other.

use super::super::array::Array;
use super::super::error::Problem;
use super::super::expression::{Element, Expression, Rows};
use super::super::graph::{Attribute, Constant};
use super::super::layout::Parameters;
use super::{Reader, Value};

impl Reader<'_> {
    /// Parts of one tensor side by side, or a class token before the others.
    pub(super) fn concatenated(
        &mut self,
        parameters: &Parameters<'_>,
        values: &[Option<Value>],
    ) -> Result<Rows, Problem> {
        let unfit = || parameters.problem("its inputs have shapes that do not fit; the file is damaged");
        let values: Vec<&Value> = values.iter().flatten().collect();
        let rank = |value: &Value| match value {
            Value::Rows(rows) => rows.at.rank(),
            Value::Constant(constant) => constant.array.rank(),
        };
        let axis = match parameters.node.attributes.get("axis") {
            Some(Attribute::Int(axis)) => parameters.axis(*axis, rank(values[0]))?,
            _ => return Err(unfit()),
        };
        let part = |value: &&'_ Value| match value {
            Value::Rows(rows) => Some(rows.clone()),
            Value::Constant(_) => None,
        };
        let parts: Option<Vec<Rows>> = values.iter().map(part).collect();
        if let Some(parts) = parts {
            return self.joined(parameters, &parts, axis);
        }
        let [Value::Constant(row), Value::Rows(rows)] = &values[..] else {
            return Err(parameters.problem(
                "puts numbers beside tokens; expected one learned row before all others, a class token",
            ));
        };
        self.prefixed(parameters, row, rows, axis)
    }

    /// Parts that all depend on the recording: of one expression.
    fn joined(&mut self, parameters: &Parameters<'_>, parts: &[Rows], axis: usize) -> Result<Rows, Problem> {
        let settled: Vec<Rows> = parts
            .iter()
            .map(|rows| if rows.curve.is_identity() { Ok(rows.clone()) } else { self.settled(rows) })
            .collect::<Result<_, _>>()?;
        let id = settled[0].id;
        if settled.iter().any(|rows| rows.id != id) {
            return self.stacked(parameters, &settled, axis);
        }
        let arrays: Vec<&Array<Element>> = settled.iter().map(|rows| &*rows.at).collect();
        let at = Array::concatenated(&arrays, axis).ok_or_else(|| {
            parameters.problem("its inputs have shapes that do not fit; the file is damaged")
        })?;
        Ok(self.rows(id, at))
    }

    /// Columns of several expressions side by side: heads that were computed one by one.
    fn stacked(&mut self, parameters: &Parameters<'_>, parts: &[Rows], axis: usize) -> Result<Rows, Problem> {
        let place = parameters.node.place();
        let (mut a, mut id) = (parts[0].clone(), None);
        let mut at = Array::clone(&a.at);
        for part in &parts[1..] {
            let Some((joined, offset)) = self.side_by_side(id.unwrap_or(a.id), part.id, &place) else {
                return Err(parameters.problem(
                    "puts tensors of different origin side by side; expected parts of one tensor, heads of one \
                     attention or a class token",
                ));
            };
            let shifted =
                part.at.map(|element| Element { feature: element.feature + offset as u32, ..element });
            at = Array::concatenated(&[&at, &shifted], axis).ok_or_else(|| {
                parameters.problem("its inputs have shapes that do not fit; the file is damaged")
            })?;
            id = Some(joined);
        }
        a.id = id.unwrap_or(a.id);
        Ok(self.rows(a.id, at))
    }

    /// One row of numbers before the tokens.
    fn prefixed(
        &mut self,
        parameters: &Parameters<'_>,
        row: &Constant,
        rows: &Rows,
        axis: usize,
    ) -> Result<Rows, Problem> {
        let rows = self.settled(rows)?;
        let (tokens, features) = {
            let entry = self.expressions.entry(rows.id);
            (entry.tokens, entry.features)
        };
        let wrong = |what: &str| {
            parameters.problem(format!("{what}; expected one learned row before all tokens, a class token"))
        };
        if row.array.shape.get(axis) != Some(&1) {
            return Err(wrong("puts several rows of numbers before the tokens"));
        }
        // The numbers get the tokens' places, one before the first.
        let front = rows.at.taken(axis, &[0]);
        let numbers =
            row.array.broadcast(&front.shape).ok_or_else(|| wrong("has numbers of another shape"))?;
        let mut values = vec![None; features];
        for (element, &value) in front.data.iter().zip(&numbers.data) {
            let column = &mut values[element.feature as usize];
            if element.token != 0 || *column.get_or_insert(value) != value {
                return Err(wrong("puts numbers elsewhere than before the first token"));
            }
        }
        let values: Option<Vec<f64>> = values.into_iter().collect();
        let row = values.ok_or_else(|| wrong("has no number for some columns"))?;
        let place = parameters.node.place();
        let id =
            self.expressions.add(Expression::Prefixed { of: rows.id, row }, tokens + 1, features, &place);
        let later = rows.at.map(|element| Element { token: element.token + 1, ..element });
        let at = Array::concatenated(&[&front, &later], axis).ok_or_else(|| wrong("has another shape"))?;
        Ok(self.rows(id, at))
    }
}
