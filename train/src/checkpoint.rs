//! Files of weights.

use std::path::Path;

use anyhow::Result;
use fixformer::host::file;
use fixformer::host::import::description::{Description, Layout};
use safetensors::tensor::{Dtype, TensorView};

use crate::model::Model;
use crate::parameters::{Parameters, Role};

/// Writes `parameters` and the constants of `model` to `path`, which holds either what it held or all of it.
///
/// # Errors
/// The file cannot be written, for example because the disk is full.
pub fn save(model: &Model, parameters: &Parameters, description: &Description, path: &Path) -> Result<()> {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for parameter in &parameters.list {
        let value = parameter.seen().inner();
        let (value, shape) = match (parameter.role, description.tensors.layout) {
            (Role::Vector, _) => (value.clone(), vec![value.dims()[1]]),
            (Role::Weight, Layout::OutIn) => (value.clone().transpose(), value.transpose().dims().to_vec()),
            _ => (value.clone(), value.dims().to_vec()),
        };
        let values: Vec<f32> = value.into_data().try_into_vec().expect("single precision");
        tensors.push((parameter.name.clone(), shape, bytes(&values)));
    }
    for (name, values) in model.constants(description) {
        let values: Vec<f32> = values.iter().map(|&x| x as f32).collect();
        tensors.push((name, vec![values.len()], bytes(&values)));
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes)?;
        Ok((name.as_str(), view))
    });
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    let bytes = safetensors::serialize(views, None)?;
    Ok(file::replace(path, &bytes)?)
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
