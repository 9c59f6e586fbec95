//! From an interrupt to the main loop.

use core::sync::atomic::{AtomicI16, AtomicU32, AtomicUsize, Ordering};

/// Room for `STEPS` steps of `CHANNELS` samples between one that takes them, as an interrupt does, and one
/// that has time for them, as the main loop. Neither waits for the other, and what did not fit is known by
/// number and place.
///
/// ```
/// use fixformer_sensors::{Next, Queue, Window};
///
/// let mut queue = Queue::<2, 3>::new();
/// let (mut producer, mut consumer) = queue.split();
///
/// // In the interrupt, faster than the main loop for once:
/// for step in [[1, 2, 3], [4, 5, 6], [7, 8, 9]] {
///     producer.push(step);
/// }
/// assert_eq!(consumer.next(), Some(Next::Step([1, 2, 3])));
/// producer.push([10, 11, 12]);
///
/// // In the main loop:
/// let mut window = Window::<6, 3>::new();
/// for next in &mut consumer {
///     match next {
///         Next::Lost(steps) => {
///             assert_eq!(steps, 1); // a stream of a model is told so; a window begins anew
///             window.clear();
///         }
///         Next::Step(step) => {
///             if let Some(values) = window.push(step) {
///                 println!("{values:?}");
///             }
///         }
///     }
/// }
/// ```
///
/// In a program it lies in a `static` and each half goes where it is used: a `StaticCell` of `static_cell`,
/// the macro `singleton!` of `cortex-m` or a local resource of RTIC gives the `&'static mut` that
/// [`Queue::split`] takes.
///
/// It reads and writes atomically and never compares and swaps, so that it is there on every core with atomic
/// loads and stores, without a feature or a critical section: Cortex-M0 (`thumbv6m`) and RISC-V without the A
/// extension (`riscv32imc`, as the ESP32-C3) included. A step takes `4 + 2 * CHANNELS` bytes, rounded up to a
/// multiple of four.
#[derive(Debug)]
pub struct Queue<const STEPS: usize, const CHANNELS: usize> {
    slots: [Slot<CHANNELS>; STEPS],
    /// Where the next step is read and written, `0 .. 2 * STEPS`, so that a full queue differs from an empty
    /// one. The consumer alone writes `head`, the producer alone the others.
    head: AtomicUsize,
    tail: AtomicUsize,
    /// Steps that did not fit since the last one that did.
    missing: AtomicU32,
    /// Steps that did not fit since the queue was made.
    lost: AtomicU32,
}

#[derive(Debug)]
struct Slot<const CHANNELS: usize> {
    /// Steps missing before this one.
    missing: AtomicU32,
    step: [AtomicI16; CHANNELS],
}

impl<const CHANNELS: usize> Slot<CHANNELS> {
    const fn new() -> Self {
        Self { missing: AtomicU32::new(0), step: [const { AtomicI16::new(0) }; CHANNELS] }
    }
}

/// What comes next in the sequence of steps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Next<const CHANNELS: usize> {
    /// So many steps are missing here: they found no room.
    Lost(u32),
    /// A step.
    Step([i16; CHANNELS]),
}

/// The half of a [`Queue`] that takes steps.
#[derive(Debug)]
pub struct Producer<'a, const STEPS: usize, const CHANNELS: usize>(&'a Queue<STEPS, CHANNELS>);

/// The half of a [`Queue`] that gives steps, as an iterator over what is there. It may give more after it
/// gave `None`.
#[derive(Debug)]
pub struct Consumer<'a, const STEPS: usize, const CHANNELS: usize>(&'a Queue<STEPS, CHANNELS>);

impl<const STEPS: usize, const CHANNELS: usize> Queue<STEPS, CHANNELS> {
    /// Empty.
    pub const fn new() -> Self {
        const { assert!(STEPS > 0, "a queue has room for one step at least") }
        Self {
            slots: [const { Slot::new() }; STEPS],
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            missing: AtomicU32::new(0),
            lost: AtomicU32::new(0),
        }
    }

