//! The model file, `.fxm`: little-endian words, parsed in place.
//!
//! | words | content |
//! |---|---|
//! | 4 | magic `FXM1`, version, length in words, CRC-32 of all words after these four |
//! | 8 | name, UTF-8, padded with zeros |
//! | … | `max_tokens`, `width`, `heads`, `blocks`, `classes`, pooling, sample scale (f32 bits) |
//! | … | input: kind, then its fields and its stem or table |
//! | … | positions: kind, then the table or the angular steps; optional norm |
//! | … | the blocks, one after the other ([`Block`]) |
//! | … | optional final norm; head |
//!
//! Matrices are `[outputs, inputs]` and used where they lie: in flash.

mod crc;
mod error;
mod kind;
mod read;
mod record;
#[cfg(feature = "std")]
pub mod write;

pub use error::{Message, ModelError};
pub use kind::*;
pub use record::{Attention, Block, Blocks, FeedForward, Linear, Norm, NormOrder, Table, Weights};

use read::{Reader, tri};

/// Version of the format that this build reads and writes.
pub const VERSION: u32 = 1;
/// `FXM1` as it stands in the file.
const MAGIC: u32 = u32::from_le_bytes(*b"FXM1");
/// Words before the content that the checksum covers.
const PREAMBLE: usize = 4;
const NAME_WORDS: usize = 8;

/// Largest number of tokens: what the accumulators of an attention row are made for.
pub const MAX_TOKENS: u32 = 16_384;
/// Largest model width: what an integer layer normalisation is made for.
pub const MAX_WIDTH: u32 = 1024;

/// A parsed model: parameters in place, everything checked.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// Most tokens it takes.
    pub max_tokens: usize,
    /// Width of a token, `d`.
    pub width: usize,
    /// Heads of each attention.
    pub heads: usize,
    /// Number of blocks.
    pub block_count: usize,
    /// Number of classes.
    pub classes: usize,
    /// Widest row between the layers of a feed-forward network.
    pub hidden: usize,
    /// How tokens become one row.
    pub pooling: Pooling,
    /// What a recording is and how it becomes tokens.
    pub input: Input<'a>,
    /// What is added to tell tokens apart.
    pub positions: Positions<'a>,
    /// Norm after the embedding.
    pub embedding_norm: Option<Norm<'a>>,
    /// Norm after the last block.
    pub final_norm: Option<Norm<'a>>,
    /// From the pooled row to one score a class.
    pub head: Linear<'a>,
    name: [u8; 4 * NAME_WORDS],
    sample_scale: u32,
    words: usize,
    blocks: Reader<'a>,
}

/// How tokens become one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Mean over the tokens that are not masked.
    Mean,
    /// Maximum of each column.
    Max,
    /// First token that is not masked.
    First,
    /// Last token that is not masked.
    Last,
}

/// Sliding window over the steps of a recording; no padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Steps of a token.
    pub width: usize,
    /// Steps from one token to the next.
    pub stride: usize,
}

impl Window {
    /// Tokens of a recording of `steps` steps; zero if it is shorter than one window.
    pub const fn tokens(self, steps: usize) -> usize {
        if steps < self.width { 0 } else { (steps - self.width) / self.stride + 1 }
    }
}

/// What a recording is and how it becomes tokens.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Sensor samples `[steps, channels]`, windows of them through a linear stem.
    Samples {
        /// Values of a step.
        channels: usize,
        /// Steps of a token.
        window: Window,
        /// Left shift of a raw sample; saturates.
        shift: u32,
        /// Subtract each channel's mean over the recording.
        remove_mean: bool,
        /// `[window.width * channels] -> [width]`.
        stem: Linear<'a>,
    },
    /// Symbols `0 .. symbols`, windows of their one-hot codes through a linear stem. Any other value is a zero row.
    OneHot {
        /// Number of symbols.
        symbols: usize,
        /// Steps of a token.
        window: Window,
        /// A one is `1 << shift`.
        shift: u32,
        /// `[window.width * symbols] -> [width]`.
        stem: Linear<'a>,
    },
    /// Token ids, each looked up in a table.
    Tokens {
        /// `[vocabulary, width]`.
        table: Table<'a>,
    },
}

