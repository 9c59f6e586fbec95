//! Affine maps one after another are one.

use fixformer::host::reference::Linear;

use super::expression::{Expression, Expressions, Id};

impl Expressions {
    /// What an affine expression is a map of.
    pub(super) fn below(&self, id: Id) -> Option<Id> {
        match self.get(id) {
            Expression::Affine { of, .. }
            | Expression::Scaled { of, .. }
            | Expression::Selected { of, .. } => Some(*of),
            _ => None,
        }
    }

    /// The first expression below `id`, or `id`, that is no affine map of another.
    pub(super) fn base(&self, mut id: Id) -> Id {
        while let Some(below) = self.below(id) {
            id = below;
        }
        id
    }

    /// The nearest expression below both, if there is one.
    fn common(&self, a: Id, b: Id) -> Option<Id> {
        let chain = |id: Id| std::iter::successors(Some(id), |&id| self.below(id));
        chain(a).find(|&id| chain(b).any(|other| other == id))
    }

    /// The map from `base` to `id`; none if `id` is no affine map of it. `base` itself gives the identity.
    pub(super) fn map_from(&self, base: Id, id: Id) -> Option<Linear> {
        let mut path = Vec::new();
        let mut at = id;
        while at != base {
            path.push(at);
            at = self.below(at)?;
        }
        let mut map: Option<Linear> = None;
        for &id in path.iter().rev() {
            let inputs = self.entry(self.below(id)?).features;
            map = Some(match self.get(id) {
                Expression::Affine { map: next, .. } => match map {
                    Some(map) => composed(&map, next),
                    None => next.clone(),
                },
                Expression::Scaled { factor, shift, .. } => {
                    let mut map = map.unwrap_or_else(|| identity(inputs));
                    map.weights.iter_mut().zip(factor.iter().cycle()).for_each(|(w, factor)| *w *= factor);
                    let bias = map.bias.iter_mut().zip(factor).zip(shift);
                    bias.for_each(|((b, factor), shift)| *b = *b * factor + shift);
                    map
                }
                Expression::Selected { features, .. } => {
                    selected(&map.unwrap_or_else(|| identity(inputs)), features)
                }
                _ => return None,
            });
        }
        Some(map.unwrap_or_else(|| identity(self.entry(id).features)))
    }

    /// The columns of `b` after those of `a`, and where they begin; none if they come from different tensors.
    pub(super) fn beside(&mut self, a: Id, b: Id, place: &str) -> Option<(Id, usize)> {
        let (tokens, offset) = (self.entry(a).tokens, self.entry(a).features);
        let features = offset + self.entry(b).features;
        let joined = match (self.get(a).clone(), self.get(b).clone()) {
            (
                Expression::Attention { q, k, v, heads, scale, causal },
                Expression::Attention { q: q2, k: k2, v: v2, heads: more, scale: scale2, causal: causal2 },
            ) => {
                let width = |this: &Self, id: Id, heads: usize| this.entry(id).features / heads;
                if (width(self, q, heads), scale, causal) != (width(self, q2, more), scale2, causal2) {
                    return None;
                }
                let (q, _) = self.beside(q, q2, place)?;
                let (k, _) = self.beside(k, k2, place)?;
                let (v, _) = self.beside(v, v2, place)?;
                Expression::Attention { q, k, v, heads: heads + more, scale, causal }
            }
            _ => {
                let of = self.common(a, b)?;
                let (a, b) = (self.map_from(of, a)?, self.map_from(of, b)?);
                let rows = a.weights.chunks(a.outputs).zip(b.weights.chunks(b.outputs));
                let weights = rows.flat_map(|(a, b)| [a, b].concat()).collect();
                let bias = [a.bias, b.bias].concat();
                Expression::Affine { of, map: Linear { inputs: a.inputs, outputs: features, weights, bias } }
            }
        };
        Some((self.add(joined, tokens, features, place), offset))
    }
}

/// The map that changes nothing.
pub(super) fn identity(width: usize) -> Linear {
    let weights =
        (0..width * width).map(|index| f64::from(u8::from(index / width == index % width))).collect();
    Linear { inputs: width, outputs: width, weights, bias: vec![0.0; width] }
}

/// `first`, then `next`.
pub(super) fn composed(first: &Linear, next: &Linear) -> Linear {
    let row = |row: &[f64], bias: &[f64]| {
        let mut sum = bias.to_vec();
        for (x, weights) in row.iter().zip(next.weights.chunks(next.outputs)) {
            if *x != 0.0 {
                sum.iter_mut().zip(weights).for_each(|(sum, w)| *sum += x * w);
            }
        }
        sum
    };
    let none = vec![0.0; next.outputs];
    let weights = first.weights.chunks(first.outputs).flat_map(|weights| row(weights, &none)).collect();
    Linear { inputs: first.inputs, outputs: next.outputs, weights, bias: row(&first.bias, &next.bias) }
}

/// Some of the outputs.
pub(super) fn selected(map: &Linear, features: &[usize]) -> Linear {
    let pick = |row: &[f64]| features.iter().map(|&feature| row[feature]).collect::<Vec<f64>>();
    let weights = map.weights.chunks(map.outputs).flat_map(pick).collect();
    Linear { inputs: map.inputs, outputs: features.len(), weights, bias: pick(&map.bias) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_follow_one_another() {
        let first = Linear { inputs: 1, outputs: 2, weights: vec![1.0, 2.0], bias: vec![1.0, 0.0] };
        let next = Linear { inputs: 2, outputs: 2, weights: vec![1.0, 3.0, 2.0, 4.0], bias: vec![0.5, 0.0] };
        let both = composed(&first, &next);
        assert_eq!((both.weights, both.bias), (vec![5.0, 11.0], vec![1.5, 3.0]));
        assert_eq!(composed(&first, &identity(2)), first);
        assert_eq!(selected(&first, &[1]).weights, [2.0]);
    }
}
