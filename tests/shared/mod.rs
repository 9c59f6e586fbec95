//! The collection of data sets, trained models and golden files that some tests take, where there is one.

use std::path::{Path, PathBuf};

/// Its folder: `FIXFORMER_SHARED`, or `shared` beside the repository.
pub(crate) fn root() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    std::env::var_os("FIXFORMER_SHARED").map_or_else(beside, PathBuf::from)
}
