//! `docs/reference.md` has every key of a description, and no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fixformer::host::import;

const INPUT: &str = "[input]\nkind = \"tokens\"\n";
const ENCODER: &str = "[encoder]\nlayers = 1\nwidth = 8\nheads = 1\nhidden = 8\n";

/// The keys that the table takes which ends `text`: those that an unknown one is told.
fn taken(text: &str) -> BTreeSet<String> {
    let path = std::env::temp_dir().join(format!("fixformer-keys-{}.toml", std::process::id()));
    fs::write(&path, format!("{text}\nno_such_key = 1\n")).unwrap();
    let error = import::read(&path).unwrap_err().to_string();
    fs::remove_file(&path).unwrap();
    let expected =
        error.split("unknown field `no_such_key`, expected").nth(1).unwrap_or_else(|| panic!("{error}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The names in the first cells of the tables of a section.
fn listed(page: &str, heading: &str) -> BTreeSet<String> {
    let section =
        page.split(&format!("\n{heading}\n")).nth(1).unwrap_or_else(|| panic!("no section {heading}"));
    let section = section.split("\n#").next().unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    cells
        .flat_map(|cell| cell.split('`'))
        .filter(|word| word.starts_with(char::is_alphabetic))
        .map(str::to_owned)
        .collect()
}

/// The keys of a kind of attention: second cells, from its row to that of the next kind.
fn of_kind(page: &str, kind: &str) -> BTreeSet<String> {
    let section = page.split("\n### `encoder.attention`\n").nth(1).unwrap().split("\n#").next().unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with(&format!("| `{kind}` |")));
    let rows = rows.enumerate().take_while(|(index, line)| *index == 0 || line.starts_with("| |"));
    let cells = rows.filter_map(|(_, line)| line.split('|').nth(2));
    cells
        .flat_map(|cell| cell.split('`'))
        .filter(|word| word.starts_with(char::is_alphabetic))
        .map(str::to_owned)
        .collect()
}

fn set<'a>(words: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_page_has_every_key_of_a_description() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md")).unwrap();
    let name = "name = \"a\"\n";
    let tables = set(["input", "positions", "encoder", "pooling", "head", "tensors"]);
    let top: BTreeSet<String> = taken(name).difference(&tables).cloned().collect();
    assert_eq!(listed(&page, "## Descriptions"), top);

    let kinds = ["kind = \"samples\"", "kind = \"one-hot\"", "kind = \"tokens\""];
    let of_input =
        kinds.iter().flat_map(|kind| taken(&format!("{name}[input]\n{kind}"))).chain(["kind".to_owned()]);
    assert_eq!(listed(&page, "### `[input]`"), of_input.collect());
    for table in ["positions", "pooling", "head", "tensors"] {
        let found = taken(&format!("{name}{INPUT}{ENCODER}[{table}]"));
        assert_eq!(listed(&page, &format!("### `[{table}]`")), found, "{table}");
    }
    assert_eq!(listed(&page, "### `[encoder]`"), taken(&format!("{name}{INPUT}{ENCODER}")));
    for (kind, required) in [
        ("exact", ""),
        ("hierarchical", "block = 8"),
        ("bigbird", "block = 8"),
        ("favor", ""),
        ("lsh", "buckets = 4\nrounds = 1\nchunk = 8"),
        ("local", "chunk = 8"),
    ] {
        // `causal` is said once, of all.
        let mut found =
            taken(&format!("{name}{INPUT}{ENCODER}[encoder.attention]\nkind = \"{kind}\"\n{required}"));
        assert!(found.remove("causal"), "{kind}: {found:?}");
        assert_eq!(of_kind(&page, kind), found, "{kind}");
    }
}
