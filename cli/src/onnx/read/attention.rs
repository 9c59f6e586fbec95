//! Queries meet keys, and weights meet values.

use std::rc::Rc;

use super::super::array::Array;
use super::super::constant::groups;
use super::super::error::Problem;
use super::super::expression::{Element, Expression, Id, Rows};
use super::super::graph::{Constant, Kind, Node};
use super::super::layout::Parameters;
use super::linear::common_lead;
use super::{Reader, Value};

/// One head's part of a tensor: a recording, and the columns that the head has.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    batch: u32,
    columns: Vec<usize>,
}

impl Reader<'_> {
    /// The product of two tensors of the recording.
    pub(super) fn matched(&mut self, node: &Node, a: &Rows, b: &Rows) -> Result<Rows, Problem> {
        let (a, b) = (self.settled(a)?, self.settled(b)?);
        let lead = common_lead(&a.at, &b.at);
        let spread = |rows: &Rows, lead: &[usize]| {
            let (rank, shape) = (rows.at.rank(), &rows.at.shape);
            let shape = [lead, &shape[rank - 2..]].concat();
            Some(Rows { at: Rc::new(rows.at.broadcast(&shape)?), ..rows.clone() })
        };
        let both = lead.as_ref().and_then(|lead| Some((spread(&a, lead)?, spread(&b, lead)?)));
        let (Some(lead), Some((a, b))) = (lead, both) else {
            return Err(Problem::at(node, "multiplies tensors whose shapes do not fit"));
        };
        let weights = |this: &Self, id: Id| matches!(this.expressions.get(id), Expression::Weights { .. });
        if weights(self, a.id) {
            return self.answered(node, &lead, &a, &b);
        }
        if weights(self, b.id) {
            let turned = |rows: &Rows| Rows { at: rows.at.matrices_transposed().into(), ..rows.clone() };
            let rows = self.answered(node, &lead, &turned(&b), &turned(&a))?;
            return Ok(turned(&rows));
        }
        self.scored(node, &lead, &a, &b)
    }

    /// Queries `[.., tokens, d]` and keys `[.., d, tokens]`.
    fn scored(&mut self, node: &Node, lead: &[usize], a: &Rows, b: &Rows) -> Result<Rows, Problem> {
        let keys = b.at.matrices_transposed();
        let tokens = self.expressions.entry(a.id).tokens;
        if self.expressions.entry(b.id).tokens != tokens {
            return Err(Problem::at(
                node,
                "queries and keys of sequences of different lengths; expected self-attention",
            ));
        }
        let queries = parts(node, &a.at, tokens, "query")?;
        let keys = parts(node, &keys, tokens, "key")?;
        let heads = by_recording(node, &queries, &keys)?;
        let gathered =
            |of: &dyn Fn(&(Part, Part)) -> Vec<usize>| heads.iter().flat_map(of).collect::<Vec<usize>>();
        let (q, k) = (gathered(&|(q, _)| q.columns.clone()), gathered(&|(_, k)| k.columns.clone()));
        let place = node.place();
        let (q, k) = (self.expressions.selected(a.id, q, &place), self.expressions.selected(b.id, k, &place));
        let scores = Expression::Scores { q, k, heads: heads.len(), scale: 1.0, causal: false };
        let id = self.expressions.add(scores, tokens, heads.len() * tokens, &place);
        let head = |query: &Part, key: &Part| {
            heads.iter().position(|(q, k)| (&q.columns, &k.columns) == (&query.columns, &key.columns))
        };
        let mut data = Vec::with_capacity(queries.len() * tokens * tokens);
        for (query, key) in queries.iter().zip(&keys) {
            let head = head(query, key).unwrap_or(0) * tokens;
            for token in 0..tokens as u32 {
                let element =
                    |key: usize| Element { batch: query.batch, token, feature: (head + key) as u32 };
                data.extend((0..tokens).map(element));
            }
        }
        Ok(self.rows(id, Array::new([lead, &[tokens, tokens]].concat(), data)))
    }

    /// Weights `[.., tokens, keys]` and values `[.., keys, d]`.
    fn answered(
        &mut self,
        node: &Node,
        lead: &[usize],
        weights: &Rows,
        values: &Rows,
    ) -> Result<Rows, Problem> {
        let tokens = self.expressions.entry(weights.id).tokens;
        let Expression::Weights { of } = *self.expressions.get(weights.id) else { unreachable!() };
        let Expression::Scores { q, k, heads, scale, causal } = *self.expressions.get(of) else {
            unreachable!()
        };
        if self.expressions.entry(values.id).tokens != tokens {
            return Err(Problem::at(
                node,
                "weights and values of different lengths; expected self-attention",
            ));
        }
        let found = parts(node, &values.at, tokens, "value")?;
        let wrong =
            || Problem::at(node, "weights and values of different heads; expected those of the same head");
        let mut columns: Vec<Option<Vec<usize>>> = vec![None; heads];
        let mut order = Vec::with_capacity(found.len());
        for (part, rows) in found.iter().zip(weights.at.data.chunks(tokens * tokens)) {
            let head = rows[0].feature as usize / tokens;
            let straight = rows.iter().zip(0..).all(|(element, index): (_, usize)| {
                let (token, key) = (index / tokens, head * tokens + index % tokens);
                *element == Element { batch: part.batch, token: token as u32, feature: key as u32 }
            });
            if !straight || columns[head].get_or_insert_with(|| part.columns.clone()) != &part.columns {
                return Err(wrong());
            }
            order.push((part.batch, head));
        }
        let columns: Vec<Vec<usize>> = columns.into_iter().collect::<Option<_>>().ok_or_else(wrong)?;
        let width = columns[0].len();
        let place = node.place();
        let v = self.expressions.selected(values.id, columns.concat(), &place);
        let attention = Expression::Attention { q, k, v, heads, scale, causal };
        let id = self.expressions.add(attention, tokens, heads * width, &place);
        let mut data = Vec::with_capacity(order.len() * tokens * width);
        for (batch, head) in order {
            for token in 0..tokens as u32 {
                let element =
                    |column: usize| Element { batch, token, feature: (head * width + column) as u32 };
                data.extend((0..width).map(element));
            }
        }
        Ok(self.rows(id, Array::new([lead, &[tokens, width]].concat(), data)))
    }

    /// `Softmax`, which has to be that of scores over their keys.
    pub(super) fn softmax(&mut self, parameters: &Parameters<'_>, rows: &Rows) -> Result<Rows, Problem> {
        let node = parameters.node;
        let rows = self.settled(rows)?;
        let entry = self.expressions.entry(rows.id);
        let (tokens, features) = (entry.tokens, entry.features);
        if !matches!(entry.expression, Expression::Scores { .. }) {
            return Err(parameters.problem(
                "of something else than queries times keys; if it ends the model, export the scores before it: the \
                 class is the same",
            ));
        }
        let rank = rows.at.rank();
        // Before version 13 it went over all axes from this one on.
        let axes: Vec<usize> = match (parameters.opset, node.int("axis")) {
            (13.., axis) => vec![parameters.axis(axis.unwrap_or(-1), rank)?],
            (_, axis) => (parameters.axis(axis.unwrap_or(1), rank)?..rank).collect(),
        };
        let (_, groups) = groups(&rows.at, &axes, false);
        let whole = groups.iter().all(|group| {
            let first = group[0];
            let keys = |(element, key): (&Element, u32)| {
                *element == Element { feature: first.feature + key, ..first }
            };
            group.len() == tokens
                && (first.feature as usize).is_multiple_of(tokens)
                && group.iter().zip(0..).all(keys)
        });
        if !whole {
            return Err(
                parameters.problem("not over the keys of one query; expected the last axis of the scores")
            );
        }
        let id = self.expressions.add(Expression::Weights { of: rows.id }, tokens, features, &node.place());
        Ok(self.rows(id, Array::clone(&rows.at)))
    }

    /// The one operator that newer sets have for all of it.
    pub(super) fn attention(
        &mut self,
        parameters: &Parameters<'_>,
        values: &[Option<Value>],
    ) -> Result<Rows, Problem> {
        let node = parameters.node;
        let [Some(Value::Rows(q)), Some(Value::Rows(k)), Some(Value::Rows(v)), ..] = values else {
            return Err(parameters.problem("has keys or values that are constants; expected self-attention"));
        };
        if node.float("softcap").is_some_and(|cap| cap != 0.0) {
            return Err(parameters.problem("bounds its scores (`softcap`); expected plain attention"));
        }
        if values.iter().skip(4).any(Option::is_some) {
            return Err(parameters.problem("takes keys of the past; export the model without a cache"));
        }
        let flat = q.at.rank() == 3;
        let count =
            |name: &str| node.int(name).and_then(|count| usize::try_from(count).ok()).filter(|&n| n > 0);
        let unfit = || parameters.problem("heads that do not divide its width; the file is damaged");
        // [batch, tokens, heads · d] or [batch, heads, tokens, d].
        let by_head = |rows: &Rows, name: &str| {
            let at = match (flat, count(name)) {
                (false, _) => Array::clone(&rows.at),
                (true, Some(heads)) => {
                    let [batch, tokens, width] = rows.at.shape[..] else { return Err(unfit()) };
                    let shape = vec![batch, tokens, heads, width / heads];
                    Array::clone(&rows.at).reshaped(shape).ok_or_else(unfit)?.transposed(&[0, 2, 1, 3])
                }
                (true, None) => return Err(unfit()),
            };
            Ok(Rows { at: at.into(), ..rows.clone() })
        };
        let (q, k, v) =
            (by_head(q, "q_num_heads")?, by_head(k, "kv_num_heads")?, by_head(v, "kv_num_heads")?);
        if q.at.rank() != 4 || k.at.rank() != 4 || v.at.rank() != 4 {
            return Err(unfit());
        }
        let heads = q.at.shape[1];
        let repeated = |rows: &Rows| {
            let own = rows.at.shape[1];
            let share = heads.checked_div(own).filter(|share| share * own == heads).ok_or_else(unfit)?;
            let indices: Vec<usize> = (0..heads).map(|head| head / share).collect();
            Ok(Rows { at: rows.at.taken(1, &indices).into(), ..rows.clone() })
        };
        let (k, v) = (repeated(&k)?, repeated(&v)?);
        let scale = node.float("scale").unwrap_or(1.0 / (q.at.shape[3] as f64).sqrt());
        let turned = Rows { at: k.at.matrices_transposed().into(), ..k };
        let mut scores = self.matched(node, &q, &turned)?;
        scores = Rows { place: node.place(), ..scores.then(|x| x * scale) };
        let tokens = *scores.at.shape.last().unwrap_or(&0);
        let masks = [
            (node.int("is_causal") == Some(1)).then(|| {
                let hidden =
                    |index: usize| if index % tokens > index / tokens { f64::NEG_INFINITY } else { 0.0 };
                let data = (0..tokens * tokens).map(hidden).collect();
                Constant { array: Array::new(vec![tokens, tokens], data), kind: Kind::Real }
            }),
            match values.get(3) {
                None | Some(None) => None,
                Some(Some(Value::Rows(_))) => {
                    return Err(
                        parameters.problem("has a mask that depends on the recording; expected a constant")
                    );
                }
                Some(Some(Value::Constant(mask))) => Some(match mask.kind {
                    Kind::Real => Constant::clone(mask),
                    _ => {
                        let hidden = |x: f64| if x == 0.0 { f64::NEG_INFINITY } else { 0.0 };
                        Constant { array: mask.array.map(hidden), kind: Kind::Real }
                    }
                }),
            },
        ];
        for mask in masks.into_iter().flatten() {
            scores = self.with_constant(node, "Add", &scores, &mask, false, &|a, b| a + b)?;
        }
        let weights = Node {
            name: node.name.clone(),
            operator: node.operator.clone(),
            inputs: vec![],
            outputs: node.outputs.clone(),
            attributes: std::collections::HashMap::new(),
        };
        let plain = Parameters { node: &weights, opset: parameters.opset, constants: vec![] };
        let weights = self.softmax(&plain, &scores)?;
        let rows = self.matched(node, &weights, &v)?;
        if !flat {
            return Ok(rows);
        }
        let [batch, heads, tokens, width] = rows.at.shape[..] else { return Err(unfit()) };
        let at = rows
            .at
            .transposed(&[0, 2, 1, 3])
            .reshaped(vec![batch, tokens, heads * width])
            .ok_or_else(unfit)?;
        Ok(Rows { at: at.into(), ..rows })
    }
}

