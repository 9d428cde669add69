//! Models of true shapes with random weights, beside llama.cpp and torch in the same run: decoding, prefill, encoding.
//!
//! Each work is timed in turn by both, several times, on the same number of threads, and the fastest of each counts: what
//! else the machine did meanwhile makes times longer and never shorter.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::python::Environment;
use crate::setup::{Setup, Wants};
use crate::terminal::{self, say};

/// Times that each work is done by each side.
const ROUNDS: usize = 3;

/// What both models at 4 bits may take.
const MEMORY_TARGET_GB: f64 = 1.6;

/// The engine is timed as it is shipped; the dev profile optimises it less, so that it builds faster.
const AS_SHIPPED: &str = "profile.dev.package.engine.opt-level=3";

/// How large the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    decoder_layers: usize,
    encoder_layers: usize,
    prompt: usize,
    new: usize,
    genes: usize,
    rounds: usize,
}

impl Size {
    /// The true one.
    const FULL: Self =
        Self { decoder_layers: 16, encoder_layers: 18, prompt: 512, new: 48, genes: 2048, rounds: ROUNDS };
    /// One that shows whether all works, and says nothing of speed.
    const SMALL: Self =
        Self { decoder_layers: 1, encoder_layers: 1, prompt: 32, new: 4, genes: 128, rounds: 1 };

    /// What cargo is told of the profile: trying takes what is built already.
    fn profile(self) -> &'static [&'static str] {
        if self == Self::SMALL { &[] } else { &["--config", AS_SHIPPED] }
    }

    fn read(arguments: &[String]) -> Result<Self> {
        match arguments {
            [] => Ok(Self::FULL),
            [word] if word == "small" => Ok(Self::SMALL),
            _ => bail!("bench models takes nothing, or the word small"),
        }
    }
}

/// Measures and prints.
///
/// # Errors
/// When the machine cannot be made ready, or one of the programs fails.
pub(super) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let size = Size::read(arguments)?;
    let setup = Setup::prepare(root, Wants { build: true, ..Wants::default() })?;
    let peers = Peers { python: python(root, &setup)?, script: root.join("tests/python/time_models.py") };
    let folder = setup.target_dir().join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    terminal::run(setup.cargo(&["test", "--workspace", "--lib", "--no-run"]).args(size.profile()))?;

    let mut rows = Vec::new();
    for (bits, kind) in [(4, "q4_0"), (8, "q8_0")] {
        let file = folder.join(format!("llama_1b_{kind}_table_q8_0_{}.gguf", size.decoder_layers));
        peers.write_decoder(&file, kind, size)?;
        let test = format!("a_decoder_of_llama_1bs_shape_at_{bits}_bits");
        let (mut own, mut theirs) = (Decoding::default(), Decoding::default());
        for round in 1..=size.rounds {
            say(&format!("Decoder at {bits} bits, round {round} of {}: cell2text", size.rounds));
            own.keep_faster(Decoding::of(&figures(&setup, &test, size, threads)?)?);
            say(&format!("Decoder at {bits} bits, round {round} of {}: llama.cpp", size.rounds));
            theirs.keep_faster(Decoding::of(&peers.decode(&file, size, threads)?)?);
        }
        let work = |what: &str| format!("Llama 3.2 1B's shape, Q{bits}, {what}");
        rows.push(Row::rate(work(&format!("prefill of {} tokens", size.prompt)), own.read, theirs.read));
        rows.push(Row::rate(work("decode"), own.written, theirs.written));
    }
    let encoders = [("float32", "in_full"), ("8 bits", "at_8_bits"), ("4 bits", "at_4_bits")];
    let (mut own, mut theirs) = ([f64::INFINITY; 3], f64::INFINITY);
    for round in 1..=size.rounds {
        for ((bits, test), own) in encoders.iter().zip(&mut own) {
            say(&format!("Encoder, {bits}, round {round} of {}: cell2text", size.rounds));
            let test = format!("an_encoder_of_geneformer_316ms_shape_{test}");
            *own = own.min(number(&figures(&setup, &test, size, threads)?, "cell_secs")?);
        }
        say(&format!("Encoder, round {round} of {}: torch", size.rounds));
        theirs = theirs.min(number(&peers.encode(size, threads)?, "cell_secs")?);
    }
    for ((bits, _), own) in encoders.iter().zip(own) {
        rows.push(Row {
            work: format!("Geneformer 316M's shape, {bits}, one cell of {} genes", size.genes),
            own: format!("{own:.2} s"),
            theirs: format!("{theirs:.2} s (torch, float32)"),
            ratio: own / theirs,
            better: "less",
        });
    }
    say("Memory of both at 4 bits");
    rows.push(memory(&setup, &folder, size, threads)?);
    print(&rows, threads, size);
    Ok(())
}

