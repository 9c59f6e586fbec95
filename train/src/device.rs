//! Where tensors are.

use anyhow::{Result, bail};
use burn::tensor::Device;

/// The device of that name, after a first sum on it; one of a graphics card is there if it was built with its feature.
///
/// # Errors
/// A name that is none, a feature that was left out, or a card or driver that is not there.
pub fn open(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::flex()),
        #[cfg(feature = "cuda")]
        "cuda" => card::open(name, || Device::cuda(0)),
        #[cfg(feature = "wgpu")]
        "wgpu" => card::open(name, || Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(not(feature = "cuda"))]
        "cuda" => bail!("not built for `cuda`; build with `--features cuda`"),
        #[cfg(not(feature = "wgpu"))]
        "wgpu" => bail!("not built for `wgpu`; build with `--features wgpu`"),
        _ => bail!("no device `{name}`; give cpu, cuda or wgpu"),
    }
}

#[cfg(any(feature = "cuda", feature = "wgpu"))]
mod card {
    use std::panic::{self, UnwindSafe};
    use std::sync::Mutex;

    use anyhow::{Result, bail, ensure};
    use burn::tensor::{Device, Tensor};

    /// What the first of the threads that panicked had to say.
    static CAUSE: Mutex<String> = Mutex::new(String::new());

    /// Cards are looked for at the first use, by threads of their own, and what is missing is a panic there.
    pub(super) fn open(name: &str, device: impl FnOnce() -> Device + UnwindSafe) -> Result<Device> {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(|info| {
            let mut cause = CAUSE.lock().unwrap_or_else(|error| error.into_inner());
            if cause.is_empty() {
                *cause = info.payload_as_str().unwrap_or("unknown cause").to_owned();
            }
        }));
        let opened = panic::catch_unwind(|| {
            let device = device();
            let sum: f32 = Tensor::<1>::ones([2], &device).sum().into_scalar();
            (device, sum)
        });
        panic::set_hook(hook);
        match opened {
            Ok((device, sum)) => {
                ensure!(sum == 2.0, "`{name}` cannot add: 1 + 1 = {sum}");
                Ok(device)
            }
            Err(_) => {
                let cause = CAUSE.lock().unwrap_or_else(|error| error.into_inner());
                bail!(
                    "cannot use `{name}`: {cause}; is there such a card, and its driver? `--device cpu` needs none"
                )
            }
        }
    }
}
