//! Weights of a Keras model, saved under their paths: `transformer_block/multi_head_attention/query/kernel`.
//!
//! Keras numbers layers of a kind through the whole model, so that the tensors of a block have no number in common: the
//! description names them one by one, under `tensors.rename`.

use std::borrow::ToOwned;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::around::Style;
use super::{Around, Shapes, Text};

/// A name's parts, numbers by their value: `dense_10` comes after `dense_9` and `dense` before `dense_1`.
fn natural(name: &str) -> Vec<(String, usize)> {
    let parts = name.split('/').map(|part| match part.rsplit_once('_') {
        Some((word, number)) if number.parse::<usize>().is_ok() => {
            (word.to_owned(), number.parse().unwrap_or(0))
        }
        _ => (part.to_owned(), 0),
    });
    parts.collect()
}

pub(super) fn describe(shapes: &Shapes) -> Option<Result<Text, String>> {
    let mut heads: Vec<&str> = shapes.keys().filter_map(|name| name.strip_suffix("/query/kernel")).collect();
    heads.retain(|name| shapes[&format!("{name}/query/kernel")].len() == 3);
    heads.sort_by_key(|name| natural(name));
    (!heads.is_empty()).then(|| of(shapes, &heads))
}

/// Norms and pairs of dense layers of one block.
struct Block<'s> {
    norms: Vec<&'s str>,
    dense: Vec<&'s str>,
}

fn of(shapes: &Shapes, attentions: &[&str]) -> Result<Text, String> {
    let [width, heads, head_width] = shapes[&format!("{}/query/kernel", attentions[0])][..] else {
        return Err("its query has no axes for the heads".to_string());
    };
    let inside = |name: &str| attentions.iter().any(|attention| name.starts_with(&format!("{attention}/")));
    let mut outside: Vec<&str> = shapes.keys().map(String::as_str).filter(|name| !inside(name)).collect();
    outside.sort_by_key(|name| natural(name));
    let of_kind = |ending: &'static str| outside.iter().filter_map(move |name| name.strip_suffix(ending));
    let norms: Vec<&str> =
        of_kind("/gamma").filter(|name| shapes[&format!("{name}/gamma")] == [width]).collect();
    let dense: Vec<&str> =
        of_kind("/kernel").filter(|name| shapes[&format!("{name}/kernel")].len() == 2).collect();
    let blocks = blocks(shapes, attentions, &norms, &dense, width)?;
    let first = blocks[0].dense[0];
    let hidden = shapes[&format!("{first}/kernel")][1];

    let mut text = Text::default();
    text.quoted("", "name", "keras");
    text.set("encoder", "layers", attentions.len());
    text.set("encoder", "width", width);
    text.set("encoder", "heads", heads);
    if heads * head_width != width {
        text.set("encoder", "head_width", head_width);
    }
    text.set("encoder", "hidden", hidden);
    text.guess(
        "encoder",
        "activation",
        "\"relu\"",
        "of the dense layers; Keras' gelu is \"gelu\", `approximate=True` \"gelu-tanh\"",
    );
    text.guess(
        "encoder",
        "norm",
        "\"post\"",
        "\"pre\" where the norms come before attention and dense layers",
    );
    text.guess("encoder", "epsilon", "1e-6", "`epsilon` of the norms: 1e-3 unless the code says otherwise");
    text.quoted("tensors", "layout", "in-out");
    let mut used = Vec::new();
    for (layer, (attention, block)) in attentions.iter().zip(&blocks).enumerate() {
        let mut rename = |ours: &str, theirs: String| {
            text.line("tensors.rename", format!("\"l{layer}.{ours}\" = \"{theirs}\""));
            used.push(theirs);
        };
        let projections = [("q", "query"), ("k", "key"), ("v", "value"), ("o", "attention_output")];
        for (ours, theirs) in projections {
            rename(&format!("w{ours}"), format!("{attention}/{theirs}/kernel"));
            rename(&format!("b{ours}"), format!("{attention}/{theirs}/bias"));
        }
        for (index, norm) in block.norms.iter().enumerate() {
            rename(&format!("ln{}.g", index + 1), format!("{norm}/gamma"));
            rename(&format!("ln{}.b", index + 1), format!("{norm}/beta"));
        }
        for (index, dense) in block.dense.iter().enumerate() {
            rename(&format!("ff{}.w", index + 1), format!("{dense}/kernel"));
            rename(&format!("ff{}.b", index + 1), format!("{dense}/bias"));
        }
    }
    let missing = used.iter().find(|name| !shapes.contains_key(*name));
    if let Some(name) = missing {
        return Err(format!("it has no `{name}`"));
    }
    let rest = outside.iter().filter(|name| !used.iter().any(|used| used == *name));
    let rest: Vec<(&str, &[usize])> = rest.map(|name| (*name, shapes[*name].as_slice())).collect();
    Around::of(&rest, width, Style::Keras).write(&mut text, width)?;
    Ok(text)
}

/// Which norms and dense layers belong to which attention: those under the same layer, or as many as there are for each in
/// the order of their numbers.
fn blocks<'s>(
    shapes: &Shapes,
    attentions: &[&str],
    norms: &[&'s str],
    dense: &[&'s str],
    width: usize,
) -> Result<Vec<Block<'s>>, String> {
    let kernel = |name: &str| &shapes[&format!("{name}/kernel")][..];
    // An expanding layer and the contracting one that follows it.
    let pairs = |dense: &[&'s str]| -> Vec<[&'s str; 2]> {
        let fits = |pair: &&[&'s str]| {
            let (first, second) = (kernel(pair[0]), kernel(pair[1]));
            first[0] == width && second[1] == width && first[1] == second[0]
        };
        dense.windows(2).filter(fits).map(|pair| [pair[0], pair[1]]).collect()
    };
    let roots: Vec<&str> = attentions.iter().map(|name| name.split('/').next().unwrap_or(name)).collect();
    let distinct = roots.iter().all(|root| roots.iter().filter(|other| *other == root).count() == 1);
    let nested = attentions.iter().all(|name| name.contains('/'));
    if distinct && nested {
        let under = |root: &str, names: &[&'s str]| -> Vec<&'s str> {
            names.iter().copied().filter(|name| name.split('/').next() == Some(root)).collect()
        };
        return roots
            .iter()
            .map(|root| {
                let (norms, dense) = (under(root, norms), pairs(&under(root, dense)));
                match (norms.len(), dense.first()) {
                    (2, Some(pair)) => Ok(Block { norms, dense: pair.to_vec() }),
                    (count, _) => Err(format!(
                        "`{root}` has {count} norms and {} pairs of dense layers, not 2 and 1",
                        dense.len()
                    )),
                }
            })
            .collect();
    }
    let (count, pairs) = (attentions.len(), pairs(dense));
    // Norms outside the blocks: one before them, or one after them.
    if pairs.len() < count || norms.len() < 2 * count {
        return Err(format!(
            "it has {} norms and {} pairs of dense layers for {count} attentions",
            norms.len(),
            pairs.len()
        ));
    }
    let block =
        |layer: usize| Block { norms: norms[2 * layer..][..2].to_vec(), dense: pairs[layer].to_vec() };
    Ok((0..count).map(block).collect())
}
