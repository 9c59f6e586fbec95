//! Classes of what an LIS3DH feels, on a HiFive1 Rev B.

#![no_std]
#![no_main]

use fixformer_station::watch;
use hifive1::hal::DeviceResources;
use hifive1::hal::delay::Delay;
use hifive1::hal::i2c::{I2c, Speed};
use hifive1::hal::prelude::*;
use hifive1::{clock, pin, sprintln, stdout};
use panic_halt as _;

#[riscv_rt::entry]
fn main() -> ! {
    if let Some(resources) = DeviceResources::take() {
        let (device, pins) = (resources.peripherals, resources.pins);
        let clocks = clock::configure(device.PRCI, device.AONCLK, 320.mhz().into());
        stdout::configure(device.UART0, pin!(pins, uart0_tx), pin!(pins, uart0_rx), 115_200.bps(), clocks);
        let (sda, scl) = (pin!(pins, i2c0_sda).into_iof0(), pin!(pins, i2c0_scl).into_iof0());
        let i2c = I2c::new(device.I2C0, sda, scl, Speed::Fast, clocks);
        let delay = Delay::new();
        let error = watch(i2c, delay, |seen| sprintln!("{}", seen));
        sprintln!("{:?}", error);
    }
    loop {
        core::hint::spin_loop();
    }
}
