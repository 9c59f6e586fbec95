//! Keys of descriptions that contradict each other: what the message offers, each of it, ends the contradiction.

use fixformer::host::reference::Network;

use super::{Case, says};

/// The small model with 40 tokens and no position table, so that every mechanism fits.
fn long() -> Case {
    let mut case = Case::new();
    case.replace("name =", "max_tokens = 40\nname =");
    case.replace("[encoder]", "[positions]\nkind = \"none\"\n[encoder]");
    case.remove(&["pos"]);
    case
}

fn with(mut case: Case, from: &str, to: &str) -> Case {
    case.replace(from, to);
    case
}

/// A text in the place of `from` that is refused in these words, and what they offer instead.
#[track_caller]
fn offered(case: impl Fn() -> Case, from: &str, bad: &str, words: &[&str], good: &[&str]) {
    let error = with(case(), from, bad).import().unwrap_err();
    says(&error, words);
    for good in good {
        let network = with(case(), from, good).import();
        let network = network.unwrap_or_else(|other| panic!("{error}\nobeyed by {good}: {other}"));
        assert!(network.forward(&[3; 6], None, &mut |_, _| {}).is_ok(), "{good}");
    }
}

#[test]
fn of_attention() {
    let attention = |keys: &str| format!("hidden = 3\nattention = {{ {keys} }}");
    for (bad, words, good) in [
        (
            "kind = \"hierarchical\", block = 7",
            &["give an even number"][..],
            &["kind = \"hierarchical\", block = 8"][..],
        ),
        (
            "kind = \"bigbird\", block = 4, random = 1",
            &["give \"zero\" or \"drawn\""],
            &[
                "kind = \"bigbird\", block = 4, random = 1, plan = \"zero\"",
                "kind = \"bigbird\", block = 4, random = 1, plan = \"drawn\"",
            ],
        ),
        (
            "kind = \"bigbird\", block = 4, plan = \"zero\"",
            &["is given, but `random` is 0; remove one of them"],
            &["kind = \"bigbird\", block = 4"],
        ),
        (
            "kind = \"bigbird\", block = 4, random = 6, plan = \"drawn\"",
            &["lower `random` or `block`, or give plan = \"zero\""],
            &[
                "kind = \"bigbird\", block = 4, random = 5, plan = \"drawn\"",
                "kind = \"bigbird\", block = 3, random = 6, plan = \"drawn\"",
                "kind = \"bigbird\", block = 4, random = 6, plan = \"zero\"",
            ],
        ),
        (
            "kind = \"bigbird\", block = 4, dense_up_to = 6",
            &["give a multiple of the block of 4 tokens"],
            &["kind = \"bigbird\", block = 4, dense_up_to = 8"],
        ),
        (
            "kind = \"bigbird\", block = 4, radius = 6",
            &["a window of tokens takes global tokens"],
            &["kind = \"bigbird\", block = 4, radius = 6, global = 2", "kind = \"bigbird\", block = 4"],
        ),
        (
            "kind = \"bigbird\", block = 4, global = 40",
            &["is 40, of 40 tokens; give fewer"],
            &["kind = \"bigbird\", block = 4, global = 4"],
        ),
        (
            "kind = \"favor\"",
            &["only ReLU features can do without a projection"],
            &["kind = \"favor\", features = \"relu\", epsilon = 1e-3", "kind = \"favor\", directions = 8"],
        ),
        (
            "kind = \"favor\", directions = 8, epsilon = -1e-3",
            &["give 0 or a small positive number"],
            &[
                "kind = \"favor\", directions = 8, epsilon = 0",
                "kind = \"favor\", directions = 8, epsilon = 1e-3",
            ],
        ),
        (
            "kind = \"favor\", directions = 8, tile = 9",
            &["give a multiple of 4 keys"],
            &["kind = \"favor\", directions = 8, tile = 8"],
        ),
        (
            "kind = \"favor\", features = \"relu\", seed = 1",
            &["there are no directions to draw; remove one of them"],
            &["kind = \"favor\", features = \"relu\", epsilon = 1e-3"],
        ),
    ] {
        let (bad, good): (_, Vec<String>) =
            (attention(bad), good.iter().map(|keys| attention(keys)).collect());
        offered(long, "hidden = 3", &bad, words, &good.iter().map(String::as_str).collect::<Vec<_>>());
    }
    // Queries are keys.
    let hashed = || {
        let mut case = long();
        case.remove(&["l0.wk", "l0.bk"]);
        case
    };
    let lsh = |keys: &str| attention(&format!("kind = \"lsh\", chunk = 8, {keys}"));
    for (bad, words, good) in [
        ("buckets = 3, rounds = 1", "give even numbers", &["buckets = 4, rounds = 1"][..]),
        (
            "buckets = 4, rounds = 2, skip_duplicates = true",
            "give in_bucket = true, rounds = 1 or skip_duplicates = false",
            &[
                "buckets = 4, rounds = 2, skip_duplicates = true, in_bucket = true",
                "buckets = 4, rounds = 1, skip_duplicates = true",
                "buckets = 4, rounds = 2, skip_duplicates = false",
            ],
        ),
    ] {
        let good: Vec<String> = good.iter().map(|keys| lsh(keys)).collect();
        let good: Vec<&str> = good.iter().map(String::as_str).collect();
        offered(hashed, "hidden = 3", &lsh(bad), &[words], &good);
    }
    let lists = "hidden = 3\nattention = [{ kind = \"exact\" }, { kind = \"exact\" }]";
    let one = "hidden = 3\nattention = [{ kind = \"exact\" }]";
    offered(long, "hidden = 3", lists, &["lists 2, for 1 layers; give one for each, or one"], &[one]);
}

