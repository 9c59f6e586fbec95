//! Windows count steps, not values, and no step gets lost unseen.

use core::convert::Infallible;
use fixformer_sensors::{Function, Window};

#[test]
fn windows_overlap_by_whole_steps() {
    let mut window = Window::<6, 3>::new();
    assert_eq!(window.push([1, 2, 3]), None);
    assert_eq!(window.push([4, 5, 6]), Some(&[1, 2, 3, 4, 5, 6][..]));
    window.advance(1);
    assert_eq!(window.push([7, 8, 9]), Some(&[4, 5, 6, 7, 8, 9][..]));
    window.advance(0);
    assert_eq!(window.push([0, 0, 0]), Some(&[4, 5, 6, 7, 8, 9][..]), "nothing was dropped");
    assert_eq!(Window::<6, 3>::STEPS, 2);
}

#[test]
fn every_window_begins_with_the_first_channel() {
    // Channel c of step n is 10 * n + c, so that a shifted axis shows.
    let mut number = 0;
    let mut source = Function(|| {
        number += 10;
        Ok::<_, Infallible>([number, number + 1, number + 2])
    });
    let mut window = Window::<24, 3>::new();
    let mut first = 10;
    for steps in [1, 2, 3, 5, 7, 8, 9, 100, usize::MAX] {
        let values = window.fill(&mut source).unwrap();
        let expected: Vec<i16> = (0..8).flat_map(|n| [0, 1, 2].map(|c| first + 10 * n + c)).collect();
        assert_eq!(values, expected, "before {steps} steps are dropped");
        window.advance(steps);
        first += 10 * steps.min(8) as i16;
    }
    assert_eq!(window.lost(), 0);
}

#[test]
fn a_step_without_room_is_counted() {
    let mut window = Window::<4, 2>::default();
    assert_eq!(window.push([1, 2]), None);
    assert_eq!(window.push([3, 4]), Some(&[1, 2, 3, 4][..]));
    assert_eq!(window.lost(), 0);
    assert_eq!(window.push([5, 6]), Some(&[1, 2, 3, 4][..]), "full");
    assert_eq!(window.push([7, 8]), Some(&[1, 2, 3, 4][..]), "full");
    assert_eq!(window.lost(), 2);
    window.clear();
    assert_eq!(window.push([9, 10]), None);
    assert_eq!(window.push([11, 12]), Some(&[9, 10, 11, 12][..]));
    assert_eq!(window.lost(), 2, "since it was made");
}
