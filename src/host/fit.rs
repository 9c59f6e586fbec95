//! Whether a model fits a microcontroller, and what to change if it does not.

pub mod cost;

use std::vec::Vec;

use crate::model::{Block, Model, Weights};
use crate::session::Plan;

/// RAM besides the arena: stack, and the program's own variables.
pub const STACK_RESERVE: usize = 4 * KIB;
/// Flash besides the model: engine, start-up code and program, as large as the larger `classify` of the emulated
/// boards (`cargo xtask size`).
pub const FIRMWARE_BYTES: usize = 48 * KIB;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A board, as its data sheet has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// Name on the command line.
    pub name: &'static str,
    /// Part and core.
    pub part: &'static str,
    /// Name of the [`cost::Core`] that counts like it.
    pub core: &'static str,
    /// Bytes of flash from which code runs and constants are read.
    pub flash: usize,
    /// Bytes of RAM in one piece: an arena cannot be divided.
    pub ram: usize,
}

/// Parts with the sizes of their data sheets; RAM is the largest piece that is contiguous.
pub const BOARDS: &[Board] = &[
    board("microbit-v1", "nRF51822, Cortex-M0", "m0", 256 * KIB, 16 * KIB),
    board("microbit-v2", "nRF52833, Cortex-M4F", "m4", 512 * KIB, 128 * KIB),
    board("nrf52840", "nRF52840, Cortex-M4F", "m4", MIB, 256 * KIB),
    board("stm32f411", "STM32F411xE, Cortex-M4F", "m4", 512 * KIB, 128 * KIB),
    // 64 KiB more are core-coupled, at another address.
    board("stm32f407", "STM32F405/407xG, Cortex-M4F", "m4", MIB, 128 * KIB),
    board("stm32h743", "STM32H743xI, Cortex-M7, AXI RAM", "m7", 2 * MIB, 512 * KIB),
    board("rp2040", "RP2040, Cortex-M0+, 2 MB external flash", "m0", 2 * MIB, 264 * KIB),
    board("rp2350", "RP2350, Cortex-M33, 4 MB external flash", "m33", 4 * MIB, 520 * KIB),
    // 16 of 400 KiB are the instruction cache.
    board("esp32-c3", "ESP32-C3, RV32IMC, 4 MB external flash", "riscv32", 4 * MIB, 384 * KIB),
    board("hifive1-b", "FE310-G002, RV32IMAC, 4 MB external flash", "riscv32", 4 * MIB, 16 * KIB),
    board("mps2-an385", "QEMU mps2-an385, Cortex-M3", "m3", 4 * MIB, 4 * MIB),
    board("mps2-an386", "QEMU mps2-an386, Cortex-M4", "m4", 4 * MIB, 4 * MIB),
    board("mps2-an500", "QEMU mps2-an500, Cortex-M7", "m7", 4 * MIB, 4 * MIB),
    board("mps2-an505", "QEMU mps2-an505, Cortex-M33", "m33", 4 * MIB, 4 * MIB),
    board("mps3-an547", "QEMU mps3-an547, Cortex-M55", "m55", 512 * KIB, 2 * MIB),
    board("qemu-riscv32", "QEMU virt, RV32IMAC, as memory.x divides it", "riscv32", 4 * MIB, 4 * MIB),
];

const fn board(
    name: &'static str,
    part: &'static str,
    core: &'static str,
    flash: usize,
    ram: usize,
) -> Board {
    Board { name, part, core, flash, ram }
}

/// What a model and the firmware around it need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// The arena and [`STACK_RESERVE`].
    pub ram: usize,
    /// The model file and [`FIRMWARE_BYTES`].
    pub flash: usize,
}

impl Need {
    /// Of a model.
    pub const fn of(model: &Model<'_>) -> Self {
        Self { ram: Plan::of(model).bytes() + STACK_RESERVE, flash: model.bytes() + FIRMWARE_BYTES }
    }

    /// Whether `flash` and `ram` bytes suffice.
    pub const fn fits(self, flash: usize, ram: usize) -> bool {
        self.ram <= ram && self.flash <= flash
    }
}

/// What to turn so that a model fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knob {
    /// Most tokens with which the arena fits.
    MaxTokens(usize),
    /// Largest width, a multiple of the heads, with which the arena fits; hidden width in proportion.
    ArenaWidth(usize),
    /// Largest width, a multiple of the heads, with which the weights fit in flash; hidden width in proportion.
    /// An estimate: the share of 16-bit layers may change.
    FlashWidth(usize),
}

/// The knobs that make `model` fit into `flash` and `ram` bytes; empty if it fits, or if none helps.
pub fn knobs(model: &Model<'_>, flash: usize, ram: usize) -> Vec<Knob> {
    let need = Need::of(model);
    let mut knobs = Vec::new();
    if need.ram > ram {
        knobs.extend(max_tokens(model, ram).map(Knob::MaxTokens));
        knobs.extend(width(model, |narrow| Need::of(narrow).ram <= ram).map(Knob::ArenaWidth));
    }
    if need.flash > flash {
        let blocks: usize = model.blocks().map(|block| weight_bytes(&block)).sum();
        let fits = |narrow: &Model<'_>| {
            let ratio = narrow.width as f64 / model.width as f64;
            // Weights between tokens grow with the square of the width, the rest with the width.
            let linear = need.flash - FIRMWARE_BYTES - blocks;
            let bytes = blocks as f64 * ratio * ratio + linear as f64 * ratio;
            bytes + FIRMWARE_BYTES as f64 <= flash as f64
        };
        knobs.extend(width(model, fits).map(Knob::FlashWidth));
    }
    knobs
}

/// Most tokens for which the arena fits in `ram`; it grows with them, so halving finds it.
fn max_tokens(model: &Model<'_>, ram: usize) -> Option<usize> {
    let fits = |tokens| {
        let mut shorter = *model;
        shorter.max_tokens = tokens;
        Need::of(&shorter).ram <= ram
    };
    if !fits(1) {
        return None;
    }
    let (mut low, mut high) = (1, model.max_tokens);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if fits(middle) { low = middle } else { high = middle }
    }
    Some(low)
}

/// Largest smaller width that `fits`.
fn width<'m>(model: &Model<'m>, fits: impl Fn(&Model<'m>) -> bool) -> Option<usize> {
    let narrowed = |width| {
        let mut narrow = *model;
        narrow.width = width;
        narrow.head_width = model.head_width * width / model.width;
        narrow.hidden = model.hidden * width / model.width;
        narrow
    };
    let mut widths = (1..model.width.div_ceil(model.heads)).rev().map(|per_head| per_head * model.heads);
    widths.find(|&width| fits(&narrowed(width)))
}

/// Bytes of the matrices of a block.
fn weight_bytes(block: &Block<'_>) -> usize {
    let (attention, network) = (&block.attention, &block.feed_forward);
    [attention.query, attention.value, attention.output, network.expand, network.contract]
        .into_iter()
        .chain(attention.key)
        .map(|linear| match linear.weights {
            Weights::Int8(values) => size_of_val(values),
            Weights::Int16(values) => size_of_val(values),
        })
        .sum()
}
