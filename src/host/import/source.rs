//! The files of a float model.

use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

use safetensors::SafeTensors;

use super::checkpoint::Checkpoint;
use super::description::{Description, Plan};
use super::{ImportError, Importer, hugging_face};
use crate::host::reference::Network;

/// The files of a float model, and what they leave open.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// A [description](super::description) (TOML), or the `config.json` of a Hugging Face model. Without it, the weights have such a
    /// configuration in their metadata, under `config`.
    pub description: Option<PathBuf>,
    /// Tensors (safetensors).
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
        let weights = read(&self.weights)?;
        let frozen = self.frozen.as_deref().map(|path| Ok((path, read(path)?))).transpose()?;
        let frozen = frozen.as_ref().map(|(path, bytes)| (*path, bytes.as_slice()));
        let tensors = Checkpoint::tensors(&self.weights, &weights)?;
        let tensors_of = |(path, bytes)| Ok::<_, ImportError>((path, Checkpoint::tensors(path, bytes)?));
        let frozen = frozen.map(tensors_of).transpose()?;

        let path = self.description.as_deref().unwrap_or(&self.weights);
        let has = |name: &str| {
            let further = frozen.as_ref().map(|(_, tensors)| tensors);
            [Some(&tensors), further].into_iter().flatten().any(|tensors| tensors.tensor(name).is_ok())
        };
        let mut description = self.described(&weights, &has)?;
        description.max_tokens = self.max_tokens.or(description.max_tokens);
        let checkpoint = Checkpoint::new(&self.weights, tensors, frozen, &description.tensors);
        Importer { path, description: &description, checkpoint }.network()
    }

    fn described(&self, weights: &[u8], has: &dyn Fn(&str) -> bool) -> Result<Description, ImportError> {
        let foreign = |path: &Path, config: &str| {
            let overrides = self.overrides.as_deref();
            hugging_face::description(config, overrides, self.plan, has).map_err(|problem| problem.of(path))
        };
        match &self.description {
            Some(path) if path.extension().is_some_and(|kind| kind == "json") => {
                foreign(path, &String::from_utf8_lossy(&read(path)?))
            }
            Some(path) => super::read(path),
            None => {
                let metadata = SafeTensors::read_metadata(weights)
                    .ok()
                    .and_then(|(_, header)| header.metadata().as_ref()?.get("config").cloned());
                let config =
                    metadata.ok_or_else(|| ImportError::NoDescription { path: self.weights.clone() })?;
                foreign(&self.weights, &config)
            }
        }
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, ImportError> {
    std::fs::read(path).map_err(|source| ImportError::Read { path: path.into(), source })
}