    /// Its two halves. What it holds and what it knows to be missing stays.
    pub const fn split(&mut self) -> (Producer<'_, STEPS, CHANNELS>, Consumer<'_, STEPS, CHANNELS>) {
        let queue = &*self;
        (Producer(queue), Consumer(queue))
    }

    fn slot(&self, place: usize) -> Option<&Slot<CHANNELS>> {
        self.slots.get(if place < STEPS { place } else { place - STEPS })
    }

    fn after(place: usize) -> usize {
        if place + 1 < 2 * STEPS { place + 1 } else { 0 }
    }

    fn steps(head: usize, tail: usize) -> usize {
        if tail >= head { tail - head } else { tail + 2 * STEPS - head }
    }
}

impl<const STEPS: usize, const CHANNELS: usize> Default for Queue<STEPS, CHANNELS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const STEPS: usize, const CHANNELS: usize> Producer<'_, STEPS, CHANNELS> {
    /// Adds a step; whether there was room. A step without room is dropped and counted, and the consumer
    /// learns of it at its place in the sequence, before the next step that fits. Takes the same time
    /// whatever the consumer does.
    pub fn push(&mut self, step: [i16; CHANNELS]) -> bool {
        let queue = self.0;
        let tail = queue.tail.load(Ordering::Relaxed);
        // Acquire: what the consumer read of a slot, it read before the slot is written again.
        let full = Queue::<STEPS, CHANNELS>::steps(queue.head.load(Ordering::Acquire), tail) == STEPS;
        let missing = queue.missing.load(Ordering::Relaxed);
        let Some(slot) = queue.slot(tail).filter(|_| !full) else {
            queue.missing.store(missing.saturating_add(1), Ordering::Relaxed);
            queue.lost.store(self.lost().saturating_add(1), Ordering::Relaxed);
            return false;
        };
        slot.missing.store(missing, Ordering::Relaxed);
        for (to, sample) in slot.step.iter().zip(step) {
            to.store(sample, Ordering::Relaxed);
        }
        queue.missing.store(0, Ordering::Relaxed);
        // Release: the slot is written before the consumer sees that it is there.
        queue.tail.store(Queue::<STEPS, CHANNELS>::after(tail), Ordering::Release);
        true
    }

    /// Steps that found no room since the queue was made.
    pub fn lost(&self) -> u32 {
        self.0.lost.load(Ordering::Relaxed)
    }
}

impl<const STEPS: usize, const CHANNELS: usize> Consumer<'_, STEPS, CHANNELS> {
    /// Steps that wait in the queue.
    pub fn waiting(&self) -> usize {
        let tail = self.0.tail.load(Ordering::Acquire);
        Queue::<STEPS, CHANNELS>::steps(self.0.head.load(Ordering::Relaxed), tail)
    }

    /// Steps that found no room since the queue was made, those included that [`Next::Lost`] has yet to tell.
    pub fn lost(&self) -> u32 {
        self.0.lost.load(Ordering::Relaxed)
    }
}

impl<const STEPS: usize, const CHANNELS: usize> Iterator for Consumer<'_, STEPS, CHANNELS> {
    type Item = Next<CHANNELS>;

    fn next(&mut self) -> Option<Next<CHANNELS>> {
        if self.waiting() == 0 {
            return None;
        }
        let head = self.0.head.load(Ordering::Relaxed);
        let slot = self.0.slot(head)?;
        let missing = slot.missing.load(Ordering::Relaxed);
        if missing > 0 {
            // Told once; the slot is the consumer's until `head` moves on.
            slot.missing.store(0, Ordering::Relaxed);
            return Some(Next::Lost(missing));
        }
        let mut step = [0; CHANNELS];
        for (sample, from) in step.iter_mut().zip(&slot.step) {
            *sample = from.load(Ordering::Relaxed);
        }
        self.0.head.store(Queue::<STEPS, CHANNELS>::after(head), Ordering::Release);
        Some(Next::Step(step))
    }
}
