//! The backends of this machine.

use fixformer::kernels::{Backend, choose};

/// Calls `bench` with the name of each, while the kernels use it.
pub(crate) fn each(mut bench: impl FnMut(&'static str)) {
    for backend in Backend::all() {
        choose(Some(backend));
        bench(backend.name());
    }
    choose(None);
}
