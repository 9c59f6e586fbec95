//! `fixformer diff` on the log of an emulated board: it says nothing where nothing differs, and names the first value
//! that was changed.

use crate::board::Board;
use crate::boards::REPLAY;
use crate::cases::{digits_file, digits_test};
use crate::command::target;
use crate::demo::{put, write};
use crate::{firmware, host, qemu};
use anyhow::{Context, Result, anyhow, ensure};
use fixformer::Model;
use fixformer::host::difference::{Agreement, Difference, first_difference};
use std::fs;

/// Recordings in the log.
const RECORDINGS: usize = 2;

/// What a board prints of every tensor of the digits.
pub(crate) struct Log {
    model: Vec<u32>,
    lines: Vec<String>,
}

impl Log {
    pub(crate) fn of(board: &Board) -> Result<Self> {
        let folder = target().join("recordings");
        write(&folder.join("difference.rec"), &digits_test().spread(RECORDINGS))?;
        put(&folder.join("difference.fxm"), &fs::read(digits_file())?)?;
        let elf = firmware::build(board, REPLAY, &digits_file())?;
        let run = qemu::run(board, &elf, Some("difference.fxm difference.rec values"), &folder, |_| {})?;
        Ok(Self { model: host::words(&digits_file())?, lines: run.success()? })
    }

    /// The log as it is.
    pub(crate) fn agrees(&self) -> Result<()> {
        let Agreement { recordings, rows } = compare(&self.model, &self.lines)??;
        let traced = self.lines.iter().filter(|line| line.starts_with("trace ")).count();
        ensure!(
            recordings == RECORDINGS && rows == traced,
            "{rows} of {traced} rows, {recordings} recordings"
        );
        Ok(())
    }

    /// The log with one value changed, and everything after it.
    pub(crate) fn first_change_is_named(&self) -> Result<()> {
        let place = "trace block1.query row 9 column 16 ";
        let first = self.lines.iter().rposition(|line| line.starts_with(place)).context("no such row")?;
        let mut lines = self.lines.clone();
        let mut changed = None;
        for line in lines.iter_mut().skip(first) {
            let Some((row, values)) = line.split_once(" values ") else { continue };
            let mut values: Vec<i16> = values.split(' ').map(str::parse).collect::<Result<_, _>>()?;
            // The third value of each row.
            let Some(value) = values.get_mut(2) else { continue };
            let host = std::mem::replace(value, value.wrapping_add(1));
            changed.get_or_insert((*value, host));
            let values: Vec<_> = values.iter().map(i16::to_string).collect();
            *line = format!("{row} values {}", values.join(" "));
        }
        let (device, host) = changed.context("no values in the log")?;
        let expected = format!("recording 1: block1.query, row 9, column 18: device {device}, host {host}");
        match compare(&self.model, &lines)? {
            Err(difference) if difference.to_string() == expected => Ok(()),
            other => Err(anyhow!("expected `{expected}`, found {other:?}")),
        }
    }
}

fn compare(model: &[u32], lines: &[String]) -> Result<Result<Agreement, Difference>> {
    let model = Model::parse(model).map_err(|error| anyhow!("{error}"))?;
    Ok(first_difference(model, &lines.join("\n"))?)
}
