//! A recording that is longer than any memory through a bidirectional model, in passes, compared with the host.

use crate::board::Board;
use crate::cases::Recordings;
use crate::command::target;
use crate::drawn::{self, VOCABULARY};
use crate::{demo, elf, firmware, host, qemu, report};
use anyhow::{Context, Result, anyhow, ensure};
use fixformer::host::draw::Source;
use fixformer::host::reference::{Network, Positions};
use fixformer::{Digest, Model, Passes, Plan, Recording, Session};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

/// The board that runs them, a Cortex-M4.
pub(crate) const BOARD: &str = "m4";
/// Tokens of a recording.
pub(crate) const TOKENS: usize = 1 << 16;
/// Tokens of a recording that a whole run takes too.
const WHOLE: usize = 1 << 10;
/// Time that a run may take.
const LIMIT: Duration = Duration::from_secs(1800);
/// What everything but the recording may take of RAM.
const RAM: u64 = 24 * 1024;

const LAYERS: usize = 2;
const NAME: &str = "passes-favor";

/// A model, a recording, and what the host makes of it.
pub(crate) struct Case {
    tokens: usize,
    digest: String,
}

impl Case {
    /// Makes the model, draws the recording, writes both for the board, and runs them on the host; `progress` is told of the
    /// values that were read.
    pub(crate) fn new(tokens: usize, progress: &dyn Fn(u64)) -> Result<Self> {
        let mut source = Source(tokens as u64);
        let recording: Vec<i16> = (0..tokens).map(|_| source.below(VOCABULARY) as i16).collect();
        demo::put(&path(), &drawn::file(&network())?)?;
        let words = host::words(&path())?;
        let model = Model::parse(&words)?;
        let plan = Plan::of_passes(&model)?;
        let mut memory = vec![0; plan.words()];
        let mut passes = Passes::new(model, &mut memory)?;

        let short = &recording[..tokens.min(WHOLE)];
        let mut memory = vec![0; Plan::of(&model).words()];
        let mut session = Session::new(model, &mut memory)?;
        let whole = session.run(short)?;
        let found = passes.run(&mut Told { values: short, read: 0, progress: &|_| {} });
        let found = found.map_err(|error| anyhow!("{error}"))?;
        ensure!(found.raw() == whole.raw(), "{:?} in passes, {:?} at once", found.raw(), whole.raw());

        let scores = passes.run(&mut Told { values: &recording, read: 0, progress });
        let mut digest = Digest::new();
        digest.scores(scores.map_err(|error| anyhow!("{error}"))?.raw());
        let recordings = Recordings { channels: 1, rows: vec![recording], labels: vec![0] };
        demo::write(&folder().join(name(tokens)), &recordings)?;
        Ok(Self { tokens, digest: digest.to_string() })
    }

    /// The program of a board, with the model inside.
    pub(crate) fn program(&self, board: &Board) -> Result<PathBuf> {
        firmware::build(board, "passes", &path())
    }

    /// The recording through the passes of a board; `progress` is told of the values that were read.
    pub(crate) fn on(&self, board: &Board, progress: &dyn Fn(u64)) -> Result<Run> {
        let elf = self.program(board)?;
        let board = &Board { limit: LIMIT, ..board.clone() };
        let ended = qemu::run(board, &elf, Some(&name(self.tokens)), &folder(), |line| {
            if let Some(values) = line.strip_prefix("values ").and_then(|values| values.parse().ok()) {
                progress(values);
            }
        })?;
        let lines = ended.success().with_context(|| format!("{NAME} on {}", board.name))?;
        let line = lines.last().context("the firmware printed nothing")?;
        let number = |name: &str| -> Result<u64> { Ok(report::field(line, name)?.parse()?) };
        let stack_bytes = number("stack")?;
        Ok(Run {
            board: board.name.clone(),
            tokens: number("values")?,
            digest: report::field(line, "digest")?.to_owned(),
            digest_host: self.digest.clone(),
            arena_bytes: number("arena")?,
            stack_bytes,
            ram_bytes: elf::sizes(&elf)?.ram + stack_bytes,
            instructions: number("instructions")?,
        })
    }
}

/// Passes over the recording.
pub(crate) const PASSES: u64 = LAYERS as u64 + 1;

/// Values that tell how far they are.
struct Told<'r> {
    values: &'r [i16],
    read: u64,
    progress: &'r dyn Fn(u64),
}

impl Recording for Told<'_> {
    type Error = Infallible;

    fn values(&mut self) -> Result<usize, Infallible> {
        Ok(self.values.len())
    }

    fn read(&mut self, first: usize, values: &mut [i16]) -> Result<(), Infallible> {
        values.copy_from_slice(&self.values[first..first + values.len()]);
        self.read += values.len() as u64;
        if self.read.is_multiple_of(4096) {
            (self.progress)(self.read);
        }
        Ok(())
    }
}

fn folder() -> PathBuf {
    target().join("recordings")
}

fn path() -> PathBuf {
    folder().join(NAME).with_extension("fxm")
}

fn name(tokens: usize) -> String {
    format!("{NAME}-{tokens}.rec")
}

/// With 16 keys a tile: more would not leave enough of the RAM.
fn network() -> Network {
    let mechanisms = (0..LAYERS).map(|layer| drawn::favor(layer, Some(16))).collect();
    drawn::network(NAME, mechanisms, false, Positions::Sinusoidal, WHOLE)
}

/// What a board made of a long recording.
pub(crate) struct Run {
    board: String,
    tokens: u64,
    digest: String,
    digest_host: String,
    arena_bytes: u64,
    stack_bytes: u64,
    /// Variables and the deepest stack.
    ram_bytes: u64,
    /// Of all passes.
    instructions: u64,
}

impl Run {
    /// The scores were the host's, in the RAM that there is.
    pub(crate) fn holds(&self) -> Result<()> {
        let Self { board, digest, digest_host, ram_bytes, .. } = self;
        ensure!(digest == digest_host, "{NAME} on {board}: digest {digest}, on the host {digest_host}");
        ensure!(*ram_bytes <= RAM, "{NAME} on {board}: {ram_bytes} bytes of RAM, at most {RAM} expected");
        Ok(())
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "board": self.board,
            "model": NAME,
            "tokens": self.tokens,
            "passes": PASSES,
            "digest": self.digest,
            "digest_host": self.digest_host,
            "ram_bytes": self.ram_bytes,
            "arena_bytes": self.arena_bytes,
            "stack_bytes": self.stack_bytes,
            "instructions": self.instructions,
        })
    }

    /// In words.
    pub(crate) fn line(&self) -> String {
        use fixformer::host::count::thousands;
        let number = |number: u64| thousands(number as usize);
        format!(
            "{NAME} on {}: {} tokens of bidirectional FAVOR+ in {PASSES} passes, {} B of RAM (arena {} B, stack {} B), {} \
             instructions a token, digest {}",
            self.board,
            number(self.tokens),
            number(self.ram_bytes),
            number(self.arena_bytes),
            number(self.stack_bytes),
            number(self.instructions / self.tokens.max(1)),
            self.digest,
        )
    }
}
