//! Maps with constant weights: products, convolutions, normalisations over batches.

use fixformer::host::reference::Linear;

use super::super::array::{Array, common_shape};
use super::super::error::Problem;
use super::super::expression::{Element, Expression, Id, Rows};
use super::super::graph::{Constant, Kind, Node};
use super::super::layout::Parameters;
use super::{Reader, Value};

impl Reader<'_> {
    /// `MatMul`.
    pub(super) fn product(&mut self, node: &Node, a: &Value, b: &Value) -> Result<Rows, Problem> {
        match (a, b) {
            (Value::Rows(a), Value::Constant(b)) => {
                let weights = matrix(&b.array).ok_or_else(|| {
                    let shape = &b.array.shape;
                    Problem::at(
                        node,
                        format!("weights of shape {shape:?}; expected one matrix for all tokens"),
                    )
                })?;
                self.mapped(node, a, &weights)
            }
            (Value::Constant(a), Value::Rows(b)) if a.array.rank() >= 2 && b.at.rank() >= 2 => {
                let weights = Constant { array: a.array.matrices_transposed(), kind: a.kind };
                let rows = Rows { at: b.at.matrices_transposed().into(), ..b.clone() };
                let rows = self.product(node, &Value::Rows(rows), &Value::Constant(weights.into()))?;
                Ok(Rows { at: rows.at.matrices_transposed().into(), ..rows })
            }
            (Value::Rows(a), Value::Rows(b)) => self.matched(node, a, b),
            _ => Err(Problem::at(node, "has inputs of one axis; expected matrices")),
        }
    }

    /// The last axis through `weights`, `[inputs, outputs]`.
    pub(super) fn mapped(&mut self, node: &Node, rows: &Rows, weights: &Array<f64>) -> Result<Rows, Problem> {
        let rows = self.settled(rows)?;
        let (inputs, outputs) = (weights.shape[0], weights.shape[1]);
        let Some((&last, lead)) = rows.at.shape.split_last() else {
            return Err(Problem::at(node, "maps a single number"));
        };
        if last != inputs || inputs == 0 {
            return Err(Problem::at(node, format!("maps {last} values by a matrix of {inputs} rows")));
        }
        let shape = [lead, &[outputs]].concat();
        let chunks: Vec<&[Element]> = rows.at.data.chunks(inputs).collect();
        let single = chunks.iter().all(|chunk| chunk.iter().all(|element| element.token == chunk[0].token));
        let (id, tokens) = if single {
            (self.of_columns(node, &rows, &chunks, weights)?, None)
        } else {
            let (id, tokens) = self.of_windows(node, &rows, &chunks, weights)?;
            (id, Some(tokens))
        };
        let token = |index: usize| tokens.as_ref().map_or(chunks[index][0].token, |tokens| tokens[index]);
        let one = |(index, chunk): (usize, &&[Element])| {
            let (batch, token) = (chunk[0].batch, token(index));
            (0..outputs as u32).map(move |feature| Element { batch, token, feature })
        };
        let data = chunks.iter().enumerate().flat_map(one).collect();
        Ok(self.rows(id, Array::new(shape, data)))
    }

    /// Columns of one token each.
    fn of_columns(
        &mut self,
        node: &Node,
        rows: &Rows,
        chunks: &[&[Element]],
        weights: &Array<f64>,
    ) -> Result<Id, Problem> {
        let columns = |chunk: &[Element]| chunk.iter().map(|element| element.feature).collect::<Vec<u32>>();
        let order = columns(chunks[0]);
        if chunks
            .iter()
            .any(|chunk| columns(chunk) != order || chunk.iter().any(|e| e.batch != chunk[0].batch))
        {
            return Err(Problem::at(node, "maps other columns of other tokens; expected the same for all"));
        }
        let entry = self.expressions.entry(rows.id);
        let (tokens, features, outputs) = (entry.tokens, entry.features, weights.shape[1]);
        let mut map = empty(features, outputs);
        for (&feature, row) in order.iter().zip(weights.data.chunks(outputs)) {
            add(&mut map, feature as usize, row);
        }
        Ok(self.expressions.add(Expression::Affine { of: rows.id, map }, tokens, outputs, &node.place()))
    }

    /// Windows of several tokens, which follow one another in equal steps; and which window each chunk is.
    fn of_windows(
        &mut self,
        node: &Node,
        rows: &Rows,
        chunks: &[&[Element]],
        weights: &Array<f64>,
    ) -> Result<(Id, Vec<u32>), Problem> {
        let first = |chunk: &[Element]| chunk.iter().map(|element| element.token).min().unwrap_or(0);
        let pattern = |chunk: &[Element]| {
            let first = first(chunk);
            chunk.iter().map(|element| (element.token - first, element.feature)).collect::<Vec<(u32, u32)>>()
        };
        let wrong = |text: &str| Problem::at(node, format!("maps several tokens at once{text}"));
        let order = pattern(chunks[0]);
        let mut tokens = Vec::with_capacity(chunks.len());
        let mut starts: Vec<Vec<u32>> = Vec::new();
        for chunk in chunks {
            let batch = chunk[0].batch as usize;
            if pattern(chunk) != order || chunk.iter().any(|element| element.batch as usize != batch) {
                return Err(wrong(", not the same way everywhere; expected windows over the steps"));
            }
            if starts.len() <= batch {
                starts.resize(batch + 1, Vec::new());
            }
            tokens.push(starts[batch].len() as u32);
            starts[batch].push(first(chunk));
        }
        let starts = &starts[chunks[0][0].batch as usize];
        let entry = self.expressions.entry(rows.id);
        let (steps, features, outputs) = (entry.tokens, entry.features, weights.shape[1]);
        // What a window leaves out at its front has weights of zero.
        let start = starts[0];
        let reach = order.iter().map(|&(step, _)| step).max().unwrap_or(0);
        let width = (start + reach + 1) as usize;
        let stride = match starts.get(1) {
            Some(&second) if second > start => (second - start) as usize,
            Some(_) => return Err(wrong("; expected windows in the order of time")),
            None => steps,
        };
        let even = starts.iter().zip(0..).all(|(&at, index)| at as usize == start as usize + index * stride);
        if !even || (steps - width) / stride + 1 != starts.len() {
            return Err(wrong("; expected windows in equal steps up to the end, without padding"));
        }
        let mut map = empty(width * features, outputs);
        for (&(step, feature), row) in order.iter().zip(weights.data.chunks(outputs)) {
            add(&mut map, (start + step) as usize * features + feature as usize, row);
        }
        let windows = Expression::Windows { of: rows.id, width, stride, map };
        Ok((self.expressions.add(windows, starts.len(), outputs, &node.place()), tokens))
    }

    /// `Gemm`: alpha A B + beta C.
    pub(super) fn gemm(
        &mut self,
        parameters: &Parameters<'_>,
        values: &[Option<Value>],
    ) -> Result<Rows, Problem> {
        let node = parameters.node;
        let [a, b] = self.two(parameters, values)?;
        let turned = |value: Value, attribute: &str| match value {
            value if node.int(attribute).unwrap_or(0) == 0 => value,
            Value::Rows(rows) => Value::Rows(Rows { at: rows.at.matrices_transposed().into(), ..rows }),
            Value::Constant(constant) => {
                let array = constant.array.matrices_transposed();
                Value::Constant(Constant { array, kind: constant.kind }.into())
            }
        };
        let mut rows = self.product(node, &turned(a, "transA"), &turned(b, "transB"))?;
        let factor = |name: &str| node.float(name).unwrap_or(1.0);
        if factor("alpha") != 1.0 {
            rows = Rows { place: node.place(), ..rows.then(|x| x * factor("alpha")) };
        }
        let add = |a: f64, b: f64| a + b;
        match values.get(2) {
            None | Some(None) => Ok(rows),
            Some(Some(Value::Constant(c))) => {
                let c = Constant { array: c.array.map(|x| x * factor("beta")), kind: c.kind };
                self.with_constant(node, "Add", &rows, &c, false, &add)
            }
            Some(Some(Value::Rows(_))) => {
                Err(parameters.problem("adds a tensor of the recording; expected a bias"))
            }
        }
    }

    /// `Einsum` of two operands, as one product of matrices.
    pub(super) fn einsum(
        &mut self,
        parameters: &Parameters<'_>,
        values: &[Option<Value>],
    ) -> Result<Rows, Problem> {
        let node = parameters.node;
        let equation: String = node.text("equation").unwrap_or("").split_whitespace().collect();
        let unclear = || {
            parameters.problem(format!(
                "equation `{equation}`; expected a product of two tensors, such as bhid,bhjd->bhij"
            ))
        };
        let (inputs, output) = equation.split_once("->").ok_or_else(unclear)?;
        let (a, b) = inputs.split_once(',').ok_or_else(unclear)?;
        let letters = |text: &str| -> Option<Vec<char>> {
            let letters: Vec<char> = text.chars().collect();
            let once =
                letters.iter().all(|c| c.is_alphabetic() && letters.iter().filter(|d| c == *d).count() == 1);
            once.then_some(letters)
        };
        let (a, b, output) = (letters(a), letters(b), letters(output));
        let (a, b, output) = (a.ok_or_else(unclear)?, b.ok_or_else(unclear)?, output.ok_or_else(unclear)?);
        let pick = |from: &[char], in_other: bool, in_output: bool, other: &[char]| -> Vec<char> {
            let fits = |c: &&char| other.contains(c) == in_other && output.contains(c) == in_output;
            from.iter().filter(fits).copied().collect()
        };
        let (batch, inner) = (pick(&a, true, true, &b), pick(&a, true, false, &b));
        let (left, right) = (pick(&a, false, true, &b), pick(&b, false, true, &a));
        if batch.len() + inner.len() + left.len() != a.len()
            || batch.len() + inner.len() + right.len() != b.len()
        {
            return Err(unclear());
        }
        let [first, second] = self.two(parameters, values)?;
        let shapes = [value_shape(&first), value_shape(&second)];
        if shapes[0].len() != a.len() || shapes[1].len() != b.len() {
            return Err(unclear());
        }
        let length = |c: char| match a.iter().position(|&other| other == c) {
            Some(axis) => shapes[0][axis],
            None => shapes[1][b.iter().position(|&other| other == c).unwrap_or(0)],
        };
        let size = |letters: &[char]| letters.iter().map(|&c| length(c)).product::<usize>();
        let lead: Vec<usize> = batch.iter().map(|&c| length(c)).collect();
        let arranged = |value: Value, own: &[char], order: Vec<char>, rows: usize, columns: usize| {
            let axes: Vec<usize> =
                order.iter().map(|c| own.iter().position(|other| other == c).unwrap_or(0)).collect();
            let shape = [&lead[..], &[rows, columns]].concat();
            Some(match value {
                Value::Rows(value) => {
                    let at = value.at.transposed(&axes).reshaped(shape)?.into();
                    Value::Rows(Rows { at, ..value })
                }
                Value::Constant(value) => {
                    let array = value.array.transposed(&axes).reshaped(shape)?;
                    Value::Constant(Constant { array, kind: Kind::Real }.into())
                }
            })
        };
        let order = [&batch[..], &left, &inner].concat();
        let first = arranged(first, &a, order, size(&left), size(&inner)).ok_or_else(unclear)?;
        let order = [&batch[..], &inner, &right].concat();
        let second = arranged(second, &b, order, size(&inner), size(&right)).ok_or_else(unclear)?;
        let product = self.product(node, &first, &second)?;
        let letters = [&batch[..], &left, &right].concat();
        let shape = letters.iter().map(|&c| length(c)).collect();
        let at = Array::clone(&product.at).reshaped(shape).ok_or_else(unclear)?;
        let axes: Vec<usize> =
            output.iter().map(|c| letters.iter().position(|other| other == c).unwrap_or(0)).collect();
        Ok(Rows { at: at.transposed(&axes).into(), ..product })
    }

    /// `Conv` without padding: windows of every channel, then a product.
    pub(super) fn convolution(&mut self, parameters: &Parameters<'_>, rows: &Rows) -> Result<Rows, Problem> {
        let node = parameters.node;
        let weights = &parameters.required(1)?.array;
        let spatial = weights.rank().saturating_sub(2);
        if spatial == 0 || rows.at.rank() != weights.rank() {
            return Err(parameters.problem("weights that do not fit its input; the file is damaged"));
        }
        let automatic = node.text("auto_pad").is_some_and(|pad| pad.starts_with("SAME"));
        if automatic || node.ints("pads").is_some_and(|pads| pads.iter().any(|&pad| pad != 0)) {
            return Err(parameters.problem(
                "pads its input; expected a convolution without padding: train with `padding=0`, or pad the recordings",
            ));
        }
        let numbers = |name: &str| -> Vec<usize> {
            let ones = vec![1; spatial];
            node.ints(name).map_or(ones, |values| values.iter().map(|&value| value.max(1) as usize).collect())
        };
        let (strides, dilations) = (numbers("strides"), numbers("dilations"));
        let groups = node.int("group").unwrap_or(1).max(1) as usize;
        let (outputs, share) = (weights.shape[0], weights.shape[1]);
        let (batch, channels) = (rows.at.shape[0], rows.at.shape[1]);
        let kernel = &weights.shape[2..];
        let unfit = || parameters.problem("weights that do not fit its input; the file is damaged");
        if share * groups != channels || !outputs.is_multiple_of(groups) {
            return Err(unfit());
        }
        // Axis by axis: the steps of each window beside one another, on axes of their own behind the others.
        let mut at = Array::clone(&rows.at);
        let mut counts = Vec::new();
        for axis in 0..spatial {
            let (length, kernel) = (at.shape[2 + axis], kernel[axis]);
            let reach = (kernel - 1) * dilations[axis];
            let count =
                length.checked_sub(reach + 1).map(|left| left / strides[axis] + 1).ok_or_else(unfit)?;
            let indices: Vec<usize> = (0..kernel)
                .flat_map(|step| (0..count).map(move |window| (window, step)))
                .map(|(window, step)| window * strides[axis] + step * dilations[axis])
                .collect();
            let mut shape = at.shape.clone();
            shape[2 + axis] = count;
            shape.push(kernel);
            // [.., kernel · count, ..] to [.., count, .., kernel].
            let taken = at.taken(2 + axis, &indices);
            let mut split = taken.shape.clone();
            split.splice(2 + axis..3 + axis, [kernel, count]);
            let split = taken.reshaped(split).ok_or_else(unfit)?;
            let mut order: Vec<usize> = (0..split.rank()).filter(|&other| other != 2 + axis).collect();
            order.push(2 + axis);
            at = split.transposed(&order);
            counts.push(count);
        }
        // [batch, channels, counts, kernel] to [batch, counts, channels · kernel].
        let order: Vec<usize> =
            [0].into_iter().chain(2..2 + spatial).chain([1]).chain(2 + spatial..2 + 2 * spatial).collect();
        let size: usize = kernel.iter().product();
        let shape = [&[batch], &counts[..], &[channels * size]].concat();
        let at = at.transposed(&order).reshaped(shape).ok_or_else(unfit)?;
        let mut dense = Array::new(vec![channels * size, outputs], vec![0.0; channels * size * outputs]);
        for output in 0..outputs {
            let first = output / (outputs / groups) * share;
            for input in 0..share * size {
                let row = first * size + input;
                dense.data[row * outputs + output] = weights.data[output * share * size + input];
            }
        }
        let mut mapped = self.mapped(node, &Rows { at: at.into(), ..rows.clone() }, &dense)?;
        if let Some(bias) = parameters.constants.get(2).copied().flatten() {
            mapped = self.with_constant(node, "Add", &mapped, bias, false, &|a, b| a + b)?;
        }
        let order: Vec<usize> = [0, 1 + spatial].into_iter().chain(1..1 + spatial).collect();
        Ok(Rows { at: mapped.at.transposed(&order).into(), ..mapped })
    }

    /// `BatchNormalization` with its running mean and variance: a factor and a shift for each channel.
    pub(super) fn batch_norm(&mut self, parameters: &Parameters<'_>, rows: &Rows) -> Result<Rows, Problem> {
        let node = parameters.node;
        let epsilon = node.float("epsilon").unwrap_or(1e-5);
        let vector = |input: usize| Ok::<_, Problem>(&parameters.required(input)?.array.data);
        let (scale, bias, mean, variance) = (vector(1)?, vector(2)?, vector(3)?, vector(4)?);
        if node.int("training_mode") == Some(1) {
            return Err(parameters.problem("normalises by the batch; export the model after `model.eval()`"));
        }
        let factor: Vec<f64> = scale.iter().zip(variance).map(|(s, v)| s / (v + epsilon).sqrt()).collect();
        let shift: Vec<f64> = bias.iter().zip(mean).zip(&factor).map(|((b, m), f)| b - m * f).collect();
        let shape: Vec<usize> =
            (0..rows.at.rank()).map(|axis| if axis == 1 { scale.len() } else { 1 }).collect();
        let constant = |data: Vec<f64>| Constant { array: Array::new(shape.clone(), data), kind: Kind::Real };
        let rows = self.with_constant(node, "Mul", rows, &constant(factor), false, &|a, b| a * b)?;
        let rows = Rows { place: node.place(), ..rows };
        let rows = self.with_constant(node, "Add", &rows, &constant(shift), false, &|a, b| a + b)?;
        Ok(Rows { place: node.place(), ..rows })
    }

    /// The columns of two expressions side by side, and where those of the second begin.
    pub(super) fn side_by_side(&mut self, a: Id, b: Id, place: &str) -> Option<(Id, usize)> {
        self.expressions.beside(a, b, place)
    }
}

/// A matrix, perhaps with leading axes of length 1.
fn matrix(array: &Array<f64>) -> Option<Array<f64>> {
    let (lead, last) = array.shape.split_at(array.rank().checked_sub(2)?);
    if lead.iter().any(|&length| length != 1) {
        return None;
    }
    array.clone().reshaped(last.to_vec())
}

fn value_shape(value: &Value) -> Vec<usize> {
    match value {
        Value::Rows(rows) => rows.at.shape.clone(),
        Value::Constant(constant) => constant.array.shape.clone(),
    }
}

fn empty(inputs: usize, outputs: usize) -> Linear {
    Linear { inputs, outputs, weights: vec![0.0; inputs * outputs], bias: vec![0.0; outputs] }
}

fn add(map: &mut Linear, input: usize, row: &[f64]) {
    let outputs = map.outputs;
    map.weights[input * outputs..][..outputs].iter_mut().zip(row).for_each(|(w, x)| *w += x);
}

/// The shape of the leading axes of two operands of a product.
pub(super) fn common_lead(a: &Array<Element>, b: &Array<Element>) -> Option<Vec<usize>> {
    common_shape(&a.shape[..a.rank().checked_sub(2)?], &b.shape[..b.rank().checked_sub(2)?])
}
