//! What the answers are worth, beyond their accuracy.

use std::io::{self, Write};

use fixformer::host::count::thousands;
use fixformer::host::evaluate::Evaluation;
use fixformer::host::judge::{Judge, of_classes};
use fixformer::host::metrics::binary::{Binary, Counts};
use fixformer::host::metrics::{classes, multilabel, numbers};
use fixformer::host::targets::Targets;
use serde::Serialize;

use crate::names::Names;
use crate::table::{Table, percent};
use crate::threshold::Found;

/// The figures of `--json`. Those that have no meaning for what the model is asked are null.
#[derive(Default, Serialize)]
pub(super) struct Quality {
    macro_f1: Option<f64>,
    balanced_accuracy: Option<f64>,
    mcc: Option<f64>,
    roc_auc: Option<f64>,
    ece: Option<f64>,
    micro_f1: Option<f64>,
    hamming_loss: Option<f64>,
    mae: Option<f64>,
    rmse: Option<f64>,
    threshold: Option<Found>,
    per_class: Option<Vec<OfClass>>,
    per_output: Option<Vec<OfNumber>>,
    #[serde(skip)]
    are_tokens: bool,
}

#[derive(Serialize)]
struct OfClass {
    class: usize,
    label: Option<String>,
    recordings: usize,
    precision: Option<f64>,
    recall: Option<f64>,
    f1: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roc_auc: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<Found>,
}

#[derive(Serialize)]
struct OfNumber {
    output: usize,
    name: Option<String>,
    unit: Option<String>,
    mae: Option<f64>,
    rmse: Option<f64>,
    r2: Option<f64>,
    mae_float: Option<f64>,
}

impl Quality {
    pub(super) fn of(
        evaluation: &Evaluation,
        targets: Option<&Targets>,
        judge: &Judge,
        names: &Names,
        is_said: bool,
    ) -> Self {
        let thresholds = Found::all(judge);
        let one = match thresholds[..] {
            [one] if is_said => Some(one),
            _ => None,
        };
        let quality = match targets {
            None => Self::default(),
            Some(Targets::Classes(classes)) => {
                let scores = of_classes(&evaluation.scores);
                let known =
                    scores.into_iter().zip(classes).filter_map(|(scores, class)| Some((scores, (*class)?)));
                let (scores, classes): (Vec<_>, Vec<_>) = known.unzip();
                Self::of_classes(
                    &classes::evaluate(&scores, &classes, judge.thresholds.first().copied()),
                    names,
                )
            }
            Some(Targets::Labels(labels)) => {
                let found = multilabel::evaluate(&evaluation.scores, labels, &judge.thresholds);
                Self::of_labels(&found, &thresholds, names)
            }
            Some(Targets::Numbers(targets)) => {
                let float = evaluation.float_scores.as_ref().map(|float| numbers::evaluate(float, targets));
                Self::of_numbers(&numbers::evaluate(&evaluation.scores, targets), float.as_ref(), names)
            }
        };
        let are_tokens = evaluation.scores.len() != evaluation.rows;
        Self { threshold: one, are_tokens, ..quality }
    }

    fn of_classes(classes: &classes::Classes, names: &Names) -> Self {
        let of_class = |(class, counts): (usize, &Counts)| OfClass::of(class, counts, names);
        Self {
            macro_f1: classes.macro_f1,
            balanced_accuracy: classes.balanced_accuracy,
            mcc: Some(classes.mcc),
            roc_auc: classes.roc_auc,
            ece: classes.ece,
            per_class: Some(classes.counts.iter().enumerate().map(of_class).collect()),
            ..Self::default()
        }
    }

    fn of_labels(found: &multilabel::MultiLabel, thresholds: &[Found], names: &Names) -> Self {
        let of_label = |(label, binary): (usize, &Binary)| OfClass {
            roc_auc: binary.roc_auc,
            threshold: thresholds.get(label).copied(),
            ..OfClass::of(label, &binary.counts, names)
        };
        Self {
            macro_f1: found.macro_f1,
            micro_f1: found.micro_f1,
            hamming_loss: found.hamming_loss,
            per_class: Some(found.outputs.iter().enumerate().map(of_label).collect()),
            ..Self::default()
        }
    }

