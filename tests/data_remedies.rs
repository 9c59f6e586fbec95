//! What messages about data advise, done: then the recordings are the right ones.

mod data_files;
#[path = "data_remedies/files.rs"]
mod files;

use data_files::{File, npy, says};
use fixformer::host::data::{self, DataError, Label, Labels, Options, Recordings, Split};
use fixformer::host::scale::SampleScale;

/// A scale that lives as long as the options that name it.
fn scale(scale: f64) -> Option<&'static SampleScale> {
    Some(Box::leak(Box::new(scale.into())))
}

fn names(names: &[&str]) -> &'static [String] {
    Box::leak(names.iter().map(|name| (*name).to_owned()).collect())
}

fn plain() -> Options<'static> {
    Options::default()
}

fn label(label: Label<'static>) -> Options<'static> {
    Options { label: Some(label), ..plain() }
}

/// Rows and labels.
type Right<'a> = (&'a [&'a [i16]], Option<&'a [usize]>);

/// The rows are these, in what the message of `found` led to.
#[track_caller]
fn are(loaded: Result<Recordings, DataError>, (rows, labels): Right<'_>, found: &str) {
    let loaded = loaded.unwrap_or_else(|error| panic!("{found}\nobeyed: {error}"));
    assert_eq!(loaded.rows, rows, "{found}");
    assert_eq!(loaded.labels.as_deref(), labels, "{found}");
}

/// Text that is refused in these words, and the same text with the options, or another text, that they ask for.
type Text<'a> = (&'a str, Options<'static>, &'a [&'a str], &'a str, Options<'static>, Right<'a>);

fn obeyed(texts: &[Text<'_>]) {
    for (text, options, words, mended, given, right) in texts {
        let file = File::new("x.csv").bytes(text.as_bytes());
        let error = file.load_with(*options).unwrap_err();
        says(&error, words);
        let mended = if mended.is_empty() { text } else { mended };
        are(File::new("x.csv").bytes(mended.as_bytes()).load_with(*given), *right, &error.to_string());
    }
}

#[test]
fn columns_that_are_labels() {
    let named = |name| label(Label::Named(name));
    let (two, classes): (&[&[i16]], _) = (&[&[1, 2], &[3, 4]], Some(&[1, 0][..]));
    let three: &[&[i16]] = &[&[1, 2, 7], &[3, 4, 5]];
    let words = "1,2,up\n3,4,down\n";
    let diagnosis = "a,b,diagnosis\n1,2,M\n3,4,B\n";
    let numbered = "x0,x1,y\n1,2,7\n3,4,5\n";
    let both = "id,x0,x1,y\n9,1,2,1\n8,3,4,0\n";
    let twice = "label,a,b,class\n1,1,2,9\n0,3,4,9\n";
    let id = |options| Options { ignore: names(&["id"]), ..options };
    obeyed(&[
        (words, plain(), &["`up` is not a number", "`--label last`"], "", label(Label::Last), (two, classes)),
        ("up,1,2\ndown,3,4\n", plain(), &["`--label first`"], "", label(Label::First), (two, classes)),
        // Under a name of its own.
        (
            diagnosis,
            plain(),
            &["line 2, column 3", "no value of the column `diagnosis` is one", "`--label diagnosis`"],
            "",
            named("diagnosis"),
            (two, classes),
        ),
        ("a,y,b\n1,M,2\n3,B,4\n", plain(), &["`--label y`", "`--ignore y`"], "", named("y"), (two, classes)),
        (
            diagnosis,
            plain(),
            &["`--ignore diagnosis`"],
            "",
            Options { ignore: names(&["diagnosis"]), ..plain() },
            (two, None),
        ),
        (
            &diagnosis.replace("B", "2"),
            plain(),
            &["`M` is not a number; correct it", "`--label diagnosis`"],
            &diagnosis.replace("M", "7").replace("B", "5"),
            plain(),
            (three, None),
        ),
        // A number too, beside numbered columns: a sample as well as a class.
        (
            &numbered.replace('7', "1").replace('5', "0"),
            plain(),
            &["column `y` could be the label or a value", "`--label y`", "`--label none`", "`--ignore y`"],
            "",
            named("y"),
            (two, classes),
        ),
        (numbered, plain(), &["`--label none`"], "", label(Label::None), (three, None)),
        (numbered, plain(), &["`--ignore y`"], "", Options { ignore: names(&["y"]), ..plain() }, (two, None)),
        ("0,1,grade\n1,2,1\n3,4,0\n", plain(), &["`--label grade`"], "", named("grade"), (two, classes)),
        (
            both,
            plain(),
            &["more than one column", "`--label id`, `--label y`", "`--ignore id`, `--ignore y`"],
            "",
            id(named("y")),
            (two, classes),
        ),
        (both, id(plain()), &["column `y` could be"], "", id(named("y")), (two, classes)),
        (
            twice,
            plain(),
            &["`--label label`, `--label class`", "`--ignore label`, `--ignore class`"],
            "",
            Options { ignore: names(&["class"]), ..named("label") },
            (two, classes),
        ),
        // Names without numbers say nothing, nor do numbered ones alone.
        ("1,?\n", plain(), &["`?`"], "x,y,z\n1,2,7\n3,4,5\n", plain(), (three, None)),
        ("1,?\n", plain(), &["`?`"], "x0,y0,x1\n1,2,7\n3,4,5\n", plain(), (three, None)),
        // A name that the file does not have.
        (
            both,
            named("Y"),
            &["no column is named `Y`; there are id, x0, x1, y"],
            "",
            id(named("y")),
            (two, classes),
        ),
        (
            "0,1,grade\n1,2,1\n3,4,0\n",
            Options { header: Some(false), ..named("grade") },
            &["the file has no header", "`--header yes`"],
            "",
            Options { header: Some(true), ..named("grade") },
            (two, classes),
        ),
    ]);
}

#[test]
fn lines_and_fields() {
    let two: &[&[i16]] = &[&[1, 2], &[3, 4]];
    let (yes, halves) = (Options { header: Some(true), ..plain() }, Options { scale: scale(0.5), ..plain() });
    let of_channels = |count| Options { channels: Some(count), ..plain() };
    obeyed(&[
        (
            "1x,2\n1,2\n3,4\n",
            plain(),
            &["`--header yes` if that line names the columns"],
            "",
            yes,
            (two, None),
        ),
        ("5,,7\n", plain(), &["fill the value in"], "5,6,7\n", plain(), (&[&[5, 6, 7]], None)),
        ("1,2\n,4\n", plain(), &["or remove the recording"], "1,2\n", plain(), (&[&[1, 2]], None)),
        (
            "a,b,note\n1,2,\n3,4,odd\n",
            plain(),
            &["`--ignore note`"],
            "",
            Options { ignore: names(&["note"]), ..plain() },
            (two, None),
        ),
        ("\"0,5\",1\n", halves, &["with a decimal point"], "0.5,1\n", halves, (&[&[1, 2]], None)),
        (
            "\"0,5\",1\n",
            halves,
            &["decimal commas throughout and `;`"],
            "0,5;1,0\n",
            halves,
            (&[&[1, 2]], None),
        ),
        ("1,2\n3,4,5\n", plain(), &["make all equally long"], "1,2\n3,4\n", plain(), (two, None)),
        (
            "a,,b\n1,5,2\n3,5,4\n",
            plain(),
            &["name the column to keep it, or remove it"],
            "a,b\n1,2\n3,4\n",
            plain(),
            (two, None),
        ),
        (
            "1,2,3,4\n",
            of_channels(3),
            &["4 values", "correct the number of channels"],
            "",
            of_channels(2),
            (&[&[1, 2, 3, 4]], None),
        ),
        ("1,nan\n3,4\n", plain(), &["remove or repair that recording"], "1,2\n3,4\n", plain(), (two, None)),
        ("", plain(), &["give at least one"], "1,2\n3,4\n", plain(), (two, None)),
        ("1.5,2\n", plain(), &["or save integers"], "3,4\n", plain(), (&[&[3, 4]], None)),
        (
            "1.0,2.0\n",
            Options { scale: scale(-1.0), ..plain() },
            &["the scale is -1; give a finite number above 0"],
            "",
            halves,
            (&[&[2, 4]], None),
        ),
        // Above 0, and no f32.
        (
            "1.0,2.0\n",
            Options { scale: scale(1e-320), ..plain() },
            &["the scale is 1e-320; give a number from 1.2e-38 to 3.4e38"],
            "1.25e-36,0.0\n",
            Options { scale: scale(1.25e-38), ..plain() },
            (&[&[100, 0]], None),
        ),
    ]);
    // Lines of several lengths.
    let ragged = File::new("x.csv").bytes(b"1,2\n3\n").load().unwrap_err();
    says(&ragged, &["use an .npz with `len_test`"]);
    let npz = File::new("x.npz")
        .npz(&[("x_test", npy("|u1", "2, 2", &[1, 2, 3, 0])), ("len_test", npy("|u1", "2,", &[2, 1]))]);
    are(npz.load(), (&[&[1, 2], &[3]], None), &ragged.to_string());
    // One number for each channel, or one for all.
    let each = |scales: &[f64]| SampleScale::of_channels(scales.to_vec());
    let file = File::new("x.csv").bytes(b"1.0,2.0\n");
    let load = |scale: &SampleScale| {
        data::load(&file.path, Split::Test, Options { scale: Some(scale), channels: Some(2), ..plain() })
    };
    let error = load(&each(&[1.0, 1.0, 1.0])).unwrap_err();
    says(&error, &["has 3 numbers; give one for all channels, or one for each of the 2"]);
    are(load(&each(&[1.0])), (&[&[1, 2]], None), &error.to_string());
    are(load(&each(&[1.0, 0.5])), (&[&[1, 4]], None), &error.to_string());
}

#[test]
fn labels_as_they_are_written() {
    let rows: &[&[i16]] = &[&[1], &[2], &[3]];
    let last = label(Label::Last);
    let listed = |classes| Options { classes: Some(names(classes)), ..last };
    obeyed(&[
        (
            "1,0\n2,?\n3,1\n",
            last,
            &["`--classes 0,1,?`"],
            "",
            listed(&["0", "1", "?"]),
            (rows, Some(&[0, 2, 1])),
        ),
        (
            "1,a\n2,b\n3,7\n",
            last,
            &["others are words", "`--classes 7,a,b`"],
            "",
            listed(&["7", "a", "b"]),
            (rows, Some(&[1, 2, 0])),
        ),
        (
            "1,a\n2,\n3,b\n",
            last,
            &["line 2, column 2: the label is blank; fill it in"],
            "1,a\n2,b\n3,b\n",
            last,
            (rows, Some(&[0, 1, 1])),
        ),
        (
            "1,0\n2,\n3,1\n",
            last,
            &["the label is blank", "or remove the recording"],
            "1,0\n3,1\n",
            last,
            (&[&[1], &[3]], Some(&[0, 1])),
        ),
        (
            "1,a\n2,b\n3,c\n",
            listed(&["a", "b"]),
            &["label `c` is none of the classes a, b", "list it with the others after `--classes`"],
            "",
            listed(&["a", "b", "c"]),
            (rows, Some(&[0, 1, 2])),
        ),
        (
            "1,a\n2,b\n3,c\n",
            listed(&["a", "b", "c", "a"]),
            &["the class `a` is listed twice; list each once"],
            "",
            listed(&["a", "b", "c"]),
            (rows, Some(&[0, 1, 2])),
        ),
    ]);
    // No list of classes takes a blank.
    assert!(
        !File::new("x.csv")
            .bytes(b"1,a\n2,\n")
            .load_with(last)
            .unwrap_err()
            .to_string()
            .contains("--classes")
    );
    // Of a model whose answer is a number.
    let values = Options { labels: Labels::Values, ..last };
    let error = File::new("x.csv").bytes(b"1,high\n").load_with(values).unwrap_err();
    says(&error, &["the answer of this model is a number: correct it"]);
    let file = File::new("x.csv").bytes(b"1,0.5\n");
    assert_eq!(file.load_with(values).unwrap().values, Some(vec![vec![0.5]]), "{error}");
}