/// The highest memory of a process that loads both models at 4 bits, encodes a cell and writes.
fn memory(setup: &Setup, folder: &Path, size: Size, threads: usize) -> Result<Row> {
    // Written by a process of its own, whose memory does not count.
    let models = folder.join(format!("both_{}_{}", size.encoder_layers, size.decoder_layers));
    let with = [("MODELS", models.display().to_string())];
    if !models.is_dir() {
        let beside = folder.join("both.part");
        let test = "both_models_at_4_bits_are_written";
        figures_with(setup, test, size, threads, &[("MODELS", beside.display().to_string())])?;
        std::fs::rename(&beside, &models).with_context(|| format!("could not name {}", models.display()))?;
    }
    let figures = figures_with(setup, "both_models_at_4_bits_take_this_much_memory", size, threads, &with)?;
    let peak = number(&figures, "peak_bytes")? / 1e9;
    Ok(Row {
        work: "Geneformer 316M's and Llama 3.2 1B's shapes at 4 bits, highest memory of the process"
            .to_owned(),
        own: format!("{peak:.2} GB"),
        theirs: format!("{MEMORY_TARGET_GB} GB (target)"),
        ratio: peak / MEMORY_TARGET_GB,
        better: "less",
    })
}

/// What one side took to read and write, in tokens a second.
#[derive(Debug, Clone, Copy, Default)]
struct Decoding {
    read: f64,
    written: f64,
}

impl Decoding {
    fn of(figures: &serde_json::Value) -> Result<Self> {
        Ok(Self {
            read: number(figures, "read_tokens_per_sec")?,
            written: number(figures, "written_tokens_per_sec")?,
        })
    }

    fn keep_faster(&mut self, other: Self) {
        self.read = self.read.max(other.read);
        self.written = self.written.max(other.written);
    }
}

/// One line of the result.
struct Row {
    work: String,
    own: String,
    theirs: String,
    ratio: f64,
    /// Whether more or less of the ratio is better.
    better: &'static str,
}

impl Row {
    fn rate(work: String, own: f64, theirs: f64) -> Self {
        let words = |rate: f64| format!("{rate:.1} tokens/s");
        let theirs_words = format!("{} (llama.cpp)", words(theirs));
        Self { work, own: words(own), theirs: theirs_words, ratio: own / theirs, better: "more" }
    }
}

fn print(rows: &[Row], threads: usize, size: Size) {
    let small =
        if size == Size::FULL { "" } else { " TRIED AT A SMALL SIZE: these are no figures of speed." };
    let mut text = format!(
        "\nThe fastest of {} rounds in turn, {threads} threads, on the CPU.{small}\n\n\
         | work | cell2text | peer | cell2text ÷ peer |\n| --- | --- | --- | --- |\n",
        size.rounds
    );
    for Row { work, own, theirs, ratio, better } in rows {
        text.push_str(&format!("| {work} | {own} | {theirs} | {ratio:.2} ({better} is better) |\n"));
    }
    terminal::print(&text);
}

fn number(figures: &serde_json::Value, name: &str) -> Result<f64> {
    figures.get(name).and_then(serde_json::Value::as_f64).with_context(|| format!("{name} was not printed"))
}

/// What the engine's own test of speed prints.
fn figures(setup: &Setup, test: &str, size: Size, threads: usize) -> Result<serde_json::Value> {
    let layers = if test.starts_with("an_encoder") { size.encoder_layers } else { size.decoder_layers };
    figures_with(setup, test, size, threads, &[("LAYERS", layers.to_string())])
}

