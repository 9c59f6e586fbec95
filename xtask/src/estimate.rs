//! What `fit` estimates of a model's layers, against what a board counts.

use crate::board::Board;
use crate::command::target;
use crate::demo::put;
use crate::drawn::{self, HEADS, WIDTH};
use crate::host::words;
use crate::profile;
use anyhow::{Context, Result, ensure};
use fixformer::Model;
use fixformer::host::draw::bigbird_plan_extended;
use fixformer::host::fit::cost::Core;
use fixformer::host::reference::attention::AttentionKind;
use fixformer::host::reference::attention::bigbird::{BigBird, Pattern, Window};
use fixformer::host::reference::{Linear, Network, NormOrder, Positions};

/// Tokens of the models.
const TOKENS: usize = 256;
/// Most by which the estimate of a whole model may be off, and that of a layer by the share of the whole: 10 %, 5 %.
const LIMIT: f64 = 0.10;
const LAYER_LIMIT: f64 = 0.05;

/// Fails unless a reversible model with exact attention, and with windows in tokens and in blocks, takes about what was
/// estimated.
pub(crate) fn holds(board: &Board) -> Result<()> {
    let core = Core::named(&board.name).context("its core was not counted")?;
    let path = target().join("models").join("estimate.fxm");
    put(&path, &drawn::file(&network())?)?;
    let messages = profile::messages(board, &path)?;
    let counted: Vec<f64> = messages
        .iter()
        .filter_map(|message| message.strip_prefix("INFO layer ")?.rsplit(' ').next()?.parse().ok())
        .collect();
    let words = words(&path)?;
    let estimated = core.layers(&Model::parse(&words)?, TOKENS);
    ensure!(estimated.len() == counted.len(), "{} layers, {} estimated", counted.len(), estimated.len());
    let whole: f64 = counted.iter().sum();
    let mut sum = 0.0;
    for (layer, counted) in estimated.iter().zip(counted) {
        sum += layer.cost;
        let error = (layer.cost - counted) / whole;
        ensure!(error.abs() <= LAYER_LIMIT, "{}: {:.0} of {counted} estimated", layer.name, layer.cost);
    }
    ensure!((sum / whole - 1.0).abs() <= LIMIT, "{sum:.0} of {whole} estimated");
    Ok(())
}

/// The reversible model.
fn network() -> Network {
    let kinds = vec![AttentionKind::Exact, bigbird(Window::Tokens(9), 1), bigbird(Window::Blocks, 2)];
    let mut network = drawn::network("estimate", kinds, false, Positions::Sinusoidal, TOKENS);
    network.blocks.iter_mut().for_each(|block| block.order = NormOrder::Reversible);
    // Two residuals side by side.
    if let Some(norm) = &mut network.final_norm {
        (norm.gain, norm.bias) = (vec![1.0; 2 * WIDTH], vec![0.0; 2 * WIDTH]);
    }
    let Linear { weights, .. } = network.head;
    network.head = Linear { inputs: 2 * WIDTH, weights: [&weights[..], &weights].concat(), ..network.head };
    network
}

/// Two global tokens, one random block of 16.
fn bigbird(window: Window, layer: usize) -> AttentionKind {
    let pattern = Pattern::Extended { global: 2, window };
    let parameters = BigBird { block: 16, random: 1, pattern, causal: false, dense_up_to: 0 };
    let plan = |head| bigbird_plan_extended(parameters.block_count(TOKENS), 1, 1, layer, head);
    AttentionKind::BigBird { parameters, plans: (0..HEADS).filter_map(plan).collect() }
}
