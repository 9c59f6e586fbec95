//! Text files as spreadsheets, pandas, R and instruments write them.

mod data_files;

use data_files::{File, case, says};
use fixformer::host::data::{self, DataError, Label, Labels, Options, Recordings, Split};
use fixformer::host::scale::SampleScale;

/// A scale that lives as long as the options that name it.
fn scale(scale: f64) -> Option<&'static SampleScale> {
    Some(Box::leak(Box::new(scale.into())))
}

fn load(text: &str, options: Options<'_>) -> Result<Recordings, DataError> {
    File::new("x.csv").bytes(text.as_bytes()).load_with(options)
}

fn load_case(name: &str, options: Options<'_>) -> Result<Recordings, DataError> {
    data::load(&case(name), Split::Test, options)
}

const LAST: Options<'_> = Options { label: Some(Label::Last), ..PLAIN };
const PLAIN: Options<'_> = Options {
    scale: None,
    channels: None,
    label: None,
    classes: None,
    names: None,
    labels: Labels::Classes,
    ignore: &[],
    header: None,
    delimiter: None,
    rate: None,
    rows: None,
    reals: None,
};

#[test]
fn lines_are_recordings() {
    let plain = load("1,2,-3\n4, 5 ,6\n\n", PLAIN).unwrap();
    assert_eq!((plain.rows, plain.labels), (vec![vec![1, 2, -3], vec![4, 5, 6]], None));
    let headed = load("0,1,label\n1,2,0\n3,4,2.0\n", LAST).unwrap();
    assert_eq!((headed.rows, headed.labels), (vec![vec![1, 2], vec![3, 4]], Some(vec![0, 2])));
    let options = Options { scale: scale(0.5), channels: Some(2), ..LAST };
    let real = load("1,2.2,0\n", options).unwrap();
    assert_eq!((real.rows, real.channels, real.scale), (vec![vec![2, 4]], 2, Some(0.5.into())));
}

#[test]
fn what_cannot_be_read_says_where_and_what_to_do() {
    for (text, options, words) in [
        ("1,2\n3\n", PLAIN, &["x.csv", "line 2 has 1 fields, the first has 2"][..]),
        ("", PLAIN, &["no recordings"]),
        ("a,b\n", PLAIN, &["no recordings"]),
        ("1,2\n3,four\n", PLAIN, &["line 2, column 2", "`four` is not a number", "--label last"]),
        ("1,2x\n", PLAIN, &["line 1, column 2", "`2x`", "--header yes"]),
        ("5,,7\n", PLAIN, &["line 1, column 2", "``", "fill the value in"]),
        ("1,2.5\n", PLAIN, &["line 1, column 2", "give the scale"]),
        ("nan,2\n", PLAIN, &["line 1, column 1", "NaN is not finite"]),
        ("1,40000\n", PLAIN, &["line 1, column 2", "40000 is outside"]),
        ("1,99999999999999999999\n", PLAIN, &["line 1, column 2", "is outside"]),
        ("1,-1\n", LAST, &["line 1, column 2", "label -1", "--classes -1"]),
        ("1,0.5\n", LAST, &["label 0.5"]),
        ("1\n", LAST, &["line 1 has 0 values"]),
        ("1,2,0\n", Options { channels: Some(3), ..LAST }, &["2 values", "3 channels"]),
        ("1,2\n3,\0\n", PLAIN, &["not a text file"]),
    ] {
        says(&load(text, options).unwrap_err(), words);
    }
}

/// However the lines end and whatever is between them.
#[test]
fn lines_and_columns_of_messages_are_those_of_the_file() {
    for (text, place) in [
        ("1,2\n3,x\n", "line 2, column 2"),
        ("1,2\r\n3,x\r\n", "line 2, column 2"),
        ("1,2\r3,x\r", "line 2, column 2"),
        ("a,b\r\n1,2\r\n\r\n\r\n3,x\r\n", "line 5, column 2"),
        ("\n\n1,2\n \n3,x\n", "line 5, column 2"),
        ("\"a\nb\",c\n1,2\n3,x\n", "line 4, column 2"),
        (",a,b\n0,1,2\n1,x,4\n", "line 3, column 2"),
        ("\u{feff}1,2\r\nx,3\r\n", "line 2, column 1"),
        ("sep=;\r\n1;2\r\n3;x\r\n", "line 3, column 2"),
    ] {
        says(&load(text, PLAIN).unwrap_err(), &[place, "`x` is not a number"]);
    }
}

