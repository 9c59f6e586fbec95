//! Metrics against those of scikit-learn (`tests/metrics/known.py`), and what has no value.

use fixformer::host::metrics::binary::{self, Counts, roc_auc, threshold_of_f1, threshold_of_recall};
use fixformer::host::metrics::{calibration, classes, multilabel, numbers};
use serde_json::Value;

fn known() -> Value {
    serde_json::from_str(include_str!("metrics/known.json")).unwrap()
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn rows(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(list).collect()
}

fn truths(value: &Value) -> Vec<bool> {
    list(value).into_iter().map(|value| value > 0.5).collect()
}

/// Equal to the known value, or both have none.
fn close(found: Option<f64>, known: &Value, what: &str) {
    match (found, known.as_f64()) {
        (Some(found), Some(known)) => assert!((found - known).abs() < 1e-12, "{what}: {found}, not {known}"),
        (found, known) => assert_eq!(found, known, "{what}"),
    }
}

#[test]
fn of_classes() {
    for known in known()["classes"].as_array().unwrap() {
        let scores = rows(&known["scores"]);
        let targets: Vec<usize> = list(&known["targets"]).into_iter().map(|target| target as usize).collect();
        let found = classes::evaluate(&scores, &targets, None);
        let confusion = found.confusion.iter().map(|row| row.iter().map(|&n| n as f64).collect::<Vec<_>>());
        assert_eq!(confusion.collect::<Vec<_>>(), rows(&known["confusion"]));
        close(found.accuracy, &known["accuracy"], "accuracy");
        close(found.macro_f1, &known["macro_f1"], "macro F1");
        close(found.balanced_accuracy, &known["balanced_accuracy"], "balanced accuracy");
        close(Some(found.mcc), &known["mcc"], "MCC");
        close(found.roc_auc, &known["roc_auc"], "ROC-AUC");
        close(found.ece, &known["ece"], "ECE");
        for (class, counts) in found.counts.iter().enumerate() {
            // What has no value is 0 there.
            for (found, key) in
                [(counts.precision(), "precision"), (counts.recall(), "recall"), (counts.f1(), "f1")]
            {
                close(Some(found.unwrap_or(0.0)), &known[key][class], key);
            }
        }
    }
}

#[test]
fn of_one_logit() {
    for known in known()["binary"].as_array().unwrap() {
        let (logits, targets) = (list(&known["logits"]), truths(&known["targets"]));
        let found = binary::evaluate(&logits, &targets, known["threshold"].as_f64().unwrap());
        let counts = found.counts;
        for (found, key) in [
            (counts.accuracy(), "accuracy"),
            (counts.precision(), "precision"),
            (counts.recall(), "recall"),
            (counts.f1(), "f1"),
            (counts.balanced_accuracy(), "balanced_accuracy"),
            (Some(counts.mcc()), "mcc"),
            (found.roc_auc, "roc_auc"),
            (found.ece, "ece"),
            (threshold_of_f1(&logits, &targets), "threshold_of_f1"),
            (threshold_of_recall(&logits, &targets, 0.9), "threshold_of_recall"),
        ] {
            close(found, &known[key], key);
        }
        let best = Counts::of(&logits, &targets, threshold_of_f1(&logits, &targets).unwrap());
        close(best.f1(), &known["best_f1"], "best F1");
        let probabilities: Vec<f64> = logits.iter().copied().map(calibration::sigmoid).collect();
        close(calibration::brier(&probabilities, &targets), &known["brier"], "Brier score");
    }
}

#[test]
fn of_several_logits() {
    let known = &known()["multilabel"];
    let targets: Vec<Vec<bool>> = known["targets"].as_array().unwrap().iter().map(truths).collect();
    let found = multilabel::evaluate(&rows(&known["logits"]), &targets, &list(&known["thresholds"]));
    close(found.exact_match, &known["exact_match"], "exact match");
    close(found.hamming_loss, &known["hamming_loss"], "Hamming loss");
    close(found.macro_f1, &known["macro_f1"], "macro F1");
    close(found.micro_f1, &known["micro_f1"], "micro F1");
    for (output, auc) in found.outputs.iter().zip(known["roc_auc"].as_array().unwrap()) {
        close(output.roc_auc, auc, "ROC-AUC");
    }
}

#[test]
fn of_numbers() {
    let known = &known()["numbers"];
    let found = numbers::evaluate(&rows(&known["values"]), &rows(&known["targets"]));
    close(found.mae, &known["mae"], "MAE");
    close(found.rmse, &known["rmse"], "RMSE");
    for (index, output) in found.outputs.iter().enumerate() {
        close(output.mae, &known["output_mae"][index], "MAE");
        close(output.rmse, &known["output_rmse"][index], "RMSE");
        close(output.r2, &known["output_r2"][index], "R2");
    }
}

#[test]
fn what_has_no_value() {
    let none = classes::evaluate(&[], &[], None);
    assert_eq!((none.accuracy, none.macro_f1, none.balanced_accuracy, none.ece), (None, None, None, None));
    // One class alone: no AUC, a recall of what there is, and no correlation.
    let one = classes::evaluate(&[vec![0.0, 1.0], vec![2.0, 1.0]], &[1, 1], None);
    assert_eq!((one.roc_auc, one.mcc, one.balanced_accuracy), (None, 0.0, Some(0.5)));
    assert_eq!((one.counts[0].recall(), one.counts[1].recall()), (None, Some(0.5)));
    assert_eq!((one.counts[1].precision(), one.counts[0].precision()), (Some(1.0), Some(0.0)));
    assert_eq!(roc_auc(&[1.0, 2.0], &[false, false]), None);
    assert_eq!(roc_auc(&[1.0, 1.0], &[false, true]), Some(0.5));
    assert_eq!(threshold_of_f1(&[1.0], &[false]), None);
    assert_eq!(threshold_of_recall(&[1.0], &[false], 0.5), None);
    assert_eq!(numbers::evaluate(&[vec![1.0], vec![2.0]], &[vec![3.0], vec![3.0]]).outputs[0].r2, None);
    assert_eq!(numbers::evaluate(&[], &[]).mae, None);
}

#[test]
fn a_threshold_moves_the_answer_of_two_classes() {
    let scores = [vec![1.0, 0.0], vec![0.0, 0.0], vec![0.0, 1.0]];
    let answers = |threshold| scores.iter().map(|s| classes::answer(s, threshold)).collect::<Vec<_>>();
    assert_eq!(answers(None), [0, 0, 1]);
    // The first of equals is the largest.
    assert_eq!(answers(Some(0.0)), answers(None));
    assert_eq!(answers(Some(-0.5)), [0, 1, 1]);
    assert_eq!(answers(Some(1.0)), [0, 0, 0]);
    assert_eq!(classes::margins(&scores), Some(vec![-1.0, 0.0, 1.0]));
    assert_eq!(classes::margins(&[vec![1.0, 2.0, 3.0]]), None);
}

#[test]
fn chosen_thresholds_do_what_they_are_chosen_for() {
    let scores = [3.0, 2.0, 2.0, 1.0, 0.0];
    let targets = [true, false, true, false, true];
    for (recall, found, threshold) in [(0.3, 1, 2.5), (0.6, 2, 1.5), (0.67, 3, 0f64.next_down())] {
        let chosen = threshold_of_recall(&scores, &targets, recall).unwrap();
        assert_eq!(chosen, threshold);
        assert_eq!(Counts::of(&scores, &targets, chosen).true_positives, found);
    }
    // Of a recall of nothing, the highest that finds something.
    assert_eq!(threshold_of_recall(&scores, &targets, 0.0), Some(2.5));
    // Of scores side by side no middle is below the upper one.
    let (low, high) = (1.0, 1f64.next_up());
    assert_eq!(
        Counts::of(&[high, low], &[true, false], threshold_of_f1(&[high, low], &[true, false]).unwrap()).f1(),
        Some(1.0)
    );
}
