//! Writes a model file: the mirror of [`super::Model::parse`].

use std::vec::Vec;

use super::crc::crc32;
use super::{
    Epsilon, FavorInput, Features, Level, MAGIC, NAME_WORDS, NormOrder, PREAMBLE, Pooling, VERSION, Window,
};
use crate::kernels::{Activation, pair_len};
use crate::num::Requant;

/// A matrix to write, `[outputs, inputs]`.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Elements; within `i8` if `bits` is 8.
    pub values: Vec<i16>,
    /// 8 or 16.
    pub bits: u32,
}

/// A linear layer to write; see [`super::Linear`].
#[derive(Clone, Debug)]
pub struct Linear {
    /// Input width.
    pub inputs: usize,
    /// `[outputs, inputs]`.
    pub weights: Matrix,
    /// `[outputs]`.
    pub multipliers: Vec<i16>,
    /// Common shift.
    pub shift: u32,
    /// `[outputs]`, at the scale of the accumulator.
    pub bias: Vec<i32>,
    /// Fractional bits of the output.
    pub frac: i32,
}

/// Rows to look up; see [`super::Table`].
#[derive(Clone, Debug)]
pub struct Table {
    /// `[rows, width]`.
    pub values: Matrix,
    /// `[width]`.
    pub multipliers: Vec<i16>,
    /// Common shift.
    pub shift: u32,
    /// Fractional bits of a row.
    pub frac: i32,
}

/// Layer normalisation; see [`super::Norm`].
#[derive(Clone, Debug)]
pub struct Norm {
    /// `[width]`.
    pub gain: Vec<i16>,
    /// `[width]`.
    pub bias: Vec<i32>,
    /// Right shift to the output.
    pub shift: u32,
    /// At the scale of the integer variance.
    pub epsilon: u64,
    /// Fractional bits of the output.
    pub frac: i32,
}

/// What a recording is; see [`super::Input`].
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The fields are those of `super::Input`.
pub enum Input {
    Samples { channels: usize, window: Window, shift: u32, level: Level, stem: Linear },
    OneHot { symbols: usize, window: Window, shift: u32, stem: Linear },
    Tokens { table: Table },
}

/// Positions; see [`super::Positions`].
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The variants are those of `super::Positions`.
pub enum Positions {
    None,
    Learned(Table),
    Sinusoidal(Vec<u32>),
    Axial([Table; 2]),
}

/// A hidden layer of the head; see [`super::Hidden`].
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The fields are those of `super::Hidden`.
pub struct Hidden {
    pub linear: Linear,
    pub activation: Activation,
}

/// Rotations of angular hashing to write; see [`super::Rotations`].
#[derive(Clone, Debug)]
pub struct Rotations {
    /// 1, 8 or 16.
    pub bits: u32,
    /// `[rotation_heads, rounds, columns, head width]`; of one bit, plus and minus one.
    pub values: Vec<i16>,
}

impl Rotations {
    /// The signs, a bit each.
    pub fn signs(&self) -> Vec<u32> {
        let word = |values: &[i16]| values.iter().rev().fold(0, |word, &r| word << 1 | u32::from(r < 0));
        self.values.chunks(32).map(word).collect()
    }
}

/// Parameters of LSH attention to write; see [`super::Lsh`].
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The fields are those of `super::Lsh`.
pub struct Lsh {
    pub factors: Vec<i16>,
    pub rounds: usize,
    pub chunk: usize,
    pub before: usize,
    pub after: usize,
    pub multiple: usize,
    pub in_bucket: bool,
    pub skip_duplicates: bool,
    pub padding_bucket: bool,
    pub epsilon: u64,
    pub rotation_heads: usize,
    pub rotations: Rotations,
}

/// Parameters of FAVOR+ attention to write; see [`super::Favor`].
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The fields are those of `super::Favor`.
pub struct Favor {
    pub features: Features,
    pub directions: usize,
    pub projection: Vec<i16>,
    pub query: FavorInput,
    pub key: FavorInput,
    pub epsilon: Epsilon,
}

impl Favor {
    /// The parameters as the engine takes them.
    pub fn view(&self) -> super::Favor<'_> {
        let Self { features, directions, ref projection, query, key, epsilon } = *self;
        super::Favor { features, directions, projection, query, key, epsilon }
    }
}

/// Parameters of BigBird attention with global tokens of their own, to write; see [`super::BigBirdExtended`].
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The fields are those of `super::BigBirdExtended`.
pub struct BigBirdExtended {
    pub block: usize,
    pub dense_tokens: usize,
    pub global: usize,
    pub radius: Option<usize>,
    pub random: usize,
    pub plan: Vec<i16>,
}

