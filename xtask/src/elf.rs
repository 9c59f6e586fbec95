//! Flash, RAM, names and places of a program, from its ELF file.

use anyhow::{Context, Result, ensure};
use object::elf::{PT_LOAD, SHF_ALLOC, SHF_WRITE, SHT_NOBITS};
use object::read::elf::{ElfFile32, ProgramHeader as _, SectionHeader as _};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

/// What a program takes.
pub(crate) struct Sizes {
    /// Code, constants and the first values of variables.
    pub(crate) flash: u64,
    /// Variables; the stack comes on top.
    pub(crate) ram: u64,
    /// Flash by who it belongs to, the parts of `flash` without a name included.
    pub(crate) parts: BTreeMap<String, u64>,
}

/// Reads the sizes of the ELF file `path`.
pub(crate) fn sizes(path: &Path) -> Result<Sizes> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    measure(&bytes).with_context(|| format!("{} is not a 32-bit ELF file", path.display()))
}

/// The demangled names of the functions and variables in the ELF file `path`.
pub(crate) fn symbols(path: &Path) -> Result<Vec<String>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = ElfFile32::<object::Endianness>::parse(&*bytes)?;
    let names =
        file.symbols().filter(|symbol| !symbol.is_undefined()).filter_map(|symbol| symbol.name().ok());
    Ok(names.map(|name| format!("{:#}", rustc_demangle::demangle(name))).collect())
}

/// The addresses of the one variable in the ELF file `path` whose path ends in `name`.
pub(crate) fn variable(path: &Path, name: &str) -> Result<Range<u64>> {
    place(path, SymbolKind::Data, name)
}

/// The address of the first instruction of the one function in the ELF file `path` whose path ends in `name`.
pub(crate) fn function(path: &Path, name: &str) -> Result<u64> {
    // The lowest bit says that it is Thumb code.
    Ok(place(path, SymbolKind::Text, name)?.start & !1)
}

/// The addresses of the one symbol of a kind whose path ends in `name`.
fn place(path: &Path, kind: SymbolKind, name: &str) -> Result<Range<u64>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = ElfFile32::<object::Endianness>::parse(&*bytes)?;
    let named = |symbol: &str| {
        let symbol = format!("{:#}", rustc_demangle::demangle(symbol));
        symbol.rsplit("::").next() == Some(name)
    };
    let found: Vec<_> = file
        .symbols()
        .filter(|symbol| symbol.kind() == kind && symbol.name().is_ok_and(named))
        .map(|symbol| symbol.address()..symbol.address() + symbol.size())
        .collect();
    ensure!(found.len() == 1, "{}: {} symbols `{name}`", path.display(), found.len());
    Ok(found[0].clone())
}

/// Bytes from the lowest to the highest address of the stack.
pub(crate) fn stack(path: &Path) -> Result<u64> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = ElfFile32::<object::Endianness>::parse(&*bytes)?;
    let symbol = |name| file.symbol_by_name(name).with_context(|| format!("no symbol `{name}`"));
    let (bottom, top) = (symbol("_stack_end")?.address(), symbol("_stack_start")?.address());
    top.checked_sub(bottom).with_context(|| format!("a stack from {top:#x} down to {bottom:#x}"))
}

/// Fails unless the whole stack lies below every variable: then what overflows it leaves the RAM and faults.
pub(crate) fn stack_is_lowest(path: &Path) -> Result<()> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = ElfFile32::<object::Endianness>::parse(&*bytes)?;
    let symbol = |name| file.symbol_by_name(name).with_context(|| format!("no symbol `{name}`"));
    let (bottom, top) = (symbol("_stack_end")?.address(), symbol("_stack_start")?.address());
    ensure!(bottom < top, "an empty stack: {bottom:#x} to {top:#x}");
    for section in file.sections().filter(|section| section.size() > 0) {
        let flags = section.elf_section_header().sh_flags(file.endian());
        let name = section.name()?;
        let variables = flags.contains(SHF_ALLOC) && flags.contains(SHF_WRITE) && name != ".stack";
        ensure!(
            !variables || section.address() >= top,
            "{name} at {:#x}, below the stack",
            section.address()
        );
    }
    Ok(())
}