/// 40 recordings from every file, the same ones.
#[test]
fn a_header_is_never_data_and_data_never_a_header() {
    let plain = load_case("numeric_header/plain.csv", LAST).unwrap();
    assert_eq!((plain.len(), plain.rows[0].len(), plain.rows[0][0]), (40, 27, 67));
    for name in ["named", "numeric"] {
        assert_eq!(load_case(&format!("numeric_header/{name}.csv"), LAST).unwrap(), plain, "{name}");
    }
    assert_eq!(load_case("numeric_header/named.csv", PLAIN).unwrap(), plain);
    let named = Options { label: Some(Label::Named("label")), ..PLAIN };
    assert_eq!(load_case("numeric_header/named.csv", named).unwrap(), plain);
    let unlabelled = load_case("numeric_header/unlabelled_plain.csv", PLAIN).unwrap();
    assert_eq!((&unlabelled.rows, unlabelled.labels.is_none()), (&plain.rows, true));
    assert_eq!(load_case("numeric_header/unlabelled.csv", PLAIN).unwrap(), unlabelled);
    // An index before the 27 values, and before 26.
    assert_eq!(load_case("numeric_header/indexed.csv", PLAIN).unwrap(), unlabelled);
    let named = load_case("numeric_header/indexed_named.csv", PLAIN).unwrap();
    assert_eq!(named.len(), 40);
    assert!(named.rows.iter().zip(&plain.rows).all(|(named, plain)| named[..] == plain[..26]));
}

#[test]
fn short_lines_that_could_be_either_are_asked_about() {
    let text = "0,1,2\n5,6,7\n";
    says(&load(text, PLAIN).unwrap_err(), &["line 1 (0,1,2)", "--header yes", "--header no"]);
    let [yes, no] = [true, false].map(|header| Options { header: Some(header), ..PLAIN });
    assert_eq!(load(text, yes).unwrap().rows, [[5, 6, 7]]);
    assert_eq!(load(text, no).unwrap().rows, [[0, 1, 2], [5, 6, 7]]);
    let text = "0,1,up\n5,6,down\n";
    says(&load(text, LAST).unwrap_err(), &["--header"]);
    assert_eq!(load(text, Options { header: Some(true), ..LAST }).unwrap().rows, [[5, 6]]);
    let both = load(text, Options { header: Some(false), ..LAST }).unwrap();
    assert_eq!((both.len(), both.labels), (2, Some(vec![1, 0])));
    // Whatever stands there.
    assert_eq!(load("t,1,u\n5,6,7\n", yes).unwrap().rows, [[5, 6, 7]]);
}

#[test]
fn one_word_among_numbers_is_an_error() {
    for text in ["67,x,3\n4,5,6\n", "67,-212,oops\n4,5,6\n", "4,5,6\n67,x,3\n"] {
        let error = load(text, PLAIN).unwrap_err();
        assert!(matches!(error, DataError::Number { .. }), "{error}");
    }
}

#[test]
fn as_spreadsheets_write_it() {
    let plain = load_case("csv_odd/plain.csv", LAST).unwrap();
    assert_eq!((plain.len(), plain.rows[0].len()), (20, 27));
    for name in ["semicolon", "tab", "bom", "crlf", "trailing", "blank"] {
        assert_eq!(load_case(&format!("csv_odd/{name}.csv"), LAST).unwrap(), plain, "{name}");
    }
    let error = load_case("csv_odd/decimal_comma.csv", LAST).unwrap_err();
    says(&error, &["line 1, column 1", "-0.76 is a real number", "give the scale"]);
    let scaled = Options { scale: scale(0.01), ..LAST };
    assert_eq!(load_case("csv_odd/decimal_comma.csv", scaled).unwrap().rows, plain.rows);

    let classes = ["1", "2", "3"].map(String::from);
    let counted = load_case("csv_odd/one_based.csv", Options { classes: Some(&classes), ..LAST }).unwrap();
    assert_eq!((counted.rows, counted.labels), (plain.rows, plain.labels));
}

#[test]
fn a_decimal_point_makes_a_value_real() {
    let error = load_case("csv_odd/real_whole.csv", LAST).unwrap_err();
    assert!(matches!(error, DataError::NeedsScale { .. }), "{error}");
    says(&error, &["line 1, column 1", "-1.0 is a real number"]);
    let scaled = load_case("csv_odd/real_whole.csv", Options { scale: scale(0.01), ..LAST }).unwrap();
    assert_eq!(scaled.rows[0][..4], [-100, 400, 600, 100]);
    for text in ["1,2.\n", "1,2.0\n", "1,2e0\n"] {
        assert!(matches!(load(text, PLAIN), Err(DataError::NeedsScale { .. })), "{text}");
    }
    assert!(matches!(load("1;-2,0\n3;4\n", PLAIN), Err(DataError::NeedsScale { .. })));
}

