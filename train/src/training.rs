//! From first values to the best checkpoint.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};
use burn::optim::{AdamW, AdamWConfig, AdamWState, Optimizer};
use burn::tensor::{Device, Tensor, TensorData, activation};
use fixformer::host::draw::Source;
use fixformer::host::report::best;

use crate::batch::Batch;
use crate::checkpoint;
use crate::data::{Data, Set};
use crate::model::{Dropout, Model};
use crate::parameters::{Parameters, Role};
use crate::recipe::{Keep, Loss, Recipe, Schedule, Training};

/// How far a training is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Of all training, 0 to 1.
    pub done: f64,
    /// Epochs that are complete.
    pub epochs: usize,
    /// Mean loss of the last steps.
    pub loss: f64,
    /// Of the last epoch; none in the first.
    pub validation: Option<Score>,
    /// Of the checkpoint; none in the first epoch.
    pub best: Option<Score>,
    /// Whether an epoch has just ended.
    pub epoch_ended: bool,
}

/// What weights do on recordings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Share of right answers.
    pub accuracy: f64,
    /// Mean loss.
    pub loss: f64,
}

impl Score {
    fn replaces(self, best: Score, keep: Keep) -> bool {
        match keep {
            Keep::Loss => self.loss < best.loss,
            Keep::Accuracy => (self.accuracy, -self.loss) > (best.accuracy, -best.loss),
            Keep::Last => true,
        }
    }
}

/// What a training came to.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Of the checkpoint, on the validation recordings.
    pub best: Score,
    /// The epoch after which it was written, from 1.
    pub epoch: usize,
    /// Numbers that were trained.
    pub parameters: usize,
    /// Whether it was asked to stop before its end.
    pub stopped: bool,
}

/// Gradients are no longer than this together.
const LONGEST_GRADIENT: f64 = 1.0;
/// Share of the mean loss that each step replaces.
const LOSS_SHARE: f64 = 0.05;

