//! Scores to events: values worked out by hand, every setting that makes no sense, and the definition itself.

use fixformer::{Model, host::engine::Engine};
use fixformer_sensors::{Detection, Detector, Event, Probability, Settings, SettingsError};
use proptest::prelude::*;

/// Eighths.
const fn eighths(x: u16) -> Probability {
    Probability::from_bits(x << 12)
}

const HYSTERESIS: Settings =
    Settings { enter: eighths(6), leave: eighths(3), background: &[0], ..Settings::DEFAULT };

/// The events of a class 1 with these probabilities, in eighths, beside a class 0: when, of which class,
/// whether it began, its probability and its decisions.
fn events(settings: Settings<'_>, word: &[u16]) -> Vec<(usize, bool, usize, u16, u32)> {
    let steps: Vec<[u16; 2]> = word.iter().map(|&word| [8 - word, word]).collect();
    events_of(settings, &steps)
}

fn events_of<const CLASSES: usize>(
    settings: Settings<'_>,
    steps: &[[u16; CLASSES]],
) -> Vec<(usize, bool, usize, u16, u32)> {
    let mut detector = Detector::new(settings).unwrap();
    let flat = |began, on: Detection| (began, on.class, on.probability.to_bits() >> 12, on.decisions);
    let events = steps.iter().enumerate().filter_map(|(when, step)| {
        let event = detector.push_probabilities(step.map(eighths))?;
        let (began, class, probability, decisions) = match event {
            Event::Began(on) => flat(true, on),
            Event::Ended(on) => flat(false, on),
        };
        assert_eq!(detector.on().is_some(), began);
        Some((when, began, class, probability, decisions))
    });
    events.collect()
}

#[test]
fn an_event_begins_at_enter_and_ends_below_leave() {
    let found = events(HYSTERESIS, &[0, 5, 6, 4, 3, 2, 5, 3, 8, 0]);
    assert_eq!(found, [(2, true, 1, 6, 1), (5, false, 1, 2, 3), (8, true, 1, 8, 1), (9, false, 1, 0, 1)]);
}

#[test]
fn an_event_needs_decisions_in_a_row() {
    let settings = Settings { duration: 3, ..HYSTERESIS };
    let found = events(settings, &[6, 7, 5, 6, 6, 8, 4, 2]);
    assert_eq!(found, [(5, true, 1, 8, 1), (7, false, 1, 2, 2)], "two were not enough");
    // Another class in between begins the row anew.
    let settings = Settings { enter: eighths(4), leave: eighths(2), duration: 2, ..Settings::DEFAULT };
    let found = events_of(settings, &[[0, 5, 3], [0, 3, 5], [0, 5, 3], [0, 5, 3]]);
    assert_eq!(found, [(3, true, 1, 5, 1)]);
}

#[test]
fn no_event_begins_soon_after_one() {
    let settings = Settings { refractory: 2, ..HYSTERESIS };
    let found = events(settings, &[8, 0, 8, 8, 8, 0, 0, 0, 8]);
    assert_eq!(
        found.iter().map(|event| (event.0, event.1)).collect::<Vec<_>>(),
        [(0, true), (1, false), (4, true), (5, false), (8, true)]
    );
    // Decisions in the meantime count towards the duration.
    let settings = Settings { refractory: 2, duration: 3, ..HYSTERESIS };
    let found = events(settings, &[8, 8, 8, 0, 8, 8, 8]);
    assert_eq!(found.last(), Some(&(6, true, 1, 8, 1)));
}

#[test]
fn another_class_takes_its_place() {
    // A leave so low that the probability alone does not end the event.
    let settings =
        Settings { enter: eighths(5), leave: eighths(1), duration: 2, background: &[0], ..Settings::DEFAULT };
    let found = events_of(
        settings,
        &[[0, 8, 0], [0, 8, 0], [0, 3, 5], [0, 5, 3], [0, 3, 5], [0, 2, 6], [0, 1, 7], [7, 0, 1], [8, 0, 0]],
    );
    assert_eq!(found, [(1, true, 1, 8, 1), (5, false, 1, 2, 4), (6, true, 2, 7, 1), (8, false, 2, 0, 2)]);
}

#[test]
fn the_background_begins_nothing() {
    assert_eq!(events(HYSTERESIS, &[0; 5]), []);
    let found = events(Settings { background: &[], ..HYSTERESIS }, &[0; 5]);
    assert_eq!(found, [(0, true, 0, 8, 1)]);
    assert_eq!(events(Settings { background: &[1, 0, 1], ..HYSTERESIS }, &[0, 8, 0, 8]), []);
}

