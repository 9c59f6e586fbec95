//! A recipe: the description that `fixformer quantize` reads, with a table `[train]`, whose keys are in `docs/reference.md`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use fixformer::host::import;
use fixformer::host::import::description::{
    Description, InputKind, NormOrder, PoolingKind, PositionKind, Task,
};
use fixformer::model::Linear;
use serde::Deserialize;

/// Most recordings of a step.
const MOST_BATCH: usize = 1 << 16;
/// Most steps by which a recording is moved.
const MOST_SHIFT: usize = 1 << 24;

/// What to train and how.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The file.
    pub path: PathBuf,
    /// The architecture.
    pub description: Description,
    /// The table `[train]`.
    pub training: Training,
}

/// The table `[train]`; `docs/reference.md` says what the keys mean.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the reference says what the keys mean")]
pub struct Training {
    pub data: Option<PathBuf>,
    pub classes: Option<usize>,
    pub validation: f64,
    pub epochs: Option<usize>,
    pub minutes: Option<f64>,
    pub batch: usize,
    pub learning_rate: f64,
    pub schedule: Schedule,
    pub warmup: f64,
    pub weight_decay: f64,
    pub loss: Loss,
    pub label_smoothing: f64,
    pub dropout: f64,
    pub short_first: f64,
    pub average: f64,
    pub keep: Keep,
    pub whiten: Option<f64>,
    pub fine_tune: f64,
    pub augment: Augment,
    pub seed: u64,
}

/// How the learning rate falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the reference says what the words mean")]
pub enum Schedule {
    Cosine,
    Linear,
    Constant,
}

/// What is minimised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the reference says what the words mean")]
pub enum Loss {
    CrossEntropy,
    Balanced,
}

/// Which weights stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the reference says what the words mean")]
pub enum Keep {
    Loss,
    Accuracy,
    Last,
}

/// How recordings are varied in training.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the reference says what the keys mean")]
pub struct Augment {
    pub shift: usize,
    pub scale: f64,
    pub invert: f64,
    pub noise: f64,
    pub stretch: f64,
    pub hide: f64,
}

impl Default for Training {
    fn default() -> Self {
        Training {
            data: None,
            classes: None,
            validation: 0.1,
            epochs: None,
            minutes: None,
            batch: 32,
            learning_rate: 1e-3,
            schedule: Schedule::Cosine,
            warmup: 0.05,
            weight_decay: 0.01,
            loss: Loss::CrossEntropy,
            label_smoothing: 0.0,
            dropout: 0.0,
            short_first: 0.0,
            average: 0.1,
            keep: Keep::Loss,
            whiten: None,
            fine_tune: 0.0,
            augment: Augment::default(),
            seed: 0,
        }
    }
}

impl Recipe {
    /// Reads a recipe and refuses what contradicts itself.
    pub fn read(path: &Path) -> Result<Recipe> {
        let description = import::read(path)?;
        let Some(table) = description.train.clone() else {
            bail!("{}: no table `[train]`; say at least `epochs` or `minutes` there", path.display());
        };
        let training: Training =
            table.try_into().with_context(|| format!("{}: table `[train]`", path.display()))?;
        let recipe = Recipe { path: path.to_owned(), description, training };
        recipe.check().with_context(|| path.display().to_string())?;
        Ok(recipe)
    }

    /// The data file: `given` on the command line, or what the recipe says.
    pub fn data(&self, given: Option<&Path>) -> Result<PathBuf> {
        let named = self.training.data.as_ref();
        let beside = |data: &PathBuf| self.path.parent().unwrap_or(Path::new("")).join(data);
        let data = given.map(Path::to_owned).or_else(|| named.map(beside));
        data.with_context(|| {
            format!("{}: no `train.data`; name the file there or with `--data`", self.path.display())
        })
    }