/// For each matrix `[tokens, d]` of `at`: whose it is, and which columns. Row i has to be token i.
fn parts(node: &Node, at: &Array<Element>, tokens: usize, what: &str) -> Result<Vec<Part>, Problem> {
    let wrong = |text: &str| Problem::at(node, format!("{what}: {text}"));
    let rank = at.rank();
    let (rows, width) = (at.shape[rank - 2], at.shape[rank - 1]);
    if rows != tokens || width == 0 {
        return Err(wrong("expected a row for each token, as in self-attention over all tokens"));
    }
    at.data
        .chunks(rows * width)
        .map(|matrix| {
            let batch = matrix[0].batch;
            let columns: Vec<usize> =
                matrix[..width].iter().map(|element| element.feature as usize).collect();
            let straight = matrix.iter().enumerate().all(|(index, element)| {
                let feature = columns[index % width] as u32;
                *element == Element { batch, token: (index / width) as u32, feature }
            });
            straight.then_some(Part { batch, columns }).ok_or_else(|| {
                wrong("rows are no tokens of one recording in order; expected attention over the tokens")
            })
        })
        .collect()
}

/// The heads of the first recording, which all others have to have too.
fn by_recording(node: &Node, queries: &[Part], keys: &[Part]) -> Result<Vec<(Part, Part)>, Problem> {
    let mut recordings: std::collections::BTreeMap<u32, Vec<(Part, Part)>> =
        std::collections::BTreeMap::new();
    for (query, key) in queries.iter().zip(keys) {
        if query.batch != key.batch {
            return Err(Problem::at(node, "queries of one recording meet keys of another"));
        }
        recordings.entry(query.batch).or_default().push((query.clone(), key.clone()));
    }
    let mut recordings = recordings.into_values();
    let first = recordings.next().unwrap_or_default();
    let columns = |heads: &[(Part, Part)]| {
        heads.iter().map(|(q, k)| (q.columns.clone(), k.columns.clone())).collect::<Vec<_>>()
    };
    if recordings.any(|heads| columns(&heads) != columns(&first)) {
        return Err(Problem::at(node, "has other heads for other recordings of a batch"));
    }
    Ok(first)
}