#[test]
fn a_class_below_the_confidence_is_unknown() {
    let settings = Settings { confidence: eighths(5), ..HYSTERESIS };
    let mut detector = Detector::<2>::new(settings).unwrap();
    assert_eq!((detector.class(), detector.probability(0)), (None, Probability::ZERO));
    let mut class = |word| {
        detector.push_probabilities([eighths(8 - word), eighths(word)]);
        (detector.class(), detector.on().map(|on| on.class))
    };
    assert_eq!(class(3), (Some(0), None));
    assert_eq!(class(4), (None, None));
    assert_eq!(class(5), (Some(1), None));
    assert_eq!(class(6), (Some(1), Some(1)));
    assert_eq!(class(4), (None, Some(1)), "what is on stays on");
    let mut plain = Detector::<2>::new(Settings::default()).unwrap();
    assert_eq!(plain.class(), None);
    plain.push_probabilities([eighths(4); 2]);
    assert_eq!(plain.class(), Some(0), "the first of equals");
}

#[test]
fn the_mean_leans_to_no_side() {
    let settings = Settings { smoothing: 2, ..Settings::DEFAULT };
    let mut detector = Detector::<1>::new(settings).unwrap();
    let mut mean = |word| {
        detector.push_probabilities([eighths(word)]);
        detector.probability(0).to_bits()
    };
    // The mean of all until there are four, then three quarters of the last mean and one of the newest.
    assert_eq!([mean(8), mean(8), mean(0)], [32_768, 32_768, 21_845]);
    assert_eq!([mean(0), mean(0), mean(8)], [16_384, 12_288, 9_216 + 8_192]);
    detector.reset();
    detector.push_probabilities([Probability::MAX]);
    assert_eq!(detector.probability(0), Probability::ONE, "above one counts as one");
    assert_eq!(detector.probability(1), Probability::ZERO, "there is no class 1");
}

#[test]
fn a_constant_is_its_own_mean() {
    for smoothing in [0, 1, 4, 9] {
        let mut detector = Detector::<1>::new(Settings { smoothing, ..Settings::DEFAULT }).unwrap();
        for bits in [1, 12_345, 32_767, 32_768] {
            detector.reset();
            for _ in 0..3 << smoothing {
                detector.push_probabilities([Probability::from_bits(bits)]);
                assert_eq!(detector.probability(0).to_bits(), bits);
            }
        }
    }
}

#[test]
fn smoothing_is_within_one_unit() {
    let mut worst = 0.0_f64;
    let mut random = 1_u32;
    for smoothing in 0..=15_u8 {
        let span = 1_u32 << smoothing;
        let mut detector = Detector::<1>::new(Settings { smoothing, ..Settings::DEFAULT }).unwrap();
        let (mut exact, mut seen) = (0.0, 0.0);
        for n in 0..40 * span {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Noise, and the smallest changes after a long rest, where both roundings go the same way.
            let bits = match n / (8 * span) {
                0 => (random >> 16) as u16 & 0x7FFF,
                1 | 3 => 1,
                2 => 0,
                _ => 0x8000,
            };
            detector.push_probabilities([Probability::from_bits(bits)]);
            seen = f64::min(seen + 1.0, f64::from(span));
            exact += (f64::from(bits) - exact) / seen;
            worst = worst.max((f64::from(detector.probability(0).to_bits()) - exact).abs());
        }
    }
    assert!((0.95..=1.0).contains(&worst), "{worst} units of 2^-15");
}

#[test]
fn every_setting_is_checked() {
    let error = |settings: Settings<'_>| Detector::<3>::new(settings).map(|_| ()).unwrap_err();
    let fine = Settings { enter: eighths(5), leave: eighths(4), ..Settings::DEFAULT };
    let bit = Probability::DELTA;
    let cases = [
        (
            Settings { smoothing: 16, ..fine },
            SettingsError::Smoothing { found: 16, most: 15 },
            "smoothing: 16 is outside 0 ..= 15",
        ),
        (
            Settings { enter: Probability::ZERO, ..fine },
            SettingsError::Enter { found: Probability::ZERO },
            "enter: 0 found, above 0 and at most 1 expected",
        ),
        (
            Settings { enter: eighths(12), ..fine },
            SettingsError::Enter { found: eighths(12) },
            "enter: 1.5 found, above 0 and at most 1 expected",
        ),
        (
            Settings { leave: Probability::ZERO, ..fine },
            SettingsError::Leave { found: Probability::ZERO, most: eighths(5) },
            "leave: 0 found, above 0 and at most 0.625 expected, as enter is",
        ),
        (
            Settings { leave: eighths(6), ..fine },
            SettingsError::Leave { found: eighths(6), most: eighths(5) },
            "leave: 0.75 found, above 0 and at most 0.625 expected, as enter is",
        ),
        (Settings { duration: 0, ..fine }, SettingsError::Duration, "duration: 0 found, at least 1 expected"),
        (
            Settings { confidence: eighths(7), ..fine },
            SettingsError::Confidence { found: eighths(7), most: eighths(5) },
            "confidence: 0.875 found, at most 0.625 expected, as enter is",
        ),
        (
            Settings { background: &[0, 3], ..fine },
            SettingsError::Background { found: 3, classes: 3 },
            "background: class 3 found, one of the 3 classes from 0 expected",
        ),
    ];
    for (settings, expected, message) in cases {
        assert_eq!(error(settings), expected);
        assert_eq!(expected.to_string(), message);
    }
    // The last values that are allowed.
    let edges = Settings {
        smoothing: 15,
        enter: Probability::ONE,
        leave: Probability::ONE,
        duration: u16::MAX,
        refractory: u16::MAX,
        confidence: Probability::ONE,
        background: &[0, 1, 2],
    };
    assert!(Detector::<3>::new(edges).is_ok());
    assert!(Detector::<3>::new(Settings { enter: bit, leave: bit, ..fine }).is_ok());
    const { assert!(Detector::<2>::new(HYSTERESIS).is_ok(), "settings are checked at compile time too") }
}

