//! Cycles that an instruction takes, from published tables: memory without wait states, no interrupt.
//!
//! | core | source |
//! |---|---|
//! | Cortex-M0+ | Arm DDI 0484C, table 3.1, with the multiplier of one cycle |
//! | Cortex-M3 | Arm DDI 0337I, table 3.1 and the pairs of loads and stores below it |
//! | Cortex-M4 | Arm DDI 0439B, the same |
//! | Cortex-M33, Cortex-M55 | Arm publishes no table: that of Cortex-M4; a Helium instruction is two beats of one cycle, a gather as many as it has lanes, the end of a low-overhead loop one |
//! | Cortex-M7 | Arm publishes no table: a cycle each but for a division, branches predicted |
//! | RV32IMAC | Hazard3 (RP2350), "Instruction Cycle Counts" |
//!
//! Where a table gives a range, its middle is taken. Two instructions in one cycle (Cortex-M7), and two vector
//! instructions that overlap (Cortex-M55), are left out: those cores may be faster.

use anyhow::{Result, bail};
use std::ops::Range;

/// Whose table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Core {
    M0Plus,
    M3,
    M4,
    M7,
    M55,
    Hazard3,
}

impl Core {
    /// Of a board in `boards/`.
    pub(super) fn of(board: &str) -> Result<Self> {
        Ok(match board {
            "m0" => Self::M0Plus,
            "m3" => Self::M3,
            "m4" | "m33" => Self::M4,
            "m7" => Self::M7,
            "m55" => Self::M55,
            "riscv32" => Self::Hazard3,
            _ => bail!("no table of cycles for the core of board {board}"),
        })
    }
}

/// What an instruction is to the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Plain,
    /// One register; the next instruction may need it.
    Load,
    Store,
    /// So many registers.
    Several(u32),
    /// A call, with the return address kept.
    Call,
    Branch,
    /// With 32 bits added.
    MultiplyAdd,
    /// To 64 bits.
    MultiplyLong,
    MultiplyLongAdd,
    Divide,
    Vector,
    /// A load or store of so many lanes, each at its own address.
    Gather(u32),
}

/// An instruction of a program.
#[derive(Clone, Debug)]
pub(super) struct Instruction {
    class: Class,
    /// The first operand: of a load, the register that it writes.
    first: String,
    operands: String,
}

impl Instruction {
    fn read(mnemonic: &str, operands: &str) -> Self {
        let first = operands.split([',', ' ', '{', '}']).find(|word| !word.is_empty()).unwrap_or_default();
        Self { class: class(mnemonic, operands), first: first.to_owned(), operands: operands.to_owned() }
    }

    /// Its cycles after `before`, and before one that is at another place than behind it if it is `taken`.
    pub(super) fn cycles(&self, core: Core, before: Option<&Self>, after: &Self, taken: bool) -> u32 {
        match core {
            Core::M0Plus => self.on_m0_plus(taken),
            Core::M3 => self.on_m3(before, taken, Multiplier { add: 2, long: 4, long_add: 5 }),
            Core::M4 | Core::M55 => self.on_m3(before, taken, Multiplier { add: 1, long: 1, long_add: 1 }),
            Core::M7 => {
                if self.class == Class::Divide {
                    DIVIDE
                } else {
                    1
                }
            }
            Core::Hazard3 => self.on_hazard3(after, taken),
        }
    }

    fn on_m0_plus(&self, taken: bool) -> u32 {
        match self.class {
            Class::Load | Class::Store => 2,
            // With the program counter among them, two more.
            Class::Several(registers) => 1 + registers + if taken { 2 } else { 0 },
            Class::Call => 3,
            Class::Branch => 1 + u32::from(taken),
            _ => 1,
        }
    }

    fn on_m3(&self, before: Option<&Self>, taken: bool, multiplier: Multiplier) -> u32 {
        let refill = if taken { REFILL } else { 0 };
        match self.class {
            Class::Load if before.is_some_and(|before| self.follows(before)) => 1 + refill,
            Class::Load => 2 + refill,
            Class::Several(registers) => 1 + registers + refill,
            Class::Call | Class::Branch => 1 + refill,
            Class::MultiplyAdd => multiplier.add,
            Class::MultiplyLong => multiplier.long,
            Class::MultiplyLongAdd => multiplier.long_add,
            Class::Divide => DIVIDE,
            Class::Vector => 2,
            Class::Gather(lanes) => lanes,
            Class::Plain | Class::Store => 1,
        }
    }

