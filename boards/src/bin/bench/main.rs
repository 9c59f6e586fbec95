//! Executed instructions of the kernels, of one head of every mechanism and of a model, one line each:
//!
//! `kernel NAME shape L,K,N instructions I macs M`
//! `attention MECHANISM n N d D direction DIRECTION instructions I arena_bytes B`
//! `attention MECHANISM d D direction stream instructions MEAN worst MOST arena_bytes B`, of a token
//! `model MODEL instructions I`
//! `layer MODEL layer LAYER instructions I`
//!
//! `-append N` leaves out heads of more than N tokens. `-append trace` is for a run of which every instruction is written down:
//! only kernels and the shortest heads, with a mark before and after what a line counts.

#![cfg_attr(target_os = "none", no_std, no_main)]

fixformer_boards::entry!(board::main);

#[cfg(target_os = "none")]
mod model;
#[cfg(target_os = "none")]
#[path = "../../../../benches/workload/mod.rs"]
mod workload;

#[cfg(target_os = "none")]
mod board {
    use crate::workload::{Buffers, MAX_TOKENS, heads, kernels};
    use core::ffi::CStr;
    use fixformer::InputError;
    use fixformer::memory::Once;
    use fixformer_boards::{counter, host, println};

    /// Tokens of the shortest head.
    const SHORTEST: usize = 64;

    static BUFFERS: Once<Buffers> = Once::new(Buffers::new());

    pub(crate) fn main() -> Result<(), InputError> {
        let traced = host::argument(|text| text == c"trace").unwrap_or(false);
        let number = |text: &CStr| text.to_str().ok().and_then(|text| text.parse().ok());
        let longest = host::argument(number).ok().flatten().unwrap_or(MAX_TOKENS);
        let longest = if traced { SHORTEST } else { longest };
        if let Some(buffers) = BUFFERS.take() {
            kernels::each(buffers, &mut |kernel, work| {
                let ((), instructions) = measure(traced, work);
                let kernels::Kernel { name, shape: [rows, inputs, outputs], macs } = kernel;
                println!(
                    "kernel {name} shape {rows},{inputs},{outputs} instructions {instructions} macs {macs}"
                );
            });
            heads::each(buffers, longest, &mut |run| {
                run.prepare();
                let ((), instructions) = measure(traced, || run.attend());
                let direction = if run.causal { "causal" } else { "bidirectional" };
                let heads::Run { mechanism, tokens, width, .. } = &*run;
                let shape = format_args!("n {tokens} d {width} direction {direction}");
                let bytes = run.arena_bytes();
                println!("attention {mechanism} {shape} instructions {instructions} arena_bytes {bytes}");
            });
            if traced {
                return Ok(());
            }
            heads::streams(buffers, &mut |stream| {
                let (mut total, mut worst) = (0, 0);
                for token in (0..heads::STEADY.end).chain(heads::WORST) {
                    let ((), instructions) = counter::measure(|| stream.push(token));
                    total += if heads::STEADY.contains(&token) { instructions } else { 0 };
                    worst = worst.max(instructions);
                }
                let heads::Streamed { mechanism, width, words, .. } = &*stream;
                let (mean, bytes) = (total / heads::STEADY.len() as u64, size_of::<u32>() * words);
                println!(
                    "attention {mechanism} d {width} direction stream instructions {mean} worst {worst} arena_bytes {bytes}"
                );
            });
        }
        crate::model::measure()
    }

    /// [`counter::measure`], between marks where the run is traced.
    fn measure<T>(traced: bool, work: impl FnOnce() -> T) -> (T, u64) {
        let mark = || {
            if traced {
                counter::mark()
            }
        };
        mark();
        let measured = counter::measure(work);
        mark();
        measured
    }
}
