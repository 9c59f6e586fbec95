//! The network of a recipe, as tensor operations.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use fixformer::host::draw::Source;
use fixformer::host::import;
use fixformer::host::import::description::{Description, PositionKind};
use fixformer::host::reference::{Activation, AttentionKind, NormOrder, Pooling, layers};

use crate::attention::{self, Heads};
use crate::batch::{Batch, Content, Reader};
use crate::data::Data;
use crate::parameters::{Id, Parameters};
use crate::recipe::Training;
use crate::whitening;
use build::Builder;

mod build;

/// A network without its values, which are [`Parameters`].
#[derive(Debug, Clone)]
pub struct Model {
    /// How recordings become tensors.
    pub reader: Reader,
    input: Input,
    positions: Positions,
    embedding_norm: Option<Norm>,
    blocks: Vec<Block>,
    final_norm: Option<Norm>,
    pooling: Pooling,
    pooled_norm: Option<Norm>,
    head: Affine,
    heads: usize,
    width: usize,
}

#[derive(Debug, Clone)]
enum Input {
    Stem(Affine),
    Table(Id),
}

#[derive(Debug, Clone)]
enum Positions {
    None,
    Learned(Id),
    Sinusoidal,
}

#[derive(Debug, Clone)]
struct Affine {
    weight: Id,
    bias: Option<Id>,
}

#[derive(Debug, Clone)]
struct Norm {
    gain: Id,
    bias: Option<Id>,
    epsilon: f64,
}

#[derive(Debug, Clone)]
struct Block {
    order: NormOrder,
    norm1: Norm,
    query: Affine,
    /// None where queries are keys.
    key: Option<Affine>,
    value: Affine,
    output: Affine,
    position_bias: Option<Id>,
    causal: bool,
    kind: AttentionKind,
    norm2: Norm,
    expand: Affine,
    activation: Activation,
    contract: Affine,
}

/// Leaves out a share of the values at random.
#[derive(Debug)]
pub struct Dropout {
    /// 0 leaves out nothing.
    pub share: f64,
    /// Says which.
    pub source: Source,
}

impl Dropout {
    /// Leaves out nothing.
    pub fn none() -> Dropout {
        Dropout { share: 0.0, source: Source(0) }
    }

    fn apply(&mut self, x: Tensor<2>) -> Tensor<2> {
        if self.share == 0.0 {
            return x;
        }
        let (shape, kept) = (x.dims(), (1.0 / (1.0 - self.share)) as f32);
        // Four values a draw: this is the innermost loop of a step.
        let limit = (self.share * 65_536.0) as u64;
        let mut values = Vec::with_capacity((shape[0] * shape[1]).next_multiple_of(4));
        while values.len() < shape[0] * shape[1] {
            let bits = self.source.next();
            values.extend([0, 16, 32, 48].map(|at| if bits >> at & 0xffff < limit { 0.0 } else { kept }));
        }
        values.truncate(shape[0] * shape[1]);
        let factors: Tensor<2> = Tensor::from_data(TensorData::new(values, shape), &x.device());
        x * factors
    }
}

