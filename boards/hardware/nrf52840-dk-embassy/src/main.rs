//! Samples the analogue input P0.02 a hundred times a second beside the model, in one executor: the model yields between its
//! steps, so that no sample waits longer than a step takes.

#![no_std]
#![no_main]

use defmt_rtt as _;
use embassy_executor::Spawner;
use embassy_futures::yield_now;
use embassy_nrf::bind_interrupts;
use embassy_nrf::saadc::{self, ChannelConfig, Saadc};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::Channel;
use embassy_time::{Duration, Ticker};
use fixformer::{InputError, Session};
use fixformer_sensors::Window;
use fixformer_station::{ARENA, Net};
use panic_probe as _;
use static_cell::StaticCell;

bind_interrupts!(struct Interrupts {
    SAADC => saadc::InterruptHandler;
});

/// Three seconds of samples.
type Samples = Channel<NoopRawMutex, i16, 300>;

#[embassy_executor::task]
async fn sample(mut converter: Saadc<'static, 1>, samples: &'static Samples) {
    let mut every = Ticker::every(Duration::from_hz(100));
    loop {
        every.next().await;
        let mut value = [0];
        converter.sample(&mut value).await;
        if samples.try_send(value[0]).is_err() {
            defmt::warn!("a sample was lost");
        }
    }
}

/// The class of a window; other tasks run between the steps.
async fn classify(net: &mut Session<'_>, samples: &[i16]) -> Result<Option<usize>, InputError> {
    let mut running = net.start(samples)?;
    while running.step()?.is_pending() {
        yield_now().await;
    }
    Ok(running.scores().map(|scores| scores.best()))
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let device = embassy_nrf::init(Default::default());
    let channel = ChannelConfig::single_ended(device.P0_02);
    let converter = Saadc::new(device.SAADC, Interrupts, saadc::Config::default(), [channel]);
    static SAMPLES: StaticCell<Samples> = StaticCell::new();
    let samples = SAMPLES.init(Channel::new());
    spawner.spawn(sample(converter, samples).expect("the only one"));

    let mut net = match ARENA.take() {
        Ok(net) => net,
        Err(error) => return defmt::error!("{}", error),
    };
    let mut window = Window::<{ Net::MAX_INPUT }, 1>::new();
    loop {
        // 12 bits of the converter to the 0 ..= 16 of the digits.
        let Some(values) = window.push([samples.receive().await >> 8]) else { continue };
        match classify(&mut net, values).await {
            Ok(class) => defmt::info!("class {}", class),
            Err(error) => defmt::error!("{}", error),
        }
        window.advance(Net::MAX_INPUT / 4);
    }
}
