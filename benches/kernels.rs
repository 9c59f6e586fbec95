//! Time of every kernel on the host, with each of its backends. Boards count instructions instead: `cargo xtask bench`.

mod backends;
#[allow(dead_code, reason = "each bench measures its part of the workload")]
mod workload;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use workload::{Buffers, kernels};

fn bench(criterion: &mut Criterion) {
    let mut buffers = Box::new(Buffers::new());
    kernels::each(&mut buffers, &mut |kernel, work| {
        let [rows, inputs, outputs] = kernel.shape;
        let mut group = criterion.benchmark_group(kernel.name);
        let all = if kernel.macs > 0 { kernel.macs } else { rows * outputs };
        group.throughput(Throughput::Elements(all as u64));
        backends::each(|backend| {
            group.bench_function(format!("{rows},{inputs},{outputs}/{backend}"), |bencher| {
                bencher.iter(&mut *work)
            });
        });
        group.finish();
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
