//! What `quantize` reports.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use fixformer::Model;
use fixformer::host::count::thousands;
use fixformer::host::judge::Judge;
use fixformer::host::printable::printable;
use fixformer::host::quantize::{Promotion, Quantized, Settings};
use fixformer::host::reference::Network;
use fixformer::host::report::TensorReport;
use fixformer::session::Plan;
use serde::Serialize;

use crate::expect::{self, Checked};
use crate::table::{Table, percent};
use crate::threshold::Found;

/// All there is to report.
pub(super) struct Outcome<'a> {
    pub(super) network: &'a Network,
    pub(super) quantized: &'a Quantized,
    pub(super) model: Model<'a>,
    pub(super) settings: Settings,
    /// What the import was held against.
    pub(super) checked: Option<Checked>,
    pub(super) output: &'a Path,
}

impl Outcome<'_> {
    pub(super) fn table(&self, out: &mut impl Write) -> Result<()> {
        let Quantized { promotions, fidelity, tensors, words, .. } = self.quantized;
        writeln!(
            out,
            "{}: tensors of the forward pass over {} recordings",
            printable(&self.network.name),
            self.probes()
        )?;
        let mut table = Table::new(1, &["tensor", "SNR dB", "format", "peak", "range", "clipped"]);
        for tensor in tensors {
            let numbers = [
                tensor.name.clone(),
                format!("{:.1}", tensor.snr_db),
                q_format(tensor.frac),
                format!("{:.3}", tensor.peak),
                format!("±{:.3}", tensor.range),
                thousands(tensor.clipped),
            ];
            table.row(numbers.into_iter().chain(clipping(tensor)));
        }
        table.write(out)?;

        writeln!(out)?;
        if let Some(Checked { agreement, limit, precision }) = &self.checked {
            let (error, limit) = (expect::share(agreement.error), expect::share(*limit));
            let rows = agreement.rows;
            let allowed = format!("{} weights allow {limit}", precision.name());
            writeln!(out, "import:  within {error} of the {rows} rows of scores given; {allowed}")?;
        }
        match promotions.as_slice() {
            [] if self.settings.score_error == 0.0 => writeln!(out, "weights: 16 bits in every layer")?,
            [] => writeln!(out, "weights: 8 bits in every layer")?,
            [.., last] => {
                writeln!(out, "weights: 8 bits, but 16 bits in {}:", layers(promotions.len()))?;
                for Promotion { layer, before, after } in promotions {
                    let (before, after) = (percent(*before), percent(*after));
                    writeln!(out, "  {layer}: the score error falls from {before} to {after}")?;
                }
                writeln!(
                    out,
                    "  (mean relative error, over the quarter of the recordings with the smallest scores)"
                )?;
                let target = self.settings.score_error;
                if last.after > target {
                    writeln!(out, "  no other layer brings it to the {} asked for", percent(target))?;
                }
            }
        }
        write!(
            out,
            "scores:  {} {} over all {} recordings",
            percent(fidelity.score_error),
            match self.model.answers.task {
                fixformer::model::Task::Regression => "of its standard deviation, error of an output,",
                _ => "mean relative error",
            },
            self.probes()
        )?;
        let same = |share: f64| format!(", same answer as float in {}", percent(share));
        writeln!(out, "{}", fidelity.agreement.map_or(String::new(), same))?;
        let thresholds = Judge::of(&self.model);
        for found in Found::all(&thresholds) {
            if self.model.answers.has_thresholds() {
                writeln!(out, "answer:  yes above a probability of {}", found.shown())?;
            }
        }
        writeln!(out, "flash:   {} bytes, {}", thousands(words.len() * 4), self.output.display())?;
        let tokens = self.model.max_tokens;
        writeln!(out, "RAM:     {} bytes of arena, up to {tokens} tokens", thousands(self.arena()))?;
        Ok(())
    }

    pub(super) fn json(&self, out: &mut impl Write) -> Result<()> {
        let Quantized { promotions, fidelity, tensors, words, .. } = self.quantized;
        let promotions = promotions.iter().map(|promotion| PromotionLine {
            layer: &promotion.layer,
            before: promotion.before,
            after: promotion.after,
        });
        let tensors = tensors.iter().map(|tensor| TensorLine {
            name: &tensor.name,
            snr_db: tensor.snr_db,
            frac: tensor.frac,
            peak: tensor.peak,
            range: tensor.range,
            clipped: tensor.clipped,
            values: tensor.values,
        });
        let line = Line {
            model: &self.network.name,
            file: &self.output.to_string_lossy(),
            model_bytes: words.len() * 4,
            arena_bytes: self.arena(),
            probes: self.probes(),
            score_error: fidelity.score_error,
            score_error_target: self.settings.score_error,
            agreement: fidelity.agreement,
            thresholds: match self.model.answers.has_thresholds() {
                true => Found::all(&Judge::of(&self.model)),
                false => Vec::new(),
            },
            expected_rows: self.checked.as_ref().map(|checked| checked.agreement.rows),
            expected_error: self.checked.as_ref().map(|checked| checked.agreement.error),
            promotions: promotions.collect(),
            tensors: tensors.collect(),
        };
        writeln!(out, "{}", serde_json::to_string(&line)?)?;
        Ok(())
    }

    fn arena(&self) -> usize {
        Plan::of(&self.model).bytes()
    }

    fn probes(&self) -> usize {
        self.quantized.probes
    }
}

/// Q format of 16 bits: sign, integer bits, fractional bits.
fn q_format(frac: i32) -> String {
    format!("Q{}.{frac}", 15 - frac)
}

fn clipping(tensor: &TensorReport) -> Option<String> {
    let TensorReport { clipped, values, range, peak, .. } = tensor;
    (*clipped > 0).then(|| {
        let (clipped, values) = (thousands(*clipped), thousands(*values));
        format!("{clipped} of {values} values beyond ±{range:.3}: peak {peak:.3}")
    })
}

fn layers(count: usize) -> String {
    if count == 1 { "1 layer".to_owned() } else { format!("{count} layers") }
}

#[derive(Serialize)]
struct Line<'a> {
    model: &'a str,
    file: &'a str,
    model_bytes: usize,
    arena_bytes: usize,
    probes: usize,
    score_error: f64,
    score_error_target: f64,
    agreement: Option<f64>,
    thresholds: Vec<Found>,
    /// Rows of scores that the import was held against, and its largest difference; null without `--expect`.
    expected_rows: Option<usize>,
    expected_error: Option<f64>,
    promotions: Vec<PromotionLine<'a>>,
    tensors: Vec<TensorLine<'a>>,
}

#[derive(Serialize)]
struct PromotionLine<'a> {
    layer: &'a str,
    before: f64,
    after: f64,
}

#[derive(Serialize)]
struct TensorLine<'a> {
    name: &'a str,
    snr_db: f64,
    frac: i32,
    peak: f64,
    range: f64,
    clipped: usize,
    values: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clipped_tensor_says_why() {
        let mut tensor = TensorReport {
            name: "block 0 value".to_owned(),
            snr_db: 30.0,
            frac: 12,
            peak: 8.31,
            range: 8.0,
            clipped: 0,
            values: 9_000,
        };
        assert_eq!(clipping(&tensor), None);
        tensor.clipped = 3;
        assert_eq!(clipping(&tensor).unwrap(), "3 of 9,000 values beyond ±8.000: peak 8.310");
    }

    #[test]
    fn formats_have_16_bits() {
        assert_eq!(["Q0.15", "Q4.11", "Q16.-1"], [15, 11, -1].map(q_format)[..]);
    }
}
