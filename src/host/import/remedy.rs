//! What to write in a description where it does not say what a tensor is called, or that there is none.

use std::format;
use std::string::{String, ToString};

use super::description::{AffineNames, BiasName, Layout, NormNames, Tensors};
use super::error::quoted;

/// Where the names of tensors stand.
pub(super) const WRITTEN: &str = "under `[tensors]`";
/// The same of a model whose configuration said them: that has no room for other names.
pub(super) const CONFIGURED: &str = "under `[tensors]` of a description, which `fixformer describe` writes,";

/// What to do about the tensor `asked`, which `key` names and the file lacks: it is `near`, or one of those that are `free`,
/// or none at all. `place` is where the line of the description stands.
pub(super) fn of_missing(
    names: &Tensors,
    place: &str,
    [key, asked]: [&str; 2],
    near: Option<&str>,
    free: &[String],
) -> String {
    let mut remedy = match near {
        Some(near) => {
            let line = line(names, key, &in_every_layer(names, key, asked, near));
            format!("did you mean `{near}`? Then write {place} `{line}`")
        }
        None if free.is_empty() => {
            "every tensor of the file has another use: correct the description, or export it".to_string()
        }
        None => {
            let line = line(names, key, "NAME");
            format!("write {place} `{line}`, NAME being one of {}", quoted(free))
        }
    };
    if let Some(without) = without(names, key) {
        remedy += &format!("; if the model has none, write {without}");
    }
    remedy
}

/// What to do about weights whose two axes are exchanged; of linear maps the layout is a key.
pub(super) fn of_transposed(names: &Tensors, key: &str) -> String {
    let other = match names.layout {
        Layout::InOut => "out-in",
        Layout::OutIn => "in-out",
    };
    let alone = "save it transposed (not reshaped): `.T.contiguous()`";
    match affine(names, split(key).0) {
        Some(_) => format!(
            "it looks transposed: write `layout = \"{other}\"` under `[tensors]` if all linear maps are so, else {alone}"
        ),
        None => format!("it looks transposed: {alone}"),
    }
}

/// `tensors.query.weight` is `query` and `weight`.
fn split(key: &str) -> (&str, &str) {
    let key = key.strip_prefix("tensors.").unwrap_or(key);
    key.split_once('.').unwrap_or((key, ""))
}

/// The line of a description that calls the tensor of `key` so.
fn line(names: &Tensors, key: &str, name: &str) -> String {
    let (table, part) = split(key);
    let bias = |bias: &BiasName| match (part, bias) {
        ("bias", _) => format!("\"{name}\""),
        (_, BiasName::Tensor(bias)) => format!("\"{bias}\""),
        (_, BiasName::Absent) => "false".to_string(),
    };
    if let Some(found) = affine(names, table) {
        let weight = if part == "weight" { name } else { &found.weight };
        let rows = found.rows.map_or(String::new(), |[from, to]| format!(", rows = [{from}, {to}]"));
        return format!("{table} = {{ weight = \"{weight}\", bias = {}{rows} }}", bias(&found.bias));
    }
    if let Some(found) = norm(names, table) {
        let gain = if part == "gain" { name } else { &found.gain };
        return format!("{table} = {{ gain = \"{gain}\", bias = {} }}", bias(&found.bias));
    }
    match table {
        "axial[0]" => format!("axial = [\"{name}\", \"{}\"]", names.axial[1]),
        "axial[1]" => format!("axial = [\"{}\", \"{name}\"]", names.axial[0]),
        _ => format!("{table} = \"{name}\""),
    }
}

/// What says that the model has no such tensor, where a description can.
fn without(names: &Tensors, key: &str) -> Option<String> {
    let off = match split(key) {
        (table, "bias") => {
            let found = affine(names, table).map(|found| ("weight", &found.weight));
            let (word, name) = found.or_else(|| norm(names, table).map(|found| ("gain", &found.gain)))?;
            return Some(format!("`{table} = {{ {word} = \"{name}\", bias = false }}` there"));
        }
        ("mean" | "deviation", _) => "`normalize = false` under `[input]`",
        ("positions" | "axial[0]" | "axial[1]", _) => "`kind = \"none\"` under `[positions]`",
        ("final_norm", _) => "`final_norm = false` under `[encoder]`",
        ("embedding_norm", _) => "`embedding_norm = false` under `[encoder]`",
        ("pooled_norm", _) => "`norm = false` under `[pooling]`",
        _ => return None,
    };
    Some(off.to_string())
}

