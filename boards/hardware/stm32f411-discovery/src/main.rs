//! Classes of what an LIS3DH feels, on an STM32F411 Discovery.

#![no_std]
#![no_main]

use defmt_rtt as _;
use fixformer_station::watch;
use hal::i2c::{I2c, Mode};
use hal::pac::{CorePeripherals, Peripherals};
use hal::prelude::*;
use hal::rcc::Config;
use panic_probe as _;
use stm32f4xx_hal as hal;

#[cortex_m_rt::entry]
fn main() -> ! {
    if let (Some(core), Some(device)) = (CorePeripherals::take(), Peripherals::take()) {
        let mut rcc = device.RCC.freeze(Config::hsi().sysclk(84.MHz()));
        let port_b = device.GPIOB.split(&mut rcc);
        let i2c = I2c::new(device.I2C1, (port_b.pb8, port_b.pb7), Mode::standard(100.kHz()), &mut rcc);
        let delay = core.SYST.delay(&rcc.clocks);
        let error = watch(i2c, delay, |seen| defmt::info!("{}", seen));
        defmt::error!("{}", error);
    }
    loop {
        cortex_m::asm::wfi();
    }
}
