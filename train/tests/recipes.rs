//! Training from a recipe: what is refused before it begins, what comes out, and what stays when it ends early.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use fixformer::host::import;
use fixformer_train::data::{Data, Set};
use fixformer_train::device;
use fixformer_train::recipe::Recipe;
use fixformer_train::training::{self, Progress};
use tempfile::TempDir;

const RECIPE: &str = r#"
name = "test"
[input]
kind = "tokens"
[encoder]
layers = 1
width = 8
heads = 2
hidden = 8
[train]
epochs = 6
batch = 8
learning_rate = 1e-2
dropout = 0.1
"#;

struct Case {
    folder: TempDir,
}

impl Case {
    fn new(recipe: &str) -> Case {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("test.toml"), recipe).unwrap();
        Case { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn recipe(&self) -> anyhow::Result<Recipe> {
        Recipe::read(&self.path("test.toml"))
    }

    /// Why data of one recording a line, the class last, are refused.
    fn refusal(&self, csv: &str) -> String {
        let path = self.path("data.csv");
        std::fs::write(&path, csv).unwrap();
        let result = self.recipe().and_then(|recipe| Data::load(&recipe, &path));
        format!("{:#}", result.expect_err("refused"))
    }
}

fn says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

/// The class is whether 1 comes before 2.
fn data() -> Data {
    let mut set = Set::default();
    for place in 0..48_usize {
        let mut row = vec![0_i16; 6 + place % 5];
        let (first, second) = (place % 3, 3 + place % 3);
        let label = place / 3 % 2;
        row[first] = 1 + label as i16;
        row[second] = 2 - label as i16;
        set.rows.push(row);
        set.labels.push(label);
    }
    Data { train: set.clone(), validation: set, classes: 2, tokens: 10, vocabulary: 3 }
}

#[test]
fn recipes_that_contradict_themselves_are_refused() {
    for (key, value, words) in [
        ("epochs = 6", "epochs = 6\nminutes = 1.0", &["both `epochs` and `minutes`"][..]),
        ("epochs = 6", "", &["neither `epochs` nor `minutes`"]),
        ("epochs = 6", "epochs = 0", &["`train.epochs` is 0"]),
        ("epochs = 6", "minutes = -1.0", &["`train.minutes` is -1"]),
        ("batch = 8", "batch = 0", &["`train.batch` is 0"]),
        (
            "batch = 8",
            "batch = 9223372036854775807",
            &["`train.batch` is 9223372036854775807", "at most 65536"],
        ),
        ("batch = 8", "batch = 8\nclasses = 1", &["`train.classes` is 1; give at least 2"]),
        ("batch = 8", "batch = 8\nclasses = 1000000000", &["`train.classes` is 1000000000", "at most 8192"]),
        ("layers = 1", "layers = 1000000000", &["`encoder.layers` is 1000000000", "at most 64"]),
        ("width = 8", "width = 1000000000", &["`encoder.width` is 1000000000", "at most 1024"]),
        ("hidden = 8", "hidden = 1000000000", &["`encoder.hidden` is 1000000000", "at most 8192"]),
        ("batch = 8", "bacth = 8", &["unknown field `bacth`"]),
        ("dropout = 0.1", "dropout = 1.0", &["`train.dropout` is 1"]),
        ("dropout = 0.1", "augment = { scale = 0.1 }", &["`train.augment`", "for samples"]),
        ("dropout = 0.1", "whiten = 1e-3", &["`train.whiten`", "tokens"]),
        ("dropout = 0.1", "whiten = 0.0", &["`train.whiten` is 0"]),
        ("dropout = 0.1", "fine_tune = 1.5", &["`train.fine_tune` is 1.5"]),
        ("dropout = 0.1", "average = -0.1", &["`train.average` is -0.1"]),
        ("dropout = 0.1", "keep = \"best\"", &["unknown variant `best`"]),
        ("dropout = 0.1", "augment = { hide = 0.1 }", &["`train.augment`", "`hide`", "tokens"]),
        ("dropout = 0.1", "augment = { shift = 3 }", &["`train.augment`", "`shift`", "tokens"]),
        ("hidden = 8", "hidden = 8\nattention = { kind = \"hierarchical\", block = 5 }", &["block", "even"]),
        ("hidden = 8", "hidden = 8\nattention = { kind = \"favor\" }", &["directions", "missing"]),
        ("heads = 2", "heads = 3", &["3 does not divide the width 8"]),
    ] {
        let text = RECIPE.replacen(key, value, 1);
        assert_ne!(text, RECIPE);
        let message = format!("{:#}", Case::new(&text).recipe().expect_err("refused"));
        says(&message, words);
        says(&message, &["test.toml"]);
    }
    let message = format!("{:#}", Case::new(RECIPE.split("[train]").next().unwrap()).recipe().unwrap_err());
    says(&message, &["no table `[train]`"]);
}

#[test]
fn data_that_cannot_be_learnt_are_refused() {
    let case = Case::new(RECIPE);
    says(&case.refusal("1,2,0\n2,1,0\n"), &["data.csv", "all training recordings are of class 0"]);
    says(&case.refusal("1,2,0\n2,1,2\n"), &["class 1 of 3 has no training recording"]);
    says(&case.refusal("1,2,-1\n2,1,2\n"), &["label -1"]);
    says(&case.refusal("1,nan,0\n2,1,1\n"), &["NaN", "not finite"]);
    says(&case.refusal("-4,2,0\n2,1,1\n1,1,0\n2,1,1\n"), &["token -4 is negative"]);

    let two = Case::new(&RECIPE.replace("batch = 8", "batch = 8\nclasses = 2"));
    says(&two.refusal("1,2,0\n2,1,1\n1,1,0\n2,2,1\n2,2,5\n"), &["label 5 is outside the classes 0 ..= 1"]);
    let three = Case::new(&RECIPE.replace("batch = 8", "batch = 8\nclasses = 3"));
    says(&three.refusal("1,2,0\n2,1,1\n"), &["class 2 of 3 has no training recording"]);
    let short = Case::new(&RECIPE.replace("[input]", "max_tokens = 3\n[input]"));
    says(
        &short.refusal("1,2,1,2,0\n2,1,1,2,1\n2,1,1,2,1\n2,1,1,2,0\n"),
        &["4 tokens, but `max_tokens`", "is 3"],
    );
}

#[test]
fn tensors_are_named_apart_and_as_the_importer_reads_them() {
    let device = Device::flex();
    let check = |layers: &str, attention: &str, tensors: &str| {
        let text = RECIPE.replace("layers = 1", layers).replace("epochs = 6", "epochs = 1");
        let text = text.replace("hidden = 8", &format!("hidden = 8\n{attention}"));
        let case = Case::new(&format!("{text}[tensors]\n{tensors}\n"));
        let (recipe, path) = (case.recipe().unwrap(), case.path("a.safetensors"));
        let none = AtomicBool::new(false);
        training::train(&recipe, &data(), &path, &device, &none, &mut |_| {}).map(|_| {
            import::network(&case.path("test.toml"), &path).unwrap();
        })
    };
    let message =
        check("layers = 2", "", "value = { weight = \"v\", bias = false }").unwrap_err().to_string();
    says(&message, &["test.toml", "two tensors are called `v`", "{layer}"]);
    let lsh = "attention = { kind = \"lsh\", buckets = 4, rounds = 1, chunk = 4 }";
    check("layers = 1", lsh, "query_key = { weight = \"both\", bias = false }").unwrap();
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
    let case = Case::new(RECIPE);
    let train = |name: &str, seed: u64| {
        let mut recipe = case.recipe().unwrap();
        recipe.training.seed = seed;
        let path = case.path(name);
        let outcome =
            training::train(&recipe, &data(), &path, &Device::flex(), &AtomicBool::new(false), &mut |_| {})
                .unwrap();
        assert!(!outcome.stopped);
        (std::fs::read(&path).unwrap(), outcome.best)
    };
    let (first, best) = train("a.safetensors", 1);
    assert!((first.clone(), best) == train("b.safetensors", 1));
    assert!(first != train("c.safetensors", 2).0);
}

#[test]
fn it_learns_and_the_engine_can_have_it() {
    let case = Case::new(&RECIPE.replace("epochs = 6", "epochs = 60"));
    let path = case.path("a.safetensors");
    let (recipe, data) = (case.recipe().unwrap(), data());
    let device = device::open(&std::env::var("FIXFORMER_DEVICE").unwrap_or("cpu".to_owned())).unwrap();
    let outcome =
        training::train(&recipe, &data, &path, &device, &AtomicBool::new(false), &mut |_| {}).unwrap();
    assert!(outcome.best.accuracy > 0.9, "{outcome:?}");
    let network = import::network(&case.path("test.toml"), &path).unwrap();
    let right = data.validation.rows.iter().zip(&data.validation.labels).filter(|(row, label)| {
        let scores = network.forward(row, None, &mut |_, _| {}).unwrap();
        usize::from(scores[1] > scores[0]) == **label
    });
    assert_eq!(right.count() as f64 / data.validation.rows.len() as f64, outcome.best.accuracy);
}

#[test]
fn an_interrupt_keeps_the_best_and_a_full_disk_the_last() {
    let case = Case::new(RECIPE);
    let (recipe, device) = (case.recipe().unwrap(), Device::flex());
    let path = case.path("a.safetensors");
    let stop = AtomicBool::new(false);
    let mut interrupt = |now: &Progress| {
        if now.epochs == 2 {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    };
    let outcome = training::train(&recipe, &data(), &path, &device, &stop, &mut interrupt).unwrap();
    assert!(outcome.stopped && outcome.epoch <= 2);
    import::network(&case.path("test.toml"), &path).unwrap();

    // What cannot be written leaves what is there.
    let path = case.path("folder");
    std::fs::create_dir(&path).unwrap();
    let mut recipe = recipe;
    recipe.training.seed = 9;
    let error = training::train(&recipe, &data(), &path, &device, &AtomicBool::new(false), &mut |_| {});
    says(&format!("{:#}", error.expect_err("cannot be written")), &["folder", "as it was"]);
    assert!(path.is_dir());
}

/// `docs/reference.md` has every key of a recipe, and no other.
#[test]
fn the_page_has_every_key_of_a_recipe() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference.md")).unwrap();
    let chapter = page.split("\n## Recipes\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let cells = chapter.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let words = cells.flat_map(|cell| cell.split('`')).filter(|word| word.starts_with(char::is_alphabetic));
    let listed: std::collections::BTreeSet<String> = words.map(str::to_owned).collect();
    let taken = |text: &str| -> Vec<String> {
        let error = format!("{:#}", Case::new(&format!("{RECIPE}{text}")).recipe().unwrap_err());
        let expected =
            error.split("unknown field `no_such_key`, expected").nth(1).unwrap_or_else(|| panic!("{error}"));
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let of_augment = taken("augment = { no_such_key = 1 }\n").into_iter().map(|key| format!("augment.{key}"));
    let found = taken("no_such_key = 1\n").into_iter().filter(|key| key != "augment").chain(of_augment);
    assert_eq!(listed, found.collect());
}
