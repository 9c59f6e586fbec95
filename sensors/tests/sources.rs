//! Sources on buses that expect every byte.

use core::convert::Infallible;
use embedded_hal_mock::eh1::delay::{CheckedDelay, Transaction as Wait};
use embedded_hal_mock::eh1::i2c::{Mock as I2c, Transaction as OnI2c};
use embedded_hal_mock::eh1::spi::{Mock as Spi, Transaction as OnSpi};
use fixformer::{Model, host::engine::Engine};
use fixformer_sensors::*;
use lis3dh::{Configuration, Lis3dh, SlaveAddr};

const ADDRESS: u8 = 0x18;

/// What the driver of the LIS3DH says to it at first: who it is, then how it is to measure.
fn set_up() -> Vec<OnI2c> {
    let read = |register, value| OnI2c::write_read(ADDRESS, vec![register], vec![value]);
    let write = |register, value| OnI2c::write(ADDRESS, vec![register, value]);
    vec![
        read(0x0F, 0x33),
        write(0x23, 0x80), // CTRL4: block data update
        read(0x20, 0x07),
        write(0x20, 0x07), // CTRL1: not low power
        read(0x23, 0x80),
        write(0x23, 0x88), // CTRL4: high resolution
        read(0x20, 0x07),
        write(0x20, 0x77), // CTRL1: 400 Hz
        read(0x20, 0x77),
        write(0x20, 0x77), // CTRL1: all axes
        read(0x1F, 0x00),
        write(0x1F, 0x80), // TEMP_CFG: the converter
    ]
}

/// One reading: all six bytes at once.
fn reading([x, y, z]: [i16; 3]) -> OnI2c {
    let bytes = [x, y, z].into_iter().flat_map(i16::to_le_bytes).collect();
    OnI2c::write_read(ADDRESS, vec![0x28 | 0x80], bytes)
}

/// Steps of a movement, in the raw units of the sensor.
fn movement(step: i32) -> [i16; 3] {
    [0, 1, 2].map(|axis| ((step * 2311 + axis * 7919) % 16_000 - 8_000) as i16)
}

#[test]
fn an_accelerometer_feeds_a_model() {
    const STEPS: i32 = 80;
    let readings = (0..STEPS).map(|step| reading(movement(step)));
    let mut bus = I2c::new(&set_up().into_iter().chain(readings).collect::<Vec<_>>());
    let mut delay = CheckedDelay::new(&vec![Wait::delay_ns(2_500_000); STEPS as usize]);

    let driver =
        Lis3dh::new_i2c_with_config(bus.clone(), SlaveAddr::Default, Configuration::default()).unwrap();
    let paced = Paced { source: Accelerometer(driver), delay: delay.clone(), nanoseconds: 2_500_000 };
    let mut source = Affine { source: Magnitude(paced), gain: 16.0 / 16_384.0, offset: 0.0 };

    let bytes = include_bytes!("../../models/digits.fxm");
    let words: Vec<u32> = bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect();
    let model = Model::parse(&words).unwrap();
    let mut engine = Engine::new(model);
    let mut net = engine.session();

    let mut window = Window::<64, 1>::new();
    let first = window.fill(&mut source).unwrap().to_vec();
    let strength = |step: i32| {
        let squares: f64 = movement(step).iter().map(|&a| f64::from(a).powi(2)).sum();
        squares.sqrt() / 1024.0
    };
    for (step, &value) in first.iter().enumerate() {
        let exact = strength(step as i32);
        assert!(
            (f64::from(value) - exact).abs() <= 0.04 * exact + 0.5,
            "step {step}: {value}, exactly {exact}"
        );
    }
    let scores = net.run(&first).unwrap().raw().to_vec();

    window.advance(16);
    let second = window.fill(&mut source).unwrap().to_vec();
    assert_eq!(second[..48], first[16..]);
    assert_ne!(net.run(&second).unwrap().raw(), scores);
    bus.done();
    delay.done();
}

#[test]
fn an_error_of_the_bus_arrives_and_the_window_stays() {
    let lost = reading([0; 3]).with_error(embedded_hal::i2c::ErrorKind::ArbitrationLoss);
    let steps = [reading([1, 2, 3]), lost, reading([4, 5, 6])];
    let mut bus = I2c::new(&set_up().into_iter().chain(steps).collect::<Vec<_>>());
    let driver =
        Lis3dh::new_i2c_with_config(bus.clone(), SlaveAddr::Default, Configuration::default()).unwrap();
    let mut source = Accelerometer(driver);
    let mut window = Window::<6, 3>::new();
    assert!(window.fill(&mut source).is_err());
    assert_eq!(window.fill(&mut source).unwrap(), [1, 2, 3, 4, 5, 6]);
    bus.done();
}

#[test]
fn a_converter_answers_in_the_middle_of_a_word() {
    let transfer = |bytes: [u8; 2]| {
        [OnSpi::transaction_start(), OnSpi::read_vec(bytes.into()), OnSpi::transaction_end()]
    };
    let words = [transfer([0b1110_1010, 0b1010_1011]), transfer([0xFF, 0xFF])].concat();
    let mut device = Spi::new(&words);
    let mut source = SpiConverter { device: device.clone(), shift: 1, bits: 12 };
    assert_eq!(source.read().unwrap(), [0b0101_0101_0101]);
    assert_eq!(source.read().unwrap(), [4095]);
    device.done();
}

#[test]
fn a_serial_line_finds_its_step_again() {
    let frame = |step: [i16; 2]| {
        let mut bytes = vec![0xA5];
        bytes.extend(step.into_iter().flat_map(i16::to_le_bytes));
        let sum = bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
        bytes.push(sum.wrapping_neg());
        bytes
    };
    let mut damaged = frame([7, 8]);
    damaged[2] ^= 1;
    let line = [vec![0, 1], frame([-2, 300]), damaged, frame([i16::MIN, 0x25A5])].concat();
    let mut source = Uart(&line[..]);
    let read = |source: &mut Uart<&[u8]>| Source::<2>::read(source);
    assert_eq!(read(&mut source), Ok([-2, 300]));
    assert_eq!(read(&mut source), Ok([i16::MIN, 0x25A5]));
    assert_eq!(read(&mut source), Err(UartError::Closed));
}

#[test]
fn samples_are_scaled_rounded_and_saturated() {
    let mut samples = [[3, -3], [i16::MAX, i16::MIN], [10, 0]].into_iter();
    let source = Function(|| Ok::<_, Infallible>(samples.next().unwrap()));
    let mut source = Affine { source, gain: 1.5, offset: 0.25 };
    assert_eq!(source.read(), Ok([5, -4]));
    assert_eq!(source.read(), Ok([i16::MAX, i16::MIN]));
    assert_eq!(source.read(), Ok([15, 0]));
}