/// Tensors that attention stores, and keys that only others have.
#[test]
fn of_what_attention_stores() {
    let attention = |keys: &str| format!("hidden = 3\nattention = {{ {keys} }}\n[tensors]\n");
    let stored = |name: &str, shape: &[usize]| {
        let mut case = long();
        case.fill(name, shape);
        case
    };
    let plan = "kind = \"bigbird\", block = 4, random = 2";
    let named = attention(plan) + "plan = \"l{layer}.plan\"\n";
    // One block more than there are.
    let blocks = |last: f32| {
        let mut case = stored("l0.plan", &[2, 8, 2]);
        (0..32).for_each(|at| case.set("l0.plan", at, (at % 4) as f32));
        case.set("l0.plan", 31, last);
        with(case, "hidden = 3", &named)
    };
    says(&blocks(10.0).import().unwrap_err(), &["has the block 10; give whole numbers from 0 to 9"]);
    assert!(blocks(9.0).import().is_ok());
    let both = named.replace("random = 2", "random = 2, plan = \"zero\"");
    let error = with(blocks(9.0), &named, &both).import().unwrap_err();
    says(&error, &["`tensors.plan` names the blocks; remove one of them"]);

    let rotations = |sets: usize| {
        let mut case = stored("l0.r", &[sets, 1, 1, 2]);
        case.remove(&["l0.wk", "l0.bk"]);
        let keys =
            attention("kind = \"lsh\", chunk = 8, buckets = 4, rounds = 1") + "rotations = \"l{layer}.r\"\n";
        with(case, "hidden = 3", &keys)
    };
    says(&rotations(3).import().unwrap_err(), &["has 3 sets, for 2 heads; give 1 or one each"]);
    assert!(rotations(1).import().is_ok() && rotations(2).import().is_ok());
    let bias = attention("kind = \"exact\"") + "position_bias = \"l{layer}.rpb\"\n";
    let words = ["only attention of the kind `hierarchical` has one; remove it"];
    offered(long, "hidden = 3", &bias, &words, &[&attention("kind = \"exact\"")]);
}

