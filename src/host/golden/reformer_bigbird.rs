//! The convention of LSH and BigBird: tensors `[heads, rows, width]`, one metadata string a parameter.

use std::format;
use std::path::Path;
use std::str::FromStr;
use std::string::String;
use std::vec;
use std::vec::Vec;

use safetensors::{Dtype, SafeTensors};

use super::super::reference::attention::bigbird::{BigBird, Pattern, Window};
use super::super::reference::attention::lsh::{Duplicates, Lsh, ScoreScale};
use super::{Case, Extra, GoldenError, Head, Mechanism, Metadata};

/// The case of a file with the metadata key `algo`.
pub(super) fn load(
    path: &Path,
    tensors: &SafeTensors<'_>,
    metadata: &Metadata,
) -> Result<Option<Case>, GoldenError> {
    let file = File { path, tensors, metadata };
    match file.text("algo")? {
        "reformer_lsh" => lsh(&file).map(Some),
        "bigbird_itc" => bigbird_internal(&file).map(Some),
        "bigbird_etc" => bigbird_extended(&file).map(Some),
        other => {
            let known = "reformer_lsh, bigbird_itc, bigbird_etc";
            Err(file.refused("algo", format!("is `{other}`, not one of {known}")))
        }
    }
}

/// What the float reference makes of an LSH or BigBird case. LSH runs on the authors' buckets where the
/// file has them, so that a difference is one of attention and not of hashing.
pub(super) fn reference(case: &Case) -> Vec<Vec<f64>> {
    let (d, keys) = (case.width, case.keys.as_deref());
    let attend = |head: &Head| match (&case.mechanism, &head.extra) {
        (Mechanism::Lsh(lsh), Extra::Lsh { buckets: Some(buckets), .. }) => {
            lsh.attend(&head.q, &head.v, d, buckets, keys)
        }
        (Mechanism::Lsh(lsh), _) => {
            let buckets = case.reference_buckets(head).unwrap_or_default();
            lsh.attend(&head.q, &head.v, d, &buckets, keys)
        }
        (Mechanism::BigBird(bigbird), Extra::BigBird { plan }) => {
            bigbird.attend(&head.q, &head.k, &head.v, d, plan, keys)
        }
        _ => Vec::new(),
    };
    case.heads.iter().map(attend).collect()
}

impl Case {
    /// The buckets that the float reference finds for `head`, `[rounds, tokens]`; none for another
    /// mechanism, and for a file without rotations.
    pub fn reference_buckets(&self, head: &Head) -> Option<Vec<usize>> {
        match (&self.mechanism, &head.extra) {
            (Mechanism::Lsh(lsh), Extra::Lsh { rotations, .. }) if !rotations.is_empty() => {
                Some(lsh.hash(&head.q, self.width, rotations, self.keys.as_deref()))
            }
            _ => None,
        }
    }
}

