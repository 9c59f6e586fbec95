//! Arrays, series, sound and folders.

use fixformer::host::data::{self, Labels, Options, Split};
use hound::{SampleFormat, WavSpec, WavWriter};

use super::data_files::{File, npy, says};
use super::{Right, are, plain, scale};

/// Bytes of 16-bit integers.
fn short(values: &[i16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn arrays_of_other_types_and_axes() {
    type Arrays = Vec<(&'static str, Vec<u8>)>;
    type Case<'a> = (Arrays, Options<'a>, &'a [&'a str], Arrays, Options<'a>, Right<'a>);
    let x = |shape: &str, values: &[i16]| ("x_test", npy("<i2", shape, &short(values)));
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let of_channels = |count| Options { channels: Some(count), ..plain() };
    let (whole, halves) = (plain(), Options { scale: scale(0.5), ..plain() });
    let one: Right<'_> = (&[&[1, 2, 3]], None);
    let cases: Vec<Case<'_>> = vec![
        (vec![x("3,", &[1, 2, 3])], whole, &["save `x[None]`"], vec![x("1, 3", &[1, 2, 3])], whole, one),
        (
            vec![x("1, 2, 2", &[1, 2, 3, 4])],
            of_channels(4),
            &["the last axis has 2 channels, correct the number of channels"],
            vec![x("1, 2, 2", &[1, 2, 3, 4])],
            of_channels(2),
            (&[&[1, 2, 3, 4]], None),
        ),
        (
            vec![("x_test", npy("<U3", "1, 2", &[0; 24]))],
            halves,
            &["convert it with `.astype('float32')`"],
            vec![("x_test", npy("<f4", "1, 2", &floats(&[0.5, 1.0])))],
            halves,
            (&[&[1, 2]], None),
        ),
        // Objects in a matrix are no rows of several lengths.
        (
            vec![("x_test", npy("|O", "1, 2", b"pickled"))],
            halves,
            &["Python objects; convert it with `.astype('float32')`"],
            vec![("x_test", npy("<f4", "1, 2", &floats(&[0.5, 1.0])))],
            halves,
            (&[&[1, 2]], None),
        ),
        (
            vec![("x_test", npy("<c8", "1, 1", &[0; 8]))],
            whole,
            &["`.astype('int16')`"],
            vec![x("1, 1", &[1])],
            whole,
            (&[&[1]], None),
        ),
        // Channels before the steps, end to end.
        (
            vec![
                ("tok_test", npy("|u1", "2, 3", &[1, 2, 3, 10, 20, 30])),
                ("off_test", npy("|u1", "2,", &[0, 3])),
            ],
            of_channels(2),
            &["transpose it: `tok.T`"],
            vec![
                ("tok_test", npy("|u1", "3, 2", &[1, 10, 2, 20, 3, 30])),
                ("off_test", npy("|u1", "2,", &[0, 3])),
            ],
            of_channels(2),
            (&[&[1, 10, 2, 20, 3, 30]], None),
        ),
        (
            vec![("tok_test", npy("|u1", "1, 2, 2", &[1, 2, 3, 4])), ("off_test", npy("|u1", "2,", &[0, 2]))],
            whole,
            &["[steps] or [steps, channels]; lay the recordings end to end"],
            vec![("tok_test", npy("|u1", "2, 2", &[1, 2, 3, 4])), ("off_test", npy("|u1", "2,", &[0, 2]))],
            whole,
            (&[&[1, 2, 3, 4]], None),
        ),
        (
            vec![x("2, 1", &[5, 6]), ("y_test", npy("|u1", "3,", &[1, 0, 1]))],
            whole,
            &["[3], expected [2]; give one for each recording"],
            vec![x("2, 1", &[5, 6]), ("y_test", npy("|u1", "2,", &[1, 0]))],
            whole,
            (&[&[5], &[6]], Some(&[1, 0])),
        ),
        (
            vec![x("2, 1", &[5, 6]), ("y_test", npy("|u1", "2, 2", &[0, 1, 1, 0]))],
            whole,
            &["save `y.argmax(axis=1)`"],
            vec![
                x("2, 1", &[5, 6]),
                ("y_test", npy("<i8", "2,", &[1_i64, 0].map(i64::to_le_bytes).concat())),
            ],
            whole,
            (&[&[5], &[6]], Some(&[1, 0])),
        ),
        (
            vec![x("2, 1", &[5, 6]), ("len_test", npy("|u1", "1,", &[1]))],
            whole,
            &["expected [2]; give one for each recording"],
            vec![x("2, 1", &[5, 6]), ("len_test", npy("|u1", "2,", &[1, 1]))],
            whole,
            (&[&[5], &[6]], None),
        ),
        (
            vec![("x_val", npy("|u1", "1, 1", &[5]))],
            whole,
            &["no array `x_test`; the file has x_val. Choose another split or rename the array"],
            vec![("x_test", npy("|u1", "1, 1", &[5]))],
            whole,
            (&[&[5]], None),
        ),
        (
            vec![("x_test", npy("<i4", "1, 2", &[40_000_i32, 8].map(i32::to_le_bytes).concat()))],
            whole,
            &["divide the data by a power of two"],
            vec![x("1, 2", &[20_000, 4])],
            whole,
            (&[&[20_000, 4]], None),
        ),
    ];
    for (arrays, options, words, mended, given, right) in cases {
        let error = File::new("x.npz").npz(&arrays).load_with(options).unwrap_err();
        says(&error, words);
        are(File::new("x.npz").npz(&mended).load_with(given), right, &error.to_string());
    }
    let text = vec![x("1, 1", &[5]), ("y_test", npy("<U1", "1,", &[b'7', 0, 0, 0]))];
    let values = Options { labels: Labels::Values, ..plain() };
    says(
        &File::new("x.npz").npz(&text).load_with(values).unwrap_err(),
        &["its elements are text; save numbers"],
    );
    let numbers = vec![x("1, 1", &[5]), ("y_test", npy("|u1", "1,", &[7]))];
    assert_eq!(File::new("x.npz").npz(&numbers).load_with(values).unwrap().values, Some(vec![vec![7.0]]));
}

