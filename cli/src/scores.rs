//! The scores of every recording as a table for other programs.

use std::path::Path;

use anyhow::Result;
use fixformer::host::file;
use fixformer::host::metrics::classes::answer;

/// What a table says of each recording.
pub(crate) struct Scored<'a> {
    /// Real scores.
    pub(crate) scores: &'a [Vec<f64>],
    pub(crate) labels: Option<&'a [usize]>,
    /// Samples beyond the range that the model was calibrated on, where that was counted.
    pub(crate) saturated: Option<&'a [usize]>,
    /// Of two classes, how much the second must score above the first.
    pub(crate) threshold: Option<f64>,
}

impl Scored<'_> {
    /// Writes `row,label,class,saturated,score_0,…`; what is not known is blank.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let classes = self.scores.first().map_or(0, Vec::len);
        let fixed = ["row", "label", "class", "saturated"].map(str::to_owned);
        writer.write_record(fixed.into_iter().chain((0..classes).map(|class| format!("score_{class}"))))?;
        for (row, scores) in self.scores.iter().enumerate() {
            let known =
                |values: Option<&[usize]>| values.map_or(String::new(), |values| values[row].to_string());
            let class = answer(scores, self.threshold).to_string();
            let fixed = [row.to_string(), known(self.labels), class, known(self.saturated)];
            writer.write_record(fixed.into_iter().chain(scores.iter().map(f64::to_string)))?;
        }
        file::replace(path, &writer.into_inner()?)?;
        Ok(())
    }
}