    fn of_numbers(found: &numbers::Numbers, float: Option<&numbers::Numbers>, names: &Names) -> Self {
        let of_number = |(output, distance): (usize, &numbers::Distance)| OfNumber {
            output,
            name: names.name(output).map(str::to_owned),
            unit: names.unit(output).map(str::to_owned),
            mae: distance.mae,
            rmse: distance.rmse,
            r2: distance.r2,
            mae_float: float.and_then(|float| float.outputs[output].mae),
        };
        // Of outputs in different units there is no mean.
        let alike = found.outputs.len() == 1 || names.common_unit().is_some();
        Self {
            mae: found.mae.filter(|_| alike),
            rmse: found.rmse.filter(|_| alike),
            per_output: Some(found.outputs.iter().enumerate().map(of_number).collect()),
            ..Self::default()
        }
    }

    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        if let Some(found) = &self.threshold {
            writeln!(out, "  threshold  yes, or class 1, above a probability of {}", found.shown())?;
        }
        if let Some(per_class) = &self.per_class {
            self.write_classes(per_class, out)?;
        }
        match &self.per_output {
            Some(per_output) => self.write_numbers(per_output, out),
            None => Ok(()),
        }
    }

    fn write_classes(&self, per_class: &[OfClass], out: &mut impl Write) -> io::Result<()> {
        let parts = [
            ("macro-F1", self.macro_f1.map(percent)),
            ("micro-F1", self.micro_f1.map(percent)),
            ("wrong labels", self.hamming_loss.map(percent)),
            ("balanced accuracy", self.balanced_accuracy.map(percent)),
            ("MCC", self.mcc.map(number)),
            ("ROC-AUC", self.roc_auc.map(number)),
        ];
        let parts = parts.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?)));
        writeln!(out, "  quality    {}", parts.collect::<Vec<_>>().join(", "))?;
        if let Some(ece) = self.ece {
            writeln!(out, "  ECE        {} expected calibration error of the probabilities", percent(ece))?;
        }
        writeln!(out)?;
        let named = per_class.iter().any(|class| class.label.is_some());
        let labels = per_class.iter().any(|class| class.threshold.is_some());
        let counted = if self.are_tokens { "tokens" } else { "recordings" };
        let mut headings = vec!["class", counted, "precision", "recall", "F1"];
        if named {
            headings.insert(1, "label");
        }
        if labels {
            headings[0] = "output";
            headings.extend(["ROC-AUC", "yes above"]);
        }
        let mut table = Table::new(0, &headings);
        for of in per_class {
            let label = named.then(|| of.label.clone().unwrap_or_default());
            let share = |share: Option<f64>| share.map_or("-".to_owned(), percent);
            let rest = [thousands(of.recordings), share(of.precision), share(of.recall), share(of.f1)];
            let row = [of.class.to_string()].into_iter().chain(label).chain(rest);
            let more = of.threshold.map(|found| [of.roc_auc.map_or("-".to_owned(), number), found.shown()]);
            table.row(row.chain(more.into_iter().flatten()));
        }
        table.write(out)
    }

    fn write_numbers(&self, per_output: &[OfNumber], out: &mut impl Write) -> io::Result<()> {
        let known = |value: Option<f64>| value.map_or("-".to_owned(), number);
        if per_output.len() > 1 && self.mae.is_some() {
            writeln!(
                out,
                "  errors     MAE {}, RMSE {} over all outputs",
                known(self.mae),
                known(self.rmse)
            )?;
        }
        writeln!(out)?;
        let mut table = Table::new(0, &["output", "unit", "MAE", "MAE of float", "RMSE", "R2"]);
        for of in per_output {
            let name = of.name.clone().unwrap_or_else(|| of.output.to_string());
            let unit = of.unit.clone().unwrap_or_else(|| "-".to_owned());
            table.row([name, unit, known(of.mae), known(of.mae_float), known(of.rmse), known(of.r2)]);
        }
        table.write(out)
    }
}

impl OfClass {
    fn of(class: usize, counts: &Counts, names: &Names) -> Self {
        Self {
            class,
            label: names.name(class).map(str::to_owned),
            recordings: counts.true_positives + counts.false_negatives,
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1(),
            roc_auc: None,
            threshold: None,
        }
    }
}

fn number(value: f64) -> String {
    format!("{value:.4}")
}
