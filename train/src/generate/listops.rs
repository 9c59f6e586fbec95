//! ListOps: nested operations on digits (Nangia and Bowman 2018), with the token ids of the Long Range Arena.

use std::collections::HashSet;

use fixformer::host::draw::Source;

use super::Splits;
use crate::data::Set;

/// Recordings of the three splits.
pub const COUNTS: [usize; 3] = [48_000, 600, 1000];

const MAX_DEPTH: usize = 10;
const MAX_ARGUMENTS: usize = 10;
/// Tokens of a tree that is taken, exclusive.
const TOKENS: (usize, usize) = (16, 512);
/// Share of operators among the nodes above the deepest.
const OPERATORS: f64 = 0.25;

/// Different trees for `counts` splits.
pub fn splits(seed: u64, counts: [usize; 3]) -> Splits {
    let mut source = Source(seed);
    let mut seen = HashSet::new();
    let [train, validation, test] = counts.map(|count| {
        let mut set = Set::default();
        while set.rows.len() < count {
            let tree = Tree::draw(&mut source, 1);
            let ids = tree.ids();
            if ids.len() > TOKENS.0 && ids.len() < TOKENS.1 && seen.insert(ids.clone()) {
                set.labels.push(tree.value());
                set.rows.push(ids);
            }
        }
        set
    });
    Splits { train, validation, test }
}

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// 0 to 9.
    Digit(usize),
    /// An operator and what it is applied to.
    Node(Operator, Vec<Tree>),
}

/// What is done with the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "`Tree::value` says it")]
pub enum Operator {
    Min,
    Max,
    Median,
    SumModulo,
}

const OPERATOR: [Operator; 4] = [Operator::Min, Operator::Max, Operator::Median, Operator::SumModulo];
const END: i16 = 15;

impl Tree {
    fn draw(source: &mut Source, depth: usize) -> Tree {
        if depth == MAX_DEPTH || source.uniform() > OPERATORS {
            return Tree::Digit(source.below(10));
        }
        let arguments = 2 + source.below(MAX_ARGUMENTS - 1);
        let arguments = (0..arguments).map(|_| Tree::draw(source, depth + 1)).collect();
        Tree::Node(OPERATOR[source.below(4)], arguments)
    }

    /// What it comes to, 0 to 9.
    pub fn value(&self) -> usize {
        let Tree::Node(operator, arguments) = self else {
            let Tree::Digit(digit) = self else { return 0 };
            return *digit;
        };
        let mut values: Vec<usize> = arguments.iter().map(Tree::value).collect();
        values.sort_unstable();
        let middle = values.len() / 2;
        match operator {
            Operator::Min => values[0],
            Operator::Max => values[values.len() - 1],
            Operator::Median if values.len() % 2 == 1 => values[middle],
            Operator::Median => (values[middle - 1] + values[middle]) / 2,
            Operator::SumModulo => values.iter().sum::<usize>() % 10,
        }
    }

    /// Token ids: 1 to 10 are the digits, 11 to 14 the operators, 15 the end of the arguments.
    pub fn ids(&self) -> Vec<i16> {
        match self {
            Tree::Digit(digit) => vec![*digit as i16 + 1],
            Tree::Node(operator, arguments) => {
                let mut ids = vec![11 + *operator as i16];
                arguments.iter().for_each(|argument| ids.extend(argument.ids()));
                ids.push(END);
                ids
            }
        }
    }

    /// The tree that `ids` are; none if they are no tree.
    pub fn parse(ids: &[i16]) -> Option<Tree> {
        let (tree, rest) = Tree::first(ids)?;
        rest.is_empty().then_some(tree)
    }

    fn first(ids: &[i16]) -> Option<(Tree, &[i16])> {
        let (&id, mut rest) = ids.split_first()?;
        if (1..=10).contains(&id) {
            return Some((Tree::Digit(id as usize - 1), rest));
        }
        let operator = *OPERATOR.get(usize::try_from(id - 11).ok()?)?;
        let mut arguments = Vec::new();
        while *rest.first()? != END {
            let (argument, after) = Tree::first(rest)?;
            arguments.push(argument);
            rest = after;
        }
        (!arguments.is_empty()).then(|| (Tree::Node(operator, arguments), &rest[1..]))
    }
}
