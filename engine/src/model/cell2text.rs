//! The whole model: genes in, words out.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::adapter::{Adapter, AdapterConfig};
use super::bundle::{Bundle, CellInput, GenesEntry, Prompt};
use super::decoder::{Decoder, DecoderConfig, Positions};
use super::decoder_folder::DecoderFolder;
use super::encoder::{Encoder, EncoderConfig, HiddenState};
use super::generated::{Generated, Piece};
use super::grammar::{Grammar, Leaning, TokenGrammar};
use super::lora::Lora;
use super::readings::{mean_scores, mean_weights};
use super::sampler::{GenerationSettings, Sampler, TextForm};
use super::sentence::SentencePrompter;
use super::text::{TextTokenizer, render_chat};
use super::weigh::{Begun, MOST_TOKENS, Walk, Weighing, Weights, weigh_slot};
use super::writer::Writer;
use crate::error::Problem;
use crate::nn::{KvCache, Params};
use crate::progress::Watch;
use crate::tokens::GeneDictionary;
use crate::{Error, Result};

/// A loaded Cell2Text model on one device.
#[derive(Debug)]
pub struct Cell2Text {
    /// How it gets to know of a cell.
    pub input: Input,
    /// The decoder.
    pub decoder: Decoder,
    /// The configuration of the decoder.
    pub decoder_config: DecoderConfig,
    /// The decoder's tokenizer.
    pub tokenizer: TextTokenizer,
    /// The texts it may write, where its bundle lists them.
    pub grammar: Option<TokenGrammar>,
    /// Bytes of all weights as stored.
    pub bytes: u64,
}

/// How a model gets to know of a cell.
#[derive(Debug)]
pub enum Input {
    /// Vectors of genes.
    Vectors(Box<VectorInput>),
    /// A sentence of gene symbols.
    Sentence(Box<SentencePrompter>),
}

/// What makes vectors of genes, and shows them to the decoder.
#[derive(Debug)]
pub struct VectorInput {
    /// The encoder.
    pub encoder: Encoder,
    /// The adapter.
    pub adapter: Adapter,
    /// Genes to tokens.
    pub genes: GeneDictionary,
    /// How they are encoded.
    pub entry: GenesEntry,
    /// The state of the encoder that is read.
    pub hidden_state: HiddenState,
    /// How the decoder is asked.
    pub prompter: Prompter,
}

/// The number of a cell among those that a text is asked of, and its readings.
type Asked<'a> = (usize, &'a [Vec<u32>]);

/// What is known of cells beside their genes, and wanted beside their texts. It counts for texts that keep to the grammar.
#[derive(Debug, Clone, Copy, Default)]
pub struct Guidance<'a> {
    /// How the texts lean.
    pub leaning: Option<&'a Leaning>,
    /// The slot whose every alternative is weighed ([`Generated::weights`]) before texts are written. Unless they are sampled,
    /// each then takes the alternative that this says.
    pub weighed: Option<Weighing<'a>>,
    /// Slots behind that, each after a text of its own. Unless texts are sampled, each takes the alternative that is likeliest
    /// as a whole when it comes there ([`Generated::settled`]): word by word it would take the likeliest beginning, though what
    /// begins otherwise may be likelier than each of those that begin so. Two that list the same texts name a pair: what was
    /// likely in the first place counts in the second.
    pub settled: &'a [usize],
}

