//! The names of the arrays in an `.npz`.

use std::format;
use std::string::{String, ToString};

use super::Split;

/// An array that is read from an `.npz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Recordings of equal length, or padded.
    Recordings,
    /// How long padded recordings are.
    Lengths,
    /// Recordings end to end.
    Steps,
    /// Where each of those begins.
    Offsets,
    /// The classes.
    Labels,
    /// The unit of raw values.
    Scale,
}

/// All of them.
pub const KEYS: [Key; 6] = [Key::Recordings, Key::Lengths, Key::Steps, Key::Offsets, Key::Labels, Key::Scale];

impl Key {
    /// Its name, which ends with the split if it is of one; or without that, in a file that has one set of recordings.
    pub fn name(self, split: Option<Split>) -> String {
        let word = match self {
            Key::Recordings => "x",
            Key::Lengths => "len",
            Key::Steps => "tok",
            Key::Offsets => "off",
            Key::Labels => "y",
            Key::Scale => return "scale".to_string(),
        };
        split.map_or(word.to_string(), |split| format!("{word}_{}", split.name()))
    }

    /// Its shape, and what it is.
    fn described(self) -> [&'static str; 2] {
        match self {
            Key::Recordings => [
                "`[rows, steps]` or `[rows, steps, channels]`",
                "recordings, equally long or padded at the end",
            ],
            Key::Lengths => {
                ["`[rows]`", "steps of each recording without its padding; of all where it is missing"]
            }
            Key::Steps => {
                ["`[steps]` or `[steps, channels]`", "instead of `x`: recordings of any length end to end"]
            }
            Key::Offsets => {
                ["`[rows + 1]`", "with `tok`: the step at which each begins, and the end of the last"]
            }
            Key::Labels => [
                "`[rows]`, `[rows, outputs]` or `[rows, tokens]`",
                "classes: whole numbers from 0, or words; words are numbered by the alphabet, or as `--classes` lists them. Of a \
                 model of several labels 1 or 0 for each, of one of numbers the numbers, of one that classifies tokens a class \
                 for each token",
            ],
            Key::Scale => [
                "a number, or `[channels]`",
                "real value of one raw unit, of all channels or of each; `--scale` comes before it",
            ],
        }
    }
}

/// The table of the keys, in Markdown.
pub fn reference() -> String {
    let mut table = "| array | shape | what it is |\n|---|---|---|\n".to_string();
    for key in KEYS {
        let [shape, meaning] = key.described();
        let name = match key {
            Key::Scale => "`scale`".to_string(),
            key => format!("`{0}_train`, `{0}_val`, `{0}_test`, or `{0}`", key.name(None)),
        };
        table += &format!("| {name} | {shape} | {meaning} |\n");
    }
    table
}
