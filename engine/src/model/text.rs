//! Text to tokens and back: the tokenizer, the chat template, and byte-exact streaming.

use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, context};
use tokenizers::Tokenizer;

use crate::error::Problem;
use crate::{Error, Result};

/// A tokenizer with the bytes of every token, so that text can be streamed exactly.
#[derive(Clone)]
pub struct TextTokenizer {
    inner: Arc<Tokenizer>,
    /// The bytes that each token adds to a text; empty for special tokens.
    bytes: Arc<Vec<Vec<u8>>>,
}

impl std::fmt::Debug for TextTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextTokenizer").field("vocab_size", &self.bytes.len()).finish()
    }
}

impl TextTokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Model`] when it is damaged.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let inner = Tokenizer::from_bytes(json).map_err(|e| {
            Error::model(Problem::new(
                "tokenizer.json",
                e.to_string(),
                "a Hugging Face tokenizer",
                "Download it again.",
            ))
        })?;
        Ok(Self::new(inner))
    }

    /// Wraps a tokenizer.
    pub fn new(inner: Tokenizer) -> Self {
        let byte_level = byte_level_alphabet();
        let special: Vec<u32> =
            inner.get_added_tokens_decoder().iter().filter(|(_, t)| t.special).map(|(&id, _)| id).collect();
        let size = inner.get_vocab(true).values().max().map_or(0, |&m| m as usize + 1);
        let spelled = |id: u32| inner.id_to_token(id).unwrap_or_default();
        let is_byte_level = (0..size as u32).any(|id| spelled(id).starts_with('Ġ'));
        let bytes = (0..size as u32)
            .map(|id| {
                if special.contains(&id) {
                    return Vec::new();
                }
                let token = spelled(id);
                if is_byte_level { byte_level.bytes_of(&token) } else { piece_bytes(&token) }
            })
            .collect();
        Self { inner: Arc::new(inner), bytes: Arc::new(bytes) }
    }

    /// Tokens of `text`. Special tokens written out in it count as themselves; none is added.
    ///
    /// # Errors
    /// [`Error::Model`] when the tokenizer cannot spell the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.ids(text, false)
    }

    /// Tokens of `text` with the special ones that the tokenizer sets about it, as `[CLS]` and `[SEP]`.
    ///
    /// # Errors
    /// As [`TextTokenizer::encode`].
    pub fn encode_whole(&self, text: &str) -> Result<Vec<u32>> {
        self.ids(text, true)
    }

    fn ids(&self, text: &str, with_special: bool) -> Result<Vec<u32>> {
        let encoding = self.inner.encode(text, with_special).map_err(|e| {
            Error::model(Problem::new(
                "tokenizer",
                e.to_string(),
                "a text it can spell",
                "Check tokenizer.json.",
            ))
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The id of a token spelled exactly so.
    pub fn token(&self, spelling: &str) -> Option<u32> {
        self.inner.token_to_id(spelling)
    }

    /// Bytes that `token` adds to a text; none for a special or unknown token.
    pub fn bytes(&self, token: u32) -> &[u8] {
        self.bytes.get(token as usize).map_or(&[], Vec::as_slice)
    }

    /// The text of `tokens`, special ones left out.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|&t| self.bytes(t).iter().copied()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Tokens in the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.bytes.len()
    }

    /// The tokenizer as `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Model`] when it cannot be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        self.inner.to_string(true).map_err(|e| {
            Error::model(Problem::new(
                "tokenizer",
                e.to_string(),
                "one that can be saved",
                "Report this as a bug.",
            ))
        })
    }
}

/// Bytes of a SentencePiece token: `▁` is a blank, `<0xNN>` a byte.
fn piece_bytes(token: &str) -> Vec<u8> {
    let byte = token.strip_prefix("<0x").and_then(|t| t.strip_suffix('>'));
    match byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
        Some(b) => vec![b],
        None => token.replace('▁', " ").into_bytes(),
    }
}

/// The printable stand-ins that byte-level BPE uses for bytes (as GPT-2 introduced them).
struct ByteLevelAlphabet(std::collections::HashMap<char, u8>);

fn byte_level_alphabet() -> ByteLevelAlphabet {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut stand_in = 256u32;
    let map = (0..=255u8).map(|b| {
        let c = if printable(b) {
            char::from(b)
        } else {
            let c = char::from_u32(stand_in).unwrap_or(char::REPLACEMENT_CHARACTER);
            stand_in += 1;
            c
        };
        (c, b)
    });
    ByteLevelAlphabet(map.collect())
}

impl ByteLevelAlphabet {
    fn bytes_of(&self, token: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(token.len());
        for c in token.chars() {
            match self.0.get(&c) {
                Some(&b) => out.push(b),
                // An added token that is not special is spelled as plain text.
                None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        out
    }
}

/// Joins the bytes of tokens into whole characters.
///
/// A character may span tokens: its bytes wait here until they are whole, and what is never completed is given out as
/// U+FFFD at the end, so nothing is lost.
#[derive(Debug, Default)]
pub struct Utf8Stream {
    pending: Vec<u8>,
}

impl Utf8Stream {
    /// Adds bytes; returns the characters that are whole now.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut out = String::new();
        loop {
            match std::str::from_utf8(&self.pending) {
                Ok(text) => {
                    out.push_str(text);
                    self.pending.clear();
                    return out;
                }
                Err(e) => {
                    let valid = e.valid_up_to();
                    out.push_str(&String::from_utf8_lossy(&self.pending[..valid]));
                    match e.error_len() {
                        Some(bad) => {
                            out.push(char::REPLACEMENT_CHARACTER);
                            self.pending.drain(..valid + bad);
                        }
                        None => {
                            self.pending.drain(..valid);
                            return out;
                        }
                    }
                }
            }
        }
    }

    /// What is left when no more bytes come.
    pub fn finish(&mut self) -> String {
        let rest = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        rest
    }
}

/// Renders a chat template (Jinja, as in `tokenizer_config.json`) with a system and a user message.
///
/// `date` stands for today's, so that a prompt never depends on the day it is run.
///
/// # Errors
/// [`Error::Model`] when the template is wrong.
pub fn render_chat(template: &str, system: &str, user: &str, bos: &str, date: &str) -> Result<String> {
    let wrong = |e: minijinja::Error| {
        Error::model(Problem::new(
            "chat template",
            e.to_string(),
            "a Jinja template",
            "Check the bundle's template.",
        ))
    };
    let mut environment = Environment::new();
    let fixed = date.to_owned();
    environment.add_function("strftime_now", move |_format: String| fixed.clone());
    environment.add_function(
        "raise_exception",
        |message: String| -> std::result::Result<String, minijinja::Error> {
            Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, message))
        },
    );
    // Hugging Face renders chat templates with these two settings; templates are written for them.
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    environment.set_syntax(syntax.build().map_err(wrong)?);
    environment.add_template("chat", template).map_err(wrong)?;
    let messages =
        [context! { role => "system", content => system }, context! { role => "user", content => user }];
    let messages = if system.is_empty() { &messages[1..] } else { &messages[..] };
    environment
        .get_template("chat")
        .and_then(|t| {
            t.render(
                context! { messages, bos_token => bos, add_generation_prompt => true, date_string => date },
            )
        })
        .map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_character_split_over_tokens_comes_whole_and_the_last_bytes_are_not_lost() {
        let mut stream = Utf8Stream::default();
        let bytes = "aé🧬".as_bytes();
        let pieces: Vec<String> = bytes.iter().map(|&b| stream.push(&[b])).collect();
        assert_eq!(pieces, ["a", "", "é", "", "", "", "🧬"]);
        assert_eq!(stream.push(&"é".as_bytes()[..1]), "");
        assert_eq!(stream.finish(), "\u{FFFD}");
        assert_eq!(stream.finish(), "");
    }

    proptest! {
        #[test]
        fn streamed_bytes_give_the_same_text_however_they_are_cut(bytes: Vec<u8>, cut in 1usize..5) {
            let mut stream = Utf8Stream::default();
            let mut text: String = bytes.chunks(cut).map(|c| stream.push(c)).collect();
            text.push_str(&stream.finish());
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn a_chat_template_sees_both_messages_and_a_fixed_date() {
        let template = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}{% endfor %}\
                        {% if add_generation_prompt %}<assistant>{% endif %}{{ strftime_now('%d') }}";
        let text = render_chat(template, " be brief ", "hi", "<s>", "26 Jul 2024").unwrap();
        assert_eq!(text, "<s><system>be brief<user>hi<assistant>26 Jul 2024");
        assert!(render_chat("{% for %}", "", "", "", "").is_err());
    }
}
