//! Data files as `numpy.savez` writes them.

use std::io::{Cursor, Write};

use anyhow::Result;
use fixformer::host::data::Split;
use fixformer::host::file::Output;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::Splits;

/// Recordings laid end to end with their offsets (tokens), or, with a scale, side by side (samples, equally long).
pub(super) fn write(output: &Output, splits: &Splits, scale: Option<f64>) -> Result<()> {
    let mut archive = Archive(ZipWriter::new(Cursor::new(Vec::new())));
    let splits =
        [(Split::Train, &splits.train), (Split::Validation, &splits.validation), (Split::Test, &splits.test)];
    for (split, set) in splits.into_iter().filter(|(_, set)| !set.rows.is_empty()) {
        let name = split.name();
        let values: Vec<i16> = set.rows.concat();
        if scale.is_some() {
            let shape = [set.rows.len(), set.rows[0].len()];
            archive.array(
                &format!("x_{name}"),
                "<i2",
                &shape,
                values.iter().flat_map(|x| x.to_le_bytes()),
            )?;
        } else {
            archive.array(
                &format!("tok_{name}"),
                "<i2",
                &[values.len()],
                values.iter().flat_map(|x| x.to_le_bytes()),
            )?;
            let mut offsets = vec![0_i64];
            set.rows.iter().for_each(|row| offsets.push(offsets[offsets.len() - 1] + row.len() as i64));
            let bytes = offsets.iter().flat_map(|offset| offset.to_le_bytes());
            archive.array(&format!("off_{name}"), "<i8", &[offsets.len()], bytes)?;
        }
        let labels = set.labels.iter().flat_map(|&label| (label as i64).to_le_bytes());
        archive.array(&format!("y_{name}"), "<i8", &[set.labels.len()], labels)?;
    }
    if let Some(scale) = scale {
        archive.array("scale", "<f8", &[], scale.to_le_bytes().into_iter())?;
    }
    let bytes = archive.0.finish()?.into_inner();
    Ok(output.write(&bytes)?)
}

struct Archive(ZipWriter<Cursor<Vec<u8>>>);

impl Archive {
    fn array(
        &mut self,
        name: &str,
        kind: &str,
        shape: &[usize],
        bytes: impl Iterator<Item = u8>,
    ) -> Result<()> {
        let extents: String = shape.iter().map(|extent| format!("{extent},")).collect();
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({extents}), }}");
        // Magic, version and length take 10 bytes; data start at a multiple of 64.
        let length = (10 + header.len() + 1).next_multiple_of(64) - 10;
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        self.0.start_file(format!("{name}.npy"), options)?;
        self.0.write_all(b"\x93NUMPY\x01\x00")?;
        self.0.write_all(&(length as u16).to_le_bytes())?;
        self.0.write_all(format!("{header:<width$}\n", width = length - 1).as_bytes())?;
        Ok(self.0.write_all(&bytes.collect::<Vec<_>>())?)
    }
}
