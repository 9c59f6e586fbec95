//! A bounded number of mutants of model files, as in a campaign.

use fixformer_fuzz::campaign::{files, originals};

#[test]
fn mutants_are_refused_or_run() {
    let originals = originals(90);
    let found = files(&originals, [0, 100_000, 4], |_| {});
    assert_eq!(found.faults, [""; 0]);
    assert!(found.accepted > 1_000 && found.runs > 10_000, "{found:?}");
}
