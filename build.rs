//! Asks the assembler which instruction set extensions this build may use, and nothing else: on stable Rust
//! `cfg(target_feature = "dsp")` is false even where the core has it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Configuration flag, architecture and an instruction that only the extension has.
const EXTENSIONS: [(&str, &str, &str); 2] =
    [("fixformer_dsp", "arm", "smlad r0, r1, r2, r3"), ("fixformer_mve", "arm", "vmladava.s16 r0, q0, q1")];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    for (flag, of, instruction) in EXTENSIONS {
        println!("cargo::rustc-check-cfg=cfg({flag})");
        if architecture == of && assembles(instruction) == Some(true) {
            println!("cargo::rustc-cfg={flag}");
        }
    }
    // Whole functions of assembly are assembled with the features of the target, without those that the processor adds
    // to it: every such function begins with this.
    let target = env::var("TARGET").unwrap_or_default();
    let directive = if target.starts_with("thumbv8m.main") { ".cpu cortex-m33" } else { "" };
    println!("cargo::rustc-env=FIXFORMER_ASSEMBLER={directive}");
}

/// Whether the compiler of this build, with its flags, takes the instruction.
fn assembles(instruction: &str) -> Option<bool> {
    let out = PathBuf::from(env::var_os("OUT_DIR")?);
    let source = out.join("probe.rs");
    // Inside a function: there the features of the processor count.
    let text = format!(
        "#![no_std]\npub fn probe() {{ unsafe {{ core::arch::asm!(\"{instruction}\", options(noreturn)) }} }}\n"
    );
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
