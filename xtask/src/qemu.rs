//! One run of firmware on an emulated board.

use crate::board::Board;
use anyhow::{Context, Result, anyhow, bail};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How a run ended.
pub(crate) struct Ended {
    /// The program's exit code; `None` if a signal ended the emulator.
    pub(crate) code: Option<i32>,
    /// Everything it printed.
    pub(crate) lines: Vec<String>,
    /// What the emulator or a panic said.
    pub(crate) errors: String,
}

impl Ended {
    /// Fails with the program's own last words unless its exit code is 0.
    pub(crate) fn success(self) -> Result<Vec<String>> {
        match self.code {
            Some(0) => Ok(self.lines),
            code => {
                let code = code.map_or("a signal".to_string(), |code| format!("exit code {code}"));
                let last = self.lines.last().map_or("", String::as_str);
                bail!("firmware ended with {code}: {last} {}", self.errors.trim())
            }
        }
    }
}

/// Boots `elf`, with `argument` on its command line and `folder` as the place of its files, and
/// hands on every line as it comes.
pub(crate) fn run(
    board: &Board,
    elf: &Path,
    argument: Option<&str>,
    folder: &Path,
    mut line: impl FnMut(&str),
) -> Result<Ended> {
    let mut command = Command::new(&board.emulator[0]);
    command.args(&board.emulator[1..]).arg(elf).current_dir(folder);
    if let Some(argument) = argument {
        command.args(["-append", argument]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {}", board.emulator[0]))?;

    let output = child.stdout.take().context("the emulator's output")?;
    let mut errors = child.stderr.take().context("the emulator's errors")?;
    let errors = thread::spawn(move || {
        let mut text = String::new();
        // What cannot be read is lost with the emulator.
        let _ = errors.read_to_string(&mut text);
        text
    });
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        lines.for_each(|line| drop(send.send(line)));
    });

    let start = Instant::now();
    let mut lines = Vec::new();
    loop {
        match receive.recv_timeout(board.limit.saturating_sub(start.elapsed())) {
            Ok(text) => {
                line(&text);
                lines.push(text);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                child.kill()?;
                child.wait()?;
                return Err(hung(board, board.limit));
            }
        }
    }
    let code = child.wait()?.code();
    let errors = errors.join().unwrap_or_default();
    Ok(Ended { code, lines, errors })
}

/// Boots `elf` and takes everything that it writes, which need not be text.
pub(crate) fn bytes(board: &Board, elf: &Path) -> Result<Vec<u8>> {
    let mut command = Command::new(&board.emulator[0]);
    command.args(&board.emulator[1..]).arg(elf).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {}", board.emulator[0]))?;
    let mut output = child.stdout.take().context("the emulator's output")?;
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.read_to_end(&mut bytes).map(|_| bytes);
        drop(send.send(read));
    });
    let Ok(bytes) = receive.recv_timeout(board.limit) else {
        child.kill()?;
        child.wait()?;
        return Err(hung(board, board.limit));
    };
    match child.wait()?.code() {
        Some(0) => Ok(bytes?),
        code => bail!("board {}: the firmware ended with {code:?}", board.name),
    }
}

/// Boots `elf` with `argument`, one instruction at a time, and hands on the address of each. Nothing ends a program that hangs.
pub(crate) fn traced(
    board: &Board,
    elf: &Path,
    argument: &str,
    mut execute: impl FnMut(u64),
) -> Result<Ended> {
    let mut command = Command::new(&board.emulator[0]);
    command.args(&board.emulator[1..]).arg(elf).args(["-append", argument]);
    command.args(["-singlestep", "-d", "exec,nochain"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {}", board.emulator[0]))?;
    let output = child.stdout.take().context("the emulator's output")?;
    let lines = thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).collect());

    let mut log = BufReader::with_capacity(1 << 20, child.stderr.take().context("the emulator's log")?);
    let (mut line, mut errors) = (Vec::new(), String::new());
    while log.read_until(b'\n', &mut line)? > 0 {
        match executed(&line) {
            Some(address) => execute(address),
            None => errors.push_str(&String::from_utf8_lossy(&line)),
        }
        line.clear();
    }
    let code = child.wait()?.code();
    let lines = lines.join().map_err(|_| anyhow!("the emulator's output was not read"))?;
    Ok(Ended { code, lines, errors })
}

/// The address of a line `Trace 0: HOST [BASE/ADDRESS/FLAGS/FLAGS] NAME`.
fn executed(line: &[u8]) -> Option<u64> {
    let fields = line.strip_prefix(b"Trace ")?;
    let address = fields.split(|&byte| byte == b'/').nth(1)?;
    u64::from_str_radix(str::from_utf8(address).ok()?, 16).ok()
}

fn hung(board: &Board, limit: Duration) -> anyhow::Error {
    anyhow!("board {}: the firmware has not ended after {} s", board.name, limit.as_secs())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A board whose emulator is a program of the host.
    fn board(emulator: &[&str]) -> Board {
        Board {
            name: "test".into(),
            target: String::new(),
            emulator: emulator.iter().map(|word| word.to_string()).collect(),
            limit: Duration::from_millis(500),
            build: PathBuf::new(),
        }
    }

    fn run(emulator: &[&str], elf: &str) -> Result<Ended> {
        super::run(&board(emulator), Path::new(elf), None, Path::new("."), |_| {})
    }

    #[test]
    fn output_and_exit_code_arrive() {
        let ended = run(&["sh", "-c"], "echo one; echo two; echo three >&2; exit 7").unwrap();
        assert_eq!((ended.code, &ended.lines[..]), (Some(7), &["one".to_string(), "two".into()][..]));
        assert_eq!(ended.errors, "three\n");
        let error = ended.success().unwrap_err().to_string();
        assert_eq!(error, "firmware ended with exit code 7: two three");
        assert_eq!(run(&["echo"], "done").unwrap().success().unwrap(), ["done"]);
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let start = Instant::now();
        let error = run(&["sleep"], "60").err().unwrap().to_string();
        assert!(error.contains("has not ended"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_missing_emulator_is_named() {
        let error = run(&["no-such-emulator"], "x").err().unwrap();
        assert!(error.to_string().contains("no-such-emulator"), "{error}");
    }
}
