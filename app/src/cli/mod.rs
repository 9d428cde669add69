//! The command line: the engine without a window, with the same results.
//!
//! Standard output carries results only; progress, warnings and errors go to standard error. Exit codes are stable,
//! see [`EXIT_CODES`].

mod annotate;
mod cache;
mod client;
mod compare;
mod dataset;
mod demo;
mod describe;
mod devices;
mod doctor;
mod embed;
mod evaluate;
mod failure;
mod import;
mod info;
mod input;
mod interrupt;
mod models;
mod ontology;
mod output;
mod progress;
mod quantize;
mod train;
mod trial;
mod window;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use window::WindowArgs;

/// What the exit codes mean; part of `--help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    done (also when the reader of the output leaves early)
  1    the work failed
  2    the command line makes no sense
  3    the input file, or its genes, cannot be used
  130  stopped by Ctrl-C

Without a command the window opens. Set CELL2TEXT_LOG=debug to see what goes on inside.";

/// See your cells and read what they are
///
/// Opens h5ad files, shows their map, and describes cells in words with a language model that runs on this machine.
#[derive(Debug, Parser)]
#[command(name = "cell2text", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    window: WindowArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Info(info::InfoArgs),
    Doctor(doctor::DoctorArgs),
    Describe(describe::DescribeArgs),
    Annotate(annotate::AnnotateArgs),
    Embed(embed::EmbedArgs),
    Compare(compare::CompareArgs),
    Dataset(dataset::DatasetArgs),
    Train(train::TrainArgs),
    Evaluate(evaluate::EvaluateArgs),
    Ontology(ontology::OntologyArgs),
    Devices(devices::DevicesArgs),
    Import(Box<import::ImportArgs>),
    Models(models::ModelsArgs),
    Quantize(quantize::QuantizeArgs),
    Cache(cache::CacheArgs),
    #[command(name = "try", hide = true)]
    Trial(trial::TrialArgs),
    Demo(demo::DemoArgs),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("CELL2TEXT_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off")),
        )
        .with_writer(std::io::stderr)
        .init();
    let result = match cli.command {
        Some(Command::Info(args)) => args.run(),
        Some(Command::Doctor(args)) => args.run(),
        Some(Command::Describe(args)) => args.run(),
        Some(Command::Annotate(args)) => args.run(),
        Some(Command::Embed(args)) => args.run(),
        Some(Command::Compare(args)) => args.run(),
        Some(Command::Dataset(args)) => args.run(),
        Some(Command::Train(args)) => args.run(),
        Some(Command::Evaluate(args)) => args.run(),
        Some(Command::Ontology(args)) => args.run(),
        Some(Command::Devices(args)) => args.run(),
        Some(Command::Import(args)) => args.run(),
        Some(Command::Models(args)) => args.run(),
        Some(Command::Quantize(args)) => args.run(),
        Some(Command::Cache(args)) => args.run(),
        Some(Command::Trial(args)) => args.run(),
        Some(Command::Demo(args)) => args.run(),
        None => cli.window.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message() {
                output::tell(format_args!("error: {message}"));
            }
            failure.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_file_alone_means_the_window() {
        let cli = Cli::try_parse_from(["cell2text", "cells.h5ad"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.window.file, Some(PathBuf::from("cells.h5ad")));
        assert!(Cli::try_parse_from(["cell2text"]).unwrap().command.is_none());
        assert!(matches!(
            Cli::try_parse_from(["cell2text", "info", "sample"]).unwrap().command,
            Some(Command::Info(_))
        ));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "cell2text describe cells.h5ad",
            "cell2text describe cells.h5ad --random 0",
            "cell2text describe cells.h5ad --random 2 --cell a",
            "cell2text describe cells.h5ad --random 2 --device abacus",
            "cell2text describe cells.h5ad --random 2 --temperature -1",
            "cell2text annotate cells.h5ad",
            "cell2text annotate cells.h5ad -o out.csv --limit 3 --random 3",
            "cell2text annotate cells.h5ad -o out.csv --replace",
            "cell2text cache remove",
            "cell2text cache --budget much",
            "cell2text embed cells.h5ad",
            "cell2text embed cells.h5ad -o out.csv --neighbours 0",
            "cell2text compare cells.h5ad --column type -o out.csv",
            "cell2text compare cells.h5ad --column type --a B --test anova -o out.csv",
            "cell2text dataset -o out",
            "cell2text dataset cells.h5ad",
            "cell2text dataset cells.h5ad -o out --cells 0",
            "cell2text dataset cells.h5ad -o out --dialect r",
            "cell2text dataset cells.h5ad -o out --keep some",
            "cell2text quantize",
            "cell2text quantize model --bits 5 -o out",
            "cell2text info",
            "cell2text info cells.h5ad --matrix obs/n_genes",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