impl Cell2Text {
    /// Loads a bundle onto `device`.
    ///
    /// # Errors
    /// [`Error::Model`], [`Error::Tokens`] or [`Error::Io`] naming the part that is wrong; [`Error::Cancelled`].
    pub fn load(bundle: &Bundle, device: &Device, watch: &Watch) -> Result<Self> {
        let Bundle { files, manifest } = bundle;
        watch.check()?;
        let folder = &manifest.decoder.folder;
        let parts = DecoderFolder::open(files, folder)?;
        let lora = Lora::beside(files, folder)?;
        let decoder = {
            let mut params =
                Params::from_files(&parts.weights, "", device).watched(watch, "Loading the decoder");
            if let Some(lora) = &lora {
                lora.check_fits(&parts.weights)?;
                params = params.patched(lora);
            }
            Decoder::new(&parts.config, &mut params)?
        };
        let mut bytes = parts.weights.bytes();
        let input = match manifest.cell_input()? {
            CellInput::Sentence(entry) => {
                let (template, tokenizer) = (parts.chat_template.clone(), parts.tokenizer.clone());
                Input::Sentence(Box::new(SentencePrompter::new(entry.clone(), template, tokenizer)?))
            }
            CellInput::Vectors { genes, encoder, adapter, prompt } => {
                let config: EncoderConfig = files.json(&format!("{}/config.json", encoder.folder))?;
                let encoder_weights = files.weights(&encoder.folder)?;
                let mut params =
                    Params::from_files(&encoder_weights, "", device).watched(watch, "Loading the encoder");
                let made = Encoder::new(&config, &mut params)?;
                let adapter_config = AdapterConfig {
                    kind: adapter.kind,
                    input_size: config.hidden_size,
                    hidden_size: adapter.hidden_size,
                    output_size: parts.config.hidden_size,
                };
                let adapter_weights = files.weights(&adapter.folder)?;
                let mut params = Params::from_files(&adapter_weights, "", device);
                bytes += encoder_weights.bytes() + adapter_weights.bytes();
                encoder.hidden_state.layers_to_run(made.n_layers())?;
                let template = parts.template(Path::new(folder))?;
                Input::Vectors(Box::new(VectorInput {
                    encoder: made,
                    adapter: Adapter::new(&adapter_config, &mut params)?,
                    genes: GeneDictionary::read_tsv(&files.read(&genes.dictionary)?)?,
                    entry: genes.clone(),
                    hidden_state: encoder.hidden_state,
                    prompter: Prompter::new(prompt.clone(), template, parts.tokenizer.clone())?,
                }))
            }
        };
        let grammar = match &manifest.grammar {
            Some(name) => Some(TokenGrammar::new(Grammar::from_json(&files.read(name)?)?, &parts.tokenizer)),
            None => None,
        };
        watch.check()?;
        let DecoderFolder { config: decoder_config, tokenizer, .. } = parts;
        Ok(Self { input, decoder, decoder_config, tokenizer, grammar, bytes })
    }

    /// One vector a cell: of a model with an encoder, what [`VectorInput::cell_vectors`] gives; of one that reads
    /// sentences, the mean of the decoder's last state over the prompt.
    ///
    /// # Errors
    /// As [`VectorInput::gene_vectors`]; [`Error::Device`].
    pub fn cell_vectors(&self, cells: &[&[u32]], watch: &Watch) -> Result<Vec<Vec<f32>>> {
        match &self.input {
            Input::Vectors(input) => input.cell_vectors(cells, watch),
            Input::Sentence(_) => cells
                .iter()
                .map(|&cell| {
                    watch.check()?;
                    let vectors = self.words(&[cell]);
                    let positions = self.decoder.positions(cell.len());
                    let mut cache = self.decoder.new_cache(1, cell.len());
                    let hidden = self.decoder.hidden_cached(vectors, &positions, &mut cache)?;
                    read_vectors(hidden.mean_dim(1)).map(|mut rows| rows.pop().unwrap_or_default())
                })
                .collect(),
        }
    }

    /// Vectors of the words of texts of one length, `[texts, tokens, hidden]`.
    fn words(&self, texts: &[&[u32]]) -> Tensor<3> {
        let (tokens, _) = pad_tokens(texts, 0, &self.decoder.device());
        self.decoder.embed(tokens)
    }

