//! Recordings step by step, with a tick between the steps: how long a step takes, and how long the tick waits.

use crate::classifier::{Error, print_row};
use crate::host::File;
use crate::program::InRow;
use crate::recordings::Recordings;
use crate::{counter, println};
use fixformer::Session;
use fixformer::session::Stage;

/// Instructions from tick to tick: about a millisecond of a core with one instruction a cycle at 16 MHz.
const PERIOD: u64 = 16_000;

/// Prints for each recording a line `step STAGE largest_step N` for every stage, a line `ticks N longest_wait W`, and what
/// [`crate::classifier::all`] prints of it.
// Not inlined: its stack is not that of a run at one go.
#[inline(never)]
pub fn all(net: &mut Session<'_>, recordings: &mut Recordings<File>, input: &mut [i16]) -> Result<(), Error> {
    let mut row = 0;
    while let Some(samples) = recordings.next(input).map_err(Error::Recording)? {
        let mut running = net.start(samples).map_err(|error| Error::Run(InRow { row, error }))?;
        let mut largest = [0; Stage::ALL.len()];
        let mut ticks = Ticks { due: counter::now() + PERIOD, count: 0, longest_wait: 0 };
        loop {
            let stage = running.stage() as usize;
            let (step, instructions) = counter::measure(|| running.step());
            if let Some(largest) = largest.get_mut(stage) {
                *largest = instructions.max(*largest);
            }
            ticks.serve();
            if step.map_err(|error| Error::Run(InRow { row, error }))?.is_ready() {
                break;
            }
        }
        for (stage, largest) in Stage::ALL.iter().zip(largest) {
            println!("step {stage} largest_step {largest}");
        }
        println!("ticks {} longest_wait {}", ticks.count, ticks.longest_wait);
        if let Some(scores) = running.scores() {
            print_row(row, &scores);
        }
        row += 1;
    }
    Ok(())
}

/// A tick that is served when the loop comes to it.
struct Ticks {
    due: u64,
    count: u32,
    longest_wait: u64,
}

impl Ticks {
    /// Serves the ticks that have come due since the last time.
    fn serve(&mut self) {
        let now = counter::now();
        while self.due <= now {
            self.longest_wait = self.longest_wait.max(now - self.due);
            self.count += 1;
            self.due += PERIOD;
        }
    }
}
