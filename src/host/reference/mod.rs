//! The float reference: the same networks in f64, written for clarity.
//!
//! It says what the fixed-point engine approximates, so it shares no code with it: nothing here
//! names another module of the crate. Matrices are row-major and flat; `[rows, columns]` in a
//! comment is their shape. A [`Network`] has public fields and is plain data; its shapes must agree
//! with one another (the importer checks them), or [`Network::forward`] panics.

use std::string::String;
use std::vec::Vec;

pub use answers::{Answers, Task, odd_name};
pub use attention::AttentionKind;
pub use level::Level;
pub use pooling::{Pooling, PoolingWindow};

mod answers;
pub mod attention;
pub mod layers;
mod level;
mod network;
mod pooling;

/// A transformer encoder with a classification head.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// A name for reports.
    pub name: String,
    /// How raw integers become tokens.
    pub input: Input,
    /// A learned token that stands before those of the input, `[width]`: token 0, of which pooling
    /// [by the first token](Pooling::First) makes the scores (Devlin et al. 2018, BERT; Dosovitskiy et al. 2020, ViT).
    pub class_token: Option<Vec<f64>>,
    /// What is added to the tokens to tell their order, the class token included.
    pub positions: Positions,
    /// Normalisation of the embedding, before the first block.
    pub embedding_norm: Option<Norm>,
    /// The blocks, first to last: all reversible, or none.
    pub blocks: Vec<Block>,
    /// Normalisation after the last block, as wide as its [output](Network::output_width).
    pub final_norm: Option<Norm>,
    /// How tokens become one vector.
    pub pooling: Pooling,
    /// Normalisation of the pooled vector, as wide as the [output](Network::output_width).
    pub pooled_norm: Option<Norm>,
    /// What the pooled vector passes before the head.
    pub hidden: Option<Hidden>,
    /// From the pooled or hidden vector to the scores, `[outputs]`.
    pub head: Linear,
    /// What the scores say.
    pub answers: Answers,
    /// The largest number of tokens, the class token included.
    pub max_tokens: usize,
    /// Tokens of the longest stream, where that is given.
    pub horizon: Option<usize>,
}

impl Network {
    /// Tokens of the longest stream: if nothing is given, 16,384 or the largest number of tokens.
    pub fn horizon(&self) -> usize {
        self.horizon.unwrap_or_else(|| self.max_tokens.max(16_384))
    }

    /// Width of a token.
    pub fn width(&self) -> usize {
        match &self.input {
            Input::Samples { stem, .. } | Input::OneHot { stem, .. } => stem.outputs,
            Input::Tokens { vocabulary, table } => table.len() / vocabulary,
        }
    }

    /// Width of a token after the last block: reversible blocks leave two streams side by side.
    pub fn output_width(&self) -> usize {
        if self.reversible() { 2 * self.width() } else { self.width() }
    }

    /// Tokens that stand before those of the input: 1 if there is a class token.
    pub fn tokens_before(&self) -> usize {
        usize::from(self.class_token.is_some())
    }

    /// Whether the blocks are reversible.
    pub fn reversible(&self) -> bool {
        self.blocks.iter().any(|block| block.order == NormOrder::Reversible)
    }
}

/// A hidden layer of the head.
#[derive(Debug, Clone, PartialEq)]
pub struct Hidden {
    /// From the pooled vector.
    pub map: Linear,
    /// Of its result.
    pub activation: Activation,
}

/// An affine map, y = x W + b.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Length of x.
    pub inputs: usize,
    /// Length of y.
    pub outputs: usize,
    /// W, `[inputs, outputs]`.
    pub weights: Vec<f64>,
    /// b, `[outputs]`.
    pub bias: Vec<f64>,
}

/// Layer normalisation of one token: (x - mean) / sqrt(variance + epsilon) · gain + bias.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// `[width]`.
    pub gain: Vec<f64>,
    /// `[width]`.
    pub bias: Vec<f64>,
    /// Added to the variance.
    pub epsilon: f64,
}

/// How raw integers become tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A sampled signal, raw values `[steps, channels]`.
    Samples {
        /// Values per step.
        channels: usize,
        /// The steps that make a token.
        window: Window,
        /// Real value of one raw unit of each channel, `[channels]`.
        scale: Vec<f64>,
        /// What each channel is freed of before normalising.
        level: Level,
        /// Subtracted from each channel, `[channels]`, in real units.
        mean: Vec<f64>,
        /// Divides each channel, `[channels]`, in real units.
        deviation: Vec<f64>,
        /// From a window, flattened step by step, to a token: width · channels to model width.
        stem: Linear,
    },
    /// Symbols, raw values `[steps]`, each a unit vector.
    OneHot {
        /// Length of the unit vector. A raw value outside `0..symbols` is the zero vector.
        symbols: usize,
        /// The steps that make a token.
        window: Window,
        /// From a window, flattened step by step, to a token: width · symbols to model width.
        stem: Linear,
    },
    /// Token ids, raw values `[steps]`.
    Tokens {
        /// Number of ids: 0 to vocabulary - 1.
        vocabulary: usize,
        /// `[vocabulary, width]`.
        table: Vec<f64>,
    },
}

/// Consecutive steps that make one token. There are (steps - width) / stride + 1 tokens, no padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Steps in a window.
    pub width: usize,
    /// Steps from one window to the next.
    pub stride: usize,
}

/// What is added to the tokens to tell their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Positions {
    /// Nothing.
    None,
    /// A learned table, `[max_tokens or more, width]`.
    Learned(Vec<f64>),
    /// Vaswani et al. 2017: column 2i is sin(t / 10000^(2i/width)), column 2i + 1 its cosine.
    Sinusoidal,
    /// Two small learned tables in place of a large one.
    Axial(Axial),
}

