//! Every test: the host's by cargo, then those of every board under its emulator.

mod miri;
mod narrow;
mod neon;
mod room;
mod totals;

use crate::board::Board;
use crate::boards::{self, Row};
use crate::cases::{Folders, digits_file};
use crate::command::{cargo, target};
use crate::demo::put;
use crate::model::Model;
use crate::size::{self, flash_without_model};
use crate::{
    bench, difference, estimate, firmware, fuzz, guarantees, hardware, host, long, overflow, passes,
    placement, profile, qemu, setup,
};
use anyhow::{Context, Result, anyhow, ensure};
use fixformer::host::fit::{self, Program};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Mutex;
use std::{panic, thread};
use totals::{Suite, Totals};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    folders: Folders,
    /// Recordings of each model of the demo that each board classifies; one of each model of the zoo
    #[arg(long, value_name = "N", default_value_t = 2)]
    rows: usize,
    /// Only this board's tests, none of the host's; may be repeated
    #[arg(long = "core", value_name = "NAME")]
    cores: Vec<String>,
    /// Only the boards on a desk, which are built and not run
    #[arg(long, conflicts_with = "cores")]
    hardware: bool,
    /// Only this image of them; may be repeated
    #[arg(long = "image", value_name = "NAME", requires = "hardware")]
    images: Vec<String>,
    /// Only small models of every mechanism under Miri, which sees every access of unsafe code; it takes a nightly Rust, which
    /// rustup installs where it is missing
    #[arg(long, conflicts_with_all = ["cores", "hardware"])]
    miri: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.miri {
        let totals = Totals::default();
        miri::run(&totals)?;
        return totals.finish();
    }
    if options.hardware {
        setup::ready(&[])?;
        let totals = Totals::default();
        let images = hardware::named(&options.images)?;
        totals.suite("hardware", ON_A_DESK, |suite| hardware_images(&images, suite));
        return totals.finish();
    }
    let everything = options.cores.is_empty();
    let boards = if everything { Board::all()? } else { Board::named(&options.cores)? };
    setup::ready(&boards)?;

    let totals = Totals::default();
    if everything {
        // What trains compiles for minutes: it has a command of its own, `cargo test -p fixformer-train --profile training`.
        println!("\n== host: unit, integration and documentation tests of every package but fixformer-train");
        totals.cargo(cargo().args([
            "test",
            "--workspace",
            "--exclude",
            "fixformer-train",
            "--no-fail-fast",
        ]))?;
        narrow::run(&totals)?;
        neon::run(&totals)?;
    }
    let zoo = Model::all(&options.folders, options.rows, 1);
    let rows = all_boards(&boards, zoo.as_deref(), &totals);
    if everything {
        let images = hardware::named(&[])?;
        totals.suite("hardware", ON_A_DESK, |suite| hardware_images(&images, suite));
    }
    println!("\n{}", boards::table(&rows));
    totals.finish()
}

/// The tests of all boards; what their models cost. Boards of one target follow each other and share what is built; others
/// are tested side by side, as building firmware keeps one core busy.
fn all_boards(boards: &[Board], zoo: Zoo<'_>, totals: &Totals) -> Vec<Row> {
    let mut groups: Vec<Vec<&Board>> = Vec::new();
    for board in boards {
        match groups.iter_mut().find(|group| group[0].target == board.target) {
            Some(group) => group.push(board),
            None => groups.push(vec![board]),
        }
    }
    // Those with the most tests first.
    let weight = |group: &Vec<&Board>| {
        group.len() + group.iter().filter(|board| COUNTED.contains(&&*board.name)).count()
    };
    groups.sort_by_key(weight);
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(groups.len());
    let queue = Mutex::new(groups);
    let next = || queue.lock().ok().and_then(|mut groups| groups.pop());
    let work = |build: PathBuf| {
        let mut rows = Vec::new();
        while let Some(group) = next() {
            for board in group {
                one_board(&Board { build: build.clone(), ..board.clone() }, zoo, totals, &mut rows);
            }
        }
        rows
    };
    let mut rows = thread::scope(|scope| {
        let folder = |worker| if worker == 0 { target() } else { target().join(format!("worker-{worker}")) };
        let start = |worker| scope.spawn(move || work(folder(worker)));
        let started: Vec<_> = (0..workers).map(start).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Vec<Row>>| {
            worker.join().unwrap_or_else(|cause| panic::resume_unwind(cause))
        };
        started.into_iter().flat_map(join).collect::<Vec<_>>()
    });
    rows.sort_by_key(|row| boards.iter().position(|board| row.is_of(board)));
    rows
}

