//! `cell2text devices`: where models can compute on this machine.

use clap::Args;
use engine::nn::devices;

use super::failure::Failure;
use super::output::Output;

/// Lists the devices that models can compute on, the best first
#[derive(Debug, Clone, Args)]
pub struct DevicesArgs {
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

impl DevicesArgs {
    /// Prints the devices.
    ///
    /// # Errors
    /// Where it cannot print.
    pub fn run(&self) -> Result<(), Failure> {
        let devices = devices();
        let mut out = Output::new();
        if self.json {
            return out.json(&devices);
        }
        for device in devices {
            out.line(format_args!(
                "--device {:5} {} ({})",
                device.preference.to_string(),
                device.name,
                device.note
            ))?;
        }
        Ok(())
    }
}
