//! Arrays of any element, and what moves elements about without a look at them.

/// Row-major elements.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array<T> {
    /// Length of each axis.
    pub(super) shape: Vec<usize>,
    /// As many as the product of the shape.
    pub(super) data: Vec<T>,
}

impl<T: Copy> Array<T> {
    pub(super) fn new(shape: Vec<usize>, data: Vec<T>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len());
        Self { shape, data }
    }

    pub(super) fn rank(&self) -> usize {
        self.shape.len()
    }

    pub(super) fn map<U>(&self, f: impl FnMut(T) -> U) -> Array<U> {
        Array { shape: self.shape.clone(), data: self.data.iter().copied().map(f).collect() }
    }

    /// The same elements in another shape; none if the counts differ.
    pub(super) fn reshaped(self, shape: Vec<usize>) -> Option<Self> {
        (count(&shape) == Some(self.data.len())).then_some(Self { shape, data: self.data })
    }

    /// Axis `i` of the result is axis `order[i]` of `self`.
    pub(super) fn transposed(&self, order: &[usize]) -> Self {
        let strides = strides(&self.shape);
        let shape: Vec<usize> = order.iter().map(|&axis| self.shape[axis]).collect();
        let steps: Vec<usize> = order.iter().map(|&axis| strides[axis]).collect();
        self.walked(shape, &steps)
    }

    /// The last two axes exchanged.
    pub(super) fn matrices_transposed(&self) -> Self {
        let mut order: Vec<usize> = (0..self.rank()).collect();
        let rank = order.len();
        order.swap(rank - 1, rank - 2);
        self.transposed(&order)
    }

    /// Along `axis`, the elements at `indices`, in that order.
    pub(super) fn taken(&self, axis: usize, indices: &[usize]) -> Self {
        let inner: usize = self.shape[axis + 1..].iter().product();
        let outer: usize = self.shape[..axis].iter().product();
        let mut data = Vec::with_capacity(outer * indices.len() * inner);
        for block in 0..outer {
            for &index in indices {
                let from = (block * self.shape[axis] + index) * inner;
                data.extend_from_slice(&self.data[from..from + inner]);
            }
        }
        let mut shape = self.shape.clone();
        shape[axis] = indices.len();
        Self { shape, data }
    }

    /// Repeated along axes of length 1 and new leading axes; none if the shapes do not fit.
    pub(super) fn broadcast(&self, shape: &[usize]) -> Option<Self> {
        if self.shape == shape {
            return Some(self.clone());
        }
        let lead = shape.len().checked_sub(self.rank())?;
        count(shape)?;
        let own = strides(&self.shape);
        let mut steps = vec![0; lead];
        for (axis, &length) in self.shape.iter().enumerate() {
            match length {
                length if length == shape[lead + axis] => steps.push(own[axis]),
                1 => steps.push(0),
                _ => return None,
            }
        }
        Some(self.walked(shape.to_vec(), &steps))
    }

    /// Several side by side along `axis`; none if their other axes differ.
    pub(super) fn concatenated(arrays: &[&Self], axis: usize) -> Option<Self> {
        let mut shape = arrays.first()?.shape.clone();
        let others = |shape: &[usize]| [&shape[..axis], &shape[axis + 1..]].concat();
        if axis >= shape.len() || arrays.iter().any(|array| array.rank() != shape.len()) {
            return None;
        }
        if arrays.iter().any(|array| others(&array.shape) != others(&shape)) {
            return None;
        }
        shape[axis] = arrays.iter().map(|array| array.shape[axis]).sum();
        let outer: usize = shape[..axis].iter().product();
        let mut data = Vec::with_capacity(shape.iter().product());
        for block in 0..outer {
            for array in arrays {
                let length: usize = array.shape[axis..].iter().product();
                data.extend_from_slice(&array.data[block * length..][..length]);
            }
        }
        Some(Self { shape, data })
    }

    /// The array of `shape` whose element at an index is that of `self` at the sum of index · step.
    fn walked(&self, shape: Vec<usize>, steps: &[usize]) -> Self {
        let total = shape.iter().product();
        let mut data = Vec::with_capacity(total);
        let (mut index, mut at) = (vec![0; shape.len()], 0);
        for _ in 0..total {
            data.push(self.data[at]);
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                at += steps[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                at -= steps[axis] * shape[axis];
                index[axis] = 0;
            }
        }
        Self { shape, data }
    }
}

/// The shape that both broadcast to.
pub(super) fn common_shape(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let length = |shape: &[usize], axis: usize| match (axis + shape.len()).checked_sub(rank) {
        Some(axis) => shape[axis],
        None => 1,
    };
    (0..rank)
        .map(|axis| match (length(a, axis), length(b, axis)) {
            (1, other) | (other, 1) => Some(other),
            (one, other) => (one == other).then_some(one),
        })
        .collect()
}

/// Most elements of an array: no network that a model file has room for has a larger one.
const MOST: usize = 1 << 26;

/// The product of the lengths, if it is no more than an array may have.
pub(super) fn count(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |product, &length| product.checked_mul(length))
        .filter(|&count| count <= MOST)
}

/// Elements from one index of each axis to the next.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(shape: &[usize]) -> Array<usize> {
        Array::new(shape.to_vec(), (0..shape.iter().product()).collect())
    }

    #[test]
    fn axes_change_places() {
        let array = counting(&[2, 3, 4]).transposed(&[2, 0, 1]);
        assert_eq!(array.shape, [4, 2, 3]);
        assert_eq!(array.data[..6], [0, 4, 8, 12, 16, 20]);
        assert_eq!(counting(&[2, 3]).matrices_transposed().data, [0, 3, 1, 4, 2, 5]);
    }

    #[test]
    fn parts_are_taken_and_put_side_by_side() {
        let array = counting(&[2, 3]);
        let (first, rest) = (array.taken(1, &[0]), array.taken(1, &[1, 2]));
        assert_eq!(rest.data, [1, 2, 4, 5]);
        assert_eq!(Array::concatenated(&[&first, &rest], 1), Some(array));
        assert_eq!(Array::concatenated(&[&first, &rest], 0), None);
    }

    #[test]
    fn shapes_broadcast_from_the_back() {
        assert_eq!(common_shape(&[4, 1, 3], &[2, 1]), Some(vec![4, 2, 3]));
        assert_eq!(common_shape(&[4, 3], &[2, 3]), None);
        assert_eq!(counting(&[2, 1]).broadcast(&[2, 2]).unwrap().data, [0, 0, 1, 1]);
        assert_eq!(counting(&[2]).broadcast(&[3]), None);
    }
}
