//! What a recording is, how it becomes tokens, and what tells them apart.

use super::read::{Reader, tri};
use super::{Level, Linear, MAX_CHANNELS, MAX_INPUT, ModelError, Table, record};

/// Sliding window over the steps of a recording; no padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Steps of a token.
    pub width: usize,
    /// Steps from one token to the next.
    pub stride: usize,
}

impl Window {
    /// Most steps, of a token and from one to the next.
    pub const MAX: u32 = 1024;

    /// Tokens of a recording of `steps` steps; zero if it is shorter than one window.
    pub const fn tokens(self, steps: usize) -> usize {
        match steps.checked_sub(self.width) {
            // No stride is zero, but the compiler does not know.
            Some(rest) if self.stride > 0 => rest / self.stride + 1,
            _ => 0,
        }
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
        /// Fractional bits of a sample in raw units, or in deviations if it is standardized; saturates.
        shift: u32,
        /// What each channel is freed of.
        level: Level,
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
    /// The row `position / B` of the first table beside the row `position % B` of the second, which has `B` rows
    /// (axial position embedding: Ho et al. 2019; Kitaev et al. 2020).
    Axial([Table<'a>; 2]),
}

impl<'a> Input<'a> {
    pub(super) const fn read(reader: &mut Reader<'a>, width: usize) -> Result<Self, ModelError> {
        match tri!(reader.field("input.kind", 0, 2)) {
            0 => {
                let channels = tri!(reader.field("input.channels", 1, MAX_CHANNELS));
                let window = tri!(Window::read(reader));
                let shift = tri!(reader.field("input.shift", 0, 15)) as u32;
                let level = tri!(Level::read(reader));
                let stem = tri!(Linear::read(reader, "input.stem"));
                tri!(record::check_linear(&stem, "input.stem", window.width * channels, width));
                Ok(Self::Samples { channels, window, shift, level, stem })
            }
            1 => {
                let symbols = tri!(reader.field("input.symbols", 1, MAX_CHANNELS));
                let window = tri!(Window::read(reader));
                let shift = tri!(reader.field("input.shift", 0, 14)) as u32;
                let stem = tri!(Linear::read(reader, "input.stem"));
                tri!(record::check_linear(&stem, "input.stem", window.width * symbols, width));
                Ok(Self::OneHot { symbols, window, shift, stem })
            }
            _ => Ok(Self::Tokens { table: tri!(Table::read(reader, "input.table", width)) }),
        }
    }

    /// Refuses recordings that are longer than what can be standardized, or than what 32 bits count. `of_input`: the tokens
    /// that are no class token.
    pub(super) const fn check_length(&self, max_tokens: usize, of_input: usize) -> Result<(), ModelError> {
        if let Self::Samples { window, level: Level::Standardized, .. } = self {
            // Neither is above 2^14, nor a window above 2^10.
            let found = (window.width + (max_tokens - 1) * window.stride) as u32;
            let high = Level::MAX_STEPS as u32;
            if found > high {
                let field = "max_tokens (steps of a standardized recording)";
                return Err(ModelError::Range { field, found, low: 1, high });
            }
        }
        let values = self.max_values(of_input);
        if values > MAX_INPUT as u64 {
            let found = if values > u32::MAX as u64 { u32::MAX } else { values as u32 };
            let field = "max_tokens (values of a recording: tokens * stride * channels)";
            return Err(ModelError::Range { field, found, low: 1, high: MAX_INPUT });
        }
        Ok(())
    }

    /// Raw values of a recording up to which no token fits beside `tokens`.
    pub(super) const fn max_values(&self, tokens: usize) -> u64 {
        let Window { width, stride } = self.window();
        (tokens as u64 * stride as u64 + width as u64 - 1) * self.step_values() as u64
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

    /// Tokens of a recording of so many raw values; zero if it is shorter than one window.
    pub const fn tokens(&self, values: usize) -> usize {
        // No step is empty, but the compiler does not know.
        self.window().tokens(if self.step_values() > 0 { values / self.step_values() } else { 0 })
    }

    /// Steps of a token.
    pub const fn window(&self) -> Window {
        match self {
            Self::Samples { window, .. } | Self::OneHot { window, .. } => *window,
            Self::Tokens { .. } => Window { width: 1, stride: 1 },
        }
    }

    /// Raw values of one token.
    pub const fn window_values(&self) -> usize {
        self.window().width * self.step_values()
    }

    /// Raw values of some tokens in a row, one at least.
    pub const fn values_of(&self, tokens: usize) -> usize {
        self.window_values() + (tokens - 1) * self.token_values()
    }

    /// Raw values from one token to the next.
    pub const fn token_values(&self) -> usize {
        self.window().stride * self.step_values()
    }

    /// Whether the channels are freed of running statistics.
    pub const fn is_running(&self) -> bool {
        matches!(self, Self::Samples { level, .. } if level.is_running())
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
    pub(super) const fn read(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        let width = tri!(reader.field("input.window.width", 1, Self::MAX));
        let stride = tri!(reader.field("input.window.stride", 1, Self::MAX));
        Ok(Self { width, stride })
    }
}

impl<'a> Positions<'a> {
    pub(super) const fn read(
        reader: &mut Reader<'a>,
        width: usize,
        max_tokens: usize,
        frac: i32,
    ) -> Result<Self, ModelError> {
        match tri!(reader.field("positions.kind", 0, 3)) {
            0 => Ok(Self::None),
            1 => {
                let table = tri!(Table::read(reader, "positions.table", width));
                tri!(check_positions(table.rows, max_tokens));
                tri!(agree("positions.frac", table.frac as u32, frac as u32));
                Ok(Self::Learned(table))
            }
            3 => {
                let first = tri!(reader.field("positions.columns", 1, width as u32));
                let field = "positions.columns (of the first table; the second has the others)";
                if first == width {
                    let (found, high) = (first as u32, width as u32 - 1);
                    return Err(ModelError::Range { field, found, low: 1, high });
                }
                let tables = [
                    tri!(Table::read(reader, "positions.table", first)),
                    tri!(Table::read(reader, "positions.table", width - first)),
                ];
                tri!(check_positions(tables[0].rows * tables[1].rows, max_tokens));
                tri!(agree("positions.frac", tables[0].frac as u32, frac as u32));
                tri!(agree("positions.frac", tables[1].frac as u32, frac as u32));
                Ok(Self::Axial(tables))
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

const fn agree(field: &'static str, found: u32, expected: u32) -> Result<(), ModelError> {
    if found == expected { Ok(()) } else { Err(ModelError::Mismatch { field, found, expected }) }
}

const fn check_positions(rows: usize, max_tokens: usize) -> Result<(), ModelError> {
    if rows < max_tokens {
        let (found, expected) = (rows as u32, max_tokens as u32);
        return Err(ModelError::Mismatch { field: "positions.table", found, expected });
    }
    Ok(())
}
