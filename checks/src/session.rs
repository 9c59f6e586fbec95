//! A whole model: what it refuses leaves it usable, and the same input gives the same scores.

use crate::checks;
use crate::outcome::{equal, holds};
use fixformer::session::Plan;
use fixformer::{ArenaError, Digest, InputError, Model, Session};

const BYTES: &[u8; include_bytes!("../../models/zoo/digits-exact.fxm").len()] =
    include_bytes!("../../models/zoo/digits-exact.fxm");
static WORDS: [u32; BYTES.len() / 4] = fixformer::session::words(BYTES);

/// Words of the arena, which lies on the stack here.
const ARENA: usize = match Model::parse(&WORDS) {
    Ok(model) => Plan::of(&model).words(),
    Err(_) => panic!("the digits are a model"),
};

/// What `check` makes of a session of the digits.
fn digits(check: impl FnOnce(&mut Session<'_>) -> crate::Outcome) -> crate::Outcome {
    let mut memory = [0xdead_beef; ARENA];
    let session = Model::parse(&WORDS).ok().and_then(|model| Session::new(model, &mut memory).ok());
    match session {
        Some(mut session) => check(&mut session),
        None => holds(false),
    }
}

const IMAGE: [i16; 64] = {
    let mut image = [0; 64];
    let mut i = 0;
    while i < 64 {
        image[i] = (7 * i % 17) as i16;
        i += 1;
    }
    image
};

fn scores(session: &mut Session<'_>) -> u64 {
    let mut digest = Digest::new();
    digest.scores(session.run(&IMAGE).map_or(&[], |scores| scores.raw()));
    digest.value()
}

/// Of the scores of [`IMAGE`].
const KNOWN: u64 = 0x163e_c77b_18c3_bede;

checks! { "session", 10 * 1024,
    fn the_file_is_read() {
        let model = Model::parse(&WORDS).ok();
        holds(model.as_ref().is_some_and(|model| model.classes() == 10 && model.max_tokens == 15))?;
        equal(model.as_ref().map_or(0, |model| model.blocks().count()), 2)?;
        equal(model.map_or(0, |model| model.bytes()), 4 * WORDS.len())?;
    }

    fn a_small_arena_is_refused() {
        let mut memory = [0; 16];
        match Model::parse(&WORDS).map(|model| Session::new(model, &mut memory).err()) {
            Ok(Some(ArenaError::TooSmall { found, needed: words })) => {
                equal(found, 16)?;
                equal(words, ARENA)?;
            }
            _ => holds(false)?,
        }
    }

    fn known_scores() {
        digits(|session| equal(scores(session), KNOWN))?;
    }

    fn the_same_again() {
        digits(|session| {
            let first = scores(session);
            holds(session.run(&[16; 64]).is_ok())?;
            holds(scores(session) == first)
        })?;
    }

    fn what_is_no_input_is_refused() {
        digits(|session| {
            holds(matches!(session.run(&[]), Err(InputError::Empty)))?;
            holds(matches!(session.run(&[1; 7]), Err(InputError::TooShort { steps: 7, window: 8 })))?;
            holds(matches!(session.run(&[1; 68]), Err(InputError::TooLong { tokens: 16, max: 15 })))?;
            holds(scores(session) == KNOWN)
        })?;
    }

    fn what_is_no_mask_is_refused() {
        digits(|session| {
            let short = session.run_masked(&IMAGE, &[true; 14]);
            holds(matches!(short, Err(InputError::MaskLength { found: 14, tokens: 15 })))?;
            holds(matches!(session.run_masked(&IMAGE, &[false; 15]), Err(InputError::AllMasked)))?;
            holds(scores(session) == KNOWN)
        })?;
    }

    fn a_mask_of_all_tokens_changes_nothing() {
        digits(|session| {
            let mut digest = Digest::new();
            digest.scores(session.run_masked(&IMAGE, &[true; 15]).map_or(&[], |scores| scores.raw()));
            holds(digest.value() == KNOWN)
        })?;
    }

    /// Eight samples are one window.
    fn any_length_up_to_the_most() {
        digits(|session| {
            for length in [8, 12, 33, 63, 64] {
                let classes = session.run(IMAGE.get(..length).unwrap_or_default()).map(|scores| scores.raw().len());
                equal(classes.unwrap_or(0), 10)?;
            }
            Ok(())
        })?;
    }
}