impl Model {
    /// The network that the description at `path` defines for `data`, and its first values, drawn by the seed of
    /// `training`.
    ///
    /// # Errors
    /// Attention that the importer refuses or that cannot be trained, and tensors with the same name.
    pub fn new(
        path: &Path,
        description: &Description,
        data: &Data,
        training: &Training,
        device: &Device,
    ) -> Result<(Model, Parameters)> {
        let table = matches!(description.positions.kind, PositionKind::Learned).then_some(data.tokens);
        let kinds = import::attentions(path, description, table)?;
        let known = kinds.iter().all(attention::known);
        ensure!(known, "{}: this kind of attention cannot be trained", path.display());
        let mut builder =
            Builder { parameters: Parameters::new(device.clone()), source: Source(training.seed) };
        let model = builder.model(description, data, kinds);
        let mut parameters = builder.parameters;
        if let (Input::Stem(stem), Some(ridge)) = (&model.input, training.whiten) {
            parameters.train_in(stem.weight, whitening::matrix(&model.reader, &data.train, ridge));
        }
        let constants = model.constants(description).into_iter().map(|(name, _)| name);
        let mut names: Vec<String> =
            parameters.list.iter().map(|parameter| parameter.name.clone()).chain(constants).collect();
        names.sort();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let (path, name) = (path.display(), &pair[0]);
            bail!("{path}: two tensors are called `{name}`; name them apart, layers by `{{layer}}`");
        }
        Ok((model, parameters))
    }

    /// Tensors that are stored but not trained.
    pub fn constants(&self, description: &Description) -> Vec<(String, &[f64])> {
        let names = &description.tensors;
        let Reader { mean, deviation, .. } = &self.reader;
        let constants = [(&names.mean, mean), (&names.deviation, deviation)];
        let given = constants.into_iter().filter(|(_, values)| !values.is_empty());
        given.map(|(name, values)| (name.clone(), values.as_slice())).collect()
    }

    /// Scores, `[recordings, classes]`, with `dropout` of the embedding and of what each sublayer adds.
    pub fn forward(&self, values: &Parameters, batch: &Batch, dropout: &mut Dropout) -> Tensor<2> {
        let (recordings, tokens, width) = (batch.labels.len(), batch.tokens, self.width);
        let stream = match (&self.input, &batch.content) {
            (Input::Stem(stem), Content::Windows(windows)) => stem.apply(values, windows.clone()),
            (Input::Table(table), Content::Ids(ids)) => values.value(*table).select(0, ids.clone()),
            _ => unreachable!("the reader makes what the input takes"),
        };
        let stream: Tensor<3> = stream.reshape([recordings, tokens, width]);
        let stream = match self.positions {
            Positions::None => stream,
            Positions::Learned(table) => stream + values.value(table).narrow(0, 0, tokens).unsqueeze::<3>(),
            Positions::Sinusoidal => {
                let table: Vec<f32> = (0..tokens)
                    .flat_map(|position| layers::sinusoid(position, width))
                    .map(|x| x as f32)
                    .collect();
                let table: Tensor<2> =
                    Tensor::from_data(TensorData::new(table, [tokens, width]), values.device());
                stream + table.unsqueeze::<3>()
            }
        };
        // Layers treat each token alone but for attention: [recordings · tokens, width].
        let mut stream: Tensor<2> = stream.reshape([recordings * tokens, width]);
        if let Some(norm) = &self.embedding_norm {
            stream = norm.apply(values, stream);
        }
        stream = dropout.apply(stream);
        let read = self.read(batch, values.device());
        let last = self.blocks.len().saturating_sub(1);
        for (index, block) in self.blocks.iter().enumerate() {
            let rows = read.as_ref().filter(|_| index == last && block.can_be_asked());
            stream = block.forward(values, stream, batch, self.heads, rows, dropout);
        }
        if let Some(norm) = &self.final_norm {
            stream = norm.apply(values, stream);
        }
        let mut pooled = match read {
            Some(_) if stream.dims()[0] == recordings => stream,
            Some(rows) => stream.select(0, rows),
            None => self.pooled(stream.reshape([recordings, tokens, width]), batch),
        };
        if let Some(norm) = &self.pooled_norm {
            pooled = norm.apply(values, pooled);
        }
        self.head.apply(values, pooled)
    }

    /// The row of each recording that pooling reads; none if it reads all.
    fn read(&self, batch: &Batch, device: &Device) -> Option<Tensor<1, Int>> {
        let token = |length: usize| match self.pooling {
            Pooling::First => Some(0),
            Pooling::Last => Some(length - 1),
            Pooling::None | Pooling::Mean | Pooling::Max | Pooling::WindowMean(_) | Pooling::WindowMax(_) => {
                None
            }
        };
        let lengths = batch.lengths.tokens.iter().enumerate();
        let rows: Option<Vec<i32>> = lengths
            .map(|(recording, &length)| Some((recording * batch.tokens + token(length)?) as i32))
            .collect();
        rows.map(|rows| Tensor::from_data(TensorData::new(rows, [batch.labels.len()]), device))
    }

    fn pooled(&self, stream: Tensor<3>, batch: &Batch) -> Tensor<2> {
        let [recordings, tokens, width] = stream.dims();
        let valid =
            self.pooled_tokens(batch, &stream.device()).map(|valid| valid.reshape([recordings, tokens, 1]));
        match self.pooling {
            Pooling::Mean | Pooling::WindowMean(_) => match valid {
                Some(valid) => {
                    let counts = valid.clone().sum_dim(1);
                    ((stream * valid).sum_dim(1) / counts).reshape([recordings, width])
                }
                None => stream.mean_dim(1).reshape([recordings, width]),
            },
            Pooling::Max | Pooling::WindowMax(_) => {
                let stream = match valid {
                    Some(valid) => stream + valid.sub_scalar(1.0).mul_scalar(1e9),
                    None => stream,
                };
                stream.max_dim(1).reshape([recordings, width])
            }
            Pooling::First | Pooling::Last => unreachable!("`read` names their rows"),
            Pooling::None => unreachable!("a recipe pools"),
        }
    }

    /// 1 for each token that is pooled and 0 for the others, `[recordings, tokens]`; none if all are.
    fn pooled_tokens(&self, batch: &Batch, device: &Device) -> Option<Tensor<2>> {
        let lengths = &batch.lengths;
        if lengths.tokens.iter().all(|&length| self.pooling.first(length) == 0) {
            return lengths.valid.clone();
        }
        let flags = lengths.tokens.iter().flat_map(|&length| {
            let first = self.pooling.first(length);
            (0..batch.tokens).map(move |token| f32::from(u8::from((first..length).contains(&token))))
        });
        let data = TensorData::new(flags.collect::<Vec<_>>(), [lengths.tokens.len(), batch.tokens]);
        Some(Tensor::from_data(data, device))
    }
}

