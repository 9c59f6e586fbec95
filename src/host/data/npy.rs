//! One numpy array: a header that is a Python literal, then the elements.
//!
//! The format is numpy's NEP 1, versions 1 to 3; booleans, integers and floats of 16, 32 and 64 bits.

use std::format;
use std::io::Read;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::Number;
use crate::host::import::half;

/// Most bytes of an array: raw values of it fit in the memory of any desk.
const MOST_BYTES: u64 = 1 << 32;
/// Bytes before a header, at least.
const START: u64 = 10;
/// Most bytes of a header; numpy's own have some hundred.
const MOST_HEADER: u64 = 1 << 20;

/// An array in row-major order.
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    /// Length of its first axis in the file, of which it may have the first part alone.
    pub(super) rows: usize,
    element: Element,
    /// Big-endian elements are turned round when read.
    big_endian: bool,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Element {
    Bool,
    Signed(usize),
    Unsigned(usize),
    Float(usize),
    /// Characters, padded with zeros: of 4 bytes each, or of 1.
    Text {
        characters: usize,
        wide: bool,
    },
}

impl Element {
    fn size(self) -> usize {
        match self {
            Element::Bool => 1,
            Element::Signed(size) | Element::Unsigned(size) | Element::Float(size) => size,
            Element::Text { characters, wide } => {
                if wide {
                    4 * characters
                } else {
                    characters
                }
            }
        }
    }
}

impl Array {
    /// Reads an array, or `most` rows of its first axis, to the end of its file, which has `available` bytes; an error is a
    /// sentence for the user.
    pub(super) fn read(mut reader: impl Read, available: u64, most: Option<usize>) -> Result<Self, String> {
        let header = header(&mut reader)?;
        let available = available.saturating_sub(header.len() as u64 + START);
        let mut shape = shape(entry(&header, "shape")?)?;
        let (element, big_endian) = element_type(entry(&header, "descr")?, shape.len())?;
        let fortran = entry(&header, "fortran_order")?.starts_with("True");

        let size = shape.iter().try_fold(element.size(), |size, &n| size.checked_mul(n));
        let size = size.ok_or_else(|| format!("shape {shape:?} is larger than any memory"))?;
        // Before any memory is taken: a header can claim whatever it likes.
        if size as u64 > MOST_BYTES && size as u64 <= available {
            return Err(format!(
                "{size} bytes are more than {MOST_BYTES}; save its recordings in several files"
            ));
        }
        if size as u64 > available {
            return Err(format!(
                "shape {shape:?} makes {size} bytes, but the file has {available} for it: it is cut off or damaged; \
                 copy or download it again"
            ));
        }
        let rows = shape.first().copied().unwrap_or(1);
        let kept = most.map_or(rows, |most| most.min(rows));
        let first = if rows == 0 || fortran { size } else { size / rows * kept };
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(first).map_err(|_| format!("there is no memory for its {first} bytes"))?;
        reader.by_ref().take(first as u64).read_to_end(&mut bytes).map_err(damaged)?;
        let skipped = std::io::copy(&mut reader.by_ref().take((size - first) as u64), &mut std::io::sink());
        let got = bytes.len() as u64 + skipped.map_err(damaged)?;
        if got < size as u64 {
            return Err(format!("cut off: {got} of {size} bytes; copy or download it again"));
        }
        // The checksum of a member is compared at its end.
        let mut rest = [0; 1];
        if reader.read(&mut rest).map_err(damaged)? > 0 {
            return Err(format!(
                "there is more after its {size} bytes; write one array a file with `numpy.save`, or several with \
                 `numpy.savez`"
            ));
        }
        if fortran {
            bytes = row_major(&bytes, &shape, element.size());
            bytes.truncate(size.checked_div(rows).unwrap_or(0) * kept);
        }
        if let Some(first) = shape.first_mut() {
            *first = kept;
        }
        Ok(Array { shape, rows, element, big_endian, bytes })
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() / self.element.size().max(1)
    }

    /// Elements that are text as they are; none if they are numbers.
    pub(super) fn texts(&self) -> Option<Vec<String>> {
        let Element::Text { characters, wide } = self.element else { return None };
        let character = |bytes: &[u8]| {
            let mut code = [0; 4];
            code[..bytes.len()].copy_from_slice(bytes);
            if self.big_endian {
                code.reverse();
            }
            char::from_u32(u32::from_le_bytes(code)).unwrap_or(char::REPLACEMENT_CHARACTER)
        };
        let text = |index: usize| -> String {
            let size = self.element.size();
            let bytes = &self.bytes[index * size..][..size];
            // As bytes they may be UTF-8.
            let text = match wide {
                true => bytes.chunks_exact(4).map(character).collect(),
                false => String::from_utf8_lossy(bytes).into_owned(),
            };
            text.trim_end_matches('\0').to_string()
        };
        let count = if characters == 0 { 0 } else { self.len() };
        Some((0..count).map(text).collect())
    }

    /// Whether the elements are numbers.
    pub(super) fn is_numeric(&self) -> bool {
        !matches!(self.element, Element::Text { .. })
    }

