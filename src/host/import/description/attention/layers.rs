//! Attention of every layer: one for all, or one each.

use std::fmt;
use std::format;
use std::string::ToString;
use std::vec::Vec;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Attention, Problem, Tensors};

/// Largest number that the chunks of all layers divide: what a model file has room for.
const MOST_MULTIPLE: usize = 1 << 30;

/// `encoder.attention`: a single one for all layers, or a list with one each.
#[derive(Debug, Clone)]
pub struct Attentions(Vec<Attention>);

impl Attentions {
    /// Of a layer.
    pub fn of(&self, layer: usize) -> &Attention {
        &self.0[layer.min(self.0.len() - 1)]
    }

    /// What the chunks of all layers divide; 1 where no layer has chunks.
    pub(in crate::host::import) fn multiple(&self) -> usize {
        self.0.iter().filter_map(Attention::chunk).fold(1, least_common_multiple)
    }

    /// Refuses parameters that contradict each other, and names of tensors that no layer has.
    pub(in crate::host::import::description) fn check(
        &self,
        layers: usize,
        tensors: &Tensors,
    ) -> Result<(), Problem> {
        if self.0.len() > 1 && self.0.len() != layers {
            let what = format!("lists {}, for {layers} layers; give one for each, or one", self.0.len());
            return Err(Problem::Field { field: "encoder.attention".to_string(), problem: what });
        }
        let has = |wanted: fn(&Attention) -> bool| self.0.iter().any(wanted);
        let named = [
            (
                "position_bias",
                &tensors.position_bias,
                "hierarchical",
                has(|a| matches!(a, Attention::Hierarchical { .. })),
            ),
            ("projection", &tensors.projection, "favor", has(|a| matches!(a, Attention::Favor(_)))),
            ("plan", &tensors.plan, "bigbird", has(|a| matches!(a, Attention::BigBird(_)))),
            ("rotations", &tensors.rotations, "lsh", has(|a| matches!(a, Attention::Lsh(_)))),
        ];
        for (key, name, kind, there) in named {
            if name.is_some() && !there {
                let what = format!("is given, but only attention of the kind `{kind}` has one; remove it");
                return Err(Problem::Field { field: format!("tensors.{key}"), problem: what });
            }
        }
        self.0.iter().try_for_each(|attention| attention.check(tensors))?;
        let multiple = self.multiple();
        if multiple > MOST_MULTIPLE {
            let what = format!(
                "has chunks that all divide no number below {multiple}; a model file takes at most {MOST_MULTIPLE}: give \
                 the layers the same chunk"
            );
            return Err(Problem::Field { field: "encoder.attention".to_string(), problem: what });
        }
        Ok(())
    }
}

impl Default for Attentions {
    fn default() -> Self {
        Attention::default().into()
    }
}

impl From<Attention> for Attentions {
    fn from(attention: Attention) -> Self {
        Attentions(Vec::from([attention]))
    }
}

impl From<Vec<Attention>> for Attentions {
    /// An empty list means the default.
    fn from(list: Vec<Attention>) -> Self {
        if list.is_empty() { Attentions::default() } else { Attentions(list) }
    }
}

impl<'de> Deserialize<'de> for Attentions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrList;

        impl<'de> Visitor<'de> for OneOrList {
            type Value = Attentions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table with `kind`, or a list of such tables")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Attentions, A::Error> {
                Attention::deserialize(MapAccessDeserializer::new(map)).map(Attentions::from)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Attentions, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(|list: Vec<Attention>| list.into())
            }
        }

        deserializer.deserialize_any(OneOrList)
    }
}

fn least_common_multiple(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    // What is cut off here is refused.
    (a / x.max(1)).saturating_mul(b)
}