#[test]
fn of_sizes_and_norms() {
    let heads = || {
        let mut case = Case::new();
        for name in ["l0.wq", "l0.wk", "l0.wv"] {
            case.fill(name, &[2, 4]);
        }
        ["l0.bq", "l0.bk", "l0.bv"].iter().for_each(|name| case.fill(name, &[4]));
        case.fill("l0.wo", &[4, 2]);
        case
    };
    offered(heads, "heads = 2", "heads = 4", &["or give `head_width`"], &["heads = 4\nhead_width = 1"]);
    let normed = || {
        let mut case = Case::new();
        ["lne.g", "lne.b", "lnp.g", "lnp.b"].iter().for_each(|name| case.fill(name, &[2]));
        case.description += "\n[tensors]\nignore = [\"lne.*\", \"lnp.*\"]\n";
        case
    };
    for (bad, words, good) in [
        (
            "hidden = 3\nembedding_epsilon = 1e-3",
            "set `embedding_norm = true` beside it or remove it",
            &["hidden = 3\nembedding_epsilon = 1e-3\nembedding_norm = true", "hidden = 3"][..],
        ),
        (
            "hidden = 3\nfinal_norm = false\nfinal_epsilon = 1e-3",
            "set `final_norm = true` beside it or remove it",
            &["hidden = 3\nfinal_norm = true\nfinal_epsilon = 1e-3"],
        ),
        (
            "hidden = 3\n[pooling]\nepsilon = 1e-3",
            "set `norm = true` beside it or remove it",
            &["hidden = 3\n[pooling]\nepsilon = 1e-3\nnorm = true", "hidden = 3\n[pooling]"],
        ),
        (
            "hidden = 3\n[pooling]\nkind = \"first\"\nwindow = { block = 2, blocks = 2 }",
            "change `pooling.kind` or remove the window",
            &[
                "hidden = 3\n[pooling]\nkind = \"mean\"\nwindow = { block = 2, blocks = 2 }",
                "hidden = 3\n[pooling]\nkind = \"first\"",
            ],
        ),
    ] {
        offered(normed, "hidden = 3", bad, &[words], good);
    }
    for (bad, words, good) in [
        ("max_tokens = 5", "lower or remove it", &["max_tokens = 4", ""][..]),
        ("horizon = 3", "raise or remove it", &["horizon = 4", ""]),
        ("horizon = 5", "or remove `horizon`", &[""]),
        ("max_tokens = 0", "give at least 1", &["max_tokens = 4"]),
    ] {
        let before = |key: &str| format!("{key}\nname =");
        let good: Vec<String> = good.iter().map(|key| before(key)).collect();
        let good: Vec<&str> = good.iter().map(String::as_str).collect();
        offered(Case::new, "name =", &before(bad), &[words], &[]);
        for good in good {
            // Four tokens at most.
            let network = with(Case::new(), "name =", good).import().unwrap();
            assert!(network.forward(&[3; 6], None, &mut |_, _| {}).is_ok());
        }
    }
}

#[test]
fn of_running_forms() {
    let running = |keys: &str| format!("scale = 0.5\n{keys}");
    for (bad, words, good) in [
        (
            "running = { memory = 16 }",
            "set one of them, or remove it",
            &[
                "remove_mean = true\nrunning = { memory = 16 }",
                "standardize = true\nrunning = { memory = 16, floor = 0.5 }",
                "",
            ][..],
        ),
        (
            "remove_mean = true\nrunning = { memory = 15 }",
            "give a power of two from 2 to",
            &["remove_mean = true\nrunning = { memory = 2 }"],
        ),
        (
            "standardize = true\nrunning = { memory = 16 }",
            "give the deviation, in real units, below which a channel is noise",
            &["standardize = true\nrunning = { memory = 16, floor = 0.25 }"],
        ),
        (
            "remove_mean = true\nrunning = { memory = 16, floor = 0.5 }",
            "is for `standardize` alone; remove it",
            &["remove_mean = true\nrunning = { memory = 16 }"],
        ),
    ] {
        let good: Vec<String> = good.iter().map(|keys| running(keys)).collect();
        let good: Vec<&str> = good.iter().map(String::as_str).collect();
        offered(long, "scale = 0.5", &running(bad), &[words], &good);
    }
    // Both ends of what the message says is room.
    let floor =
        |floor: &str| running(&format!("standardize = true\nrunning = {{ memory = 16, floor = {floor} }}"));
    let said = with(long(), "scale = 0.5", &floor("1e9")).import().unwrap_err().to_string();
    let room = said.split("give ").nth(1).unwrap();
    let ends: Vec<String> = room.split(" to ").map(floor).collect();
    let ends: Vec<&str> = ends.iter().map(String::as_str).collect();
    offered(long, "scale = 0.5", &floor("1e9"), &["with a `scale` of 0.5 give"], &ends);
}