    /// The elements in row-major order; none if they are text.
    pub(super) fn numbers(&self) -> impl Iterator<Item = Number> + '_ {
        let bytes = if self.is_numeric() { self.bytes.as_slice() } else { &[] };
        bytes.chunks_exact(self.element.size().max(1)).map(|bytes| self.number(bytes))
    }

    fn number(&self, bytes: &[u8]) -> Number {
        let mut wide = [0; 8];
        let wide_bytes = &mut wide[..bytes.len()];
        wide_bytes.copy_from_slice(bytes);
        if self.big_endian {
            wide_bytes.reverse();
        }
        let unsigned = u64::from_le_bytes(wide);
        let shift = 64 - 8 * bytes.len() as u32;
        match self.element {
            Element::Bool => Number::Integer(i64::from(unsigned != 0)),
            Element::Signed(_) => Number::Integer((unsigned << shift) as i64 >> shift),
            // Whatever does not fit here fits in no 16 bits either.
            Element::Unsigned(_) => Number::Integer(unsigned.try_into().unwrap_or(i64::MAX)),
            Element::Float(2) => Number::Real(half(unsigned as u16)),
            Element::Float(4) => Number::Real(f32::from_bits(unsigned as u32).into()),
            Element::Float(_) | Element::Text { .. } => Number::Real(f64::from_bits(unsigned)),
        }
    }
}

/// What a member's reader says of bytes that are not those that were written.
fn damaged(error: std::io::Error) -> String {
    format!("damaged ({error}); copy or download the file again")
}

/// The text of the header.
fn header(reader: &mut impl Read) -> Result<String, String> {
    let not_npy = |_| "not a numpy array; write it with `numpy.save` or `numpy.savez`".to_string();
    let mut start = [0; START as usize];
    reader.read_exact(&mut start).map_err(not_npy)?;
    if !start.starts_with(b"\x93NUMPY") {
        return Err(not_npy(std::io::ErrorKind::InvalidData.into()));
    }
    let mut length = u64::from(u16::from_le_bytes([start[8], start[9]]));
    if start[6] >= 2 {
        let mut rest = [0; 2];
        reader.read_exact(&mut rest).map_err(not_npy)?;
        length |= u64::from(u16::from_le_bytes(rest)) << 16;
    }
    if length > MOST_HEADER {
        return Err(format!("its header claims {length} bytes; it is damaged, copy or download it again"));
    }
    let mut text = Vec::new();
    reader.take(length).read_to_end(&mut text).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What follows `'key':` in the header's dictionary.
fn entry<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let quoted = format!("'{key}':");
    let found = header.find(&quoted).map(|start| header[start + quoted.len()..].trim_start());
    found.ok_or_else(|| format!("its header has no `{key}`; write it again with `numpy.save`"))
}

/// The element type that a description such as `'<i2'` means, of an array of so many axes, and whether it is big-endian.
fn element_type(text: &str, axes: usize) -> Result<(Element, bool), String> {
    let description = text.strip_prefix('\'').and_then(|text| text.split('\'').next());
    let refused = || {
        match description {
        None => "its elements are records; make one array of their fields with \
                 `numpy.lib.recfunctions.structured_to_unstructured`"
            .to_string(),
        // Rows of several lengths: no `astype` makes an array of them. Those of equal length are a matrix.
        Some(found) if found.ends_with('O') && axes == 1 => {
            "its elements are Python objects; recordings `rows` of several lengths go end to end: \
             `tok_test=numpy.concatenate(rows)`, `off_test=numpy.cumsum([0] + [len(r) for r in rows])`; labels become \
             text with `.astype(str)`"
                .to_string()
        }
        Some(found) if found.ends_with('O') => {
            "its elements are Python objects; convert it with `.astype('float32')`".to_string()
        }
        Some(found) => {
            format!("its element type is {found}; convert it with `.astype('int16')` or `.astype('float32')`")
        }
    }
    };
    let order_and_code = description.ok_or_else(refused)?;
    let code = order_and_code.trim_start_matches(['<', '>', '|', '=']);
    let element = match code {
        "b1" => Element::Bool,
        "i1" | "i2" | "i4" | "i8" => Element::Signed(size_of_code(code)),
        "u1" | "u2" | "u4" | "u8" => Element::Unsigned(size_of_code(code)),
        "f2" | "f4" | "f8" => Element::Float(size_of_code(code)),
        _ if code.starts_with(['U', 'S']) => {
            let characters = code[1..].parse().map_err(|_| refused())?;
            Element::Text { characters, wide: code.starts_with('U') }
        }
        _ => return Err(refused()),
    };
    Ok((element, order_and_code.starts_with('>')))
}

fn size_of_code(code: &str) -> usize {
    code[1..].parse().unwrap_or(1)
}

/// A tuple such as `(500, 64, 1)`.
fn shape(text: &str) -> Result<Vec<usize>, String> {
    let inside = text.strip_prefix('(').and_then(|text| text.split(')').next());
    let numbers = inside.unwrap_or("?").split(',').map(str::trim).filter(|text| !text.is_empty());
    numbers.map(|number| number.parse().map_err(|_| format!("its shape has an extent `{number}`"))).collect()
}

/// Column-major elements in row-major order.
fn row_major(bytes: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let mut ordered = Vec::with_capacity(bytes.len());
    let mut index = vec![0; shape.len()];
    while ordered.len() < bytes.len() {
        let position = index.iter().zip(shape).rev().fold(0, |sum, (i, n)| sum * n + i);
        ordered.extend_from_slice(&bytes[position * size..][..size]);
        for (i, n) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < *n {
                break;
            }
            *i = 0;
        }
    }
    ordered
}
