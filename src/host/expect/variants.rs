//! Networks of the same tensors that another description could mean: each one change away.

use std::format;
use std::string::String;
use std::vec::Vec;

use crate::host::reference::{Activation, AttentionKind, Input, Network, Norm, NormOrder, Pooling, Window};

/// Epsilons of the usual frameworks.
const EPSILONS: [f64; 7] = [1e-5, 1e-3, 1e-6, 1e-12, 1e-7, 1e-8, 1e-4];
/// Longest stride that is tried, if no window is longer.
const STRIDES: usize = 16;

/// One change.
pub(super) struct Variant {
    /// In the words of a description.
    pub(super) change: String,
    pub(super) network: Network,
}

/// Every change, the likelier ones first.
pub(super) fn variants(network: &Network) -> Vec<Variant> {
    let mut all = Vec::new();
    pooled_norm(network, &mut all);
    order(network, &mut all);
    activations(network, &mut all);
    heads(network, &mut all);
    stem(network, &mut all);
    epsilons(network, &mut all);
    pooling(network, &mut all);
    causality(network, &mut all);
    all
}

fn push(all: &mut Vec<Variant>, network: &Network, change: impl Into<String>, to: impl FnOnce(&mut Network)) {
    let mut network = network.clone();
    to(&mut network);
    all.push(Variant { change: change.into(), network });
}

/// The norm before pooling, or after it.
fn pooled_norm(network: &Network, all: &mut Vec<Variant>) {
    let change = match (&network.final_norm, &network.pooled_norm) {
        (Some(_), None) => {
            "the norm comes after pooling: `encoder.final_norm = false`, `pooling.norm = true` and \
             `tensors.pooled_norm` with the names of `final_norm`"
        }
        (None, Some(_)) => {
            "the norm comes before pooling: `pooling.norm = false`, `encoder.final_norm = true` and `tensors.final_norm` with \
             the names of `pooled_norm`"
        }
        _ => return,
    };
    push(all, network, change, |network| core::mem::swap(&mut network.final_norm, &mut network.pooled_norm));
}

fn order(network: &Network, all: &mut Vec<Variant>) {
    let Some(block) = network.blocks.first() else { return };
    let (order, word) = match block.order {
        NormOrder::Pre => (NormOrder::Post, "post"),
        NormOrder::Post => (NormOrder::Pre, "pre"),
        NormOrder::Reversible => return,
    };
    push(all, network, format!("`encoder.norm = \"{word}\"`"), |network| {
        network.blocks.iter_mut().for_each(|block| block.order = order);
    });
}

fn activations(network: &Network, all: &mut Vec<Variant>) {
    use Activation::{GeluErf, GeluTanh, Relu, Tanh};
    for (activation, word) in [(GeluErf, "gelu"), (Relu, "relu"), (GeluTanh, "gelu-tanh"), (Tanh, "tanh")] {
        if network.blocks.iter().any(|block| block.feed_forward.activation != activation) {
            push(all, network, format!("`encoder.activation = \"{word}\"`"), |network| {
                network.blocks.iter_mut().for_each(|block| block.feed_forward.activation = activation);
            });
        }
        if network.hidden.as_ref().is_some_and(|hidden| hidden.activation != activation) {
            push(all, network, format!("`head.hidden = \"{word}\"`"), |network| {
                network.hidden.iter_mut().for_each(|hidden| hidden.activation = activation);
            });
        }
    }
}

/// Other numbers of heads, where the mechanism has nothing of its own for each.
fn heads(network: &Network, all: &mut Vec<Variant>) {
    let free = |kind: &AttentionKind| match kind {
        AttentionKind::Exact | AttentionKind::Local(_) => true,
        AttentionKind::BigBird { plans, .. } => plans.is_empty(),
        AttentionKind::Hierarchical { bias, .. } => bias.is_empty(),
        _ => false,
    };
    let Some(first) = network.blocks.first().map(|block| &block.attention) else { return };
    if !network.blocks.iter().all(|block| free(&block.attention.kind)) {
        return;
    }
    let width = first.query.outputs;
    for heads in (1..=width).filter(|heads| width.is_multiple_of(*heads) && *heads != first.heads) {
        push(all, network, format!("`encoder.heads = {heads}`"), |network| {
            network.blocks.iter_mut().for_each(|block| block.attention.heads = heads);
        });
    }
}