#[test]
fn separators_and_decimal_commas() {
    let halves = Options { scale: scale(0.5), ..PLAIN };
    for (text, options, right) in [
        ("1;2\n3;4\n", PLAIN, vec![[1, 2], [3, 4]]),
        ("0,5;1\n1;2\n", halves, vec![[1, 2], [2, 4]]),
        ("0,5\t1\n1\t2\n", halves, vec![[1, 2], [2, 4]]),
        ("sep=;\n1;2\n3;4\n", PLAIN, vec![[1, 2], [3, 4]]),
        ("5|6\n7|8\n", Options { delimiter: Some(b'|'), ..PLAIN }, vec![[5, 6], [7, 8]]),
        ("\"5\",\"6\"\n", PLAIN, vec![[5, 6]]),
        ("1,2\n,\n3,4\n", PLAIN, vec![[1, 2], [3, 4]]),
        // R: no heading above the names of the rows.
        ("\"a\",\"b\"\n\"1\",5,6\n\"2\",7,8\n", PLAIN, vec![[5, 6], [7, 8]]),
        // pandas, read and written once more.
        (",Unnamed: 0,a,b\n0,0,5,6\n1,1,7,8\n", PLAIN, vec![[5, 6], [7, 8]]),
        // A separator at the end of the lines, but not of the header; and the reverse.
        ("a,b\n5,6,\n7,8,\n", PLAIN, vec![[5, 6], [7, 8]]),
        ("a,b,\n5,6\n7,8\n", PLAIN, vec![[5, 6], [7, 8]]),
    ] {
        assert_eq!(load(text, options).unwrap().rows, right, "{text:?}");
    }
    // Between commas a comma is no decimal one, nor where the file has decimal points.
    says(&load("\"0,5\",1\n", halves).unwrap_err(), &["line 1, column 1", "`0,5`", "decimal point"]);
    says(&load("0,5;1\n0.5;1\n", halves).unwrap_err(), &["line 1, column 1", "`0,5`"]);
    // UTF-16, which Excel calls Unicode text; and a heading in Latin-1.
    let wide: Vec<u8> = "\u{feff}a\tb\r\n5\t6\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(File::new("x.txt").bytes(&wide).load().unwrap().rows, [[5, 6]]);
    assert_eq!(File::new("x.csv").bytes(b"Gr\xf6\xdfe,b\n5,6\n").load().unwrap().rows, [[5, 6]]);
}

#[test]
fn columns_without_a_name() {
    let odd = "a,,b\n1,5,2\n3,5,4\n";
    says(&load(odd, PLAIN).unwrap_err(), &["column 2 has no name", "name the column"]);
    assert_eq!(load(&odd.replace(",,", ",c,"), PLAIN).unwrap().rows, [[1, 5, 2], [3, 5, 4]]);
    assert_eq!(load("a,,b\n1,,2\n3,,4\n", PLAIN).unwrap().rows, [[1, 2], [3, 4]]);
    // The first one is an index whatever it has: times, or shuffled numbers.
    assert_eq!(load(",a,b\n0.5,1,2\n0.5,3,4\n", PLAIN).unwrap().rows, [[1, 2], [3, 4]]);
}

#[test]
fn the_label_where_it_is() {
    let named = |name| Options { label: Some(Label::Named(name)), ..PLAIN };
    let text = "id,up,a,b\n7,1,5,6\n8,0,5,6\n";
    let ignored = ["id".to_owned()];
    let found = load(text, Options { ignore: &ignored, ..named("up") }).unwrap();
    assert_eq!((found.rows, found.labels), (vec![vec![5, 6]; 2], Some(vec![1, 0])));
    says(&load(text, named("Up")).unwrap_err(), &["`Up`", "id, up, a, b"]);
    says(&load("5,6\n", named("up")).unwrap_err(), &["no header", "--label first"]);
    let first = Options { label: Some(Label::First), ..PLAIN };
    assert_eq!(load("1,5,6\n", first).unwrap().labels, Some(vec![1]));
    // After an index, before a separator at the end.
    assert_eq!(load(",y,a,\n0,1,5,\n1,0,6,\n", first).unwrap().labels, Some(vec![1, 0]));
    // A column that is called so, unless somebody says that it is none.
    assert_eq!(load("Label,a\n1,5\n", PLAIN).unwrap().labels, Some(vec![1]));
    let none = Options { label: Some(Label::None), ..PLAIN };
    assert_eq!(load("Label,a\n1,5\n", none).unwrap().rows, [[1, 5]]);
    says(&load("label,a,class\n1,5,1\n", PLAIN).unwrap_err(), &["`--label label`, `--label class`"]);
    let aside = Options { labels: Labels::Aside, ..LAST };
    assert_eq!(load("5,6,-1\n7,8,up\n", aside).unwrap().rows, [[5, 6], [7, 8]]);
}

