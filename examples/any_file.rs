//! A model that is known only at run time, from a file or a slot of the flash: `cargo run --example any_file -- MODEL.fxm`.
//!
//! Its arena is a piece of any memory that is large enough; how large, the plan says before it is needed.

use std::error::Error;
use std::{env, fs};

use fixformer::model::Input;
use fixformer::{Model, Plan, Session};

/// What runs where no file is named.
pub const USUAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits.fxm");

/// Says what is in the file, and runs it over a recording of zeros.
///
/// # Errors
/// A file that cannot be read, or is no model: then which field is wrong, and what was expected there.
pub fn main() -> Result<(), Box<dyn Error>> {
    run(env::args().nth(1).as_deref().unwrap_or(USUAL))
}

/// Does it for a path.
///
/// # Errors
/// Those of [`main`].
pub fn run(path: &str) -> Result<(), Box<dyn Error>> {
    let bytes = fs::read(path)?;
    let words: Vec<u32> = bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect();
    let model = Model::parse(&words)?;
    let takes = match model.input {
        Input::Samples { .. } => "samples",
        Input::OneHot { .. } => "symbols",
        Input::Tokens { .. } => "token ids",
    };
    println!("{}: up to {} {takes} to {} scores", model.name(), model.max_input(), model.outputs());

    let plan = Plan::of(&model);
    println!("{} bytes of arena, the most of them in {}", plan.bytes(), largest(&plan));
    let mut memory = vec![0; plan.words()];
    let mut session = Session::new(model, &mut memory)?;
    let recording = vec![0; model.max_input()];
    println!("scores of zeros: {:?}", session.run(&recording)?.raw());
    Ok(())
}

/// The name of the largest buffer.
fn largest(plan: &Plan) -> &'static str {
    plan.buffers().max_by_key(|buffer| buffer.words).map_or("none", |buffer| buffer.name)
}
