//! Classes of what an LIS3DH feels, on a Raspberry Pi Pico.

#![no_std]
#![no_main]

use defmt_rtt as _;
use fixformer_station::watch;
use hal::clocks::{Clock as _, init_clocks_and_plls};
use hal::fugit::RateExtU32 as _;
use hal::gpio::{FunctionI2C, Pins, PullUp};
use hal::pac::Peripherals;
use hal::{I2C, Sio, Timer, Watchdog};
use panic_probe as _;
use rp2040_hal as hal;

/// Frequency of the crystal.
const CRYSTAL: u32 = 12_000_000;

/// What sets the flash up, before anything else.
#[used]
#[unsafe(link_section = ".boot2")]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

#[hal::entry]
fn main() -> ! {
    if let Some(mut device) = Peripherals::take() {
        let mut watchdog = Watchdog::new(device.WATCHDOG);
        let clocks = init_clocks_and_plls(
            CRYSTAL,
            device.XOSC,
            device.CLOCKS,
            device.PLL_SYS,
            device.PLL_USB,
            &mut device.RESETS,
            &mut watchdog,
        );
        if let Ok(clocks) = clocks {
            let sio = Sio::new(device.SIO);
            let pins = Pins::new(device.IO_BANK0, device.PADS_BANK0, sio.gpio_bank0, &mut device.RESETS);
            let sda = pins.gpio4.reconfigure::<FunctionI2C, PullUp>();
            let scl = pins.gpio5.reconfigure::<FunctionI2C, PullUp>();
            let clock = clocks.system_clock.freq();
            let i2c = I2C::i2c0(device.I2C0, sda, scl, 400.kHz(), &mut device.RESETS, clock);
            let delay = Timer::new(device.TIMER, &mut device.RESETS, &clocks);
            let error = watch(i2c, delay, |seen| defmt::info!("{}", seen));
            defmt::error!("{}", error);
        }
    }
    loop {
        core::hint::spin_loop();
    }
}
