//! What the answers are worth, beyond their accuracy.

use std::io::{self, Write};

use fixformer::host::count::thousands;
use fixformer::host::metrics::binary::Counts;
use fixformer::host::metrics::classes::Classes;
use serde::Serialize;

use crate::table::{Table, percent};
use crate::threshold::Found;

/// The figures of `--json`. Those that have no meaning for the kind of head are null.
#[derive(Default, Serialize)]
pub(super) struct Quality {
    macro_f1: Option<f64>,
    balanced_accuracy: Option<f64>,
    mcc: Option<f64>,
    roc_auc: Option<f64>,
    ece: Option<f64>,
    mae: Option<f64>,
    rmse: Option<f64>,
    threshold: Option<Found>,
    per_class: Option<Vec<OfClass>>,
}

#[derive(Serialize)]
struct OfClass {
    class: usize,
    label: Option<String>,
    recordings: usize,
    precision: Option<f64>,
    recall: Option<f64>,
    f1: Option<f64>,
}

impl Quality {
    pub(super) fn of_classes(classes: &Classes, names: Option<&[String]>, threshold: Option<Found>) -> Self {
        let of_class = |(class, counts): (usize, &Counts)| OfClass {
            class,
            label: names.and_then(|names| names.get(class).cloned()),
            recordings: counts.true_positives + counts.false_negatives,
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1(),
        };
        Self {
            macro_f1: classes.macro_f1,
            balanced_accuracy: classes.balanced_accuracy,
            mcc: Some(classes.mcc),
            roc_auc: classes.roc_auc,
            ece: classes.ece,
            threshold,
            per_class: Some(classes.counts.iter().enumerate().map(of_class).collect()),
            ..Self::default()
        }
    }

    /// A threshold alone, where no labels say what it is worth.
    pub(super) fn unlabelled(threshold: Option<Found>) -> Self {
        Self { threshold, ..Self::default() }
    }

    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        if let Some(Found { probability, margin }) = self.threshold {
            writeln!(
                out,
                "  threshold  class 1 above a probability of {probability}, {margin:.4} of its score over that of class 0"
            )?;
        }
        let Some(per_class) = &self.per_class else { return Ok(()) };
        let share = |share: Option<f64>| share.map_or("-".to_owned(), percent);
        let number = |number: Option<f64>| number.map_or("-".to_owned(), |number| format!("{number:.4}"));
        let (macro_f1, balanced) = (share(self.macro_f1), share(self.balanced_accuracy));
        write!(
            out,
            "  quality    macro-F1 {macro_f1}, balanced accuracy {balanced}, MCC {}",
            number(self.mcc)
        )?;
        if self.roc_auc.is_some() {
            write!(out, ", ROC-AUC {}", number(self.roc_auc))?;
        }
        writeln!(
            out,
            "\n  ECE        {} expected calibration error of the probabilities\n",
            share(self.ece)
        )?;
        let named = per_class.iter().any(|class| class.label.is_some());
        let headings = ["class", "label", "recordings", "precision", "recall", "F1"];
        let headings: Vec<&str> =
            headings.into_iter().filter(|heading| named || *heading != "label").collect();
        let mut table = Table::new(0, &headings);
        for of in per_class {
            let label = named.then(|| of.label.clone().unwrap_or_default());
            let rest = [thousands(of.recordings), share(of.precision), share(of.recall), share(of.f1)];
            table.row([of.class.to_string()].into_iter().chain(label).chain(rest));
        }
        table.write(out)
    }
}
