//! Archives of arrays, time series files, sound and folders: what is in them, and what their messages advise.

mod data_files;

use std::fs;
use std::path::Path;

use data_files::{File, case, npy, says};
use fixformer::host::data::{self, DataError, KEYS, Key, Labels, Options, Recordings, Split};
use fixformer::host::scale::SampleScale;
use hound::{SampleFormat, WavSpec, WavWriter};

/// A scale that lives as long as the options that name it.
fn scale(scale: f64) -> Option<&'static SampleScale> {
    Some(Box::leak(Box::new(scale.into())))
}

fn halves() -> Options<'static> {
    Options { scale: scale(0.5), ..Options::default() }
}

// Arrays.

#[test]
fn a_member_is_read_to_its_checksum() {
    let path = case("bad_crc.npz");
    let error = data::load(&path, Split::Test, Options::default()).unwrap_err();
    says(&error, &["bad_crc.npz", "`x_test`", "damaged", "checksum", "copy or download"]);
    assert_eq!(data::load(&path, Split::Train, Options::default()).unwrap().len(), 60);
}

/// Neither a header nor an archive's directory takes memory by what it claims.
#[test]
fn sizes_are_bounded_by_the_file() {
    for (shape, words) in [
        ("40000, 40000", &["3200000000 bytes", "the file has 4 for it", "cut off or damaged"][..]),
        ("4000000000, 4000000000, 4000000000", &["any memory"]),
        ("3, 2", &["12 bytes", "cut off"]),
        ("1, 1", &["more after its 2 bytes", "numpy.savez"]),
    ] {
        let array = npy("<i2", shape, &[1, 0, 2, 0]);
        says(&File::new("x.npy").bytes(&array).load().unwrap_err(), words);
        says(&File::new("x.npz").npz(&[("x_test", array)]).load().unwrap_err(), words);
    }
    // A header that is longer than any.
    let mut header = b"\x93NUMPY\x02\x00".to_vec();
    header.extend([255; 4]);
    says(&File::new("x.npy").bytes(&header).load().unwrap_err(), &["header claims 4294967295 bytes"]);
}

#[test]
fn axes_in_another_order_are_transposed_not_reshaped() {
    // [rows, channels, steps]: two channels of three steps.
    let first = npy("|u1", "1, 2, 3", &[1, 2, 3, 10, 20, 30]);
    let two = Options { channels: Some(2), ..Options::default() };
    let error = File::new("x.npz").npz(&[("x_test", first)]).load_with(two).unwrap_err();
    says(&error, &["[1, 2, 3]", "[rows, steps, 2]", "x.transpose(0, 2, 1)"]);
    assert!(!error.to_string().contains("reshape"), "{error}");
    // As numpy saves the transposed array: the same bytes, the first axis fastest, or turned.
    let turned = npy("|u1", "1, 3, 2", &[1, 10, 2, 20, 3, 30]);
    let loaded = File::new("x.npz").npz(&[("x_test", turned)]).load_with(two).unwrap();
    assert_eq!(loaded.rows, [[1, 10, 2, 20, 3, 30]]);

    // One recording: an axis more. An image: rows and columns are steps.
    let one = npy("|u1", "3,", &[1, 2, 3]);
    says(&File::new("x.npz").npz(&[("x_test", one)]).load().unwrap_err(), &["[3]", "x[None]"]);
    let image = npy("|u1", "1, 2, 2, 1", &[1, 2, 3, 4]);
    let error = File::new("x.npz").npz(&[("x_test", image)]).load().unwrap_err();
    says(&error, &["x.reshape(len(x), -1, x.shape[-1])"]);
    let joined = npy("|u1", "1, 4, 1", &[1, 2, 3, 4]);
    assert_eq!(File::new("x.npz").npz(&[("x_test", joined)]).load().unwrap().rows, [[1, 2, 3, 4]]);
}

#[test]
fn objects_go_end_to_end() {
    let objects = npy("|O", "2,", b"pickled");
    let error = File::new("x.npz").npz(&[("x_test", objects)]).load().unwrap_err();
    says(&error, &["Python objects", "tok_test=numpy.concatenate(rows)", "off_test=numpy.cumsum"]);
    assert!(!error.to_string().contains("astype('int16')"), "{error}");
    // What these make of rows of two steps and of one, of two channels.
    let file = File::new("x.npz").npz(&[
        ("tok_test", npy("<i2", "3, 2", &[1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0])),
        ("off_test", npy("<i8", "3,", &[0_i64, 2, 3].map(i64::to_le_bytes).concat())),
        ("y_test", npy("<U2", "2,", &text(&["up", "no"], 2))),
    ]);
    let loaded = file.load().unwrap();
    assert_eq!((loaded.channels, loaded.rows), (2, vec![vec![1, 2, 3, 4], vec![5, 6]]));
    assert_eq!((loaded.labels, loaded.classes.unwrap().join(",")), (Some(vec![1, 0]), "no,up".to_owned()));
    let records =
        b"\x93NUMPY\x01\x00\x46\x00{'descr': [('a', '<i2')], 'fortran_order': False, 'shape': (1,), }\n     ";
    let error = File::new("x.npz").npz(&[("x_test", records.to_vec())]).load().unwrap_err();
    says(&error, &["structured_to_unstructured"]);
}

