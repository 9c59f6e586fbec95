//! Work on every core of the host.

use std::num::NonZero;
use std::panic;
use std::thread;
use std::vec::Vec;

/// What `work` makes of each share of `items`, in their order. It is told the index of the share's first item; a panic
/// of it goes on here.
pub(super) fn shares<T: Sync, R: Send>(items: &[T], work: impl Fn(usize, &[T]) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = items.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let work = &work;
        let start = |(index, items)| scope.spawn(move || work(index * share, items));
        let running: Vec<_> = items.chunks(share).enumerate().map(start).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, R>| {
            thread.join().unwrap_or_else(|cause| panic::resume_unwind(cause))
        };
        running.into_iter().map(join).collect()
    })
}
