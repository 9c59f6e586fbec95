//! Bodies that take any model file: what is refused says why, what is accepted runs.

use fixformer::model::Input;
use fixformer::session::Plan;
use fixformer::{Model, Scores, Session, Stream};

use crate::FILLS;
use crate::random::Source;

/// Most words of an arena in which an accepted file is run.
const MOST_WORDS: usize = 1 << 18;
/// Most tokens of a recording.
const MOST_TOKENS: usize = 24;
/// Words behind the arena that no run may touch.
const GUARD: usize = 64;

/// Parses a file and reads everything of it that can be asked for; whether it was accepted.
pub fn parse(words: &[u32]) -> bool {
    let model = match Model::parse(words) {
        Ok(model) => model,
        Err(error) => {
            assert!(!error.message().as_str().is_empty());
            return false;
        }
    };
    assert!(model.max_input() < 1 << 31 && model.bytes() == 4 * words.len());
    let plan = Plan::of(&model);
    assert!(plan.largest_stage() <= plan.words() && plan.words() < 1 << 30, "{}", plan.words());
    let _ = (Plan::of_stream(&model), Plan::of_passes(&model), model.name(), model.checksum());
    assert_eq!(model.blocks().count(), model.block_count);
    true
}

/// Runs an accepted file over a few recordings drawn from `seed`, in an arena that is filled with anything, and behind which
/// nothing changes: the scores of all, one after the other. None if its arena is too large for here.
pub fn run(words: &[u32], seed: u64, scores: &mut Vec<i16>) -> Option<usize> {
    let model = Model::parse(words).ok()?;
    let plan = Plan::of(&model);
    let needed = plan.words();
    if needed > MOST_WORDS {
        return None;
    }
    let mut source = Source(seed);
    let mut memory = vec![0; needed + GUARD];
    let mut runs = 0;
    for _ in 0..2 {
        let recording = recording(&mut source, &model);
        let mask: Option<Vec<bool>> =
            (source.below(3) == 0).then(|| (0..MOST_TOKENS).map(|_| source.below(3) > 0).collect());
        let mut first = None;
        for fill in [source.of(&FILLS), source.0 as u32] {
            let (arena, guard) = memory.split_at_mut(needed);
            arena.fill(fill);
            guard.fill(fill);
            let mut session = Session::new(model, arena).expect("it has as many words as the plan");
            let tokens = model.input.tokens(recording.len());
            let said = match &mask {
                Some(mask) => session.run_masked(&recording, mask.get(..tokens).unwrap_or(mask)),
                None => session.run(&recording),
            };
            if let Ok(said) = &said {
                ask(said, model.answers.thresholds().len());
            }
            let said = said.map(|scores| scores.raw().to_vec());
            assert!(guard.iter().all(|&word| word == fill), "a run left its arena");
            runs += 1;
            match &first {
                None => first = Some(said),
                Some(first) => assert_eq!(*first, said, "what was in the arena before changes the scores"),
            }
        }
        if let Some(Ok(said)) = first {
            scores.extend(said);
        }
    }
    if Plan::of_stream(&model).is_ok_and(|plan| plan.words() <= MOST_WORDS) {
        stream(model, &mut source, scores);
        runs += 1;
    }
    Some(runs)
}

/// Pushes a recording, with steps that are missing.
fn stream(model: Model<'_>, source: &mut Source, scores: &mut Vec<i16>) {
    let Ok(plan) = Plan::of_stream(&model) else { return };
    let mut memory = vec![source.of(&FILLS); plan.words()];
    let Ok(mut stream) = Stream::new(model, &mut memory) else { return };
    let recording = recording(source, &model);
    for step in recording.chunks(model.input.step_values()) {
        if source.below(12) == 0 {
            let _ = stream.skip(1 + source.below(3));
        }
        if let Ok(Some(said)) = stream.push(step) {
            scores.extend(said.raw());
        }
    }
}

/// Reads what the scores say.
fn ask(scores: &Scores<'_>, thresholds: usize) {
    let outputs = if scores.tokens() > 1 { 1 } else { scores.raw().len() };
    let _ = (scores.best(), scores.name(), scores.saturated());
    for output in 0..outputs {
        let _ = (scores.number(output), scores.probability(output));
    }
    for output in 0..thresholds {
        let _ = scores.is_yes(output);
    }
}

/// Raw values of the kind that the model takes, and often of another: some tokens, extremes.
pub fn recording(source: &mut Source, model: &Model<'_>) -> Vec<i16> {
    let (window, channels) = (model.input.window(), model.input.step_values());
    let most = model.max_tokens.saturating_sub(model.tokens_before()).clamp(1, MOST_TOKENS);
    let steps = window.width.saturating_add(source.below(most) * window.stride).min(4096);
    let symbols = match model.input {
        Input::Samples { .. } => 1 << 16,
        Input::OneHot { symbols, .. } => symbols + 1,
        Input::Tokens { table } => table.rows,
    };
    let extremes = source.below(3) == 0;
    let values = 0..(steps * channels).min(1 << 16);
    values
        .map(|_| match extremes && symbols == 1 << 16 {
            true => source.of(&[i16::MIN, i16::MAX, 0]),
            false => source.below(symbols) as u16 as i16,
        })
        .collect()
}
