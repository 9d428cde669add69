//! The Cell2Text model: encoder, adapter, decoder, and the bundle they come in.

mod adapter;
mod bundle;
mod cell2text;
#[cfg(test)]
mod checkpoint_tests;
mod decoder;
mod decoder_folder;
mod encoder;
mod generated;
mod gguf;
mod grammar;
mod import;
mod import_sentence;
mod installed;
mod lora;
#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod packed_tests;
mod quantise;
mod readings;
#[cfg(test)]
mod reference_tests;
mod sampler;
mod sentence;
#[cfg(test)]
mod speed_tests;
mod text;
mod weigh;
mod writer;

pub use adapter::{Adapter, AdapterConfig, AdapterKind};
pub use bundle::{
    AdapterEntry, Bundle, CellInput, DecoderEntry, EncoderEntry, GenesEntry, Manifest, ModelFiles, Prompt,
};
pub use cell2text::{Cell2Text, Guidance, Input, Prompter, VectorInput, pad_tokens};
pub use decoder::{Decoder, DecoderConfig, EosTokens, Positions, RopeEntry, RopeParameters};
pub use decoder_folder::DecoderFolder;
pub use encoder::{Encoder, EncoderConfig, HiddenState};
pub use generated::{Generated, Piece, tempered};
pub use gguf::GgufDecoder;
pub use grammar::{Grammar, Leaning, Place, TokenGrammar};
pub use import::{ImportReport, ImportRequest, PromptStyle, import};
pub use import_sentence::{SentenceImport, import_sentence};
pub use installed::{InstalledModel, installed};
pub use lora::Lora;
pub(crate) use quantise::rounded;
pub use quantise::{QuantiseReport, quantise};
pub use sampler::{Choice, GenerationSettings, Sampler, TextForm};
pub use sentence::{CELL_TYPE_PROMPT, SentenceEntry, SentencePrompter};
pub use text::{TextTokenizer, Utf8Stream, render_chat};
pub use weigh::{Weighing, Weights};

/// The error of a `config.json` whose entries do not fit each other.
fn wrong_config<T>(element: &str, found: String, expected: &str) -> crate::Result<T> {
    Err(crate::Error::model(crate::error::Problem::new(
        element,
        found,
        expected,
        "Use the config.json that came with the weights.",
    )))
}
