//! What is done to single values: activations, scales, biases, positions, residuals.

use std::rc::Rc;

use super::super::array::{Array, common_shape};
use super::super::curve::{Curve, Shape};
use super::super::error::Problem;
use super::super::expression::{Element, Expression, Id, Pool, Rows};
use super::super::graph::{Constant, Kind, Node};
use super::Reader;

/// A function without state.
type Function = fn(f64) -> f64;

impl Reader<'_> {
    /// The same tensor with its function resolved: an activation, a scale, or nothing.
    pub(super) fn settled(&mut self, rows: &Rows) -> Result<Rows, Problem> {
        let mut rows = self.focused(rows)?;
        if rows.curve.is_identity() {
            self.keep(rows.id, &rows);
            return Ok(rows);
        }
        let Some(shape) = rows.curve.shape() else {
            return Err(Problem {
                place: Some(rows.place.clone()),
                text: "what it comes to is none of ReLU, GELU (with erf or tanh) and tanh; train with one of these, \
                       or if it ends the model, export the scores before it"
                    .to_owned(),
            });
        };
        rows.curve = Curve::default();
        let (factor, shift) = match shape {
            Shape::Line { factor, shift } => (factor, shift),
            Shape::Activation { activation, factor, shift } => {
                let entry = self.expressions.entry(rows.id);
                let (tokens, features) = (entry.tokens, entry.features);
                let expression = Expression::Activated { of: rows.id, activation };
                rows.id = self.expressions.add(expression, tokens, features, &rows.place);
                (factor, shift)
            }
        };
        if (factor, shift) == (1.0, 0.0) {
            self.keep(rows.id, &rows);
            return Ok(rows);
        }
        let features = self.expressions.entry(rows.id).features;
        rows.id = match self.expressions.get(rows.id).clone() {
            // A number more in every score is none after the softmax.
            Expression::Scores { q, k, heads, scale, causal } => {
                let scores = Expression::Scores { q, k, heads, scale: scale * factor, causal };
                let tokens = self.expressions.entry(rows.id).tokens;
                self.expressions.add(scores, tokens, features, &rows.place)
            }
            _ => {
                let place = rows.place.clone();
                self.scaled(rows.id, vec![factor; features], vec![shift; features], &place)
            }
        };
        self.keep(rows.id, &rows);
        Ok(rows)
    }

    /// A tensor that has one token of all is a pooling.
    fn focused(&mut self, rows: &Rows) -> Result<Rows, Problem> {
        let entry = self.expressions.entry(rows.id);
        let (tokens, features) = (entry.tokens, entry.features);
        let Some(first) = rows.at.data.first().copied() else { return Ok(rows.clone()) };
        let scores = matches!(entry.expression, Expression::Scores { .. } | Expression::Weights { .. });
        let one = rows.at.data.iter().all(|element| element.token == first.token);
        if tokens == 1 || scores || !one {
            return Ok(rows.clone());
        }
        let pooling = match first.token as usize {
            0 => Pool::First,
            token if token + 1 == tokens => Pool::Last,
            token => {
                let text =
                    format!("takes token {token} of {tokens}; expected the first, the last, or all of them");
                return Err(Problem { place: Some(rows.place.clone()), text });
            }
        };
        let id = self.expressions.add(Expression::Pooled { of: rows.id, pooling }, 1, features, &rows.place);
        let at = Rc::new(rows.at.map(|element| Element { token: 0, ..element }));
        Ok(Rows { id, at, ..rows.clone() })
    }

    /// x · factor + shift by column; a normalisation takes both into its own.
    pub(super) fn scaled(&mut self, id: Id, factor: Vec<f64>, shift: Vec<f64>, place: &str) -> Id {
        let entry = self.expressions.entry(id);
        let (tokens, features) = (entry.tokens, entry.features);
        let expression = match &entry.expression {
            Expression::Norm { of, gain, bias, epsilon } => {
                let times =
                    |x: &[f64]| x.iter().zip(&factor).map(|(x, factor)| x * factor).collect::<Vec<f64>>();
                let bias = times(bias).iter().zip(&shift).map(|(x, shift)| x + shift).collect();
                Expression::Norm { of: *of, gain: times(gain), bias, epsilon: *epsilon }
            }
            _ => Expression::Scaled { of: id, factor, shift },
        };
        self.expressions.add(expression, tokens, features, place)
    }

    /// Two tensors that depend on the recording.
    pub(super) fn both(
        &mut self,
        node: &Node,
        a: &Rows,
        b: &Rows,
        function: &dyn Fn(f64, f64) -> f64,
    ) -> Result<Rows, Problem> {
        let unfit = || Problem::at(node, "its inputs have shapes that do not fit; the file is damaged");
        let shape = common_shape(&a.at.shape, &b.at.shape).ok_or_else(unfit)?;
        let spread = |rows: &Rows| -> Option<Rows> {
            let at = Rc::new(rows.at.broadcast(&shape)?);
            Some(Rows { at, ..rows.clone() })
        };
        let (a, b) = (spread(a).ok_or_else(unfit)?, spread(b).ok_or_else(unfit)?);
        if a.id == b.id
            && a.at == b.at
            && !(a.curve.is_identity() && b.curve.is_identity() && node.operator == "Add")
        {
            let curve = a.curve.with(&b.curve, function);
            return Ok(Rows { curve, ..self.rows(a.id, Array::clone(&a.at)) });
        }
        if let Some(rows) = self.of_norm(node, &a, &b)? {
            return Ok(rows);
        }
        match &*node.operator {
            "Add" | "Sum" => self.sum(node, &a, &b),
            "Sub" => {
                let b = b.then(|x| -x);
                self.sum(node, &a, &Rows { place: node.place(), ..b })
            }
            _ => Err(Problem::at(
                node,
                "two tensors of the recording meet; expected that only in residual sums and attention: gates and \
                 products of tokens have no place",
            )),
        }
    }

    /// The parts of a layer normalisation that an old operator set writes out.
    fn of_norm(&mut self, node: &Node, a: &Rows, b: &Rows) -> Result<Option<Rows>, Problem> {
        let same_tokens = |a: &Rows, b: &Rows| {
            a.at.data.iter().zip(&b.at.data).all(|(a, b)| (a.batch, a.token) == (b.batch, b.token))
        };
        match (&*node.operator, self.expressions.get(a.id), self.expressions.get(b.id)) {
            ("Sub", _, Expression::Mean { of }) if b.curve.is_identity() => {
                let of = *of;
                let a = self.settled(a)?;
                if a.id != of || !same_tokens(&a, b) {
                    return Ok(None);
                }
                let entry = self.expressions.entry(of);
                let (tokens, features) = (entry.tokens, entry.features);
                let id = self.expressions.add(Expression::Centered { of }, tokens, features, &node.place());
                Ok(Some(self.rows(id, Array::clone(&a.at))))
            }
            ("Div", Expression::Centered { of }, Expression::Variance { of: other })
            | ("Mul", Expression::Centered { of }, Expression::Variance { of: other })
                if of == other && a.curve.is_identity() && same_tokens(a, b) =>
            {
                let of = *of;
                let Some(epsilon) = b.curve.epsilon(node.operator == "Mul") else { return Ok(None) };
                let entry = self.expressions.entry(of);
                let (tokens, features) = (entry.tokens, entry.features);
                let norm =
                    Expression::Norm { of, gain: vec![1.0; features], bias: vec![0.0; features], epsilon };
                let id = self.expressions.add(norm, tokens, features, &node.place());
                Ok(Some(self.rows(id, Array::clone(&a.at))))
            }
            ("Mul", Expression::Variance { .. }, Expression::Centered { .. }) => self.of_norm(node, b, a),
            _ => Ok(None),
        }
    }

    /// A residual: both tensors have the same columns of the same tokens at the same places.
    fn sum(&mut self, node: &Node, a: &Rows, b: &Rows) -> Result<Rows, Problem> {
        let (a, b) = (self.settled(a)?, self.settled(b)?);
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        let mut partner: std::collections::HashMap<u32, u32> = std::collections::HashMap::new();
        for (x, y) in a.at.data.iter().zip(&b.at.data) {
            if (x.batch, x.token) != (y.batch, y.token)
                || *partner.entry(x.feature).or_insert(y.feature) != y.feature
            {
                return Err(Problem::at(
                    node,
                    "adds values of different tokens or columns; expected the same token on both sides",
                ));
            }
        }
        pairs.extend(partner);
        pairs.sort_unstable();
        let place = node.place();
        let left = pairs.iter().map(|&(feature, _)| feature as usize).collect();
        let right = pairs.iter().map(|&(_, feature)| feature as usize).collect();
        let (x, y) =
            (self.expressions.selected(a.id, left, &place), self.expressions.selected(b.id, right, &place));
        let tokens = self.expressions.entry(a.id).tokens;
        if tokens != self.expressions.entry(b.id).tokens {
            return Err(Problem::at(node, "adds sequences of different lengths"));
        }
        let id = self.expressions.add(Expression::Sum { a: x, b: y }, tokens, pairs.len(), &place);
        let column = |feature: u32| pairs.partition_point(|&(other, _)| other < feature) as u32;
        let at = a.at.map(|element| Element { feature: column(element.feature), ..element });
        Ok(self.rows(id, at))
    }

    /// A tensor and numbers, in that order or (`swapped`) the other.
    pub(super) fn with_constant(
        &mut self,
        node: &Node,
        operator: &str,
        rows: &Rows,
        constant: &Constant,
        swapped: bool,
        function: &dyn Fn(f64, f64) -> f64,
    ) -> Result<Rows, Problem> {
        let unfit = || Problem::at(node, "its inputs have shapes that do not fit; the file is damaged");
        let shape = common_shape(&rows.at.shape, &constant.array.shape).ok_or_else(unfit)?;
        let at = rows.at.broadcast(&shape).ok_or_else(unfit)?;
        if let Some(value) = constant.uniform() {
            let f = |x| if swapped { function(value, x) } else { function(x, value) };
            return Ok(Rows { at: Rc::new(at), ..rows.then(f) });
        }
        if operator == "Equal" && *self.expressions.get(rows.id) == Expression::Symbols {
            return self.compared(node, rows, constant, &at);
        }
        let rows = self.settled(&Rows { at: Rc::new(at), ..rows.clone() })?;
        let values = constant.array.broadcast(&shape).ok_or_else(unfit)?;
        if let ("Add", Expression::Scores { .. }) = (operator, self.expressions.get(rows.id)) {
            return self.masked(node, &rows, &values);
        }
        let (factor, shift): (Function, Function) = match (operator, swapped) {
            ("Add" | "Sum", _) => (|_| 1.0, |x| x),
            ("Sub", false) => (|_| 1.0, |x| -x),
            ("Sub", true) => (|_| -1.0, |x| x),
            ("Mul", _) => (|x| x, |_| 0.0),
            ("Div", false) => (|x| 1.0 / x, |_| 0.0),
            _ => {
                return Err(Problem::at(
                    node,
                    "with other numbers for other columns; expected only sums and products with such",
                ));
            }
        };
        let (tokens, features) = {
            let entry = self.expressions.entry(rows.id);
            (entry.tokens, entry.features)
        };
        let place = node.place();
        let by_column = |f: fn(f64) -> f64, default: f64| -> Option<Vec<f64>> {
            let mut column = vec![None; features];
            for (element, &value) in rows.at.data.iter().zip(&values.data) {
                if *column[element.feature as usize].get_or_insert(f(value)) != f(value) {
                    return None;
                }
            }
            Some(column.into_iter().map(|value| value.unwrap_or(default)).collect())
        };
        let id = match (by_column(factor, 1.0), by_column(shift, 0.0)) {
            (Some(factor), Some(shift)) => self.scaled(rows.id, factor, shift, &place),
            (Some(factor), None) => {
                let mut table = vec![None; tokens * features];
                for (element, &value) in rows.at.data.iter().zip(&values.data) {
                    let index = element.token as usize * features + element.feature as usize;
                    if *table[index].get_or_insert(shift(value)) != shift(value) {
                        return Err(Problem::at(node, "adds other numbers to other recordings of a batch"));
                    }
                }
                let table = table.into_iter().map(|value| value.unwrap_or(0.0)).collect();
                let mut id = rows.id;
                if factor.iter().any(|&factor| factor != 1.0) {
                    id = self.scaled(id, factor, vec![0.0; features], &place);
                }
                self.expressions.add(Expression::Positioned { of: id, table }, tokens, features, &place)
            }
            (None, _) => {
                return Err(Problem::at(
                    node,
                    "scales tokens differently; expected one factor for each column, or an additive table of positions",
                ));
            }
        };
        Ok(Rows { id, ..self.rows(id, Array::clone(&rows.at)) })
    }

    /// Casts between whole and real numbers tell samples and tokens apart.
    pub(super) fn cast(&mut self, node: &Node, rows: &Rows) -> Result<Rows, Problem> {
        let kind = node.int("to").and_then(|element| Kind::of(i32::try_from(element).ok()?));
        let entry = self.expressions.entry(rows.id);
        let (tokens, features) = (entry.tokens, entry.features);
        let expression = match (&entry.expression, kind) {
            (Expression::Symbols, Some(Kind::Real)) => Expression::Samples,
            (Expression::Samples, Some(Kind::Whole)) if features == 1 => Expression::Symbols,
            (Expression::Symbols, _) | (_, Some(Kind::Real) | None) => return Ok(rows.clone()),
            // Zeros and ones of unit vectors.
            (Expression::Affine { of, map }, _)
                if *self.expressions.get(*of) == Expression::Symbols
                    && map.weights.iter().all(|&w| w == 0.0 || w == 1.0) =>
            {
                return Ok(rows.clone());
            }
            _ => return Err(Problem::at(node, "makes whole numbers of values; only inputs can be whole")),
        };
        let id = self.expressions.add(expression, tokens, features, &node.place());
        Ok(Rows { id, ..rows.clone() })
    }
}
