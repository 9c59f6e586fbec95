//! Hands the chosen board's memory map and constants to the firmware. A build for the host needs
//! neither, but the programs must still compile there.

use std::{env, fs, path::Path, path::PathBuf};

fn main() {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    constants(&root);
    if variable("CARGO_CFG_TARGET_OS") != "none" {
        return;
    }

    println!("cargo::rerun-if-env-changed=FIXFORMER_BOARD");
    let Ok(board) = env::var("FIXFORMER_BOARD") else {
        println!(
            "cargo::error=no board chosen: build with `--config boards/NAME/config.toml` \
             (`cargo xtask demo` does)"
        );
        return;
    };
    let memory = root.join(&board).join("memory.x");
    println!("cargo::rerun-if-changed={}", memory.display());
    let out = PathBuf::from(variable("OUT_DIR"));
    if let Err(error) = fs::copy(&memory, out.join("memory.x")) {
        println!("cargo::error=board `{board}`: cannot read {}: {error}", memory.display());
        return;
    }
    println!("cargo::rustc-link-search={}", out.display());

    // Here and not in RUSTFLAGS: a variable of that name would replace what the board's file says.
    // The tests also put the stack where `memory.x` says.
    println!("cargo::rerun-if-env-changed=FIXFORMER_STACK");
    let stack = env::var("FIXFORMER_STACK");
    let arguments: &[&str] = match (variable("CARGO_CFG_TARGET_ARCH").as_str(), stack.as_deref()) {
        ("arm", Ok("elsewhere")) => &["-Tlink.x", "-Tfixformer-stack.x", "--nmagic"],
        ("arm", _) => &["-Tfixformer-stack-first.x", "-Tlink.x", "--nmagic"],
        _ => &["-Tmemory.x", "-Tlink.x", "-Tfixformer-stack.x"],
    };
    let logs = env::var_os("CARGO_FEATURE_DEFMT").map(|_| "-Tdefmt.x");
    for argument in arguments.iter().chain(&logs) {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}

/// What the sources read with `env!`, with a default so that the host can compile them.
fn constants(root: &Path) {
    let digits = root.join("../models/digits.fxm");
    let digits = digits.to_string_lossy();
    for (name, default) in [
        ("FIXFORMER_BOARD", "host"),
        ("FIXFORMER_BACKEND", "portable"),
        ("FIXFORMER_SYSTICK_HZ", "1"),
        ("FIXFORMER_INSTRUCTION_NS", "1"),
        ("FIXFORMER_REPLAY_BYTES", "3407872"),
        ("FIXFORMER_MODEL", &*digits),
    ] {
        println!("cargo::rerun-if-env-changed={name}");
        let value = env::var(name).unwrap_or_else(|_| default.to_string());
        println!("cargo::rustc-env={name}={value}");
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
