//! What is drawn and mutated to find faults.

pub mod campaign;
pub mod files;
pub mod mutate;
pub mod random;
pub mod readers;
pub mod small;
pub mod streams;
pub mod trials;