/// A mechanism of attention; see [`super::AttentionKind`].
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The variants are those of `super::AttentionKind`.
pub enum AttentionKind {
    Exact,
    Hierarchical { block: usize, bias: Vec<i16> },
    BigBird { block: usize, dense_blocks: usize, random: usize, plan: Vec<i16> },
    Favor(Favor),
    Lsh(Lsh),
    Local(super::Local),
    BigBirdExtended(BigBirdExtended),
}

/// An encoder block; see [`super::Block`].
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The fields are those of `super::Block`.
pub struct Block {
    pub order: NormOrder,
    pub kind: AttentionKind,
    pub causal: bool,
    pub scale: Requant,
    pub gain: u32,
    pub query: Linear,
    pub key: Option<Linear>,
    pub value: Linear,
    pub output: Linear,
    pub norm1: Norm,
    pub activation: Activation,
    pub expand: Linear,
    pub contract: Linear,
    pub norm2: Norm,
}

/// A whole model; see [`super::Model`].
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The fields are those of `super::Model`.
pub struct File {
    pub name: std::string::String,
    pub max_tokens: usize,
    pub width: usize,
    pub heads: usize,
    pub head_width: usize,
    pub pooling: Pooling,
    pub sample_scale: f32,
    pub input: Input,
    pub positions: Positions,
    pub embedding_norm: Option<Norm>,
    pub blocks: Vec<Block>,
    pub final_norm: Option<Norm>,
    pub head_hidden: Option<Hidden>,
    pub head: Linear,
}

impl File {
    /// The words of the file. Whether they make a valid model only [`super::Model::parse`] says.
    pub fn words(&self) -> Vec<u32> {
        let mut out = Words(std::vec![MAGIC, VERSION, 0, 0]);
        out.name(&self.name);
        out.sizes(&[self.max_tokens, self.width, self.heads, self.head_width]);
        out.sizes(&[self.blocks.len(), self.head.multipliers.len()]);
        out.0.push(self.pooling as u32);
        out.0.push(self.sample_scale.to_bits());
        match &self.input {
            Input::Samples { channels, window, shift, level, stem } => {
                out.sizes(&[0, *channels, window.width, window.stride]);
                out.0.extend([*shift, *level as u32]);
                out.linear(stem);
            }
            Input::OneHot { symbols, window, shift, stem } => {
                out.sizes(&[1, *symbols, window.width, window.stride]);
                out.0.push(*shift);
                out.linear(stem);
            }
            Input::Tokens { table } => {
                out.0.push(2);
                out.table(table);
            }
        }
        match &self.positions {
            Positions::None => out.0.push(0),
            Positions::Learned(table) => {
                out.0.push(1);
                out.table(table);
            }
            Positions::Sinusoidal(steps) => {
                out.0.push(2);
                out.0.extend(steps);
            }
            Positions::Axial(tables) => {
                out.sizes(&[3, tables[0].multipliers.len()]);
                tables.iter().for_each(|table| out.table(table));
            }
        }
        out.optional_norm(self.embedding_norm.as_ref());
        self.blocks.iter().for_each(|block| out.block(block));
        out.optional_norm(self.final_norm.as_ref());
        out.0.push(u32::from(self.head_hidden.is_some()));
        if let Some(Hidden { linear, activation }) = &self.head_hidden {
            out.0.push(*activation as u32);
            out.linear(linear);
        }
        out.linear(&self.head);
        out.0[2] = out.0.len() as u32;
        out.0[3] = crc32(&out.0[PREAMBLE..]);
        out.0
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        self.words().into_iter().flat_map(u32::to_le_bytes).collect()
    }
}

/// The weights in the order of [`crate::kernels::ChannelPairs`].
fn zipped(linear: &Linear) -> Vec<i16> {
    let (inputs, values) = (linear.inputs, &linear.weights.values);
    let pairs = values.chunks(2 * inputs).flat_map(|pair| {
        (0..pair_len(inputs)).map(move |i| {
            let (column, channel) = (i / 2, i % 2);
            let row = pair.chunks(inputs).nth(channel).unwrap_or_default();
            row.get(column).copied().unwrap_or_default()
        })
    });
    pairs.collect()
}

struct Words(Vec<u32>);

impl Words {
    fn sizes(&mut self, values: &[usize]) {
        self.0.extend(values.iter().map(|&value| value as u32));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(4) {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0.push(u32::from_le_bytes(word));
        }
    }

    fn name(&mut self, name: &str) {
        let mut end = name.len().min(4 * NAME_WORDS);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        let mut bytes = [0; 4 * NAME_WORDS];
        bytes[..end].copy_from_slice(&name.as_bytes()[..end]);
        self.bytes(&bytes);
    }

    fn i16s(&mut self, values: &[i16]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.bytes(&bytes);
    }

    fn i32s(&mut self, values: &[i32]) {
        self.0.extend(values.iter().map(|&value| value as u32));
    }