/// The order of the stem's inputs, and the step from one window to the next.
fn stem(network: &Network, all: &mut Vec<Variant>) {
    let (window, values) = match &network.input {
        Input::Samples { window, channels, .. } => (*window, *channels),
        Input::OneHot { window, symbols, .. } => (*window, *symbols),
        Input::Tokens { .. } => return,
    };
    if window.width > 1 && values > 1 {
        let change = "the stem's inputs lie channel by channel, not step by step: give the weight of the convolution with its \
                      own three axes, `[width, channels, steps]`, or transpose the last two before flattening them";
        push(all, network, change, |network| {
            if let Input::Samples { stem, .. } | Input::OneHot { stem, .. } = &mut network.input {
                let row = |input: usize| {
                    let (step, channel) = (input / values, input % values);
                    let from = channel * window.width + step;
                    stem.weights[from * stem.outputs..][..stem.outputs].to_vec()
                };
                stem.weights = (0..stem.inputs).flat_map(row).collect();
            }
        });
    }
    for stride in (1..=STRIDES.max(2 * window.width)).filter(|stride| *stride != window.stride) {
        push(all, network, format!("`input.window.stride = {stride}`"), |network| {
            if let Input::Samples { window, .. } | Input::OneHot { window, .. } = &mut network.input {
                *window = Window { stride, ..*window };
            }
        });
    }
}

/// The epsilon of all norms, or of one kind of them.
fn epsilons(network: &Network, all: &mut Vec<Variant>) {
    type Norms = fn(&mut Network) -> Vec<&mut Norm>;
    let kinds: [(&str, Norms); 5] = [
        ("encoder.epsilon", |network| norms(network, true)),
        ("encoder.epsilon", |network| norms(network, false)),
        ("encoder.embedding_epsilon", |network| network.embedding_norm.iter_mut().collect()),
        ("encoder.final_epsilon", |network| network.final_norm.iter_mut().collect()),
        ("pooling.epsilon", |network| network.pooled_norm.iter_mut().collect()),
    ];
    // A description that gives them epsilons of their own is not changed by that of all.
    let mut copy = network.clone();
    let every = norms(&mut copy, true);
    let uniform = every.windows(2).all(|pair| pair[0].epsilon == pair[1].epsilon);
    for (index, (key, norms)) in kinds.into_iter().enumerate().skip(usize::from(!uniform)) {
        // That of the blocks alone: then the others keep theirs, which a description has to say.
        let others = if index == 1 { ", of the norms of the blocks alone" } else { "" };
        for epsilon in EPSILONS {
            let mut changed = network.clone();
            let mut touched = norms(&mut changed);
            if touched.iter().all(|norm| norm.epsilon == epsilon) {
                continue;
            }
            touched.iter_mut().for_each(|norm| norm.epsilon = epsilon);
            all.push(Variant { change: format!("`{key} = {epsilon:e}`{others}"), network: changed });
        }
    }
}

/// The norms of the blocks, and those around them.
fn norms(network: &mut Network, around: bool) -> Vec<&mut Norm> {
    let Network { blocks, embedding_norm, final_norm, pooled_norm, .. } = network;
    let of_blocks = blocks.iter_mut().flat_map(|block| [&mut block.norm1, &mut block.norm2]);
    let others = [embedding_norm, final_norm, pooled_norm];
    of_blocks.chain(others.into_iter().filter(|_| around).filter_map(Option::as_mut)).collect()
}

fn pooling(network: &Network, all: &mut Vec<Variant>) {
    use Pooling::{First, Last, Max, Mean};
    if network.pooling == Pooling::None {
        return;
    }
    for (pooling, word) in [(Mean, "mean"), (Max, "max"), (First, "first"), (Last, "last")] {
        if network.pooling != pooling {
            push(all, network, format!("`pooling.kind = \"{word}\"`"), |network| network.pooling = pooling);
        }
    }
}

/// Exact attention that sees all tokens, or the past only.
fn causality(network: &Network, all: &mut Vec<Variant>) {
    let exact = |kind: &AttentionKind| matches!(kind, AttentionKind::Exact);
    if network.blocks.is_empty() || !network.blocks.iter().all(|block| exact(&block.attention.kind)) {
        return;
    }
    let causal = !network.blocks[0].attention.causal;
    let change = format!("`encoder.attention = {{ kind = \"exact\", causal = {causal} }}`");
    push(all, network, change, |network| {
        network.blocks.iter_mut().for_each(|block| block.attention.causal = causal);
    });
}
