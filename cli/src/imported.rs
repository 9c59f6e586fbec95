//! The network of an ONNX graph, compared with the graph on recordings.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fixformer::host::data::Recordings;
use fixformer::host::import::Precision;
use fixformer::host::reference::Network;

#[cfg(feature = "onnx")]
use crate::say::say;

/// Whether a float model is a graph, which has its weights itself.
pub(crate) fn is_graph(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("onnx"))
}

/// The files of a graph: itself, and those beside it that have its weights.
#[cfg(feature = "onnx")]
pub(crate) fn files(graph: &Path) -> Vec<PathBuf> {
    crate::onnx::files(graph)
}

#[cfg(not(feature = "onnx"))]
pub(crate) fn files(graph: &Path) -> Vec<PathBuf> {
    vec![graph.to_owned()]
}

/// The network of the graph at `path`. `recordings`, of the file `data`, get the order of the network's values, and are
/// what both are run on. With it comes the format of the weights.
#[cfg(feature = "onnx")]
pub(crate) fn network(
    path: &Path,
    data: &Path,
    recordings: &mut Recordings,
    max_tokens: Option<usize>,
) -> Result<(Network, Precision)> {
    use fixformer::host::reference::Input;

    use crate::onnx::{Agreement, Open, import};
    let values = recordings.rows.iter().map(Vec::len).max().unwrap_or(0);
    let scale = recordings.scale.clone().unwrap_or_else(|| 1.0.into());
    let imported = import(path, Open { scale: &scale, values, max_tokens })?;
    if let Input::Samples { channels, .. } = imported.network.input {
        if recordings.scale.is_none() {
            say(format_args!(
                "hint: {}: whole numbers without a scale: {} is given them as they are; add `--scale REAL` if one of \
                 their units is another number to the model",
                data.display(),
                path.display()
            ));
        }
        arrange(recordings, channels);
    }
    crate::recordings::check_channels(data, recordings, crate::network::wanted(&imported.network).channels)?;
    let Agreement { recordings: compared, difference } = imported.compare(&recordings.rows)?;
    say(format_args!(
        "note: {}: the graph, run on {compared} of the recordings, gives the scores of the float reference to \
         {difference:.1e} (relative)",
        path.display()
    ));
    Ok((imported.network, imported.precision))
}

#[cfg(not(feature = "onnx"))]
pub(crate) fn network(
    path: &Path,
    _: &Path,
    _: &mut Recordings,
    _: Option<usize>,
) -> Result<(Network, Precision)> {
    anyhow::bail!(
        "{}: this build reads no ONNX graphs; install it with `cargo install --path cli --features onnx`",
        path.display()
    )
}

/// Recordings `[channels, steps]`, as convolutions take them, become `[steps, channels]`.
#[cfg(feature = "onnx")]
fn arrange(recordings: &mut Recordings, channels: usize) {
    let steps = recordings.channels;
    if steps == channels || recordings.rows.iter().any(|row| row.len() != steps * channels) {
        return;
    }
    for row in &mut recordings.rows {
        *row = (0..row.len()).map(|index| row[index % channels * steps + index / channels]).collect();
    }
    recordings.channels = channels;
}

#[cfg(all(test, feature = "onnx"))]
mod tests {
    use super::*;

    #[test]
    fn channels_first_becomes_steps_first() {
        let rows = vec![vec![1, 2, 3, 10, 20, 30]];
        let mut recordings = Recordings { channels: 3, rows, ..Recordings::default() };
        arrange(&mut recordings, 2);
        assert_eq!((recordings.channels, &recordings.rows[0][..]), (2, &[1, 10, 2, 20, 3, 30][..]));
        let same = recordings.clone();
        arrange(&mut recordings, 2);
        assert_eq!(recordings, same);
    }
}
