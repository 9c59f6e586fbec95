//! The model file, `.fxm`: little-endian words, parsed in place.
//!
//! | words | content |
//! |---|---|
//! | 4 | magic `FXM1`, version, length in words, CRC-32 of all words after these four |
//! | 1 | number of sections |
//! | 4 each | a section: tag (four ASCII bytes), flags (1: needed), offset in the file and length in words |
//! | … | the sections, one after the other in the order of the table, up to the end of the file |
//!
//! A reader skips a section that it does not know, and refuses the file if the section is marked as needed: what is
//! added later costs no new version where it can be done without. This build knows `NETW`, the network; `NAME`, its name
//! in UTF-8, padded with zeros; `UNIT`, the f32 real value of one raw input unit; `CLST`, a class token, a row of i16 in the
//! format of an embedded token; `PNRM`, the norm of the pooled row; `ANSW`, a number of the [`Task`], of thresholds, and these;
//! `NAMS`, what the classes or the outputs are called, `UNTS`, the units of outputs that are numbers, and `INUN`, those of the
//! input, each name in UTF-8 with a zero behind it. The network:
//!
//! | words | content |
//! |---|---|
//! | 8 | `max_tokens`, `horizon`, `width`, `heads`, `head_width`, `blocks`, `outputs`, pooling |
//! | 0, 2 | where pooling is over a window, its tokens a block and its blocks |
//! | … | input: kind, then its fields and its stem or table |
//! | … | positions: kind, then the tables or the angular steps; optional norm |
//! | … | the blocks, one after the other ([`Block`]); of each attention, what its mechanism stores |
//! | … | optional final norm; optional hidden layer of the head; head |
//!
//! Everything is used where it lies: in flash. The matrices of linear layers are zipped in
//! [pairs of channels](crate::kernels::ChannelPairs), tables are row-major.

mod answers;
mod block;
mod crc;
mod error;
mod input;
mod kind;
mod level;
mod pooling;
mod read;
mod record;
mod sections;
#[cfg(feature = "std")]
pub mod write;

pub(crate) use crc::Crc;

pub use answers::{Answers, Task};
pub use block::{Attention, Block, Blocks, FeedForward, NormOrder};
pub use error::{Message, ModelError, SectionFault};
pub use input::{Input, Positions, Window};
pub use kind::*;
pub use level::Level;
pub use pooling::{Pooling, PoolingWindow};
pub use record::{Hidden, Linear, Norm, Table, Weights};

use crate::kernels::dot_limit;
use read::{Reader, tri};
use sections::Sections;

/// Version of the format that this build reads and writes.
pub const VERSION: u32 = 4;
/// `FXM1` as it stands in the file.
const MAGIC: u32 = u32::from_le_bytes(*b"FXM1");
/// Words before the content that the checksum covers.
const PREAMBLE: usize = 4;

/// Largest number of tokens: what the accumulators of an attention row are made for.
pub const MAX_TOKENS: u32 = 16_384;
/// Longest stream that a model can be made for, in tokens.
pub const MAX_HORIZON: u32 = 1 << 30;
/// Largest model width: what an integer layer normalisation is made for.
pub const MAX_WIDTH: u32 = 1024;
/// Most words of a file, and most raw values of a recording of the longest input: their bytes have 31 bits, as a slice has on
/// a core of 32.
pub const MAX_WORDS: u32 = (1 << 29) - 1;
/// See [`MAX_WORDS`].
pub const MAX_INPUT: u32 = (1 << 30) - 1;

/// Most blocks.
pub const MAX_BLOCKS: u32 = 64;
/// Most channels of a sample, and most symbols.
pub const MAX_CHANNELS: u32 = 1024;