    fn matrix(&mut self, matrix: &Matrix) {
        self.0.push(matrix.bits);
        if matrix.bits == 8 {
            let bytes: Vec<u8> = matrix.values.iter().map(|&value| value as i8 as u8).collect();
            self.bytes(&bytes);
        } else {
            self.i16s(&matrix.values);
        }
    }

    fn linear(&mut self, linear: &Linear) {
        self.sizes(&[linear.inputs, linear.multipliers.len()]);
        self.0.extend([linear.shift, linear.frac as u32]);
        self.i16s(&linear.multipliers);
        self.i32s(&linear.bias);
        self.matrix(&Matrix { values: zipped(linear), bits: linear.weights.bits });
    }

    fn table(&mut self, table: &Table) {
        let width = table.multipliers.len();
        self.sizes(&[table.values.values.len() / width, width]);
        self.0.extend([table.shift, table.frac as u32]);
        self.i16s(&table.multipliers);
        self.matrix(&table.values);
    }

    fn norm(&mut self, norm: &Norm) {
        self.sizes(&[norm.gain.len()]);
        self.0.extend([norm.shift, norm.frac as u32, norm.epsilon as u32, (norm.epsilon >> 32) as u32]);
        self.i16s(&norm.gain);
        self.i32s(&norm.bias);
    }

    fn optional_norm(&mut self, norm: Option<&Norm>) {
        self.0.push(u32::from(norm.is_some()));
        if let Some(norm) = norm {
            self.norm(norm);
        }
    }

    fn kind(&mut self, kind: &AttentionKind) {
        match kind {
            AttentionKind::Exact => self.0.push(0),
            AttentionKind::Hierarchical { block, bias } => {
                self.sizes(&[1, *block, usize::from(!bias.is_empty())]);
                self.i16s(bias);
            }
            AttentionKind::BigBird { block, dense_blocks, random, plan } => {
                self.sizes(&[2, *block, *dense_blocks, *random, plan.len()]);
                self.i16s(plan);
            }
            AttentionKind::Favor(favor) => self.favor(favor),
            AttentionKind::Lsh(lsh) => self.lsh(lsh),
            AttentionKind::Local(super::Local { chunk, before, after, multiple }) => {
                self.sizes(&[5, *chunk, *before, *after, *multiple]);
            }
            AttentionKind::BigBirdExtended(extended) => {
                self.sizes(&[6, extended.block, extended.dense_tokens, extended.global]);
                self.sizes(&[usize::from(extended.radius.is_some())]);
                self.0.extend(extended.radius.map(|radius| radius as u32));
                self.sizes(&[extended.random, extended.plan.len()]);
                self.i16s(&extended.plan);
            }
        }
    }

    fn favor(&mut self, favor: &Favor) {
        self.0.extend([3, favor.features as u32]);
        self.sizes(&[favor.directions, usize::from(!favor.projection.is_empty())]);
        if !favor.projection.is_empty() {
            self.sizes(&[favor.projection.len()]);
            self.i16s(&favor.projection);
        }
        for input in [favor.query, favor.key] {
            for requant in [input.projection, input.norm] {
                self.0.extend([requant.multiplier as u32, requant.shift]);
            }
            self.0.push(input.epsilon as u32);
        }
        self.0.push(favor.epsilon as u32);
    }

    fn lsh(&mut self, lsh: &Lsh) {
        self.sizes(&[4, lsh.factors.len()]);
        self.i16s(&lsh.factors);
        self.sizes(&[lsh.rounds, lsh.chunk, lsh.before, lsh.after, lsh.multiple]);
        self.0.extend([lsh.in_bucket, lsh.skip_duplicates, lsh.padding_bucket].map(u32::from));
        self.0.extend([lsh.epsilon as u32, (lsh.epsilon >> 32) as u32]);
        let Rotations { bits, values } = &lsh.rotations;
        self.sizes(&[lsh.rotation_heads, values.len(), *bits as usize]);
        match bits {
            1 => self.0.extend(lsh.rotations.signs()),
            8 => self.bytes(&values.iter().map(|&value| value as i8 as u8).collect::<Vec<_>>()),
            _ => self.i16s(values),
        }
    }

    fn block(&mut self, block: &Block) {
        self.0.push(block.order as u32);
        self.kind(&block.kind);
        self.0.extend([
            u32::from(block.causal),
            block.scale.multiplier as u32,
            block.scale.shift,
            block.gain,
        ]);
        self.linear(&block.query);
        block.key.iter().for_each(|key| self.linear(key));
        self.linear(&block.value);
        self.linear(&block.output);
        self.norm(&block.norm1);
        self.0.push(block.activation as u32);
        self.linear(&block.expand);
        self.linear(&block.contract);
        self.norm(&block.norm2);
    }
}
