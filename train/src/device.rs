//! Where tensors are.

use std::panic;

use anyhow::{Result, anyhow, bail};
use burn::tensor::{Device, Tensor};

/// The device of that name, after a first sum on it; one of a graphics card is there if it was built with its feature.
///
/// # Errors
/// A name that is none, a feature that was left out, or a card or driver that is not there.
pub fn open(name: &str) -> Result<Device> {
    let device = match name {
        "cpu" => Device::flex(),
        #[cfg(feature = "cuda")]
        "cuda" => first_use(name, || Device::cuda(0))?,
        #[cfg(feature = "wgpu")]
        "wgpu" => first_use(name, || Device::wgpu(burn::tensor::DeviceKind::DefaultDevice))?,
        "cuda" | "wgpu" => bail!("not built for `{name}`; build with `--features {name}`"),
        _ => bail!("no device `{name}`; give cpu, cuda or wgpu"),
    };
    Ok(device)
}

/// Graphics cards are looked for at the first use, and what is missing is a panic there.
#[cfg_attr(
    not(any(feature = "cuda", feature = "wgpu")),
    expect(dead_code, reason = "the CPU is always there")
)]
fn first_use(name: &str, device: impl FnOnce() -> Device + panic::UnwindSafe) -> Result<Device> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let opened = panic::catch_unwind(|| {
        let device = device();
        let sum: f32 = Tensor::<1>::ones([2], &device).sum().into_scalar();
        assert_eq!(sum, 2.0, "a wrong sum");
        device
    });
    panic::set_hook(hook);
    opened.map_err(|cause| {
        let cause = cause.downcast_ref::<String>().map(String::as_str);
        anyhow!("cannot use `{name}`: {}; give --device cpu", cause.unwrap_or("no device or no driver"))
    })
}