    fn check(&self) -> Result<()> {
        let Training { validation, epochs, minutes, batch, warmup, augment, .. } = self.training;
        match (epochs, minutes) {
            (None, None) => bail!("`train` has neither `epochs` nor `minutes`; give one of them"),
            (Some(_), Some(_)) => bail!("`train` has both `epochs` and `minutes`; remove one of them"),
            (Some(0), None) => bail!("`train.epochs` is 0; give at least 1"),
            (None, Some(minutes)) => positive("minutes", minutes)?,
            _ => {}
        }
        within("batch", batch, 1, MOST_BATCH)?;
        within("classes", self.training.classes.unwrap_or(2), 2, Linear::MAX_WIDTH as usize)?;
        within("augment.shift", augment.shift, 0, MOST_SHIFT)?;
        ensure!(
            validation > 0.0 && validation < 1.0,
            "`train.validation` is {validation}; give a share of the training recordings above 0 and below 1"
        );
        positive("learning_rate", self.training.learning_rate)?;
        for (key, value) in [
            ("warmup", warmup),
            ("dropout", self.training.dropout),
            ("short_first", self.training.short_first),
            ("average", self.training.average),
            ("fine_tune", self.training.fine_tune),
            ("label_smoothing", self.training.label_smoothing),
            ("augment.scale", augment.scale),
            ("augment.invert", augment.invert),
            ("augment.stretch", augment.stretch),
            ("augment.hide", augment.hide),
        ] {
            ensure!((0.0..1.0).contains(&value), "`train.{key}` is {value}; give 0 or a share below 1");
        }
        for (key, value) in [("weight_decay", self.training.weight_decay), ("augment.noise", augment.noise)] {
            ensure!(value.is_finite() && value >= 0.0, "`train.{key}` is {value}; give 0 or more");
        }
        if let Some(ridge) = self.training.whiten {
            positive("whiten", ridge)?;
        }
        let samples = matches!(self.description.input, InputKind::Samples { .. });
        ensure!(
            samples || [augment.scale, augment.invert, augment.noise, augment.stretch] == [0.0; 4],
            "`train.augment` has `scale`, `invert`, `noise` or `stretch`, which are for samples, not for symbols; remove them"
        );
        let tokens = matches!(self.description.input, InputKind::Tokens { .. });
        ensure!(
            !tokens || self.training.whiten.is_none(),
            "`train.whiten` is for windows of samples or symbols, not for tokens; remove it"
        );
        ensure!(
            !tokens || augment.shift == 0 && augment.hide == 0.0,
            "`train.augment` has `shift` or `hide`, which are for samples and one-hot symbols, not for tokens; \
             remove them"
        );
        self.check_network()
    }

    /// Refuses what a description may have and training has not.
    fn check_network(&self) -> Result<()> {
        let Description { input, positions, encoder, pooling, head, tensors, .. } = &self.description;
        let scaled = matches!(input, InputKind::Tokens { scale } if *scale != 1.0);
        for (key, given) in [
            ("input.scale", scaled),
            ("positions.kind = \"axial\"", matches!(positions.kind, PositionKind::Axial)),
            ("encoder.norm = \"reversible\"", matches!(encoder.norm, NormOrder::Reversible)),
            ("head.hidden", head.hidden.is_some()),
            ("head.task", !matches!(head.task, None | Some(Task::Multiclass))),
            ("pooling.kind = \"none\"", pooling.kind == PoolingKind::None),
            ("tensors.token_type", tensors.token_type.is_some()),
            ("tensors.class_token", tensors.class_token.is_some()),
            ("tensors.rename", !tensors.rename.is_empty()),
        ] {
            ensure!(!given, "`{key}` cannot be trained here; remove it");
        }
        for (key, given) in
            [("projection", &tensors.projection), ("rotations", &tensors.rotations), ("plan", &tensors.plan)]
        {
            ensure!(given.is_none(), "`tensors.{key}` names what training draws by its seed; remove it");
        }
        Ok(())
    }
}

fn within(key: &str, value: usize, low: usize, high: usize) -> Result<()> {
    ensure!(value >= low, "`train.{key}` is {value}; give at least {low}");
    ensure!(value <= high, "`train.{key}` is {value}; give at most {high}");
    Ok(())
}

fn positive(key: &str, value: f64) -> Result<()> {
    ensure!(value.is_finite() && value > 0.0, "`train.{key}` is {value}; give a finite number above 0");
    Ok(())
}
