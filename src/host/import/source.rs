//! The files of a float model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

use super::checkpoint::{Checkpoint, Precision};
use super::description::{Description, Plan};
use super::names::Aliases;
use super::weights::Weights;
use super::{ImportError, Importer, hugging_face, remedy};
use crate::host::file;
use crate::host::reference::Network;

/// The files of a float model, and what they leave open.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// A [description](super::description) (TOML), or the `config.json` of a Hugging Face model. Without it, the weights have such a
    /// configuration in their metadata, under `config`, or a `config.json` beside their shards.
    pub description: Option<PathBuf>,
    /// Tensors (safetensors): a file, the index of its shards, or the folder of either.
    pub weights: PathBuf,
    /// Further tensors (safetensors): what a Hugging Face model draws anew for every run and a device needs fixed,
    /// `rotations` of a Reformer, `rand_blocks.{layer}` of a BigBird. Without it they are drawn once, or are zero.
    pub frozen: Option<PathBuf>,
    /// Most tokens, in place of what the description or the position table says.
    pub max_tokens: Option<usize>,
    /// Random blocks of a Hugging Face BigBird without `frozen` ones.
    pub plan: Plan,
    /// JSON object of keys that replace those of a Hugging Face configuration.
    pub overrides: Option<String>,
}

impl Source {
    /// The network that the files define together.
    ///
    /// # Errors
    /// [`ImportError`] names the file, and the key or the tensor.
    pub fn network(&self) -> Result<Network, ImportError> {
        Ok(self.read()?.0)
    }

    /// The network that the files define together, and in which floating-point format its weights are.
    ///
    /// # Errors
    /// As [`Source::network`].
    pub fn read(&self) -> Result<(Network, Precision), ImportError> {
        let weights = Weights::read(&self.weights)?;
        let frozen = self.frozen.as_deref().map(|path| Ok((path, read(path)?))).transpose()?;
        let frozen = frozen.as_ref().map(|(path, bytes)| (*path, bytes.as_slice()));
        let tensors = weights.tensors()?;
        let names = tensors.iter().flat_map(|(_, tensors)| tensors.names()).map(String::from);
        let aliases = Aliases::of(&names.collect::<Vec<_>>());
        let tensors_of = |(path, bytes)| Ok::<_, ImportError>((path, Checkpoint::tensors(path, bytes)?));
        let frozen = frozen.map(tensors_of).transpose()?;

        let path = self.description.as_deref().unwrap_or(&self.weights);
        let has = |name: &str| {
            let names = [Some(name), aliases.tensor(name)];
            let files = tensors.iter().chain(&frozen);
            let any = |name: &str| files.clone().any(|(_, tensors)| tensors.tensor(name).is_ok());
            names.into_iter().flatten().any(any)
        };
        let mut description = self.described(&weights, &has)?;
        description.max_tokens = self.max_tokens.or(description.max_tokens);
        let precision = Precision::of(tensors.iter().map(|(_, tensors)| tensors));
        let is_toml = |path: &Path| path.extension().is_none_or(|kind| kind != "json");
        let is_written = self.description.as_deref().is_some_and(is_toml);
        let place = if is_written { remedy::WRITTEN } else { remedy::CONFIGURED };
        let names = &description.tensors;
        let checkpoint = Checkpoint::new(&self.weights, tensors, frozen, names, &aliases, place);
        let network = Importer { path, description: &description, checkpoint }.network()?;
        Ok((network, precision))
    }

    /// The files that are read: the description, the weights with the index of their shards, and the further tensors. Where
    /// weights cannot be read, what is known of them without.
    pub fn files(&self) -> Vec<PathBuf> {
        let given = self.description.iter().chain(&self.frozen).cloned();
        given.chain(super::weights::files(&self.weights)).collect()
    }

    fn described(&self, weights: &Weights, has: &dyn Fn(&str) -> bool) -> Result<Description, ImportError> {
        let foreign = |path: &Path, config: &str| {
            let overrides = self.overrides.as_deref();
            hugging_face::description(config, overrides, self.plan, has).map_err(|problem| problem.of(path))
        };
        match &self.description {
            Some(path) if path.extension().is_some_and(|kind| kind == "json") => foreign(path, &text(path)?),
            Some(path) => super::read(path),
            None => {
                if let Some(config) = weights.configuration() {
                    return foreign(&self.weights, &config);
                }
                let missing = || ImportError::NoDescription { path: self.weights.clone() };
                let path = weights.configuration_file().ok_or_else(missing)?;
                foreign(&path, &text(&path)?)
            }
        }
    }
}

/// Names and shapes of the tensors at `path`: a file, the index of its shards, or the folder of either.
pub(in crate::host) fn shapes(path: &Path) -> Result<BTreeMap<String, Vec<usize>>, ImportError> {
    let weights = Weights::read(path)?;
    let files = weights.tensors()?;
    let tensors = files.iter().flat_map(|(_, tensors)| tensors.tensors());
    Ok(tensors.map(|(name, view)| (name, view.shape().to_vec())).collect())
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, ImportError> {
    file::read(path, file::MOST_BYTES).map_err(|source| ImportError::Read { path: path.into(), source })
}

pub(super) fn text(path: &Path) -> Result<String, ImportError> {
    file::text(path).map_err(|source| ImportError::Read { path: path.into(), source })
}
