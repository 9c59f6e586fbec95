//! What models are asked: one of several classes, yes or no once or several times, numbers, and that of every token.

use fixformer::host::calibrate::calibrate;
use fixformer::host::judge::{Answer, Judge};
use fixformer::host::metrics::calibration::{sigmoid, softmax};
use fixformer::host::quantize::integers;
use fixformer::host::reference::{Activation, Answers, Linear, Network, NormOrder, Pooling, Task};
use fixformer::host::report::relative_l2;
use fixformer::model::write::{self, with_thresholds};
use fixformer::model::{self, ModelError};
use fixformer::num::Probability;
use fixformer::session::{Impassable, PassesError, Plan};
use fixformer::{Model, Passes, Session, Stream};
use fixformer_fuzz::random::{Options, Source, all_wide, length, mask, network};

const OPTIONS: Options = Options {
    input: 2,
    positions: 0,
    order: NormOrder::Pre,
    activation: Activation::GeluErf,
    causal: false,
    heads: 2,
    width: 16,
    pooling: Pooling::Mean,
    hidden: None,
    norms: true,
    max_tokens: 90,
};

/// A network that is asked for so many outputs, the integers of it, and a recording.
fn asked(options: Options, outputs: usize, task: Task) -> (Network, write::File, Vec<i16>) {
    let mut source = Source(5);
    let mut network = network(&mut source, options);
    let inputs = network.head.inputs;
    network.head = Linear { inputs, outputs, ..source.linear(inputs, outputs) };
    network.answers = Answers { task, ..Answers::default() };
    let recordings: Vec<Vec<i16>> =
        (2..8).map(|i| source.recording(length(&network, 10 * i), &network.input)).collect();
    let ranges = calibrate(&network, &recordings, || {}).unwrap();
    let file = integers(&network, &ranges, &all_wide()).unwrap();
    (network, file, recordings[3].clone())
}

fn real(probability: Probability) -> f64 {
    f64::from(probability.to_bits()) / 32_768.0
}

