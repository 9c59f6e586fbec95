//! What the commands need beyond cargo itself: the pinned Rust targets and QEMU. Installs what is
//! missing; where everything is there, it is silent and takes some milliseconds.

use crate::board::Board;
use crate::command::{find, root, run, shown};
use anyhow::{Context, Result, anyhow, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use toml::Table;

/// A host of 32 bits, linked statically, so that it takes no 32-bit libraries.
pub(crate) const NARROW: &str = "i686-unknown-linux-musl";

/// Whether programs for [`NARROW`] run here: on any x86-64 Linux.
pub(crate) fn runs_narrow() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64"))
}

/// A host with NEON, linked statically, and the emulator that runs its programs on Linux.
pub(crate) const NEON: &str = "aarch64-unknown-linux-musl";
pub(crate) const NEON_EMULATOR: &str = "qemu-aarch64";

/// Whether programs for [`NEON`] run here under the emulator: what a host of aarch64 has is tested without.
pub(crate) fn emulates_neon() -> bool {
    runs_narrow()
}

/// Makes sure that they do.
pub(crate) fn neon() -> Result<()> {
    install(&[NEON_EMULATOR], &["qemu-user"], "sudo apt-get install --no-install-recommends qemu-user")
}

/// Makes sure that firmware for `boards` can be built and run.
pub(crate) fn ready(boards: &[Board]) -> Result<()> {
    rust()?;
    qemu(boards)
}

fn rust() -> Result<()> {
    let missing = missing_components()?;
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("set-up: Rust lacks {}", missing.join(", "));
    if find("rustup").is_none() {
        bail!("install rustup (https://rustup.rs), or these components of Rust: {}", missing.join(", "));
    }
    // The variable, which cargo has from rustup, would hide the file that lists the targets.
    let mut rustup = Command::new("rustup");
    rustup.args(["toolchain", "install", "--no-self-update"]);
    announce(&rustup);
    run(rustup.current_dir(root()).env_remove("RUSTUP_TOOLCHAIN"))?;
    let missing = missing_components()?;
    if !missing.is_empty() {
        bail!("rustup has not installed {}", missing.join(", "));
    }
    Ok(())
}

/// Targets and components that `rust-toolchain.toml` names and the toolchain in use lacks.
fn missing_components() -> Result<Vec<String>> {
    let text = fs::read_to_string(root().join("rust-toolchain.toml"))?;
    let wanted = wanted(&text).context("rust-toolchain.toml")?;
    let rustlib = rustlib()?;
    // rustup's own list; without it (a distribution's Rust) the folders must do.
    let installed = fs::read_to_string(rustlib.join("components")).ok();
    let present = |name: &str| match (&installed, name.strip_prefix("rust-std-")) {
        (Some(list), _) => lists(list, name),
        (None, Some(target)) => rustlib.join(target).is_dir(),
        (None, None) => true,
    };
    Ok(wanted.into_iter().filter(|name| !present(name)).collect())
}

/// Where the toolchain in use keeps its targets and tools.
fn rustlib() -> Result<PathBuf> {
    let rustc = Command::new("rustc").args(["--print", "sysroot"]).current_dir(root()).output();
    let sysroot = String::from_utf8(rustc.context("cannot start `rustc`")?.stdout)?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib"))
}

/// A program of the component `llvm-tools`.
pub(crate) fn llvm_tool(name: &str) -> Result<PathBuf> {
    let folders = fs::read_dir(rustlib()?)?.filter_map(|entry| entry.ok());
    let found = folders.map(|entry| entry.path().join("bin").join(name)).find(|path| path.is_file());
    found.with_context(|| {
        format!("the component llvm-tools of Rust has no `{name}`: `rustup component add llvm-tools`")
    })
}