/// What is added to tell tokens apart.
#[derive(Clone, Copy, Debug)]
pub enum Positions<'a> {
    /// Nothing.
    None,
    /// A learned row for each position.
    Learned(Table<'a>),
    /// Sines and cosines (Vaswani et al. 2017): columns `2i` and `2i + 1` are the sine and cosine of
    /// `position * steps[i] / 2^32` turns.
    Sinusoidal(&'a [u32]),
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
        if words as usize != file.len() {
            return Err(ModelError::Length { expected: words, found: file.len() as u32 });
        }
        let stored = tri!(reader.word());
        let computed = crc::crc32(file.split_at(PREAMBLE).1);
        if stored != computed {
            return Err(ModelError::Checksum { stored, computed });
        }
        Self::read(file.len(), reader)
    }

    const fn read(words: usize, mut reader: Reader<'a>) -> Result<Self, ModelError> {
        let name = read_name(tri!(reader.words(NAME_WORDS)));
        let max_tokens = tri!(reader.field("max_tokens", 1, MAX_TOKENS));
        let width = tri!(reader.field("width", 1, MAX_WIDTH));
        let heads = tri!(reader.field("heads", 1, width as u32));
        if !width.is_multiple_of(heads) {
            let field = "heads (must divide the width)";
            return Err(ModelError::Range { field, found: heads as u32, low: 1, high: width as u32 });
        }
        let block_count = tri!(reader.field("blocks", 1, 64));
        let classes = tri!(reader.field("classes", 1, Linear::MAX_WIDTH));
        let pooling = match tri!(reader.field("pooling", 0, 3)) {
            0 => Pooling::Mean,
            1 => Pooling::Max,
            2 => Pooling::First,
            _ => Pooling::Last,
        };
        let sample_scale = tri!(reader.word());

        let input = tri!(Input::read(&mut reader, width));
        let mut frac = input.frac();
        let positions = tri!(Positions::read(&mut reader, width, max_tokens, frac));
        let embedding_norm = tri!(read_optional_norm(&mut reader, "embedding_norm", width));
        if let Some(norm) = &embedding_norm {
            frac = norm.frac;
        }

        let shape = Shape { width, heads, max_tokens };
        let blocks = reader;
        let mut hidden = width;
        let mut index = 0;
        while index < block_count {
            let block = tri!(Block::read(&mut reader, shape));
            tri!(block.check(width));
            frac = tri!(check_stream("block.attention.output.frac", frac, block.attention.output.frac));
            if matches!(block.order, NormOrder::Post) {
                frac = block.norm1.frac;
            }
            frac = tri!(check_stream(
                "block.feed_forward.contract.frac",
                frac,
                block.feed_forward.contract.frac
            ));
            if matches!(block.order, NormOrder::Post) {
                frac = block.norm2.frac;
            }
            if block.feed_forward.expand.outputs > hidden {
                hidden = block.feed_forward.expand.outputs;
            }
            index += 1;
        }
        let final_norm = tri!(read_optional_norm(&mut reader, "final_norm", width));
        let head = tri!(Linear::read(&mut reader, "head"));
        tri!(record::check_linear(&head, "head", width, classes));
        if reader.remaining() != 0 {
            let expected = (words - reader.remaining()) as u32;
            return Err(ModelError::Length { expected, found: words as u32 });
        }
        Ok(Self {
            max_tokens,
            width,
            heads,
            block_count,
            classes,
            hidden,
            pooling,
            input,
            positions,
            embedding_norm,
            final_norm,
            head,
            name,
            sample_scale,
            words,
            blocks,
        })
    }

    /// Name given at quantisation, at most 32 bytes.
    pub const fn name(&self) -> &str {
        let mut length = 0;
        while length < self.name.len() && self.name[length] != 0 {
            length += 1;
        }
        match core::str::from_utf8(self.name.split_at(length).0) {
            Ok(name) => name,
            Err(_) => "",
        }
    }

    /// Bytes of the file, and so of flash.
    pub const fn bytes(&self) -> usize {
        self.words * 4
    }

    /// Bits of the `f32` real value of one raw input unit (zero where the input has no unit).
    pub const fn sample_scale_bits(&self) -> u32 {
        self.sample_scale
    }

    /// Width of a head.
    pub const fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// Most raw values of one recording.
    pub const fn max_input(&self) -> usize {
        match &self.input {
            Input::Samples { channels, window, .. } => self.max_steps(*window) * *channels,
            Input::OneHot { window, .. } => self.max_steps(*window),
            Input::Tokens { .. } => self.max_tokens,
        }
    }

    /// Steps up to which no further token fits.
    const fn max_steps(&self, window: Window) -> usize {
        self.max_tokens * window.stride + window.width - 1
    }

    /// The blocks, first to last.
    pub const fn blocks(&self) -> Blocks<'a> {
        Blocks { reader: self.blocks, shape: self.shape(), left: self.block_count }
    }

    const fn shape(&self) -> Shape {
        Shape { width: self.width, heads: self.heads, max_tokens: self.max_tokens }
    }
}

