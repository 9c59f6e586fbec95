//! Graphs of the folder `tests/onnx`: the network of each has the scores that onnxruntime gave for the graph.

use std::path::{Path, PathBuf};

use fixformer::host::data;
use fixformer::host::reference::{Activation, Input, Network, Pooling, Positions};
use tract_onnx::prelude::Framework;

use super::expression::Expression;
use super::graph::Graph;
use super::{Imported, Open, import};

/// A graph beside its recordings and scores.
pub(super) struct Case {
    pub(super) path: PathBuf,
    /// `[rows, values]`, real values as the graph takes them.
    pub(super) x: (Vec<usize>, Vec<f64>),
    pub(super) scores: (Vec<usize>, Vec<f64>),
}

impl Case {
    pub(super) fn at(path: PathBuf) -> Self {
        let data = path.with_extension("npz");
        let array = |key: &str| data::array(&data, key).unwrap();
        Case { x: array("x"), scores: array("scores"), path }
    }

    pub(super) fn rows(&self) -> usize {
        self.x.0[0]
    }

    /// A power of two below which no value is large.
    pub(super) fn scale(&self) -> f64 {
        let peak = self.x.1.iter().fold(0.0_f64, |peak, x| peak.max(x.abs()));
        (peak / 32767.0).log2().ceil().exp2()
    }

    fn import(&self) -> Imported {
        let values = self.x.1.len() / self.rows();
        let scale = self.scale().into();
        let open = Open { scale: &scale, values, max_tokens: None };
        import(&self.path, open).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The values of a recording, step by step.
    pub(super) fn row(&self, index: usize, network: &Network) -> Vec<f64> {
        let values = self.x.1.len() / self.rows();
        let row = &self.x.1[index * values..][..values];
        match (&network.input, &self.x.0[1..]) {
            // As convolutions take it: channel by channel.
            (Input::Samples { channels, .. }, [first, steps]) if first == channels && steps != channels => {
                (0..values).map(|i| row[i % channels * steps + i / channels]).collect()
            }
            _ => row.to_vec(),
        }
    }

    /// Scores of the network for the values as they are: what a raw integer cannot say goes into the positions, which is
    /// the same, since the stem is linear.
    pub(super) fn forward(&self, index: usize, network: &Network) -> Vec<f64> {
        let row = self.row(index, network);
        let mut network = network.clone();
        let Input::Samples { scale, channels, window, stem, .. } = &network.input else {
            let raw: Vec<i16> = row.iter().map(|&x| x as i16).collect();
            return network.forward(&raw, None, &mut |_, _| {}).unwrap();
        };
        let scale = scale[0];
        let raw: Vec<i16> = row.iter().map(|x| (x / scale).round() as i16).collect();
        let rest: Vec<f64> = row.iter().zip(&raw).map(|(x, &raw)| x - f64::from(raw) * scale).collect();
        let linear = fixformer::host::reference::Linear { bias: vec![0.0; stem.outputs], ..stem.clone() };
        let windows = rest.windows(window.width * channels).step_by(window.stride * channels);
        let mut added: Vec<f64> = windows.flat_map(|x| linear.apply(x)).collect();
        added.splice(0..0, vec![0.0; network.tokens_before() * stem.outputs]);
        network.positions = match &network.positions {
            Positions::Learned(table) => {
                Positions::Learned(table.iter().zip(&added).map(|(a, b)| a + b).collect())
            }
            Positions::None => Positions::Learned(added),
            _ => panic!("positions by formula"),
        };
        network.forward(&raw, None, &mut |_, _| {}).unwrap()
    }

    /// Relative L2 difference of all scores from those of onnxruntime.
    pub(super) fn difference(&self, network: &Network) -> f64 {
        let classes = self.scores.0[1];
        let (mut error, mut norm) = (0.0, 0.0);
        for (index, wanted) in self.scores.1.chunks(classes).enumerate() {
            for (a, b) in self.forward(index, network).iter().zip(wanted) {
                error += (a - b) * (a - b);
                norm += b * b;
            }
        }
        f64::sqrt(error / norm)
    }
}

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/onnx")
}

/// All graphs, or those of another folder.
fn graphs() -> Vec<PathBuf> {
    let folder = std::env::var_os("FIXFORMER_ONNX").map_or_else(folder, PathBuf::from);
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|kind| kind == "onnx")).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