/// A parsed model: parameters in place, everything checked.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// Most tokens it takes, its class token included.
    pub max_tokens: usize,
    /// Tokens of the longest stream, at least [`Model::max_tokens`] and at most [`MAX_HORIZON`]: causal hierarchical layers
    /// have [the levels](Hierarchical::levels) of so many.
    pub horizon: usize,
    /// Width of a token, `d`.
    pub width: usize,
    /// Heads of each attention.
    pub heads: usize,
    /// Width of a head.
    pub head_width: usize,
    /// Number of blocks.
    pub block_count: usize,
    /// Whether the blocks are [reversible](NormOrder::Reversible): then there are two residuals.
    pub reversible: bool,
    /// What the scores say.
    pub answers: Answers<'a>,
    /// Widest row between the layers of a feed-forward network or of the head.
    pub hidden: usize,
    /// How tokens become one row.
    pub pooling: Pooling,
    /// What a recording is and how it becomes tokens.
    pub input: Input<'a>,
    /// A learned token before those of the input, `[width]`, with their [fractional bits](Input::frac): token 0.
    pub class_token: Option<&'a [i16]>,
    /// What is added to tell tokens apart, the class token included.
    pub positions: Positions<'a>,
    /// Norm after the embedding.
    pub embedding_norm: Option<Norm<'a>>,
    /// Norm after the last block, of [`Model::output_width`] columns.
    pub final_norm: Option<Norm<'a>>,
    /// Norm of the pooled row, of [`Model::output_width`] columns.
    pub pooled_norm: Option<Norm<'a>>,
    /// What the pooled row passes before the head.
    pub head_hidden: Option<Hidden<'a>>,
    /// From the pooled or hidden row to the scores, one for each output.
    pub head: Linear<'a>,
    name: &'a str,
    sample_scale: &'a [u32],
    input_units: &'a str,
    words: usize,
    checksum: u32,
    dot_limit: i16,
    blocks: Reader<'a>,
}

impl<'a> Model<'a> {
    /// Reads a model in place. The only door: after `Ok` no part of it can be missing or out of range, and no
    /// accumulator can overflow.
    ///
    /// # Errors
    /// [`ModelError`] says which field, what was found and what was expected.
    pub const fn parse(file: &'a [u32]) -> Result<Self, ModelError> {
        let mut reader = Reader::new(file);
        let magic = tri!(reader.word());
        if magic != MAGIC {
            return Err(ModelError::Magic { found: magic });
        }
        let version = tri!(reader.word());
        if version != VERSION {
            return Err(ModelError::Version { found: version });
        }
        let words = tri!(reader.word());
        if words > MAX_WORDS {
            return Err(ModelError::Range { field: "length", found: words, low: 1, high: MAX_WORDS });
        }
        if words as usize != file.len() {
            return Err(ModelError::Length { expected: words, found: file.len() as u32 });
        }
        let stored = tri!(reader.word());
        let computed = crc::crc32(file.split_at(PREAMBLE).1);
        if stored != computed {
            return Err(ModelError::Checksum { stored, computed });
        }
        Self::read(file.len(), stored, tri!(Sections::read(file)))
    }

