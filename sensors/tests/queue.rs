//! What comes out of a queue is what went in, with every gap at its place.

use fixformer_sensors::{Next, Queue};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::thread;

#[test]
fn steps_and_gaps_come_in_order() {
    let mut queue = Queue::<2, 2>::default();
    let (mut producer, mut consumer) = queue.split();
    assert_eq!(consumer.next(), None);
    assert!(producer.push([1, -1]));
    assert!(producer.push([2, -2]));
    assert!(!producer.push([3, -3]));
    assert!(!producer.push([4, -4]));
    assert_eq!((consumer.waiting(), consumer.lost(), producer.lost()), (2, 2, 2));
    assert_eq!(consumer.next(), Some(Next::Step([1, -1])));
    assert!(producer.push([5, -5]));
    assert!(!producer.push([6, -6]));
    assert_eq!(consumer.next(), Some(Next::Step([2, -2])));
    assert_eq!(consumer.next(), Some(Next::Lost(2)), "3 and 4");
    assert_eq!(consumer.waiting(), 1, "a gap is no step");
    assert_eq!(consumer.next(), Some(Next::Step([5, -5])));
    assert_eq!(consumer.next(), None, "6 is told with the step after it");
    assert!(producer.push([7, -7]));
    assert_eq!(consumer.by_ref().collect::<Vec<_>>(), [Next::Lost(1), Next::Step([7, -7])]);
    assert_eq!((consumer.waiting(), consumer.lost()), (0, 3));
}

#[test]
fn halves_can_be_made_again() {
    let mut queue = Queue::<1, 1>::new();
    let (mut producer, mut consumer) = queue.split();
    producer.push([1]);
    producer.push([2]);
    assert_eq!(consumer.next(), Some(Next::Step([1])));
    let (mut producer, mut consumer) = queue.split();
    producer.push([3]);
    assert_eq!(consumer.next(), Some(Next::Lost(1)));
    let (_, mut consumer) = queue.split();
    assert_eq!(consumer.next(), Some(Next::Step([3])), "the gap is told once");
}

/// The step of number `n`: all channels follow from it, so that a torn one shows.
fn step(n: u32) -> [i16; 3] {
    [n as i16, !n as i16, (n >> 8) as i16]
}

#[test]
fn two_threads_agree_on_every_step() {
    const PUSHED: u32 = if cfg!(miri) { 300 } else { 500_000 };
    let mut queue = Queue::<7, 3>::new();
    let (mut producer, mut consumer) = queue.split();
    let fitted = thread::scope(|scope| {
        let interrupt = scope.spawn(move || {
            let fitted = (0..PUSHED).filter(|&n| {
                if n % 64 == 0 {
                    thread::yield_now(); // an interrupt that comes in bursts
                }
                producer.push(step(n))
            });
            let fitted = fitted.count();
            // The last of all shows what went missing before it.
            while !producer.push(step(PUSHED)) {
                thread::yield_now();
            }
            (fitted + 1, producer.lost())
        });
        let (mut number, mut seen, mut missing) = (0_u32, 0, 0);
        loop {
            match consumer.next() {
                Some(Next::Lost(n)) => {
                    assert_ne!(n, 0);
                    missing += n;
                    number += n;
                }
                Some(Next::Step(found)) => {
                    seen += 1;
                    if number >= PUSHED {
                        assert_eq!(found, step(PUSHED));
                        break;
                    }
                    assert_eq!(found, step(number), "step {number}");
                    number += 1;
                    if number % 1024 < 50 {
                        thread::yield_now(); // a main loop that is busy at times
                    }
                }
                None => thread::yield_now(),
            }
        }
        let (fitted, lost) = interrupt.join().unwrap();
        assert_eq!(missing, lost);
        assert_eq!(consumer.lost(), lost);
        assert_eq!(consumer.next(), None);
        assert_eq!(seen, fitted);
        fitted
    });
    assert!(fitted > 7, "{fitted}");
}

proptest! {
    #[test]
    fn a_queue_is_a_list_with_gaps(pushes in proptest::collection::vec(any::<bool>(), 0..200)) {
        const ROOM: usize = 3;
        let mut queue = Queue::<ROOM, 3>::new();
        let (mut producer, mut consumer) = queue.split();
        let mut list = VecDeque::new();
        let (mut steps, mut missing, mut number) = (0, 0, 0);
        for push in pushes {
            if push {
                let fits = steps < ROOM;
                prop_assert_eq!(producer.push(step(number)), fits);
                if fits {
                    list.extend((missing > 0).then_some(Next::Lost(missing)));
                    list.push_back(Next::Step(step(number)));
                    (steps, missing) = (steps + 1, 0);
                } else {
                    missing += 1;
                }
                number += 1;
            } else {
                let next = list.pop_front();
                steps -= usize::from(matches!(next, Some(Next::Step(_))));
                prop_assert_eq!(consumer.next(), next);
            }
            prop_assert_eq!(consumer.waiting(), steps);
        }
    }
}
