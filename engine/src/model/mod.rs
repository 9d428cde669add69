//! The Cell2Text model: encoder, adapter, decoder, and the bundle they come in.

mod adapter;
mod bundle;
mod cell2text;
mod decoder;
mod encoder;
mod grammar;
mod lora;
#[cfg(test)]
mod reference_tests;
mod sampler;
mod text;

pub use adapter::{Adapter, AdapterConfig, AdapterKind};
pub use bundle::{
    AdapterEntry, Bundle, DecoderEntry, EncoderEntry, GenesEntry, Manifest, ModelFiles, Prompt,
};
pub use cell2text::{Cell2Text, Generated, Piece, Prompter, pad_tokens};
pub use decoder::{Decoder, DecoderConfig, EosTokens, RopeEntry};
pub use encoder::{Encoder, EncoderConfig, HiddenState};
pub use grammar::{Grammar, Leaning, Place, TokenGrammar};
pub use lora::Lora;
pub use sampler::{Choice, GenerationSettings, Sampler, TextForm};
pub use text::{TextTokenizer, Utf8Stream, render_chat};

/// The error of a `config.json` whose entries do not fit each other.
fn wrong_config<T>(element: &str, found: String, expected: &str) -> crate::Result<T> {
    Err(crate::Error::model(crate::error::Problem::new(
        element,
        found,
        expected,
        "Use the config.json that came with the weights.",
    )))
}
