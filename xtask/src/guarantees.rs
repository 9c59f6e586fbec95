//! What the firmware promises, read from its ELF file: no way to panic and no float.
//!
//! Link-time optimisation and the linker remove what cannot be reached. So an image that holds neither the panic
//! handler nor any function of `core::panicking` has no path to a panic, in the engine or around it.

use crate::elf;
use anyhow::{Result, ensure};
use std::path::Path;

/// Fails with the names of the functions that should not be in the image `elf`.
pub(crate) fn hold(elf: &Path) -> Result<()> {
    let symbols = elf::symbols(elf)?;
    ensure!(symbols.iter().any(|name| name == "main"), "{} has no symbols", elf.display());
    let found: Vec<_> = symbols.iter().filter(|name| panics(name) || is_float(name)).collect();
    ensure!(found.is_empty(), "the image holds {found:?}");
    Ok(())
}

/// Every panic goes through these: `panic_fmt` is never inlined.
fn panics(symbol: &str) -> bool {
    symbol.starts_with("core::panicking::") || symbol.ends_with("rust_begin_unwind")
}

/// The compiler's routines for floats, by the names of the two families: of Arm's run-time ABI, and of libgcc, where
/// `sf`, `df` and `tf` are the three widths.
fn is_float(symbol: &str) -> bool {
    let Some(name) = symbol.strip_prefix("__") else { return false };
    match name.strip_prefix("aeabi_") {
        Some(name) => {
            let to_float = ["2f", "2d", "2h"].iter().any(|end| name.ends_with(end));
            let of_float = name.starts_with(['f', 'd', 'h', 'c']) && !name.starts_with("div");
            to_float || of_float
        }
        None => ["sf", "df", "tf", "hf"].iter().any(|width| name.contains(width)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float_routines_are_known_by_name() {
        let float = [
            "__aeabi_fadd",
            "__aeabi_dmul",
            "__aeabi_i2f",
            "__aeabi_ul2d",
            "__aeabi_f2iz",
            "__aeabi_d2f",
            "__aeabi_cfcmple",
            "__aeabi_fcmplt",
            "__addsf3",
            "__muldf3",
            "__divsf3",
            "__floatsisf",
            "__fixunssfsi",
            "__extendsfdf2",
            "__truncdfsf2",
            "__gtsf2",
            "__addsf3vfp",
            "__powisf2",
        ];
        float.iter().for_each(|name| assert!(is_float(name), "{name}"));
        let whole = [
            "__aeabi_memcpy",
            "__aeabi_memclr4",
            "__aeabi_uidivmod",
            "__aeabi_ldivmod",
            "__aeabi_lmul",
            "__aeabi_llsl",
            "__aeabi_idiv",
            "__udivdi3",
            "__muldi3",
            "__clzsi2",
            "__sbss",
            "main",
            "fixformer::Session::run",
        ];
        whole.iter().for_each(|name| assert!(!is_float(name), "{name}"));
    }
}
