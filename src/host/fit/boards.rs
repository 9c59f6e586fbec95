//! Boards, and what a program takes of them besides its model.

use std::collections::BTreeSet;

use crate::model::{AttentionKind, Model};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A board, as the linker has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// Name on the command line.
    pub name: &'static str,
    /// Part and core.
    pub part: &'static str,
    /// Name of the [`cost::Core`](super::cost::Core) that counts like it.
    pub core: &'static str,
    /// Bytes of flash from which code runs and constants are read, without those of a boot loader.
    pub flash: usize,
    /// Bytes of RAM in one piece that the linker has for stack and variables: an arena cannot be divided.
    pub ram: usize,
    /// What runs on it.
    pub program: Program,
}

/// What a program takes besides its model, its arena and its window of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Whose instructions it has.
    pub family: Family,
    /// Bytes of RAM that the memory map keeps for the stack.
    pub stack: usize,
    /// Bytes of RAM of its own variables, and of code that runs from RAM.
    pub variables: usize,
    /// Bytes of flash of program, drivers and engine, with exact attention.
    pub code: usize,
}

/// Cores with the same instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Thumb.
    CortexM,
    /// RV32IMC, with or without atomics.
    RiscV,
}

impl Program {
    /// One of which nothing is known: the stack that the engine needs, the buffer of a log, and the code of RV32IMAC.
    pub const UNKNOWN: Self = program(Family::RiscV, 4 * KIB, KIB, 46_500);

    /// Bytes of flash with the mechanisms of `model`.
    pub fn flash(&self, model: &Model<'_>) -> usize {
        let family = self.family as usize;
        let of_blocks = model.blocks().map(|block| mechanism(&block.attention.kind, block.attention.causal));
        let mechanisms: BTreeSet<_> = of_blocks.collect();
        let more: usize = mechanisms.iter().map(|bytes| bytes[family]).sum();
        self.code + more + mechanisms.len().saturating_sub(1) * FURTHER
    }
}

/// Bytes of code by which a mechanism makes a program larger than exact attention does, on [`Family::CortexM`] and on
/// [`Family::RiscV`], as `cargo xtask size` has them.
const fn mechanism(kind: &AttentionKind<'_>, causal: bool) -> [usize; 2] {
    match kind {
        AttentionKind::Exact => [0, 0],
        AttentionKind::BigBird(_) | AttentionKind::BigBirdExtended(_) | AttentionKind::Local(_) => [500, 500],
        AttentionKind::Hierarchical(_) if causal => [6_450, 6_300],
        AttentionKind::Hierarchical(_) => [11_750, 11_000],
        AttentionKind::Favor(_) if causal => [8_600, 10_100],
        AttentionKind::Favor(_) => [6_100, 7_600],
        AttentionKind::Lsh(_) => [7_700, 8_300],
    }
}

/// Bytes by which a program grows with each mechanism that is not its only one: what they share is no longer inlined.
const FURTHER: usize = 3_500;

const fn program(family: Family, stack: usize, variables: usize, code: usize) -> Program {
    Program { family, stack, variables, code }
}

/// That of a Cortex-M part, with the buffer of a log.
const fn arm(variables: usize, code: usize) -> Program {
    program(Family::CortexM, 8 * KIB, variables, code)
}

/// `classify` on an emulated Cortex-M.
const fn emulated(code: usize) -> Program {
    program(Family::CortexM, 16 * KIB, 12, code)
}

/// Parts whose memory is that of `boards/hardware/*/memory.x`, of the memory map of esp-hal, or of their data sheet; RAM
/// is the largest piece that is contiguous.
pub const BOARDS: &[Board] = &[
    board(
        "microbit-v1",
        "nRF51822, Cortex-M0",
        "m0",
        256 * KIB,
        16 * KIB,
        Program { stack: 4 * KIB, ..arm(1112, 38_200) },
    ),
    board("microbit-v2", "nRF52833, Cortex-M4F", "m4", 512 * KIB, 128 * KIB, arm(1112, 40_200)),
    board("nrf52840", "nRF52840, Cortex-M4F", "m4", MIB, 256 * KIB, arm(1112, 40_200)),
    board("nrf52840-embassy", "nRF52840, Cortex-M4F, with Embassy", "m4", MIB, 256 * KIB, arm(3280, 42_600)),
    board("stm32f411", "STM32F411xE, Cortex-M4F", "m4", 512 * KIB, 128 * KIB, arm(1112, 39_200)),
    // 64 KiB more are core-coupled, at another address.
    board("stm32f407", "STM32F405/407xG, Cortex-M4F", "m4", MIB, 128 * KIB, arm(1112, 39_500)),
    board("stm32h743", "STM32H743xI, Cortex-M7, AXI RAM", "m7", 2 * MIB, 512 * KIB, arm(1112, 45_500)),
    board("rp2040", "RP2040, Cortex-M0+, 2 MB external flash", "m0", 2 * MIB, 264 * KIB, arm(1104, 40_000)),
    board("rp2350", "RP2350, Cortex-M33, 4 MB external flash", "m33", 4 * MIB, 520 * KIB, arm(1104, 39_300)),
    board(
        "rp2350-riscv",
        "RP2350, RV32IMAC, 4 MB external flash",
        "riscv32",
        4 * MIB,
        520 * KIB,
        program(Family::RiscV, 8 * KIB, 1104, 43_000),
    ),
    // Of 400 KiB the instruction cache has 16, the boot loader's data end the piece, and what it leaves lies apart. Of
    // the flash, the boot loader and its table of partitions have 64 KiB.
    board(
        "esp32-c3",
        "ESP32-C3, RV32IMC, 4 MB external flash",
        "riscv32",
        4 * MIB - 64 * KIB,
        313 * KIB,
        program(Family::RiscV, 8 * KIB, 3892, 62_000),
    ),
    board(
        "hifive1-b",
        "FE310-G002, RV32IMAC, 4 MB external flash",
        "riscv32",
        4 * MIB - 64 * KIB,
        16 * KIB,
        program(Family::RiscV, 4 * KIB, 20, 44_500),
    ),
    board("mps2-an385", "QEMU mps2-an385, Cortex-M3", "m3", 4 * MIB, 4 * MIB, emulated(41_500)),
    board("mps2-an386", "QEMU mps2-an386, Cortex-M4", "m4", 4 * MIB, 4 * MIB, emulated(39_500)),
    board("mps2-an500", "QEMU mps2-an500, Cortex-M7", "m7", 4 * MIB, 4 * MIB, emulated(45_500)),
    board("mps2-an505", "QEMU mps2-an505, Cortex-M33", "m33", 4 * MIB, 4 * MIB, emulated(45_500)),
    board("mps3-an547", "QEMU mps3-an547, Cortex-M55", "m55", 512 * KIB, 2 * MIB, emulated(44_500)),
    board(
        "qemu-riscv32",
        "QEMU virt, RV32IMAC, as memory.x divides it",
        "riscv32",
        4 * MIB - 16 * KIB,
        4 * MIB + 16 * KIB,
        program(Family::RiscV, 16 * KIB, 12, 46_500),
    ),
];

impl Board {
    /// The board of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        BOARDS.iter().find(|board| board.name == name)
    }
}

const fn board(
    name: &'static str,
    part: &'static str,
    core: &'static str,
    flash: usize,
    ram: usize,
    program: Program,
) -> Board {
    Board { name, part, core, flash, ram, program }
}
