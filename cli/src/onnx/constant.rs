//! Operators on numbers that do not depend on the recording: shapes, masks, tables of positions.

use super::array::{Array, common_shape, count};
use super::elementwise::{binary, unary};
use super::error::Problem;
use super::graph::{Constant, Kind, Node};
use super::layout::{Parameters, literal, moved};

/// The outputs of a node all of whose inputs are constants; none for an operator that is not folded.
pub(super) fn folded(parameters: &Parameters<'_>) -> Result<Option<Vec<Constant>>, Problem> {
    let node = parameters.node;
    let unfit = || parameters.problem("its inputs have shapes that do not fit; the file is damaged");
    if node.operator == "Constant" {
        return match literal(node) {
            Some(constant) => Ok(Some(vec![constant])),
            None => Err(parameters.problem("has no numbers; expected a tensor")),
        };
    }
    let Some(first) = parameters.constants.first().copied().flatten() else { return Ok(None) };
    if let Some(arrays) = moved(&first.array, parameters)? {
        return Ok(Some(arrays.into_iter().map(|array| Constant { array, kind: first.kind }).collect()));
    }
    if let Some((function, kind)) = unary(node, first.kind) {
        return Ok(Some(vec![Constant { array: first.array.map(function), kind }]));
    }
    if let Some((function, kind)) = binary(node, first.kind) {
        let mut result = first.clone();
        for index in 1..node.inputs.len() {
            result = combined(&result, parameters.required(index)?, &function, kind).ok_or_else(unfit)?;
        }
        return Ok(Some(vec![Constant { kind, ..result }]));
    }
    let real = |array: Array<f64>| Constant { array, kind: first.kind };
    Ok(Some(vec![match &*node.operator {
        "Cast" | "CastLike" => cast(parameters, first)?,
        "Size" => Constant::whole([first.array.data.len()]).scalar(),
        "ConstantOfShape" => {
            let shape = first.integers().into_iter().map(|length| length.max(0) as usize).collect::<Vec<_>>();
            let value = literal(node);
            let kind = value.as_ref().map_or(Kind::Real, |value| value.kind);
            let value = value.and_then(|value| value.uniform()).unwrap_or(0.0);
            let scalar = Array::new(vec![], vec![value]);
            Constant { array: scalar.broadcast(&shape).ok_or_else(unfit)?, kind }
        }
        "Range" => {
            let number = |index| Ok::<_, Problem>(parameters.required(index)?.uniform().unwrap_or(0.0));
            let (start, limit, step) = (number(0)?, number(1)?, number(2)?);
            let wanted = ((limit - start) / step).ceil().max(0.0) as usize;
            let count = count(&[wanted]).ok_or_else(|| {
                parameters.problem(format!("has {wanted} numbers, more than any network here has"))
            })?;
            let data: Vec<f64> = (0..count).map(|index| start + index as f64 * step).collect();
            real(Array::new(vec![count], data))
        }
        "Where" => {
            chosen(&first.array, parameters.required(1)?, parameters.required(2)?).ok_or_else(unfit)?
        }
        "Clip" => {
            let (low, high) = limits(parameters);
            real(first.array.map(|x| x.max(low).min(high)))
        }
        "Concat" => {
            let all: Vec<&Array<f64>> = (0..node.inputs.len())
                .map(|index| parameters.required(index).map(|constant| &constant.array))
                .collect::<Result<_, _>>()?;
            let axis = parameters.axis(node.int("axis").unwrap_or(0), first.array.rank())?;
            real(Array::concatenated(&all, axis).ok_or_else(unfit)?)
        }
        "Trilu" => triangle(parameters, first),
        "CumSum" => {
            let axis = parameters.required(1)?.uniform().unwrap_or(0.0) as i64;
            let axis = parameters.axis(axis, first.array.rank())?;
            let mut array = first.array.clone();
            let inner: usize = array.shape[axis + 1..].iter().product();
            let length = array.shape[axis];
            for index in 0..array.data.len() {
                if !(index / inner).is_multiple_of(length) {
                    array.data[index] += array.data[index - inner];
                }
            }
            real(array)
        }
        "NonZero" => {
            let strides = super::array::strides(&first.array.shape);
            let found: Vec<usize> =
                (0..first.array.data.len()).filter(|&i| first.array.data[i] != 0.0).collect();
            let index = |axis: usize| {
                let (stride, length) = (strides[axis], first.array.shape[axis]);
                found.iter().map(move |&flat| (flat / stride % length) as f64)
            };
            let data: Vec<f64> = (0..strides.len()).flat_map(index).collect();
            Constant { array: Array::new(vec![strides.len(), found.len()], data), kind: Kind::Whole }
        }
        "MatMul" if first.array.rank() == 2 && parameters.required(1)?.array.rank() == 2 => {
            real(product(&first.array, &parameters.required(1)?.array).ok_or_else(unfit)?)
        }
        "Einsum" if node.text("equation").is_some_and(is_outer) => {
            let second = &parameters.required(1)?.array;
            let shape = vec![first.array.data.len(), second.data.len()];
            let data = first.array.data.iter().flat_map(|a| second.data.iter().map(move |b| a * b)).collect();
            real(Array::new(shape, data))
        }
        "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceProd" => {
            real(reduced(parameters, first)?)
        }
        "EyeLike" => {
            let columns = first.array.shape.get(1).copied().unwrap_or(1);
            let k = node.int("k").unwrap_or(0);
            let mut array = first.array.clone();
            for (index, x) in array.data.iter_mut().enumerate() {
                *x = f64::from(u8::from((index % columns) as i64 - (index / columns) as i64 == k));
            }
            real(array)
        }
        _ => return Ok(None),
    }]))
}

