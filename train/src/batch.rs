//! Recordings as tensors, the way the engine reads them.

use burn::tensor::{Device, Int, Tensor, TensorData};
use fixformer::host::draw::Source;
use fixformer::host::import::description::{InputKind, Window};
use fixformer::host::reference;

use crate::attention::Lengths;
use crate::data::Set;
use crate::parameters::normal;
use crate::recipe::Augment;

/// Some recordings, filled up to the longest.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What becomes tokens.
    pub content: Content,
    /// Real tokens of each recording.
    pub lengths: Lengths,
    /// Tokens of the longest.
    pub tokens: usize,
    /// The class of each.
    pub labels: Vec<usize>,
}

/// What becomes tokens; rows are recording after recording.
#[derive(Debug, Clone)]
pub enum Content {
    /// `[recordings · tokens, values of a window]`.
    Windows(Tensor<2>),
    /// `[recordings · tokens]`.
    Ids(Tensor<1, Int>),
}

/// Makes batches.
#[derive(Debug, Clone)]
pub struct Reader {
    input: InputKind,
    /// Subtracted from each channel; empty if samples are not normalised.
    pub mean: Vec<f64>,
    /// Divides each channel; empty if samples are not normalised.
    pub deviation: Vec<f64>,
}

impl Reader {
    /// Normalises, if `input` says so, by the mean and the deviation of `train`.
    pub fn new(input: &InputKind, train: &Set) -> Reader {
        let mut reader = Reader { input: input.clone(), mean: Vec::new(), deviation: Vec::new() };
        if let InputKind::Samples { channels, normalize: true, ref window, .. } = *input {
            // Running statistics differ from window to window; all else is the same of every step.
            let window = if input.level().is_running() { of_reference(window) } else { EACH_STEP };
            let rows: Vec<Vec<f64>> =
                train.rows.iter().map(|row| reader.samples(row, window, None)).collect();
            for channel in 0..channels {
                let values = || rows.iter().flat_map(|row| row.iter().skip(channel).step_by(channels));
                let count = values().count() as f64;
                let mean = values().sum::<f64>() / count;
                let variance = values().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
                reader.mean.push(mean);
                reader.deviation.push(if variance > 0.0 { variance.sqrt() } else { 1.0 });
            }
        }
        reader
    }

    /// Recordings `rows` of `set`; `augment` varies them.
    pub fn batch(
        &self,
        set: &Set,
        rows: &[usize],
        mut augment: Option<(&Augment, &mut Source)>,
        device: &Device,
    ) -> Batch {
        let mut values = Vec::with_capacity(rows.len());
        for &row in rows {
            let augment = augment.as_mut().map(|(augment, source)| (*augment, &mut **source));
            values.push(self.windows(&set.rows[row], augment));
        }
        let size = self.window_values();
        let lengths: Vec<usize> = values.iter().map(|values| values.len() / size).collect();
        let tokens = lengths.iter().copied().max().unwrap_or(0);
        values.iter_mut().for_each(|values| values.resize(tokens * size, 0.0));
        let values = values.concat();
        let content = match self.input {
            InputKind::Tokens { .. } => {
                let ids: Vec<i32> = values.iter().map(|&id| id as i32).collect();
                Content::Ids(Tensor::from_data(TensorData::new(ids, [rows.len() * tokens]), device))
            }
            _ => {
                let data = TensorData::new(values, [rows.len() * tokens, size]);
                Content::Windows(Tensor::from_data(data, device))
            }
        };
        let ragged = lengths.iter().any(|&length| length < tokens);
        let valid = ragged.then(|| {
            let flags = lengths.iter().flat_map(|&length| (0..tokens).map(move |t| t < length));
            let flags: Vec<f32> = flags.map(|flag| f32::from(u8::from(flag))).collect();
            Tensor::from_data(TensorData::new(flags, [rows.len(), tokens]), device)
        });
        let labels = rows.iter().map(|&row| set.labels[row]).collect();
        Batch { content, lengths: Lengths { tokens: lengths, valid }, tokens, labels }
    }

    /// Values of a window.
    pub fn window_values(&self) -> usize {
        match &self.input {
            InputKind::Samples { channels, window, .. } => channels * window.width,
            InputKind::OneHot { symbols, window } => symbols * window.width,
            InputKind::Tokens { .. } => 1,
        }
    }

    /// The windows of a recording one after the other, varied by `augment`.
    pub(crate) fn windows(&self, recording: &[i16], augment: Option<(&Augment, &mut Source)>) -> Vec<f32> {
        match &self.input {
            InputKind::Samples { window, .. } => {
                let values = self.samples(recording, of_reference(window), augment);
                values.into_iter().map(|x| x as f32).collect()
            }
            InputKind::OneHot { symbols, window } => {
                let recording = match augment {
                    Some((augment, source)) => {
                        let mut recording = shifted(recording, 1, augment.shift, source);
                        hide(&mut recording, 1, -1, augment.hide, source);
                        recording
                    }
                    None => recording.to_vec(),
                };
                let mut x = vec![0.0; recording.len() * symbols];
                for (&symbol, step) in recording.iter().zip(x.chunks_exact_mut(*symbols)) {
                    if let Some(x) = usize::try_from(symbol).ok().and_then(|symbol| step.get_mut(symbol)) {
                        *x = 1.0;
                    }
                }
                of_reference(window).gather(&x, *symbols).into_iter().map(|x| x as f32).collect()
            }
            InputKind::Tokens { .. } => recording.iter().map(|&id| f32::from(id)).collect(),
        }
    }

