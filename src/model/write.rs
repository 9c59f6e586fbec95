//! Writes a model file: the mirror of [`super::Model::parse`].

use std::string::String;
use std::vec::Vec;

use super::crc::crc32;
pub use super::kind::write::*;
use super::sections::{
    ANSWERS, CLASS, ENTRY, INPUT_UNITS, NAME, NAME_WORDS, NAMES, NEEDED, NETWORK, POOLED_NORM, UNIT, UNITS,
};
use super::{Level, MAGIC, NormOrder, PREAMBLE, Pooling, Task, VERSION, Window};
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

/// What a score that is a number stands for: `offset + score * mantissa / 2^shift`.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// With 32 fractional bits.
    pub offset: i64,
    /// Of the step from one score to the next.
    pub mantissa: i32,
    /// At most 94.
    pub shift: u32,
}

/// What the scores say; see [`super::Answers`].
#[derive(Clone, Debug)]
pub struct Answers {
    /// What the model is asked.
    pub task: Task,
    /// None, or one for each output; of two classes one. Integers with the fractional bits of the scores.
    pub thresholds: Vec<i32>,
    /// Of outputs that are numbers, none, or one for each.
    pub numbers: Vec<Number>,
    /// None, or one for each class or output.
    pub names: Vec<String>,
    /// None, or one for each output.
    pub units: Vec<String>,
}

/// A whole model; see [`super::Model`].
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The fields are those of `super::Model`.
pub struct File {
    pub name: String,
    pub max_tokens: usize,
    pub horizon: usize,
    pub width: usize,
    pub heads: usize,
    pub head_width: usize,
    pub pooling: Pooling,
    pub sample_scale: Vec<f32>,
    pub input: Input,
    pub class_token: Option<Vec<i16>>,
    pub positions: Positions,
    pub embedding_norm: Option<Norm>,
    pub blocks: Vec<Block>,
    pub final_norm: Option<Norm>,
    pub pooled_norm: Option<Norm>,
    pub head_hidden: Option<Hidden>,
    pub head: Linear,
    pub answers: Answers,
    /// None, one for all channels, or one for each.
    pub input_units: Vec<String>,
}

impl File {
    /// The words of the file. Whether they make a valid model only [`super::Model::parse`] says.
    pub fn words(&self) -> Vec<u32> {
        let mut sections = std::vec![(NETWORK, NEEDED, self.network())];
        if !self.name.is_empty() {
            sections.push((NAME, 0, name(&self.name)));
        }
        if !self.sample_scale.is_empty() {
            sections.push((UNIT, 0, self.sample_scale.iter().map(|scale| scale.to_bits()).collect()));
        }
        if let Some(token) = &self.class_token {
            let mut words = Words(Vec::new());
            words.i16s(token);
            sections.push((CLASS, NEEDED, words.0));
        }
        if let Some(norm) = &self.pooled_norm {
            let mut words = Words(Vec::new());
            words.norm(norm);
            sections.push((POOLED_NORM, NEEDED, words.0));
        }
        let Answers { task, thresholds, numbers, names, units } = &self.answers;
        if *task != Task::Multiclass || !thresholds.is_empty() {
            let (tag, flags, mut words) = answers(*task, thresholds);
            for &Number { offset, mantissa, shift } in numbers {
                words.extend([offset as u32, (offset >> 32) as u32, mantissa as u32, shift]);
            }
            sections.push((tag, flags, words));
        }
        let lists = [(NAMES, names), (UNITS, units), (INPUT_UNITS, &self.input_units)];
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        sections.extend(lists.map(|(tag, names)| (tag, 0, list(names))));
        join(&sections)
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        self.words().into_iter().flat_map(u32::to_le_bytes).collect()
    }

