//! The convention of hierarchical attention and FAVOR: tensors `[tokens, heads, width]`, parameters in one
//! JSON text.

use std::borrow::ToOwned;
use std::boxed::Box;
use std::format;
use std::path::Path;
use std::string::String;
use std::vec::Vec;

use safetensors::{Dtype, SafeTensors};

use super::meta::Meta;
use super::{Case, Extra, GoldenError, Head, Mechanism, Metadata, split_heads, tensor};
use crate::host::reference::attention::favor::{Favor, Features, Offsets};
use crate::host::reference::attention::hierarchical::{Hierarchical, Interpolation};

/// The case of a file with the metadata key `meta`.
pub(super) fn load(
    path: &Path,
    tensors: &SafeTensors<'_>,
    metadata: &Metadata,
) -> Result<Option<Case>, GoldenError> {
    let Some(text) = metadata.get("meta") else { return Ok(None) };
    let meta = Meta::parse(path, text)?;
    let shape = Shape { tokens: meta.count("L")?, heads: meta.count("h")?, width: meta.count("d")? };
    let file = File { path, tensors, meta, shape };
    match file.meta.text("mechanism")? {
        Some("h1d") => file.hierarchical().map(Some),
        Some("favor") => file.favor().map(Some),
        Some(other) => Err(file.not_built(format!("the mechanism `{other}`"))),
        None => Err(file.meta.problem("mechanism", "is missing")),
    }
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    tokens: usize,
    heads: usize,
    width: usize,
}

struct File<'a> {
    path: &'a Path,
    tensors: &'a SafeTensors<'a>,
    meta: Meta<'a>,
    shape: Shape,
}

