//! The model of this build: `FIXFORMER_MODEL`, or the digits, which stand for a model of yours.

use std::env;

fn main() {
    println!("cargo::rerun-if-env-changed=FIXFORMER_MODEL");
    let digits = || format!("{}/../../../models/digits.fxm", env!("CARGO_MANIFEST_DIR"));
    println!("cargo::rustc-env=FIXFORMER_MODEL={}", env::var("FIXFORMER_MODEL").unwrap_or_else(|_| digits()));
}