/// Trains `recipe` on `data` and keeps the weights that are best on the validation recordings in `out`. After `stop`
/// is set, it ends with the step.
///
/// # Errors
/// A network that cannot be built, a checkpoint that cannot be written, or a loss that is no number. A checkpoint that
/// was written stays.
pub fn train(
    recipe: &Recipe,
    data: &Data,
    out: &Path,
    device: &Device,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Outcome> {
    let training = &recipe.training;
    let (model, mut parameters) = Model::new(&recipe.path, &recipe.description, data, training, device)?;
    let mut source = Source(training.seed ^ 0x7472_6169_6e69_6e67);
    let mut dropout = Dropout { share: training.dropout, source: Source(source.next()) };
    let mut steps = Steps::new(training, &parameters);
    let mut average = Average { of: parameters.clone(), share: training.average, steps: 0 };
    let classes = weights(training, data);
    let mut best: Option<(Score, usize)> = None;
    let mut rounded = false;
    let mut now =
        Progress { done: 0.0, epochs: 0, loss: 0.0, validation: None, best: None, epoch_ended: false };
    let started = Instant::now();
    while now.done < 1.0 && !stop.load(Ordering::Relaxed) {
        let rounding = now.done >= 1.0 - training.fine_tune;
        let seen = |parameters: &Parameters| if rounding { parameters.rounded() } else { parameters.clone() };
        let longest = longest(&data.train, training.short_first, now.done);
        let batches = batches(&data.train, longest, training.batch, &mut source);
        for (index, rows) in batches.iter().enumerate() {
            let batch = model.reader.batch(&data.train, rows, Some((&training.augment, &mut source)), device);
            let tracked = parameters.tracked();
            let scores = model.forward(&seen(&tracked), &batch, &mut dropout);
            let loss = loss(scores, &batch, &classes, training.label_smoothing);
            let value: f64 = loss.clone().into_scalar::<f32>().into();
            ensure!(
                value.is_finite(),
                "the loss is {value} in epoch {}; lower `train.learning_rate`",
                now.epochs + 1
            );
            steps.step(&mut parameters, &tracked, &loss, rate(training, now.done));
            average.add(&parameters);
            now.loss = if now.loss == 0.0 { value } else { now.loss + LOSS_SHARE * (value - now.loss) };
            now.done = match (training.epochs, training.minutes) {
                (Some(epochs), _) => {
                    (now.epochs as f64 + (index + 1) as f64 / batches.len() as f64) / epochs as f64
                }
                (None, minutes) => started.elapsed().as_secs_f64() / (60.0 * minutes.unwrap_or(0.0)),
            };
            now.epoch_ended = index + 1 == batches.len() || now.done >= 1.0 || stop.load(Ordering::Relaxed);
            if now.epoch_ended {
                break;
            }
            progress(&now);
        }
        now.epochs += 1;
        let score = validate(&model, &seen(&average.of), &data.validation, training, &classes, device);
        now.validation = Some(score);
        // What was best without the roundings need not be so with them.
        let first = best.is_none() || rounding && !std::mem::replace(&mut rounded, true);
        if first || best.is_some_and(|(best, _)| score.replaces(best, training.keep)) {
            checkpoint::save(&model, &average.of, &recipe.description, out)?;
            best = Some((score, now.epochs));
        }
        now.best = best.map(|(score, _)| score);
        progress(&now);
    }
    let Some((best, epoch)) = best else { anyhow::bail!("interrupted before the first step") };
    Ok(Outcome { best, epoch, parameters: parameters.count(), stopped: now.done < 1.0 })
}

/// The accuracy and the loss of `parameters` on `set`.
fn validate(
    model: &Model,
    parameters: &Parameters,
    set: &Set,
    training: &Training,
    classes: &[f64],
    device: &Device,
) -> Score {
    let (mut right, mut sum) = (0, 0.0);
    let rows: Vec<usize> = (0..set.rows.len()).collect();
    for rows in rows.chunks(training.batch) {
        let batch = model.reader.batch(set, rows, None, device);
        let scores = model.forward(parameters, &batch, &mut Dropout::none());
        let value: f64 =
            loss(scores.clone(), &batch, classes, training.label_smoothing).into_scalar::<f32>().into();
        sum += value * rows.len() as f64;
        let columns = scores.dims()[1];
        let scores: Vec<f32> = scores.into_data().try_into_vec().expect("single precision");
        right += scores
            .chunks(columns)
            .zip(&batch.labels)
            .filter(|(scores, label)| best(scores) == **label)
            .count();
    }
    let count = set.rows.len() as f64;
    Score { accuracy: right as f64 / count, loss: sum / count }
}

/// What each class counts.
fn weights(training: &Training, data: &Data) -> Vec<f64> {
    let count = |class| data.train.labels.iter().filter(|&&label| label == class).count() as f64;
    let all = data.train.labels.len() as f64;
    (0..data.classes)
        .map(|class| match training.loss {
            Loss::CrossEntropy => 1.0,
            Loss::Balanced => all / (data.classes as f64 * count(class)),
        })
        .collect()
}

/// Mean cross entropy of a batch.
fn loss(scores: Tensor<2>, batch: &Batch, weights: &[f64], smoothing: f64) -> Tensor<1> {
    let [recordings, classes] = scores.dims();
    let target = batch.labels.iter().flat_map(|&label| {
        let share = smoothing / classes as f64;
        (0..classes).map(move |class| {
            let target = share + if class == label { 1.0 - smoothing } else { 0.0 };
            (target * weights[label]) as f32
        })
    });
    let target = TensorData::new(target.collect::<Vec<_>>(), [recordings, classes]);
    let target: Tensor<2> = Tensor::from_data(target, &scores.device());
    (activation::log_softmax(scores, 1) * target).sum().div_scalar(-(recordings as f32))
}

/// The learning rate when `done` of all is done.
fn rate(training: &Training, done: f64) -> f64 {
    let Training { warmup, learning_rate, .. } = *training;
    if done < warmup {
        // The first step is a step too.
        return learning_rate * (done / warmup).max(0.01);
    }
    let done = ((done - warmup) / (1.0 - warmup)).min(1.0);
    learning_rate
        * match training.schedule {
            Schedule::Constant => 1.0,
            Schedule::Linear => 1.0 - done,
            Schedule::Cosine => 0.5 + 0.5 * (std::f64::consts::PI * done).cos(),
        }
}

/// Batches between which lengths are sorted.
const POOL: usize = 16;

/// Share of the recordings, the shortest, that the first epoch has.
const SHORTEST: f64 = 0.1;

/// Length of the longest recording that takes part when `done` of all is done.
fn longest(set: &Set, short_first: f64, done: f64) -> usize {
    let mut lengths: Vec<usize> = set.rows.iter().map(Vec::len).collect();
    lengths.sort_unstable();
    let share = if done < short_first { SHORTEST + (1.0 - SHORTEST) * done / short_first } else { 1.0 };
    lengths[((lengths.len() as f64 * share).ceil() as usize).clamp(1, lengths.len()) - 1]
}

/// All rows that are not too long in a random order, a few batches at a time by length: then little is filled up.
fn batches(set: &Set, longest: usize, size: usize, source: &mut Source) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..set.rows.len()).filter(|&row| set.rows[row].len() <= longest).collect();
    shuffle(&mut order, source);
    let mut batches = Vec::new();
    for pool in order.chunks_mut(size * POOL) {
        pool.sort_by_key(|&row| set.rows[row].len());
        batches.extend(pool.chunks(size).map(<[usize]>::to_vec));
    }
    shuffle(&mut batches, source);
    batches
}