    /// Writes a text for each of `cells`, all in one batch per prompt length. Each has the tokens of its readings, one or
    /// several: rank value encodings, or the prompt of a cell sentence. Where they do not show the model as many genes, the
    /// first counts alone; of none nothing is written. `on_piece` gets the text as it comes. `streams` number the texts for
    /// sampling, so that a cell's text does not depend on its batch.
    ///
    /// # Errors
    /// [`Error::Model`], [`Error::Device`] or [`Error::Cancelled`].
    pub fn generate(
        &self,
        cells: &[&[Vec<u32>]],
        streams: &[u64],
        guidance: Guidance<'_>,
        settings: &GenerationSettings,
        watch: &Watch,
        on_piece: &mut dyn FnMut(Piece),
    ) -> Result<Vec<Generated>> {
        let mut alike: BTreeMap<(usize, usize), Vec<Asked<'_>>> = BTreeMap::new();
        for (i, readings) in cells.iter().enumerate() {
            let (shown, readings) = self.shown_alike(readings);
            if !readings.is_empty() {
                alike.entry((shown, readings.len())).or_default().push((i, readings));
            }
        }
        let mut results = vec![Generated::default(); cells.len()];
        for ((_, n_readings), group) in alike {
            let members: Vec<&[u32]> =
                group.iter().flat_map(|(_, readings)| *readings).map(Vec::as_slice).collect();
            let prompt = match &self.input {
                Input::Vectors(input) => {
                    input.prompter.splice(&self.decoder, input.gene_vectors(&members, watch)?)?
                }
                Input::Sentence(_) => self.words(&members),
            };
            let grammar = self.grammar.as_ref().filter(|_| settings.form == TextForm::Known);
            let mut weights = match grammar.zip(guidance.weighed) {
                Some((grammar, Weighing { slot, .. })) => {
                    mean_weights(weigh_slot(self, grammar, slot, prompt.clone(), watch)?, n_readings)
                }
                None => vec![Vec::new(); group.len()],
            };
            if let Some(weighing) = guidance.weighed {
                weights.iter_mut().for_each(|weights| weighing.put_first(weights));
            }
            let leaning = |weights: &Weights| {
                let told = grammar.zip(guidance.weighed).and_then(|(grammar, Weighing { slot, .. })| {
                    let &(first, _) = weights.first().filter(|_| settings.temperature == 0.0)?;
                    Some(grammar.grammar().told(slot, first))
                });
                match told {
                    Some(told) => Some(guidance.leaning.cloned().unwrap_or_default().with(&told)),
                    None => guidance.leaning.cloned(),
                }
            };
            let mut writers: Vec<Writer> = group
                .iter()
                .zip(&weights)
                .map(|(&(i, _), weights)| {
                    let sampler = Sampler::new(settings, streams.get(i).copied().unwrap_or(0));
                    Writer::new(i, sampler, grammar.map(|g| g.grammar().start()), leaning(weights))
                })
                .collect();
            let settled = grammar.map(|grammar| (grammar, guidance.settled));
            self.write(prompt, &mut writers, settled, settings, watch, on_piece)?;
            for (writer, weights) in writers.into_iter().zip(weights) {
                results[writer.cell] = Generated { weights, ..writer.text };
            }
        }
        Ok(results)
    }

    /// How many genes `readings` show the decoder, and those of them that show as many: all, or the first.
    fn shown_alike<'a>(&self, readings: &'a [Vec<u32>]) -> (usize, &'a [Vec<u32>]) {
        let shown = |reading: &Vec<u32>| match &self.input {
            Input::Vectors(input) => reading.len().min(input.prompter.prompt.top_k),
            Input::Sentence(_) => reading.len(),
        };
        let first = readings.first().map_or(0, shown);
        let alike = readings.iter().all(|reading| shown(reading) == first);
        (first, if alike { readings } else { readings.get(..1).unwrap_or_default() })
    }

    /// Writes the texts of `writers`. The rows of `prompt` are the readings of each, as many of every one.
    fn write(
        &self,
        prompt: Tensor<3>,
        writers: &mut [Writer],
        settled: Option<(&TokenGrammar, &[usize])>,
        settings: &GenerationSettings,
        watch: &Watch,
        on_piece: &mut dyn FnMut(Piece),
    ) -> Result<()> {
        let [batch, n_prompt, _] = prompt.dims();
        let longest = self.decoder.max_positions();
        let room = longest.saturating_sub(n_prompt);
        if room == 0 {
            return Err(Error::model(Problem::new(
                "prompt",
                format!("{n_prompt} tokens"),
                format!("fewer than the {longest} that the decoder can read"),
                "Show it fewer genes: prompt.top_k, or sentence.genes, in the bundle's cell2text.toml.",
            )));
        }
        let readings = batch / writers.len().max(1);
        let max_new = settings.max_new_tokens.min(room);
        let capacity = n_prompt + max_new;
        let positions = self.decoder.positions(capacity);
        let mut cache = self.decoder.new_cache(batch, capacity);
        let device = self.decoder.device();
        watch.check()?;
        let mut hidden = self.decoder.hidden_cached(prompt, &positions, &mut cache)?;
        for step in 0..max_new {
            watch.check()?;
            let logits = last_scores(&self.decoder, hidden)?;
            let vocab = logits.len() / batch;
            if let Some((grammar, slots)) = settled.filter(|_| settings.temperature == 0.0) {
                for &slot in slots {
                    self.settle(grammar, slot, writers, (&cache, &positions, readings), &logits, watch)?;
                }
            }
            let mut next = Vec::with_capacity(batch);
            let scores = mean_scores(&logits, vocab, readings);
            for (writer, scores) in writers.iter_mut().zip(scores.chunks_exact(vocab)) {
                let token = i64::from(writer.take(scores, self, on_piece));
                next.extend(std::iter::repeat_n(token, readings));
            }
            if writers.iter().all(|w| w.done) || step + 1 == max_new {
                break;
            }
            let tokens = Tensor::<2, Int>::from_data(TensorData::new(next, [batch, 1]), &device);
            hidden = self.decoder.hidden_cached(self.decoder.embed(tokens), &positions, &mut cache)?;
        }
        for writer in writers {
            writer.finish(on_piece);
        }
        Ok(())
    }

    /// Has those of `writers` that stand before `slot` take the alternative that is likeliest as a whole. `logits` are the
    /// scores of the next token of each row.
    fn settle(
        &self,
        grammar: &TokenGrammar,
        slot: usize,
        writers: &mut [Writer],
        (cache, positions, readings): (&KvCache, &Positions, usize),
        logits: &[f32],
        watch: &Watch,
    ) -> Result<()> {
        let begun = writers.iter().map(|writer| writer.before(slot, self, grammar));
        let before: Vec<(usize, Begun)> =
            begun.enumerate().filter_map(|(at, begun)| Some((at, begun?))).collect();
        if before.is_empty() {
            return Ok(());
        }
        let (rows, begun): (Vec<usize>, Vec<Begun>) = before
            .iter()
            .flat_map(|(at, begun)| (at * readings..(at + 1) * readings).map(|row| (row, begun.clone())))
            .unzip();
        let vocab = logits.len() / (writers.len() * readings).max(1);
        let scores = rows.iter().filter_map(|row| logits.get(row * vocab..(row + 1) * vocab));
        let scores = scores.collect::<Vec<_>>().concat();
        let cache = cache.select(&rows, (cache.len() + MOST_TOKENS).min(cache.capacity()));
        let walk = Walk { model: self, grammar, slot, begun: &begun, positions };
        let weights = mean_weights(walk.weigh(cache, scores, watch)?, readings);
        for ((at, _), weights) in before.into_iter().zip(weights) {
            if let Some(writer) = writers.get_mut(at) {
                writer.settle(slot, weights, grammar);
            }
        }
        Ok(())
    }
}

