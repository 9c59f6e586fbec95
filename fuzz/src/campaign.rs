//! Many mutants of model files: all are parsed, those that are accepted run with the kernels of every backend.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use fixformer::Model;
use fixformer::kernels::{Backend, choose};

use crate::random::{Source, any};
use crate::{files, mutate};

/// Mutants between two looks at the accepted ones.
const ROUND: u64 = 20_000;

/// What a campaign did and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Mutants that were parsed.
    pub parses: u64,
    /// Those that were accepted.
    pub accepted: u64,
    /// Runs of those, with the kernels of each backend.
    pub runs: u64,
    /// Number of each mutant that panicked, or of which the kernels of a backend made other scores than the portable ones,
    /// and what happened.
    pub faults: Vec<String>,
}

/// Model files to change: the smallest third of so many drawn ones.
pub fn originals(drawn: u64) -> Vec<Vec<u32>> {
    let mut all: Vec<_> = (0..drawn).map(|seed| any::model(&mut Source(seed)).1).collect();
    all.sort_by_key(Vec::len);
    all.truncate(all.len().div_ceil(3));
    all
}

/// Mutant number `number`.
pub fn mutant(number: u64, originals: &[Vec<u32>], words: &mut Vec<u32>) {
    let mut source = Source(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let file = &originals[source.below(originals.len())];
    mutate::mutant(&mut source, file, originals, words);
}

/// Mutants `first` and so many after it, of which one of `every` is planned and run too where it is accepted. `progress` is
/// told how many are done.
pub fn files(
    originals: &[Vec<u32>],
    [first, count, every]: [u64; 3],
    mut progress: impl FnMut(&Found),
) -> Found {
    let mut found = Found::default();
    let end = first + count;
    for round in (first..end).step_by(ROUND as usize) {
        let numbers = round..end.min(round + ROUND);
        let parsed = side_by_side(numbers.clone().collect(), |number, words| {
            mutant(number, originals, words);
            match number % every {
                0 => files::parse(words),
                _ => Model::parse(words).is_ok(),
            }
        });
        found.parses += numbers.end - numbers.start;
        let mut accepted = Vec::new();
        for (number, parsed) in parsed {
            match parsed {
                Ok(true) => accepted.push(number),
                Ok(false) => {}
                Err(message) => found.faults.push(format!("mutant {number}: {message}")),
            }
        }
        found.accepted += accepted.len() as u64;
        accepted.retain(|number| number % every == 0);
        let backends: Vec<Backend> = Backend::all().collect();
        let said = backends.iter().map(|&backend| {
            choose(Some(backend));
            side_by_side(accepted.clone(), |number, words| {
                mutant(number, originals, words);
                let mut scores = Vec::new();
                let runs = files::run(words, number, &mut scores);
                (runs.unwrap_or(0), scores)
            })
        });
        let mut said = said.collect::<Vec<_>>().into_iter();
        choose(None);
        let portable = said.next().unwrap_or_default();
        for (number, said) in &portable {
            match said {
                Ok((runs, _)) => found.runs += (backends.len() * runs) as u64,
                Err(message) => found.faults.push(format!("mutant {number}: {message}")),
            }
        }
        for (backend, here) in backends.iter().skip(1).zip(said) {
            for ((number, portable), (_, here)) in portable.iter().zip(here) {
                match (portable, here) {
                    (Ok(portable), Ok(here)) if *portable != here => {
                        found
                            .faults
                            .push(format!("mutant {number}: the kernels of {} differ", backend.name()));
                    }
                    (Ok(_), Err(message)) => found.faults.push(format!("mutant {number}: {message}")),
                    _ => {}
                }
            }
        }
        progress(&found);
    }
    found
}

/// The bits of a model file of which nobody sees that they were flipped.
pub fn unseen_flips(file: &[u32]) -> Vec<u64> {
    let flips = side_by_side((0..32 * file.len() as u64).collect(), |bit, words| {
        if words.is_empty() {
            words.extend(file);
        }
        let at = bit as usize / 32;
        words[at] ^= 1 << (bit % 32);
        let seen = Model::parse(words).is_err();
        words[at] ^= 1 << (bit % 32);
        seen
    });
    flips.into_iter().filter(|(_, seen)| *seen != Ok(true)).map(|(bit, _)| bit).collect()
}

/// `work` on each number on all processors, in order; the message of a panic where there was one.
fn side_by_side<T: Send>(
    numbers: Vec<u64>,
    work: impl Fn(u64, &mut Vec<u32>) -> T + Sync,
) -> Vec<(u64, Result<T, String>)> {
    let workers = thread::available_parallelism().map_or(1, |count| count.get());
    let one = |number: u64, words: &mut Vec<u32>| {
        let done = catch_unwind(AssertUnwindSafe(|| work(number, words)));
        (number, done.map_err(|cause| message(&*cause)))
    };
    thread::scope(|scope| {
        let one = &one;
        let part = |part: Vec<u64>| {
            scope.spawn(move || {
                let mut words = Vec::new();
                part.into_iter().map(|number| one(number, &mut words)).collect::<Vec<_>>()
            })
        };
        let size = numbers.len().div_ceil(workers).max(1);
        let started: Vec<_> = numbers.chunks(size).map(|numbers| part(numbers.to_vec())).collect();
        started.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    })
}

fn message(cause: &(dyn std::any::Any + Send)) -> String {
    let text = cause.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_default()
}
