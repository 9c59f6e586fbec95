//! Classes of what an LIS3DH feels, on an nRF52840-DK.

#![no_std]
#![no_main]

use defmt_rtt as _;
use fixformer_station::watch;
use hal::gpio::p0;
use hal::pac::{CorePeripherals, Peripherals};
use hal::twim::{Frequency, Pins, Twim};
use nrf52840_hal as hal;
use panic_probe as _;

#[cortex_m_rt::entry]
fn main() -> ! {
    if let (Some(core), Some(device)) = (CorePeripherals::take(), Peripherals::take()) {
        let port0 = p0::Parts::new(device.P0);
        let sda = port0.p0_26.into_floating_input().degrade();
        let scl = port0.p0_27.into_floating_input().degrade();
        let i2c = Twim::new(device.TWIM0, Pins { scl, sda }, Frequency::K400);
        let delay = hal::Delay::new(core.SYST);
        let error = watch(i2c, delay, |seen| defmt::info!("{}", seen));
        defmt::error!("{}", error);
    }
    loop {
        cortex_m::asm::wfi();
    }
}
