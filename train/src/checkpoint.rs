//! Files of weights, written so that there is always a whole one.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use fixformer::host::import::description::{Description, Layout};
use safetensors::tensor::{Dtype, TensorView};

use crate::model::Model;
use crate::parameters::{Parameters, Role};

/// Writes `parameters` and the constants of `model` to `path`, which holds either what it held or all of it: the file
/// is written beside it and renamed.
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
    write(path, &bytes)
        .with_context(|| format!("{}: cannot be written; what was there before is as it was", path.display()))
}

/// Replaces a file as a whole.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().context("no name of a file")?.to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let written = File::create(&part)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        // What is there of it is of no use; the error that counts is the first.
        let _ = fs::remove_file(&part);
    }
    Ok(written?)
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