/// [`figures`], told more.
fn figures_with(
    setup: &Setup,
    test: &str,
    size: Size,
    threads: usize,
    more: &[(&str, String)],
) -> Result<serde_json::Value> {
    let mut command = setup.cargo(&["test", "--workspace", "--lib", "--quiet"]);
    command.args(size.profile()).args([test, "--", "--ignored", "--nocapture"]);
    for (name, value) in [
        ("ENCODER_LAYERS", size.encoder_layers),
        ("DECODER_LAYERS", size.decoder_layers),
        ("PROMPT", size.prompt),
        ("NEW", size.new),
        ("GENES", size.genes),
    ] {
        command.env(format!("CELL2TEXT_SPEED_{name}"), value.to_string());
    }
    for (name, value) in more {
        command.env(format!("CELL2TEXT_SPEED_{name}"), value);
    }
    command.env("RAYON_NUM_THREADS", threads.to_string());
    let spelled = terminal::spelled(&command);
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("could not start `{spelled}`"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find_map(|line| line.split_once("SPEED ").map(|(_, json)| json));
    let Some(line) = line.filter(|_| output.status.success()) else {
        bail!("`{spelled}` did not print its figures:\n{text}");
    };
    serde_json::from_str(line).with_context(|| format!("`{spelled}` printed {line:?}"))
}

/// The peers, in Python.
struct Peers {
    python: PathBuf,
    script: PathBuf,
}

impl Peers {
    /// Writes a decoder for llama.cpp, unless it was written before.
    fn write_decoder(&self, file: &Path, kind: &str, size: Size) -> Result<()> {
        if file.is_file() {
            return Ok(());
        }
        say(&format!("Writing {}", file.display()));
        // Under another name until it is whole.
        let beside = file.with_extension("part");
        let mut command = self.command("gguf");
        command.arg(&beside).args(["--type", kind, "--layers", &size.decoder_layers.to_string()]);
        terminal::run(command.stdout(Stdio::null()))?;
        std::fs::rename(&beside, file).with_context(|| format!("could not name {}", file.display()))
    }

    fn decode(&self, file: &Path, size: Size, threads: usize) -> Result<serde_json::Value> {
        let mut command = self.command("decoder");
        command.arg(file);
        answer(with(command, [("threads", threads), ("prompt", size.prompt), ("new", size.new)]))
    }

    fn encode(&self, size: Size, threads: usize) -> Result<serde_json::Value> {
        let numbers = [("threads", threads), ("genes", size.genes), ("layers", size.encoder_layers)];
        answer(with(self.command("encoder"), numbers))
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(&self.script).arg(what);
        command
    }
}

fn with(mut command: Command, numbers: [(&str, usize); 3]) -> Command {
    for (name, value) in numbers {
        command.arg(format!("--{name}")).arg(value.to_string());
    }
    command
}

/// The JSON in the last line that a peer prints.
fn answer(mut command: Command) -> Result<serde_json::Value> {
    let spelled = terminal::spelled(&command);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("could not start `{spelled}`"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next_back().unwrap_or_default();
    serde_json::from_str(line)
        .with_context(|| format!("`{spelled}` failed:\n{}", String::from_utf8_lossy(&output.stderr)))
}

/// A Python with the peers: the one that `CELL2TEXT_PEERS_PYTHON` names, else one of our own.
fn python(root: &Path, setup: &Setup) -> Result<PathBuf> {
    if let Some(python) = std::env::var_os("CELL2TEXT_PEERS_PYTHON") {
        return Ok(PathBuf::from(python));
    }
    let environment = Environment::with_peers(setup.target_dir());
    let requirements = root.join("tests/python/time_models_requirements.txt");
    // llama.cpp is compiled here, with all that this processor can do.
    environment.install_requirements_with(&requirements, &[("CMAKE_ARGS", "-DGGML_NATIVE=ON")]).context(
        "llama.cpp and torch could not be set up; set CELL2TEXT_PEERS_PYTHON to a Python that has the packages of \
         tests/python/time_models_requirements.txt",
    )?;
    Ok(environment.python())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faster_of_each_counts() {
        let mut best = Decoding::default();
        for (read, written) in [(3.0, 9.0), (5.0, 7.0)] {
            best.keep_faster(Decoding { read, written });
        }
        assert_eq!((best.read, best.written), (5.0, 9.0));
        let row = Row::rate("decode".to_owned(), 19.0, 20.0);
        assert!((row.ratio - 0.95).abs() < 1e-12);
        assert_eq!(row.theirs, "20.0 tokens/s (llama.cpp)");
    }

    #[test]
    fn a_size_is_full_or_small() {
        assert_eq!(Size::read(&[]).unwrap(), Size::FULL);
        assert_eq!(Size::read(&["small".to_owned()]).unwrap(), Size::SMALL);
        assert!(Size::read(&["16".to_owned()]).is_err());
    }
}