/// `.astype(str)` of numpy.
fn text(words: &[&str], characters: usize) -> Vec<u8> {
    let code = |word: &&str, index| word.chars().nth(index).unwrap_or('\0') as u32;
    words.iter().flat_map(|word| (0..characters).flat_map(move |i| code(word, i).to_le_bytes())).collect()
}

#[test]
fn labels_of_arrays() {
    let x = || ("x_test", npy("|u1", "2, 1", &[5, 6]));
    let load = |y, options| File::new("x.npz").npz(&[x(), ("y_test", y)]).load_with(options);
    let plain = Options::default();
    assert_eq!(load(npy("|u1", "2, 1", &[1, 0]), plain).unwrap().labels, Some(vec![1, 0]));
    let hot = npy("|u1", "2, 3", &[0, 0, 1, 1, 0, 0]);
    says(&load(hot, plain).unwrap_err(), &["[2, 3]", "y.argmax(axis=1)"]);
    assert_eq!(
        load(npy("<i8", "2,", &[2_i64, 0].map(i64::to_le_bytes).concat()), plain).unwrap().labels,
        Some(vec![2, 0])
    );
    assert_eq!(load(npy("|S3", "2,", b"up\0low"), plain).unwrap().labels, Some(vec![1, 0]));
    let signs = || npy("|i1", "2,", &[1, 255]);
    says(&load(signs(), plain).unwrap_err(), &["`y_test`[1]", "label -1", "--classes -1,1"]);
    let classes = ["-1", "1"].map(String::from);
    let listed = Options { classes: Some(&classes), ..plain };
    assert_eq!(load(signs(), listed).unwrap().labels, Some(vec![1, 0]));
    let aside = Options { labels: Labels::Aside, ..plain };
    assert_eq!(load(signs(), aside).unwrap().labels, None);
}

/// Every key that is listed is read; in a file without splits by its bare name.
#[test]
fn keys_are_read() {
    for split in [None, Some(Split::Test)] {
        let name = |key: Key| key.name(split);
        let arrays = |key: Key| match key {
            Key::Recordings => npy("|u1", "2, 2", &[1, 2, 3, 4]),
            Key::Lengths => npy("|u1", "2,", &[1, 2]),
            Key::Steps => npy("|u1", "3,", &[1, 2, 3]),
            Key::Offsets => npy("|u1", "3,", &[0, 1, 3]),
            Key::Labels => npy("|u1", "2,", &[1, 0]),
            Key::Scale => npy("<f8", "", &0.5f64.to_le_bytes()),
        };
        let load = |keys: &[Key]| {
            let named: Vec<(String, Vec<u8>)> = keys.iter().map(|&key| (name(key), arrays(key))).collect();
            let arrays: Vec<(&str, Vec<u8>)> =
                named.iter().map(|(name, array)| (name.as_str(), array.clone())).collect();
            File::new("x.npz").npz(&arrays).load()
        };
        let rows = |first: &[i16], second: &[i16]| vec![first.to_vec(), second.to_vec()];
        let plain = load(&[Key::Recordings]).unwrap();
        let expected = Recordings { channels: 1, rows: rows(&[1, 2], &[3, 4]), ..Recordings::default() };
        assert_eq!(plain, Recordings { padded: Some(2), ..expected });
        for key in KEYS {
            match key {
                Key::Recordings => {}
                Key::Lengths => assert_eq!(load(&[Key::Recordings, key]).unwrap().rows, rows(&[1], &[3, 4])),
                Key::Steps => says(&load(&[key]).unwrap_err(), &[&name(Key::Offsets)]),
                Key::Offsets => assert_eq!(load(&[Key::Steps, key]).unwrap().rows, rows(&[1], &[2, 3])),
                Key::Labels => assert_eq!(load(&[Key::Recordings, key]).unwrap().labels, Some(vec![1, 0])),
                Key::Scale => assert_eq!(load(&[Key::Recordings, key]).unwrap().scale, Some(0.5.into())),
            }
        }
    }
}

