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
    runs! { any_file classify in_slices look_inside passes quantize save_and_restore stream }
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
