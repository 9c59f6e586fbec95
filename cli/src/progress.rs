//! Progress bars on stderr that leave no trace.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `length` steps; invisible where stderr is not a terminal.
pub(crate) fn bar(what: &'static str, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>12} {wide_bar} {human_pos}/{human_len} {eta:>4}");
    ProgressBar::new(length as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(what)
}
