//! The files that the tensors of a model are in: one, or the shards that an index lists.

use std::borrow::ToOwned;
use std::collections::BTreeMap;
use std::format;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

use safetensors::SafeTensors;
use serde::Deserialize;

use super::ImportError;
use super::checkpoint::Checkpoint;
use super::source::read;
use crate::host::file;

/// Ending of the index that Hugging Face libraries write beside the shards.
const INDEX: &str = ".safetensors.index.json";

/// The bytes of the files.
pub(super) struct Weights {
    files: Vec<(PathBuf, Vec<u8>)>,
    /// Folder of the model, where the user gave that or the index in it.
    folder: Option<PathBuf>,
    /// File of each tensor, as the index has it.
    listed: BTreeMap<String, String>,
    index: PathBuf,
}

/// `model.safetensors.index.json`, what of it matters here.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Reads a safetensors file, the shards of an index, or what a folder has of both.
    pub(super) fn read(path: &Path) -> Result<Self, ImportError> {
        if path.is_dir() {
            let found = in_folder(path)?;
            return Ok(Self { folder: Some(path.to_owned()), ..Self::read(&found)? });
        }
        if path.extension().is_some_and(|extension| extension == "json") {
            return Self::shards(path);
        }
        let files = Vec::from([(path.to_owned(), read(path)?)]);
        Ok(Self { files, folder: None, listed: BTreeMap::new(), index: path.to_owned() })
    }

    fn shards(path: &Path) -> Result<Self, ImportError> {
        let problem = |problem: String| ImportError::Index { path: path.to_owned(), problem };
        let Index { weight_map: listed } = serde_json::from_slice(&read(path)?).map_err(|error| {
            problem(format!(
                "{error}: not an index of shards; give `model{INDEX}`, its folder, or one .safetensors"
            ))
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut names: Vec<&String> = listed.values().collect();
        names.sort();
        names.dedup();
        let mut files = Vec::new();
        for name in names {
            let shard = folder.join(name);
            let bytes = file::read(&shard, file::MOST_BYTES).map_err(|error| {
                problem(format!(
                    "lists the shard `{name}`, which cannot be read ({error}); put it beside the index"
                ))
            })?;
            files.push((shard, bytes));
        }
        if files.is_empty() {
            return Err(problem("lists no shard; save the model again".to_string()));
        }
        Ok(Self { files, folder: Some(folder.to_owned()), listed, index: path.to_owned() })
    }

    /// The tensors of every file.
    pub(super) fn tensors(&self) -> Result<Vec<(&Path, SafeTensors<'_>)>, ImportError> {
        let files = self.files.iter();
        let files: Vec<_> = files
            .map(|(path, bytes)| Ok((path.as_path(), Checkpoint::tensors(path, bytes)?)))
            .collect::<Result<_, ImportError>>()?;
        for (tensor, name) in &self.listed {
            let file = files.iter().find(|(path, _)| path.ends_with(name));
            if file.is_none_or(|(_, tensors)| tensors.tensor(tensor).is_err()) {
                let problem = format!(
                    "lists the tensor `{tensor}` in `{name}`, which does not have it; they are of different saves: copy \
                     the whole folder again"
                );
                return Err(ImportError::Index { path: self.index.clone(), problem });
            }
        }
        Ok(files)
    }

    /// The configuration in the metadata of the first file that has one.
    pub(super) fn configuration(&self) -> Option<String> {
        self.files.iter().find_map(|(_, bytes)| {
            let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
            header.metadata().as_ref()?.get("config").cloned()
        })
    }

    /// `config.json` beside the shards, if there is one.
    pub(super) fn configuration_file(&self) -> Option<PathBuf> {
        let path = self.folder.as_ref()?.join("config.json");
        path.exists().then_some(path)
    }
}

/// The files of the weights at `path`: itself, or of a folder or an index also the shards and the configuration beside them.
pub(super) fn files(path: &Path) -> Vec<PathBuf> {
    let found = if path.is_dir() { in_folder(path).ok() } else { Some(path.to_owned()) };
    let Some(found) = found else { return Vec::new() };
    let mut files = Vec::new();
    if found.extension().is_some_and(|extension| extension == "json") {
        let folder = found.parent().unwrap_or(Path::new(""));
        let index = read(&found).ok().and_then(|bytes| serde_json::from_slice::<Index>(&bytes).ok());
        let shards = index.into_iter().flat_map(|index| index.weight_map.into_values());
        files.extend(shards.map(|shard| folder.join(shard)));
    }
    if let Some(folder) = found.parent().filter(|_| found != *path || !files.is_empty()) {
        files.push(folder.join("config.json"));
    }
    files.push(found);
    files
}

/// The index of a folder, or its only file of tensors.
fn in_folder(folder: &Path) -> Result<PathBuf, ImportError> {
    let failed = |source| ImportError::Read { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    for ending in [INDEX, ".safetensors"] {
        let found: Vec<&String> = names.iter().filter(|name| name.ends_with(ending)).collect();
        match found[..] {
            [] => {}
            [name] => return Ok(folder.join(name)),
            [first, second, ..] => {
                let problem =
                    format!("has `{first}` and `{second}`, and more than one cannot be meant; name the file");
                return Err(ImportError::Index { path: folder.to_owned(), problem });
            }
        }
    }
    let problem = "has no .safetensors; write one with `safetensors.torch.save_file`".to_string();
    Err(ImportError::Index { path: folder.to_owned(), problem })
}
