//! FAVOR+ attention: kernel features.

use burn::tensor::{Tensor, TensorData, activation};
use fixformer::host::reference::attention::favor::{Favor, Features};

use super::{HIDDEN, Heads, Lengths, matrix};

pub(super) fn attend(
    favor: &Favor,
    causal: bool,
    Heads { query, key, value }: Heads,
    lengths: &Lengths,
) -> Tensor<4> {
    let valid = lengths.rows();
    let query = features(favor, query, |row| row.max_dim(3));
    let mut key = features(favor, key, |rows| {
        let rows = match &valid {
            Some(valid) => rows + valid.clone().sub_scalar(1.0).mul_scalar(-HIDDEN),
            None => rows,
        };
        rows.max_dim(3).max_dim(2)
    });
    if let Some(valid) = valid {
        key = key * valid;
    }
    let (numerator, denominator) = if causal {
        // Quadratic in time, but the sums up to every token would not fit in memory.
        let tokens = query.dims()[2];
        let past = matrix(tokens, tokens, |i, j| if j > i { 0.0 } else { 1.0 }, &query);
        let weights = query.matmul(key.transpose()) * past.unsqueeze::<4>();
        (weights.clone().matmul(value), weights.sum_dim(3))
    } else {
        let sums = key.clone().transpose().matmul(value);
        let denominator = (query.clone() * key.sum_dim(2)).sum_dim(3);
        (query.matmul(sums), denominator)
    };
    let nothing = denominator.clone().equal_elem(0.0);
    numerator / denominator.mask_fill(nothing, 1.0)
}

/// φ of every row, but for a factor that cancels. `largest` is the maximum over what shares an offset.
fn features(favor: &Favor, rows: Tensor<4>, largest: impl Fn(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
    let [recordings, heads, tokens, width] = rows.dims();
    let rows = rows.mul_scalar(favor.input_scale as f32);
    let u = match &favor.projection {
        Some(projection) => {
            let directions = projection.len() / width;
            let values: Vec<f32> = projection.iter().map(|&w| w as f32).collect();
            let projection: Tensor<2> =
                Tensor::from_data(TensorData::new(values, [directions, width]), &rows.device());
            let flat = rows.clone().reshape([recordings * heads * tokens, width]);
            flat.matmul(projection.transpose()).reshape([recordings, heads, tokens, directions])
        }
        None => rows.clone(),
    };
    if favor.features == Features::Relu {
        return activation::relu(u).add_scalar(favor.epsilon as f32);
    }
    let n = rows.square().sum_dim(3).div_scalar(2.0);
    let u = match favor.features {
        Features::Hyperbolic => Tensor::cat(vec![u.clone(), u.neg()], 3),
        _ => u,
    };
    let exponents = u.clone() - n;
    // Without ε the offset cancels: then the one that keeps single precision from running out.
    let offset = largest(if favor.epsilon == 0.0 { exponents.clone() } else { u }).detach();
    (exponents - offset).exp().add_scalar(favor.epsilon as f32)
}
