//! Makes version 4 of a model file of version 3: the same weights, and what is new beside them. Extra bits of causal
//! hierarchical layers come from the recordings that the model was trained with.
//!
//! `cargo run --release --features std --example convert -- FILE.fxm DATA-FOLDER`

#![allow(dead_code, missing_docs, unfulfilled_lint_expectations, unreachable_pub)] // Files of other crates.

use fixformer::Model;
use fixformer::host::data::{Options, Split, load};
use fixformer::host::quantize::extra_bits;
use fixformer::kernels::pair_len;
use fixformer::model::{AttentionKind, Hierarchical};
use std::path::{Path, PathBuf};
use std::{env, fs};

mod data {
    #[derive(Clone, Debug, Default)]
    pub struct Set {
        pub rows: Vec<Vec<i16>>,
        pub labels: Vec<usize>,
    }
}

// The two data sets that are drawn, not stored.
#[path = "../train/src/generate/listops.rs"]
mod listops;
#[path = "../train/src/generate/needle.rs"]
mod needle;

pub struct Splits {
    pub train: data::Set,
    pub validation: data::Set,
    pub test: data::Set,
}

const HORIZON: u32 = 16_384;
const TAGS: [&[u8; 4]; 3] = [b"NETW", b"NAME", b"UNIT"];

fn main() {
    let mut arguments = env::args().skip(1).map(PathBuf::from);
    let (file, folder) = (arguments.next().expect("a model file"), arguments.next().expect("a folder"));
    let bytes = fs::read(&file).unwrap();
    let words: Vec<u32> = bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
    if words[1] == 4 {
        return println!("{}: is of version 4", file.display());
    }
    assert_eq!((words[1], words[2] as usize), (3, words.len()), "{}", file.display());
    let plain = converted(&words, &[]);
    let model = Model::parse(&plain).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let wants = |kind: &AttentionKind<'_>| matches!(kind, AttentionKind::Hierarchical(Hierarchical { extra, .. }) if !extra.is_empty());
    let new = if model.blocks().any(|block| wants(&block.attention.kind)) {
        let extra = extra_bits(model, &recordings(&file, &folder)).unwrap();
        println!("{}: extra bits {extra:?}", file.display());
        converted(&words, &extra)
    } else {
        plain
    };
    Model::parse(&new).unwrap();
    fs::write(&file, new.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>()).unwrap();
    println!("{}: {} words, {} before", file.display(), new.len(), words.len());
}

/// The training recordings, as the recipe beside the file names them.
fn recordings(file: &Path, folder: &Path) -> Vec<Vec<i16>> {
    let text = fs::read_to_string(file.with_extension("toml")).unwrap();
    let recipe: toml::Table = text.parse().unwrap();
    match recipe["train"]["data"].as_str().unwrap() {
        "needle.npz" => needle::splits(0, needle::COUNTS).train.rows,
        "listops.npz" => listops::splits(0, listops::COUNTS).train.rows,
        name => load(&folder.join(name), Split::Train, Options::default()).unwrap().rows,
    }
}

fn converted(words: &[u32], extra: &[Vec<i8>]) -> Vec<u32> {
    let (name, rest) = words[4..].split_at(8);
    let (sizes, rest) = rest.split_at(8);
    let mut walk = Walk { rest, out: vec![sizes[0], HORIZON.max(sizes[0])] };
    walk.out.extend(&sizes[1..7]);
    let [width, heads, blocks] = [1, 2, 4].map(|index| sizes[index] as usize);
    walk.input();
    walk.positions(width);
    walk.optional(Walk::norm);
    for block in 0..blocks {
        walk.block(heads, extra.get(block).map(Vec::as_slice));
    }
    walk.optional(Walk::norm);
    walk.optional(|walk| {
        walk.copy(1);
        walk.linear();
    });
    walk.linear();
    assert!(walk.rest.is_empty());
    let name: Vec<u32> = name.iter().copied().take_while(|&word| word != 0).collect();
    let unit = sizes[7];
    let contents = [walk.out, name, if unit == 0 { vec![] } else { vec![unit] }];
    let present: Vec<_> = TAGS.iter().zip(contents).filter(|(_, content)| !content.is_empty()).collect();
    let mut out = vec![words[0], 4, 0, 0, present.len() as u32];
    let mut offset = out.len() + 4 * present.len();
    for (tag, content) in &present {
        let needed = u32::from(*tag == TAGS.first().unwrap());
        out.extend([u32::from_le_bytes(***tag), needed, offset as u32, content.len() as u32]);
        offset += content.len();
    }
    present.iter().for_each(|(_, content)| out.extend(content));
    out[2] = out.len() as u32;
    out[3] = crc32fast::hash(&out[4..].iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>());
    out
}

