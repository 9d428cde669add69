//! `cell2text`: a file alone opens the window, a command works in the terminal.

use std::process::ExitCode;

/// Tensors are made and dropped by the thousand in a training step; the system's allocator gives each back to the
/// system and asks for it again, which took half the time of a step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    app::cli::main()
}