/// Axial position embedding (Kitaev et al. 2020, Reformer; Ho et al. 2019): position t has the row t / B of the first
/// table beside the row t mod B of the second, with B = `shape[1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Axial {
    /// Rows of each table; their product is the largest number of tokens.
    pub shape: [usize; 2],
    /// `[shape[i], widths[i]]`; the widths add up to that of the model.
    pub tables: [Vec<f64>; 2],
}

/// One encoder block.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Where the normalisations stand.
    pub order: NormOrder,
    /// The first sublayer.
    pub attention: Attention,
    /// Of the attention sublayer: before it, or after its residual.
    pub norm1: Norm,
    /// The second sublayer.
    pub feed_forward: FeedForward,
    /// Of the feed-forward sublayer: before it, or after its residual.
    pub norm2: Norm,
}

/// Where the normalisations of a block stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormOrder {
    /// a += attention(norm1 a); a += feed_forward(norm2 a).
    Pre,
    /// a = norm1(a + attention(a)); a = norm2(a + feed_forward(a)).
    Post,
    /// Two streams that begin alike (Kitaev et al. 2020, Reformer, section 3):
    /// a += attention(norm1 b); b += feed_forward(norm2 a).
    Reversible,
}

/// Multi-head self-attention.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Number of heads; the width of the projections is a multiple of it.
    pub heads: usize,
    /// Whether a token sees itself and the past only.
    pub causal: bool,
    /// Which mechanism.
    pub kind: AttentionKind,
    /// q, width to all heads side by side.
    pub query: Linear,
    /// k, as q; not read where [queries are keys too](AttentionKind::shares_query).
    pub key: Option<Linear>,
    /// v, as q.
    pub value: Linear,
    /// From the heads side by side back to the stream.
    pub output: Linear,
}

/// Two linear maps with an activation between them.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedForward {
    /// Width to hidden.
    pub expand: Linear,
    /// Of the hidden values.
    pub activation: Activation,
    /// Hidden to width.
    pub contract: Linear,
}

/// A scalar nonlinearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// x Φ(x), with the normal distribution's Φ.
    GeluErf,
    /// Its tanh approximation, Hendrycks and Gimpel 2016.
    GeluTanh,
    /// tanh x.
    Tanh,
}

/// Where an intermediate tensor stands.
///
/// | `block` | `tensor` | what, `[tokens, width]` unless stated |
/// |---|---|---|
/// | none | `stem` | output of the stem or the table, below the class token if there is one |
/// | none | `summed` | the same with positions |
/// | none | `embedding` | the same after the embedding's norm, if there is one |
/// | some | `norm1` | pre, reversible: the input of attention; post: after the norm of the attention residual |
/// | some | `query` `key` `value` | all heads side by side, q unscaled; no key where queries are keys |
/// | some | `attended` | heads side by side, before the output projection |
/// | some | `residual1` | the stream after attention (post: before `norm1`; reversible: the first stream) |
/// | some | `norm2` | pre, reversible: the input of the feed-forward; post: after the norm of its residual |
/// | some | `hidden` | after the activation, `[tokens, hidden]` |
/// | some | `residual2` | the stream after the feed-forward (post: before `norm2`; reversible: the second) |
/// | none | `normed` | `[tokens, output width]`, after the final norm; absent without one |
/// | none | `pooled` | `[output width]` |
/// | none | `pooled_norm` | `[output width]`, after the norm of the pooled vector; absent without one |
/// | none | `hidden` | after the activation of the head's hidden layer; absent without one |
/// | none | `scores` | `[classes]` |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Site {
    /// Index of the block; none before the first and after the last.
    pub block: Option<usize>,
    /// Name of the tensor.
    pub tensor: &'static str,
}

/// Why an input cannot be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// No values at all.
    #[error("the input is empty; give at least one window of steps")]
    Empty,
    /// Not a whole number of steps.
    #[error("{values} values are not a multiple of {channels} channels; give whole steps")]
    PartialStep {
        /// Number of values given.
        values: usize,
        /// Values in a step.
        channels: usize,
    },
    /// Not enough for one token.
    #[error("{steps} steps are shorter than one window of {width}; give a longer recording")]
    TooShort {
        /// Steps given.
        steps: usize,
        /// Steps of a window.
        width: usize,
    },
    /// More tokens than positions.
    #[error("the input makes {tokens} tokens, the model takes at most {max}; shorten the recording")]
    TooManyTokens {
        /// Tokens the input makes.
        tokens: usize,
        /// Most that the network takes.
        max: usize,
    },
    /// An id without a row in the table.
    #[error("token {id} at position {position} is outside the vocabulary of {vocabulary}")]
    OutsideVocabulary {
        /// Index in the input.
        position: usize,
        /// The raw value there.
        id: i16,
        /// Number of ids.
        vocabulary: usize,
    },
    /// The mask is not one flag per token.
    #[error("the mask has {mask} flags for {tokens} tokens; give one per token, not per step")]
    MaskLength {
        /// Flags given.
        mask: usize,
        /// Tokens the input makes, without the class token.
        tokens: usize,
    },
    /// Nothing is left to attend to.
    #[error("the mask hides every token; keep at least one")]
    AllMasked,
    /// Nothing is left to pool.
    #[error("the mask hides every token from {first} on, which are those that are pooled; keep at least one")]
    WindowMasked {
        /// First token of the window that is pooled.
        first: usize,
    },
}
