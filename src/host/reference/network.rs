//! The forward pass.

use std::vec;
use std::vec::Vec;

use super::attention::Visible;
use super::layers::sinusoid;
use super::{
    Attention, Axial, Block, FeedForward, Input, Network, NormOrder, Pooling, Positions, ReferenceError,
    Site, Window,
};

impl Network {
    /// Scores of one recording, `[outputs]`, or `[tokens, outputs]` where each token has scores of its own.
    ///
    /// `input` is raw integers `[steps, channels]`, symbols `[steps]` or token ids `[steps]`. `mask`
    /// has one flag per token of the input; a token with `false` is no key and is not pooled. A class token always
    /// counts and has no flag. `observer` is given every intermediate tensor, whole and row-major, in the order in
    /// which it is computed.
    pub fn forward(
        &self,
        input: &[i16],
        mask: Option<&[bool]>,
        observer: &mut dyn FnMut(Site, &[f64]),
    ) -> Result<Vec<f64>, ReferenceError> {
        self.run(input, None, mask, observer)
    }

    /// Scores of one recording of samples, whose values before they were rounded to `input` are `reals`, `[steps, channels]` in
    /// real units.
    pub fn forward_reals(&self, input: &[i16], reals: &[f64]) -> Result<Vec<f64>, ReferenceError> {
        self.run(input, Some(reals), None, &mut |_, _| {})
    }

    fn run(
        &self,
        input: &[i16],
        reals: Option<&[f64]>,
        mask: Option<&[bool]>,
        observer: &mut dyn FnMut(Site, &[f64]),
    ) -> Result<Vec<f64>, ReferenceError> {
        let tokens = self.tokens(input)?;
        if let Some(mask) = mask {
            if mask.len() != tokens {
                return Err(ReferenceError::MaskLength { mask: mask.len(), tokens });
            }
            if !mask.contains(&true) {
                return Err(ReferenceError::AllMasked);
            }
            let before = self.tokens_before();
            let first = self.pooling.first(before + tokens);
            if !mask[first.saturating_sub(before)..].contains(&true) {
                return Err(ReferenceError::WindowMasked { first });
            }
        }

        let mut stream = self.embed(input, reals, mask, observer)?;
        let with_class = mask.map(|mask| [&vec![true; self.tokens_before()], mask].concat());
        let mask = with_class.as_deref();
        observer(Site { block: None, tensor: "embedding" }, &stream);
        let mut second = if self.reversible() { stream.clone() } else { Vec::new() };
        for (index, block) in self.blocks.iter().enumerate() {
            let site = |tensor| Site { block: Some(index), tensor };
            block.forward([&mut stream, &mut second], mask, &mut |tensor, x| observer(site(tensor), x));
        }
        if self.reversible() {
            stream = side_by_side(&stream, &second, self.width());
        }
        if let Some(norm) = &self.final_norm {
            stream = norm.apply(&stream);
            observer(Site { block: None, tensor: "normed" }, &stream);
        }
        let mut pooled = self.pooling.apply(&stream, self.output_width(), mask);
        observer(Site { block: None, tensor: "pooled" }, &pooled);
        if let Some(norm) = &self.pooled_norm {
            pooled = norm.apply(&pooled);
            observer(Site { block: None, tensor: "pooled_norm" }, &pooled);
        }
        if let Some(hidden) = &self.hidden {
            pooled = hidden.map.apply(&pooled);
            pooled.iter_mut().for_each(|x| *x = hidden.activation.apply(*x));
            observer(Site { block: None, tensor: "hidden" }, &pooled);
        }
        let mut scores = self.head.apply(&pooled);
        if let (Pooling::None, Some(mask)) = (self.pooling, mask) {
            let rows = scores.chunks_exact_mut(self.head.outputs).zip(mask);
            rows.filter(|(_, seen)| !**seen).for_each(|(row, _)| row.fill(0.0));
        }
        observer(Site { block: None, tensor: "scores" }, &scores);
        Ok(scores)
    }