impl File<'_> {
    fn hierarchical(&self) -> Result<Case, GoldenError> {
        let Shape { tokens, heads, .. } = self.shape;
        let causal = self.causal()?;
        let block = self.meta.count("nr")?;
        if !block.is_multiple_of(2) {
            return Err(self.meta.problem("nr", &format!("is {block}; a block has an even number of rows")));
        }
        if causal && self.meta.flag("self_attention")? == Some(false) {
            return Err(self.not_built("causal cross attention, which the authors do not have".to_owned()));
        }
        let interpolation = match self.meta.text("interpolation")? {
            None | Some("const") => Interpolation::Constant,
            Some("linear") => Interpolation::Linear,
            Some(other) => return Err(self.not_built(format!("the interpolation `{other}`"))),
        };
        let parameters = Hierarchical {
            block,
            causal,
            interpolation,
            temperature: self.meta.number("softmax_temperature")?.unwrap_or(1.0),
            guard: None,
        };
        if self.meta.number("levels")?.is_some_and(|levels| levels != parameters.levels(tokens) as f64) {
            return Err(self.meta.problem("levels", "is not log2(L / nr)"));
        }
        let bias = self.optional("rpb", &[4 * block - 1, heads])?;
        if bias.is_none() && self.meta.flag("rpb")? == Some(true) {
            return Err(GoldenError::tensor(self.path, "rpb", "is missing, and `meta.rpb` is true"));
        }
        let bias = bias.map(|table| split_heads(&table, heads, 1));
        let (keys, queries) = (self.mask("kmask")?, self.mask("qmask")?);
        if keys.is_none() && queries.is_none() && self.meta.text("mask")?.is_some() {
            return Err(GoldenError::tensor(self.path, "kmask", "is missing, and `meta.mask` is not null"));
        }

        let mut case = self.case(Mechanism::Hierarchical(parameters), |h| Extra::Hierarchical {
            bias: bias.as_ref().map(|tables| tables[h].clone()),
        })?;
        (case.keys, case.queries, case.valid) = (keys, queries.clone(), queries);
        let guard = self.meta.number("guard")?.filter(|guard| *guard > 0.0);
        let guarded = Mechanism::Hierarchical(Hierarchical { guard, ..parameters });
        // Under other modes the denominator is relative to something else than the largest logit.
        let whole = matches!(self.meta.text("max_similarity_mode")?, None | Some("scan_all"));
        self.without_guard(case, (guard.is_some() && whole).then_some(guarded))
    }

    fn favor(&self) -> Result<Case, GoldenError> {
        let Shape { width, .. } = self.shape;
        let features = match self.meta.text("kind")? {
            Some("exp") => Features::Exponential,
            Some("hyp") => Features::Hyperbolic,
            Some("relu" | "reludet") => Features::Relu,
            Some("sincos") => {
                let why = "trigonometric features: they are signed, so denominators pass through zero";
                return Err(self.not_built(why.to_owned()));
            }
            Some(other) => return Err(self.not_built(format!("features of the kind `{other}`"))),
            None => return Err(self.meta.problem("kind", "is missing")),
        };
        let projection = match self.meta.text("kind")? {
            Some("reludet") => None,
            _ => Some(self.required("projection", &[self.meta.count("m")?, width])?),
        };
        let guard = self.meta.number("denominator_guard")?.unwrap_or(0.0);
        let parameters = Favor {
            features,
            projection,
            causal: self.causal()?,
            input_scale: match self.meta.number("data_normalizer")? {
                Some(scale) => scale,
                None if features == Features::Relu => 1.0,
                None => (width as f64).powf(-0.25),
            },
            epsilon: self.meta.number("feature_eps")?.unwrap_or(0.0),
            offsets: Offsets::Projection,
            guard: 0.0,
            key_sum_epsilon: self.meta.number("key_sum_eps")?.unwrap_or(0.0),
            renormalize: self.meta.flag("renormalize")?.unwrap_or(true),
            tile: None,
        };
        let shared = match self.meta.text("key_offset")? {
            Some(text) if text.contains("features and heads") => true,
            None | Some("none" | "max over tokens and features, per head") => false,
            Some(other) => return Err(self.not_built(format!("the key offset `{other}`"))),
        };

        let mut case =
            self.case(Mechanism::Favor(parameters.clone()), |_| Extra::Favor { key_offset: None })?;
        case.keys = self.mask("kmask")?;
        if shared {
            let keys = case.keys.as_deref();
            let offsets = case.heads.iter().map(|head| parameters.key_offset(&head.k, width, keys));
            let largest = offsets.fold(f64::NEG_INFINITY, f64::max);
            for head in &mut case.heads {
                head.extra = Extra::Favor { key_offset: Some(largest) };
            }
        }
        // The authors' module hides padding from the values only; the keys stay in the denominator.
        if let Some(mask) = self.mask("vmask")? {
            for head in &mut case.heads {
                let rows = head.v.chunks_exact_mut(width).zip(&mask);
                rows.filter(|(_, seen)| !**seen).for_each(|(row, _)| row.fill(0.0));
            }
        } else if self.meta.flag("v_masked_before")? == Some(true) {
            return Err(GoldenError::tensor(
                self.path,
                "vmask",
                "is missing, and `meta.v_masked_before` is true",
            ));
        }
        let guarded = Mechanism::Favor(Favor { guard, ..parameters });
        self.without_guard(case, (guard > 0.0).then_some(guarded))
    }

    /// Inputs and the authors' output, in f64 where the file has it.
    fn case(&self, mechanism: Mechanism, extra: impl Fn(usize) -> Extra) -> Result<Case, GoldenError> {
        let Shape { tokens, heads, width } = self.shape;
        let shape = [tokens, heads, width];
        let heads_of =
            |name| -> Result<_, GoldenError> { Ok(split_heads(&self.required(name, &shape)?, heads, width)) };
        let output = if self.tensors.tensor("out64").is_ok() { "out64" } else { "out" };
        let inputs = heads_of("q")?.into_iter().zip(heads_of("k")?).zip(heads_of("v")?);
        let head = |(h, (((q, k), v), expected))| Head { q, k, v, expected, extra: extra(h) };
        Ok(Case {
            file: self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            mechanism,
            distribution: self.meta.text("dist")?.unwrap_or("unknown").to_owned(),
            tokens,
            width,
            heads: inputs.zip(heads_of(output)?).enumerate().map(head).collect(),
            keys: None,
            queries: None,
            single: self.single(output),
            valid: None,
            guarded: None,
        })
    }

    /// Makes `case` the one without the authors' guard where that changed a row. `guarded` is the mechanism
    /// with it, if that can be had.
    fn without_guard(&self, mut case: Case, guarded: Option<Mechanism>) -> Result<Case, GoldenError> {
        let Shape { tokens, heads, width } = self.shape;
        let Some(flags) = self.optional("guarded", &[tokens, heads])? else { return Ok(case) };
        if let Some(mechanism) = guarded {
            case.guarded = Some(Box::new(Case { mechanism, ..case.clone() }));
        }
        match self.optional("out_noguard", &[tokens, heads, width])? {
            Some(expected) => {
                for (head, expected) in case.heads.iter_mut().zip(split_heads(&expected, heads, width)) {
                    head.expected = expected;
                }
                case.single = self.single("out_noguard");
            }
            // Nobody knows those rows without the guard.
            None => {
                let untouched = flags.chunks_exact(heads).map(|row| row.iter().all(|flag| *flag == 0.0));
                let valid =
                    untouched.enumerate().map(|(t, free)| free && case.valid.as_ref().is_none_or(|v| v[t]));
                case.valid = Some(valid.collect());
            }
        }
        Ok(case)
    }

    fn causal(&self) -> Result<bool, GoldenError> {
        self.meta.flag("causal")?.ok_or_else(|| self.meta.problem("causal", "is missing"))
    }

    /// Whether the tensor carries less than f64 precision. The worked example of the authors' unit test is a
    /// table printed with nine digits, whatever its type.
    fn single(&self, name: &str) -> bool {
        let printed = matches!(self.meta.text("dist"), Ok(Some("constants")));
        printed || self.tensors.tensor(name).is_ok_and(|view| view.dtype() != Dtype::F64)
    }

    fn mask(&self, name: &str) -> Result<Option<Vec<bool>>, GoldenError> {
        let flags = self.optional(name, &[self.shape.tokens])?;
        Ok(flags.map(|flags| flags.iter().map(|flag| *flag != 0.0).collect()))
    }

    fn required(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>, GoldenError> {
        self.optional(name, shape)?.ok_or_else(|| GoldenError::tensor(self.path, name, "is missing"))
    }

    fn optional(&self, name: &str, shape: &[usize]) -> Result<Option<Vec<f64>>, GoldenError> {
        match tensor(self.path, self.tensors, name)? {
            Some((found, _)) if found != shape => {
                Err(GoldenError::tensor(self.path, name, format!("has the shape {found:?}, not {shape:?}")))
            }
            found => Ok(found.map(|(_, values)| values)),
        }
    }

    fn not_built(&self, why: String) -> GoldenError {
        GoldenError::NotBuilt { path: self.path.to_owned(), why }
    }
}
