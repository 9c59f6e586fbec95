//! Samples the analogue input P0.02 a hundred times a second, in an interrupt of higher priority than the model: no
//! sample is lost while it runs, as long as a window takes it less time than the queue lasts.

#![no_std]
#![no_main]

use defmt_rtt as _;
use embassy_executor::{Executor, InterruptExecutor, Spawner};
use embassy_nrf::bind_interrupts;
use embassy_nrf::interrupt;
use embassy_nrf::interrupt::{InterruptExt as _, Priority};
use embassy_nrf::saadc::{self, ChannelConfig, Saadc};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_time::{Duration, Ticker};
use fixformer_sensors::Window;
use fixformer_station::{ARENA, Net};
use panic_probe as _;
use static_cell::StaticCell;

bind_interrupts!(struct Interrupts {
    SAADC => saadc::InterruptHandler;
});

/// Three seconds of samples.
static SAMPLES: Channel<CriticalSectionRawMutex, i16, 300> = Channel::new();
static ABOVE: InterruptExecutor = InterruptExecutor::new();

#[embassy_executor::task]
async fn sample(mut converter: Saadc<'static, 1>) {
    let mut every = Ticker::every(Duration::from_hz(100));
    loop {
        every.next().await;
        let mut value = [0];
        converter.sample(&mut value).await;
        if SAMPLES.try_send(value[0]).is_err() {
            defmt::warn!("a sample was lost");
        }
    }
}

#[embassy_executor::task]
async fn classify() {
    let mut net = match ARENA.take() {
        Ok(net) => net,
        Err(error) => return defmt::error!("{}", error),
    };
    let mut window = Window::<{ Net::MAX_INPUT }>::new();
    loop {
        // 12 bits of the converter to the 0 ..= 16 of the digits.
        let Some(samples) = window.push([SAMPLES.receive().await >> 8]) else { continue };
        match net.run(samples) {
            Ok(scores) => defmt::info!("class {}", scores.best()),
            Err(error) => defmt::error!("{}", error),
        }
        window.advance(Net::MAX_INPUT / 4);
    }
}

#[interrupt]
unsafe fn EGU1_SWI1() {
    // SAFETY: this interrupt is the executor's own.
    unsafe { ABOVE.on_interrupt() }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let device = embassy_nrf::init(Default::default());
    let channel = ChannelConfig::single_ended(device.P0_02);
    let converter = Saadc::new(device.SAADC, Interrupts, saadc::Config::default(), [channel]);

    interrupt::EGU1_SWI1.set_priority(Priority::P6);
    let spawner = ABOVE.start(interrupt::EGU1_SWI1);
    spawner.spawn(sample(converter).expect("the only one"));
    static BELOW: StaticCell<Executor> = StaticCell::new();
    BELOW.init(Executor::new()).run(|spawner: Spawner| spawner.spawn(classify().expect("the only one")))
}
