//! Everything that needs an operating system.

pub mod calibrate;
pub mod count;
pub mod data;
pub mod describe;
pub mod difference;
pub mod draw;
pub mod engine;
pub mod evaluate;
pub mod expect;
pub mod file;
pub mod fit;
pub mod golden;
pub mod import;
pub mod judge;
pub mod metrics;
mod parallel;
pub mod printable;
pub mod quantize;
pub mod reference;
pub mod report;
pub mod restore;
pub mod scale;
pub mod targets;