/// What a block needs to know of its model.
#[derive(Clone, Copy, Debug)]
struct Shape {
    width: usize,
    heads: usize,
    max_tokens: usize,
}

impl<'a> Input<'a> {
    const fn read(reader: &mut Reader<'a>, width: usize) -> Result<Self, ModelError> {
        match tri!(reader.field("input.kind", 0, 2)) {
            0 => {
                let channels = tri!(reader.field("input.channels", 1, 1024));
                let window = tri!(Window::read(reader));
                let shift = tri!(reader.field("input.shift", 0, 15)) as u32;
                let remove_mean = tri!(reader.field("input.remove_mean", 0, 1)) == 1;
                let stem = tri!(Linear::read(reader, "input.stem"));
                tri!(record::check_linear(&stem, "input.stem", window.width * channels, width));
                Ok(Self::Samples { channels, window, shift, remove_mean, stem })
            }
            1 => {
                let symbols = tri!(reader.field("input.symbols", 1, 1024));
                let window = tri!(Window::read(reader));
                let shift = tri!(reader.field("input.shift", 0, 14)) as u32;
                let stem = tri!(Linear::read(reader, "input.stem"));
                tri!(record::check_linear(&stem, "input.stem", window.width * symbols, width));
                Ok(Self::OneHot { symbols, window, shift, stem })
            }
            _ => Ok(Self::Tokens { table: tri!(Table::read(reader, "input.table", width)) }),
        }
    }

    /// Fractional bits of an embedded token.
    pub const fn frac(&self) -> i32 {
        match self {
            Self::Samples { stem, .. } | Self::OneHot { stem, .. } => stem.frac,
            Self::Tokens { table } => table.frac,
        }
    }

    /// Width of the row that the stem takes.
    pub const fn stem_inputs(&self) -> usize {
        match self {
            Self::Samples { stem, .. } | Self::OneHot { stem, .. } => stem.inputs,
            Self::Tokens { .. } => 0,
        }
    }

    /// Raw values of one step.
    pub const fn step_values(&self) -> usize {
        match self {
            Self::Samples { channels, .. } => *channels,
            Self::OneHot { .. } | Self::Tokens { .. } => 1,
        }
    }
}

impl Window {
    const fn read(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        let width = tri!(reader.field("input.window.width", 1, 1024));
        let stride = tri!(reader.field("input.window.stride", 1, 1024));
        Ok(Self { width, stride })
    }
}

impl<'a> Positions<'a> {
    const fn read(
        reader: &mut Reader<'a>,
        width: usize,
        max_tokens: usize,
        frac: i32,
    ) -> Result<Self, ModelError> {
        match tri!(reader.field("positions.kind", 0, 2)) {
            0 => Ok(Self::None),
            1 => {
                let table = tri!(Table::read(reader, "positions.table", width));
                if table.rows < max_tokens {
                    let (found, expected) = (table.rows as u32, max_tokens as u32);
                    return Err(ModelError::Mismatch { field: "positions.table", found, expected });
                }
                if table.frac != frac {
                    let (found, expected) = (table.frac as u32, frac as u32);
                    return Err(ModelError::Mismatch { field: "positions.frac", found, expected });
                }
                Ok(Self::Learned(table))
            }
            _ => {
                if frac < 0 || frac > 15 {
                    let field = "positions.frac";
                    return Err(ModelError::Range { field, found: frac as u32, low: 0, high: 15 });
                }
                Ok(Self::Sinusoidal(tri!(reader.words(width.div_ceil(2)))))
            }
        }
    }
}

const fn read_name(words: &[u32]) -> [u8; 4 * NAME_WORDS] {
    let mut name = [0; 4 * NAME_WORDS];
    let mut i = 0;
    while i < name.len() {
        name[i] = words[i / 4].to_le_bytes()[i % 4];
        i += 1;
    }
    name
}

const fn read_optional_norm<'a>(
    reader: &mut Reader<'a>,
    field: &'static str,
    width: usize,
) -> Result<Option<Norm<'a>>, ModelError> {
    match tri!(reader.field(field, 0, 1)) {
        0 => Ok(None),
        _ => Ok(Some(tri!(Norm::read(reader, field, width)))),
    }
}

/// The residual stream may change its format by at most 15 bits at a time: more would leave 32 bits.
const fn check_stream(field: &'static str, from: i32, to: i32) -> Result<i32, ModelError> {
    if (from - to).abs() > 15 {
        return Err(ModelError::Mismatch { field, found: to as u32, expected: from as u32 });
    }
    Ok(to)
}
