//! Asks the assembler which instruction set extensions this build may use: on stable Rust
//! `cfg(target_feature = "dsp")` is false even where the core has it. And puts the scripts of [`STACK`] where the linker
//! of a firmware finds them.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Configuration flag, beginning of the targets, and an instruction that only the extension has.
const EXTENSIONS: [(&str, &str, &str); 5] = [
    ("fixformer_mla", "thumb", "mla r0, r1, r2, r3"),
    ("fixformer_dsp", "thumb", "smlad r0, r1, r2, r3"),
    ("fixformer_v8m", "thumb", "tt r0, r1"),
    ("fixformer_mve", "thumb", "vmladava.s16 r0, q0, q1"),
    ("fixformer_mul", "riscv32", "mul a0, a1, a2"),
];

/// What makes too little room for the stack an error of the linker: wherever the stack is, and with it first in RAM.
const STACK: [&str; 2] = ["fixformer-stack.x", "fixformer-stack-first.x"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
        for script in STACK {
            println!("cargo::rerun-if-changed={script}");
            fs::copy(script, out.join(script)).expect("the script is beside this file");
        }
        println!("cargo::rustc-link-search={}", out.display());
    }
    let target = env::var("TARGET").unwrap_or_default();
    let has = |flag: &str| {
        let mut extensions = EXTENSIONS.into_iter().filter(|extension| extension.0 == flag);
        extensions.any(|(_, of, instruction)| target.starts_with(of) && assembles(instruction) == Some(true))
    };
    for (flag, ..) in EXTENSIONS {
        declare(flag, has(flag));
    }
    declare("fixformer_thumb1", target.starts_with("thumb") && !has("fixformer_mla"));
    // An instruction makes no more than one product.
    let one_product = (target.starts_with("thumb") && !has("fixformer_dsp")) || has("fixformer_mul");
    declare("fixformer_rounds", one_product);
}

fn declare(flag: &str, holds: bool) {
    println!("cargo::rustc-check-cfg=cfg({flag})");
    if holds {
        println!("cargo::rustc-cfg={flag}");
    }
}

/// Whether the compiler of this build, with its flags, takes the instruction.
fn assembles(instruction: &str) -> Option<bool> {
    let out = PathBuf::from(env::var_os("OUT_DIR")?);
    let source = out.join("probe.rs");
    let text = format!("#![no_std]\ncore::arch::global_asm!(\"{instruction}\");\n");
    fs::write(&source, text).ok()?;
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let status = Command::new(compiler)
        .args(["--edition", "2024", "--crate-name", "probe", "--crate-type", "lib", "--emit", "obj"])
        .args(["-C", "panic=abort", "--target", &env::var("TARGET").ok()?])
        .args(flags.split('\x1f').filter(|flag| !flag.is_empty()))
        .arg("--out-dir")
        .arg(&out)
        .arg(&source)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.ok().map(|status| status.success())
}
