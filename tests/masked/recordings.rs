//! Recordings for a model of the zoo.

use fixformer::Model;
use fixformer::host::data::{self, Split};
use fixformer::host::draw::{Source, marks};
use fixformer::model::Input;
use std::path::Path;

/// Data sets by the first part of a model's name.
const SETS: [(&str, &str); 8] = [
    ("digits", "digits64"),
    ("ecg5000", "ecg5000"),
    ("mitbih", "mitbih_vent1024_ds1"),
    ("fsdd", "fsdd_logmel128"),
    ("fsddraw", "fsdd_raw4096"),
    ("splice60", "uci_splice60"),
    ("promoters300", "gue_prom300_tata"),
    ("listops", "listops"),
];

/// Test recordings of the data set, as many as there are of `most`, spread evenly; or what is like them.
pub(crate) fn of(name: &str, model: &Model<'_>, most: usize) -> Vec<Vec<i16>> {
    let task = name.rsplit_once('-').map_or(name, |(task, _)| task);
    let set = SETS.iter().find(|(of, _)| *of == task).map(|(_, set)| format!("{set}.npz"));
    let generated = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/zoo");
    let folders = [super::shared::root().join("data"), generated];
    let file = set.and_then(|set| folders.iter().map(|folder| folder.join(&set)).find(|file| file.is_file()));
    match file {
        Some(file) => {
            let rows = data::load(&file, Split::Test, data::Options::default()).unwrap().rows;
            let count = most.min(rows.len());
            (0..count).map(|i| rows[i * rows.len() / count].clone()).collect()
        }
        None => drawn(task, model, most),
    }
}

/// Noise with marks for the models of them; for others values as they may come.
fn drawn(task: &str, model: &Model<'_>, count: usize) -> Vec<Vec<i16>> {
    let mut source = Source(2);
    let most = model.max_input();
    let mut row = || match (task, model.input) {
        ("needle", _) => needle(&mut source, most),
        ("marks", _) => {
            let steps = 16 + source.below(most - 15);
            marks(&mut source, steps)
        }
        (_, Input::Samples { shift, .. }) => {
            // As loud as calibration has heard it.
            let limit = i32::from(i16::MAX >> shift) / 2;
            (0..most).map(|_| (source.below(2 * limit as usize + 1) as i32 - limit) as i16).collect()
        }
        (_, Input::OneHot { symbols, .. }) => (0..most).map(|_| source.below(symbols) as i16).collect(),
        (_, Input::Tokens { table }) => (0..most).map(|_| source.below(table.rows) as i16).collect(),
    };
    (0..count).map(|_| row()).collect()
}

/// Two marks in noise, at any distance.
fn needle(source: &mut Source, steps: usize) -> Vec<i16> {
    let mut row: Vec<i16> = (0..steps).map(|_| source.below(8) as i16).collect();
    let distance = 50 + source.below(steps - 85);
    let first = source.below(steps - distance);
    for place in [first, first + distance] {
        row[place] = 8 + source.below(2) as i16;
    }
    row
}
