//! Where the statics of `placed` lie: in the memories of the board that its sections stand for.

use crate::board::Board;
use crate::boards::Model;
use crate::{elf, firmware};
use anyhow::{Context, Result, ensure};
use std::ops::Range;
use std::path::Path;

/// The board whose `memory.x` has the sections of [`PROGRAM`].
pub(crate) const BOARD: &str = "m55";
const PROGRAM: &str = "placed";
/// Statics, and the regions of `memory.x` that they belong to.
const PLACES: [(&str, &str); 2] = [("ARENA", "DTCM"), ("WEIGHTS", "QSPI")];

/// Fails unless `model` runs from there with the bits of the host.
pub(crate) fn run(board: &Board, model: &Model) -> Result<()> {
    model.inside(board, PROGRAM)?;
    hold(board, &firmware::build(board, PROGRAM, model.file())?)
}

/// Fails with the first static of the image `elf` that lies elsewhere.
pub(crate) fn hold(board: &Board, elf: &Path) -> Result<()> {
    let map = board.memory_map()?;
    for (name, region) in PLACES {
        let place = elf::variable(elf, name)?;
        let region_range = range(&map, region).with_context(|| format!("memory.x: region {region}"))?;
        ensure!(
            region_range.start <= place.start && place.end <= region_range.end,
            "{name} is at {place:#x?}, {region} at {region_range:#x?}"
        );
    }
    Ok(())
}

/// The addresses of a region whose line is like `DTCM : ORIGIN = 0x30000000, LENGTH = 512K`.
fn range(map: &str, region: &str) -> Option<Range<u64>> {
    let of_region = |line: &&str| line.split_whitespace().next() == Some(region);
    let (origin, length) = map.lines().find(of_region)?.split_once("ORIGIN = 0x")?.1.split_once(',')?;
    let length = length.trim().strip_prefix("LENGTH = ")?;
    let unit = match length.chars().last()? {
        'K' => 1 << 10,
        'M' => 1 << 20,
        _ => return None,
    };
    let start = u64::from_str_radix(origin, 16).ok()?;
    Some(start..start + unit * length[..length.len() - 1].parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn regions_are_read() {
        let map = "MEMORY\n{\n  DTCM  : ORIGIN = 0x30000000, LENGTH = 512K\n  Q : ORIGIN = 0x38000000, LENGTH = 8M\n}";
        assert_eq!(range(map, "DTCM"), Some(0x3000_0000..0x3008_0000));
        assert_eq!(range(map, "Q"), Some(0x3800_0000..0x3880_0000));
        assert_eq!(range(map, "RAM"), None);
        assert_eq!(range("RAM : ORIGIN = 0x0, LENGTH = 2M - 16", "RAM"), None);
    }
}
