//! Tensor names without what a wrapper of the model put before them.
//!
//! A model that was compiled, run on several devices or kept in a training module saves its parameters as
//! `_orig_mod.module.encoder.…` or `model.encoder.…`. The name that a description gives is looked for as it is, and then
//! without such words.

use std::collections::{BTreeMap, BTreeSet};
use std::string::String;
use std::vec::Vec;

/// What wrappers insert, wherever they stand: `torch.compile`, data parallelism, sharding, checkpointing, DeepSpeed.
const WRAPPERS: [&str; 5] =
    ["_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"];
/// What training modules call the model that they train.
const ROOTS: [&str; 4] = ["model", "net", "network", "student"];

/// Further names of tensors, each of one tensor alone.
#[derive(Debug, Default)]
pub(super) struct Aliases(BTreeMap<String, String>);

impl Aliases {
    /// Of all the tensors of a checkpoint.
    pub(super) fn of(names: &[String]) -> Self {
        let bare: Vec<Vec<&str>> = names.iter().map(|name| unwrapped(name)).collect();
        let common = common_front(&bare);
        let mut aliases = BTreeMap::new();
        let mut ambiguous = BTreeSet::new();
        for (name, segments) in names.iter().zip(&bare) {
            let roots = segments.iter().take_while(|segment| ROOTS.contains(segment)).count();
            for skipped in 0..=common.max(roots).min(segments.len() - 1) {
                let alias = segments[skipped..].join(".");
                if aliases.insert(alias.clone(), name.clone()).is_some_and(|other| other != *name) {
                    ambiguous.insert(alias);
                }
            }
        }
        // Of two tensors that would have one name neither has it: a wrong one would be worse than none.
        aliases.retain(|alias, _| !ambiguous.contains(alias));
        Self(aliases)
    }

    /// The tensor that an alias stands for.
    pub(super) fn tensor(&self, alias: &str) -> Option<&str> {
        self.0.get(alias).map(String::as_str)
    }

    /// Every name of a tensor, its own among them.
    pub(super) fn names<'a>(&'a self, tensor: &'a str) -> impl Iterator<Item = &'a str> {
        let further = self.0.iter().filter(move |(_, of)| *of == tensor).map(|(alias, _)| alias.as_str());
        core::iter::once(tensor).chain(further)
    }
}

/// A name's parts without those of wrappers.
fn unwrapped(name: &str) -> Vec<&str> {
    let parts: Vec<&str> = name.split('.').filter(|part| !WRAPPERS.contains(part)).collect();
    if parts.is_empty() { Vec::from([name]) } else { parts }
}

/// How many parts at the front all names have in common; the last part of a name is none of them.
fn common_front(names: &[Vec<&str>]) -> usize {
    let Some((first, rest)) = names.split_first() else { return 0 };
    let shared =
        |count: &usize| rest.iter().all(|name| name.len() > count + 1 && name[*count] == first[*count]);
    (0..first.len().saturating_sub(1)).take_while(shared).count()
}

#[cfg(test)]
mod tests {
    use std::borrow::ToOwned;

    use super::*;

    fn aliases(names: &[&str]) -> Aliases {
        Aliases::of(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn wrappers_are_looked_through() {
        for prefix in ["", "module.", "_orig_mod.module.", "model.", "model._orig_mod.", "lightning.wrapped."]
        {
            let names = ["stem.w", "l0.wq", "l0.wk"].map(|name| [prefix, name].concat());
            let aliases = Aliases::of(&names);
            assert_eq!(aliases.tensor("l0.wq"), Some(&*names[1]), "{prefix}");
            assert!(aliases.names(&names[1]).any(|name| name == "l0.wq"));
        }
        let within = aliases(&["encoder._orig_mod.layers.0.w", "head.w"]);
        assert_eq!(within.tensor("encoder.layers.0.w"), Some("encoder._orig_mod.layers.0.w"));
        // The loss of a training module has tensors of its own.
        let beside = aliases(&["model.head.w", "model.stem.w", "loss.weight"]);
        assert_eq!(beside.tensor("head.w"), Some("model.head.w"));
    }

    #[test]
    fn a_name_of_two_tensors_is_of_none() {
        let both = aliases(&["model.head.w", "student.head.w"]);
        assert_eq!(both.tensor("head.w"), None);
        assert_eq!(both.tensor("model.head.w"), Some("model.head.w"));
    }
}