    /// Whether the address of a load is there while the access before it is not over.
    fn follows(&self, before: &Self) -> bool {
        let address = self.operands.split_once('[').map_or("", |(_, address)| address);
        let of_address = |register: &str| address.split([',', ' ', ']']).any(|word| word == register);
        match before.class {
            Class::Load => !of_address(&before.first),
            Class::Store => true,
            _ => false,
        }
    }

    fn on_hazard3(&self, after: &Self, taken: bool) -> u32 {
        let reads = |register: &str| after.operands.split([',', ' ', '(', ')']).any(|word| word == register);
        match self.class {
            // What is loaded may be stored at once.
            Class::Load if after.class == Class::Store && after.first == self.first => 1,
            Class::Load => 1 + u32::from(reads(&self.first)),
            Class::Call | Class::Branch => 1 + u32::from(taken),
            Class::Divide => 18,
            _ => 1,
        }
    }
}

/// Cycles of products with sums.
struct Multiplier {
    add: u32,
    long: u32,
    long_add: u32,
}

/// Of a taken branch, to fill the pipeline: 1 to 3.
const REFILL: u32 = 2;
/// 2 to 12.
const DIVIDE: u32 = 7;

fn class(mnemonic: &str, operands: &str) -> Class {
    // Widths of the encoding.
    let name = mnemonic.trim_end_matches(".w").trim_end_matches(".n");
    let begins = |names: &[&str]| names.iter().any(|start| name.starts_with(start));
    let lanes = if name.ends_with("16") {
        8
    } else if name.ends_with("8") {
        16
    } else {
        4
    };
    match name {
        _ if begins(&["vldr", "vstr"]) && gathers(operands) => Class::Gather(lanes),
        _ if name.starts_with('v') && operands.contains('q') => Class::Vector,
        _ if begins(&["ldm", "stm", "push", "pop", "vpush", "vpop", "vldm", "vstm"]) => {
            Class::Several(operands.split_once('{').map_or(1, |(_, list)| list.split(',').count() as u32))
        }
        _ if begins(&["ldrd", "strd"]) => Class::Several(2),
        _ if begins(&["ldr", "vldr"]) => Class::Load,
        _ if begins(&["str", "vstr"]) => Class::Store,
        "lw" | "lh" | "lhu" | "lb" | "lbu" => Class::Load,
        "sw" | "sh" | "sb" => Class::Store,
        "bl" | "jal" => Class::Call,
        "blx" | "bx" | "cbz" | "cbnz" | "tbb" | "tbh" | "j" | "jr" | "jalr" | "ret" => Class::Branch,
        _ if name.starts_with('b') && !begins(&["bic", "bfi", "bfc", "bkpt"]) => Class::Branch,
        _ if begins(&["mla", "mls"]) => Class::MultiplyAdd,
        _ if begins(&["smull", "umull"]) => Class::MultiplyLong,
        _ if begins(&["smlal", "umlal", "umaal"]) => Class::MultiplyLongAdd,
        _ if begins(&["sdiv", "udiv", "div", "rem"]) => Class::Divide,
        _ => Class::Plain,
    }
}

/// Whether the addresses lie in a vector.
fn gathers(operands: &str) -> bool {
    operands.split_once('[').is_some_and(|(_, address)| address.contains('q'))
}

