//! The examples run to their end: `cargo run --example NAME` runs one.

#[path = "../examples/any_file.rs"]
pub mod any_file;
#[path = "../examples/classify.rs"]
pub mod classify;
#[path = "../examples/in_slices.rs"]
pub mod in_slices;
#[path = "../examples/look_inside.rs"]
pub mod look_inside;
#[path = "../examples/passes.rs"]
pub mod passes;
#[path = "../examples/quantize.rs"]
pub mod quantize;
#[path = "../examples/save_and_restore.rs"]
pub mod save_and_restore;
#[path = "../examples/stream.rs"]
pub mod stream;

macro_rules! runs {
    ($($name:ident)+) => {$(
        #[test]
        fn $name() {
            crate::$name::main().unwrap();
        }
    )+};
}

mod run {
    runs! { classify in_slices look_inside passes save_and_restore stream }
}

#[test]
fn any_file_takes_a_path() {
    any_file::run(any_file::USUAL).unwrap();
    any_file::run(concat!(env!("CARGO_MANIFEST_DIR"), "/models/zoo/ecg5000-lsh.fxm")).unwrap();
    assert!(any_file::run(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).is_err());
}

#[test]
fn quantize_writes_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    quantize::run(path.to_str()).unwrap();
    any_file::run(path.to_str().unwrap()).unwrap();
}

/// The image of the example is one that people read as a zero, and so does the model.
#[test]
fn the_zero_is_a_zero() {
    let bytes: &[u8] = include_bytes!("../models/digits.fxm");
    let words: Vec<u32> = bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect();
    let model = fixformer::Model::parse(&words).unwrap();
    let mut engine = fixformer::host::engine::Engine::new(model);
    assert_eq!(engine.session().run(&classify::IMAGE).unwrap().best(), 0);
}