    /// Number of tokens that `input` makes, without the class token, after checking its length.
    pub fn tokens(&self, input: &[i16]) -> Result<usize, ReferenceError> {
        let (channels, window) = match &self.input {
            Input::Samples { channels, window, .. } => (*channels, *window),
            Input::OneHot { window, .. } => (1, *window),
            Input::Tokens { .. } => (1, Window { width: 1, stride: 1 }),
        };
        if input.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if !input.len().is_multiple_of(channels) {
            return Err(ReferenceError::PartialStep { values: input.len(), channels });
        }
        let steps = input.len() / channels;
        if steps < window.width {
            return Err(ReferenceError::TooShort { steps, width: window.width });
        }
        let tokens = (steps - window.width) / window.stride + 1;
        let max = self.max_tokens - self.tokens_before();
        if tokens > max {
            return Err(ReferenceError::TooManyTokens { tokens, max });
        }
        Ok(tokens)
    }

    /// The stream before the first block, `[tokens, width]`.
    fn embed(
        &self,
        input: &[i16],
        reals: Option<&[f64]>,
        mask: Option<&[bool]>,
        observer: &mut dyn FnMut(Site, &[f64]),
    ) -> Result<Vec<f64>, ReferenceError> {
        let width = self.width();
        let mut stream = match &self.input {
            Input::Samples { channels, window, scale, level, mean, deviation, stem } => {
                let rounded =
                    input.iter().zip(scale.iter().cycle()).map(|(&raw, scale)| f64::from(raw) * scale);
                let x = reals.map_or_else(|| rounded.collect(), <[f64]>::to_vec);
                let mut x = level.windows(x, *channels, *window, mask);
                for step in x.chunks_exact_mut(*channels) {
                    for ((x, mean), deviation) in step.iter_mut().zip(mean).zip(deviation) {
                        *x = (*x - mean) / deviation;
                    }
                }
                stem.apply(&x)
            }
            Input::OneHot { symbols, window, stem } => {
                let mut x = vec![0.0; input.len() * symbols];
                for (&raw, step) in input.iter().zip(x.chunks_exact_mut(*symbols)) {
                    if let Some(x) = usize::try_from(raw).ok().and_then(|s| step.get_mut(s)) {
                        *x = 1.0;
                    }
                }
                stem.apply(&window.gather(&x, *symbols))
            }
            Input::Tokens { vocabulary, table } => {
                let mut stream = Vec::with_capacity(input.len() * width);
                for (position, &id) in input.iter().enumerate() {
                    let row = usize::try_from(id).ok().filter(|row| row < vocabulary);
                    let Some(row) = row else {
                        let vocabulary = *vocabulary;
                        return Err(ReferenceError::OutsideVocabulary { position, id, vocabulary });
                    };
                    stream.extend_from_slice(&table[row * width..][..width]);
                }
                stream
            }
        };
        if let Some(token) = &self.class_token {
            stream.splice(0..0, token.iter().copied());
        }
        observer(Site { block: None, tensor: "stem" }, &stream);
        match &self.positions {
            Positions::None => {}
            Positions::Learned(table) => add(&mut stream, table),
            Positions::Sinusoidal => {
                for (position, token) in stream.chunks_exact_mut(width).enumerate() {
                    add(token, &sinusoid(position, width));
                }
            }
            Positions::Axial(axial) => {
                for (position, token) in stream.chunks_exact_mut(width).enumerate() {
                    add(token, &axial.row(position));
                }
            }
        }
        observer(Site { block: None, tensor: "summed" }, &stream);
        Ok(match &self.embedding_norm {
            Some(norm) => norm.apply(&stream),
            None => stream,
        })
    }
}

impl Axial {
    /// The embedding of a position, `[width]`.
    pub fn row(&self, position: usize) -> Vec<f64> {
        let rows = [position / self.shape[1], position % self.shape[1]];
        let part = |axis: usize| {
            let width = self.tables[axis].len() / self.shape[axis];
            &self.tables[axis][rows[axis] * width..][..width]
        };
        [part(0), part(1)].concat()
    }
}

