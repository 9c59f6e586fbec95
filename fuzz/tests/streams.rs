//! A bounded number of drawn streams.

use fixformer_fuzz::streams;

#[test]
fn a_stream_cut_anywhere_says_what_whole_runs_say() {
    (0..150).for_each(streams::cut);
}

#[test]
fn a_damaged_state_is_refused_and_costs_nothing() {
    (0..150).for_each(streams::state);
}
