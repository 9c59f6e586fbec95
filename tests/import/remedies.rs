//! What messages of the import advise, done: then the network is the one that was meant.

use fixformer::host::reference::{Input, Linear, Network, Norm, Positions};
use safetensors::Dtype;

use super::{Case, says};

/// The small model as it should be.
fn right() -> Network {
    Case::new().import().unwrap()
}

type Change<'a> = &'a dyn Fn(&mut Case);

/// A case that was spoilt: refused in these words. What `mend` does with the message makes it the network of `right`.
#[track_caller]
fn obeyed(spoil: Change<'_>, words: &[&str], mend: impl Fn(&mut Case, &str), right: &Network) {
    let mut case = Case::new();
    spoil(&mut case);
    let error = case.import().unwrap_err();
    says(&error, words);
    let said = error.to_string();
    mend(&mut case, &said);
    let mended = case.import().unwrap_or_else(|error| panic!("{said}\nobeyed: {error}"));
    assert_eq!(&mended, right, "{said}");
}

/// The line that a message says to write under `[tensors]`.
fn line(said: &str) -> String {
    let line = said.split("under `[tensors]` `").nth(1).unwrap_or_else(|| panic!("no line in: {said}"));
    line.split('`').next().unwrap().to_owned()
}

fn write(case: &mut Case, said: &str, name: &str) {
    case.description += &format!("\n[tensors]\n{}\n", line(said).replace("NAME", name));
}

/// Says in `table` what the message asks for.
fn say(case: &mut Case, said: &str, table: &str, what: &str) {
    assert!(said.contains(&format!("write `{what}` under `[{table}]`")), "{said}");
    match case.description.contains(&format!("[{table}]\n")) {
        true => case.replace(&format!("[{table}]\n"), &format!("[{table}]\n{what}\n")),
        false => case.description += &format!("\n[{table}]\n{what}\n"),
    }
}

impl Case {
    /// Exchanges the axes of a matrix.
    fn transpose(&mut self, name: &str) {
        let (_, shape, bytes) = self.tensors.get_mut(name).unwrap();
        let (rows, columns) = (shape[0], shape[1]);
        let value = |at: usize| bytes[4 * at..][..4].to_vec();
        *bytes = (0..columns).flat_map(|c| (0..rows).flat_map(move |r| value(r * columns + c))).collect();
        shape.reverse();
    }
}

const MAPS: [&str; 8] = ["stem.w", "l0.wq", "l0.wk", "l0.wv", "l0.wo", "l0.ff1.w", "l0.ff2.w", "head.w"];

#[test]
fn tensors_of_other_names() {
    for (from, to) in [
        ("l0.wq", "l0.w_q"),
        ("l0.bq", "l0.b_q"),
        ("l0.ln1.g", "l0.ln1.gain"),
        ("lnf.b", "lnf.beta"),
        ("head.w", "classifier.kernel.of.the.model"),
        ("pos", "table of positions"),
        ("norm.mean", "norm.average"),
    ] {
        let spoil = |case: &mut Case| case.rename(from, to);
        obeyed(&spoil, &[from, to], |case, said| write(case, said, to), &right());
    }
    // Of two layers one line names both.
    let mut two = Case::new();
    two.replace("layers = 1", "layers = 2");
    let first: Vec<String> = two.tensors.keys().filter(|name| name.starts_with("l0.")).cloned().collect();
    for name in first {
        let tensor = two.tensors[&name].clone();
        two.tensors.insert(name.replace("l0.", "l1."), tensor);
    }
    two.set("l1.wq", 0, 7.0);
    let meant = two.import().unwrap();
    two.rename("l0.wq", "l0.w_q");
    two.rename("l1.wq", "l1.w_q");
    let said = two.import().unwrap_err().to_string();
    write(&mut two, &said, "");
    assert_eq!(two.import().unwrap(), meant, "{said}");
}

