//! The small models under Miri, an interpreter that sees every access to memory: one out of bounds, unaligned, to what is not
//! initialised, or through a reference that no longer holds ends the test.

use super::totals::Totals;
use crate::command::{find, run as run_to_end, shown, target};
use crate::demo::put;
use anyhow::{Context, Result, bail};
use fixformer_fuzz::small;
use std::process::{Command, Stdio};
use std::{env, fs};

/// What Miri needs of a nightly Rust: itself, and the sources of the standard library, which it interprets too.
const COMPONENTS: [&str; 2] = ["miri", "rust-src"];

/// Makes the models here, where that takes a moment, and runs them there.
pub(super) fn run(totals: &Totals) -> Result<()> {
    ready()?;
    // Nothing else may lie in the folder.
    let folder = target().join("miri-models");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    for (name, words) in small::files() {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        put(&folder.join(format!("{name}.fxm")), &bytes)?;
    }
    println!("\n== Miri: small models of every mechanism in every way to run");
    let mut command = nightly(&["miri", "test", "--package", "fixformer-fuzz", "--test", "small"]);
    // Files are read from the disk.
    let flags = env::var("MIRIFLAGS").unwrap_or_default();
    command.env("MIRIFLAGS", format!("{flags} -Zmiri-disable-isolation"));
    command.env("FIXFORMER_SMALL_MODELS", folder);
    if cfg!(target_arch = "x86_64") {
        // Miri has no processor to ask what it can do: without this it would interpret the portable kernels alone.
        command.env("RUSTFLAGS", "-Ctarget-feature=+avx2,+fma");
    }
    totals.cargo(&mut command)
}

/// Cargo of a nightly Rust, in the repository. The variables of the Rust that built this program would choose that one.
fn nightly(arguments: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]).args(arguments).current_dir(crate::command::root());
    for variable in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC", "RUSTC_WRAPPER"] {
        command.env_remove(variable);
    }
    command
}

/// Installs what is missing.
fn ready() -> Result<()> {
    let by_hand = format!(
        "please install rustup (https://rustup.rs), then:\n  \
         rustup toolchain install nightly --profile minimal --component {}",
        COMPONENTS.join(",")
    );
    if find("rustup").is_none() {
        bail!("Miri is part of a nightly Rust, which only rustup installs; {by_hand}");
    }
    if missing().is_empty() {
        return Ok(());
    }
    let mut install = Command::new("rustup");
    install.args(["toolchain", "install", "nightly", "--no-self-update", "--profile", "minimal"]);
    install.args(["--component", &COMPONENTS.join(",")]);
    eprintln!("set-up: {}", shown(&install));
    run_to_end(&mut install).with_context(|| by_hand.clone())?;
    match &*missing() {
        [] => Ok(()),
        missing => bail!("rustup has not installed {}; {by_hand}", missing.join(", ")),
    }
}

/// The components that there are not.
fn missing() -> Vec<&'static str> {
    let list = ["component", "list", "--toolchain", "nightly", "--installed"];
    let asked = Command::new("rustup").args(list).stderr(Stdio::null()).output();
    // Where there is no such Rust there is no list.
    let installed =
        asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let there = |name: &&str| installed.lines().any(|line| line.starts_with(*name));
    COMPONENTS.into_iter().filter(|name| !there(name)).collect()
}
