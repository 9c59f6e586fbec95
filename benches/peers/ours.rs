//! CPU time of some heads of a mechanism, for `run.py`: `ours MECHANISM TOKENS HEADS` prints the backend and the least
//! seconds of the runs that fit into a second, at least three.

#[allow(dead_code, reason = "each bench measures its part of the workload")]
#[path = "../workload/mod.rs"]
mod workload;

use fixformer::kernels::backend;
use rustix::time::{ClockId, clock_gettime};
use std::env;
use std::time::{Duration, Instant};
use workload::heads::{Run, kind};
use workload::{Buffers, MAX_WIDTH};

fn main() {
    let mut arguments = env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let mut next = || arguments.next().expect("usage: ours MECHANISM TOKENS HEADS");
    let mechanism = next();
    let mut number = || next().parse::<usize>().expect("a number");
    let (tokens, heads) = (number(), number());
    let kind = kind(&mechanism, tokens, MAX_WIDTH).expect("a mechanism that heads.rs measures");
    let mut buffers = Box::new(Buffers::new());
    let mut run = Run::new(&mut buffers, "", kind, [tokens, MAX_WIDTH], false);
    let mut attend = || {
        let mut spent = Duration::ZERO;
        for _ in 0..heads {
            // The outputs lie in the place of the queries.
            run.prepare();
            let before = cpu_time();
            run.attend();
            spent += cpu_time() - before;
        }
        spent
    };
    attend();
    let (begun, mut runs, mut least) = (Instant::now(), 0, Duration::MAX);
    while runs < 3 || begun.elapsed() < Duration::from_secs(1) {
        least = least.min(attend());
        runs += 1;
    }
    println!("{} {}", backend(), least.as_secs_f64());
}

/// What this thread has run so far.
fn cpu_time() -> Duration {
    let ran = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(ran.tv_sec as u64, ran.tv_nsec as u32)
}
