//! The same models on the host: the fixed-point engine and the float reference.

use anyhow::{Context, Result, anyhow, ensure};
use fixformer::host::engine::Engine;
use fixformer::host::reference::Network;
use fixformer::host::report::best;
use fixformer::{Digest, Model};
use std::fs;
use std::path::Path;
use std::thread;

/// What the fixed-point engine answers.
pub(crate) struct Answers {
    pub(crate) scores: Vec<Vec<i16>>,
    pub(crate) classes: Vec<usize>,
}

impl Answers {
    /// The answers to these rows.
    pub(crate) fn pick(&self, rows: impl Iterator<Item = usize>) -> Self {
        let (scores, classes) = rows.map(|row| (self.scores[row].clone(), self.classes[row])).unzip();
        Self { scores, classes }
    }

    /// As a board prints it.
    pub(crate) fn digest(&self) -> String {
        let mut digest = Digest::new();
        self.scores.iter().for_each(|scores| digest.scores(scores));
        digest.to_string()
    }
}

/// Runs the model file over `rows` with the engine that the boards run.
pub(crate) fn fixed(file: &Path, rows: &[Vec<i16>]) -> Result<Answers> {
    let words = words(file)?;
    let model = Model::parse(&words).map_err(|error| anyhow!("{}: {error}", file.display()))?;
    let mut engine = Engine::new(model);
    let mut net = engine.session();
    let mut answers = Answers { scores: Vec::new(), classes: Vec::new() };
    for (number, row) in rows.iter().enumerate() {
        let scores = net.run(row).map_err(|error| anyhow!("recording {number}: {error}"))?;
        answers.scores.push(scores.raw().to_vec());
        answers.classes.push(scores.best());
    }
    Ok(answers)
}

/// The classes that the float reference finds, in two halves side by side.
pub(crate) fn float(network: &Network, rows: &[Vec<i16>]) -> Result<Vec<usize>> {
    let half = |rows: &[Vec<i16>]| -> Result<Vec<usize>> {
        rows.iter()
            .map(|row| {
                let scores = network.forward(row, None, &mut |_, _| {})?;
                Ok(best(&scores))
            })
            .collect()
    };
    let (front, back) = rows.split_at(rows.len() / 2);
    thread::scope(|scope| {
        let front = scope.spawn(|| half(front));
        let back = half(back)?;
        let mut classes = front.join().map_err(|_| anyhow!("the float reference panicked"))??;
        classes.extend(back);
        Ok(classes)
    })
}

/// The part of `classes` that is right.
pub(crate) fn accuracy(classes: &[usize], labels: &[usize]) -> f64 {
    let right = classes.iter().zip(labels).filter(|(found, truth)| found == truth);
    right.count() as f64 / labels.len().max(1) as f64
}

/// A model file as the engine takes it.
pub(crate) fn words(file: &Path) -> Result<Vec<u32>> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let (words, rest) = bytes.as_chunks::<4>();
    ensure!(rest.is_empty(), "{}: expected a whole number of words", file.display());
    Ok(words.iter().map(|&word| u32::from_le_bytes(word)).collect())
}
