//! Where the linker finds the memory map: in cargo's output folder, which comes before those of the HAL.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::copy("memory.x", out.join("memory.x")).expect("the memory map is beside this file");
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rerun-if-changed=memory.x");
    for script in ["-Tmemory.x", "-Tlink.x", "-Tfixformer-stack.x"] {
        println!("cargo::rustc-link-arg-bins={script}");
    }
}