#[test]
fn files_under_another_name() {
    let array = npy("|u1", "1, 2", &[1, 2]);
    let right: Right<'_> = (&[&[1, 2]], None);
    for (name, bytes, words, mended, better) in [
        ("x.csv", array.clone(), "name the file after its format", "x.npy", array.clone()),
        ("x.csv", array.clone(), "give numbers as text", "x.csv", b"1,2\n".to_vec()),
        ("x.dat", b"1,2\n".to_vec(), "give a file that ends in .npz, .npy, .csv", "x.csv", b"1,2\n".to_vec()),
        ("x.npy", b"1,2\n".to_vec(), "write it with `numpy.save`", "x.npy", array.clone()),
        (
            "x.npy",
            [&array[..], &[0]].concat(),
            "write one array a file with `numpy.save`",
            "x.npy",
            array.clone(),
        ),
        ("x.npy", array[..array.len() - 1].to_vec(), "copy or download it again", "x.npy", array.clone()),
    ] {
        let error = File::new(name).bytes(&bytes).load().unwrap_err();
        says(&error, &[words]);
        are(File::new(mended).bytes(&better).load(), right, &error.to_string());
    }
    let archive = File::new("x.npz").bytes(&array).load().unwrap_err();
    says(&archive, &["write one with `numpy.savez`"]);
    are(File::new("x.npz").npz(&[("x", array)]).load(), right, &archive.to_string());
}

/// Scores are arrays; a text file of them is not asked for.
#[test]
fn scores_of_another_format() {
    let scores = |file: &File| data::scores(&file.path, None, Split::Train, 2, false);
    let values: Vec<u8> = [0.5_f64, -0.5].iter().flat_map(|x| x.to_le_bytes()).collect();
    let error = scores(&File::new("s.csv").bytes(b"0.5,-0.5\n")).unwrap_err();
    says(&error, &["give scores as an array: .npy, written with `numpy.save`, or .npz"]);
    assert!(!error.to_string().contains("csv, "), "{error}");
    let array = npy("<f8", "1, 2", &values);
    assert_eq!(scores(&File::new("s.npy").bytes(&array)).unwrap(), [[0.5, -0.5]]);
    assert_eq!(scores(&File::new("s.npz").npz(&[("scores_train", array)])).unwrap(), [[0.5, -0.5]]);
    let turned = npy("<f8", "2, 1", &values);
    says(&scores(&File::new("s.npy").bytes(&turned)).unwrap_err(), &["[2, 1], expected [rows, 2]"]);
}

