//! The float checkpoint beside a model.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use fixformer::Model;
use fixformer::host::data::Recordings;
use fixformer::host::import::{Precision, Source, description};
use fixformer::host::reference::{Input, Network};
use fixformer::host::scale::SampleScale;

use crate::imported::{self, is_graph};
use crate::recordings::Wanted;
use crate::say::say;

/// Where the float checkpoint of a model is, if it is not beside the model.
#[derive(Args)]
pub(crate) struct Checkpoint {
    /// Description of the float model (TOML), a Hugging Face config.json, or an ONNX graph, which needs no weights
    /// [default: beside FXM, ending in .toml or .onnx; with --weights, the configuration in their metadata]
    #[arg(long, value_name = "TOML|JSON|ONNX")]
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
    pub(crate) fn max_tokens(&self) -> Option<usize> {
        self.max_tokens.map(|count| count as usize)
    }

    /// The network of these files; no `description` where the weights have a configuration.
    pub(crate) fn network(&self, description: Option<&Path>, weights: &Path) -> Result<Network> {
        Ok(self.read(description, weights)?.0)
    }

    /// The same, and the format of the weights.
    pub(crate) fn read(&self, description: Option<&Path>, weights: &Path) -> Result<(Network, Precision)> {
        Ok(self.source(description, weights).read()?)
    }

    /// The files of a float model.
    pub(crate) fn source(&self, description: Option<&Path>, weights: &Path) -> Source {
        Source {
            description: description.map(Path::to_owned),
            weights: weights.to_owned(),
            frozen: self.frozen.clone(),
            max_tokens: self.max_tokens(),
            plan: match self.plan {
                Plan::Zero => description::Plan::Zero,
                Plan::Drawn => description::Plan::Drawn,
            },
            overrides: None,
        }
    }
}

impl Checkpoint {
    /// The ONNX graph that the model, read from `path`, was made of, if it was made of one.
    pub(crate) fn graph(&self, path: &Path) -> Option<PathBuf> {
        let beside = ["toml", "onnx"].map(|extension| path.with_extension(extension));
        match (&self.model, &self.weights) {
            (Some(model), _) => Some(model.clone()).filter(|model| is_graph(model)),
            (None, None) if !beside[0].exists() && beside[1].exists() => Some(beside[1].clone()),
            (None, _) => None,
        }
    }

    /// The files of the float model that belongs to the model at `path`: those that are given or found beside it.
    pub(crate) fn files(&self, path: &Path) -> Vec<PathBuf> {
        if let Some(graph) = self.graph(path) {
            return imported::files(&graph);
        }
        let beside = |extension: &str| Some(path.with_extension(extension)).filter(|path| path.exists());
        let (description, weights) = match &self.weights {
            Some(weights) => (self.model.clone(), Some(weights.clone())),
            None => (beside("toml"), beside("safetensors")),
        };
        match weights {
            Some(weights) => self.open.source(description.as_deref(), &weights).files(),
            None => description.into_iter().collect(),
        }
    }

    /// The network of `graph`, that `model`, read from `path`, was made of; compared with the graph on `recordings`.
    pub(crate) fn import_graph(
        &self,
        graph: &Path,
        path: &Path,
        model: &Model<'_>,
        data: &Path,
        recordings: &mut Recordings,
    ) -> Result<Network> {
        if let Some(weights) = &self.weights {
            bail!(
                "{}: an ONNX graph has its weights itself; remove `--weights {}`",
                graph.display(),
                weights.display()
            );
        }
        let (network, _) = imported::network(graph, data, recordings, self.open.max_tokens())?;
        check(&network, graph, graph, path, model)?;
        Ok(network)
    }

    /// The network that `model`, read from `path`, was made of; none if nobody says where it is.
    pub(crate) fn import(&self, path: &Path, model: &Model<'_>) -> Result<Option<Network>> {
        let beside = (path.with_extension("toml"), path.with_extension("safetensors"));
        let (description, weights) = match (&self.model, &self.weights) {
            (description, Some(weights)) => (description.as_ref(), weights),
            (Some(_), None) => {
                let message =
                    "the following required arguments were not provided:\n  --weights <SAFETENSORS>\n";
                clap::Error::raw(clap::error::ErrorKind::MissingRequiredArgument, message).exit()
            }
            _ if beside.0.exists() && beside.1.exists() => (Some(&beside.0), &beside.1),
            _ => {
                say(format_args!(
                    "hint: no float reference: {} and {} do not both exist, nor does {}; give `--model M.toml --weights \
                     W.safetensors` or `--model M.onnx` to compare with it",
                    beside.0.display(),
                    beside.1.display(),
                    path.with_extension("onnx").display()
                ));
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
        ("outputs", network.head.outputs, model.outputs(), weights),
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