/// The page has what the code says; its table is that of the code.
#[test]
fn the_reference_page_has_every_key() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md")).unwrap();
    let table = data::reference();
    assert!(page.contains(&table), "docs/reference.md does not have this table:\n{table}");
    for key in KEYS {
        assert!(page.contains(&format!("`{}`", key.name(None))), "{key:?}");
    }
    // Whatever the page calls an array is one.
    let section = page.split("### Arrays of an `.npz`").nth(1).unwrap().split("\n### ").next().unwrap();
    let first_cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    let names: Vec<&str> = first_cells
        .flat_map(|cell| cell.split('`'))
        .filter(|word| word.starts_with(char::is_alphabetic))
        .collect();
    let known: Vec<String> = KEYS
        .iter()
        .flat_map(|key| {
            [None, Some(Split::Train), Some(Split::Validation), Some(Split::Test)]
                .map(|split| key.name(split))
        })
        .collect();
    assert_eq!(names.len(), 21);
    for name in names {
        assert!(known.iter().any(|known| known == name), "`{name}` is no array that is read");
    }
}

// Time series files.

const TS: &str = "# A comment\n@problemName up\n@timeStamps false\n@univariate false\n@dimensions 2\n\
                  @classLabel true down up\n@data\n1,2,3:10,20,30:up\n4,5:40,50:down\n";

#[test]
fn ts_files() {
    let load = |text: &str, options| File::new("x.ts").bytes(text.as_bytes()).load_with(options);
    let plain = Options::default();
    let loaded = load(TS, plain).unwrap();
    assert_eq!((loaded.channels, loaded.labels), (2, Some(vec![1, 0])));
    assert_eq!(loaded.rows, [vec![1, 10, 2, 20, 3, 30], vec![4, 40, 5, 50]]);
    assert_eq!(loaded.classes.unwrap(), ["down", "up"]);
    let one = "@univariate true\r\n@classLabel true 1 2\r\n@data\r\n0.5,-1:2\r\n1,1:1\r\n";
    says(&load(one, plain).unwrap_err(), &["line 4, channel 1, value 1", "give the scale"]);
    let loaded = load(one, halves()).unwrap();
    assert_eq!((loaded.rows, loaded.labels), (vec![vec![1, -2], vec![2, 2]], Some(vec![1, 0])));
    // Numbers from 0 are what they are.
    assert_eq!(load("@classLabel true 2 0 1\n@data\n5:2\n", plain).unwrap().labels, Some(vec![2]));
    assert_eq!(load("@classLabel false\n@data\n5,6\n", plain).unwrap().labels, None);

    for (text, words) in [
        (
            TS.replace("1,2,3:10", "1,?,3:10"),
            &["line 8, channel 1, value 2", "`?`", "fill missing values in"][..],
        ),
        (TS.replace("4,5:", "4:"), &["line 9", "channel 2 has 2 values, the first 1"]),
        (TS.replace(":down\n", "\n"), &["line 9", "1 channels before the label, expected 2"]),
        (
            TS.replace("stamps false", "stamps true").replace("Stamps false", "Stamps true"),
            &["line 3", "time stamps"],
        ),
        (TS.replace(":down", ":sideways"), &["line 9", "`sideways`", "down, up"]),
        (TS.replace("@data\n", ""), &["line 7", "before `@data`"]),
        ("@data\n".to_owned(), &["no recordings"]),
    ] {
        says(&load(&text, plain).unwrap_err(), words);
    }
}

// Sound.

