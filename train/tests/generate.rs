//! Generated tasks: the grammar, the classes, and files that are read back.

use std::path::{Path, PathBuf};

use fixformer::host::data::{self, Options, Split};
use fixformer_train::generate::listops::{self, Tree};
use fixformer_train::generate::{self, Task, marks, needle};

fn ids(source: &str) -> Vec<i16> {
    let words = ["[MIN", "[MAX", "[MED", "[SM", "]"];
    let id = |word: &str| match words.iter().position(|&w| w == word) {
        Some(index) => 11 + index as i16,
        None => word.parse::<i16>().unwrap() + 1,
    };
    source.split_whitespace().map(id).collect()
}

#[test]
fn values_of_list_operations() {
    for (source, value) in [
        ("[MAX 2 9 [MIN 4 7 ] 0 ]", 9),
        ("[SM 9 9 [MED 1 4 ] ]", 0),
        ("[MED 8 1 2 ]", 2),
        ("[MED 8 1 2 5 ]", 3),
        ("[MIN [SM 5 5 ] 3 ]", 0),
    ] {
        let tree = Tree::parse(&ids(source)).unwrap();
        assert_eq!((tree.value(), tree.ids()), (value, ids(source)), "{source}");
    }
    for wrong in ["[MAX 2 9", "1 2", "]", "[MIN ]", ""] {
        assert_eq!(Tree::parse(&ids(wrong)), None, "{wrong}");
    }
}

/// Trees, classes and token ids that were generated elsewhere.
#[test]
fn list_operations_are_those_of_the_shared_sample() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("FIXFORMER_SHARED").map_or_else(beside, PathBuf::from).join("data");
    if !folder.join("listops512_sample.npz").is_file() {
        eprintln!("skipped: no {}", folder.display());
        return;
    }
    for split in [Split::Train, Split::Validation, Split::Test] {
        let sample = folder.join(format!("listops512_sample_{}.tsv", split.name()));
        let text = std::fs::read_to_string(sample).unwrap();
        let stored = data::load(&folder.join("listops512_sample.npz"), split, Options::default()).unwrap();
        let labels = stored.labels.unwrap();
        assert_eq!(text.lines().count() - 1, labels.len());
        for ((line, row), label) in text.lines().skip(1).zip(&stored.rows).zip(labels) {
            let (source, target) = line.split_once('\t').unwrap();
            let tree = Tree::parse(&ids(source)).unwrap();
            assert_eq!(&tree.ids(), row);
            assert_eq!((tree.value(), target.trim().parse().unwrap()), (label, label));
        }
    }
}

#[test]
fn list_operations_are_different_trees_of_the_lengths_asked_for() {
    let splits = listops::splits(1, [200, 30, 30]);
    let all: Vec<_> =
        [&splits.train, &splits.validation, &splits.test].into_iter().flat_map(|set| &set.rows).collect();
    assert!(all.iter().all(|row| (17..=511).contains(&row.len())));
    for (index, row) in all.iter().enumerate() {
        assert!(!all[..index].contains(row));
    }
    let right = |(row, label): (&Vec<i16>, &usize)| Tree::parse(row).unwrap().value() == *label;
    assert!(splits.train.rows.iter().zip(&splits.train.labels).all(right));
    assert_eq!(splits.test.rows, listops::splits(1, [200, 30, 30]).test.rows);
    assert_ne!(splits.test.rows, listops::splits(2, [200, 30, 30]).test.rows);
}

#[test]
fn needles_are_two_marks_at_the_distance() {
    let set = needle::splits(0, [300, 1, 1]).train;
    let mut distances = Vec::new();
    for (row, &label) in set.rows.iter().zip(&set.labels) {
        let marks: Vec<usize> = (0..row.len()).filter(|&t| row[t] >= needle::FIRST_MARK).collect();
        let [first, second] = marks[..] else { panic!("{} marks", marks.len()) };
        let kind = |t: usize| (row[t] - needle::FIRST_MARK) as usize;
        assert_eq!(label, 2 * kind(first) + kind(second));
        distances.push(second - first);
    }
    assert!(distances.iter().all(|distance| needle::DISTANCES.contains(distance)));
    assert!(
        distances.iter().any(|&distance| distance > 1300) && distances.iter().any(|&distance| distance < 250)
    );
    assert!((0..4).all(|class| set.labels.contains(&class)));
}

#[test]
fn the_class_is_the_last_mark() {
    let set = marks::splits(0, [2000, 1, 1]).train;
    assert!(set.rows.iter().all(|row| marks::TOKENS.contains(&row.len())));
    assert!(set.rows.iter().any(|row| row.len() < 32) && set.rows.iter().any(|row| row.len() > 240));
    let mut kinds = [0; 2];
    for (row, &label) in set.rows.iter().zip(&set.labels) {
        let last = row.iter().rev().find(|&&id| id >= 8).unwrap();
        assert_eq!(label, (last - 8) as usize);
        kinds[label] += 1;
    }
    assert!(kinds.iter().all(|count| (860..1140).contains(count)), "{kinds:?}");
    assert_eq!(marks::splits(0, [2000, 1, 1]).train.rows, set.rows);
    assert_ne!(marks::splits(1, [2000, 1, 1]).train.rows, set.rows);
}

#[test]
fn files_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("digits.npz");
    generate::write(Task::Digits, &path, 0).unwrap();
    let test = data::load(&path, Split::Test, Options::default()).unwrap();
    // The sums of `x_test` and `y_test` in scikit-learn's file order.
    let sum: i64 = test.rows.iter().flatten().map(|&value| i64::from(value)).sum();
    assert_eq!((test.rows.len(), sum, test.labels.unwrap().iter().sum::<usize>()), (500, 155_456, 2235));
    assert_eq!(test.scale, Some(0.0625.into()));

    let path = folder.path().join("needle.npz");
    generate::write(Task::Needle, &path, 4).unwrap();
    let splits = needle::splits(4, needle::COUNTS);
    let read = data::load(&path, Split::Validation, Options::default()).unwrap();
    assert_eq!((read.rows, read.labels), (splits.validation.rows, Some(splits.validation.labels)));
}
