//! The tensors of a safetensors file, each checked as it is read.

use std::borrow::ToOwned;
use std::collections::BTreeSet;
use std::format;
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::description::Tensors;
use super::error::ImportError;
use super::names::Aliases;
use super::remedy;

/// A parsed file and the names that were asked for.
pub(super) struct Checkpoint<'a> {
    path: &'a Path,
    /// One file, or its shards.
    tensors: Vec<(&'a Path, SafeTensors<'a>)>,
    /// Looked at where `tensors` has none of the name; need not be used up.
    further: Option<(&'a Path, SafeTensors<'a>)>,
    names: &'a Tensors,
    aliases: &'a Aliases,
    /// Where a description has the names of tensors, for messages.
    place: &'static str,
    used: BTreeSet<String>,
}

/// The key whose tensors hold whole numbers.
const INDICES: &str = "tensors.plan";

/// What the description says about one axis.
#[derive(Debug, Clone, Copy)]
pub(super) enum Extent {
    /// This many.
    Exactly(usize),
    /// The file decides, but at least one; the word stands for it in messages.
    Free(&'static str),
}

/// The narrowest floating-point format among the weights of a model: what its own framework computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// 64 or 32 bits: 24 bits of mantissa at least.
    F32,
    /// IEEE half precision, 11 bits of mantissa.
    F16,
    /// bfloat16, 8 bits of mantissa.
    BF16,
}

impl Precision {
    /// Of all tensors with real values.
    pub(super) fn of<'t, 'd: 't>(files: impl Iterator<Item = &'t SafeTensors<'d>>) -> Self {
        let kinds = files.flat_map(|tensors| tensors.tensors()).map(|(_, view)| match view.dtype() {
            Dtype::BF16 => Self::BF16,
            Dtype::F16 => Self::F16,
            _ => Self::F32,
        });
        kinds.max().unwrap_or(Self::F32)
    }

    /// `f32`, `f16` or `bf16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
        }
    }
}

impl<'a> Checkpoint<'a> {
    /// The tensors of the file at `path`.
    pub(super) fn tensors(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>, ImportError> {
        SafeTensors::deserialize(bytes).map_err(|error| ImportError::NotSafetensors {
            path: path.to_owned(),
            message: error.to_string(),
        })
    }

    pub(super) fn new(
        path: &'a Path,
        tensors: Vec<(&'a Path, SafeTensors<'a>)>,
        further: Option<(&'a Path, SafeTensors<'a>)>,
        names: &'a Tensors,
        aliases: &'a Aliases,
        place: &'static str,
    ) -> Self {
        Checkpoint { path, tensors, further, names, aliases, place, used: BTreeSet::new() }
    }

    /// Extents of a tensor, if it is there.
    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.view(name).map(|(_, view)| view.shape().to_vec())
    }

    /// Axes of a tensor, if it is there.
    pub(super) fn rank(&self, name: &str) -> Option<usize> {
        self.view(name).map(|(_, view)| view.shape().len())
    }

    /// A tensor, and the file that has it.
    fn view(&self, name: &str) -> Option<(&'a Path, TensorView<'_>)> {
        let named = |name: &str| {
            let files = self.tensors.iter().chain(&self.further);
            files.into_iter().find_map(|(path, tensors)| Some((*path, tensors.tensor(name).ok()?)))
        };
        let name = self.renamed(name);
        named(name).or_else(|| named(self.aliases.tensor(name)?))
    }

    /// What a tensor of the description is called in the file.
    fn renamed<'n>(&'n self, name: &'n str) -> &'n str {
        self.names.rename.get(name).map_or(name, String::as_str)
    }