    /// Real values of windows, `[tokens, width · channels]`, normalised if the mean is known.
    fn samples(
        &self,
        recording: &[i16],
        window: reference::Window,
        augment: Option<(&Augment, &mut Source)>,
    ) -> Vec<f64> {
        let InputKind::Samples { channels, ref scale, .. } = self.input else { return Vec::new() };
        let (raw, noise, factor, mut varied) = match augment {
            Some((augment, source)) => {
                let mut raw = shifted(recording, channels, augment.shift, source);
                if augment.stretch > 0.0 {
                    raw = stretched(&raw, channels, 1.0 + augment.stretch * (2.0 * source.uniform() - 1.0));
                }
                let sign = if augment.invert > 0.0 && source.uniform() < augment.invert { -1.0 } else { 1.0 };
                let factor = sign * (1.0 + augment.scale * (2.0 * source.uniform() - 1.0));
                (raw, augment.noise, factor, Some((source, augment.hide)))
            }
            None => (recording.to_vec(), 0.0, 1.0, None),
        };
        let scale = scale.each(channels);
        let x: Vec<f64> = raw
            .iter()
            .zip(scale.iter().cycle())
            .map(|(&raw, scale)| f64::from(raw) * scale * factor)
            .collect();
        let values = x.len();
        let mut x = self.input.level().windows(x, channels, window, None);
        if !self.mean.is_empty() {
            for (index, x) in x.iter_mut().enumerate() {
                *x = (*x - self.mean[index % channels]) / self.deviation[index % channels];
            }
        }
        if let Some((source, hidden)) = &mut varied {
            // A step is as noisy, and hidden or not, in every window that it is part of.
            if noise > 0.0 {
                let noise: Vec<f64> = (0..values).map(|_| noise * normal(source)).collect();
                x.iter_mut().zip(window.gather(&noise, channels)).for_each(|(x, noise)| *x += noise);
            }
            if *hidden > 0.0 {
                let mut kept = vec![1.0; values];
                hide(&mut kept, channels, 0.0, *hidden, source);
                let kept = window.gather(&kept, channels);
                x.iter_mut().zip(kept).filter(|(_, kept)| *kept == 0.0).for_each(|(x, _)| *x = 0.0);
            }
        }
        x
    }
}

/// Windows of a single step.
const EACH_STEP: reference::Window = reference::Window { width: 1, stride: 1 };

fn of_reference(window: &Window) -> reference::Window {
    reference::Window { width: window.width, stride: window.stride }
}

/// Replaces a share of the steps by `nothing`.
fn hide<T: Copy>(recording: &mut [T], channels: usize, nothing: T, share: f64, source: &mut Source) {
    if share > 0.0 {
        recording
            .chunks_mut(channels)
            .filter(|_| source.uniform() < share)
            .for_each(|step| step.fill(nothing));
    }
}

/// Moved by at most `most` steps either way; what was outside is as the first or the last step.
fn shifted(recording: &[i16], channels: usize, most: usize, source: &mut Source) -> Vec<i16> {
    let steps = recording.len() / channels;
    let by = source.below(2 * most + 1) as isize - most as isize;
    let step = |step: usize| step.saturating_add_signed(by).min(steps - 1);
    (0..steps).flat_map(|index| &recording[step(index) * channels..][..channels]).copied().collect()
}

/// Played `speed` times as fast about its middle; what was outside is as the first or the last step.
fn stretched(recording: &[i16], channels: usize, speed: f64) -> Vec<i16> {
    let last = recording.len() / channels - 1;
    let middle = last as f64 / 2.0;
    let mut out = Vec::with_capacity(recording.len());
    for step in 0..=last {
        let place = (middle + (step as f64 - middle) * speed).clamp(0.0, last as f64);
        let (before, part) = (place as usize, place.fract());
        for channel in 0..channels {
            let at = |step: usize| f64::from(recording[step.min(last) * channels + channel]);
            out.push(((1.0 - part) * at(before) + part * at(before + 1)).round() as i16);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretching_keeps_the_middle_and_the_length() {
        let two_channels = [0, 100, 10, 90, 20, 80, 30, 70, 40, 60];
        assert_eq!(stretched(&two_channels, 2, 1.0), two_channels);
        assert_eq!(stretched(&two_channels, 2, 0.5), [10, 90, 15, 85, 20, 80, 25, 75, 30, 70]);
        assert_eq!(stretched(&two_channels, 2, 2.0), [0, 100, 0, 100, 20, 80, 40, 60, 40, 60]);
        assert_eq!(stretched(&[7], 1, 1.5), [7]);
    }

    #[test]
    fn steps_are_hidden_with_all_their_channels() {
        let mut recording = [1; 2000];
        hide(&mut recording, 2, 0, 0.25, &mut Source(1));
        assert!(recording.chunks(2).all(|step| step[0] == step[1]));
        let hidden = recording.iter().filter(|&&x| x == 0).count();
        assert!((400..600).contains(&hidden), "{hidden}");
    }
}