/// The addresses of an instruction and what it is, of a line of `llvm-objdump`; `None` where the line has none.
pub(super) fn instruction(line: &str) -> Option<(Range<u64>, Instruction)> {
    let (start, rest) = line.trim_start().split_once(": ")?;
    let start = u64::from_str_radix(start, 16).ok()?;
    let mut parts = rest.split('\t');
    let digits = parts.next()?.bytes().filter(u8::is_ascii_hexdigit).count() as u64;
    let mnemonic = parts.next()?.trim();
    // Behind these is what the disassembler adds.
    let operands = parts.next().unwrap_or_default().split(['<', '@']).next().unwrap_or_default();
    (digits > 0).then(|| (start..start + digits / 2, Instruction::read(mnemonic, operands.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cycles of a program that goes from one line to the next, but after the one marked by `taken`.
    fn cycles(core: Core, lines: &[&str], taken: Option<usize>) -> Vec<u32> {
        let program: Vec<_> = lines.iter().map(|line| instruction(line).unwrap().1).collect();
        let of = |index: usize| {
            let before = index.checked_sub(1).map(|before| &program[before]);
            program[index].cycles(core, before, &program[index + 1], taken == Some(index))
        };
        (0..program.len() - 1).map(of).collect()
    }

    #[test]
    fn lines_of_the_disassembler_are_read() {
        let (place, push) = instruction("     500: e92d 4ff0    \tpush.w\t{r4, r5, r11, lr}").unwrap();
        assert_eq!((place, push.class), (0x500..0x504, Class::Several(4)));
        let (place, branch) =
            instruction("80000010: fe5d         \tbnez\ta2, 0x8000000a <main+0x1>").unwrap();
        assert_eq!(
            (place, branch.class, &branch.operands[..]),
            (0x8000_0010..0x8000_0012, Class::Branch, "a2, 0x8000000a")
        );
        assert!(instruction("00000500 <_ZN9fixformer>:").is_none() && instruction("").is_none());
    }

    #[test]
    fn every_class_is_known_by_its_name() {
        let class = |name, operands| Instruction::read(name, operands).class;
        let known = [
            ("bic.w", "r0, r0, #1", Class::Plain),
            ("beq", "0x10", Class::Branch),
            ("bl", "0x10", Class::Call),
            ("ldr", "r0, [r1]", Class::Load),
            ("ldrd", "r0, r1, [r2]", Class::Several(2)),
            ("strh.w", "r0, [r1], #2", Class::Store),
            ("smlad", "r0, r1, r2, r0", Class::Plain),
            ("mla", "r0, r1, r2, r0", Class::MultiplyAdd),
            ("smull", "r0, r1, r2, r3", Class::MultiplyLong),
            ("smlal", "r0, r1, r2, r3", Class::MultiplyLongAdd),
            ("udiv", "r0, r1, r2", Class::Divide),
            ("vmlaldava.s16", "r0, r1, q0, q1", Class::Vector),
            ("vldrh.s32", "q0, [r0], #8", Class::Vector),
            ("vldrh.u16", "q0, [r0, q1, uxtw #1]", Class::Gather(8)),
            ("vldrw.u32", "q0, [r0, q1]", Class::Gather(4)),
            ("vldr", "s0, [r0]", Class::Load),
            ("lhu", "a0, 4(a1)", Class::Load),
            ("mulh", "a0, a1, a2", Class::Plain),
            ("remu", "a0, a1, a2", Class::Divide),
        ];
        for (name, operands, expected) in known {
            assert_eq!(class(name, operands), expected, "{name}");
        }
    }

    #[test]
    fn loads_in_a_row_overlap_but_for_what_they_wait_for() {
        let loads = [
            "0: 6808 \tldr\tr0, [r1]",
            "2: 6813 \tldr\tr3, [r2]",
            "4: 681b \tldr\tr3, [r3]",
            "6: bf00 \tnop\t",
        ];
        assert_eq!(cycles(Core::M4, &loads, None), [2, 1, 2]);
        assert_eq!(cycles(Core::M0Plus, &loads, None), [2, 2, 2]);
        assert_eq!(cycles(Core::M7, &loads, None), [1, 1, 1]);
        let loads = [
            "0: 4188 \tlw\ta0, 0(a1)",
            "2: c188 \tsw\ta0, 0(a1)",
            "4: 4188 \tlw\ta0, 0(a1)",
            "6: 0505 \taddi\ta0, a0, 1",
        ];
        assert_eq!(cycles(Core::Hazard3, &loads, None), [1, 1, 2]);
    }

    #[test]
    fn taken_branches_fill_the_pipeline() {
        let branches = ["0: d1fd \tbne\t0x0", "2: e8bd 8ff0 \tpop.w\t{r4, pc}", "6: bf00 \tnop\t"];
        assert_eq!(cycles(Core::M4, &branches, Some(0)), [3, 3]);
        assert_eq!(cycles(Core::M4, &branches, Some(1)), [1, 5]);
        assert_eq!(cycles(Core::M0Plus, &branches, Some(1)), [1, 5]);
        assert_eq!(cycles(Core::Hazard3, &branches, Some(0)), [2, 1]);
    }
}
