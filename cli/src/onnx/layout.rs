//! Operators that move elements and compute nothing.

use super::array::Array;
use super::error::Problem;
use super::graph::{Attribute, Constant, Node};

/// The further inputs of a node, where they are constants.
pub(super) struct Parameters<'a> {
    pub(super) node: &'a Node,
    pub(super) opset: i64,
    /// By input; none where it is left out or no constant.
    pub(super) constants: Vec<Option<&'a Constant>>,
}

impl<'a> Parameters<'a> {
    /// Whole numbers from an input, or from the attribute that older operators have in its place.
    pub(super) fn ints(&self, input: usize, attribute: &str) -> Option<Vec<i64>> {
        match self.constants.get(input).copied().flatten() {
            Some(constant) => Some(constant.integers()),
            None => self.node.ints(attribute).map(<[i64]>::to_vec),
        }
    }

    /// An input that has to be known.
    pub(super) fn required(&self, input: usize) -> Result<&'a Constant, Problem> {
        self.constants.get(input).copied().flatten().ok_or_else(|| {
            self.problem(format!("input {input} depends on the recording; expected a constant there"))
        })
    }

    pub(super) fn problem(&self, text: impl Into<String>) -> Problem {
        Problem::at(self.node, text)
    }

    /// An axis counted from the front.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize, Problem> {
        let axis = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(axis).ok().filter(|&axis| axis < rank).ok_or_else(|| {
            self.problem(format!("axis {axis} of a tensor of {rank} axes; the file is damaged"))
        })
    }

    /// Several axes, sorted.
    pub(super) fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>, Problem> {
        let mut axes: Vec<usize> =
            axes.iter().map(|&axis| self.axis(axis, rank)).collect::<Result<_, _>>()?;
        axes.sort_unstable();
        axes.dedup();
        Ok(axes)
    }
}

/// The outputs of a node that moves the elements of its first input about; none for other operators.
pub(super) fn moved<T: Copy>(
    array: &Array<T>,
    parameters: &Parameters<'_>,
) -> Result<Option<Vec<Array<T>>>, Problem> {
    let node = parameters.node;
    let unfit = |what: &str| {
        parameters.problem(format!("{what} does not fit the shape {:?}; the file is damaged", array.shape))
    };
    let one = match &*node.operator {
        "Identity" | "Dropout" => array.clone(),
        "Reshape" => {
            let target = parameters.ints(1, "shape").ok_or_else(|| unfit("an unknown shape"))?;
            let keep_zero = node.int("allowzero") == Some(1);
            let shape = resolved(&array.shape, &target, keep_zero).ok_or_else(|| unfit("the new shape"))?;
            array.clone().reshaped(shape).ok_or_else(|| unfit("the new shape"))?
        }
        "Flatten" => {
            let axis = node.int("axis").unwrap_or(1);
            let axis = if axis == array.rank() as i64 {
                array.rank()
            } else {
                parameters.axis(axis, array.rank())?
            };
            let (outer, inner) = array.shape.split_at(axis);
            let shape = vec![outer.iter().product(), inner.iter().product()];
            array.clone().reshaped(shape).ok_or_else(|| unfit("the new shape"))?
        }
        "Transpose" => {
            let reversed: Vec<i64> = (0..array.rank() as i64).rev().collect();
            let order = node.ints("perm").map_or(reversed, <[i64]>::to_vec);
            let axes = order.iter().map(|&axis| parameters.axis(axis, array.rank()));
            let axes: Vec<usize> = axes.collect::<Result<_, _>>()?;
            if parameters.axes(&order, array.rank())?.len() != array.rank() {
                return Err(unfit("`perm`"));
            }
            array.transposed(&axes)
        }
        "Squeeze" => {
            let axes = match parameters.ints(1, "axes") {
                Some(axes) => parameters.axes(&axes, array.rank())?,
                None => (0..array.rank()).filter(|&axis| array.shape[axis] == 1).collect(),
            };
            let shape = array.shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
            let shape = shape.map(|(_, &length)| length).collect();
            array.clone().reshaped(shape).ok_or_else(|| unfit("`axes`"))?
        }
        "Unsqueeze" => {
            let axes = parameters.ints(1, "axes").ok_or_else(|| unfit("an unknown axis"))?;
            let axes = parameters.axes(&axes, array.rank() + axes.len())?;
            let mut shape = array.shape.clone();
            axes.iter().for_each(|&axis| shape.insert(axis, 1));
            array.clone().reshaped(shape).ok_or_else(|| unfit("`axes`"))?
        }
        "Expand" => {
            let target: Vec<usize> =
                parameters.required(1)?.integers().into_iter().map(|length| length.max(0) as usize).collect();
            let shape =
                super::array::common_shape(&array.shape, &target).ok_or_else(|| unfit("the new shape"))?;
            array.broadcast(&shape).ok_or_else(|| unfit("the new shape"))?
        }
        "Tile" => {
            let counts = parameters.required(1)?.integers();
            let mut tiled = array.clone();
            for (axis, &count) in counts.iter().enumerate().take(array.rank()) {
                let length = array.shape[axis];
                let repeated = [count.max(0) as usize, tiled.data.len()];
                super::array::count(&repeated).ok_or_else(|| unfit("the number of repetitions"))?;
                let indices: Vec<usize> =
                    (0..length * count.max(0) as usize).map(|index| index % length).collect();
                tiled = tiled.taken(axis, &indices);
            }
            tiled
        }
        "Gather" => {
            let indices = parameters.required(1)?;
            let axis = parameters.axis(node.int("axis").unwrap_or(0), array.rank())?;
            let length = array.shape[axis];
            let index = |&value: &f64| {
                let index = if value < 0.0 { value + length as f64 } else { value };
                (0.0..length as f64).contains(&index).then_some(index as usize)
            };
            let at: Option<Vec<usize>> = indices.array.data.iter().map(index).collect();
            let taken = array.taken(axis, &at.ok_or_else(|| unfit("an index"))?);
            let shape = [&array.shape[..axis], &indices.array.shape, &array.shape[axis + 1..]].concat();
            taken.reshaped(shape).ok_or_else(|| unfit("an index"))?
        }
        "Slice" => sliced(array, parameters)?,
        "Split" => return split(array, parameters).map(Some),
        _ => return Ok(None),
    };
    Ok(Some(vec![one]))
}