#[test]
fn of_heads() {
    let of_outputs = |outputs: usize| {
        let mut case = long();
        case.fill("head.w", &[2, outputs]);
        case.fill("head.b", &[outputs]);
        case
    };
    let one = || of_outputs(1);
    let head = |keys: &str| format!("[head]\n{keys}\n[encoder]");
    type Offer<'a> = (&'a dyn Fn() -> Case, &'a str, &'a [&'a str], &'a [&'a str]);
    let offers: [Offer<'_>; 7] = [
        (
            &one,
            "task = \"multiclass\"",
            &["give `binary` or `regression`"],
            &["task = \"binary\"", "task = \"regression\""],
        ),
        (
            &long,
            "task = \"binary\"",
            &["give `multiclass` or `multilabel`"],
            &["task = \"multiclass\"", "task = \"multilabel\""],
        ),
        (
            &long,
            "unit = \"V\"",
            &["set `task = \"regression\"` beside it or remove it"],
            &["unit = \"V\"\ntask = \"regression\"", ""],
        ),
        (
            &long,
            "classes = [\"a\"]",
            &["lists 1, expected 2; give one for each"],
            &["classes = [\"a\", \"b\"]"],
        ),
        (&long, "classes = [\"a\", \"a\"]", &["give each a text of its own"], &["classes = [\"a\", \"b\"]"]),
        (
            &long,
            "task = \"regression\"\nscale = 0.0",
            &["has 0; give numbers above 0"],
            &["task = \"regression\"\nscale = 2.0"],
        ),
        (
            &long,
            "task = \"regression\"\noffset = [1.0, inf]",
            &["has inf; give finite numbers"],
            &["task = \"regression\"\noffset = [1.0, 2.0]"],
        ),
    ];
    for (case, bad, words, good) in offers {
        let good: Vec<String> = good.iter().map(|keys| head(keys)).collect();
        let good: Vec<&str> = good.iter().map(String::as_str).collect();
        offered(case, "[encoder]", &head(bad), words, &good);
    }
    // Scores in the units that were asked for.
    let scores = |keys: &str| -> Vec<f64> {
        let network: Network = with(long(), "[encoder]", &head(keys)).import().unwrap();
        network.forward(&[3; 12], None, &mut |_, _| {}).unwrap()
    };
    let plain = scores("task = \"regression\"");
    let scaled = scores("task = \"regression\"\nscale = 2.0\noffset = [1.0, -1.0]");
    for (index, (plain, scaled)) in plain.iter().zip(scaled).enumerate() {
        assert!((2.0 * plain + [1.0, -1.0][index] - scaled).abs() < 1e-9);
    }
    let of_tokens = "task = \"multilabel\"\n[pooling]\nkind = \"none\"";
    let good = ["task = \"multilabel\"", "task = \"multiclass\"\n[pooling]\nkind = \"none\""].map(head);
    let words = ["pool the tokens, or change one of them"];
    offered(|| of_outputs(3), "[encoder]", &head(of_tokens), &words, &[&good[0], &good[1]]);
}