    /// The shape and the values of tensor `name`; `key` is where the description names it.
    pub(super) fn tensor(
        &mut self,
        key: &str,
        name: &str,
        expected: &[Extent],
    ) -> Result<(Vec<usize>, Vec<f64>), ImportError> {
        let Some((path, view)) = self.view(name) else {
            return Err(self.missing(key, name));
        };
        let shape = squeezed(view.shape(), expected);
        let found = shape.as_deref().unwrap_or(view.shape());
        let fits = |(expected, &found): (&Extent, &usize)| match expected {
            Extent::Exactly(length) => *length == found,
            Extent::Free(_) => found > 0,
        };
        if found.len() != expected.len() || !expected.iter().zip(found).all(fits) {
            let bare: Vec<usize> = found.iter().copied().filter(|&extent| extent > 1).collect();
            let transposed = bare.len() == 2 && expected.len() == 2;
            let transposed = transposed && expected.iter().zip(bare.iter().rev()).all(fits);
            let remedy = match transposed {
                true => remedy::of_transposed(self.names, key),
                false => "correct the sizes in the description or the tensor's name".to_string(),
            };
            return Err(ImportError::Shape {
                path: path.to_owned(),
                tensor: name.to_string(),
                key: key.into(),
                expected: written(expected).into(),
                found: view.shape().to_vec(),
                remedy: remedy.into(),
            });
        }

        let values = match view.dtype() {
            Dtype::F64 => decode(view.data(), f64::from_le_bytes),
            Dtype::F32 => decode(view.data(), |bytes| f32::from_le_bytes(bytes).into()),
            Dtype::F16 => decode(view.data(), |bytes| half(u16::from_le_bytes(bytes))),
            Dtype::BF16 => decode(view.data(), |bytes| brain(u16::from_le_bytes(bytes))),
            Dtype::I32 if key == INDICES => decode(view.data(), |bytes| i32::from_le_bytes(bytes).into()),
            Dtype::I64 if key == INDICES => decode(view.data(), |bytes| i64::from_le_bytes(bytes) as f64),
            other => {
                return Err(ImportError::ElementType {
                    path: path.to_owned(),
                    tensor: name.to_string(),
                    found: other.to_string(),
                });
            }
        };
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(ImportError::NotFinite {
                path: path.to_owned(),
                tensor: name.to_string(),
                index,
                value: values[index],
            });
        }
        let found = found.to_vec();
        let name = self.renamed(name);
        let used: Vec<String> =
            [name].into_iter().chain(self.aliases.tensor(name)).map(String::from).collect();
        self.used.extend(used);
        Ok((found, values))
    }

    /// Refuses a standard deviation that is not above 0.
    pub(super) fn all_positive(&self, name: &str, values: &[f64]) -> Result<(), ImportError> {
        match values.iter().position(|&value| value <= 0.0) {
            None => Ok(()),
            Some(index) => Err(ImportError::Deviation {
                path: self.path.to_owned(),
                tensor: name.to_string(),
                index,
                value: values[index],
            }),
        }
    }

    /// Refuses tensors that nothing asked for, but for those that a pattern of `ignore` covers.
    pub(super) fn finish(&self, ignore: &[String]) -> Result<(), ImportError> {
        let ignored = |name: &str| {
            ignore.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => pattern == name,
            })
        };
        let mut tensors = self.unused();
        tensors.retain(|tensor| !self.aliases.names(tensor).any(ignored));
        if tensors.is_empty() {
            return Ok(());
        }
        Err(ImportError::Unused { path: self.path.to_owned(), tensors })
    }

    fn missing(&self, key: &str, name: &str) -> ImportError {
        // A tensor that another key names is no candidate, however close.
        let mut free = self.unused();
        free.retain(|tensor| !self.aliases.names(tensor).any(|name| self.names.cover(name)));
        let near = nearest(name, &free);
        let suggestion = remedy::of_missing(self.names, self.place, [key, name], near.as_deref(), &free);
        let further = match &self.further {
            Some((path, _)) => format!("; {} has none either", path.display()),
            None => String::new(),
        };
        ImportError::MissingTensor {
            path: self.path.to_owned(),
            tensor: name.to_string(),
            key: key.into(),
            near,
            suggestion: suggestion + &further,
        }
    }

    /// Names that nothing has asked for, sorted.
    fn unused(&self) -> Vec<String> {
        let names = self.tensors.iter().flat_map(|(_, tensors)| tensors.names());
        let names: BTreeSet<String> = names.map(String::from).collect();
        names.difference(&self.used).cloned().collect()
    }
}

/// A shape without as many axes of length 1 as it has more than `expected`, if it fits then: frameworks keep such axes for
/// the batch.
fn squeezed(found: &[usize], expected: &[Extent]) -> Option<Vec<usize>> {
    if found.len() <= expected.len() {
        let fits = |(expected, &found): (&Extent, &usize)| match expected {
            Extent::Exactly(length) => *length == found,
            Extent::Free(_) => found > 0,
        };
        let whole = found.len() == expected.len() && expected.iter().zip(found).all(fits);
        return whole.then(|| found.to_vec());
    }
    let ones = (0..found.len()).filter(|&axis| found[axis] == 1);
    let mut without = ones.map(|axis| [&found[..axis], &found[axis + 1..]].concat());
    without.find_map(|shape| squeezed(&shape, expected))
}

/// A shape as the user would write it.
fn written(expected: &[Extent]) -> String {
    let extents: Vec<String> = expected
        .iter()
        .map(|extent| match extent {
            Extent::Exactly(length) => length.to_string(),
            Extent::Free(word) => (*word).to_string(),
        })
        .collect();
    format!("[{}]", extents.join(", "))
}

fn decode<const N: usize>(bytes: &[u8], element: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes.as_chunks::<N>().0.iter().map(|&bytes| element(bytes)).collect()
}

/// IEEE 754 binary16.
pub(in crate::host) fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let fraction = f64::from(bits & 0x3ff);
    sign * match i32::from(bits >> 10 & 0x1f) {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    }
}

/// The upper half of an f32.
fn brain(bits: u16) -> f64 {
    f32::from_bits(u32::from(bits) << 16).into()
}

/// The closest of `names`, if it is close.
fn nearest(wanted: &str, names: &[String]) -> Option<String> {
    let (distance, name) = names.iter().map(|name| (edit_distance(wanted, name), name)).min()?;
    (distance <= wanted.len() / 2).then(|| name.clone())
}

/// Levenshtein's.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bit_floats() {
        for (bits, value) in [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 2f64.powi(-24))] {
            assert_eq!(half(bits), value);
        }
        assert_eq!(half(0xfc00), f64::NEG_INFINITY);
        assert!(half(0x7e00).is_nan());
        assert_eq!(brain(0x3f80), 1.0);
        assert_eq!(brain(0xc049), -3.140625);
    }

    #[test]
    fn distance() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
    }
}