impl VectorInput {
    /// Gene vectors in the decoder's space, `[cells, genes, hidden]`, of rank value encodings; rows are padded to the
    /// longest and cut to the prompt's `top_k`.
    ///
    /// # Errors
    /// [`Error::Model`] for an empty or too long encoding; [`Error::Cancelled`].
    pub fn gene_vectors(&self, cells: &[&[u32]], watch: &Watch) -> Result<Tensor<3>> {
        if cells.iter().any(|c| c.is_empty()) {
            return Err(Error::model(Problem::new(
                "cell",
                "no gene that the model knows",
                "at least one",
                "Check that the genes are human and named by symbol or Ensembl id.",
            )));
        }
        let (tokens, lengths) = pad_tokens(cells, self.genes.special().pad, &self.encoder.device());
        watch.check()?;
        let tokens_shape = tokens.dims();
        let hidden = self.encoder.hidden_state(tokens, &lengths, self.hidden_state)?;
        let [_, longest] = tokens_shape;
        let shown = longest.min(self.prompter.prompt.top_k);
        Ok(self.adapter.forward(hidden.narrow(1, 0, shown)))
    }

    /// One vector a cell: the state of the first token, where the dictionary has one for the whole cell, and the mean
    /// over the genes, side by side.
    ///
    /// # Errors
    /// As [`VectorInput::gene_vectors`]; [`Error::Device`].
    pub fn cell_vectors(&self, cells: &[&[u32]], watch: &Watch) -> Result<Vec<Vec<f32>>> {
        if cells.is_empty() {
            return Ok(Vec::new());
        }
        let special = self.genes.special();
        let (tokens, lengths) = pad_tokens(cells, special.pad, &self.encoder.device());
        watch.check()?;
        let hidden = self.encoder.hidden_state(tokens, &lengths, self.hidden_state)?;
        let (before, after) = (usize::from(special.cls.is_some()), usize::from(special.eos.is_some()));
        let rows = lengths
            .iter()
            .enumerate()
            .map(|(i, &length)| {
                let own = hidden.clone().narrow(0, i, 1);
                let genes = length.saturating_sub(before + after).max(1);
                let mean = own.clone().narrow(1, before.min(length.saturating_sub(1)), genes).mean_dim(1);
                if before > 0 { Tensor::cat(vec![own.narrow(1, 0, 1), mean], 2) } else { mean }
            })
            .collect::<Vec<_>>();
        read_vectors(Tensor::cat(rows, 0))
    }
}

/// The scores of the tokens that follow `hidden`, `[rows, tokens, width]`, row after row.
pub(super) fn last_scores(decoder: &Decoder, hidden: Tensor<3>) -> Result<Vec<f32>> {
    let [rows, n, width] = hidden.dims();
    let last = hidden.narrow(1, n - 1, 1).reshape([rows, 1, width]);
    decoder.logits(last).try_into_vec_as::<f32>().map_err(|e| {
        Error::device(Problem::new(
            "logits",
            e.to_string(),
            "values read back from the device",
            "Try --device cpu.",
        ))
    })
}

