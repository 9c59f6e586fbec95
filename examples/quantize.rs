//! From a float checkpoint to a model file, without the command: `cargo run --example quantize -- OUT.fxm`.
//!
//! `fixformer quantize` does the same and more; a training pipeline in Rust calls it like this.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use fixformer::Model;
use fixformer::host::engine::Engine;
use fixformer::host::import;
use fixformer::host::quantize::{Settings, quantize};

/// Quantises the digits, compares the file with the float network, and writes it where a path is given.
///
/// # Errors
/// Those of the import, which name the file and the key or tensor, and of the quantiser.
pub fn main() -> Result<(), Box<dyn Error>> {
    run(env::args().nth(1).as_deref())
}

/// Does it, and writes the file where a path is given.
///
/// # Errors
/// Those of [`main`].
pub fn run(output: Option<&str>) -> Result<(), Box<dyn Error>> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let network = import::network(&models.join("digits.toml"), &models.join("digits.safetensors"))?;
    // Rows of the training set belong here: they show the range of every tensor.
    let recordings: Vec<Vec<i16>> = (0..64).map(image).collect();
    let quantized = quantize(&network, &recordings, Settings::default(), |_| {})?;
    println!(
        "{} bytes, {} layers with 16-bit weights",
        4 * quantized.words.len(),
        quantized.promotions.len()
    );

    let model = Model::parse(&quantized.words)?;
    let mut engine = Engine::new(model);
    let scores: Vec<f64> = engine.session().run(&recordings[0])?.to_f64().collect();
    let float = network.forward(&recordings[0], None, &mut |_, _| {})?;
    for (class, (fixed, float)) in scores.iter().zip(float).enumerate() {
        println!("class {class}: {fixed:8.3}, in float {float:8.3}");
    }
    if let Some(path) = output {
        fs::write(path, quantized.file.bytes())?;
    }
    Ok(())
}

/// A ring of some size and place.
fn image(number: usize) -> Vec<i16> {
    let (radius, place) = (1.5 + (number % 5) as f64 / 2.0, 3.0 + (number % 3) as f64 / 2.0);
    let pixel = |index: usize| {
        let (row, column) = ((index / 8) as f64 - place, (index % 8) as f64 - place);
        (16.0 * (1.0 - (row.hypot(column) - radius).abs()).max(0.0)) as i16
    };
    (0..64).map(pixel).collect()
}
