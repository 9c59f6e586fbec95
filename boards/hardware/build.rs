//! Where the linker finds a board's memory map: in cargo's output folder, which comes before those of the HAL. A board of
//! two architectures (RP2350) has a map for either.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let arm = env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("arm");
    let map = if arm { "memory.x" } else { "memory-riscv.x" };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::copy(map, out.join("memory.x")).expect("the memory map is beside this file");
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rerun-if-changed={map}");
    // cortex-m-rt takes the stack first in RAM from there; with riscv-rt the memory map has it.
    let scripts: &[&str] = match arm {
        true => &["-Tfixformer-stack-first.x", "-Tlink.x"],
        false => &["-Tmemory.x", "-Tlink.x", "-Tfixformer-stack.x"],
    };
    for argument in scripts.iter().chain(&["--nmagic", "-Tdefmt.x"]) {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