/// The models that boards run, if there are any.
type Zoo<'z> = Result<&'z [Model], &'z anyhow::Error>;

/// The tests of a board; what its models cost goes into `rows`.
fn one_board(board: &Board, zoo: Zoo<'_>, totals: &Totals, rows: &mut Vec<Row>) {
    totals.board(board, "selftest", |suite| selftest(board, suite));
    totals.board(board, "units", |suite| units(board, suite));
    totals.board(board, "classify", |suite| {
        suite.test("small_ram_does_not_link", room::small_ram(board));
        suite.test("flash_without_model", flash(board));
        classify(board, suite)
    });
    if COUNTED.contains(&&*board.name) {
        totals.board(board, "stack", |suite| room::stack(board, suite));
    }
    totals.board(board, "models", |suite| models(board, zoo, rows, suite));
    totals.board(board, "streams", |suite| streams(board, suite));
    if fuzz::has_room(board) {
        totals.board(board, "drawn models", |suite| {
            suite.test("drawn_models", fuzz::on_board(board, DRAWN));
            Ok(())
        });
    }
    if board.name == passes::BOARD {
        totals.board(board, "passes", |suite| in_passes(board, suite));
    }
    if board.name == placement::BOARD {
        totals.board(board, "placement", |suite| placed(board, zoo, suite));
    }
    if COUNTED.contains(&&*board.name) {
        totals.board(board, "overflow checks", |suite| {
            suite.test("overflow::classify", overflow::classify(board));
            suite.test("overflow::replay", overflow::replay(board));
            Ok(())
        });
        totals.board(board, "flash of mechanisms", |suite| {
            for model in size::MECHANISMS {
                suite.test(&format!("flash::{model}"), flash_of(board, model));
            }
            Ok(())
        });
        totals.board(board, "difference", |suite| {
            let log = difference::Log::of(board)?;
            suite.test("difference::none", log.agrees());
            suite.test("difference::first_change_is_named", log.first_change_is_named());
            Ok(())
        });
        totals.board(board, "log", |suite| {
            let messages = profile::messages(board, &digits_file())?;
            suite.test("profile::adds_up", profile::adds_up(&messages));
            suite.test("profile::is_what_fit_estimates", estimate::holds(board));
            Ok(())
        });
        totals.board(board, "instructions", |suite| {
            let faults = bench::quick(board)?;
            let result = if faults.is_empty() { Ok(()) } else { Err(anyhow!(faults.join("; "))) };
            suite.test("instructions", result);
            Ok(())
        });
    }
}

/// Models drawn for each board.
const DRAWN: u64 = 20;

/// The boards whose instructions are held against the snapshot here; `cargo xtask bench` does it for all.
const COUNTED: [&str; 2] = ["m4", "riscv32"];

/// The board's own tests, then that each way to end a program reaches the host.
fn selftest(board: &Board, suite: &mut Suite) -> Result<()> {
    let elf = firmware::build(board, "selftest", &digits_file())?;
    let run = |argument| qemu::run(board, &elf, argument, &target(), |_| {});
    // It can panic, when asked to: that shows that the images of those who cannot are read rightly.
    suite.test(
        "panics_are_seen",
        match guarantees::hold(&elf) {
            Err(found) if found.to_string().contains("core::panicking::") => Ok(()),
            other => Err(anyhow!("no panic found in an image with one: {other:?}")),
        },
    );

    reported("selftest", suite, run(None)?);

    // The stack is the lowest memory of the board. Arm locks up, for there is no room for the frame of a fault either.
    let ended = run(Some("overflow"))?;
    let faulted =
        if board.target.starts_with("riscv") { ended.code == Some(102) } else { ended.code != Some(0) };
    suite.test(
        "stack_overflow_faults",
        match faulted && ended.lines.iter().all(|line| line.starts_with("fault")) {
            true => Ok(()),
            false => Err(anyhow!("{:?} with {:?}", ended.code, ended.lines)),
        },
    );
    for (argument, code) in [("fail", 1), ("panic", 101), ("fault", 102)] {
        let ended = run(Some(argument))?;
        suite.test(
            &format!("exit_code::{argument}"),
            match ended.code {
                Some(found) if found == code => Ok(()),
                found => Err(anyhow!("expected exit code {code}, found {found:?}")),
            },
        );
    }
    Ok(())
}

