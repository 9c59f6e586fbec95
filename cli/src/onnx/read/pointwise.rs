//! What is done to single values: activations, scales, biases, positions, residuals, masks.

use std::rc::Rc;

use fixformer::host::reference::Linear;

use super::super::array::{Array, common_shape};
use super::super::curve::{Curve, Shape};
use super::super::error::Problem;
use super::super::expression::{Element, Expression, Id, Pool, Rows};
use super::super::graph::{Attribute, Constant, Kind, Node};
use super::super::layout::Parameters;
use super::{Reader, Value};

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

    /// Numbers added to scores: zero, or so little that the softmax makes it nothing.
    fn masked(&mut self, node: &Node, rows: &Rows, values: &Array<f64>) -> Result<Rows, Problem> {
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
    fn compared(
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
