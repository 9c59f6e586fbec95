//! Sizes are known before memory is taken for them, and no more is kept in memory than is asked for.

mod data_files;

use std::fs;
use std::path::Path;

use data_files::{File, npy, says};
use fixformer::host::data::{self, Label, Options, Reals, Split};
use fixformer::host::import;

const DESCRIPTION: &str = r#"
name = "small"
max_tokens = 64
horizon = 64
[input]
kind = "samples"
channels = 2
scale = 0.5
window = { width = 3, stride = 1 }
[encoder]
layers = 1
width = 2
heads = 2
head_width = 2
hidden = 3
attention = { kind = "exact" }
"#;

fn refusal(path: &Path, from: &str, to: &str) -> String {
    assert!(DESCRIPTION.contains(from), "{from}");
    fs::write(path, DESCRIPTION.replacen(from, to, 1)).unwrap();
    import::read(path).err().unwrap_or_else(|| panic!("{to}: is taken")).to_string()
}

/// Before anything is read but the description itself, and before a layer is drawn for it.
#[test]
fn a_description_has_no_sizes_that_a_model_file_has_not() {
    let file = File::new("m.toml");
    let path = &file.path;
    fs::write(path, DESCRIPTION).unwrap();
    import::read(path).unwrap();
    for (from, to, words) in [
        ("max_tokens = 64", "max_tokens = 16385", "`max_tokens` is 16385; a model file takes at most 16384"),
        (
            "horizon = 64",
            "horizon = 1073741825",
            "`horizon` is 1073741825; a model file takes at most 1073741824",
        ),
        (
            "layers = 1",
            "layers = 1000000000",
            "`encoder.layers` is 1000000000; a model file takes at most 64",
        ),
        ("layers = 1", "layers = 0", "`encoder.layers` is 0; give at least 1"),
        (
            "width = 2\n",
            "width = 9223372036854775807\n",
            "`encoder.width` is 9223372036854775807; a model file",
        ),
        ("heads = 2", "heads = 1025", "`encoder.heads` is 1025"),
        ("head_width = 2", "head_width = 1025", "`encoder.head_width` is 1025"),
        ("head_width = 2", "head_width = 513", "`encoder.head_width` is 513, of 2 heads"),
        ("hidden = 3", "hidden = 8193", "`encoder.hidden` is 8193"),
        ("channels = 2", "channels = 1025", "`input.channels` is 1025"),
        ("width = 3,", "width = 1025,", "`input.window.width` is 1025"),
        ("stride = 1", "stride = 1025", "`input.window.stride` is 1025; a model file takes at most 1024"),
        (
            "channels = 2\nscale = 0.5\nwindow = { width = 3",
            "channels = 1024\nscale = 0.5\nwindow = { width = 9",
            "`input.window.width` is 9, of 1024 values each; a model file takes at most 8192",
        ),
    ] {
        let message = refusal(path, from, to);
        assert!(message.contains("m.toml: ") && message.contains(words), "{to}: {message}");
    }
    let exact = r#"kind = "exact""#;
    for (to, words) in [
        (r#"kind = "favor", directions = 1000000000"#, "`encoder.attention.directions` is 1000000000"),
        (r#"kind = "lsh", buckets = 9000000000, rounds = 1, chunk = 4"#, "`encoder.attention.buckets` is"),
        (r#"kind = "lsh", buckets = 4, rounds = 1000000000, chunk = 4"#, "`encoder.attention.rounds` is"),
        (r#"kind = "lsh", buckets = 4, rounds = 1, chunk = 1000000000"#, "`encoder.attention.chunk` is"),
        (r#"kind = "local", chunk = 4, before = 1000000000"#, "`encoder.attention.before` is"),
        (r#"kind = "hierarchical", block = 1000000000"#, "`encoder.attention.block` is"),
        (
            r#"kind = "bigbird", block = 4, random = 1000000000, plan = "zero""#,
            "`encoder.attention.random` is",
        ),
        (r#"kind = "bigbird", block = 4, dense_up_to = 4000000000"#, "`encoder.attention.dense_up_to` is"),
        (r#"kind = "bigbird", block = 4, global = 1000000000"#, "`encoder.attention.global` is"),
        (r#"kind = "bigbird", block = 4, global = 1, radius = 1000000000"#, "`encoder.attention.radius` is"),
    ] {
        let message = refusal(path, exact, to);
        assert!(message.contains("m.toml: ") && message.contains(words), "{to}: {message}");
    }
    // Chunks of primes: what all of them divide has no room in 64 bits.
    let primes = [16381, 16369, 16363, 16361, 16349, 16339];
    let list = primes.map(|chunk| format!("{{ kind = \"local\", chunk = {chunk} }}")).join(", ");
    let text = DESCRIPTION
        .replace("layers = 1", "layers = 6")
        .replace(&format!("{{ {exact} }}"), &format!("[{list}]"));
    fs::write(path, text).unwrap();
    let message = import::read(path).unwrap_err().to_string();
    assert!(message.contains("`encoder.attention` has chunks"), "{message}");
}

/// A length of a header that no file has.
#[test]
fn weights_that_claim_a_longer_header_are_none() {
    let file = File::new("w.safetensors");
    for length in [9_u64, 1 << 27, 1 << 40, u64::MAX] {
        let bytes = [&length.to_le_bytes()[..], b"{}      "].concat();
        fs::write(&file.path, bytes).unwrap();
        let description = file.path.with_file_name("m.toml");
        fs::write(&description, DESCRIPTION).unwrap();
        let message = import::network(&description, &file.path).unwrap_err().to_string();
        assert!(message.contains("w.safetensors: not a safetensors file"), "{length}: {message}");
    }
    // A file of nothing but a length, more than any weights have.
    fs::File::create(&file.path).unwrap().set_len(1 << 33).unwrap();
    let message = import::network(&file.path.with_file_name("m.toml"), &file.path).unwrap_err().to_string();
    assert!(message.contains("8589934592 bytes") && message.contains("at most 4294967296"), "{message}");
}

/// A member that inflates to more than its array has is read no further than that.
#[test]
fn a_member_that_inflates_past_its_shape_is_refused() {
    let mut array = npy("<i2", "2, 4", &[0; 16]);
    array.resize(1 << 26, 0);
    let file = File::new("bomb.npz").npz(&[("x_test", array)]);
    assert!(fs::metadata(&file.path).unwrap().len() < 1 << 17);
    says(&file.load().unwrap_err(), &["bomb.npz: array `x_test`", "there is more after its 16 bytes"]);
}

#[test]
fn text_without_lines_is_refused_by_its_length() {
    let file = File::new("x.csv").bytes("1,".repeat(34_000_000).as_bytes());
    says(&file.load().unwrap_err(), &["x.csv: line 1 has 68000000 bytes", "at most 67108864"]);
    fs::File::create(&file.path).unwrap().set_len(1 << 31).unwrap();
    says(&file.load().unwrap_err(), &["x.csv: cannot be read", "2147483648 bytes", "give a smaller file"]);
}

/// Headers that leave nothing to divide by.
#[test]
fn sound_of_no_channels_or_no_bits_is_refused() {
    let header = |channels: u16, bits: u16| {
        let mut bytes = b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\x00\x00\x00\x01\x00".to_vec();
        let block = channels.wrapping_mul(bits.div_ceil(8));
        bytes.extend(channels.to_le_bytes());
        bytes.extend(8000_u32.to_le_bytes());
        bytes.extend((8000 * u32::from(block)).to_le_bytes());
        bytes.extend(block.to_le_bytes());
        bytes.extend(bits.to_le_bytes());
        bytes.extend(b"data\xf0\xff\xff\x7f");
        bytes.extend([0; 8]);
        bytes
    };
    for (channels, bits) in [(0, 16), (1, 0), (0, 0), (65_535, 32), (1, 65_535), (1, 16)] {
        let file = File::new("x.wav").bytes(&header(channels, bits));
        says(&file.load().unwrap_err(), &["x.wav"]);
    }
}

#[test]
fn the_first_rows_are_those_of_the_whole() {
    let values: Vec<u8> = (0..60).collect();
    let rows = |count| Options { rows: Some(count), ..Options::default() };
    let labels = (
        "y_test",
        npy("<U1", "5,", &"bacab".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect::<Vec<_>>()),
    );
    let padded = [
        ("x_test", npy("|u1", "5, 6, 2", &values)),
        ("len_test", npy("|u1", "5,", &[6, 2, 3, 6, 1])),
        labels.clone(),
    ];
    let end_to_end = [
        ("tok_test", npy("|u1", "30, 2", &values)),
        ("off_test", npy("|u1", "6,", &[1, 7, 9, 12, 29, 30])),
        labels,
    ];
    for arrays in [padded, end_to_end] {
        let file = File::new("x.npz").npz(&arrays);
        let whole = file.load().unwrap();
        for count in [1, 2, 4, 5, 6] {
            let mut expected = whole.clone();
            expected.truncate(count);
            assert_eq!(file.load_with(rows(count)).unwrap(), expected, "{count}");
        }
    }
    // A step that is no number is not looked at, nor is a file.
    let file = File::new("x.npy").bytes(&npy(
        "<f4",
        "2, 1",
        &[1.0_f32.to_le_bytes(), f32::NAN.to_le_bytes()].concat(),
    ));
    let scale = 0.5.into();
    let reals = Reals::keeping();
    let options = Options { scale: Some(&scale), reals: Some(&reals), ..rows(1) };
    let loaded = file.load_with(options).unwrap();
    assert_eq!((&loaded.rows, reals.rows(&loaded)), (&vec![vec![2]], Some(vec![vec![1.0]])));
    let folder = File::new("0.csv").bytes(b"1\n2\n");
    let inside = folder.path.parent().unwrap();
    fs::write(inside.join("1.csv"), "1\nno number\n").unwrap();
    assert_eq!(data::load(inside, Split::Test, rows(1)).unwrap().rows, [[1, 2]]);
    data::load(inside, Split::Test, rows(2)).unwrap_err();

    // Text is read to its end: the names of all classes are there.
    let file = File::new("x.csv").bytes(b"1.5,b\n2.5,a\n3.5,c\n");
    let reals = Reals::keeping();
    let options = Options { label: Some(Label::Last), scale: Some(&scale), reals: Some(&reals), ..rows(2) };
    let loaded = file.load_with(options).unwrap();
    assert_eq!(
        (loaded.labels.as_deref(), loaded.classes.as_ref().map(Vec::len)),
        (Some(&[1, 0][..]), Some(3))
    );
    assert_eq!(reals.rows(&loaded), Some(vec![vec![1.5], vec![2.5]]));
}