#[test]
fn networks_have_the_scores_of_their_graphs() {
    let mut failures = Vec::new();
    for path in graphs() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("refused") || name.starts_with("own_chunk_dynamo_23") {
            let case = Case::at(path);
            let values = case.x.1.len() / case.rows();
            match import(&case.path, Open { scale: &case.scale().into(), values, max_tokens: None }) {
                Ok(_) => failures.push(format!("{name}: imported")),
                Err(error) => println!("{name}: refused: {error}"),
            }
            continue;
        }
        let result = std::panic::catch_unwind(|| {
            let case = Case::at(path);
            let imported = case.import();
            let scale = case.scale();
            let raw: Vec<Vec<i16>> = (0..case.rows())
                .map(|index| {
                    let row = case.row(index, &imported.network);
                    let samples = matches!(imported.network.input, Input::Samples { .. });
                    row.iter().map(|x| if samples { (x / scale).round() as i16 } else { *x as i16 }).collect()
                })
                .collect();
            (case.difference(&imported.network), imported.compare(&raw))
        });
        match result {
            Ok((difference, Ok(agreement))) => {
                println!(
                    "{name}: {difference:.1e} from onnxruntime, {:.1e} from tract",
                    agreement.difference
                );
                if difference > 1e-5 || difference.is_nan() {
                    failures.push(format!("{name}: {difference:.1e} from onnxruntime"));
                }
            }
            Ok((difference, Err(error))) => failures.push(format!("{name}: {difference:.1e}, but: {error}")),
            Err(panic) => {
                failures.push(format!("{name}: {}", panic.downcast_ref::<String>().map_or("panic", |s| s)))
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The batch norm of a graph that is no encoder (no residual sum, no feed-forward layer, no head) has a place all the same: it
/// is in the projections behind it. What is refused is the rest.
#[test]
fn a_batch_norm_before_projections_is_in_them() {
    let path = folder().join("own_chunk_dynamo_23.onnx");
    let model = tract_onnx::onnx().proto_model_for_path(&path).unwrap();
    let graph = Graph::of(&model, &folder()).unwrap();
    let port = super::input(&graph).unwrap();
    let readings = super::readings(port, 0).unwrap();
    let computed = readings.iter().find_map(|reading| super::read::read(&graph, port, reading).ok()).unwrap();
    let expressions = &computed.expressions;
    let Expression::Pooled { of, .. } = *expressions.get(computed.output.id) else { panic!("no pooling") };
    let Expression::Activated { of, activation } = *expressions.get(of) else { panic!("no activation") };
    assert_eq!(activation, Activation::GeluTanh);
    let Expression::Attention { q, .. } = *expressions.get(expressions.base(of)) else {
        panic!("no attention")
    };
    let input = expressions.base(q);
    assert!(matches!(expressions.get(input), Expression::Samples));
    let query = expressions.map_from(input, q).unwrap();

    let node = |operator: &str| graph.nodes.iter().find(|node| node.operator == operator).unwrap();
    let values = |name: &String| &graph.constants[name].array.data;
    let norm = node("BatchNormalization");
    let [gain, bias, mean, variance] = [1, 2, 3, 4].map(|index| values(&norm.inputs[index]));
    let weights = values(&node("MatMul").inputs[1]);
    let columns = weights.len() / gain.len();
    for (channel, row) in query.weights.chunks(query.outputs).enumerate() {
        let factor = gain[channel] / (variance[channel] + 1e-5).sqrt();
        for (column, weight) in row.iter().enumerate() {
            assert!((weight - factor * weights[channel * columns + column]).abs() < 1e-12);
        }
    }
    // A recording of the running means gives the bias of the norm, projected.
    let of_means = query.apply(mean);
    let projected =
        values(&node("Add").inputs.iter().find(|name| graph.constants.contains_key(*name)).unwrap().clone());
    for (column, found) in of_means.iter().enumerate() {
        let terms = bias.iter().enumerate().map(|(channel, bias)| bias * weights[channel * columns + column]);
        assert!((found - terms.sum::<f64>() - projected[column]).abs() < 1e-9, "column {column}");
    }
}

#[test]
fn another_network_is_told_by_its_first_tensor() {
    let case = Case::at(folder().join("embed_pre_max.legacy.onnx"));
    let rows: Vec<Vec<i16>> =
        case.x.1.chunks(32).map(|row| row.iter().map(|&x| x as i16).collect()).collect();
    let different = |change: &dyn Fn(&mut Network), words: &[&str]| {
        let mut imported = case.import();
        change(&mut imported.network);
        let error = imported.compare(&rows).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{error}");
        }
    };
    // The smallest difference there is, the other GELU; another epsilon; and larger ones.
    different(
        &|network| network.blocks[1].feed_forward.activation = Activation::GeluTanh,
        &["`/enc/layers.1/Gelu_output_0`", "hidden of block 1"],
    );
    different(
        &|network| network.blocks[0].norm2.epsilon = 1e-3,
        &["`/enc/layers.0/norm2/LayerNormalization_output_0`", "norm2 of block 0"],
    );
    different(&|network| network.blocks[1].attention.heads = 4, &["block 1"]);
    different(&|network| network.pooling = Pooling::Mean, &["pooled"]);
    different(&|network| network.head.bias[0] += 1e-4, &["scores"]);
}
