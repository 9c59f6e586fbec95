//! The kernels of every backend that this processor has: against portable, against known answers. `cargo xtask test` runs this
//! for aarch64 too, under an emulator.

use fixformer::kernels::{self, Backend, check, choose};

#[test]
fn every_kernel_agrees_with_portable_and_the_known_answers() {
    for backend in Backend::all() {
        choose(Some(backend));
        assert_eq!(kernels::backend(), backend.name());
        let mut failures = Vec::new();
        let mut count = 0;
        let mut report = |kernel: &str, result: Result<(), check::Mismatch>| {
            count += 1;
            if let Err(mismatch) = result {
                failures.push(format!("{backend:?} {kernel}: {mismatch:x?}"));
            }
        };
        check::all(&mut report);
        check::large(&mut report);
        check::of_host(&mut report);
        assert!(failures.is_empty(), "{failures:#?}");
        assert_eq!(count, 29);
    }
}