impl Block {
    /// Whether single queries can be answered without the others.
    fn can_be_asked(&self) -> bool {
        !self.causal && matches!(self.kind, AttentionKind::Exact | AttentionKind::Favor(_))
    }

    /// What `stream` becomes; with `rows`, only those of it.
    fn forward(
        &self,
        values: &Parameters,
        stream: Tensor<2>,
        batch: &Batch,
        heads: usize,
        rows: Option<&Tensor<1, Int>>,
        dropout: &mut Dropout,
    ) -> Tensor<2> {
        let normed = match self.order {
            NormOrder::Pre => self.norm1.apply(values, stream.clone()),
            _ => stream.clone(),
        };
        let change = dropout.apply(self.attend(values, normed, batch, heads, rows));
        let stream = picked(stream, rows) + change;
        match self.order {
            NormOrder::Reversible => unreachable!("the recipe refuses it"),
            NormOrder::Pre => {
                let x = self.norm2.apply(values, stream.clone());
                stream + dropout.apply(self.feed(values, x))
            }
            NormOrder::Post => {
                let stream = self.norm1.apply(values, stream);
                let change = dropout.apply(self.feed(values, stream.clone()));
                self.norm2.apply(values, stream + change)
            }
        }
    }

    fn feed(&self, values: &Parameters, x: Tensor<2>) -> Tensor<2> {
        let hidden = self.expand.apply(values, x);
        let hidden = match self.activation {
            Activation::Relu => activation::relu(hidden),
            Activation::GeluErf => activation::gelu(hidden),
            Activation::GeluTanh => activation::gelu_approximate(hidden),
            Activation::Tanh => hidden.tanh(),
        };
        self.contract.apply(values, hidden)
    }

    fn attend(
        &self,
        values: &Parameters,
        x: Tensor<2>,
        batch: &Batch,
        heads: usize,
        rows: Option<&Tensor<1, Int>>,
    ) -> Tensor<2> {
        let recordings = batch.labels.len();
        let split = |x: Tensor<2>| {
            let [rows, width] = x.dims();
            x.reshape([recordings, rows / recordings, heads, width / heads]).swap_dims(1, 2)
        };
        let query = split(self.query.apply(values, picked(x.clone(), rows)));
        let key = match &self.key {
            Some(key) => split(key.apply(values, x.clone())),
            None => query.clone(),
        };
        let value = split(self.value.apply(values, x));
        let bias = self.position_bias.map(|bias| values.value(bias));
        let out =
            attention::attend(&self.kind, self.causal, Heads { query, key, value }, bias, &batch.lengths);
        let [_, _, tokens, width] = out.dims();
        let out = out.swap_dims(1, 2).reshape([recordings * tokens, heads * width]);
        self.output.apply(values, values.activation(out))
    }
}

/// The rows asked for, or all.
fn picked(x: Tensor<2>, rows: Option<&Tensor<1, Int>>) -> Tensor<2> {
    match rows {
        Some(rows) => x.select(0, rows.clone()),
        None => x,
    }
}

impl Affine {
    fn apply(&self, values: &Parameters, x: Tensor<2>) -> Tensor<2> {
        let y = x.matmul(values.value(self.weight));
        values.activation(match self.bias {
            Some(bias) => y + values.value(bias),
            None => y,
        })
    }
}

impl Norm {
    fn apply(&self, values: &Parameters, x: Tensor<2>) -> Tensor<2> {
        let x = x.clone() - x.mean_dim(1);
        let variance = x.clone().square().mean_dim(1);
        let y = x / variance.add_scalar(self.epsilon as f32).sqrt() * values.value(self.gain);
        values.activation(match self.bias {
            Some(bias) => y + values.value(bias),
            None => y,
        })
    }
}
