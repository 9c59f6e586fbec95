//! Projections that share a tensor: query, key and value in one matrix, as `in_proj_weight` of PyTorch has them.

use std::vec::Vec;

use super::description::Fused;

/// The part of a tensor's outputs that one of those that share it takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// Which of them it is.
    pub(super) index: usize,
    /// How many share it.
    pub(super) count: usize,
    /// How their outputs lie.
    pub(super) order: Fused,
    pub(super) heads: usize,
}

impl Part {
    /// All of a tensor.
    pub(super) const WHOLE: Self = Self { index: 0, count: 1, order: Fused::Chunked, heads: 1 };

    /// Of the tensor `names[at]`, which those of the same name share in their order.
    pub(super) fn of<'n>(names: &[Option<&'n str>], at: usize, order: Fused, heads: usize) -> Self {
        let same = |name: &&Option<&'n str>| name.is_some() && **name == names[at];
        let count = names.iter().filter(same).count().max(1);
        let index = names[..at].iter().filter(same).count();
        Self { index, count, order, heads }
    }

    /// Its columns of `values`, `[rows, count · outputs]`.
    pub(super) fn columns(self, values: &[f64], outputs: usize) -> Vec<f64> {
        let total = self.count * outputs;
        let width = match self.order {
            Fused::Chunked => outputs,
            Fused::PerHead => outputs / self.heads,
        };
        let groups = outputs / width;
        let rows = values.chunks_exact(total);
        rows.flat_map(|row| {
            (0..groups).flat_map(move |group| &row[(group * self.count + self.index) * width..][..width])
        })
        .copied()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_one_name_share_it_in_their_order() {
        let part = |names: &[Option<&str>], at| {
            let Part { index, count, .. } = Part::of(names, at, Fused::Chunked, 2);
            (index, count)
        };
        let all = [Some("qkv"); 3];
        assert_eq!([0, 1, 2].map(|at| part(&all, at)), [(0, 3), (1, 3), (2, 3)]);
        let two = [Some("q"), Some("kv"), Some("kv")];
        assert_eq!([0, 1, 2].map(|at| part(&two, at)), [(0, 1), (0, 2), (1, 2)]);
        assert_eq!(part(&[None; 3], 1), (0, 1));
    }

    #[test]
    fn chunks_of_all_heads_and_of_each() {
        // One row; outputs 2 of 2 heads, three that share.
        let values: Vec<f64> = (0..12).map(f64::from).collect();
        let take = |order, index| Part { index, count: 3, order, heads: 2 }.columns(&values, 4);
        assert_eq!(take(Fused::Chunked, 1), [4.0, 5.0, 6.0, 7.0]);
        assert_eq!(take(Fused::PerHead, 1), [2.0, 3.0, 8.0, 9.0]);
    }
}
