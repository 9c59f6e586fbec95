//! Classes of what an LIS3DH feels, on an ESP32-C3.

#![no_std]
#![no_main]

use esp_hal::delay::Delay;
use esp_hal::i2c::master::{Config, I2c};
use esp_println::println;
use fixformer_station::watch;
use panic_halt as _;

esp_bootloader_esp_idf::esp_app_desc!();

#[esp_hal::main]
fn main() -> ! {
    let device = esp_hal::init(esp_hal::Config::default());
    if let Ok(i2c) = I2c::new(device.I2C0, Config::default()) {
        let i2c = i2c.with_sda(device.GPIO5).with_scl(device.GPIO6);
        let error = watch(i2c, Delay::new(), |seen| println!("{seen}"));
        println!("{error:?}");
    }
    loop {
        core::hint::spin_loop();
    }
}
