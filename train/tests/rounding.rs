//! Fine-tuning sees the roundings of the engine, and gradients pass them.

use burn::tensor::{Device, Tensor, TensorData};
use fixformer::host::draw::Source;
use fixformer::host::import;
use fixformer::host::quantize::{Settings, quantize};
use fixformer::{Model as EngineModel, host::engine::Engine};
use fixformer_train::batch::Batch;
use fixformer_train::checkpoint;
use fixformer_train::data::{Data, Set};
use fixformer_train::model::{Dropout, Model};
use fixformer_train::parameters::{Parameters, Role};
use fixformer_train::recipe::Training;

const DESCRIPTION: &str = r#"
name = "test"
[input]
kind = "tokens"
[encoder]
layers = 2
width = 16
heads = 2
hidden = 24
"#;

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.inner().into_data().try_into_vec().unwrap()
}

#[test]
fn weights_are_a_column_of_8_bit_integers_and_vectors_are_left_alone() {
    let mut parameters = Parameters::new(Device::flex());
    let mut source = Source(3);
    parameters.weight("w".into(), 5, 7, &mut source);
    parameters.vector("b".into(), 7, 0.123_456_79);
    let rounded = parameters.rounded();
    let [before, after] = [&parameters, &rounded].map(|parameters| values(parameters.list[0].value.clone()));
    assert_ne!(before, after);
    for column in 0..7 {
        let of = |values: &[f32]| -> Vec<f32> { values.iter().skip(column).step_by(7).copied().collect() };
        let (before, after) = (of(&before), of(&after));
        let step = before.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / 127.0;
        for (before, after) in before.iter().zip(after) {
            let integer = after / step;
            assert!((integer - integer.round()).abs() < 1e-3 && integer.abs() < 127.5, "{integer}");
            assert!((before - after).abs() <= 0.501 * step);
        }
    }
    assert_eq!(parameters.list[1].role, Role::Vector);
    assert_eq!(values(rounded.list[1].value.clone()), [0.123_456_79; 7]);
}

#[test]
fn gradients_pass_the_roundings() {
    let device = Device::flex();
    let mut parameters = Parameters::new(device.clone());
    let id = parameters.weight("w".into(), 3, 2, &mut Source(1));
    let tracked = parameters.tracked();
    let factors: Tensor<2> =
        Tensor::from_data(TensorData::new(vec![1.0_f32, -2.0, 3.0, 4.0, -5.0, 6.0], [3, 2]), &device);
    let rounded = tracked.rounded();
    let loss = (rounded.activation(rounded.value(id)) * factors.clone()).sum();
    let gradient = tracked.value(id).grad(&loss.backward()).unwrap();
    assert_eq!(values(gradient), values(factors));
}

/// With the roundings the scores are nearer to the engine's than without.
#[test]
fn the_roundings_are_those_of_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.toml");
    std::fs::write(&path, DESCRIPTION).unwrap();
    let description = import::read(&path).unwrap();
    let mut source = Source(11);
    let rows: Vec<Vec<i16>> = (0..40).map(|_| (0..12).map(|_| source.below(6) as i16).collect()).collect();
    let set = Set { labels: vec![0; rows.len()], rows };
    let data = Data { train: set.clone(), validation: set, classes: 3, tokens: 12, vocabulary: 6 };
    let device = Device::flex();
    let (model, parameters) =
        Model::new(&path, &description, &data, &Training { seed: 7, ..Training::default() }, &device)
            .unwrap();
    let weights = folder.path().join("test.safetensors");
    checkpoint::save(&model, &parameters, &description, &weights).unwrap();
    let network = import::network(&path, &weights).unwrap();
    let eight_bits = Settings { score_error: f64::INFINITY, ..Settings::default() };
    let quantized = quantize(&network, &data.train.rows, eight_bits, |_| {}).unwrap();
    let engine = EngineModel::parse(&quantized.words).unwrap();
    let mut engine = Engine::new(engine);
    let mut net = engine.session();
    let mut expected = Vec::new();
    for row in &data.train.rows {
        let scores = net.run(row).unwrap();
        let unit = (-f64::from(scores.frac())).exp2();
        expected.extend(scores.raw().iter().map(|&score| f64::from(score) * unit));
    }

    let all: Vec<usize> = (0..data.train.rows.len()).collect();
    let batch = model.reader.batch(&data.train, &all, None, &device);
    let error = |parameters: &Parameters, batch: &Batch| -> f64 {
        let scores = values(model.forward(parameters, batch, &mut Dropout::none()));
        scores.iter().zip(&expected).map(|(&score, expected)| (f64::from(score) - expected).powi(2)).sum()
    };
    let [plain, rounded] = [error(&parameters, &batch), error(&parameters.rounded(), &batch)];
    assert!(rounded < 0.5 * plain, "{rounded} with the roundings, {plain} without");
}
