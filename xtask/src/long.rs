//! Streams of a million tokens on boards with 16 KB of RAM, compared with the host after every token; and 65,536 tokens in
//! passes on a Cortex-M4.

use crate::board::Board;
use crate::cases::Recordings;
use crate::command::{root, target};
use crate::{demo, elf, firmware, host, passes, qemu, report, setup};
use anyhow::{Context, Result, anyhow, bail, ensure};
use comfy_table::{CellAlignment, Table, presets};
use fixformer::host::count::thousands;
use fixformer::host::draw::{FIRST_MARK, Source, marks};
use fixformer::{Digest, Model, Plan, Stream};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// Boards with 16 KB of RAM, a Cortex-M0 and an RV32.
const BOARDS: [&str; 2] = ["microbit", "sifive_e"];
/// Causal models of `models/zoo` that fit them, trained to say which of two marks in noise came last.
pub(crate) const MODELS: [&str; 2] = ["marks-hierarchical", "marks-favor"];
/// Tokens of a stream.
pub(crate) const TOKENS: usize = 1_000_000;
/// Time that a stream may take.
const LIMIT: Duration = Duration::from_secs(1800);
/// RAM of the boards.
const RAM: u64 = 16 * 1024;
/// How much the work of late tokens may differ from that of early ones.
const MOST_CHANGE: f64 = 0.01;

/// Runs both models for `tokens` tokens on both boards if `streams`, then up to [`passes::TOKENS`] in passes.
pub(crate) fn run(tokens: usize, streams: bool, as_json: bool) -> Result<()> {
    if streams {
        self::streams(tokens, as_json)?;
    }
    let board = &Board::named(&[passes::BOARD])?[..];
    setup::ready(board)?;
    let (bars, tokens) = (MultiProgress::new(), tokens.min(passes::TOKENS));
    let values = tokens * passes::PASSES as usize;
    let bar = |place: &str| bar(&bars, values, &format!("in passes on {place}"));
    let on_host = bar("the host")?;
    let case = passes::Case::new(tokens, &|values| on_host.set_position(values))?;
    on_host.finish_and_clear();
    for board in board {
        let on_board = bar(&board.name)?;
        let run = case.on(board, &|values| on_board.set_position(values))?;
        on_board.finish_and_clear();
        if as_json {
            println!("{}", run.json());
        } else {
            println!("{}", run.line());
        }
        run.holds()?;
    }
    Ok(())
}

/// Runs both models for `tokens` tokens on both boards.
fn streams(tokens: usize, as_json: bool) -> Result<()> {
    let boards = Board::named(&BOARDS)?;
    setup::ready(&boards)?;
    let bars = MultiProgress::new();
    let mut runs = Vec::new();
    for model in MODELS {
        let bar = bar(&bars, tokens, &format!("{model} on the host"))?;
        let case = Case::new(model, tokens, &|token| bar.set_position(token as u64))?;
        bar.finish_and_clear();
        let found: Vec<Result<Run>> = thread::scope(|scope| {
            let started: Vec<_> = boards
                .iter()
                .map(|board| {
                    let (bars, case) = (&bars, &case);
                    scope.spawn(move || {
                        let bar = self::bar(bars, tokens, &format!("{model} on {}", board.name))?;
                        case.on(board, &|token| bar.set_position(token))
                    })
                })
                .collect();
            started.into_iter().map(|run| run.join().map_err(|_| anyhow!("a run panicked"))?).collect()
        });
        for run in found {
            runs.push(run?);
        }
    }
    if as_json {
        runs.iter().for_each(|run| println!("{}", run.json()));
    } else {
        println!("{}", table(&runs));
    }
    for run in &runs {
        run.holds()?;
    }
    if !as_json {
        println!("Every score of every token is the host's, bit by bit.");
    }
    Ok(())
}

fn bar(bars: &MultiProgress, tokens: usize, message: &str) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} tokens {elapsed}")?;
    Ok(bars.add(ProgressBar::new(tokens as u64).with_style(style)).with_message(message.to_owned()))
}

/// A model, a long recording, and what the host makes of it.
pub(crate) struct Case {
    model: &'static str,
    tokens: usize,
    digest: String,
    /// Share of the tokens after the first mark at which the class was the kind of the last one.
    accuracy: f64,
}

