//! `fixformer describe`: from weights alone to a description, and on to a model.

use std::fs;

use bench::{Bench, workspace};
use predicates::str::contains;
use safetensors::tensor::{Dtype, TensorView};

mod bench;

#[test]
fn a_description_is_written_set_and_used() {
    let bench = Bench::new();
    let case = workspace().join("tests/cases/fused_qkv");
    let path = |name: &str| case.join(name).to_str().unwrap().to_owned();
    let weights = path("fused.safetensors");
    let described = bench.command(&["describe", &weights, "-o", "m.toml"]).assert().success();
    described.stderr(contains("values are marked \"not in the weights\""));
    // What was edited is not overwritten.
    let again = bench.command(&["describe", &weights, "-o", "m.toml"]).assert().failure();
    again.stderr(contains("m.toml: is there, and may have been edited; remove it or name another file"));
    bench.command(&["describe", &weights, "-o", "other.toml"]).assert().success();
    let first = fs::read(bench.path("m.toml")).unwrap();
    fs::remove_file(bench.path("m.toml")).unwrap();
    bench.command(&["describe", &weights, "-o", "m.toml"]).assert().success();
    assert!(
        [fs::read(bench.path("m.toml")).unwrap(), fs::read(bench.path("other.toml")).unwrap()]
            == [&first[..]; 2]
    );
    let text = fs::read_to_string(bench.path("m.toml")).unwrap();
    bench.command(&["describe", &weights]).assert().success().stdout(text.clone());

    let text = text.replace("scale = 1.0 ", "scale = 0.01 ").replace("stride = 8", "stride = 1");
    fs::write(bench.path("m.toml"), text).unwrap();
    let data = path("data.npz");
    let mut digests = Vec::new();
    for (model, weights) in [("m.toml".to_owned(), weights), (path("split.toml"), path("split.safetensors"))]
    {
        let quantize =
            ["quantize", "--model", &model, "--weights", &weights, "--calibrate", &data, "-o", "m.fxm"];
        bench.command(&quantize).assert().success();
        let line = &bench.json(&["eval", "m.fxm", &data, "--json"])[0];
        assert_eq!(line["rows"], 60);
        digests.push(line["digest"].clone());
    }
    assert_eq!(digests[0], digests[1]);
    println!("{}", digests[0]);
}

#[test]
fn what_is_no_transformer_is_refused_by_its_tensors() {
    let bench = Bench::new();
    let tensor = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
    safetensors::serialize_to_file([("conv1.weight", tensor)], None, &bench.path("w.safetensors")).unwrap();
    bench
        .command(&["describe", "w.safetensors"])
        .assert()
        .failure()
        .stderr(contains("w.safetensors: not recognised by the names of its tensors (conv1.weight)"));
}