#[test]
fn a_reset_ends_what_is_on_and_forgets_the_rest() {
    let settings = Settings { smoothing: 3, duration: 2, refractory: 5, ..HYSTERESIS };
    let mut detector = Detector::<2>::new(settings).unwrap();
    assert_eq!(detector.reset(), None);
    let word = [Probability::ZERO, Probability::ONE];
    for _ in 0..2 {
        assert_eq!(detector.push_probabilities(word), None);
        let on = Detection { class: 1, probability: Probability::ONE, decisions: 1 };
        assert_eq!(detector.push_probabilities(word), Some(Event::Began(on)));
        assert_eq!(detector.reset(), Some(Event::Ended(on)));
        assert_eq!(
            (detector.on(), detector.class(), detector.probability(1)),
            (None, None, Probability::ZERO)
        );
    }
}

#[test]
fn a_model_feeds_a_detector() {
    let bytes = include_bytes!("../../models/digits.fxm");
    let words: Vec<u32> = bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect();
    let model = Model::parse(&words).unwrap();
    let mut engine = Engine::new(model);
    let mut net = engine.session();
    let settings = Settings { smoothing: 1, ..Settings::DEFAULT };
    let mut detector = Detector::<10>::new(settings).unwrap();
    let mut other = detector.clone();
    let mut of_nine = Detector::<9>::new(settings).unwrap();
    for digit in 0..20 {
        let image: Vec<i16> = (0..64).map(|pixel| (pixel * (digit + 3)) % 17).collect();
        let scores = net.run(&image).unwrap();
        let probabilities = core::array::from_fn(|class| scores.probability(class));
        assert_eq!(detector.push(&scores), other.push_probabilities(probabilities));
        assert_eq!(detector.class(), other.class());
        assert_eq!(of_nine.push(&scores), None, "of ten classes it knows nothing");
        assert_eq!((0..9).map(|class| of_nine.probability(class)).max(), Some(Probability::ZERO));
    }
}

proptest! {
    /// The definition, from the whole history instead of a state.
    #[test]
    fn events_are_what_the_settings_say(
        smoothing in 0_u8..3,
        enter in 1_u16..=8,
        leave in 1_u16..=8,
        duration in 1_u16..4,
        refractory in 0_u16..4,
        steps in proptest::collection::vec([0_u16..=8, 0_u16..=8, 0_u16..=8], 0..80),
    ) {
        let leave = leave.min(enter);
        let settings = Settings {
            smoothing,
            enter: eighths(enter),
            leave: eighths(leave),
            duration,
            refractory,
            background: &[2],
            ..Settings::DEFAULT
        };
        let mut detector = Detector::<3>::new(settings).unwrap();
        let mut history: Vec<[Probability; 3]> = Vec::new();
        let (mut since, mut ended): (Option<(usize, usize)>, Option<usize>) = (None, None);
        for (now, step) in steps.into_iter().enumerate() {
            let event = detector.push_probabilities(step.map(eighths));
            history.push([0, 1, 2].map(|class| detector.probability(class)));
            let best = |means: &[Probability; 3]| (0..3).rev().max_by_key(|&class| means[class]).unwrap();
            // The class that has been best and at `enter` for long enough.
            let row = history.len().checked_sub(duration.into()).map(|from| &history[from..]);
            let class = best(&history[now]);
            let due = class != 2
                && row.is_some_and(|row| {
                row.iter().all(|means| best(means) == class && means[class] >= settings.enter)
            });
            let expected = match since {
                Some((on, begin)) => {
                    let probability = history[now][on];
                    let over = probability < settings.leave || due && class != on;
                    over.then(|| {
                        (since, ended) = (None, Some(now));
                        Event::Ended(Detection { class: on, probability, decisions: (now - begin) as u32 })
                    })
                }
                None => {
                    let begins = due && ended.is_none_or(|end| now > end + refractory as usize);
                    begins.then(|| {
                        since = Some((class, now));
                        Event::Began(Detection { class, probability: history[now][class], decisions: 1 })
                    })
                }
            };
            prop_assert_eq!(event, expected);
            prop_assert_eq!(detector.class(), Some(class));
            prop_assert_eq!(detector.on().map(|on| on.class), since.map(|(class, _)| class));
        }
    }
}