#[test]
fn time_series_files() {
    let ts = "@univariate false\n@dimensions 2\n@classLabel true down up\n@data\n1,2:3,4:up\n5,6:7,8:down\n";
    let right: Right<'_> = (&[&[1, 3, 2, 4], &[5, 7, 6, 8]], Some(&[1, 0]));
    for (spoilt, words) in [
        (ts.replace("5,6:", "?,6:"), "fill missing values in"),
        (ts.replace("5,6:", "5:"), "make the channels of a recording equally long"),
        (ts.replace(":down\n", "\n"), "say with `@classLabel` whether a label follows"),
        (ts.replace("7,8:", "7,8;"), "separate channels with `:`"),
        (ts.replace("ions 2", "ions two"), "give a whole number"),
        (format!("@timeStamps true\n{ts}"), "save them at equal steps, without stamps"),
        (ts.replace("@data\n", ""), "begin the file with its directives"),
    ] {
        let error = File::new("x.ts").bytes(spoilt.as_bytes()).load().unwrap_err();
        says(&error, &[words]);
        are(File::new("x.ts").bytes(ts.as_bytes()).load(), right, &error.to_string());
    }
}

fn wav(file: &File, rate: u32, format: SampleFormat, samples: &[f32]) {
    let bits_per_sample = if format == SampleFormat::Int { 16 } else { 32 };
    let spec = WavSpec { channels: 1, sample_rate: rate, bits_per_sample, sample_format: format };
    let mut writer = WavWriter::create(&file.path, spec).unwrap();
    for &sample in samples {
        match format {
            SampleFormat::Int => writer.write_sample(sample as i16).unwrap(),
            SampleFormat::Float => writer.write_sample(sample).unwrap(),
        }
    }
    writer.finalize().unwrap();
}

#[test]
fn sound_and_folders() {
    let file = File::new("x.wav");
    // Louder than full scale: a larger unit has room for it.
    wav(&file, 8000, SampleFormat::Float, &[0.5, 1.5]);
    let error = file.load().unwrap_err();
    says(&error, &["sample 1, channel 1", "1.5 is outside", "give a larger scale"]);
    let larger = Options { scale: scale(1.0 / 16384.0), ..plain() };
    are(file.load_with(larger), (&[&[8192, 24576]], None), &error.to_string());
    let rate = Options { rate: Some(4000), ..plain() };
    wav(&file, 8000, SampleFormat::Int, &[1.0, 1.0, 3.0, 3.0]);
    says(&file.load_with(rate).unwrap_err(), &["convert the file", "-r 4000"]);
    wav(&file, 4000, SampleFormat::Int, &[1.0, 3.0]);
    are(file.load_with(rate), (&[&[1, 3]], None), "");

    let folder = |files: &[(&str, &[u8])]| {
        let set = File::new("set");
        for (name, bytes) in files {
            let path = set.path.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        set
    };
    let (a, b): (&[u8], &[u8]) = (b"1,2\n3,4\n", b"5,6\n7,8\n");
    let array = npy("|u1", "2, 2", &[5, 6, 7, 8]);
    let right: Right<'_> = (&[&[1, 2, 3, 4], &[5, 6, 7, 8]], Some(&[0, 1]));
    type Files<'a> = &'a [(&'a str, &'a [u8])];
    let cases: [(Files<'_>, &str, Files<'_>); 6] = [
        (&[("a/1.csv", a), ("2.csv", b)], "move it into one of them", &[("a/1.csv", a), ("b/2.csv", b)]),
        (
            &[("a/1.csv", a), ("b/c/2.csv", b)],
            "put the recordings right below their class",
            &[("a/1.csv", a), ("b/2.csv", b)],
        ),
        (
            &[("a/1.csv", a), ("b/2.csv", b"5\n7\n")],
            "give all recordings the same channels",
            &[("a/1.csv", a), ("b/2.csv", b)],
        ),
        (
            &[("train/a/1.csv", a), ("train/b/2.csv", b)],
            "rename the folder",
            &[("test/a/1.csv", a), ("test/b/2.csv", b)],
        ),
        // A file of many recordings is none of one.
        (
            &[("a/1.csv", a), ("b/2.npz", b)],
            "ends in .wav, .npy, .csv, .tsv or .txt",
            &[("a/1.csv", a), ("b/2.npy", &array)],
        ),
        (
            &[("a/1.csv", a), ("b/2.csv", b"x,t\n5,u\n7,v\n")],
            "`--ignore t`",
            &[("a/1.csv", a), ("b/2.csv", b)],
        ),
    ];
    for (files, words, mended) in cases {
        let error = folder(files).load().unwrap_err();
        says(&error, &[words]);
        are(folder(mended).load(), right, &error.to_string());
    }
}