fn shuffle<T>(things: &mut [T], source: &mut Source) {
    for last in (1..things.len()).rev() {
        things.swap(last, source.below(last + 1));
    }
}

/// A moving average of parameters over the last steps, more of them the longer the training is: it evens out what the
/// last batches did.
struct Average {
    of: Parameters,
    share: f64,
    steps: usize,
}

impl Average {
    fn add(&mut self, parameters: &Parameters) {
        self.steps += 1;
        let part = 1.0 / (self.share * self.steps as f64).max(1.0);
        for (average, now) in self.of.list.iter_mut().zip(&parameters.list) {
            let difference = now.value.clone() - average.value.clone();
            average.value = average.value.clone() + difference.mul_scalar(part as f32);
        }
    }
}

/// The optimiser and what it keeps of each parameter.
struct Steps {
    plain: AdamW,
    decaying: AdamW,
    states: Vec<Option<AdamWState<2>>>,
}

impl Steps {
    fn new(training: &Training, parameters: &Parameters) -> Steps {
        let adam = |decay: f64| AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(decay as f32).build();
        Steps {
            plain: adam(0.0),
            decaying: adam(training.weight_decay),
            states: vec![None; parameters.list.len()],
        }
    }

    fn step(&mut self, parameters: &mut Parameters, tracked: &Parameters, loss: &Tensor<1>, rate: f64) {
        let mut gradients = loss.backward();
        let gradients: Vec<Option<Tensor<2>>> =
            tracked.list.iter().map(|parameter| parameter.value.grad_remove(&mut gradients)).collect();
        let squares = gradients.iter().flatten().map(|gradient| gradient.clone().square().sum());
        let square = squares.reduce(|sum, square| sum + square).map_or(0.0, |sum| sum.into_scalar::<f32>());
        let factor = (LONGEST_GRADIENT / f64::from(square).sqrt()).min(1.0);
        for ((parameter, gradient), state) in parameters.list.iter_mut().zip(gradients).zip(&mut self.states)
        {
            let Some(gradient) = gradient else { continue };
            let adam = if parameter.role == Role::Weight { &self.decaying } else { &self.plain };
            let gradient = gradient.mul_scalar(factor as f32);
            let (value, next) = adam.step(rate, parameter.value.clone(), gradient, state.take());
            parameter.value = value;
            *state = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_recordings_come_first() {
        let rows: Vec<Vec<i16>> = (1..=20).rev().map(|length| vec![0; length]).collect();
        let set = Set { labels: vec![0; rows.len()], rows };
        let lengths = |done| longest(&set, 0.5, done);
        assert_eq!([0.0, 0.25, 0.49, 0.5, 1.0].map(lengths), [2, 11, 20, 20, 20]);
        assert_eq!(longest(&set, 0.0, 0.0), 20);
        let batches = batches(&set, 11, 4, &mut Source(1));
        let mut seen: Vec<usize> = batches.concat();
        seen.sort_unstable();
        assert_eq!(seen, (9..20).collect::<Vec<_>>());
    }

    #[test]
    fn the_average_is_over_a_share_of_the_steps() {
        let mut parameters = Parameters::new(Device::flex());
        let id = parameters.vector("x".into(), 1, 0.0);
        let mut average = Average { of: parameters.clone(), share: 0.5, steps: 0 };
        let mut expected = 0.0;
        for step in 1..=8_u8 {
            parameters.list[0].value = parameters.value(id).add_scalar(1.0);
            average.add(&parameters);
            expected += (f32::from(step) - expected) / (0.5 * f32::from(step)).max(1.0);
        }
        let found: f32 = average.of.value(id).into_scalar();
        assert!((found - expected).abs() < 1e-5 && found > 4.5 && found < 8.0, "{found}, {expected}");
    }
}