/// Gives the model of `words` and its memory to `check`.
fn in_session(words: &[u32], check: impl FnOnce(&mut Session<'_>)) {
    let model = Model::parse(words).unwrap();
    let mut memory = vec![0xdead_beef; Plan::of(&model).words()];
    check(&mut Session::new(model, &mut memory).unwrap());
}

#[test]
fn one_output_is_yes_or_no() {
    let (network, file, recording) = asked(OPTIONS, 1, Task::Multilabel);
    let logit = network.forward(&recording, None, &mut |_, _| {}).unwrap()[0];
    in_session(&file.words(), |session| {
        let model = *session.model();
        assert_eq!((model.outputs(), model.classes()), (1, 2));
        let scores = session.run(&recording).unwrap();
        let found = scores.to_f64().next().unwrap();
        assert!((found - logit).abs() < 0.02 * logit.abs().max(1.0), "{found} {logit}");
        assert_eq!(scores.best(), usize::from(logit > 0.0));
        assert_eq!(scores.is_yes(0), logit > 0.0);
        for (class, expected) in [sigmoid(-found), sigmoid(found), 0.0].into_iter().enumerate() {
            let probability = real(scores.probability(class));
            assert!((probability - expected).abs() < 0.002, "{class}: {probability} {expected}");
        }
        assert!(!scores.is_yes(1));
    });
    // A threshold right below and right at the score.
    for below in [true, false] {
        let raw = {
            let mut raw = 0;
            in_session(&file.words(), |session| raw = session.run(&recording).unwrap().raw()[0].into());
            raw
        };
        let words = with_thresholds(&file.words(), model::Task::Multilabel, &[raw - i32::from(below)]);
        in_session(&words, |session| {
            let model = *session.model();
            let scores = session.run(&recording).unwrap();
            assert_eq!((scores.best() == 1, scores.is_yes(0)), (below, below));
            let reals: Vec<f64> = scores.to_f64().collect();
            assert_eq!(Judge::of(&model).answer(&reals), Answer::Class(below.into()));
            assert_eq!(Judge::of(&model).raw(&model), [raw - i32::from(below)]);
        });
    }
}

#[test]
fn a_threshold_moves_the_line_between_two_classes() {
    let (_, file, recording) = asked(OPTIONS, 2, Task::Multiclass);
    let mut scores = Vec::new();
    in_session(&file.words(), |session| scores = session.run(&recording).unwrap().raw().to_vec());
    let margin = i32::from(scores[1]) - i32::from(scores[0]);
    for (threshold, class) in [(margin - 1, 1), (margin, 0), (i32::MAX, 0), (i32::MIN, 1)] {
        in_session(&with_thresholds(&file.words(), model::Task::Multiclass, &[threshold]), |session| {
            let found = session.run(&recording).unwrap();
            assert_eq!((found.best(), found.raw()), (class, scores.as_slice()));
            assert!(!found.is_yes(1), "of two classes neither is a yes");
        });
    }
    // Taken out again, the file is the one without.
    let with = with_thresholds(&file.words(), model::Task::Multiclass, &[3]);
    assert_eq!(with_thresholds(&with, model::Task::Multiclass, &[]), file.words());
    let three = asked(OPTIONS, 3, Task::Multiclass).1;
    let words = with_thresholds(&three.words(), model::Task::Multiclass, &[3]);
    let error = Model::parse(&words).unwrap_err();
    assert!(matches!(error, ModelError::Mismatch { field: "answers.thresholds", .. }), "{error}");
}

#[test]
fn several_labels_are_each_yes_or_no() {
    let (_, file, recording) = asked(OPTIONS, 5, Task::Multilabel);
    let thresholds = [-300, 0, 10_000, -10_000, 250];
    let words = with_thresholds(&file.words(), model::Task::Multilabel, &thresholds);
    in_session(&words, |session| {
        let model = *session.model();
        assert_eq!(model.classes(), 5);
        let scores = session.run(&recording).unwrap();
        let reals: Vec<f64> = scores.to_f64().collect();
        let yes: Vec<bool> = scores
            .raw()
            .iter()
            .zip(thresholds)
            .map(|(&score, threshold)| i32::from(score) > threshold)
            .collect();
        assert_eq!((0..5).map(|label| scores.is_yes(label)).collect::<Vec<_>>(), yes);
        assert_eq!(Judge::of(&model).answer(&reals), Answer::Labels(yes));
        for (label, &logit) in reals.iter().enumerate() {
            assert!((real(scores.probability(label)) - sigmoid(logit)).abs() < 0.002);
        }
        assert_eq!(scores.probability(5), Probability::ZERO);
    });
}

#[test]
fn classes_have_the_probabilities_of_softmax() {
    let (_, file, recording) = asked(OPTIONS, 4, Task::Multiclass);
    in_session(&file.words(), |session| {
        let scores = session.run(&recording).unwrap();
        let expected = softmax(&scores.to_f64().collect::<Vec<_>>());
        for (class, expected) in expected.into_iter().enumerate() {
            assert!((real(scores.probability(class)) - expected).abs() < 0.002);
        }
    });
}

#[test]
fn numbers_have_no_classes() {
    let (network, mut file, recording) = asked(OPTIONS, 2, Task::Regression);
    (file.answers.names, file.answers.units) =
        (vec!["speed".into(), "load".into()], vec!["m/s".into(), "N".into()]);
    let expected = network.forward(&recording, None, &mut |_, _| {}).unwrap();
    in_session(&file.words(), |session| {
        let model = *session.model();
        assert_eq!((model.outputs(), model.classes()), (2, 0));
        let scores = session.run(&recording).unwrap();
        assert!(relative_l2(&scores.to_f64().collect::<Vec<_>>(), &expected) < 0.01);
        assert_eq!(scores.probability(0), Probability::ZERO);
        assert_eq!((scores.answers().name(1), scores.answers().unit(0)), (Some("load"), Some("m/s")));
        assert_eq!((scores.answers().name(2), scores.answers().threshold(0)), (None, None));
        for (output, exact) in scores.to_f64().enumerate() {
            let found: f64 = scores.number(output).to_num();
            assert!((found - exact).abs() < 1e-8 * exact.abs().max(1.0), "{found} {exact}");
        }
        assert_eq!(scores.number(2), 0);
    });
}

#[test]
fn names_and_units_are_in_the_file() {
    let (_, mut file, recording) = asked(OPTIONS, 3, Task::Multiclass);
    file.answers.names = ["normal", "abnormal", "nötig"].map(String::from).to_vec();
    file.input_units = vec!["mV".into()];
    let words = file.words();
    in_session(&words, |session| {
        let model = *session.model();
        assert_eq!(model.input_unit(0), Some("mV"));
        let scores = session.run(&recording).unwrap();
        assert_eq!(scores.name(), scores.answers().name(scores.best()));
        assert_eq!(scores.answers().name(2), Some("nötig"));
        assert_eq!(scores.answers().name(3), None);
    });
    // A name too few or too many is no file, and neither is one that is blank.
    for names in [vec!["one".to_owned()], vec!["a".to_owned(); 4], ["a", "", "c"].map(String::from).to_vec()]
    {
        file.answers.names = names;
        assert!(matches!(
            Model::parse(&file.words()),
            Err(ModelError::Section { tag: [b'N', b'A', b'M', b'S'], .. })
        ));
    }
}

/// Every token has the scores that the reference gives it, whole, in steps and, where it is causal, in a stream; those of hidden
/// ones are zeros.
#[test]
fn every_token_has_scores_of_its_own() {
    for (causal, hidden) in [(false, None), (true, None), (true, Some(Activation::Relu))] {
        let options = Options { causal, hidden, pooling: Pooling::None, ..OPTIONS };
        let (network, file, recording) = asked(options, 3, Task::Multiclass);
        let words = file.words();
        let expected = network.forward(&recording, None, &mut |_, _| {}).unwrap();
        let mut whole = Vec::new();
        in_session(&words, |session| {
            let scores = session.run(&recording).unwrap();
            assert_eq!((scores.tokens(), scores.raw().len()), (recording.len(), 3 * recording.len()));
            assert!(relative_l2(&scores.to_f64().collect::<Vec<_>>(), &expected) < 0.01);
            let last = scores.of_token(recording.len() - 1).unwrap();
            assert_eq!((last.best(), last.tokens()), (scores.best(), 1));
            assert!(scores.of_token(recording.len()).is_none());
            whole = scores.raw().to_vec();

            let mut running = session.start(&recording).unwrap();
            while running.step().unwrap().is_pending() {}
            assert_eq!(running.scores().unwrap().raw(), whole);

            let seen = mask(0, recording.len());
            let expected = network.forward(&recording, Some(&seen), &mut |_, _| {}).unwrap();
            let scores = session.run_masked(&recording, &seen).unwrap();
            assert!(relative_l2(&scores.to_f64().collect::<Vec<_>>(), &expected) < 0.01);
            for (token, seen) in seen.into_iter().enumerate() {
                let zeros = scores.of_token(token).unwrap().raw().iter().all(|&score| score == 0);
                assert_eq!(zeros, !seen, "token {token}");
            }
        });
        let model = Model::parse(&words).unwrap();
        assert_eq!(Passes::new(model, &mut []).err(), Some(PassesError::Impassable(Impassable::PerToken)));
        if !causal {
            continue;
        }
        let mut memory = vec![0; Plan::of_stream(&model).unwrap().words()];
        let mut stream = Stream::new(model, &mut memory).unwrap();
        for (token, &id) in recording.iter().enumerate() {
            let scores = stream.push(&[id]).unwrap().unwrap();
            assert_eq!(scores.raw(), &whole[3 * token..][..3], "token {token}");
        }
        stream.skip(1).unwrap();
        assert!(stream.scores().is_none(), "a token that is missing has no scores");
        assert!(stream.push(&[1]).unwrap().is_some());
    }
}

/// What is outside the calibrated range is counted once, however windows overlap, whole, in steps and in a stream.
#[test]
fn what_is_beyond_the_range_is_counted_once() {
    for causal in [false, true] {
        let options = Options { input: 0, causal, norms: false, ..OPTIONS };
        let (network, file, mut recording) = asked(options, 3, Task::Multiclass);
        let words = file.words();
        in_session(&words, |session| {
            assert_eq!(session.run(&recording).unwrap().saturated(), 0);
            // Calibration has seen some hundreds. The last step is in no window.
            let last = recording.len() / 3 - 1;
            let window = session.model().input.window();
            let reach = (window.tokens(last + 1) - 1) * window.stride + window.width;
            for step in [0, 1, 4, 5, 9, 30] {
                recording[3 * step + step % 3] = if step % 2 == 0 { i16::MAX } else { i16::MIN };
            }
            let expected = 6;
            assert!(reach > 30);
            // Where the mean of the recording is removed it moves with them, by far less than the range.
            assert_eq!(session.run(&recording).unwrap().saturated(), expected, "causal {causal}");
            let mut running = session.start(&recording).unwrap();
            while running.step().unwrap().is_pending() {}
            assert_eq!(running.scores().unwrap().saturated(), expected);
        });
        let _ = network;
    }
}

/// Each number has an offset and a step of its own: neither a large offset nor a larger output takes its bits.
#[test]
fn numbers_keep_their_precision() {
    let mut source = Source(6);
    let mut network = network(&mut source, OPTIONS);
    let inputs = network.head.inputs;
    network.head = Linear { inputs, outputs: 3, ..source.linear(inputs, 3) };
    network.answers = Answers { task: Task::Regression, ..Answers::default() };
    let scales = [(1_000.0, 101_325.0), (1e-3, 0.0), (1.0, -2e8)];
    for row in network.head.weights.chunks_exact_mut(3) {
        row.iter_mut().zip(scales).for_each(|(weight, (scale, _))| *weight *= scale);
    }
    for (bias, (scale, offset)) in network.head.bias.iter_mut().zip(scales) {
        *bias = *bias * scale + offset;
    }
    let recordings: Vec<Vec<i16>> =
        (2..20).map(|i| source.recording(length(&network, 4 * i), &network.input)).collect();
    let ranges = calibrate(&network, &recordings, || {}).unwrap();
    let words = integers(&network, &ranges, &all_wide()).unwrap().words();
    in_session(&words, |session| {
        for recording in &recordings {
            let expected = network.forward(recording, None, &mut |_, _| {}).unwrap();
            let scores = session.run(recording).unwrap();
            for (output, ((found, expected), (scale, _))) in
                scores.to_f64().zip(expected).zip(scales).enumerate()
            {
                assert!((found - expected).abs() < 0.01 * scale, "output {output}: {found} {expected}");
                let number: f64 = scores.number(output).to_num();
                assert!((number - found).abs() <= f64::exp2(-31.0), "{number} {found}");
            }
        }
    });
    // Too large for 32 bits before the point, and too close together for 32 behind it.
    for (scale, offset) in [(1.0, 1e10), (1e-9, 0.0), (1e30, 0.0)] {
        let mut odd = network.clone();
        odd.head.weights.iter_mut().for_each(|weight| *weight *= scale);
        odd.head.bias.iter_mut().for_each(|bias| *bias = *bias * scale + offset);
        let ranges = calibrate(&odd, &recordings, || {}).unwrap();
        let error = integers(&odd, &ranges, &all_wide()).unwrap_err().to_string();
        assert!(error.contains("give them another unit"), "{error}");
    }
}

/// Of a token a model file takes one of several classes, or one yes or no.
#[test]
fn what_no_token_can_be_asked_is_refused() {
    let options = Options { pooling: Pooling::None, ..OPTIONS };
    for (outputs, task, works) in [
        (3, Task::Multiclass, true),
        (1, Task::Multilabel, true),
        (3, Task::Multilabel, false),
        (1, Task::Regression, false),
    ] {
        let (_, file, _) = asked(options, outputs, task);
        assert_eq!(Model::parse(&file.words()).is_ok(), works, "{outputs} {task:?}");
    }
}
