//! Executed instructions of the kernels, of one head of every mechanism and of a model, one line each:
//!
//! `kernel NAME shape L,K,N instructions I macs M`
//! `attention MECHANISM n N d D direction DIRECTION instructions I arena_bytes B`
//! `attention MECHANISM d D direction stream instructions MEAN worst MOST arena_bytes B`, of a token
//! `model MODEL instructions I`
//! `layer MODEL layer LAYER instructions I`
//!
//! `-append N` leaves out heads of more than N tokens.

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

    static BUFFERS: Once<Buffers> = Once::new(Buffers::new());

    pub(crate) fn main() -> Result<(), InputError> {
        let argument = |text: &CStr| text.to_str().ok().and_then(|text| text.parse().ok());
        let longest = host::argument(argument).ok().flatten().unwrap_or(MAX_TOKENS);
        if let Some(buffers) = BUFFERS.take() {
            kernels::each(buffers, &mut |kernel, work| {
                let ((), instructions) = counter::measure(work);
                let kernels::Kernel { name, shape: [rows, inputs, outputs], macs } = kernel;
                println!(
                    "kernel {name} shape {rows},{inputs},{outputs} instructions {instructions} macs {macs}"
                );
            });
            heads::each(buffers, longest, &mut |run| {
                run.prepare();
                let ((), instructions) = counter::measure(|| run.attend());
                let direction = if run.causal { "causal" } else { "bidirectional" };
                let heads::Run { mechanism, tokens, width, .. } = &*run;
                let shape = format_args!("n {tokens} d {width} direction {direction}");
                let bytes = run.arena_bytes();
                println!("attention {mechanism} {shape} instructions {instructions} arena_bytes {bytes}");
            });
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
}
