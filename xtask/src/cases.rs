//! The models that can be shown here, each with its recordings.

use crate::command::{root, target};
use crate::picture::Look;
use anyhow::{Context, Result};
use fixformer::host::data::{self, Split};
use fixformer::host::file;
use fixformer::host::quantize::{Settings, quantize};
use fixformer::host::{import, reference::Network};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the data sets and the float checkpoints are that the repository does not hold.
#[derive(clap::Args)]
pub(crate) struct Folders {
    /// Folder of the data sets, like ecg5000.npz and fsdd_logmel128.npz
    #[arg(long, value_name = "DIR", default_value_os_t = root().join("../shared/data"))]
    pub(crate) data: PathBuf,
    /// Folder of their float checkpoints
    #[arg(long, value_name = "DIR", default_value_os_t = root().join("../shared/models"))]
    models: PathBuf,
}

/// A model and the recordings to show it with.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) classes: &'static [&'static str],
    pub(crate) look: Look,
    pub(crate) network: Network,
    /// The model file.
    pub(crate) file: PathBuf,
    pub(crate) test: Recordings,
}

/// Recordings with their true classes.
pub(crate) struct Recordings {
    pub(crate) channels: u16,
    /// Raw integers, `[steps, channels]` each.
    pub(crate) rows: Vec<Vec<i16>>,
    pub(crate) labels: Vec<usize>,
}

impl Recordings {
    /// `rows` of them spread evenly over all, because files are often sorted by class; all, if they are
    /// fewer.
    pub(crate) fn spread(&self, rows: usize) -> Self {
        let picked = || spread(self.rows.len(), rows);
        Self {
            channels: self.channels,
            rows: picked().map(|row| self.rows[row].clone()).collect(),
            labels: picked().map(|row| self.labels[row]).collect(),
        }
    }
}

/// Indices of `rows` of `all` things, spread evenly.
pub(crate) fn spread(all: usize, rows: usize) -> impl Iterator<Item = usize> {
    let rows = rows.min(all);
    (0..rows).map(move |row| row * all / rows)
}

/// Every case whose files are here; says which are not.
pub(crate) fn cases(folders: &Folders) -> Result<Vec<Case>> {
    let mut cases = vec![digits()?];
    for outside in &OUTSIDE {
        let files = [
            folders.data.join(outside.data),
            folders.models.join(outside.checkpoint),
            root().join("models").join(outside.name).with_extension("toml"),
        ];
        match files.iter().find(|file| !file.is_file()) {
            Some(file) => {
                eprintln!("skipped {}: no {} (see --data and --models)", outside.title, file.display())
            }
            None => {
                let case = outside.read(&files).with_context(|| outside.title.to_string())?;
                cases.push(case);
            }
        }
    }
    Ok(cases)
}

/// The model that is always here: its data come with the crate `smartcore`.
pub(crate) fn digits() -> Result<Case> {
    let models = root().join("models");
    Ok(Case {
        name: "digits",
        title: "handwritten digits",
        classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        look: Look::Image,
        network: network(&models.join("digits.toml"), &models.join("digits.safetensors"))?,
        file: digits_file(),
        test: digits_test(),
    })
}

/// The model file that is in the repository.
pub(crate) fn digits_file() -> PathBuf {
    root().join("models/digits.fxm")
}

/// Rows of the digits that belong to training; the others are the test.
const DIGITS_TRAIN: usize = 1297;

/// The test half of the digits.
pub(crate) fn digits_test() -> Recordings {
    let set = smartcore::dataset::digits::load_dataset();
    let rows = set.data.chunks(set.num_features).skip(DIGITS_TRAIN);
    let labels = set.target.iter().skip(DIGITS_TRAIN);
    Recordings {
        channels: 1,
        rows: rows.map(|row| row.iter().map(|&value| value as i16).collect()).collect(),
        labels: labels.map(|&class| class as usize).collect(),
    }
}

struct Outside {
    name: &'static str,
    title: &'static str,
    classes: &'static [&'static str],
    look: Look,
    data: &'static str,
    checkpoint: &'static str,
}

const OUTSIDE: [Outside; 2] = [
    Outside {
        name: "ecg5000",
        title: "heartbeats (ECG5000)",
        classes: &["normal", "abnormal"],
        look: Look::Signal,
        data: "ecg5000.npz",
        checkpoint: "ecg5000_softmax_d32l2h2_s0.safetensors",
    },
    Outside {
        name: "fsdd",
        title: "spoken digits (log-mel)",
        classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        look: Look::Spectrum,
        data: "fsdd_logmel128.npz",
        checkpoint: "fsdd_softmax_d32l2h2_s0.safetensors",
    },
];

impl Outside {
    fn read(&self, [data, checkpoint, description]: &[PathBuf; 3]) -> Result<Case> {
        let network = network(description, checkpoint)?;
        let file = model_file(self.name, &network, data)?;
        Ok(Case {
            name: self.name,
            title: self.title,
            classes: self.classes,
            look: self.look,
            network,
            file,
            test: recordings(data, Split::Test)?,
        })
    }
}

fn network(description: &Path, weights: &Path) -> Result<Network> {
    Ok(import::network(description, weights)?)
}

pub(crate) fn recordings(file: &Path, split: Split) -> Result<Recordings> {
    let data = data::load(file, split, data::Options::default())?;
    let labels = data.labels.with_context(|| format!("{}: no labels", file.display()))?;
    let channels = u16::try_from(data.channels).context("more than 65535 channels")?;
    Ok(Recordings { channels, rows: data.rows, labels })
}

/// Quantises `network` with the training rows of `data` into cargo's output folder.
fn model_file(name: &str, network: &Network, data: &Path) -> Result<PathBuf> {
    let train = recordings(data, Split::Train)?.rows;
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {elapsed}")?;
    let bar = ProgressBar::new(train.len() as u64).with_style(style);
    bar.set_message(format!("quantising {name}"));
    let quantized = quantize(network, &train, Settings::default(), |_| bar.inc(1))?;
    bar.finish_and_clear();
    let path = target().join("models").join(name).with_extension("fxm");
    fs::create_dir_all(target().join("models"))?;
    file::replace(&path, &quantized.bytes())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_are_spread() {
        assert_eq!(spread(10, 4).collect::<Vec<_>>(), [0, 2, 5, 7]);
        assert_eq!(spread(3, 9).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(spread(0, 9).count(), 0);
    }

    /// The sums are those of `x_test` and `y_test` in `digits64.npz`.
    #[test]
    fn the_digits_are_split_by_file_order() {
        let test = digits_test();
        assert_eq!((test.rows.len(), test.labels.len()), (500, 500));
        assert!(test.rows.iter().all(|row| row.len() == 64));
        assert!(test.rows.iter().flatten().all(|value| (0..=16).contains(value)));
        let sum: i64 = test.rows.iter().flatten().map(|&value| i64::from(value)).sum();
        assert_eq!((sum, test.labels.iter().sum::<usize>()), (155_456, 2235));
    }
}