fn wav(path: &Path, rate: u32, bits: u16, channels: u16, samples: &[i32]) {
    let spec =
        WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::create(path, spec).unwrap();
    samples.iter().for_each(|&sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
}

#[test]
fn wav_files() {
    let file = File::new("x.wav");
    wav(&file.path, 8000, 16, 2, &[1, -2, 32767, -32768]);
    let loaded = file.load().unwrap();
    assert_eq!((loaded.channels, loaded.rows, loaded.scale), (2, vec![vec![1, -2, 32767, -32768]], None));
    let full = Options { scale: scale(1.0 / 32768.0), ..Options::default() };
    assert_eq!(file.load_with(full).unwrap().rows, [[1, -2, 32767, -32768]]);
    // Other sizes have the same full scale.
    wav(&file.path, 8000, 24, 1, &[256, -512, 8_388_607]);
    assert_eq!(file.load().unwrap().rows, [[1, -2, 32767]]);
    wav(&file.path, 8000, 8, 1, &[1, -128]);
    assert_eq!(file.load().unwrap().rows, [[256, -32768]]);
    let spec =
        WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: 32, sample_format: SampleFormat::Float };
    let mut writer = WavWriter::create(&file.path, spec).unwrap();
    [0.5f32, -1.0, 1.0].iter().for_each(|&sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
    assert_eq!(file.load().unwrap().rows, [[16384, -32768, 32767]]);

    let other = Options { rate: Some(16000), ..Options::default() };
    let error = file.load_with(other).unwrap_err();
    assert!(matches!(error, DataError::Rate { .. }));
    says(&error, &["8000 samples a second, 16000 expected", "nothing is resampled", "-r 16000"]);
    assert!(file.load_with(Options { rate: Some(8000), ..Options::default() }).is_ok());
    let bytes = fs::read(&file.path).unwrap();
    says(
        &File::new("x.wav").bytes(&bytes[..bytes.len() - 2]).load().unwrap_err(),
        &["x.wav", "copy it again"],
    );
    says(&File::new("x.wav").bytes(b"RIFX").load().unwrap_err(), &["x.wav"]);
    wav(&file.path, 8000, 16, 1, &[]);
    says(&file.load().unwrap_err(), &["no recordings"]);
}

// Folders.

/// A folder with these files, removed at the end.
fn folder(files: &[(&str, &str)]) -> File {
    let folder = File::new("set");
    for (name, text) in files {
        let path = folder.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn a_folder_for_each_class() {
    let three =
        [("up/b.csv", "x,y\n1,2\n3,4\n"), ("up/a.csv", "5,6\n7,8\n"), ("down/c.tsv", "9\t10\n11\t12\n")];
    let set = folder(&[&three[..], &[("up/.DS_Store", "?"), ("README.md", "?")]].concat());
    let loaded = set.load().unwrap();
    assert_eq!(loaded.rows, [[9, 10, 11, 12], [5, 6, 7, 8], [1, 2, 3, 4]]);
    assert_eq!((loaded.channels, loaded.labels), (2, Some(vec![0, 1, 1])));
    assert_eq!(loaded.classes.unwrap(), ["down", "up"]);
    assert_eq!(loaded.files.unwrap(), ["down/c.tsv", "up/a.csv", "up/b.csv"]);
    let classes = ["up", "down"].map(String::from);
    let listed = Options { classes: Some(&classes), ..Options::default() };
    assert_eq!(set.load_with(listed).unwrap().labels, Some(vec![1, 0, 0]));

    // Splits, classes that are numbers, a line of values, a time that is left out.
    let split = folder(&[("train/0/a.csv", "1,2,3\n"), ("test/2/b.csv", "time,x\n0.1,4\n0.2,5\n0.3,6\n")]);
    assert_eq!(data::load(&split.path, Split::Train, Options::default()).unwrap().rows, [[1, 2, 3]]);
    let time = ["time".to_owned()];
    let loaded = split.load_with(Options { ignore: &time, ..Options::default() }).unwrap();
    assert_eq!((loaded.rows, loaded.labels, loaded.channels), (vec![vec![4, 5, 6]], Some(vec![2]), 1));
    let error = data::load(&split.path, Split::Validation, Options::default()).unwrap_err();
    says(&error, &["no folder `val`", "train, test"]);
    // No classes at all.
    let plain = folder(&[("a.csv", "1,2,3\n"), ("b.csv", "4,5,6\n")]).load().unwrap();
    assert_eq!((plain.rows, plain.labels), (vec![vec![1, 2, 3], vec![4, 5, 6]], None));
}

#[test]
fn what_does_not_go_together() {
    for (files, words) in [
        (
            &[("up/a.csv", "1,2\n3,4\n"), ("up/b.csv", "1\n3\n")][..],
            &["b.csv", "1 values a step, but 2", "a.csv"][..],
        ),
        (&[("up/a.csv", "1,2\n3,4\n"), ("b.csv", "1,2\n")], &["b.csv", "beside the folders"]),
        (&[("up/a.csv", "1,2\n3,4\n"), ("up/more/b.csv", "1,2\n")], &["more", "right below their class"]),
        (&[("up/a.mp3", "?")], &["a.mp3", "unknown format"]),
        (&[("up/a.csv", "5,6\n7,x\n")], &["a.csv", "line 2, column 2"]),
    ] {
        says(&folder(files).load().unwrap_err(), words);
    }
    let set = folder(&[("up/x.txt", "1\n2\n")]);
    wav(&set.path.join("up/a.wav"), 8000, 16, 1, &[1, 2]);
    wav(&set.path.join("up/b.wav"), 44100, 16, 1, &[1, 2]);
    says(&set.load().unwrap_err(), &["b.wav: 44100", "8000 expected as in", "a.wav", "-r 8000"]);
    let empty = folder(&[]);
    fs::create_dir_all(&empty.path).unwrap();
    says(&empty.load().unwrap_err(), &["no recordings"]);
}