    fn network(&self) -> Vec<u32> {
        let mut out = Words(Vec::new());
        out.sizes(&[self.max_tokens, self.horizon, self.width, self.heads, self.head_width]);
        out.sizes(&[self.blocks.len(), self.head.multipliers.len()]);
        self.pooling.write(&mut out);
        match &self.input {
            Input::Samples { channels, window, shift, level, stem } => {
                out.sizes(&[0, *channels, window.width, window.stride]);
                out.words(&[*shift]);
                level.write(&mut out);
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
        out.0
    }
}

/// A section: its tag, its flags and its words.
type Section = ([u8; 4], u32, Vec<u32>);

/// The words of a file of these sections.
fn join(sections: &[Section]) -> Vec<u32> {
    let mut out = Words(std::vec![MAGIC, VERSION, 0, 0, sections.len() as u32]);
    let mut offset = PREAMBLE + 1 + ENTRY * sections.len();
    for (tag, flags, words) in sections {
        out.words(&[u32::from_le_bytes(*tag), *flags]);
        out.sizes(&[offset, words.len()]);
        offset += words.len();
    }
    sections.iter().for_each(|(_, _, words)| out.words(words));
    out.0[2] = out.0.len() as u32;
    out.0[3] = crc32(&out.0[PREAMBLE..]);
    out.0
}

/// The words of a model file with other thresholds; `file` is one that [`super::Model::parse`] takes, of a model that is asked
/// for classes or for yes or no. Whether it takes the new one, only it says: a file has at most 64 sections.
pub fn with_thresholds(file: &[u32], task: Task, thresholds: &[i32]) -> Vec<u32> {
    let (mut sections, mut rest) = (Vec::new(), &file[PREAMBLE + 1..]);
    for _ in 0..file[PREAMBLE] {
        let (&[tag, flags, offset, length], next) = rest.split_first_chunk().expect("the table is whole");
        let words = file[offset as usize..][..length as usize].to_vec();
        sections.push((tag.to_le_bytes(), flags, words));
        rest = next;
    }
    sections.retain(|(tag, _, _)| *tag != ANSWERS);
    if task != Task::Multiclass || !thresholds.is_empty() {
        sections.push(answers(task, thresholds));
    }
    join(&sections)
}

/// Who does not know that there are no classes cannot use the file; a threshold can be done without.
fn answers(task: Task, thresholds: &[i32]) -> Section {
    let mut words = Words(Vec::new());
    words.sizes(&[task as usize, thresholds.len()]);
    words.i32s(thresholds);
    (ANSWERS, if task == Task::Multiclass { 0 } else { NEEDED }, words.0)
}

/// Names with a zero behind each.
fn list(names: &[String]) -> Vec<u32> {
    let mut words = Words(Vec::new());
    words.bytes(&names.iter().flat_map(|name| name.bytes().chain([0])).collect::<Vec<_>>());
    words.0
}

/// As much of a name as there is room for.
fn name(name: &str) -> Vec<u32> {
    let mut end = name.len().min(4 * NAME_WORDS);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = Words(Vec::new());
    out.bytes(&name.as_bytes()[..end]);
    out.0
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

/// The words of a section as they are written.
pub(in crate::model) struct Words(Vec<u32>);

impl Words {
    pub(in crate::model) fn words(&mut self, words: &[u32]) {
        self.0.extend(words);
    }

    pub(in crate::model) fn sizes(&mut self, values: &[usize]) {
        self.0.extend(values.iter().map(|&value| value as u32));
    }

    pub(in crate::model) fn requant(&mut self, requant: Requant) {
        self.words(&[requant.multiplier as u32, requant.shift]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(4) {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0.push(u32::from_le_bytes(word));
        }
    }

    pub(in crate::model) fn i8s(&mut self, values: &[i8]) {
        let bytes: Vec<u8> = values.iter().map(|&value| value as u8).collect();
        self.bytes(&bytes);
    }

    pub(in crate::model) fn i16s(&mut self, values: &[i16]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.bytes(&bytes);
    }

    fn i32s(&mut self, values: &[i32]) {
        self.0.extend(values.iter().map(|&value| value as u32));
    }

    fn matrix(&mut self, matrix: &Matrix) {
        self.0.push(matrix.bits);
        if matrix.bits == 8 {
            self.i8s(&matrix.values.iter().map(|&value| value as i8).collect::<Vec<_>>());
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

    fn block(&mut self, block: &Block) {
        self.0.push(block.order as u32);
        block.kind.write(self);
        self.0.push(u32::from(block.causal));
        self.requant(block.scale);
        self.0.push(block.gain);
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
