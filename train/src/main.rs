//! `fixformer-train`: from labelled sequences and a recipe to a checkpoint for `fixformer quantize`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use fixformer::host::data;
use fixformer::host::file::Files;
use fixformer::host::printable::{printable, printable_message};
use fixformer_train::data::Data;
use fixformer_train::generate::{self, Task};
use fixformer_train::recipe::Recipe;
use fixformer_train::{device, training};
use indicatif::{ProgressBar, ProgressStyle};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Trains models for `fixformer quantize`: every attention of the engine, from a recipe, without Python.
#[derive(Parser)]
#[command(name = "fixformer-train", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Trains a recipe; the best weights so far are in the checkpoint at any time, and stay there after Ctrl-C
    Run(Run),
    /// Writes the recordings of a task that needs no data from elsewhere
    Generate(Generate),
}

#[derive(clap::Args)]
struct Run {
    /// Description of the model with a table `[train]`
    #[arg(value_name = "RECIPE")]
    recipe: PathBuf,
    /// Checkpoint to write [default: the name of the recipe, here]
    #[arg(short, long, value_name = "SAFETENSORS")]
    output: Option<PathBuf>,
    /// Recordings, in place of `train.data`
    #[arg(long, value_name = "NPZ")]
    data: Option<PathBuf>,
    /// In place of `train.seed`
    #[arg(long)]
    seed: Option<u64>,
    /// cpu, or cuda or wgpu if built with that feature
    #[arg(long, default_value = "cpu")]
    device: String,
}

#[derive(clap::Args)]
struct Generate {
    /// Which task
    #[arg(value_enum)]
    task: Task,
    /// File to write
    #[arg(short, long, value_name = "NPZ")]
    output: PathBuf,
    /// Of the drawn recordings
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(run) => train(&run),
        Command::Generate(Generate { task, output, seed }) => generate::write(task, &output, seed),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", printable_message(&format!("error: {error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn train(run: &Run) -> Result<()> {
    let mut recipe = Recipe::read(&run.recipe)?;
    recipe.training.seed = run.seed.unwrap_or(recipe.training.seed);
    let device = device::open(&run.device)?;
    let path = recipe.data(run.data.as_deref())?;
    let output = match &run.output {
        Some(output) => output.clone(),
        None => PathBuf::from(run.recipe.file_stem().context("the recipe has no name")?)
            .with_extension("safetensors"),
    };
    let mut files = Files::default();
    files.read([run.recipe.clone()]);
    files.read(data::files(&path));
    files.write(&output)?;
    let data = Data::load(&recipe, &path)?;

    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
    let style = ProgressStyle::with_template("[{bar:30}] {percent}% {msg}, {eta} left")?;
    let bar = ProgressBar::new(1000).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(500));
    let outcome = training::train(&recipe, &data, &output, &device, &stop, &mut |now| {
        bar.set_position((1000.0 * now.done) as u64);
        let validation = now.validation.map_or(String::new(), |score| {
            let best = now.best.map_or(0.0, |best| best.accuracy);
            format!(", validation {:.2} % (best {:.2} %)", 100.0 * score.accuracy, 100.0 * best)
        });
        let line = format!("epoch {}, loss {:.4}{validation}", now.epochs, now.loss);
        if bar.is_hidden() && now.epoch_ended {
            eprintln!("{line}");
        }
        bar.set_message(line);
    })?;
    bar.finish_and_clear();
    println!(
        "{}: {} parameters, validation accuracy {:.2} % after epoch {}{}",
        printable(&output.display().to_string()),
        outcome.parameters,
        100.0 * outcome.best.accuracy,
        outcome.epoch,
        if outcome.stopped { "; interrupted" } else { "" }
    );
    Ok(())
}
