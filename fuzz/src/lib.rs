//! What is drawn and mutated to find faults.

pub mod campaign;
pub mod files;
pub mod mutate;
pub mod random;
pub mod readers;
pub mod small;
pub mod streams;

/// What fills an arena before a run: what a wrong read would make of these differs most.
pub const FILLS: [u32; 6] = [0, 0xffff_ffff, 0x0002_0000, 0xfffe_0000, 0x7fff_8000, 0x8000_7fff];
