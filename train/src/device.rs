//! Where tensors are.

use anyhow::{Result, bail};
use burn::tensor::Device;

/// The device of that name; one of a graphics card is there if it was built with its feature.
pub fn open(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::flex()),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(0)),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        "cuda" | "wgpu" => bail!("not built for `{name}`; build with `--features {name}`"),
        _ => bail!("no device `{name}`; give cpu, cuda or wgpu"),
    }
}