impl Block {
    /// Passes the stream, `[tokens, width]`, through both sublayers; only reversible blocks have a second one.
    fn forward(
        &self,
        [stream, second]: [&mut Vec<f64>; 2],
        mask: Option<&[bool]>,
        observer: &mut dyn FnMut(&'static str, &[f64]),
    ) {
        match self.order {
            NormOrder::Pre => {
                let x = self.norm1.apply(stream);
                observer("norm1", &x);
                add(stream, &self.attention.forward(&x, mask, observer));
                observer("residual1", stream);
                let x = self.norm2.apply(stream);
                observer("norm2", &x);
                add(stream, &self.feed_forward.forward(&x, observer));
                observer("residual2", stream);
            }
            NormOrder::Post => {
                let change = self.attention.forward(stream, mask, observer);
                add(stream, &change);
                observer("residual1", stream);
                *stream = self.norm1.apply(stream);
                observer("norm1", stream);
                let change = self.feed_forward.forward(stream, observer);
                add(stream, &change);
                observer("residual2", stream);
                *stream = self.norm2.apply(stream);
                observer("norm2", stream);
            }
            NormOrder::Reversible => {
                let x = self.norm1.apply(second);
                observer("norm1", &x);
                add(stream, &self.attention.forward(&x, mask, observer));
                observer("residual1", stream);
                let x = self.norm2.apply(stream);
                observer("norm2", &x);
                add(second, &self.feed_forward.forward(&x, observer));
                observer("residual2", second);
            }
        }
    }
}

impl Attention {
    /// All heads of `x`, `[tokens, width]`, and the output projection.
    fn forward(
        &self,
        x: &[f64],
        mask: Option<&[bool]>,
        observer: &mut dyn FnMut(&'static str, &[f64]),
    ) -> Vec<f64> {
        let q = self.query.apply(x);
        observer("query", &q);
        let k = match &self.key {
            Some(key) if !self.kind.shares_query() => {
                let k = key.apply(x);
                observer("key", &k);
                k
            }
            _ => q.clone(),
        };
        let v = self.value.apply(x);
        observer("value", &v);

        let width = self.query.outputs;
        let d = width / self.heads;
        let visible = Visible { causal: self.causal, keys: mask };
        let mut attended = vec![0.0; q.len()];
        for head in 0..self.heads {
            let [q, k, v] = [&q, &k, &v].map(|x| columns(x, width, head * d, d));
            let out = self.kind.attend(head, [&q, &k, &v], d, visible);
            for (token, out) in attended.chunks_exact_mut(width).zip(out.chunks_exact(d)) {
                token[head * d..][..d].copy_from_slice(out);
            }
        }
        observer("attended", &attended);
        self.output.apply(&attended)
    }
}

impl FeedForward {
    /// Both maps of `x`, `[tokens, width]`.
    fn forward(&self, x: &[f64], observer: &mut dyn FnMut(&'static str, &[f64])) -> Vec<f64> {
        let mut hidden = self.expand.apply(x);
        for x in &mut hidden {
            *x = self.activation.apply(*x);
        }
        observer("hidden", &hidden);
        self.contract.apply(&hidden)
    }
}

/// Rows of `a` and `b`, `[tokens, width]`, as `[tokens, 2 width]`.
fn side_by_side(a: &[f64], b: &[f64], width: usize) -> Vec<f64> {
    a.chunks_exact(width).zip(b.chunks_exact(width)).flat_map(|(a, b)| [a, b].concat()).collect()
}

/// Columns `from..from + count` of `x`, `[rows, width]`.
fn columns(x: &[f64], width: usize, from: usize, count: usize) -> Vec<f64> {
    x.chunks_exact(width).flat_map(|row| &row[from..from + count]).copied().collect()
}

/// x += y over the length of x.
fn add(x: &mut [f64], y: &[f64]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}
