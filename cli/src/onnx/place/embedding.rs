//! What stands before the first block: stem or table, class token, positions, norm.

use fixformer::host::reference::{Input, Level, Linear, Norm, Positions, Window, layers::sinusoid};
use fixformer::host::scale::SampleScale;

use super::super::chain::{composed, identity, selected};
use super::super::error::Problem;
use super::super::expression::{Expression, Id};
use super::super::read::Reading;
use super::Placer;

/// The embedding of a network.
pub(super) struct Embedding {
    pub(super) input: Input,
    pub(super) class_token: Option<Vec<f64>>,
    pub(super) positions: Positions,
    pub(super) norm: Option<Norm>,
    /// Number of tokens, the class token included.
    pub(super) tokens: usize,
}

/// Tokens as an affine map of windows of the input and a table, with perhaps a row before them.
#[derive(Debug, Clone)]
struct Stage {
    leaf: Id,
    window: Window,
    /// None for the input as it is.
    map: Option<Linear>,
    /// `[tokens, width]`.
    table: Option<Vec<f64>>,
    class: Option<Vec<f64>>,
}

/// Largest difference from the formula up to which a table of positions is that of sines.
const SINUSOID: f64 = 1e-6;

impl Placer<'_> {
    /// The embedding that ends in `id`.
    pub(super) fn embedding(
        &mut self,
        id: Id,
        reading: &Reading,
        scale: &SampleScale,
    ) -> Result<Embedding, Problem> {
        self.site(None, "embedding", id);
        let (norm, below) = match self.norm(id) {
            Some((norm, of)) => {
                self.site(None, "summed", of);
                (Some(norm), of)
            }
            None => (None, id),
        };
        let stage = self.stage(below)?;
        let (tokens, width) = (self.expressions.entry(below).tokens, self.expressions.entry(below).features);
        let map = stage.map.ok_or_else(|| {
            self.problem(
                below,
                "is where the blocks begin; expected an embedding, a linear map or a convolution of the input before \
                 them",
            )
        })?;
        let mut table = stage.table.filter(|table| table.iter().any(|&x| x != 0.0));
        let mut class_token = stage.class;
        if let (Some(class), Some(table)) = (&mut class_token, &mut table) {
            // One of the two is enough for the class token: all in its own row, unless the table is that of sines.
            let sines = table.iter().zip(sinusoid(0, width)).all(|(x, y)| (x - y).abs() <= SINUSOID);
            if !sines {
                class.iter_mut().zip(&mut table[..width]).for_each(|(class, x)| *class += std::mem::take(x));
            }
        }
        let positions = match table {
            None => Positions::None,
            Some(table) if is_sinusoidal(&table, width) => Positions::Sinusoidal,
            Some(table) => Positions::Learned(table),
        };
        let input = match self.expressions.get(stage.leaf) {
            Expression::Symbols if stage.window.width == 1 && stage.window.stride == 1 => {
                let rows = map.weights.chunks(map.outputs);
                let biased = rows.flat_map(|row| row.iter().zip(&map.bias).map(|(x, b)| x + b));
                Input::Tokens { vocabulary: map.inputs, table: biased.collect() }
            }
            Expression::Symbols => {
                Input::OneHot { symbols: map.inputs / stage.window.width, window: stage.window, stem: map }
            }
            _ => {
                let channels = reading.channel_count();
                Input::Samples {
                    channels,
                    window: stage.window,
                    scale: scale.each(channels),
                    level: Level::Raw,
                    mean: vec![0.0; channels],
                    deviation: vec![1.0; channels],
                    stem: map,
                }
            }
        };
        Ok(Embedding { input, class_token, positions, norm, tokens })
    }

    /// The tensor `id` as a map of the input.
    fn stage(&self, id: Id) -> Result<Stage, Problem> {
        let mut stage = match self.expressions.get(id) {
            Expression::Samples | Expression::Symbols => {
                let window = Window { width: 1, stride: 1 };
                return Ok(Stage { leaf: id, window, map: None, table: None, class: None });
            }
            Expression::Affine { of, .. }
            | Expression::Scaled { of, .. }
            | Expression::Selected { of, .. } => self.stage(*of)?,
            Expression::Windows { of, .. } | Expression::Positioned { of, .. } => self.stage(*of)?,
            Expression::Prefixed { of, .. } => self.stage(*of)?,
            Expression::Activated { .. } | Expression::Norm { .. } => {
                return Err(self.problem(
                    id,
                    "stands before the first block; expected only linear maps of the input there, positions, a class \
                     token and one norm: the engine has one stem",
                ));
            }
            _ => {
                return Err(self.problem(
                    id,
                    "stands before the first block, but is no part of one; expected a block: attention and \
                     feed-forward, each with its residual and its norm",
                ));
            }
        };
        match self.expressions.get(id) {
            Expression::Windows { width, stride, map, .. } => {
                self.widen(id, &mut stage, *width, *stride, map)?
            }
            Expression::Positioned { table, .. } => match &mut stage.table {
                Some(sum) => sum.iter_mut().zip(table).for_each(|(sum, x)| *sum += x),
                None => stage.table = Some(table.clone()),
            },
            Expression::Prefixed { row, .. } => {
                if stage.class.is_some() {
                    return Err(
                        self.problem(id, "puts a second row before the tokens; expected one class token")
                    );
                }
                stage.class = Some(row.clone());
                if let Some(table) = &mut stage.table {
                    table.splice(0..0, vec![0.0; row.len()]);
                }
            }
            expression => {
                let inputs = self.expressions.below(id).map_or(0, |of| self.expressions.entry(of).features);
                let inputs = match expression {
                    Expression::Affine { map, .. } => map.inputs,
                    _ => inputs,
                };
                let next = match expression {
                    Expression::Affine { map, .. } => map.clone(),
                    Expression::Scaled { factor, shift, .. } => diagonal(factor, shift),
                    Expression::Selected { features, .. } => selected(&identity(inputs), features),
                    _ => identity(inputs),
                };
                stage.table = stage.table.map(|table| linear_part(&next).apply(&table));
                stage.class = stage.class.map(|class| next.apply(&class));
                stage.map = Some(match &stage.map {
                    Some(map) => composed(map, &next),
                    None => next,
                });
            }
        }
        Ok(stage)
    }

    /// `stage` followed by a map of `width` of its tokens at every `stride`.
    fn widen(
        &self,
        id: Id,
        stage: &mut Stage,
        width: usize,
        stride: usize,
        map: &Linear,
    ) -> Result<(), Problem> {
        if stage.class.is_some() {
            return Err(
                self.problem(id, "maps the class token together with others; expected it after the stem")
            );
        }
        let outputs = map.outputs;
        let columns = map.inputs / width;
        let parts: Vec<Linear> = map
            .weights
            .chunks(columns * outputs)
            .map(|weights| Linear {
                inputs: columns,
                outputs,
                weights: weights.to_vec(),
                bias: vec![0.0; outputs],
            })
            .collect();
        if let Some(table) = &stage.table {
            let rows: Vec<&[f64]> = table.chunks(columns).collect();
            let count = (rows.len() - width) / stride + 1;
            let mut windows = vec![0.0; count * outputs];
            for (window, sum) in windows.chunks_mut(outputs).enumerate() {
                for (part, row) in parts.iter().zip(&rows[window * stride..]) {
                    sum.iter_mut().zip(part.apply(row)).for_each(|(sum, x)| *sum += x);
                }
            }
            stage.table = Some(windows);
        }
        let inner = stage.map.clone().unwrap_or_else(|| identity(columns));
        let values = inner.inputs / stage.window.width;
        let whole = stage.window.width + (width - 1) * stage.window.stride;
        let mut weights = vec![0.0; whole * values * outputs];
        let mut bias = map.bias.clone();
        for (index, part) in parts.iter().enumerate() {
            let part = composed(&inner, part);
            let from = index * stage.window.stride * values * outputs;
            weights[from..].iter_mut().zip(&part.weights).for_each(|(sum, w)| *sum += w);
            bias.iter_mut().zip(&part.bias).for_each(|(sum, b)| *sum += b);
        }
        stage.window = Window { width: whole, stride: stage.window.stride * stride };
        stage.map = Some(Linear { inputs: whole * values, outputs, weights, bias });
        Ok(())
    }
}

fn diagonal(factor: &[f64], shift: &[f64]) -> Linear {
    let mut map = identity(factor.len());
    map.weights
        .chunks_mut(factor.len())
        .zip(factor)
        .enumerate()
        .for_each(|(i, (row, factor))| row[i] = *factor);
    map.bias.copy_from_slice(shift);
    map
}

fn linear_part(map: &Linear) -> Linear {
    Linear { bias: vec![0.0; map.outputs], ..map.clone() }
}

/// Whether the rows are those of Vaswani et al.: then they need no memory.
fn is_sinusoidal(table: &[f64], width: usize) -> bool {
    let row = |(position, row): (usize, &[f64])| {
        row.iter().zip(sinusoid(position, width)).all(|(x, y)| (x - y).abs() <= SINUSOID)
    };
    table.chunks(width).enumerate().all(row)
}
