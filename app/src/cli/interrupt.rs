//! Ctrl-C: the first asks the running job to stop, the second ends the program.

use std::sync::atomic::{AtomicBool, Ordering};

use super::failure::Failure;

static PRESSED: AtomicBool = AtomicBool::new(false);

/// Takes over Ctrl-C.
///
/// # Errors
/// Where the system does not allow it.
pub fn listen() -> Result<(), Failure> {
    ctrlc::set_handler(|| {
        if PRESSED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })
    .map_err(|e| Failure::Other(e.into()))
}

/// Whether Ctrl-C was pressed.
pub fn pressed() -> bool {
    PRESSED.load(Ordering::SeqCst)
}

/// Forgets the first press, so that what is left to do (writing what there is) can be done. Another press then asks
/// for a stop again.
pub fn forgive() {
    PRESSED.store(false, Ordering::SeqCst);
}
