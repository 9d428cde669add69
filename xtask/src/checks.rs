//! `cargo xtask test` and `cargo xtask lint`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::setup::{Setup, Wants};
use crate::system;
use crate::terminal::{self, say};

/// Runs all tests, or those that `arguments` of `cargo test` choose.
///
/// # Errors
/// When the machine cannot be made ready, the build fails, or a test does.
pub fn test(root: &Path, arguments: &[String]) -> Result<()> {
    let on_gpu = terminal::is_set("CELL2TEXT_TEST_GPU");
    let wants = Wants {
        build: true,
        test_python: true,
        drawing: on_gpu,
        software_drawing: !on_gpu,
        ..Wants::default()
    };
    let setup = Setup::prepare(root, wants)?;
    let mut command = setup.cargo(&["test"]);
    if !arguments.iter().any(|argument| argument == "-p" || argument.starts_with("--package")) {
        command.arg("--workspace");
        // Windows locks a running program's file, and this one would be linked anew.
        if cfg!(windows) {
            command.args(["--exclude", "xtask"]);
        }
    }
    // Arguments after `--` are the test programs' own, so that ours must come before.
    command.arg("--no-fail-fast").args(arguments);
    if !on_gpu && let Some(driver) = system::software_vulkan_driver() {
        // The second name is for loaders older than 1.3.207.
        command.env("VK_DRIVER_FILES", &driver).env("VK_ICD_FILENAMES", &driver);
    }
    let started = Instant::now();
    let (succeeded, total) = run_and_count(&mut command)?;
    if !succeeded && total == Counts::default() {
        bail!("no test ran: what stood in the way is above");
    }
    say(&format!(
        "\nAll tests together: {} passed, {} failed, {} ignored, in {:.0} s with the build.",
        total.passed,
        total.failed,
        total.ignored,
        started.elapsed().as_secs_f64()
    ));
    if !succeeded {
        bail!("the tests did not all pass");
    }
    Ok(())
}

/// Checks the formatting and runs clippy.
///
/// # Errors
/// When a tool is missing or finds something.
pub fn lint(root: &Path) -> Result<()> {
    let setup = Setup::prepare(root, Wants { build: true, ..Wants::default() })?;
    for (tool, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        ensure_component(&setup, tool, component)?;
    }
    terminal::run(&mut setup.cargo(&["fmt", "--all", "--check"]))?;
    terminal::run(&mut setup.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// Sees to it that `cargo <tool>` runs: minimal toolchains come without.
fn ensure_component(setup: &Setup, tool: &str, component: &str) -> Result<()> {
    if terminal::succeeds(&mut setup.cargo(&[tool, "--version"])) {
        return Ok(());
    }
    if terminal::find_program("rustup").is_some() {
        say(&format!("Adding {component} to the Rust toolchain"));
        if terminal::run(
            Command::new("rustup").args(["component", "add", component]).current_dir(setup.root()),
        )
        .is_ok()
        {
            return Ok(());
        }
    }
    bail!("this Rust toolchain has no {component}; add it with: rustup component add {component}")
}

/// What the test programs counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Runs `command`, passes on what it prints, and adds up the closing lines of its test programs.
fn run_and_count(command: &mut Command) -> Result<(bool, Counts)> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start `{}`", terminal::spelled(command)))?;
    let mut total = Counts::default();
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).context("could not read what the tests print")? > 0 {
            let _ = std::io::stdout().write_all(&line);
            add_closing_line(&mut total, &String::from_utf8_lossy(&line));
            line.clear();
        }
    }
    let status = child.wait().context("could not wait for the tests")?;
    Ok((status.success(), total))
}

/// Adds the numbers of a line like `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn add_closing_line(total: &mut Counts, line: &str) {
    let Some((_, numbers)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
        return;
    };
    for part in numbers.split(';') {
        let Some((count, what)) = part.trim().split_once(' ') else { continue };
        let Ok(count) = count.parse::<u64>() else { continue };
        match what {
            "passed" => total.passed += count,
            "failed" => total.failed += count,
            "ignored" => total.ignored += count,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_add_up_and_other_lines_do_not() {
        let mut total = Counts::default();
        add_closing_line(
            &mut total,
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out\n",
        );
        add_closing_line(&mut total, "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured\n");
        add_closing_line(&mut total, "test genes::a_name ... ok\n");
        assert_eq!(total, Counts { passed: 7, failed: 2, ignored: 1 });
    }
}
