//! Models that read a cell as a sentence of gene symbols (Cell2Sentence): the prompt is text, and there is no encoder.

use serde::{Deserialize, Serialize};

use super::text::{TextTokenizer, render_chat};
use crate::error::Problem;
use crate::{Error, Result};

/// How such a model is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentenceEntry {
    /// Genes in the sentence at most.
    pub genes: usize,
    /// The organism that the prompt names.
    pub organism: String,
    /// The prompt, with `{num_genes}`, `{organism}` and `{cell_sentence}` where these stand.
    pub prompt: String,
    /// Text that opens the prompt, where the decoder wants one.
    #[serde(default)]
    pub bos: String,
}

/// The first of Cell2Sentence's published prompts that ask for a cell type.
pub const CELL_TYPE_PROMPT: &str = "The following is a list of {num_genes} gene names ordered by descending expression \
     level in a {organism} cell. Your task is to give the cell type which this cell belongs to based on its gene \
     expression.\nCell sentence: {cell_sentence}.\nThe cell type corresponding to these genes is:";

/// Makes prompts of cell sentences.
#[derive(Debug, Clone)]
pub struct SentencePrompter {
    /// How the decoder is asked.
    pub entry: SentenceEntry,
    /// The decoder's chat template, where it was trained with one.
    pub chat_template: Option<String>,
    tokenizer: TextTokenizer,
}

impl SentencePrompter {
    /// A prompter for a decoder's tokenizer.
    ///
    /// # Errors
    /// [`Error::Model`] when the prompt has no place for the sentence.
    pub fn new(
        entry: SentenceEntry,
        chat_template: Option<String>,
        tokenizer: TextTokenizer,
    ) -> Result<Self> {
        if !entry.prompt.contains("{cell_sentence}") {
            return Err(Error::model(Problem::new(
                "sentence.prompt",
                "no {cell_sentence}",
                "a prompt with a place for the sentence",
                "Write the prompt that the model was trained with.",
            )));
        }
        Ok(Self { entry, chat_template, tokenizer })
    }

    /// The tokens that the decoder reads of a cell with this `sentence` of `n_genes` symbols.
    ///
    /// # Errors
    /// [`Error::Model`] when the template or the tokenizer fails.
    pub fn tokens(&self, sentence: &str, n_genes: usize) -> Result<Vec<u32>> {
        let SentenceEntry { organism, prompt, bos, .. } = &self.entry;
        let text = prompt
            .replace("{num_genes}", &n_genes.to_string())
            .replace("{organism}", organism)
            .replace("{cell_sentence}", sentence);
        let text = match &self.chat_template {
            Some(template) => render_chat(template, "", &text, bos, "")?,
            None => format!("{bos}{text}"),
        };
        self.tokenizer.encode(&text)
    }
}
