//! Coordinates in which the steps of a window are uncorrelated and of variance 1.
//!
//! Neighbouring samples of a signal are nearly equal, and gradient descent is slow in what is left between them. A
//! stem that learns in these coordinates (Kessy, Lewin and Strimmer 2018, with Cholesky factors) treats both alike; the
//! checkpoint has the product, so that the engine need not know.

use crate::batch::Reader;
use crate::data::Set;

/// `A`, `[values, values]` row by row, for which the windows of `set`, as rows, times `A` are white. `ridge` is a share
/// of the mean variance that is added to each variance: what is weaker than that stays weak.
pub fn matrix(reader: &Reader, set: &Set, ridge: f64) -> Vec<f32> {
    let size = reader.window_values();
    let mut covariance = covariance(reader, set, size);
    let mean = (0..size).map(|i| covariance[i * size + i]).sum::<f64>() / size as f64;
    // Signals that never change have no variance at all.
    let added = if mean > 0.0 { ridge * mean } else { 1.0 };
    (0..size).for_each(|i| covariance[i * size + i] += added);
    inverse_transposed(&cholesky(covariance, size), size).into_iter().map(|x| x as f32).collect()
}

fn covariance(reader: &Reader, set: &Set, size: usize) -> Vec<f64> {
    let (mut sums, mut products, mut count) = (vec![0.0; size], vec![0.0; size * size], 0.0);
    for row in &set.rows {
        for window in reader.windows(row, None).chunks_exact(size) {
            count += 1.0;
            for (i, &x) in window.iter().enumerate() {
                let x = f64::from(x);
                sums[i] += x;
                let products = &mut products[i * size..][..=i];
                products.iter_mut().zip(window).for_each(|(sum, &y)| *sum += x * f64::from(y));
            }
        }
    }
    let mut covariance = vec![0.0; size * size];
    for i in 0..size {
        for j in 0..=i {
            let value = products[i * size + j] / count - sums[i] * sums[j] / (count * count);
            covariance[i * size + j] = value;
            covariance[j * size + i] = value;
        }
    }
    covariance
}

/// In its lower triangle `L` with `L · Lᵀ = matrix`, which is positive definite.
fn cholesky(mut matrix: Vec<f64>, size: usize) -> Vec<f64> {
    for i in 0..size {
        for j in 0..=i {
            let before: f64 = (0..j).map(|k| matrix[i * size + k] * matrix[j * size + k]).sum();
            let rest = matrix[i * size + j] - before;
            matrix[i * size + j] = if i == j { rest.sqrt() } else { rest / matrix[j * size + j] };
        }
    }
    matrix
}

/// `L⁻ᵀ` of a lower triangle.
fn inverse_transposed(lower: &[f64], size: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; size * size];
    for column in 0..size {
        for row in column..size {
            let unit = if row == column { 1.0 } else { 0.0 };
            let before: f64 = (column..row).map(|k| lower[row * size + k] * inverse[column * size + k]).sum();
            inverse[column * size + row] = (unit - before) / lower[row * size + row];
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;
    use fixformer::host::draw::Source;
    use fixformer::host::import::description::{InputKind, Window};

    #[test]
    fn windows_become_white() {
        let input = InputKind::Samples {
            channels: 1,
            scale: 1e-3.into(),
            unit: None,
            remove_mean: false,
            standardize: false,
            running: None,
            normalize: false,
            window: Window { width: 4, stride: 1 },
        };
        let mut source = Source(1);
        let mut x = 0.0;
        let row = (0..5000).map(|_| {
            x = 0.95 * x + 200.0 * (source.uniform() - 0.5);
            (x + 300.0) as i16
        });
        let set = Set { rows: vec![row.collect()], labels: vec![0] };
        let reader = Reader::new(&input, &set);
        let matrix = matrix(&reader, &set, 0.0);
        let windows = reader.windows(&set.rows[0], None);
        let white: Vec<Vec<f64>> = windows
            .chunks(4)
            .map(|x| (0..4).map(|j| (0..4).map(|i| f64::from(x[i] * matrix[i * 4 + j])).sum()).collect())
            .collect();
        let count = white.len() as f64;
        let mean = |f: &dyn Fn(&[f64]) -> f64| white.iter().map(|x| f(x)).sum::<f64>() / count;
        for i in 0..4 {
            for j in 0..4 {
                let found = mean(&|x| x[i] * x[j]) - mean(&|x| x[i]) * mean(&|x| x[j]);
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((found - expected).abs() < 1e-3, "{i}, {j}: {found}");
            }
        }
    }

    #[test]
    fn a_signal_that_never_changes_is_left_as_it_is() {
        let input = InputKind::Samples {
            channels: 1,
            scale: 1.0.into(),
            unit: None,
            remove_mean: false,
            standardize: false,
            running: None,
            normalize: false,
            window: Window { width: 2, stride: 2 },
        };
        let set = Set { rows: vec![vec![7; 8]], labels: vec![0] };
        assert_eq!(matrix(&Reader::new(&input, &set), &set, 0.0), [1.0, 0.0, 0.0, 1.0]);
    }
}
