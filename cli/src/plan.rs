//! The buffers of the arena: which lies where, and when it is needed.

use std::io::Write;

use anyhow::Result;
use fixformer::host::count::thousands;
use fixformer::session::{Buffer, Plan, Stage};
use serde::Serialize;

use crate::table::Table;

/// The buffers that a model has, and the stages in which each holds something.
pub(crate) fn write(plan: &Plan, out: &mut impl Write) -> Result<()> {
    let mut headings = vec!["arena", "type", "elements", "bytes", "from"];
    headings.extend(Stage::ALL.iter().map(|stage| stage.name()));
    let mut table = Table::new(2, &headings);
    for buffer in used(plan) {
        let Buffer { name, element, length, words, start, about, .. } = buffer;
        let cells = [name, element.name(), &thousands(length), &thousands(4 * words), &thousands(4 * start)];
        let lives = Stage::ALL.iter().map(|stage| if is_needed(&buffer, *stage) { "#" } else { "" });
        table.row(cells.into_iter().chain(lives).chain([about]).map(str::to_owned));
    }
    table.row(["all", "", "", &thousands(plan.bytes())].map(str::to_owned));
    table.write(out)?;
    let order = if plan.is_passes() {
        "A tile of tokens passes as many layers as have taken in their keys, once for each layer and once more."
    } else if plan.is_stream() {
        "Every token passes all layers as it comes: nothing of the length is kept."
    } else if plan.is_tile_by_tile() {
        "A tile of tokens passes all layers before the next one: nothing of the length is kept."
    } else {
        "All tokens pass a layer before the next one."
    };
    let most = thousands(4 * plan.largest_stage());
    writeln!(
        out,
        "\n  {order} No stage needs more than {most} bytes; buffers of different stages share space."
    )?;
    Ok(())
}

/// What a stream needs, in a sentence.
pub(crate) fn as_stream(plan: &Plan) -> String {
    let end = match plan.tokens() {
        tokens if tokens >= i32::MAX as usize => "without end".to_owned(),
        tokens => format!("up to {} tokens", thousands(tokens)),
    };
    let (bytes, state) = (thousands(plan.bytes()), thousands(plan.state_bytes()));
    format!("as a stream, {end}: {bytes} bytes, of which {state} are kept from token to token")
}

/// What passes need, in a sentence.
pub(crate) fn in_passes(plan: &Plan) -> String {
    let (bytes, tokens) = (thousands(plan.bytes()), thousands(plan.tokens()));
    format!("in passes over a recording outside the RAM, up to {tokens} tokens: {bytes} bytes")
}

/// The buffers that are not empty.
pub(crate) fn used(plan: &Plan) -> impl Iterator<Item = Buffer> {
    plan.buffers().filter(|buffer| buffer.length > 0)
}

fn is_needed(buffer: &Buffer, stage: Stage) -> bool {
    buffer.lives[0] <= stage && stage <= buffer.lives[1]
}

#[derive(Serialize)]
struct Line<'a> {
    model: &'a str,
    arena_bytes: usize,
    /// Of the buffers that are needed together, at most.
    largest_stage_bytes: usize,
    tile_by_tile: bool,
    stream: bool,
    passes: bool,
    buffers: Vec<BufferLine>,
}

#[derive(Serialize)]
struct BufferLine {
    name: &'static str,
    element: &'static str,
    length: usize,
    bytes: usize,
    /// First byte of the arena that it takes.
    start: usize,
    /// First and last stage that need it.
    lives: [&'static str; 2],
    about: &'static str,
}

pub(crate) fn json(model: &str, plan: &Plan, out: &mut impl Write) -> Result<()> {
    let line = |buffer: Buffer| BufferLine {
        name: buffer.name,
        element: buffer.element.name(),
        length: buffer.length,
        bytes: 4 * buffer.words,
        start: 4 * buffer.start,
        lives: buffer.lives.map(Stage::name),
        about: buffer.about,
    };
    let line = Line {
        model,
        arena_bytes: plan.bytes(),
        largest_stage_bytes: 4 * plan.largest_stage(),
        tile_by_tile: plan.is_tile_by_tile(),
        stream: plan.is_stream(),
        passes: plan.is_passes(),
        buffers: used(plan).map(line).collect(),
    };
    Ok(writeln!(out, "{}", serde_json::to_string(&line)?)?)
}