#[test]
fn words_and_other_numbers_as_labels() {
    let text = "5,6,up\n7,8,down\n5,8,up\n";
    let words = load(text, LAST).unwrap();
    assert_eq!(words.labels, Some(vec![1, 0, 1]));
    assert_eq!(words.classes.unwrap(), ["down", "up"]);
    let classes = ["up", "still", "down"].map(String::from);
    let given = Options { classes: Some(&classes), ..LAST };
    assert_eq!(load(text, given).unwrap().labels, Some(vec![0, 2, 0]));
    says(&load("5,6,sideways\n", given).unwrap_err(), &["line 1, column 3", "`sideways`", "up, still, down"]);
    // What the messages advise.
    let text = "5,6,1\n7,8,-1\n";
    let error = load(text, LAST).unwrap_err().to_string();
    let advised = error.split("--classes ").nth(1).unwrap().trim_end_matches('`');
    let classes: Vec<String> = advised.split(',').map(String::from).collect();
    assert_eq!(classes, ["-1", "1"]);
    let given = Options { classes: Some(&classes), ..LAST };
    assert_eq!(load(text, given).unwrap().labels, Some(vec![1, 0]));
    assert_eq!(load("5,6,1.0\n7,8,-1.0\n", given).unwrap().labels, Some(vec![1, 0]));
    // A decimal comma is one in a label too.
    let comma = File::new("x.csv").bytes(b"0,5;1,0\n1,5;0,0\n");
    let halves = Options { scale: scale(0.5), ..LAST };
    assert_eq!(comma.load_with(halves).unwrap().labels, Some(vec![1, 0]));
    // A word among numbers is a slip, and so is a number among words.
    says(&load("1,2,0\n5,6,?\n7,8,1\n", LAST).unwrap_err(), &["line 2, column 3", "`?`", "are numbers"]);
    says(&load("1,2,a\n5,6,b\n7,8,1\n", LAST).unwrap_err(), &["line 3, column 3", "`1`", "are words"]);
}

/// The largest magnitude / 32767, as the message says.
#[test]
fn the_scale_that_is_advised_fits() {
    let text = "-3.5,1.25\n2.0,0.5\n";
    says(&load(text, PLAIN).unwrap_err(), &["the largest magnitude / 32767"]);
    let scaled = Options { scale: scale(3.5 / 32767.0), ..PLAIN };
    assert_eq!(load(text, scaled).unwrap().rows, [[-32767, 11703], [18724, 4681]]);
    // What is too large: a larger scale, or a power of two less.
    says(
        &load("40000,1\n", PLAIN).unwrap_err(),
        &["power of two", "save real values and give a larger scale"],
    );
    assert_eq!(load("20000,0\n", Options { header: Some(false), ..PLAIN }).unwrap().rows, [[20000, 0]]);
    assert_eq!(load("40000.0,1.0\n", Options { scale: scale(2.0), ..PLAIN }).unwrap().rows, [[20000, 1]]);
}

#[test]
fn files_of_the_ucr_archive() {
    let file = File::new("Beef_TEST.tsv").bytes(b"1\t0.5\t-1.0\t1.5\n-1\t2.0\t0.5\tNaN\n");
    says(&file.load().unwrap_err(), &["line 1, column 2", "give the scale"]);
    let classes = ["-1", "1"].map(String::from);
    let options = Options { scale: scale(0.5), classes: Some(&classes), ..PLAIN };
    let loaded = file.load_with(options).unwrap();
    assert_eq!((loaded.rows, loaded.labels), (vec![vec![1, -2, 3], vec![4, 1]], Some(vec![1, 0])));
    // NaN between values is none of the padding.
    let file = File::new("Beef_TEST.tsv").bytes(b"1\t0.5\tNaN\t1.5\n");
    says(&file.load_with(options).unwrap_err(), &["line 1, column 3", "NaN is not finite"]);
    assert_eq!(File::new("x.tsv").bytes(b"5\t6\n").load().unwrap().rows, [[5, 6]]);
}
