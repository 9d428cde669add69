//! Cell2Text's two faces: the window and the command line. Both drive the same engine.

pub mod cli;
pub mod window;
