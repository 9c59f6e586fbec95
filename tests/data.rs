//! Loading recordings: the formats, and what is refused with which words.

mod data_files;
mod shared;

use data_files::{File, npy, says};
use fixformer::host::data::{self, DataError, Options, Recordings, Split};
use fixformer::host::scale::SampleScale;

/// A scale that lives as long as the options that name it.
fn scale(scale: f64) -> Option<&'static SampleScale> {
    Some(Box::leak(Box::new(scale.into())))
}

#[test]
fn npz_of_every_integer_type() {
    for (kind, bytes) in [
        ("<i2", [1i16, -2, 3, 4].map(i16::to_le_bytes).concat()),
        (">i2", [1i16, -2, 3, 4].map(i16::to_be_bytes).concat()),
        ("<i4", [1i32, -2, 3, 4].map(i32::to_le_bytes).concat()),
        ("<i8", [1i64, -2, 3, 4].map(i64::to_le_bytes).concat()),
        ("|i1", vec![1, 254, 3, 4]),
    ] {
        let file = File::new("x.npz").npz(&[("x_test", npy(kind, "2, 2", &bytes))]);
        let loaded = file.load().unwrap();
        assert_eq!(loaded.rows, [vec![1, -2], vec![3, 4]], "{kind}");
        assert_eq!((loaded.channels, loaded.labels, loaded.scale), (1, None, None));
    }
    let unsigned = npy("<u2", "1, 2", &[0xff, 0x7f, 1, 0]);
    assert_eq!(File::new("x.npz").npz(&[("x_test", unsigned)]).load().unwrap().rows, [[32767, 1]]);
}

#[test]
fn npz_with_everything() {
    let file = File::new("x.npz").npz(&[
        ("x_val", npy("|i1", "2, 3, 2", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])),
        ("len_val", npy("<u4", "2,", &[2, 0, 0, 0, 3, 0, 0, 0])),
        ("y_val", npy("|u1", "2,", &[7, 0])),
        ("scale", npy("<f4", "", &0.5f32.to_le_bytes())),
    ]);
    let loaded = data::load(&file.path, Split::Validation, Options::default()).unwrap();
    let rows = vec![vec![1, 2, 3, 4], vec![7, 8, 9, 10, 11, 12]];
    let labels = Some(vec![7, 0]);
    assert_eq!(
        loaded,
        Recordings {
            channels: 2,
            rows,
            padded: Some(3),
            labels,
            scale: Some(0.5.into()),
            ..Recordings::default()
        }
    );
    assert_eq!(data::array(&file.path, "scale").unwrap(), (vec![], vec![0.5]));
    let error = file.load().unwrap_err();
    assert!(matches!(error, DataError::MissingKey { .. }));
    says(&error, &["x.npz", "`x_test`", "len_val, scale, x_val, y_val"]);
}

#[test]
fn npz_laid_end_to_end() {
    let tokens = npy("|u1", "5,", &[1, 2, 3, 4, 5]);
    let arrays = |offsets: &[u8]| {
        [("tok_test", tokens.clone()), ("off_test", npy("|u1", &format!("{},", offsets.len()), offsets))]
    };
    let file = File::new("x.npz").npz(&arrays(&[0, 2, 5]));
    assert_eq!(file.load().unwrap().rows, [vec![1, 2], vec![3, 4, 5]]);
    for (offsets, words) in [
        (&[0, 2, 6][..], &["`off_test`[2] is 6", "from 3 to 5"][..]),
        (&[0, 2, 2], &["`off_test`[2] is 2"]),
        (&[0], &["`tok_test`", "at least one"]),
    ] {
        says(&File::new("x.npz").npz(&arrays(offsets)).load().unwrap_err(), words);
    }
    let alone = File::new("x.npz").npz(&arrays(&[0, 5])[..1]);
    says(&alone.load().unwrap_err(), &["no array `off_test`"]);
}

#[test]
fn column_major_is_turned() {
    let values: Vec<u8> = (0..12).collect();
    let mut array = npy("|u1", "2, 3, 2", &values);
    let order = array.windows(5).position(|bytes| bytes == b"False").unwrap();
    array[order..order + 5].copy_from_slice(b"True ");
    let rows = File::new("x.npz").npz(&[("x_test", array)]).load().unwrap().rows;
    assert_eq!(rows, [[0, 6, 2, 8, 4, 10], [1, 7, 3, 9, 5, 11]]);
}

#[test]
fn real_values_are_rounded() {
    let values = [0.25f64, 0.75, -0.25, -0.75, 0.7, -16384.0, 16383.5];
    let bytes = values.map(f64::to_le_bytes).concat();
    let file = File::new("x.npy").bytes(&npy("<f8", "1, 7", &bytes));
    let scaled = Options { scale: scale(0.5), ..Options::default() };
    let loaded = data::load(&file.path, Split::Train, scaled).unwrap();
    assert_eq!(loaded.rows, [[1, 2, 0, -1, 1, -32768, 32767]]);
    assert_eq!(loaded.scale, Some(0.5.into()));

    says(&file.load().unwrap_err(), &["x.npy", "`x`[0, 0]", "0.25", "give the scale"]);
    let finer = Options { scale: scale(0.49), ..Options::default() };
    let error = data::load(&file.path, Split::Train, finer).unwrap_err();
    assert!(matches!(error, DataError::OutsideRange { .. }));
    says(&error, &["`x`[0, 5]", "-16384 / 0.49", "larger scale"]);
    for bad in [0.0, -1.0, f64::NAN] {
        let options = Options { scale: scale(bad), ..Options::default() };
        says(&data::load(&file.path, Split::Train, options).unwrap_err(), &["scale", "above 0"]);
    }
}

