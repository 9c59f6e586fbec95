//! The largest step of a run of 16,384 tokens with every mechanism, and how long a tick between the steps waits.

use super::row::Row;
use crate::board::Board;
use crate::boards::REPLAY;
use crate::cases::{Recordings, digits_file};
use crate::demo::write;
use crate::drawn::{self, HEADS, VOCABULARY, WIDTH};
use crate::host::fixed;
use crate::model::folder;
use crate::{firmware, qemu};
use anyhow::{Context, Result, anyhow, bail, ensure};
use fixformer::host::calibrate::calibrate;
use fixformer::host::draw::{Source, bigbird_plan, lsh_signs};
use fixformer::host::quantize::{Precision, integers};
use fixformer::host::reference as float;
use fixformer::host::reference::attention::bigbird::{BigBird, Pattern, Window};
use fixformer::host::reference::attention::hierarchical::{Hierarchical, Interpolation};
use fixformer::host::reference::attention::local::Local;
use fixformer::host::reference::attention::lsh::{Duplicates, Lsh, ScoreScale};
use fixformer::model::write as file;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Two cores unlike each other, on boards with memory for so long a sequence; others take `--core`.
pub(super) const CORES: [&str; 2] = ["m4", "riscv32"];
const TOKENS: usize = 16_384;
/// Exact attention sees 134 million pairs.
const LIMIT: Duration = Duration::from_secs(1200);

/// Every mechanism, and each direction that goes through the sequence in a way of its own.
const MECHANISMS: [&str; 9] = [
    "exact",
    "hierarchical",
    "hierarchical-causal",
    "bigbird",
    "favor",
    "favor-causal",
    "lsh",
    "local-causal",
    "window-causal",
];

/// Lines `step MECHANISM stage STAGE largest_step N` and `ticks MECHANISM count N longest_wait W`. The scores are the host's.
pub(super) fn measure(board: &Board) -> Result<Vec<Row>> {
    let elf = firmware::build(board, REPLAY, &digits_file())?;
    let mut rows = Vec::new();
    for mechanism in MECHANISMS {
        rows.extend(
            of_mechanism(board, &elf, mechanism).with_context(|| format!("{mechanism} on {}", board.name))?,
        );
    }
    Ok(rows)
}

fn of_mechanism(board: &Board, elf: &Path, mechanism: &str) -> Result<Vec<Row>> {
    let mut source = Source(7);
    let recording: Vec<i16> = (0..TOKENS).map(|_| source.below(VOCABULARY) as i16).collect();
    let name = format!("steps-{mechanism}");
    let path = folder().join(format!("{name}.fxm"));
    fs::create_dir_all(folder())?;
    fs::write(&path, model(mechanism)?.bytes()).with_context(|| path.display().to_string())?;
    let recordings = Recordings { channels: 1, labels: vec![0], rows: vec![recording] };
    write(&folder().join(format!("{name}.rec")), &recordings)?;
    let patient = Board { limit: LIMIT, ..board.clone() };
    let argument = format!("{name}.fxm {name}.rec steps");
    let lines = qemu::run(&patient, elf, Some(&argument), &folder(), |_| {})?.success()?;
    let expected = &fixed(&path, &recordings.rows)?.scores[0];
    let mut rows = Vec::new();
    for line in &lines {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["step", stage, "largest_step", number] => {
                rows.push(Row::read(&format!("step {mechanism} stage {stage} largest_step {number}"))?);
            }
            ["ticks", count, "longest_wait", wait] => {
                rows.push(Row::read(&format!("ticks {mechanism} count {count} longest_wait {wait}"))?);
            }
            ["row", "0", "class", _, "scores", ref scores @ ..] => {
                let scores: Vec<i16> = scores.iter().map(|score| score.parse()).collect::<Result<_, _>>()?;
                ensure!(scores == *expected, "{scores:?}, on the host {expected:?}");
            }
            _ => bail!("unexpected line from the firmware: {line}"),
        }
    }
    ensure!(!rows.is_empty(), "no step was counted");
    Ok(rows)
}

fn model(mechanism: &str) -> Result<file::File> {
    let causal = mechanism.ends_with("causal");
    let mechanisms = vec![kind(mechanism)?];
    let network = drawn::network(mechanism, mechanisms, causal, float::Positions::None, TOKENS);
    let recording: Vec<i16> = (0..64).map(|token| token % VOCABULARY as i16).collect();
    let ranges = calibrate(&network, &[recording], || {}).map_err(|error| anyhow!("{error}"))?;
    integers(&network, &ranges, &Precision::new()).map_err(|error| anyhow!("{error}"))
}

/// The mechanisms as they are measured head by head, by name.
fn kind(mechanism: &str) -> Result<float::AttentionKind> {
    Ok(match mechanism.trim_end_matches("-causal") {
        "exact" => float::AttentionKind::Exact,
        "hierarchical" => {
            let interpolation = Interpolation::Constant;
            let parameters =
                Hierarchical { block: 16, causal: false, interpolation, temperature: 1.0, guard: None };
            float::AttentionKind::Hierarchical { parameters, bias: Vec::new() }
        }
        "bigbird" => {
            let parameters =
                BigBird { block: 16, random: 1, pattern: Pattern::Internal, causal: false, dense_up_to: 0 };
            let plans = (0..HEADS).map(|head| bigbird_plan(TOKENS.div_ceil(16), 1, 0, 0, head));
            let plans = plans.collect::<Option<_>>().context("no plan of random blocks")?;
            float::AttentionKind::BigBird { parameters, plans }
        }
        "window" => {
            let pattern = Pattern::Extended { global: 0, window: Window::Tokens(64) };
            let parameters = BigBird { block: 16, random: 0, pattern, causal: false, dense_up_to: 0 };
            float::AttentionKind::BigBird { parameters, plans: Vec::new() }
        }
        "favor" => drawn::favor(0, mechanism.ends_with("-causal").then_some(8)),
        "lsh" => {
            let parameters = Lsh {
                buckets: vec![16, 16],
                rounds: 2,
                chunk: 32,
                before: 1,
                after: 0,
                multiple: 32,
                causal: false,
                scale: ScoreScale::Unit,
                in_bucket: false,
                duplicates: Duplicates::Counted,
                padding_bucket: true,
            };
            let signs = lsh_signs(WIDTH * 2 * parameters.rotation_columns(), 0, 0);
            let signs: Vec<f64> = signs.into_iter().map(f64::from).collect();
            let rotations = signs.chunks(signs.len() / HEADS).map(<[f64]>::to_vec).collect();
            float::AttentionKind::Lsh { parameters, rotations }
        }
        "local" => {
            float::AttentionKind::Local(Local { chunk: 32, before: 1, after: 0, multiple: 32, causal: false })
        }
        other => bail!("no mechanism `{other}`"),
    })
}