/// `near` with `{layer}` in the place of the number of the layer in which `asked` was looked for.
fn in_every_layer(names: &Tensors, key: &str, asked: &str, near: &str) -> String {
    let (table, part) = split(key);
    let (affine, norm) = (affine(names, table), norm(names, table));
    let bias = affine.map(|found| &found.bias).or(norm.map(|found| &found.bias));
    let pattern = match (part, bias) {
        ("bias", Some(BiasName::Tensor(name))) => Some(name),
        _ => affine.map(|found| &found.weight).or(norm.map(|found| &found.gain)).or(optional(names, table)),
    };
    let layer = pattern.and_then(|pattern| {
        let (before, after) = pattern.split_once("{layer}")?;
        asked.strip_prefix(before)?.strip_suffix(after)
    });
    let Some(layer) = layer else { return near.to_string() };
    // The number as a whole, not the 1 of 12; rather one by itself than that of a word such as `linear1`.
    let bounded = |is_part: fn(char) -> bool| {
        let mut all = near.match_indices(layer).map(|(at, _)| at);
        all.find(|at| {
            let (front, back) = (&near[..*at], &near[at + layer.len()..]);
            !front.ends_with(is_part) && !back.starts_with(is_part)
        })
    };
    let found = bounded(char::is_alphanumeric).or_else(|| bounded(|c| c.is_ascii_digit()));
    found.map_or(near.to_string(), |at| format!("{}{{layer}}{}", &near[..at], &near[at + layer.len()..]))
}

fn affine<'n>(names: &'n Tensors, table: &str) -> Option<&'n AffineNames> {
    Some(match table {
        "stem" => &names.stem,
        "query" => &names.query,
        "key" => &names.key,
        "value" => &names.value,
        "output" => &names.output,
        "query_key" => names.query_key.as_ref()?,
        "expand" => &names.expand,
        "contract" => &names.contract,
        "hidden" => &names.hidden,
        "head" => &names.head,
        _ => return None,
    })
}

fn norm<'n>(names: &'n Tensors, table: &str) -> Option<&'n NormNames> {
    Some(match table {
        "embedding_norm" => &names.embedding_norm,
        "norm1" => &names.norm1,
        "norm2" => &names.norm2,
        "final_norm" => &names.final_norm,
        "pooled_norm" => &names.pooled_norm,
        _ => return None,
    })
}

/// Names of what attention stores for each layer.
fn optional<'n>(names: &'n Tensors, table: &str) -> Option<&'n String> {
    match table {
        "position_bias" => names.position_bias.as_ref(),
        "projection" => names.projection.as_ref(),
        "plan" => names.plan.as_ref(),
        "rotations" => names.rotations.as_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn lines_name_every_layer() {
        let names = Tensors::default();
        for (key, asked, near, right) in [
            (
                "tensors.query.weight",
                "l0.wq",
                "block.0.q",
                "query = { weight = \"block.{layer}.q\", bias = \"l{layer}.bq\" }",
            ),
            (
                "tensors.query.bias",
                "l2.bq",
                "l2.b_q",
                "query = { weight = \"l{layer}.wq\", bias = \"l{layer}.b_q\" }",
            ),
            // Not the number of the map.
            (
                "tensors.expand.weight",
                "l1.ff1.w",
                "l1.linear1",
                "expand = { weight = \"l{layer}.linear1\", bias = \"l{layer}.ff1.b\" }",
            ),
            (
                "tensors.norm1.gain",
                "l1.ln1.g",
                "h1.11.1.ln",
                "norm1 = { gain = \"h1.11.{layer}.ln\", bias = \"l{layer}.ln1.b\" }",
            ),
            ("tensors.head.weight", "head.w", "head.0", "head = { weight = \"head.0\", bias = \"head.b\" }"),
            ("tensors.positions", "pos", "pos0", "positions = \"pos0\""),
            ("tensors.axial[1]", "pos.1", "p.1", "axial = [\"pos.0\", \"p.1\"]"),
        ] {
            assert_eq!(line(&names, key, &in_every_layer(&names, key, asked, near)), right);
        }
    }

    #[test]
    fn what_a_model_may_lack() {
        let said = |key: &str| without(&Tensors::default(), key);
        assert_eq!(
            said("tensors.head.bias").unwrap(),
            "`head = { weight = \"head.w\", bias = false }` there"
        );
        assert_eq!(
            said("tensors.norm2.bias").unwrap(),
            "`norm2 = { gain = \"l{layer}.ln2.g\", bias = false }` there"
        );
        assert_eq!(said("tensors.positions").unwrap(), "`kind = \"none\"` under `[positions]`");
        assert_eq!(said("tensors.query.weight"), None);
    }

    #[test]
    fn lists_are_short() {
        let free: Vec<String> = (0..9).map(|i| format!("t{i}")).collect();
        let said = of_missing(&Tensors::default(), WRITTEN, ["tensors.table", "embed"], None, &free);
        assert!(
            said.starts_with("write under `[tensors]` `table = \"NAME\"`, NAME being one of `t0`"),
            "{said}"
        );
        assert!(said.ends_with("and 3 more"), "{said}");
    }
}