fn measure(bytes: &[u8]) -> Result<Sizes> {
    let file = ElfFile32::<object::Endianness>::parse(bytes)?;
    let endian = file.endian();
    let loaded = file.elf_program_headers().iter().filter(|part| part.p_type(endian) == PT_LOAD);
    let flash: u64 = loaded.map(|part| u64::from(part.p_filesz(endian))).sum();

    let mut ram = 0;
    let mut in_flash = Vec::new();
    for section in file.sections() {
        let header = section.elf_section_header();
        let flags = header.sh_flags(endian);
        if !flags.contains(SHF_ALLOC) {
            continue;
        }
        let bits = header.sh_type(endian) != SHT_NOBITS;
        // The runtime marks the rest of memory with these; they hold nothing.
        let fictitious = matches!(section.name(), Ok(".stack" | ".heap"));
        if flags.contains(SHF_WRITE) && !fictitious {
            ram += section.size();
        }
        if bits {
            in_flash.push(section.index());
        }
    }

    // Functions that the linker found to be equal share an address: one of them counts.
    let mut symbols: Vec<_> = file
        .symbols()
        .filter(|symbol| symbol.section_index().is_some_and(|index| in_flash.contains(&index)))
        .filter(|symbol| matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data))
        .filter(|symbol| symbol.size() > 0)
        .map(|symbol| (symbol.address() & !1, symbol.size(), symbol.name().unwrap_or("")))
        .collect();
    symbols.sort_unstable();
    symbols.dedup_by_key(|&mut (address, ..)| address);

    let mut parts = BTreeMap::new();
    for (_, size, name) in symbols {
        *parts.entry(owner(name)).or_default() += size;
    }
    let named: u64 = parts.values().sum();
    *parts.entry("constants without a name".to_string()).or_default() += flash.saturating_sub(named);
    Ok(Sizes { flash, ram, parts })
}

/// Whose a symbol is: a module of fixformer, another crate, or the runtime.
fn owner(symbol: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(symbol));
    // `<model::Error as core::fmt::Display>::fmt` belongs to the crate of the type, if it has one:
    // `<i16 as core::fmt::Display>::fmt` does not.
    let (of_type, of_trait) = name.split_once(" as ").unwrap_or((&name, ""));
    [of_type, of_trait].into_iter().find_map(path).unwrap_or("runtime and compiler".to_string())
}

/// The first words of a path of at least two.
fn path(text: &str) -> Option<String> {
    let start = text.find(|c: char| c.is_alphanumeric() || c == '_')?;
    let path = text[start..].strip_prefix("mut ").unwrap_or(&text[start..]);
    let end = path.find(|c: char| !c.is_alphanumeric() && !"_:".contains(c)).unwrap_or(path.len());
    let mut words = path[..end].split("::").filter(|word| !word.is_empty());
    match (words.next()?, words.next()?) {
        ("__rustc", _) => None,
        ("fixformer", module) if module.starts_with(char::is_lowercase) => {
            Some(format!("fixformer::{module}"))
        }
        (owner, _) => Some(owner.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::owner;

    #[test]
    fn symbols_have_owners() {
        let cases = [
            ("_ZN9fixformer7kernels8portable6linear17h0123456789abcdefE", "fixformer::kernels"),
            ("_RNvNtCs1234_4core9panicking9panic_fmt", "core"),
            ("__aeabi_memcpy", "runtime and compiler"),
            ("main", "runtime and compiler"),
            ("<fixformer::model::ModelError as core::fmt::Display>::fmt", "fixformer::model"),
            ("<fixformer::Session>::run", "fixformer"),
            ("<&mut T as core::fmt::Write>::write_str", "core"),
            ("<[T] as core::fmt::Debug>::fmt", "core"),
            ("<i16 as core::fmt::Display>::fmt", "core"),
            ("<fixformer_boards::print::Piece as core::fmt::Write>::write_str", "fixformer_boards"),
        ];
        for (symbol, expected) in cases {
            assert_eq!(owner(symbol), expected, "{symbol}");
        }
    }
}
