//! Time of one head of every mechanism against the length on the host, with each of its backends. Boards count
//! instructions instead: `cargo xtask bench`.

mod backends;
#[allow(dead_code, reason = "each bench measures its part of the workload")]
mod workload;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use workload::{Buffers, MAX_TOKENS, heads};

fn bench(criterion: &mut Criterion) {
    let mut buffers = Box::new(Buffers::new());
    heads::each(&mut buffers, MAX_TOKENS, &mut |run| {
        let direction = if run.causal { "causal" } else { "bidirectional" };
        let mut group = criterion.benchmark_group(format!("{}/d{}/{direction}", run.mechanism, run.width));
        group.throughput(Throughput::Elements(run.tokens as u64)).sample_size(10);
        backends::each(|backend| {
            group.bench_function(format!("{}/{backend}", run.tokens), |bencher| {
                // The outputs lie in the place of the queries: every run needs new ones, which cost little.
                bencher.iter(|| {
                    run.prepare();
                    run.attend();
                });
            });
        });
        group.finish();
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
