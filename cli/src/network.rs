//! The float checkpoint beside a model.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use fixformer::Model;
use fixformer::host::import::{Precision, Source, description};
use fixformer::host::reference::{Input, Network};
use fixformer::host::scale::SampleScale;

use crate::recordings::Wanted;

/// Where the float checkpoint of a model is, if it is not beside the model.
#[derive(Args)]
pub(crate) struct Checkpoint {
    /// Description of the float model (TOML), or a Hugging Face config.json [default: beside FXM, ending in .toml;
    /// with --weights, the configuration in their metadata]
    #[arg(long, value_name = "TOML|JSON", requires = "weights")]
    model: Option<PathBuf>,
    /// Weights of the float model [default: beside FXM, ending in .safetensors]
    #[arg(long, value_name = "SAFETENSORS")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    open: Open,
}

/// What a checkpoint leaves open.
#[derive(Args)]
pub(crate) struct Open {
    /// What a Hugging Face model draws anew on every run and a device needs fixed: the tensors `rotations` (Reformer)
    /// or `rand_blocks.{layer}` (BigBird) [default: drawn once, or --plan]
    #[arg(long, value_name = "SAFETENSORS")]
    frozen: Option<PathBuf>,
    /// Random blocks of a Hugging Face BigBird without --frozen: those of its evaluation mode, or drawn ones
    #[arg(long, value_enum, default_value_t = Plan::Zero)]
    plan: Plan,
    /// Most tokens of a sequence, which the arena grows with [default: as many as there are positions]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Plan {
    Zero,
    Drawn,
}

impl Open {
    /// The network of these files; no `description` where the weights have a configuration.
    pub(crate) fn network(&self, description: Option<&Path>, weights: &Path) -> Result<Network> {
        Ok(self.read(description, weights)?.0)
    }

    /// The same, and the format of the weights.
    pub(crate) fn read(&self, description: Option<&Path>, weights: &Path) -> Result<(Network, Precision)> {
        let source = Source {
            description: description.map(Path::to_owned),
            weights: weights.to_owned(),
            frozen: self.frozen.clone(),
            max_tokens: self.max_tokens.map(|count| count as usize),
            plan: match self.plan {
                Plan::Zero => description::Plan::Zero,
                Plan::Drawn => description::Plan::Drawn,
            },
            overrides: None,
        };
        Ok(source.read()?)
    }
}

impl Checkpoint {
    /// The network that `model`, read from `path`, was made of; none if nobody says where it is.
    pub(crate) fn import(&self, path: &Path, model: &Model<'_>) -> Result<Option<Network>> {
        let beside = (path.with_extension("toml"), path.with_extension("safetensors"));
        let (description, weights) = match (&self.model, &self.weights) {
            (description, Some(weights)) => (description.as_ref(), weights),
            _ if beside.0.exists() && beside.1.exists() => (Some(&beside.0), &beside.1),
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
        let network = self.open.network(description.map(PathBuf::as_path), weights)?;
        check(&network, description.unwrap_or(weights), weights, path, model)?;
        Ok(Some(network))
    }
}

/// What `network` asks of its recordings.
pub(crate) fn wanted(network: &Network) -> Wanted {
    match &network.input {
        Input::Samples { channels, scale, .. } => {
            Wanted { channels: *channels, scale: Some(SampleScale::of_channels(scale.clone())) }
        }
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
        ("width", network.width(), model.width, description),
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