impl Constant {
    fn scalar(mut self) -> Self {
        self.array.shape.clear();
        self
    }
}

/// `i,j->ij`, whatever the letters.
fn is_outer(equation: &str) -> bool {
    let equation: Vec<char> = equation.chars().filter(|c| !c.is_whitespace()).collect();
    matches!(equation[..], [a, ',', b, '-', '>', c, d] if a != b && a == c && b == d)
}

/// Two arrays, element by element.
pub(super) fn combined(
    a: &Constant,
    b: &Constant,
    function: &dyn Fn(f64, f64) -> f64,
    kind: Kind,
) -> Option<Constant> {
    let shape = common_shape(&a.array.shape, &b.array.shape)?;
    let (a, b) = (a.array.broadcast(&shape)?, b.array.broadcast(&shape)?);
    let data = a.data.iter().zip(&b.data).map(|(&a, &b)| function(a, b)).collect();
    Some(Constant { array: Array { shape, data }, kind })
}

fn chosen(condition: &Array<f64>, yes: &Constant, no: &Constant) -> Option<Constant> {
    let shape = common_shape(&common_shape(&condition.shape, &yes.array.shape)?, &no.array.shape)?;
    let [condition, yes_array, no_array] =
        [condition, &yes.array, &no.array].map(|array| array.broadcast(&shape));
    let (condition, a, b) = (condition?, yes_array?, no_array?);
    let data = condition.data.iter().zip(a.data.iter().zip(&b.data));
    let data = data.map(|(&c, (&a, &b))| if c != 0.0 { a } else { b }).collect();
    Some(Constant { array: Array { shape, data }, kind: yes.kind })
}

fn cast(parameters: &Parameters<'_>, from: &Constant) -> Result<Constant, Problem> {
    let kind = match parameters.node.int("to") {
        Some(element) => i32::try_from(element).ok().and_then(Kind::of),
        None => Some(parameters.required(1)?.kind),
    };
    let kind = kind.ok_or_else(|| parameters.problem("to elements that are no numbers"))?;
    let array = from.array.map(|x| match kind {
        Kind::Real => x,
        Kind::Whole => x.trunc(),
        Kind::Flag => f64::from(u8::from(x != 0.0)),
    });
    Ok(Constant { array, kind })
}

/// Both ends of a `Clip`.
pub(super) fn limits(parameters: &Parameters<'_>) -> (f64, f64) {
    let limit = |input: usize, attribute: &str, none: f64| {
        let constant = parameters.constants.get(input).copied().flatten();
        constant.and_then(Constant::uniform).or(parameters.node.float(attribute)).unwrap_or(none)
    };
    (limit(1, "min", f64::NEG_INFINITY), limit(2, "max", f64::INFINITY))
}

