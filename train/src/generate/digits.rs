//! The 1,797 handwritten digits that come with the crate `smartcore`.

use super::Splits;
use crate::data::Set;

/// Pixels are 0 to 16.
pub(super) const SCALE: f64 = 0.0625;
/// The first so many are for training.
const TRAIN: usize = 1297;

pub(super) fn splits() -> Splits {
    let set = smartcore::dataset::digits::load_dataset();
    let rows = set.data.chunks(set.num_features);
    let mut train: Vec<Vec<i16>> = rows.map(|row| row.iter().map(|&x| x as i16).collect()).collect();
    let mut labels: Vec<usize> = set.target.iter().map(|&class| class as usize).collect();
    let test = Set { rows: train.split_off(TRAIN), labels: labels.split_off(TRAIN) };
    Splits { train: Set { rows: train, labels }, validation: Set::default(), test }
}
