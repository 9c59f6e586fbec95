//! A malformed model in `model!` does not compile, and the error names the fault.

use std::path::Path;

#[test]
fn a_malformed_model_does_not_compile() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits.fxm");
    let good = std::fs::read(model).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let mut version = good.clone();
    version[4] = 99;
    let write = |name: &str, bytes: &[u8]| std::fs::write(directory.join(name), bytes).unwrap();
    write("digits.fxm", &good);
    write("truncated.fxm", &good[..good.len() / 2 / 4 * 4]);
    write("flipped.fxm", &flipped);
    write("version.fxm", &version);
    write("not_a_model.fxm", b"PK\x03\x04 and so on");

    // SAFETY: this is the only test of the binary and no other thread runs yet.
    #[allow(unsafe_code)]
    unsafe {
        std::env::set_var("FIXFORMER_BROKEN", directory);
    }
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