/// The engine's unit tests on the board, and one that is wrong on purpose.
fn units(board: &Board, suite: &mut Suite) -> Result<()> {
    let elf = firmware::build(board, "units", &digits_file())?;
    let run = |argument| qemu::run(board, &elf, argument, &target(), |_| {});
    reported("units", suite, run(None)?);
    let ended = run(Some("fail"))?;
    let failed =
        ended.lines.iter().any(|line| line.starts_with("test checks::wrong_on_purpose ... FAILED: "));
    suite.test(
        "units::a_failure_is_seen",
        match (ended.code, failed) {
            (Some(1), true) => Ok(()),
            (code, _) => Err(anyhow!("exit code {code:?}, {:?}", ended.lines.last())),
        },
    );
    Ok(())
}

/// Takes over what a board reports in libtest's words.
fn reported(program: &str, suite: &mut Suite, ended: qemu::Ended) {
    let (mut passed, mut ignored) = (0, 0);
    for line in &ended.lines {
        let Some((name, outcome)) = line.strip_prefix("test ").and_then(|l| l.split_once(" ... ")) else {
            continue;
        };
        match outcome {
            "ok" => {
                passed += 1;
                suite.test(name, Ok(()));
            }
            _ if outcome.starts_with("ignored") => ignored += 1,
            _ => suite.test(name, Err(anyhow!("{outcome}"))),
        }
    }
    let summary = format!("test result: ok. {passed} passed; 0 failed; {ignored} ignored");
    let complete = passed > 0 && ended.lines.last() == Some(&summary);
    let result = ended.success().and_then(|lines| {
        ensure!(complete, "expected `{summary}`, found {:?}", lines.last());
        Ok(())
    });
    suite.test(&format!("{program}::ends"), result);
}

/// What needs no host to agree with: that the program refuses what it cannot take.
fn classify(board: &Board, suite: &mut Suite) -> Result<()> {
    let elf = firmware::build(board, "classify", &digits_file())?;
    suite.test("classify::cannot_panic_and_has_no_float", guarantees::hold(&elf));
    let folder = target().join("recordings");
    let run = |file: Option<&str>| qemu::run(board, &elf, file, &folder, |_| {});
    let mut good = Vec::new();
    fixformer_boards::recordings::write(&mut good, 1, [&[1; 64][..], &[2; 64]].into_iter())?;
    for (name, contents, message) in bad_files(&good)? {
        let file = format!("{name}.rec");
        put(&folder.join(&file), &contents)?;
        suite.test(&format!("classify::{name}"), refuses(run(Some(&file))?, message));
    }
    suite.test("classify::no_file", refuses(run(Some("no-such.rec"))?, "cannot open"));
    suite.test("classify::no_argument", refuses(run(None)?, "no argument"));
    Ok(())
}

/// Every model that fits, bit by bit as on the host; what they cost goes into `rows`.
fn models(board: &Board, models: Zoo<'_>, rows: &mut Vec<Row>, suite: &mut Suite) -> Result<()> {
    // Every mechanism is linked here.
    let replay = firmware::build(board, boards::REPLAY, &digits_file())?;
    suite.test("replay::cannot_panic_and_has_no_float", guarantees::hold(&replay));
    let models = models.map_err(|error| anyhow!("the models are not ready: {error:#}"))?;
    for (model, run) in boards::measure(board, models)? {
        let name = format!("models::{}", model.name);
        match run {
            Err(error) => suite.test(&name, Err(error)),
            Ok(run) => {
                let deepest = run.as_ref().map_or(0, |run| run.stack_bytes);
                suite.test(
                    &name,
                    match deepest <= STACK_LIMIT {
                        true => Ok(()),
                        false => Err(anyhow!("{deepest} bytes of stack, at most {STACK_LIMIT} expected")),
                    },
                );
                rows.push(Row::new(board, model, run));
            }
        }
    }
    Ok(())
}

/// Causal models as streams, bit by bit as on the host after every token, in 16 KB of RAM.
fn streams(board: &Board, suite: &mut Suite) -> Result<()> {
    for model in long::MODELS {
        let case = long::Case::new(model, STREAMED, &|_| {})?;
        suite.test(&format!("streams::{model}"), case.on(board, &|_| {}).and_then(|run| run.holds()));
    }
    Ok(())
}

/// A bidirectional model in passes, bit by bit as on the host, in 24 KB of RAM.
fn in_passes(board: &Board, suite: &mut Suite) -> Result<()> {
    let case = passes::Case::new(PASSED, &|_| {})?;
    suite.test("passes::cannot_panic_and_has_no_float", guarantees::hold(&case.program(board)?));
    suite.test("passes", case.on(board, &|_| {}).and_then(|run| run.holds()));
    Ok(())
}