impl Case {
    /// Draws the recording, writes it for the boards, and runs it on the host; `progress` is told of tokens.
    pub(crate) fn new(model: &'static str, tokens: usize, progress: &dyn Fn(usize)) -> Result<Self> {
        let recording = marks(&mut Source(tokens as u64), tokens);
        let words = host::words(&path(model))?;
        let parsed = Model::parse(&words).map_err(|error| anyhow!("{model}: {error}"))?;
        let plan = Plan::of_stream(&parsed).map_err(|error| anyhow!("{model}: {error}"))?;
        let mut memory = vec![0; plan.words()];
        let mut stream = Stream::new(parsed, &mut memory).map_err(|error| anyhow!("{model}: {error}"))?;
        let mut digest = Digest::new();
        let (mut kind, mut right, mut judged) = (None, 0, 0);
        for (token, id) in recording.iter().enumerate() {
            kind = usize::try_from(id - FIRST_MARK).ok().or(kind);
            if let Some(scores) = stream.push(&[*id]).map_err(|error| anyhow!("{model}: {error}"))? {
                digest.scores(scores.raw());
                judged += usize::from(kind.is_some());
                right += usize::from(kind == Some(scores.best()));
            }
            if token % 4096 == 0 {
                progress(token);
            }
        }
        let recordings = Recordings { channels: 1, rows: vec![recording], labels: vec![0] };
        demo::write(&folder().join(name(model, tokens)), &recordings)?;
        let accuracy = f64::from(right as u32) / f64::from((judged as u32).max(1));
        Ok(Self { model, tokens, digest: digest.to_string(), accuracy })
    }

    /// The recording through the stream of a board.
    pub(crate) fn on(&self, board: &Board, progress: &dyn Fn(u64)) -> Result<Run> {
        let elf = firmware::build(board, "stream", &path(self.model))?;
        let file = name(self.model, self.tokens);
        let board = &Board { limit: LIMIT, ..board.clone() };
        let ended = qemu::run(board, &elf, Some(&file), &folder(), |line| {
            if let Some(tokens) = line.strip_prefix("tokens ").and_then(|tokens| tokens.parse().ok()) {
                progress(tokens);
            }
        })?;
        let lines = ended.success().with_context(|| format!("{} on {}", self.model, board.name))?;
        let line = lines.last().context("the firmware printed nothing")?;
        let number = |name: &str| -> Result<u64> { Ok(report::field(line, name)?.parse()?) };
        let stack_bytes = number("stack")?;
        Ok(Run {
            board: board.name.clone(),
            model: self.model,
            tokens: number("tokens")?,
            digest: report::field(line, "digest")?.to_owned(),
            digest_host: self.digest.clone(),
            accuracy: self.accuracy,
            arena_bytes: number("arena")?,
            state_bytes: number("state")?,
            stack_bytes,
            ram_bytes: elf::sizes(&elf)?.ram + stack_bytes,
            instructions: number("instructions")?,
            worst: number("worst")?,
            early: number("early")?,
            late: number("late")?,
        })
    }
}

fn folder() -> PathBuf {
    target().join("recordings")
}

fn name(model: &str, tokens: usize) -> String {
    format!("{model}-{tokens}.rec")
}

fn path(model: &str) -> PathBuf {
    root().join("models/zoo").join(model).with_extension("fxm")
}

/// What a board made of a long recording.
pub(crate) struct Run {
    board: String,
    model: &'static str,
    tokens: u64,
    digest: String,
    digest_host: String,
    accuracy: f64,
    arena_bytes: u64,
    state_bytes: u64,
    stack_bytes: u64,
    /// Variables and the deepest stack.
    ram_bytes: u64,
    /// Of a token, in the mean.
    instructions: u64,
    /// Of the most expensive token.
    worst: u64,
    /// Of some late tokens, and of as many a power of two of tokens before.
    early: u64,
    late: u64,
}

impl Run {
    /// Every score was the host's, in the RAM that there is, and the work does not grow.
    pub(crate) fn holds(&self) -> Result<()> {
        let Self { board, model, digest, digest_host, ram_bytes, early, late, .. } = self;
        ensure!(digest == digest_host, "{model} on {board}: digest {digest}, on the host {digest_host}");
        ensure!(*ram_bytes <= RAM, "{model} on {board}: {ram_bytes} bytes of RAM, at most {RAM} expected");
        let change = (*late as f64 / (*early as f64).max(1.0) - 1.0).abs();
        if change > MOST_CHANGE {
            bail!("{model} on {board}: {early} instructions early, {late} late");
        }
        Ok(())
    }

    fn json(&self) -> Value {
        json!({
            "board": self.board,
            "model": self.model,
            "tokens": self.tokens,
            "digest": self.digest,
            "digest_host": self.digest_host,
            "accuracy": self.accuracy,
            "ram_bytes": self.ram_bytes,
            "arena_bytes": self.arena_bytes,
            "state_bytes": self.state_bytes,
            "stack_bytes": self.stack_bytes,
            "instructions": self.instructions,
            "worst": self.worst,
            "instructions_early": self.early,
            "instructions_late": self.late,
        })
    }
}

fn table(runs: &[Run]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header([
        "", "board", "tokens", "RAM", "stack", "a token", "worst", "early", "late", "right", "digest",
    ]);
    for run in runs {
        let number = |number: u64| thousands(number as usize);
        table.add_row([
            run.model.to_owned(),
            run.board.clone(),
            number(run.tokens),
            format!("{} B", number(run.ram_bytes)),
            format!("{} B", number(run.stack_bytes)),
            number(run.instructions),
            number(run.worst),
            number(run.early),
            number(run.late),
            format!("{:.1} %", 100.0 * run.accuracy),
            run.digest.clone(),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