/// The records of version 3, from one to the next.
struct Walk<'a> {
    rest: &'a [u32],
    out: Vec<u32>,
}

impl Walk<'_> {
    fn copy(&mut self, count: usize) {
        let (words, rest) = self.rest.split_at(count);
        self.out.extend(words);
        self.rest = rest;
    }

    fn word(&mut self) -> usize {
        self.copy(1);
        self.out[self.out.len() - 1] as usize
    }

    fn i16s(&mut self, count: usize) {
        self.copy(count.div_ceil(2));
    }

    fn matrix(&mut self, count: usize) {
        match self.word() {
            8 => self.copy(count.div_ceil(4)),
            _ => self.i16s(count),
        }
    }

    fn optional(&mut self, record: impl Fn(&mut Self)) {
        if self.word() == 1 {
            record(self);
        }
    }

    fn linear(&mut self) {
        let (inputs, outputs) = (self.word(), self.word());
        self.copy(2);
        self.i16s(outputs);
        self.copy(outputs);
        self.matrix(outputs.div_ceil(2) * pair_len(inputs));
    }

    fn table(&mut self) {
        let (rows, width) = (self.word(), self.word());
        self.copy(2);
        self.i16s(width);
        self.matrix(rows * width);
    }

    fn norm(&mut self) {
        let width = self.word();
        self.copy(4);
        self.i16s(width);
        self.copy(width);
    }

    fn input(&mut self) {
        match self.word() {
            0 => {
                self.copy(5);
                self.linear();
            }
            1 => {
                self.copy(4);
                self.linear();
            }
            _ => self.table(),
        }
    }

    fn positions(&mut self, width: usize) {
        match self.word() {
            0 => {}
            1 => self.table(),
            3 => {
                self.copy(1);
                self.table();
                self.table();
            }
            _ => self.copy(width.div_ceil(2)),
        }
    }

    fn block(&mut self, heads: usize, extra: Option<&[i8]>) {
        self.copy(1);
        let kind = self.word();
        match kind {
            0 => {}
            1 => {
                let block = self.word();
                if self.word() == 1 {
                    self.i16s(heads * (4 * block - 1));
                }
                // Whether it is causal comes next.
                let levels = match self.rest[0] {
                    0 => 0,
                    _ => Hierarchical::levels(HORIZON as usize, block),
                };
                let bits: Vec<u8> =
                    (0..levels).map(|level| extra.map_or(0, |extra| extra[level] as u8)).collect();
                self.out.push(levels as u32);
                self.out.extend(bits.chunks(4).map(|bits| {
                    let mut word = [0; 4];
                    word[..bits.len()].copy_from_slice(bits);
                    u32::from_le_bytes(word)
                }));
            }
            2 => {
                self.copy(3);
                let plan = self.word();
                self.i16s(plan);
            }
            3 => {
                self.copy(2);
                if self.word() == 1 {
                    let count = self.word();
                    self.i16s(count);
                }
                self.copy(10);
                let epsilon = self.word();
                if (epsilon, self.rest[0]) == (3, 1) {
                    *self.out.last_mut().unwrap() = 1;
                }
                self.out.push(1);
            }
            4 => {
                let factors = self.word();
                self.i16s(factors);
                self.copy(11);
                let count = self.word();
                match self.word() {
                    1 => self.copy(count.div_ceil(32)),
                    8 => self.copy(count.div_ceil(4)),
                    _ => self.i16s(count),
                }
            }
            5 => self.copy(4),
            _ => {
                self.copy(3);
                self.optional(|walk| walk.copy(1));
                self.copy(1);
                let plan = self.word();
                self.i16s(plan);
            }
        }
        self.copy(4);
        self.linear();
        if kind != 4 {
            self.linear();
        }
        self.linear();
        self.linear();
        self.norm();
        self.copy(1);
        self.linear();
        self.linear();
        self.norm();
    }
}
