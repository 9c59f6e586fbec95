//! What `eval` writes.

use anyhow::Result;
use fixformer::host::data;
use fixformer::host::file::{Files, Output};

use super::Arguments;

/// The table of scores and the model file with thresholds, where they are asked for: the one is none of the files that are read,
/// the other only that of the model.
pub(super) fn of(arguments: &Arguments) -> Result<(Option<Output>, Option<Output>)> {
    let Arguments { file, data, checkpoint, scores, keep_threshold, .. } = arguments;
    let mut files = Files::default();
    files.read([file.clone()]);
    let scores_alone = scores.as_deref().map(|path| {
        files.read(data::files(data));
        files.read(checkpoint.files(file));
        files.write(path)
    });
    let rewritten = keep_threshold.then(|| files.rewrite(file));
    Ok((scores_alone.transpose()?, rewritten.transpose()?))
}
