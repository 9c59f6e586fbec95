//! The backends of this machine.

use fixformer::kernels::{backend, portable_only};

/// Calls `bench` with the name of each, while the kernels use it.
pub(crate) fn each(mut bench: impl FnMut(&'static str)) {
    portable_only(true);
    let portable = backend();
    bench(portable);
    portable_only(false);
    if backend() != portable {
        bench(backend());
    }
}