fn triangle(parameters: &Parameters<'_>, from: &Constant) -> Constant {
    let k = parameters.constants.get(1).copied().flatten().and_then(Constant::uniform).unwrap_or(0.0) as i64;
    let upper = parameters.node.int("upper").unwrap_or(1) == 1;
    let mut array = from.array.clone();
    let rank = array.rank();
    let (rows, columns) = (array.shape[rank - 2], array.shape[rank - 1]);
    for (index, x) in array.data.iter_mut().enumerate() {
        let above = (index % columns) as i64 - (index / columns % rows) as i64;
        if (upper && above < k) || (!upper && above > k) {
            *x = 0.0;
        }
    }
    Constant { array, kind: from.kind }
}

fn product(a: &Array<f64>, b: &Array<f64>) -> Option<Array<f64>> {
    let ([rows, inner], [other, columns]) = (&a.shape[..], &b.shape[..]) else { return None };
    if inner != other {
        return None;
    }
    let entry = |row: usize, column: usize| {
        (0..*inner).map(|i| a.data[row * inner + i] * b.data[i * columns + column]).sum()
    };
    let data = (0..rows * columns).map(|index| entry(index / columns, index % columns)).collect();
    Some(Array::new(vec![*rows, *columns], data))
}

/// The axes over which a node reduces a tensor of `rank` axes.
pub(super) fn reduced_axes(parameters: &Parameters<'_>, rank: usize) -> Result<Vec<usize>, Problem> {
    match parameters.ints(1, "axes") {
        Some(axes) if !axes.is_empty() => parameters.axes(&axes, rank),
        _ if parameters.node.int("noop_with_empty_axes") == Some(1) => Ok(vec![]),
        _ => Ok((0..rank).collect()),
    }
}

/// The groups of elements that become one each, and the shape of the results.
pub(super) fn groups<T: Copy>(array: &Array<T>, axes: &[usize], keep: bool) -> (Vec<usize>, Vec<Vec<T>>) {
    let kept: Vec<usize> = (0..array.rank()).filter(|axis| !axes.contains(axis)).collect();
    let order = [&kept[..], axes].concat();
    let size: usize = axes.iter().map(|&axis| array.shape[axis]).product();
    let sorted = array.transposed(&order);
    let shape = (0..array.rank()).filter(|axis| keep || kept.contains(axis));
    let shape = shape.map(|axis| if axes.contains(&axis) { 1 } else { array.shape[axis] }).collect();
    (shape, sorted.data.chunks(size.max(1)).map(<[T]>::to_vec).collect())
}

fn reduced(parameters: &Parameters<'_>, from: &Constant) -> Result<Array<f64>, Problem> {
    let axes = reduced_axes(parameters, from.array.rank())?;
    let (shape, groups) = groups(&from.array, &axes, parameters.node.int("keepdims") != Some(0));
    let one = |values: &Vec<f64>| match &*parameters.node.operator {
        "ReduceSum" => values.iter().sum(),
        "ReduceProd" => values.iter().product(),
        "ReduceMax" => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        "ReduceMin" => values.iter().copied().fold(f64::INFINITY, f64::min),
        _ => values.iter().sum::<f64>() / values.len() as f64,
    };
    Ok(Array::new(shape, groups.iter().map(one).collect()))
}

/// The lengths of a tensor, as `Shape` gives them.
pub(super) fn lengths(node: &Node, shape: &[usize]) -> Constant {
    let rank = shape.len() as i64;
    let bound = |name: &str, default: i64| {
        let value = node.int(name).unwrap_or(default);
        (if value < 0 { value + rank } else { value }).clamp(0, rank) as usize
    };
    let (start, end) = (bound("start", 0), bound("end", rank));
    Constant::whole(shape[start.min(end)..end].iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_follow_the_kept_axes() {
        let array = Array::new(vec![2, 3], vec![0, 1, 2, 3, 4, 5]);
        assert_eq!(groups(&array, &[0], false), (vec![3], vec![vec![0, 3], vec![1, 4], vec![2, 5]]));
        assert_eq!(groups(&array, &[1], true).0, [2, 1]);
    }

    #[test]
    fn outer_products_in_words() {
        assert!(is_outer("i, j -> ij"));
        assert!(!is_outer("i,j->ji"));
        assert!(!is_outer("ij,jk->ik"));
    }
}