#[test]
fn bad_arrays() {
    let x = || ("x_test", npy("|u1", "2, 2", &[1, 2, 3, 4]));
    let nan = [f32::NAN, 1.0f32].map(f32::to_le_bytes).concat();
    for (arrays, words) in [
        (
            vec![("x_test", npy("<i4", "1, 2", &[0, 0, 0, 0, 0, 128, 0, 0]))],
            &["`x_test`[0, 1]", "32768 is outside", "power of two"][..],
        ),
        (vec![("x_test", npy("<u8", "1, 1", &[255; 8]))], &["outside"]),
        (vec![("x_test", npy("<f4", "1, 2", &nan))], &["`x_test`[0, 0]", "NaN"]),
        (vec![("x_test", npy("|u1", "4,", &[1, 2, 3, 4]))], &["[4]", "[rows, steps]"]),
        (vec![("x_test", npy("|u1", "0, 4", &[]))], &["no recordings"]),
        (vec![("x_test", npy("|u1", "2, 2", &[1, 2, 3]))], &["`x_test`", "4 bytes, but the file has 3"]),
        (vec![("x_test", npy("<U4", "1, 1", &[0; 16]))], &["text", "astype('float32')"]),
        (vec![("x_test", npy("<c8", "1, 1", &[0; 8]))], &["<c8", "astype"]),
        (vec![("x_test", npy("|u1", "4000000000, 4000000000, 4000000000", &[]))], &["any memory"]),
        (vec![("x_test", b"something else".to_vec())], &["`x_test`", "not a numpy array"]),
        (vec![x(), ("y_test", npy("|i1", "2,", &[0, 255]))], &["`y_test`[1]", "label -1"]),
        (vec![x(), ("y_test", npy("|i1", "1,", &[0]))], &["`y_test`", "[1]", "[2]"]),
        (vec![x(), ("len_test", npy("|u1", "2,", &[0, 2]))], &["`len_test`[0] is 0", "from 1 to 2"]),
        (vec![x(), ("len_test", npy("|u1", "2,", &[1, 3]))], &["`len_test`[1] is 3"]),
        (vec![x(), ("scale", npy("<f4", "", &0f32.to_le_bytes()))], &["the scale is 0"]),
        (
            vec![x(), ("scale", npy("|u1", "1, 2", &[1, 1]))],
            &["`scale`", "a single number, or one for each channel"],
        ),
        (vec![x(), ("scale", npy("|u1", "3,", &[1, 1, 1]))], &["the scale has 3 numbers", "channels"]),
        (vec![], &["none at all"]),
    ] {
        says(&File::new("x.npz").npz(&arrays).load().unwrap_err(), words);
    }
    let three = Options { channels: Some(3), ..Options::default() };
    let file = File::new("x.npz").npz(&[x()]);
    says(&data::load(&file.path, Split::Test, three).unwrap_err(), &["2 values", "3 channels"]);
}

#[test]
fn bad_files() {
    let plain = File::new("x.npz").bytes(b"not a zip archive");
    assert!(matches!(plain.load(), Err(DataError::Archive { .. })));
    says(&plain.load().unwrap_err(), &["x.npz", "not an npz file", "numpy.savez"]);
    says(&File::new("x.mat").bytes(b"").load().unwrap_err(), &["x.mat", "unknown format", ".csv"]);
    for name in ["x.npz", "x.npy", "x.csv"] {
        assert!(matches!(File::new(name).load(), Err(DataError::Read { .. })), "{name}");
    }
}

/// Files that numpy wrote, compressed.
#[test]
fn real_data_sets() {
    let folder = shared::root().join("data");
    if !folder.is_dir() {
        println!("skipped: no data at {} (set FIXFORMER_SHARED)", folder.display());
        return;
    }
    for (name, rows, channels, values, scale) in [
        ("digits64", 500, 1, 32_000, Some(0.0625)),
        ("listops512", 1000, 1, 200_874, None),
        ("fsdd_raw4096", 300, 1, 974_058, Some(2f64.powi(-15))),
        ("gue_prom300_tata", 613, 1, 183_900, None),
    ] {
        let path = folder.join(name).with_extension("npz");
        let loaded = data::load(&path, Split::Test, Options::default()).unwrap();
        let total: usize = loaded.rows.iter().map(Vec::len).sum();
        let scale: Option<f64> = scale;
        let found = (loaded.len(), loaded.channels, total, loaded.scale);
        assert_eq!(found, (rows, channels, values, scale.map(Into::into)));
        assert_eq!(loaded.labels.map(|labels| labels.len()), Some(rows));
    }
}