#[test]
fn tensors_that_the_model_does_not_have() {
    let zero = |map: &Linear| Linear { bias: vec![0.0; map.outputs], ..map.clone() };
    let model = right();
    obeyed(
        &|case| case.remove(&["head.b"]),
        &["`head.b`", "`head = { weight = \"head.w\", bias = false }`"],
        |case, _| case.description += "\n[tensors]\nhead = { weight = \"head.w\", bias = false }\n",
        &Network { head: zero(&model.head), ..model.clone() },
    );
    let norm = model.final_norm.clone().unwrap();
    obeyed(
        &|case| case.remove(&["lnf.b"]),
        &["`final_norm = { gain = \"lnf.g\", bias = false }`"],
        |case, _| case.description += "\n[tensors]\nfinal_norm = { gain = \"lnf.g\", bias = false }\n",
        &Network { final_norm: Some(Norm { bias: vec![0.0; 2], ..norm }), ..model.clone() },
    );
    obeyed(
        &|case| case.remove(&["lnf.g", "lnf.b"]),
        &["`lnf.g`"],
        |case, said| say(case, said, "encoder", "final_norm = false"),
        &Network { final_norm: None, ..model.clone() },
    );
    let mut plain = model.clone();
    let Input::Samples { mean, deviation, .. } = &mut plain.input else { panic!() };
    (*mean, *deviation) = (vec![0.0], vec![1.0]);
    obeyed(
        &|case| case.remove(&["norm.mean", "norm.std"]),
        &["`norm.mean`"],
        |case, said| say(case, said, "input", "normalize = false"),
        &plain,
    );
    for (from, to, table, what) in [
        ("hidden = 3", "hidden = 3\nembedding_norm = true", "encoder", "embedding_norm = false"),
        ("[encoder]", "[pooling]\nnorm = true\n[encoder]", "pooling", "norm = false"),
    ] {
        let mend = |case: &mut Case, said: &str| {
            assert!(said.contains(&format!("`{what}` under `[{table}]`")), "{said}");
            case.replace(&what.replace("false", "true"), what);
        };
        obeyed(&|case| case.replace(from, to), &["no tensor"], mend, &model);
    }
    // No positions, and so nothing that says how many tokens there are.
    let mut case = Case::new();
    case.remove(&["pos"]);
    let said = case.import().unwrap_err().to_string();
    say(&mut case, &said, "positions", "kind = \"none\"");
    says(&case.import().unwrap_err(), &["`max_tokens` is missing", "give the largest number of tokens"]);
    case.replace("name =", "max_tokens = 4\nname =");
    assert_eq!(case.import().unwrap(), Network { positions: Positions::None, ..model });
}

#[test]
fn axes_in_another_order_are_transposed() {
    let model = right();
    let all = |case: &mut Case| MAPS.iter().for_each(|name| case.transpose(name));
    let layout = |to: &str| format!("`layout = \"{to}\"` under `[tensors]`");
    obeyed(
        &all,
        &["`stem.w`", &layout("out-in")],
        |case, _| case.description += "\n[tensors]\nlayout = \"out-in\"\n",
        &model,
    );
    let other = |case: &mut Case| case.description += "\n[tensors]\nlayout = \"out-in\"\n";
    let mend = |case: &mut Case, _: &str| case.replace("out-in", "in-out");
    obeyed(&other, &["`stem.w`", &layout("in-out")], mend, &model);
    // One alone.
    let one = |case: &mut Case| case.transpose("l0.ff1.w");
    obeyed(
        &one,
        &["`l0.ff1.w`", "if all linear maps are so, else save it transposed (not reshaped)"],
        |case, _| case.transpose("l0.ff1.w"),
        &model,
    );
    // No layout turns positions; an axis for the batch does not hide what is wrong.
    for shape in [vec![2, 4], vec![1, 2, 4]] {
        let spoil = |case: &mut Case| {
            case.transpose("pos");
            case.tensors.get_mut("pos").unwrap().1.clone_from(&shape);
        };
        let mend = |case: &mut Case, said: &str| {
            assert!(!said.contains("layout"), "{said}");
            case.tensors.get_mut("pos").unwrap().1 = vec![2, 4];
            case.transpose("pos");
        };
        obeyed(&spoil, &["`pos`", "it looks transposed: save it transposed"], mend, &model);
    }
    let larger = |case: &mut Case| case.replace("hidden = 3", "hidden = 4");
    let mend = |case: &mut Case, _: &str| case.replace("hidden = 4", "hidden = 3");
    obeyed(&larger, &["expected [2, 4]", "correct the sizes in the description"], mend, &model);
}

