//! What a run that is done leaves: the bundle, and what LoRA learnt.

use std::path::{Path, PathBuf};

use super::super::calibration::temperatures;
use super::super::low_rank::{low_rank_tensors, peft_config};
use super::super::signatures::signatures;
use super::{Run, TrainSettings, chat_template};
use crate::files::write_atomically;
use crate::model::{AdapterEntry, Bundle, DecoderEntry, EncoderEntry, GenesEntry, Manifest, rounded};
use crate::nn::{ParamSink, write_safetensors};
use crate::progress::Watch;
use crate::{Error, Result};

impl Run<'_> {
    /// Writes what LoRA learnt as an adapter in peft's layout, for use with the decoder that it was trained on. The
    /// bundle holds the two merged.
    fn write_adapter(&self) -> Result<()> {
        let Some(lora) = &self.configs.lora else { return Ok(()) };
        let folder = self.settings.out.join("lora");
        std::fs::create_dir_all(&folder).map_err(|e| Error::io("make the folder", &folder, e))?;
        let base = self.settings.recipe.decoder.from.as_deref().unwrap_or_default();
        write_json(&folder.join("adapter_config.json"), &peft_config(lora, base))?;
        let tensors = low_rank_tensors(&self.trainee.decoder)?;
        write_safetensors(&folder.join("adapter_model.safetensors"), &tensors, false)
    }

    /// Writes the finished model as a bundle in half precision.
    pub(super) fn write_bundle(&self, watch: &Watch) -> Result<PathBuf> {
        let folder = self.settings.out.join("bundle");
        let recipe = &self.settings.recipe;
        let parts = |export: &dyn Fn(&mut ParamSink) -> Result<()>, path: &str| -> Result<()> {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(|e| Error::io("make the folder", parent, e))?;
            }
            let mut sink = ParamSink::default();
            export(&mut sink)?;
            let tensors = sink.into_tensors();
            let tensors = match recipe.rounded_to_bits {
                Some(bits) => rounded(tensors, bits),
                None => tensors,
            };
            write_safetensors(&path, &tensors, true)
        };
        self.write_adapter()?;
        parts(&|sink| self.trainee.encoder.export(sink, false), "encoder/model.safetensors")?;
        parts(&|sink| self.trainee.adapter.export(sink), "adapter/model.safetensors")?;
        parts(&|sink| self.trainee.decoder.export(sink), "decoder/model.safetensors")?;
        write_json(&folder.join("encoder/config.json"), &self.configs.encoder)?;
        write_json(&folder.join("decoder/config.json"), &self.configs.decoder)?;
        write_atomically(
            &folder.join("decoder/tokenizer.json"),
            self.maker.tokenizer().to_json()?.as_bytes(),
        )?;
        let template = chat_template(recipe, self.pretrained)?;
        write_atomically(&folder.join("decoder/chat_template.jinja"), template.as_bytes())?;
        write_atomically(&folder.join("genes.tsv"), &self.genes.write_tsv())?;
        write_atomically(&folder.join("signatures.tsv"), signatures(self.corpus)?.write_tsv().as_bytes())?;
        write_json(&folder.join("grammar.json"), &self.maker.known_words().slots())?;
        write_json(&folder.join("taught.json"), &self.maker.taught())?;
        let manifest = Manifest {
            format: 0,
            name: recipe.name.clone(),
            licence: recipe.licence.clone(),
            description: recipe.description.clone(),
            genes: Some(GenesEntry {
                dictionary: "genes.tsv".into(),
                kind: recipe.genes.kind,
                max_len: recipe.genes.max_len,
                readings: recipe.genes.readings,
            }),
            encoder: Some(EncoderEntry {
                folder: "encoder".into(),
                hidden_state: recipe.encoder.hidden_state,
            }),
            adapter: Some(AdapterEntry {
                folder: "adapter".into(),
                kind: recipe.adapter.kind,
                hidden_size: recipe.adapter.hidden_size,
            }),
            decoder: DecoderEntry { folder: "decoder".into() },
            prompt: Some(recipe.prompt.clone()),
            sentence: None,
            signatures: Some("signatures.tsv".into()),
            grammar: Some("grammar.json".into()),
            taught: Some("taught.json".into()),
            bits: None,
            temperatures: Default::default(),
            hashes: Default::default(),
        };
        let files = [
            "adapter/model.safetensors",
            "decoder/chat_template.jinja",
            "decoder/config.json",
            "decoder/model.safetensors",
            "decoder/tokenizer.json",
            "encoder/config.json",
            "encoder/model.safetensors",
            "genes.tsv",
            "grammar.json",
            "signatures.tsv",
            "taught.json",
        ];
        Bundle::write_manifest(&folder, &manifest, &files)?;
        let TrainSettings { data, device, .. } = self.settings;
        let tissues = self.corpus.tissues.words();
        let temperatures = temperatures(Some(&folder), recipe, tissues, data, *device, watch)?;
        if !temperatures.is_empty() {
            Bundle::write_manifest(&folder, &Manifest { temperatures, ..manifest }, &files)?;
        }
        Ok(folder)
    }
}

fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<()> {
    let json = serde_json::to_vec_pretty(value).map_err(|e| Error::io("encode", path, e.into()))?;
    write_atomically(path, &json)
}
