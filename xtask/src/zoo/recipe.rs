//! A recipe of `models/zoo` and the files that belong to it.

use crate::cases::{Recordings, digits_test, recordings};
use crate::command::{cargo, root, run, target};
use anyhow::{Context, Result, ensure};
use fixformer::host::data::Split;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct Recipe {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// File name of its recordings.
    pub(crate) data: String,
    /// Kinds of attention.
    pub(crate) attention: String,
}

/// Data files that `fixformer-train generate` makes.
const GENERATED: [&str; 4] = ["digits", "listops", "marks", "needle"];

impl Recipe {
    pub(crate) fn read(name: &str) -> Result<Self> {
        let path = recipes().join(name).with_extension("toml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let table: toml::Table = toml::from_str(&text)?;
        let data = table.get("train").and_then(|train| train.get("data")).and_then(toml::Value::as_str);
        let data = data.with_context(|| format!("{}: no `train.data`", path.display()))?.to_owned();
        let attention = table.get("encoder").and_then(|encoder| encoder.get("attention"));
        let kind =
            |attention: &toml::Value| attention.get("kind").and_then(toml::Value::as_str).map(str::to_owned);
        let kinds: Vec<String> = match attention {
            Some(toml::Value::Array(layers)) => layers.iter().filter_map(kind).collect(),
            Some(attention) => kind(attention).into_iter().collect(),
            None => vec!["exact".to_owned()],
        };
        Ok(Self { name: name.to_owned(), path, data, attention: kinds.join(", ") })
    }

    /// Every recipe, by name.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let names = fs::read_dir(recipes())?.filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_stem()?.to_str()?.to_owned();
            (path.extension()? == "toml").then_some(name)
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        names.iter().map(|name| Self::read(name)).collect()
    }

    /// The model file.
    pub(crate) fn file(&self) -> PathBuf {
        self.path.with_extension("fxm")
    }

    /// Its weights as they were trained with `seed`.
    pub(crate) fn checkpoint(&self, seed: u64) -> PathBuf {
        folder().join(match seed {
            0 => format!("{}.safetensors", self.name),
            seed => format!("{}-seed{seed}.safetensors", self.name),
        })
    }

    /// Trains it on `data`.
    pub(crate) fn train(&self, data: &Path, seed: u64) -> Result<()> {
        let mut trainer = trainer("run");
        trainer.arg(&self.path).arg("--data").arg(data).arg("-o").arg(self.checkpoint(seed));
        run(trainer.arg("--seed").arg(seed.to_string()))
    }

    /// The file of recordings, generated if it is of that kind and not there.
    pub(crate) fn data(&self, given: &Path) -> Result<PathBuf> {
        let stem = self.data.trim_end_matches(".npz");
        let path = match GENERATED.contains(&stem) {
            true => folder().join(&self.data),
            false => given.join(&self.data),
        };
        if GENERATED.contains(&stem) && !path.is_file() {
            fs::create_dir_all(folder())?;
            run(trainer("generate").arg(stem).arg("-o").arg(&path))?;
        }
        ensure!(path.is_file(), "no {} (see --data)", path.display());
        Ok(path)
    }

    /// The test recordings, if it needs no training to have them: in the folder `given` or generated before.
    pub(crate) fn at_hand(&self, given: &Path) -> Result<Option<Recordings>> {
        if self.data == "digits.npz" {
            return Ok(Some(digits_test()));
        }
        let file = [folder(), given.to_owned()].map(|folder| folder.join(&self.data));
        file.iter().find(|file| file.is_file()).map(|file| recordings(file, Split::Test)).transpose()
    }
}

fn trainer(command: &str) -> Command {
    let mut cargo = cargo();
    cargo.args(["run", "--quiet", "--package", "fixformer-train", "--profile", "training", "--", command]);
    cargo
}

/// Checkpoints and generated recordings.
fn folder() -> PathBuf {
    target().join("zoo")
}

fn recipes() -> PathBuf {
    root().join("models/zoo")
}