/// Names as in rustup's list of installed components.
fn wanted(text: &str) -> Result<Vec<String>> {
    let table: Table = text.parse()?;
    let names = |key: &str| -> Vec<&str> {
        let list = table.get("toolchain").and_then(|toolchain| toolchain.get(key)?.as_array());
        list.into_iter().flatten().filter_map(|name| name.as_str()).collect()
    };
    let targets = names("targets").into_iter().map(|target| format!("rust-std-{target}"));
    Ok(targets.chain(names("components").into_iter().map(String::from)).collect())
}

/// `rustfmt` is listed as `rustfmt-preview-x86_64-unknown-linux-gnu`.
fn lists(installed: &str, name: &str) -> bool {
    installed
        .lines()
        .any(|line| line.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
}

fn qemu(boards: &[Board]) -> Result<()> {
    let mut programs: Vec<_> = boards.iter().map(|board| board.emulator[0].as_str()).collect();
    programs.sort_unstable();
    programs.dedup();
    install(&programs, &["qemu-system-arm", "qemu-system-riscv32"], QEMU_BY_HAND)
}

/// Installs packages where one of the programs is missing.
fn install(programs: &[&str], packages: &[&str], by_hand: &str) -> Result<()> {
    let missing = || programs.iter().copied().filter(|program| find(program).is_none()).collect::<Vec<_>>();
    let lacking = missing().join(", ");
    if lacking.is_empty() {
        return Ok(());
    }
    eprintln!("set-up: {lacking} not found");
    let asked =
        || anyhow!("please install QEMU ({}), then run this again:\n  {by_hand}", missing().join(", "));
    let Some(prefix) = administrator().filter(|_| find("apt-get").is_some()) else {
        return Err(asked());
    };
    let apt = |arguments: &[&str]| {
        let mut words = prefix.iter().copied().chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        let mut command = Command::new(words.next().expect("not empty"));
        command.args(words).args(arguments);
        announce(&command);
        run(&mut command)
    };
    let install = [&["install", "-y", "--no-install-recommends"], packages].concat();
    let installed = apt(&["update"])
        // A newer `qemu-utils`, which nothing here needs, can stand in the way.
        .and_then(|()| apt(&install).or_else(|_| apt(&[&install[..], &["qemu-utils-"]].concat())));
    if let Err(error) = installed {
        eprintln!("set-up: {error:#}");
    }
    if missing().is_empty() { Ok(()) } else { Err(asked()) }
}

/// How to install the emulators of the boards.
const QEMU_BY_HAND: &str = "Debian, Ubuntu: sudo apt-get install --no-install-recommends qemu-system-arm qemu-system-riscv32\n  \
     Fedora:         sudo dnf install qemu-system-arm-core qemu-system-riscv-core\n  \
     macOS:          brew install qemu";

/// What to put in front of a command to run it as root, if that is possible without a question.
fn administrator() -> Option<&'static [&'static str]> {
    let quiet = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).stderr(Stdio::null()).output().ok()
    };
    let id = quiet("id", &["-u"])?;
    if id.stdout.trim_ascii() == b"0" {
        return Some(&[]);
    }
    quiet("sudo", &["-n", "true"])?.status.success().then_some(&["sudo", "-n"])
}

fn announce(command: &Command) {
    eprintln!("set-up: {}", shown(command));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_recognised() {
        let installed = "cargo-x86_64-unknown-linux-gnu\nrust-src\nrust-std-thumbv6m-none-eabi\n\
                         rustfmt-preview-x86_64-unknown-linux-gnu\n";
        for name in ["rust-src", "rust-std-thumbv6m-none-eabi", "rustfmt"] {
            assert!(lists(installed, name), "{name}");
        }
        for name in ["clippy", "rust-std-thumbv7em-none-eabihf", "rust-std-thumbv6m"] {
            assert!(!lists(&installed.replace("thumbv6m-none", "x"), name), "{name}");
        }
    }

    #[test]
    fn the_toolchain_file_is_understood() {
        let text = "[toolchain]\ncomponents = ['clippy']\ntargets = ['thumbv6m-none-eabi']";
        assert_eq!(wanted(text).unwrap(), ["rust-std-thumbv6m-none-eabi", "clippy"]);
    }
}