/// Tokens of the recording in passes of the tests.
const PASSED: usize = 2_000;

/// Tokens of the streams of the tests.
const STREAMED: usize = 6_000;

/// The digits with their memory placed; and that an image where it is not is seen.
fn placed(board: &Board, models: Zoo<'_>, suite: &mut Suite) -> Result<()> {
    let models = models.map_err(|error| anyhow!("the models are not ready: {error:#}"))?;
    let digits = models.first().context("no model")?;
    suite.test("placed::runs_where_it_was_put", placement::run(board, digits));
    let elsewhere = placement::hold(board, &firmware::build(board, "classify", &digits.file)?);
    suite.test(
        "placed::elsewhere_is_seen",
        match elsewhere {
            Err(error) if error.to_string().starts_with("ARENA is at") => Ok(()),
            other => Err(anyhow!("nothing found in an image that is not placed: {other:?}")),
        },
    );
    Ok(())
}

const ON_A_DESK: &str = "boards on a desk: built, not run";

/// Every image links with the largest model that `fit` accepts, and with no larger one.
fn hardware_images(images: &[&hardware::Image], suite: &mut Suite) -> Result<()> {
    for image in images {
        let [largest, next] = image.models()?;
        suite.test(&format!("{}::links_what_fit_accepts", image.name), image.links(&largest));
        suite.test(&format!("{}::links_nothing_larger", image.name), image.refuses(&next));
    }
    Ok(())
}

/// Most bytes of stack that classifying may take.
const STACK_LIMIT: u64 = 4 * 1024;

/// `classify` without its model takes at most the flash that `fit` says, semihosting and printing included.
fn flash(board: &Board) -> Result<()> {
    let (found, limit) = (flash_without_model(board)?, emulated(board)?.code as u64);
    ensure!(found <= limit, "{found} bytes of flash, `fit` says {limit}");
    Ok(())
}

/// So does it with each mechanism, and not much less.
fn flash_of(board: &Board, model: &str) -> Result<()> {
    let file = size::zoo_file(model);
    let found = size::without_model(board, &file)?.flash;
    let words = host::words(&file)?;
    let limit = emulated(board)?.flash(&fixformer::Model::parse(&words)?) as u64;
    ensure!(found <= limit && limit < found + MOST_FLASH_SLACK, "{found} bytes of flash, `fit` says {limit}");
    Ok(())
}

/// Bytes of flash that `fit` may see more than there are.
const MOST_FLASH_SLACK: u64 = 3 * 1024;

/// What `fit` has of `classify`, or of a program on the same core.
fn emulated(board: &Board) -> Result<Program> {
    let name = match &*board.name {
        "m0" | "microbit" => "microbit-v1",
        "m3" | "lm3s6965evb" => "mps2-an385",
        "m4" => "mps2-an386",
        "m7" => "mps2-an500",
        "m33" => "mps2-an505",
        "m55" => "mps3-an547",
        "riscv32imc" => "esp32-c3",
        _ => "qemu-riscv32",
    };
    Ok(fit::Board::named(name).with_context(|| format!("`fit` knows no board `{name}`"))?.program)
}

/// Files that are no recordings of digits, and what the firmware has to say about each.
fn bad_files(good: &[u8]) -> Result<Vec<(&'static str, Vec<u8>, &'static str)>> {
    let one = |channels, row: &[i16]| -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fixformer_boards::recordings::write(&mut bytes, channels, [row].into_iter())?;
        Ok(bytes)
    };
    Ok(vec![
        ("not_recordings", b"PK\x03\x04, an archive".to_vec(), "expected `FXRC`"),
        ("truncated", good[..good.len() - 3].to_vec(), "the file ends after 62"),
        ("too_long", one(1, &[0; 65])?, "at most 64 values, found 65"),
        ("wrong_channels", one(2, &[0; 64])?, "takes 1 channels, found 2"),
        ("empty", one(1, &[])?, "recording 0: "),
        ("too_short", one(1, &[0; 7])?, "recording 0: "),
    ])
}

/// An error is a message and exit code 1, never a panic.
fn refuses(ended: qemu::Ended, message: &str) -> Result<()> {
    let last = ended.lines.last().map_or("", String::as_str);
    ensure!(ended.code == Some(1), "expected exit code 1, found {:?}: {last}", ended.code);
    ensure!(last.starts_with("error: "), "expected an error, found: {last}");
    ensure!(last.contains(message), "expected `{message}`, found: {last}");
    Ok(())
}
