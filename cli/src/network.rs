//! The float checkpoint beside a model.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use fixformer::Model;
use fixformer::host::import;
use fixformer::host::reference::{Input, Network};

use crate::recordings::Wanted;

/// Where the float checkpoint of a model is, if it is not beside the model.
#[derive(Args)]
pub(crate) struct Checkpoint {
    /// Description of the float model (TOML) [default: beside FXM, ending in .toml]
    #[arg(long, value_name = "TOML", requires = "weights")]
    model: Option<PathBuf>,
    /// Weights of the float model [default: beside FXM, ending in .safetensors]
    #[arg(long, value_name = "SAFETENSORS", requires = "model")]
    weights: Option<PathBuf>,
}

impl Checkpoint {
    /// The network that `model`, read from `path`, was made of; none if nobody says where it is.
    pub(crate) fn import(&self, path: &Path, model: &Model<'_>) -> Result<Option<Network>> {
        let beside = (path.with_extension("toml"), path.with_extension("safetensors"));
        let (description, weights) = match (&self.model, &self.weights) {
            (Some(description), Some(weights)) => (description, weights),
            _ if beside.0.exists() && beside.1.exists() => (&beside.0, &beside.1),
            _ => {
                eprintln!(
                    "hint: no float reference: {} and {} do not both exist; give `--model M.toml --weights \
                     W.safetensors` to compare with it",
                    beside.0.display(),
                    beside.1.display()
                );
                return Ok(None);
            }
        };
        let network = import::network(description, weights)?;
        check(&network, description, weights, path, model)?;
        Ok(Some(network))
    }
}

/// What `network` asks of its recordings.
pub(crate) fn wanted(network: &Network) -> Wanted {
    match &network.input {
        Input::Samples { channels, scale, .. } => Wanted { channels: *channels, scale: Some(*scale) },
        Input::OneHot { .. } | Input::Tokens { .. } => Wanted { channels: 1, scale: None },
    }
}

/// A checkpoint of another shape cannot be the one that the model was made of.
fn check(
    network: &Network,
    description: &Path,
    weights: &Path,
    path: &Path,
    model: &Model<'_>,
) -> Result<()> {
    let different = [
        ("classes", network.head.outputs, model.classes, weights),
        ("width", network.head.inputs, model.width, description),
        ("layers", network.blocks.len(), model.block_count, description),
        ("values per step", wanted(network).channels, model.input.step_values(), description),
    ];
    for (what, float, fixed, file) in different {
        if float != fixed {
            bail!(
                "{}: {what}: {float} found, {fixed} expected as in {}; give the checkpoint that this model was \
                 quantized from",
                file.display(),
                path.display()
            );
        }
    }
    Ok(())
}