/// The rows of `[rows, 1, width]`.
fn read_vectors(vectors: Tensor<3>) -> Result<Vec<Vec<f32>>> {
    let [_, _, width] = vectors.dims();
    let values = vectors.try_into_vec_as::<f32>().map_err(|e| {
        Error::device(Problem::new(
            "vectors of cells",
            e.to_string(),
            "values read back from the device",
            "Try --device cpu.",
        ))
    })?;
    Ok(values.chunks_exact(width.max(1)).map(<[f32]>::to_vec).collect())
}

/// Builds prompts in which gene vectors stand in for words.
#[derive(Debug, Clone)]
pub struct Prompter {
    /// How the decoder is asked.
    pub prompt: Prompt,
    /// The decoder's chat template, in Jinja.
    pub chat_template: String,
    tokenizer: TextTokenizer,
    placeholder: u32,
}

impl Prompter {
    /// A prompter for a decoder's tokenizer and template.
    ///
    /// # Errors
    /// [`Error::Model`] when the tokenizer does not know the placeholder.
    pub fn new(prompt: Prompt, chat_template: String, tokenizer: TextTokenizer) -> Result<Self> {
        let placeholder = tokenizer.token(&prompt.placeholder).ok_or_else(|| {
            Error::model(Problem::new(
                "prompt.placeholder",
                prompt.placeholder.clone(),
                "a token of the decoder's tokenizer",
                "Name the token that stands for a gene.",
            ))
        })?;
        Ok(Self { prompt, chat_template, tokenizer, placeholder })
    }

    /// Tokens of the prompt that shows `n_genes` gene vectors, and where the first of them stands.
    ///
    /// # Errors
    /// [`Error::Model`] when the template breaks up the run of placeholders.
    pub fn tokens(&self, n_genes: usize) -> Result<(Vec<u32>, usize)> {
        let p = &self.prompt;
        let user = format!("{}{}", p.user, p.placeholder.repeat(n_genes));
        let text = render_chat(&self.chat_template, &p.system, &user, &p.bos, &p.date)?;
        let tokens = self.tokenizer.encode(&text)?;
        let start = tokens.iter().position(|&t| t == self.placeholder).unwrap_or(tokens.len());
        let run = tokens[start..].iter().take_while(|&&t| t == self.placeholder).count();
        let all = tokens.iter().filter(|&&t| t == self.placeholder).count();
        if run != n_genes || all != n_genes {
            return Err(Error::model(Problem::new(
                "chat template",
                format!("{run} placeholders in a row of {all}"),
                format!("{n_genes} in a row"),
                "The template must keep the user's message whole.",
            )));
        }
        Ok((tokens, start))
    }

    /// The vectors of a prompt `[cells, tokens, hidden]` in which `genes` `[cells, genes, hidden]` stand in for the
    /// placeholders.
    ///
    /// # Errors
    /// As [`Prompter::tokens`].
    pub fn splice(&self, decoder: &Decoder, genes: Tensor<3>) -> Result<Tensor<3>> {
        let [batch, n_genes, width] = genes.dims();
        let (tokens, start) = self.tokens(n_genes)?;
        let ids: Vec<i64> = tokens.iter().map(|&t| i64::from(t)).collect();
        let n = ids.len();
        let words = decoder.embed(Tensor::from_data(TensorData::new(ids, [1, n]), &decoder.device()));
        let part = |from: usize, to: usize| {
            words.clone().narrow(1, from, to - from).expand([batch, to - from, width])
        };
        let mut parts = Vec::with_capacity(3);
        if start > 0 {
            parts.push(part(0, start));
        }
        parts.push(genes);
        if start + n_genes < n {
            parts.push(part(start + n_genes, n));
        }
        Ok(Tensor::cat(parts, 1))
    }
}

/// Rows of tokens padded at their end to the longest, `[rows, tokens]`, with their own lengths.
pub fn pad_tokens(rows: &[&[u32]], pad: u32, device: &Device) -> (Tensor<2, Int>, Vec<usize>) {
    let longest = rows.iter().map(|r| r.len()).max().unwrap_or(0);
    let mut ids = Vec::with_capacity(rows.len() * longest);
    for row in rows {
        ids.extend(row.iter().map(|&t| i64::from(t)));
        ids.extend(std::iter::repeat_n(i64::from(pad), longest - row.len()));
    }
    let tokens = Tensor::from_data(TensorData::new(ids, [rows.len(), longest]), device);
    (tokens, rows.iter().map(|r| r.len()).collect())
}