#[test]
fn values_that_cannot_be() {
    let model = right();
    let sound = |name: &'static str| {
        move |case: &mut Case, _: &str| {
            let tensor = Case::new().tensors.remove(name).unwrap();
            case.tensors.insert(name.to_owned(), tensor);
        }
    };
    let whole = |case: &mut Case| {
        case.tensors.insert("head.b".into(), (Dtype::I16, vec![2], vec![1, 0, 2, 0]));
    };
    obeyed(&whole, &["`head.b` is I16", "convert it"], sound("head.b"), &model);
    let diverged = |case: &mut Case| case.set("l0.wv", 3, f32::NAN);
    obeyed(&diverged, &["export an earlier checkpoint"], sound("l0.wv"), &model);
    // A channel that is constant: one of deviation 1 is what it is without its mean.
    let constant = |case: &mut Case| case.set("norm.std", 0, 0.0);
    obeyed(&constant, &["write 1"], |case, _| case.set("norm.std", 0, 1.0), &model);
}

#[test]
fn tensors_that_are_of_another_purpose() {
    let model = right();
    let extra = |case: &mut Case| ["loss.weight", "step"].iter().for_each(|name| case.fill(name, &[3]));
    let ignore = |case: &mut Case, said: &str| {
        let names = said.split("every tensor but ").nth(1).unwrap().split("; ").next().unwrap();
        case.description += &format!("\n[tensors]\nignore = [{}]\n", names.replace('`', "\""));
    };
    obeyed(&extra, &["`loss.weight`, `step`", "list them under `tensors.ignore`"], ignore, &model);
    // By the names that the message has, whatever wrappers put before all of them.
    let wrapped = |case: &mut Case| {
        extra(case);
        let names: Vec<String> = case.tensors.keys().cloned().collect();
        names.iter().for_each(|name| case.rename(name, &format!("_orig_mod.module.{name}")));
    };
    obeyed(&wrapped, &["`_orig_mod.module.loss.weight`"], ignore, &model);
}

/// A class token that nobody described: as a symbol of its own before each sequence.
#[test]
fn a_class_token_is_described() {
    let tokens = |rows: usize| {
        let mut case = Case::new();
        let samples = "kind = \"samples\"\nchannels = 1\nscale = 0.5\nwindow = { width = 3, stride = 1 }";
        case.replace(samples, "kind = \"tokens\"");
        case.replace("[encoder]", "[pooling]\nkind = \"first\"\n[encoder]");
        case.remove(&["norm.mean", "norm.std", "stem.w", "stem.b"]);
        case.fill("embed", &[rows, 2]);
        case.set("embed", 1, -3.0);
        if rows > 3 {
            case.set("embed", 6, -9.0);
            case.set("embed", 7, 9.0);
        }
        case
    };
    let mut case = tokens(3);
    case.fill("cls", &[1, 1, 2]);
    case.set("cls", 0, -9.0);
    case.set("cls", 1, 9.0);
    says(&case.import().unwrap_err(), &["every tensor but `cls`", "describe them"]);
    case.description += "\n[tensors]\nclass_token = \"cls\"\n";
    let network = case.import().unwrap();
    let symbol = tokens(4).import().unwrap();
    let scores = |network: &Network, row: &[i16]| network.forward(row, None, &mut |_, _| {}).unwrap();
    for row in [&[0, 1, 2][..], &[2, 2], &[1]] {
        assert_eq!(scores(&network, row), scores(&symbol, &[&[3], row].concat()));
    }
    assert_ne!(scores(&network, &[0, 1, 2]), scores(&symbol, &[0, 1, 2]));
    case.replace("kind = \"first\"", "kind = \"none\"");
    says(&case.import().unwrap_err(), &["`pooling.kind` is `none`", "pool `first`"]);
    case.replace("kind = \"none\"", "kind = \"first\"");
    assert_eq!(case.import().unwrap(), network);
}