/// The shape that `target` stands for: -1 is what is left, 0 the length that was there.
fn resolved(from: &[usize], target: &[i64], keep_zero: bool) -> Option<Vec<usize>> {
    let mut shape = Vec::new();
    let mut open = None;
    for (axis, &length) in target.iter().enumerate() {
        shape.push(match length {
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            0 if !keep_zero => *from.get(axis)?,
            length => usize::try_from(length).ok()?,
        });
    }
    if let Some(axis) = open {
        let rest: usize = shape.iter().product();
        let all: usize = from.iter().product();
        shape[axis] = all.checked_div(rest)?;
    }
    Some(shape)
}

fn sliced<T: Copy>(array: &Array<T>, parameters: &Parameters<'_>) -> Result<Array<T>, Problem> {
    let unknown = || parameters.problem("the ends depend on the recording; expected constants");
    let starts = parameters.ints(1, "starts").ok_or_else(unknown)?;
    let ends = parameters.ints(2, "ends").ok_or_else(unknown)?;
    let axes = parameters.ints(3, "axes").unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = parameters.ints(4, "steps").unwrap_or_else(|| vec![1; starts.len()]);
    let mut result = array.clone();
    for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = parameters.axis(axis, array.rank())?;
        let length = array.shape[axis] as i64;
        let from_front = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
        let indices: Vec<usize> = match step {
            1.. => {
                let (start, end) = (from_front(start).clamp(0, length), from_front(end).clamp(0, length));
                (start..end).step_by(step as usize).map(|index| index as usize).collect()
            }
            ..0 => {
                let (start, end) =
                    (from_front(start).clamp(-1, length - 1), from_front(end).clamp(-1, length - 1));
                let down = (end + 1..=start).rev().step_by(step.unsigned_abs() as usize);
                down.map(|index| index as usize).collect()
            }
            0 => return Err(parameters.problem("a step of 0; the file is damaged")),
        };
        result = result.taken(axis, &indices);
    }
    Ok(result)
}

fn split<T: Copy>(array: &Array<T>, parameters: &Parameters<'_>) -> Result<Vec<Array<T>>, Problem> {
    let node = parameters.node;
    let axis = parameters.axis(node.int("axis").unwrap_or(0), array.rank())?;
    let length = array.shape[axis];
    let parts = node.outputs.len();
    let sizes: Vec<usize> = match parameters.ints(1, "split") {
        Some(sizes) => sizes.iter().map(|&size| size.max(0) as usize).collect(),
        None => {
            let size = length.div_ceil(parts);
            (0..parts).map(|part| size.min(length.saturating_sub(part * size))).collect()
        }
    };
    if sizes.len() != parts || sizes.iter().sum::<usize>() != length {
        return Err(parameters.problem(format!("parts of {sizes:?} of {length}; the file is damaged")));
    }
    let mut from = 0;
    Ok(sizes
        .iter()
        .map(|&size| {
            let indices: Vec<usize> = (from..from + size).collect();
            from += size;
            array.taken(axis, &indices)
        })
        .collect())
}

/// The value of a node `Constant`.
pub(super) fn literal(node: &Node) -> Option<Constant> {
    use super::graph::Kind;
    let numbers = |shape: Vec<usize>, data: Vec<f64>, kind| Constant { array: Array::new(shape, data), kind };
    let attribute = |name: &str| node.attributes.get(name);
    Some(match node.attributes.values().next()? {
        Attribute::Tensor(constant) => constant.clone(),
        Attribute::Float(value) if attribute("value_float").is_some() => {
            numbers(vec![], vec![*value], Kind::Real)
        }
        Attribute::Int(value) if attribute("value_int").is_some() => {
            numbers(vec![], vec![*value as f64], Kind::Whole)
        }
        Attribute::Floats(values) => numbers(vec![values.len()], values.clone(), Kind::Real),
        Attribute::Ints(values) => {
            numbers(vec![values.len()], values.iter().map(|&value| value as f64).collect(), Kind::Whole)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_with_gaps() {
        assert_eq!(resolved(&[2, 3, 4], &[0, -1], false), Some(vec![2, 12]));
        assert_eq!(resolved(&[2, 3], &[-1, -1], false), None);
        assert_eq!(resolved(&[2, 3], &[4, 0], true), Some(vec![4, 0]));
    }
}
