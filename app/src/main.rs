//! `cell2text`: a file alone opens the window, a command works in the terminal.

use std::process::ExitCode;

fn main() -> ExitCode {
    app::cli::main()
}
