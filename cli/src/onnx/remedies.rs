//! What messages about graphs advise, done: then the network has the scores of the graph.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::Dimension as Axis;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TypeProto, ValueInfoProto, type_proto,
};
use tract_onnx::prelude::Framework;

use super::tests::{Case, folder};
use super::{Imported, OnnxError, Open, placed};

fn case(name: &str) -> (Case, ModelProto) {
    let path = folder().join(name);
    let model = tract_onnx::onnx().proto_model_for_path(&path).unwrap();
    (Case::at(path), model)
}

fn import(case: &Case, model: &ModelProto, max_tokens: Option<usize>) -> Result<Imported, OnnxError> {
    let values = case.x.1.len() / case.rows();
    placed(&case.path, model.clone(), Open { scale: &case.scale().into(), values, max_tokens })
}

fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

/// Lengths of the axes of the input.
fn axes(model: &mut ModelProto) -> &mut Vec<Axis> {
    let Some(type_proto::Value::TensorType(tensor)) =
        graph(model).input[0].r#type.as_mut().and_then(|kind| kind.value.as_mut())
    else {
        panic!("the input is no tensor")
    };
    &mut tensor.shape.as_mut().unwrap().dim
}

/// A node behind the last one, of which the scores are.
fn behind(model: &mut ModelProto, operator: &str) {
    let graph = graph(model);
    let scores = graph.output[0].name.clone();
    let node = NodeProto {
        op_type: operator.to_owned(),
        input: vec![scores],
        output: vec!["behind".to_owned()],
        ..NodeProto::default()
    };
    graph.node.push(node);
    graph.output[0].name = "behind".to_owned();
}

fn port(name: &str, kind: Option<TypeProto>) -> ValueInfoProto {
    ValueInfoProto { name: name.to_owned(), r#type: kind, ..ValueInfoProto::default() }
}

/// Each fault is one change of a graph that is imported without it, which is what its message asks for.
#[test]
fn without_the_fault_the_graph_is_imported() {
    type Fault = fn(&mut ModelProto);
    let (conv, tokens) = ("conv_pre_meannorm.legacy.onnx", "embed_pre_max.legacy.onnx");
    let faults: [(&str, Fault, &[&str]); 10] = [
        (
            conv,
            |model| behind(model, "Sigmoid"),
            &["Sigmoid", "if it ends the model, export the scores before it"],
        ),
        (conv, |model| behind(model, "LogSoftmax"), &["LogSoftmax", "export the scores before it"]),
        (
            conv,
            |model| behind(model, "QuantizeLinear"),
            &["export the float model; `fixformer quantize` quantizes it"],
        ),
        (
            conv,
            |model| {
                let kind = graph(model).output[0].r#type.clone();
                let inner = graph(model).node[3].output[0].clone();
                graph(model).output.push(port(&inner, kind));
            },
            &["expected one, the scores: export the model with that output alone"],
        ),
        (
            tokens,
            |model| {
                let kind = graph(model).input[0].r#type.clone();
                graph(model).input.push(port("mask", kind));
            },
            &["`mask`", "export the model without masks and further inputs"],
        ),
        (
            conv,
            |model| axes(model)[1..].iter_mut().for_each(|axis| axis.value = None),
            &["leaves its channels open", "export it with a fixed number of them"],
        ),
        (
            conv,
            |model| axes(model).push(Axis { value: Some(Dimension::DimValue(1)), ..Axis::default() }),
            &["has 4 axes; expected [batch, steps], [batch, steps, channels] or [batch, channels, steps]"],
        ),
        (
            conv,
            |model| graph(model).initializer[0].data_type = DataType::String as i32,
            &["elements that are no numbers; export the model in 32-bit floats"],
        ),
        (
            "convbn_pre_mean.legacy_dyn.onnx",
            |model| {
                let norm =
                    graph(model).node.iter_mut().find(|node| node.op_type == "BatchNormalization").unwrap();
                norm.attribute.retain(|attribute| attribute.name != "training_mode");
                let mode = "training_mode".to_owned();
                // An int.
                norm.attribute.push(AttributeProto {
                    name: mode,
                    i: 1,
                    r#type: 2,
                    ..AttributeProto::default()
                });
            },
            &["BatchNormalization", "normalises by the batch; export the model after `model.eval()`"],
        ),
        (
            conv,
            |model| {
                let conv = graph(model).node.iter_mut().find(|node| node.op_type == "Conv").unwrap();
                conv.attribute
                    .iter_mut()
                    .filter(|a| a.name == "pads")
                    .for_each(|pads| pads.ints = vec![1, 1]);
            },
            &["Conv", "expected a convolution without padding: train with `padding=0`"],
        ),
    ];
    for (name, fault, words) in faults {
        let (case, right) = case(name);
        let mut model = right.clone();
        fault(&mut model);
        let error = import(&case, &model, None).err().unwrap_or_else(|| panic!("{words:?}: imported"));
        let said = error.to_string();
        words.iter().for_each(|word| assert!(said.contains(word), "no {word:?} in: {said}"));
        let imported = import(&case, &right, None).unwrap();
        assert!(case.difference(&imported.network) < 1e-5, "{said}");
    }
}

/// The scores before a softmax: their softmax is what the graph with it gives.
#[test]
fn the_scores_before_a_softmax() {
    let (case, mut model) = case("refused_softmax.legacy.onnx");
    let said = import(&case, &model, None).err().unwrap().to_string();
    assert!(said.contains("Softmax") && said.contains("export the scores before it"), "{said}");
    let softmax = graph(&mut model).node.pop().unwrap();
    assert_eq!(softmax.op_type, "Softmax");
    graph(&mut model).output[0].name.clone_from(&softmax.input[0]);
    let imported = import(&case, &model, None).unwrap();
    let classes = case.scores.0[1];
    for (index, wanted) in case.scores.1.chunks(classes).enumerate() {
        let scores = case.forward(index, &imported.network);
        let sum: f64 = scores.iter().map(|score| score.exp()).sum();
        for (score, wanted) in scores.iter().zip(wanted) {
            assert!((score.exp() / sum - wanted).abs() < 1e-5, "row {index}");
        }
    }
}

/// A stem that pads: without that, on recordings that are padded.
#[test]
fn padded_recordings_in_place_of_a_stem_that_pads() {
    let (case, mut model) = case("conv_pre_meannorm.legacy.onnx");
    let longer = Some(Dimension::DimValue(case.x.0[2] as i64 + 2));
    axes(&mut model)[2].value.clone_from(&longer);
    let imported = import(&case, &model, None).unwrap();
    let padded = |index| {
        let row = case.row(index, &imported.network);
        let raw = row.iter().map(|x| (x / case.scale()).round() as i16);
        [vec![0; 2], raw.collect(), vec![0; 2]].concat()
    };
    let rows: Vec<Vec<i16>> = (0..case.rows()).map(padded).collect();
    assert!(imported.compare(&rows).unwrap().difference < 1e-5);
    // Those of another length are not compared, and what the message asks for is.
    let short: Vec<Vec<i16>> = rows.iter().map(|row| row[2..].to_vec()).collect();
    let said = imported.compare(&short).unwrap_err().to_string();
    assert!(said.contains("give recordings of this length") && said.contains("134 steps of 2"), "{said}");
}