/// A case of LSH attention.
fn lsh(file: &File<'_>) -> Result<Case, GoldenError> {
    let variant = file.one_of("variant", &["hf", "trax", "trax_paper", "lucid"])?;
    let scale = if variant == "lucid" { ScoreScale::SqrtWidth } else { ScoreScale::Unit };
    let stated = file.metadata.get("score_scale").map_or("", String::as_str);
    if !stated.is_empty() && stated.starts_with("q.k_hat/sqrt(d)") != (scale == ScoreScale::SqrtWidth) {
        return Err(file.refused("score_scale", format!("is `{stated}`, which variant `{variant}` has not")));
    }
    let chunk = file.positive("chunk")?;
    let lsh = Lsh {
        buckets: file.list("n_buckets")?,
        rounds: file.positive("n_hashes")?,
        chunk,
        before: file.number("chunks_before")?,
        after: file.number("chunks_after")?,
        multiple: chunk,
        causal: file.flag("causal")?,
        scale,
        in_bucket: file.flag("bucket_mask")?,
        duplicates: if file.flag("dedup")? { Duplicates::Discounted } else { Duplicates::Counted },
        padding_bucket: matches!(variant, "hf" | "trax"),
    };
    if lsh.buckets.is_empty() || lsh.buckets.iter().any(|&factor| factor == 0 || factor % 2 != 0) {
        return Err(file.refused("n_buckets", format!("is {:?}; every factor has to be even", lsh.buckets)));
    }

    let [qk, v] = [file.rows("qk")?, file.rows("v")?];
    let (heads, tokens, d) = (qk.heads, qk.rows, qk.width);
    let rotations = file.shaped("rotations", &[heads, d, lsh.rounds, lsh.rotation_columns()])?;
    let buckets = file.shaped("buckets", &[heads, lsh.rounds, tokens])?;
    if tokens > lsh.chunk && rotations.is_none() && buckets.is_none() {
        return Err(GoldenError::tensor(file.path, "rotations", "is missing, and so is `buckets`"));
    }
    let buckets = buckets
        .map(|buckets| {
            buckets.iter().map(|&bucket| file.index("buckets", bucket, lsh.bucket_count() + 1)).collect()
        })
        .transpose()?;
    let buckets: Option<Vec<usize>> = buckets;
    let extra = |head| Extra::Lsh {
        rotations: part(rotations.as_deref().unwrap_or(&[]), heads, head).to_vec(),
        buckets: buckets.as_ref().map(|buckets| part(buckets, heads, head).to_vec()),
    };
    let mut case = file.case(Mechanism::Lsh(lsh), [&qk, &qk, &v], extra)?;
    case.keys = file.mask(tokens, 0)?;
    // Padded queries are defined, and differ between the implementations.
    case.valid = case.keys.clone();
    Ok(case)
}

/// A case of BigBird's internal construction.
fn bigbird_internal(file: &File<'_>) -> Result<Case, GoldenError> {
    file.one_of("variant", &["hf", "official_tf"])?;
    let bigbird = BigBird {
        block: file.positive("block")?,
        random: file.number("n_rand")?,
        pattern: Pattern::Internal,
        causal: file.optional_flag("causal")?,
        dense_up_to: 0,
    };
    let [q, k, v] = [file.rows("q")?, file.rows("k")?, file.rows("v")?];
    let count = bigbird.block_count(q.rows);
    if count < 4 {
        return Err(file.refused("block", format!("makes {count} blocks of {} rows; 4 are needed", q.rows)));
    }
    let plan = file.plan([q.heads, count - 2, bigbird.random], count)?;
    let extra = |head: usize| Extra::BigBird { plan: plan[head].clone() };
    let mut case = file.case(Mechanism::BigBird(bigbird), [&q, &k, &v], extra)?;
    case.keys = file.mask(q.rows, 0)?;
    case.queries = case.keys.clone();
    Ok(case)
}

/// A case of BigBird's extended construction.
fn bigbird_extended(file: &File<'_>) -> Result<Case, GoldenError> {
    file.one_of("variant", &["dense_masked_oracle"])?;
    let [q, k, v] = [file.rows("q")?, file.rows("k")?, file.rows("v")?];
    let (global, random) = (file.number("n_global")?, file.number("n_rand")?);
    let Some(long) = q.rows.checked_sub(global).filter(|&long| long > 0) else {
        return Err(file.refused("n_global", format!("is {global}, of {} rows", q.rows)));
    };
    let size = file.number("window_size")?;
    let (window, block) = match file.one_of("window", &["block", "token"])? {
        "block" => (Window::Blocks, file.positive("window_size")?),
        _ if file.metadata.contains_key("block") => (Window::Tokens(size), file.positive("block")?),
        // The window has no blocks; random blocks, if there are any, are as long as their number says.
        _ => match file.tensors.tensor("rand_blocks").ok().and_then(|plan| plan.shape().get(1).copied()) {
            Some(count) if count > 0 => (Window::Tokens(size), long.div_ceil(count)),
            _ => (Window::Tokens(size), 1),
        },
    };
    let bigbird = BigBird {
        block,
        random,
        pattern: Pattern::Extended { global, window },
        causal: file.optional_flag("causal")?,
        dense_up_to: 0,
    };
    let count = bigbird.block_count(q.rows);
    let plan = file.plan([q.heads, count, random], count)?;
    let extra = |head: usize| Extra::BigBird { plan: plan[head].clone() };
    let mut case = file.case(Mechanism::BigBird(bigbird), [&q, &k, &v], extra)?;
    case.keys = file.mask(long, global)?;
    Ok(case)
}

