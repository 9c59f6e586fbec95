//! Networks and recordings at random.

pub mod any;
pub mod bare;
pub mod causal;
pub mod kinds;

use fixformer::Session;
use fixformer::host::quantize::Precision;
use fixformer::host::reference::*;
use fixformer::kernels::{backend, portable_only};

/// Deterministic normal values.
pub struct Source(pub u64);

impl Source {
    /// A number from 0 to 1, 1 left out.
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.uniform() * end as f64) as usize
    }

    /// A number of mean 0 and deviation 1.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    /// `count` numbers of mean 0 and this deviation.
    pub fn values(&mut self, count: usize, deviation: f64) -> Vec<f64> {
        (0..count).map(|_| deviation * self.normal()).collect()
    }

    /// A linear map whose results are about as large as what it maps.
    pub fn linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        let weights = self.values(inputs * outputs, 1.5 / (inputs as f64).sqrt());
        Linear { inputs, outputs, weights, bias: self.values(outputs, 0.2) }
    }

    /// A norm with gains near 1.
    pub fn norm(&mut self, width: usize) -> Norm {
        let gain = self.values(width, 0.3).into_iter().map(|g| 1.0 + g).collect();
        Norm { gain, bias: self.values(width, 0.3), epsilon: 1e-5 }
    }

    /// `length` raw values of the kind that `input` takes.
    pub fn recording(&mut self, length: usize, input: &Input) -> Vec<i16> {
        (0..length)
            .map(|_| match input {
                Input::Samples { .. } => (700.0 * self.normal() + 400.0) as i16,
                Input::OneHot { symbols, .. } => (self.uniform() * (*symbols as f64 + 1.0)) as i16,
                Input::Tokens { vocabulary, .. } => (self.uniform() * *vocabulary as f64) as i16,
            })
            .collect()
    }
}

/// The options of a model.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// 0: samples, 1: symbols, otherwise token ids.
    pub input: u8,
    /// 0: none, 1: learned, 2: sinusoidal, otherwise axial.
    pub positions: u8,
    /// Where the norms of a block stand.
    pub order: NormOrder,
    /// That of the feed-forward layers.
    pub activation: Activation,
    /// Whether a token sees the past only.
    pub causal: bool,
    /// Heads of each attention.
    pub heads: usize,
    /// Width of a token.
    pub width: usize,
    /// How tokens become one vector.
    pub pooling: Pooling,
    /// Activation of a hidden layer of the head.
    pub hidden: Option<Activation>,
    /// Whether embedding and result are normalised.
    pub norms: bool,
    /// Most tokens.
    pub max_tokens: usize,
}

/// A network of two blocks of exact attention.
pub fn network(source: &mut Source, options: Options) -> Network {
    let width = options.width;
    let window = Window { width: 5, stride: 2 };
    let input = match options.input {
        0 => Input::Samples {
            channels: 3,
            window,
            scale: vec![0.01; 3],
            level: match (options.causal, options.norms) {
                (true, true) => Level::Standardized,
                (true, false) => Level::Centred,
                (false, _) => Level::Raw,
            },
            mean: vec![2.0, -1.0, 0.0],
            deviation: vec![5.0, 7.0, 9.0],
            stem: source.linear(15, width),
        },
        1 => Input::OneHot { symbols: 4, window, stem: source.linear(20, width) },
        _ => Input::Tokens { vocabulary: 21, table: source.values(21 * width, 1.0) },
    };
    let blocks = (0..2).map(|_| Block {
        order: options.order,
        attention: Attention {
            heads: options.heads,
            causal: options.causal,
            kind: AttentionKind::Exact,
            query: source.linear(width, width),
            key: Some(source.linear(width, width)),
            value: source.linear(width, width),
            output: source.linear(width, width),
        },
        norm1: source.norm(width),
        feed_forward: FeedForward {
            expand: source.linear(width, 2 * width + 3),
            activation: options.activation,
            contract: source.linear(2 * width + 3, width),
        },
        norm2: source.norm(width),
    });
    let blocks = blocks.collect();
    let output = if options.order == NormOrder::Reversible { 2 * width } else { width };
    let hidden = options.hidden.map(|activation| Hidden { map: source.linear(output, 9), activation });
    Network {
        name: String::from("random"),
        input,
        class_token: None,
        positions: match options.positions {
            0 => Positions::None,
            1 => Positions::Learned(source.values(options.max_tokens * width, 0.5)),
            2 => Positions::Sinusoidal,
            _ => {
                let (rows, first) = (options.max_tokens.div_ceil(7), width / 4);
                let tables = [source.values(rows * first, 0.5), source.values(7 * (width - first), 0.5)];
                Positions::Axial(Axial { shape: [rows, 7], tables })
            }
        },
        embedding_norm: options.norms.then(|| source.norm(width)),
        blocks,
        final_norm: options.norms.then(|| source.norm(output)),
        pooling: options.pooling,
        pooled_norm: None,
        head: source.linear(hidden.as_ref().map_or(output, |hidden| hidden.map.outputs), 5),
        hidden,
        answers: Answers::default(),
        max_tokens: options.max_tokens,
        horizon: None,
    }
}

/// Which tokens count, in one of several patterns: some here and there, a hole, every second pair, not the front.
pub fn mask(pattern: usize, tokens: usize) -> Vec<bool> {
    let counts = |t: usize| match pattern % 4 {
        0 => !(t * 7 + pattern).is_multiple_of(5),
        1 => !(tokens / 4..tokens / 2).contains(&t),
        2 => t % 4 < 2,
        _ => t >= tokens / 3,
    };
    (0..tokens).map(|t| counts(t) || t + 1 == tokens).collect()
}

/// Raw values that make `tokens` tokens.
pub fn length(network: &Network, tokens: usize) -> usize {
    match &network.input {
        Input::Samples { channels, window, .. } => ((tokens - 1) * window.stride + window.width) * channels,
        Input::OneHot { window, .. } => (tokens - 1) * window.stride + window.width,
        Input::Tokens { .. } => tokens,
    }
}

/// Weights of 16 bits in every layer.
pub fn all_wide() -> Precision {
    let blocks = (0..2).flat_map(|block| {
        ["query", "key", "value", "output", "expand", "contract"]
            .map(|layer| format!("block {block} {layer}"))
    });
    let others = ["stem", "table", "positions", "positions 0", "positions 1", "hidden", "head"];
    blocks.chain(others.map(String::from)).collect()
}

/// The scores of a recording, which are the same with the portable kernels and with those of this machine.
pub fn scores(session: &mut Session<'_>, recording: &[i16], mask: Option<&[bool]>) -> Vec<f64> {
    let [portable, found] = [true, false].map(|only| {
        portable_only(only);
        let scores = match mask {
            Some(mask) => session.run_masked(recording, mask),
            None => session.run(recording),
        };
        scores.unwrap().to_f64().collect::<Vec<_>>()
    });
    assert_eq!(portable, found, "{}", backend());
    found
}