    const fn read(words: usize, checksum: u32, sections: Sections<'a>) -> Result<Self, ModelError> {
        let Sections { network, name, unit: sample_scale, class_token, pooled_norm, .. } = sections;
        let mut reader = Reader::new(network);
        let max_tokens = tri!(reader.field("max_tokens", 1, MAX_TOKENS));
        let horizon = tri!(reader.field("horizon", max_tokens as u32, MAX_HORIZON));
        let width = tri!(reader.field("width", 1, MAX_WIDTH));
        let heads = tri!(reader.field("heads", 1, MAX_WIDTH));
        let head_width = tri!(reader.field("head_width", 1, MAX_WIDTH));
        if heads * head_width > MAX_WIDTH as usize {
            let field = "head_width (all heads side by side)";
            return Err(ModelError::Range {
                field,
                found: (heads * head_width) as u32,
                low: 1,
                high: MAX_WIDTH,
            });
        }
        let block_count = tri!(reader.field("blocks", 1, MAX_BLOCKS));
        let outputs = tri!(reader.field("outputs", 1, Linear::MAX_WIDTH));
        let pooling = tri!(Pooling::read(&mut reader));
        let texts = [sections.answers, sections.names, sections.units];
        let answers = tri!(Answers::read(outputs, matches!(pooling, Pooling::None), texts));

        let input = tri!(Input::read(&mut reader, width));
        let class_token = tri!(read_class_token(class_token, width));
        if class_token.is_some() && max_tokens < 2 {
            let field = "max_tokens (the class token and those of the input)";
            return Err(ModelError::Range { field, found: max_tokens as u32, low: 2, high: MAX_TOKENS });
        }
        if class_token.is_some() && matches!(pooling, Pooling::None) {
            // No token of the input would have its scores.
            return Err(sections::fault(sections::CLASS, SectionFault::Content));
        }
        if sample_scale.len() > 1 && sample_scale.len() != input.step_values() || !are_scales(sample_scale) {
            return Err(sections::fault(sections::UNIT, SectionFault::Content));
        }
        let input_units = match answers::list(sections.input_units, sections::INPUT_UNITS, 1) {
            Ok(one) => one,
            Err(_) => {
                tri!(answers::list(sections.input_units, sections::INPUT_UNITS, input.step_values()))
            }
        };
        tri!(input.check_length(max_tokens, max_tokens - class_token.is_some() as usize));
        let mut frac = input.frac();
        let positions = tri!(Positions::read(&mut reader, width, max_tokens, frac));
        let embedding_norm = tri!(read_optional_norm(&mut reader, "embedding_norm", width));
        if let Some(norm) = &embedding_norm {
            frac = norm.frac;
        }

        let shape = Shape { width, heads, head_width, max_tokens, horizon };
        let blocks = reader;
        let (mut hidden, mut reversible) = (width, false);
        let mut fracs = [frac; 2];
        let mut index = 0;
        while index < block_count {
            let block = tri!(Block::read(&mut reader, shape));
            tri!(block.check(shape));
            let two = matches!(block.order, NormOrder::Reversible);
            if index > 0 && two != reversible {
                let field = "block.order (all blocks are reversible, or none)";
                let (found, expected) = (two as u32, reversible as u32);
                return Err(ModelError::Mismatch { field, found, expected });
            }
            reversible = two;
            fracs = tri!(block.check_residuals(fracs));
            if block.feed_forward.expand.outputs > hidden {
                hidden = block.feed_forward.expand.outputs;
            }
            index += 1;
        }
        if reversible {
            // They meet in one row.
            tri!(block::check_residual("block.feed_forward.contract.frac", fracs[0], fracs[1]));
        }
        let output_width = if reversible { 2 * width } else { width };
        let final_norm = tri!(read_optional_norm(&mut reader, "final_norm", output_width));
        let pooled_norm = tri!(read_pooled_norm(pooled_norm, output_width));
        let head_hidden = tri!(Hidden::read(&mut reader, output_width));
        let mut head_inputs = output_width;
        if let Some(layer) = &head_hidden {
            head_inputs = layer.linear.outputs;
            if head_inputs > hidden {
                hidden = head_inputs;
            }
        }
        let head = tri!(Linear::read(&mut reader, "head"));
        tri!(record::check_linear(&head, "head", head_inputs, outputs));
        if reader.remaining() != 0 {
            let expected = (network.len() - reader.remaining()) as u32;
            return Err(ModelError::Length { expected, found: network.len() as u32 });
        }
        Ok(Self {
            max_tokens,
            horizon,
            width,
            heads,
            head_width,
            block_count,
            reversible,
            answers,
            hidden,
            pooling,
            input,
            class_token,
            positions,
            embedding_norm,
            final_norm,
            pooled_norm,
            head_hidden,
            head,
            name,
            sample_scale,
            input_units,
            words,
            checksum,
            dot_limit: dot_limit(head_width),
            blocks,
        })
    }

    /// Name given at quantisation, at most 32 bytes.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// Bytes of the file, and so of flash.
    pub const fn bytes(&self) -> usize {
        self.words * 4
    }

    /// CRC-32 of the file's content: which model it is.
    pub const fn checksum(&self) -> u32 {
        self.checksum
    }

    /// Bytes that names take in the file: its own, those of the outputs, and those of units.
    pub const fn text_bytes(&self) -> usize {
        self.name.len().next_multiple_of(4) + self.answers.text_bytes() + self.input_units.len()
    }