/// A file's contents under one name, with the errors that name it.
struct File<'a> {
    path: &'a Path,
    tensors: &'a SafeTensors<'a>,
    metadata: &'a Metadata,
}

/// A tensor `[heads, rows, width]`.
struct Rows {
    heads: usize,
    rows: usize,
    width: usize,
    values: Vec<f64>,
}

impl File<'_> {
    fn refused(&self, field: &str, problem: impl Into<String>) -> GoldenError {
        GoldenError::field(self.path, field, problem)
    }

    fn text(&self, field: &str) -> Result<&str, GoldenError> {
        let missing = || self.refused(field, "is missing");
        Ok(self.metadata.get(field).ok_or_else(missing)?.trim().trim_matches('"'))
    }

    fn parsed<T: FromStr>(&self, field: &str, kind: &str) -> Result<T, GoldenError> {
        let text = self.text(field)?;
        text.parse().map_err(|_| self.refused(field, format!("is `{text}`, not {kind}")))
    }

    fn number(&self, field: &str) -> Result<usize, GoldenError> {
        self.parsed(field, "a whole number")
    }

    fn positive(&self, field: &str) -> Result<usize, GoldenError> {
        match self.number(field)? {
            0 => Err(self.refused(field, "is 0")),
            number => Ok(number),
        }
    }

    fn flag(&self, field: &str) -> Result<bool, GoldenError> {
        let lower = self.text(field)?.to_lowercase();
        lower.parse().map_err(|_| self.refused(field, format!("is `{lower}`, not true or false")))
    }

    fn optional_flag(&self, field: &str) -> Result<bool, GoldenError> {
        if self.metadata.contains_key(field) { self.flag(field) } else { Ok(false) }
    }

    fn one_of<'b>(&self, field: &str, known: &[&'b str]) -> Result<&'b str, GoldenError> {
        let text = self.text(field)?;
        let unknown = || self.refused(field, format!("is `{text}`, not one of {}", known.join(", ")));
        known.iter().find(|&&known| known == text).copied().ok_or_else(unknown)
    }

    /// A number, or several in brackets.
    fn list(&self, field: &str) -> Result<Vec<usize>, GoldenError> {
        let text = self.text(field)?;
        let numbers = text.trim_start_matches('[').trim_end_matches(']').split(',');
        let numbers: Result<_, _> = numbers.map(|number| number.trim().parse()).collect();
        numbers.map_err(|_| self.refused(field, format!("is `{text}`, not a whole number or a list of them")))
    }

    fn rows(&self, name: &str) -> Result<Rows, GoldenError> {
        let Some((shape, values)) = super::tensor(self.path, self.tensors, name)? else {
            return Err(GoldenError::tensor(self.path, name, "is missing"));
        };
        match shape[..] {
            [heads, rows, width] if !values.is_empty() => Ok(Rows { heads, rows, width, values }),
            _ => {
                let problem = format!("has the shape {shape:?}, not [heads, rows, width]");
                Err(GoldenError::tensor(self.path, name, problem))
            }
        }
    }

    /// The values of a tensor that need not exist, of a shape that has to be `expected`.
    fn shaped(&self, name: &str, expected: &[usize]) -> Result<Option<Vec<f64>>, GoldenError> {
        match super::tensor(self.path, self.tensors, name)? {
            Some((shape, _)) if shape != expected => {
                let problem = format!("has the shape {shape:?}, not {expected:?}");
                Err(GoldenError::tensor(self.path, name, problem))
            }
            found => Ok(found.map(|(_, values)| values)),
        }
    }

    fn index(&self, name: &str, value: f64, end: usize) -> Result<usize, GoldenError> {
        let outside =
            || GoldenError::tensor(self.path, name, format!("has {value}, outside 0 to {}", end - 1));
        (value >= 0.0 && value < end as f64).then_some(value as usize).ok_or_else(outside)
    }

    /// Random blocks of every head, from `[heads, query blocks, blocks drawn]`; -1 stands for none.
    fn plan(&self, shape: [usize; 3], count: usize) -> Result<Vec<Vec<Vec<usize>>>, GoldenError> {
        let [heads, queries, random] = shape;
        let found = self.shaped("rand_blocks", &shape)?;
        if random == 0 {
            return Ok(vec![vec![Vec::new(); queries]; heads]);
        }
        let Some(blocks) = found else {
            return Err(GoldenError::tensor(
                self.path,
                "rand_blocks",
                format!("is missing, for n_rand {random}"),
            ));
        };
        let drawn = |row: &[f64]| {
            let row = row.iter().filter(|&&block| block != -1.0);
            row.map(|&block| self.index("rand_blocks", block, count)).collect::<Result<Vec<_>, _>>()
        };
        blocks
            .chunks_exact(queries * random)
            .map(|head| head.chunks_exact(random).map(drawn).collect())
            .collect()
    }

    /// The mask of `tokens` tokens behind `before` rows that are always valid; none if all are valid.
    fn mask(&self, tokens: usize, before: usize) -> Result<Option<Vec<bool>>, GoldenError> {
        let length = if self.metadata.contains_key("valid_len") { self.number("valid_len")? } else { tokens };
        let flags: Vec<bool> = match self.shaped("mask", &[tokens])? {
            Some(mask) => mask.iter().map(|&flag| flag != 0.0).collect(),
            None => (0..tokens).map(|token| token < length).collect(),
        };
        let kept = flags.iter().filter(|&&flag| flag).count();
        if self.metadata.contains_key("valid_len") && kept != length {
            return Err(
                self.refused("valid_len", format!("is {length}, but the mask keeps {kept} of {tokens}"))
            );
        }
        let all = std::iter::repeat_n(true, before).chain(flags).collect();
        Ok((kept < tokens).then_some(all))
    }

    /// The case, every row valid, of `[q, k, v]`.
    fn case(
        &self,
        mechanism: Mechanism,
        rows: [&Rows; 3],
        extra: impl Fn(usize) -> Extra,
    ) -> Result<Case, GoldenError> {
        let out = self.rows("out")?;
        let [q, k, v] = rows;
        for (name, x) in [("k", k), ("v", v), ("out", &out)] {
            let width = if name == "k" { q.width } else { v.width };
            let [found, expected] = [[x.heads, x.rows, x.width], [q.heads, q.rows, width]];
            if found != expected {
                let problem = format!("has the shape {found:?}, not {expected:?}");
                return Err(GoldenError::tensor(self.path, name, problem));
            }
        }
        let head = |index| Head {
            q: part(&q.values, q.heads, index).to_vec(),
            k: part(&k.values, q.heads, index).to_vec(),
            v: part(&v.values, q.heads, index).to_vec(),
            expected: part(&out.values, q.heads, index).to_vec(),
            extra: extra(index),
        };
        let stored = self.tensors.tensor("out").ok().map(|out| out.dtype());
        let computed = self.metadata.get("compute_dtype").is_none_or(|kind| kind == "float64");
        Ok(Case {
            file: self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            mechanism,
            distribution: self.distribution(),
            tokens: q.rows,
            width: q.width,
            heads: (0..q.heads).map(head).collect(),
            keys: None,
            queries: None,
            single: !computed || stored != Some(Dtype::F64),
            valid: None,
            guarded: None,
        })
    }

    /// First word of the description of the inputs.
    fn distribution(&self) -> String {
        let described = self.metadata.get("input_kind").and_then(|kind| kind.split_whitespace().next());
        described.unwrap_or("unstated").into()
    }
}

/// Part `index` of `parts` equal ones.
fn part<T>(values: &[T], parts: usize, index: usize) -> &[T] {
    let size = values.len() / parts;
    &values[index * size..][..size]
}
