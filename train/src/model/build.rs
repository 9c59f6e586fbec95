//! The parameters of a network, and where it reads them.

use fixformer::host::draw::Source;
use fixformer::host::import::description::{
    AffineNames, Attention, BiasName, Description, InputKind, NormNames, PositionKind, in_layer,
};
use fixformer::host::reference::AttentionKind;

use super::{Affine, Block, Input, Model, Norm, Positions};
use crate::batch::Reader;
use crate::data::Data;
use crate::parameters::{Id, Parameters};

/// Deviation of the values of tables at first.
const TABLE: f64 = 0.02;

/// Adds the parameters in the order of the computation.
pub(super) struct Builder {
    pub(super) parameters: Parameters,
    pub(super) source: Source,
}

impl Builder {
    /// The network whose blocks attend by `kinds`.
    pub(super) fn model(
        &mut self,
        description: &Description,
        data: &Data,
        kinds: Vec<AttentionKind>,
    ) -> Model {
        let (encoder, names) = (&description.encoder, &description.tensors);
        let width = encoder.width;
        let reader = Reader::new(&description.input, &data.train);
        let input = match description.input {
            InputKind::Tokens { .. } => {
                let shape = [data.vocabulary, width];
                Input::Table(self.parameters.table(names.table.clone(), shape, 1.0, &mut self.source))
            }
            _ => Input::Stem(self.affine(&names.stem, 0, reader.window_values(), width)),
        };
        let positions = match description.positions.kind {
            PositionKind::Learned => {
                let shape = [data.tokens, width];
                let table = self.parameters.table(names.positions.clone(), shape, TABLE, &mut self.source);
                Positions::Learned(table)
            }
            PositionKind::Sinusoidal => Positions::Sinusoidal,
            PositionKind::None => Positions::None,
            PositionKind::Axial => unreachable!("the recipe refuses it"),
        };
        let epsilon = |own: Option<f64>| own.unwrap_or(encoder.epsilon);
        let of_embedding = epsilon(encoder.embedding_epsilon);
        let embedding_norm =
            encoder.embedding_norm.then(|| self.norm(&names.embedding_norm, 0, width, of_embedding));
        let blocks = kinds.into_iter().enumerate();
        let blocks = blocks.map(|(layer, kind)| self.block(description, layer, kind)).collect();
        let of_last = epsilon(encoder.final_epsilon);
        let final_norm = encoder.final_norm.then(|| self.norm(&names.final_norm, 0, width, of_last));
        let pooling = &description.pooling;
        let of_pooled = epsilon(pooling.epsilon);
        let pooled_norm = pooling.norm.then(|| self.norm(&names.pooled_norm, 0, width, of_pooled));
        Model {
            reader,
            input,
            positions,
            embedding_norm,
            blocks,
            final_norm,
            pooling: description.pooling.reference(),
            pooled_norm,
            head: self.affine(&names.head, 0, width, data.classes),
            heads: encoder.heads,
            width,
        }
    }

    fn block(&mut self, description: &Description, layer: usize, kind: AttentionKind) -> Block {
        let (encoder, names) = (&description.encoder, &description.tensors);
        let (width, hidden, epsilon) = (encoder.width, encoder.hidden, encoder.epsilon);
        let attention = encoder.attention.of(layer);
        let joined = encoder.heads * encoder.head_width();
        let shared = attention.shares_query();
        // As the importer reads them.
        let query = names.query_key.as_ref().filter(|_| shared).unwrap_or(&names.query);
        let position_bias = match (&names.position_bias, attention) {
            (Some(name), Attention::Hierarchical { block, .. }) => {
                let shape = [4 * block - 1, encoder.heads];
                Some(self.parameters.table(in_layer(name, layer), shape, TABLE, &mut self.source))
            }
            _ => None,
        };
        Block {
            order: encoder.norm.into(),
            norm1: self.norm(&names.norm1, layer, width, epsilon),
            query: self.affine(query, layer, width, joined),
            key: (!shared).then(|| self.affine(&names.key, layer, width, joined)),
            value: self.affine(&names.value, layer, width, joined),
            output: self.affine(&names.output, layer, joined, width),
            position_bias,
            causal: attention.causal(),
            kind,
            norm2: self.norm(&names.norm2, layer, width, epsilon),
            expand: self.affine(&names.expand, layer, width, hidden),
            activation: encoder.activation.into(),
            contract: self.affine(&names.contract, layer, hidden, width),
        }
    }

    fn affine(&mut self, names: &AffineNames, layer: usize, inputs: usize, outputs: usize) -> Affine {
        let name = in_layer(&names.weight, layer);
        let weight = self.parameters.weight(name, inputs, outputs, &mut self.source);
        Affine { weight, bias: self.bias(&names.bias, layer, outputs) }
    }

    fn norm(&mut self, names: &NormNames, layer: usize, width: usize, epsilon: f64) -> Norm {
        let gain = self.parameters.vector(in_layer(&names.gain, layer), width, 1.0);
        Norm { gain, bias: self.bias(&names.bias, layer, width), epsilon }
    }

    fn bias(&mut self, name: &BiasName, layer: usize, length: usize) -> Option<Id> {
        match name {
            BiasName::Tensor(name) => Some(self.parameters.vector(in_layer(name, layer), length, 0.0)),
            BiasName::Absent => None,
        }
    }
}