    /// Bits of the `f32` real value of one raw unit: of all channels, or of each, `[channels]`; none where the input has no
    /// unit.
    pub const fn sample_scale_bits(&self) -> &'a [u32] {
        self.sample_scale
    }

    /// The unit of a channel's real values; none where the file does not say.
    pub fn input_unit(&self, channel: usize) -> Option<&'a str> {
        answers::nth(self.input_units, channel).or_else(|| answers::nth(self.input_units, 0))
    }

    /// Number of scores, of a recording or of a token.
    pub const fn outputs(&self) -> usize {
        self.answers.outputs
    }

    /// Number of classes; see [`Answers::classes`].
    pub const fn classes(&self) -> usize {
        self.answers.classes()
    }

    /// Whether every token has scores of its own.
    pub const fn is_per_token(&self) -> bool {
        matches!(self.pooling, Pooling::None)
    }

    /// Width of all heads side by side.
    pub const fn attention_width(&self) -> usize {
        self.heads * self.head_width
    }

    /// Width of a token after the last block: reversible blocks leave two residuals side by side.
    pub const fn output_width(&self) -> usize {
        if self.reversible { 2 * self.width } else { self.width }
    }

    /// Tokens that stand before those of the input: 1 if there is a class token.
    pub const fn tokens_before(&self) -> usize {
        self.class_token.is_some() as usize
    }

    /// Most raw values of one recording.
    pub const fn max_input(&self) -> usize {
        // No more than `MAX_INPUT`.
        self.input.max_values(self.max_tokens - self.tokens_before()) as usize
    }

    /// Largest magnitude of queries and keys; see [`dot_limit`].
    pub(crate) const fn dot_limit(&self) -> i16 {
        self.dot_limit
    }

    /// The blocks, first to last.
    pub const fn blocks(&self) -> Blocks<'a> {
        Blocks { reader: self.blocks, shape: self.shape(), left: self.block_count }
    }

    const fn shape(&self) -> Shape {
        let Self { width, heads, head_width, max_tokens, horizon, .. } = *self;
        Shape { width, heads, head_width, max_tokens, horizon }
    }
}

/// What a block needs to know of its model.
#[derive(Clone, Copy, Debug)]
struct Shape {
    width: usize,
    heads: usize,
    head_width: usize,
    max_tokens: usize,
    horizon: usize,
}

/// Whether they are bits of finite numbers above zero.
const fn are_scales(mut bits: &[u32]) -> bool {
    while let [first, rest @ ..] = bits {
        let scale = f32::from_bits(*first);
        if !(scale > 0.0 && scale < f32::INFINITY) {
            return false;
        }
        bits = rest;
    }
    true
}

/// The class token, if the section has words: so many that they hold the row.
const fn read_class_token(words: &[u32], width: usize) -> Result<Option<&[i16]>, ModelError> {
    if words.is_empty() {
        return Ok(None);
    }
    if words.len() != width.div_ceil(2) {
        return Err(sections::fault(sections::CLASS, SectionFault::Content));
    }
    Ok(Some(tri!(Reader::new(words).i16s(width))))
}

/// The norm of the pooled row, if the section has words: those of the record and no more.
const fn read_pooled_norm(words: &[u32], width: usize) -> Result<Option<Norm<'_>>, ModelError> {
    if words.is_empty() {
        return Ok(None);
    }
    let mut reader = Reader::new(words);
    let norm = tri!(Norm::read(&mut reader, "pooled_norm", width));
    tri!(norm.check("pooled_norm"));
    if reader.remaining() != 0 {
        return Err(sections::fault(sections::POOLED_NORM, SectionFault::Content));
    }
    Ok(Some(norm))
}

const fn read_optional_norm<'a>(
    reader: &mut Reader<'a>,
    field: &'static str,
    width: usize,
) -> Result<Option<Norm<'a>>, ModelError> {
    match tri!(reader.field(field, 0, 1)) {
        0 => Ok(None),
        _ => {
            let norm = tri!(Norm::read(reader, field, width));
            tri!(norm.check(field));
            Ok(Some(norm))
        }
    }
}
