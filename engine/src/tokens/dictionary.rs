//! Which token a gene has, and by which median its counts are divided.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::pickle::{self, Scalar};
use crate::error::Problem;
use crate::{Error, Result};

/// Dictionaries are a few megabytes; what is larger than this is something else.
const MAX_BYTES: u64 = 64 << 20;

/// The columns of the table that holds tokens and medians together.
const HEADER: &str = "ensembl_id\ttoken\tmedian";

/// The tokens that are no genes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialTokens {
    /// `<pad>`: fills up a batch.
    pub pad: u32,
    /// `<mask>`: a gene to be guessed.
    pub mask: u32,
    /// `<cls>`: begins a V2 cell.
    pub cls: Option<u32>,
    /// `<eos>`: ends a V2 cell.
    pub eos: Option<u32>,
}

/// Genes with their tokens and medians.
#[derive(Debug, Clone)]
pub struct GeneDictionary {
    /// Token and median of each gene; the median is `None` where the file of medians lacks the gene.
    genes: HashMap<Box<str>, (u32, Option<f64>)>,
    by_token: HashMap<u32, Box<str>>,
    special: SpecialTokens,
}

impl GeneDictionary {
    /// Reads Geneformer's two dictionaries, `tokens` (gene to id) and `medians` (gene to number), each as JSON, as a
    /// table (`gene`, tab, value; also gzipped) or as the pickle that Geneformer ships. What a file is, is told by
    /// its content. A pickle is read by a reader that knows dictionaries of texts and numbers and runs nothing.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Tokens`] when a file is no such dictionary or the two do not fit.
    pub fn read(tokens: &Path, medians: &Path) -> Result<Self> {
        let token_bytes = read_file(tokens)?;
        if token_bytes.starts_with(HEADER.as_bytes()) {
            return Self::read_tsv(&token_bytes).map_err(|error| in_file(error, tokens));
        }
        let token_of = parse(&token_bytes).map_err(|problem| Error::tokens(problem.in_file(tokens)))?;
        let median_of =
            parse(&read_file(medians)?).map_err(|problem| Error::tokens(problem.in_file(medians)))?;
        let median_of: HashMap<&str, f64> =
            median_of.iter().map(|(gene, median)| (gene.as_str(), *median)).collect();

        let mut special = [None; 4];
        let mut genes = Vec::with_capacity(token_of.len());
        for (gene, token) in &token_of {
            let id = token_id(gene, *token).map_err(|problem| Error::tokens(problem.in_file(tokens)))?;
            match SPECIAL_NAMES.iter().position(|name| name == gene) {
                Some(slot) => special[slot] = Some(id),
                None => genes.push((gene.clone(), id, median_of.get(gene.as_str()).copied())),
            }
        }
        if !genes.is_empty() && genes.iter().all(|(_, _, median)| median.is_none()) {
            return Err(Error::tokens(
                Problem::new(
                    "the median dictionary",
                    "no gene of the token dictionary",
                    "a median for the same Ensembl ids",
                    "Choose the two dictionaries of the same model.",
                )
                .in_file(medians),
            ));
        }
        Self::assemble(genes, special).map_err(|error| in_file(error, tokens))
    }

    /// A dictionary of `entries`: Ensembl id, token and median, the median positive.
    ///
    /// # Errors
    /// [`Error::Tokens`] when a token or an id stands twice, or a median is not a positive number.
    pub fn from_parts<M: Into<f64>>(entries: Vec<(String, u32, M)>, special: SpecialTokens) -> Result<Self> {
        let genes =
            entries.into_iter().map(|(gene, token, median)| (gene, token, Some(median.into()))).collect();
        Self::assemble(genes, [Some(special.pad), Some(special.mask), special.cls, special.eos])
    }

    fn assemble(entries: Vec<(String, u32, Option<f64>)>, special: [Option<u32>; 4]) -> Result<Self> {
        let need = |slot: usize| {
            special[slot].ok_or_else(|| {
                wrong(
                    SPECIAL_NAMES[slot],
                    "no token".to_owned(),
                    "the tokens <pad> and <mask> beside the genes",
                    "Choose the token dictionary of a Geneformer model.",
                )
            })
        };
        let special_tokens =
            SpecialTokens { pad: need(0)?, mask: need(1)?, cls: special[2], eos: special[3] };
        let mut by_token: HashMap<u32, Box<str>> = HashMap::with_capacity(entries.len() + 4);
        for (name, token) in SPECIAL_NAMES.iter().zip(special) {
            if let Some(token) = token {
                enter(&mut by_token, token, name)?;
            }
        }
        let mut genes = HashMap::with_capacity(entries.len());
        for (gene, token, median) in entries {
            if median.is_some_and(|median| !(median.is_finite() && median > 0.0)) {
                return Err(wrong(
                    &gene,
                    format!("the median {}", median.unwrap_or_default()),
                    "a positive number",
                    "Choose the median dictionary that belongs to the token dictionary.",
                ));
            }
            enter(&mut by_token, token, &gene)?;
            if genes.insert(gene.as_str().into(), (token, median)).is_some() {
                return Err(wrong(
                    &gene,
                    "two rows".to_owned(),
                    "one row for each gene",
                    "Remove one of them.",
                ));
            }
        }
        for token in special.into_iter().flatten() {
            by_token.remove(&token);
        }
        Ok(Self { genes, by_token, special: special_tokens })
    }

    /// Reads the table that [`GeneDictionary::write_tsv`] writes, plain or gzipped.
    ///
    /// # Errors
    /// [`Error::Tokens`] naming the line.
    pub fn read_tsv(bytes: &[u8]) -> Result<Self> {
        let bytes = unpack(bytes).map_err(Error::tokens)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            wrong("the gene table", error.to_string(), "text in UTF-8", "Export the model again.")
        })?;
        let mut lines = text.lines().enumerate();
        if lines.next().map(|(_, line)| line.trim_end()) != Some(HEADER) {
            return Err(wrong(
                "the gene table, line 1",
                "another header".to_owned(),
                "ensembl_id, token, median",
                "Export the model again.",
            ));
        }
        let mut special = [None; 4];
        let mut genes = Vec::new();
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let bad = || {
                wrong(
                    &format!("the gene table, line {}", number + 1),
                    format!("{:?}", line.chars().take(80).collect::<String>()),
                    "a gene, a token and a median, separated by tabs",
                    "Export the model again.",
                )
            };
            let mut cells = line.trim_end_matches('\r').split('\t');
            let (Some(gene), Some(token), Some(median), None) =
                (cells.next(), cells.next(), cells.next(), cells.next())
            else {
                return Err(bad());
            };
            let token: u32 = token.parse().map_err(|_| bad())?;
            let median =
                if median.is_empty() { None } else { Some(median.parse::<f64>().map_err(|_| bad())?) };
            match SPECIAL_NAMES.iter().position(|name| *name == gene) {
                Some(slot) => special[slot] = Some(token),
                None => genes.push((gene.to_owned(), token, median)),
            }
        }
        Self::assemble(genes, special)
    }

    /// Tokens and medians as one table, in the order of the tokens; reading it back gives the same dictionary.
    pub fn write_tsv(&self) -> Vec<u8> {
        let special = [Some(self.special.pad), Some(self.special.mask), self.special.cls, self.special.eos];
        let mut rows: Vec<(u32, &str, Option<f64>)> = SPECIAL_NAMES
            .iter()
            .zip(special)
            .filter_map(|(name, token)| token.map(|token| (token, *name, None)))
            .chain(self.genes.iter().map(|(gene, (token, median))| (*token, &**gene, *median)))
            .collect();
        rows.sort_by_key(|(token, _, _)| *token);
        let mut text = format!("{HEADER}\n");
        for (token, name, median) in rows {
            let median = median.map(|median| median.to_string()).unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}\t{token}\t{median}");
        }
        text.into_bytes()
    }

    /// Genes with a token; the special tokens do not count.
    pub fn len(&self) -> usize {
        self.genes.len()
    }

    /// Whether there is no gene.
    pub fn is_empty(&self) -> bool {
        self.genes.is_empty()
    }

    /// The token of a gene, by Ensembl id with or without version.
    pub fn token(&self, ensembl: &str) -> Option<u32> {
        self.entry(ensembl).map(|(token, _)| token)
    }

    /// Token and median of a gene that has both.
    pub fn token_and_median(&self, ensembl: &str) -> Option<(u32, f64)> {
        self.entry(ensembl).and_then(|(token, median)| median.map(|median| (token, median)))
    }

    /// The Ensembl id of a gene's token; `None` for special and unknown tokens.
    pub fn gene_of_token(&self, token: u32) -> Option<&str> {
        self.by_token.get(&token).map(|gene| &**gene)
    }

    /// The special tokens.
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }

    /// One more than the highest token: the rows an embedding needs.
    pub fn vocabulary_size(&self) -> usize {
        let special = [Some(self.special.pad), Some(self.special.mask), self.special.cls, self.special.eos];
        let highest = self.by_token.keys().copied().chain(special.into_iter().flatten()).max();
        highest.map_or(0, |token| token as usize + 1)
    }

    fn entry(&self, ensembl: &str) -> Option<(u32, Option<f64>)> {
        let bare = || ensembl.split_once('.').map(|(id, _)| id);
        self.genes.get(ensembl).or_else(|| bare().and_then(|id| self.genes.get(id))).copied()
    }
}

/// The names of the special tokens, in the order of [`SpecialTokens`].
const SPECIAL_NAMES: [&str; 4] = ["<pad>", "<mask>", "<cls>", "<eos>"];

fn wrong(element: &str, found: String, expected: &str, remedy: &str) -> Error {
    Error::tokens(Problem::new(element, found, expected, remedy))
}

fn in_file(error: Error, path: &Path) -> Error {
    match error {
        Error::Tokens(problem) => Error::tokens(problem.in_file(path)),
        other => other,
    }
}

fn enter(by_token: &mut HashMap<u32, Box<str>>, token: u32, name: &str) -> Result<()> {
    match by_token.insert(token, name.into()) {
        None => Ok(()),
        Some(other) => Err(wrong(
            name,
            format!("the token {token}, which is also {other}'s"),
            "a token of its own for each gene",
            "Choose the token dictionary of a Geneformer model.",
        )),
    }
}

fn token_id(gene: &str, token: f64) -> std::result::Result<u32, Problem> {
    if token >= 0.0 && token < f64::from(u32::MAX) && token.fract() == 0.0 {
        return Ok(token as u32);
    }
    Err(Problem::new(
        gene,
        format!("the token {token}"),
        "a whole number, zero or above",
        "Choose the token dictionary; the median dictionary may have been taken for it.",
    ))
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let file = std::fs::File::open(path).map_err(|error| Error::io("open the dictionary", path, error))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::io("read the dictionary", path, error))?;
    unpack(&bytes).map_err(|problem| Error::tokens(problem.in_file(path)))
}

/// `bytes`, decompressed when gzipped, within [`MAX_BYTES`].
fn unpack(bytes: &[u8]) -> std::result::Result<Vec<u8>, Problem> {
    let large = || {
        Problem::new(
            "the dictionary",
            format!("more than {} MiB", MAX_BYTES >> 20),
            "a dictionary of genes, a few MiB",
            "Choose the token or median dictionary of a model.",
        )
    };
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return if bytes.len() as u64 > MAX_BYTES { Err(large()) } else { Ok(bytes.to_vec()) };
    }
    let mut plain = Vec::new();
    MultiGzDecoder::new(bytes).take(MAX_BYTES + 1).read_to_end(&mut plain).map_err(|error| {
        Problem::new(
            "the dictionary",
            format!("a gzip file that ends badly ({error})"),
            "a whole file",
            "Copy it again.",
        )
    })?;
    if plain.len() as u64 > MAX_BYTES { Err(large()) } else { Ok(plain) }
}

/// A dictionary of texts to numbers, from JSON, a pickle or a table of two columns.
fn parse(bytes: &[u8]) -> std::result::Result<Vec<(String, f64)>, Problem> {
    if bytes.first() == Some(&0x80) {
        return from_pickle(bytes);
    }
    let expected = "a dictionary of genes to numbers: JSON, a table of two columns, or a pickle";
    let remedy = "Choose the token or median dictionary of a Geneformer model.";
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Problem::new("the dictionary", "bytes that are no text", expected, remedy))?;
    if text.trim_start().starts_with('{') {
        let map: HashMap<String, f64> = serde_json::from_str(text).map_err(|error| {
            Problem::new("the dictionary", format!("JSON that does not fit: {error}"), expected, remedy)
        })?;
        let mut pairs: Vec<(String, f64)> = map.into_iter().collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        return Ok(pairs);
    }
    let mut pairs = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let (gene, value) = line.trim_end().split_once(['\t', ',']).unwrap_or((line, ""));
        match value.trim().parse::<f64>() {
            Ok(value) => pairs.push((gene.trim().trim_matches('"').to_owned(), value)),
            // The first line may name the columns.
            Err(_) if number == 0 && !value.is_empty() => {}
            Err(_) => {
                let found = format!("{:?}", line.chars().take(80).collect::<String>());
                return Err(Problem::new(format!("line {}", number + 1), found, expected, remedy));
            }
        }
    }
    if pairs.is_empty() {
        return Err(Problem::new("the dictionary", "no gene", expected, remedy));
    }
    Ok(pairs)
}

fn from_pickle(bytes: &[u8]) -> std::result::Result<Vec<(String, f64)>, Problem> {
    let mut pairs: HashMap<String, f64> = HashMap::new();
    for (key, value) in pickle::read(bytes)? {
        let number = match value {
            Scalar::Int(value) => value as f64,
            Scalar::Float(value) => value,
            _ => f64::NAN,
        };
        match key {
            Scalar::Text(key) if !number.is_nan() => {
                pairs.insert(key.to_string(), number);
            }
            key => {
                return Err(Problem::new(
                    "the pickle's dictionary",
                    format!("an entry for {key:?} that is no number"),
                    "texts as keys and numbers as values",
                    "Choose the token or median dictionary of a Geneformer model.",
                ));
            }
        }
    }
    let mut pairs: Vec<(String, f64)> = pairs.into_iter().collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::test_support::shared_file;

    fn folder_with(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_same_dictionary_comes_from_json_from_tables_and_from_its_own_table() {
        let folder = folder_with(&[
            ("t.json", br#"{"<pad>": 0, "<mask>": 1, "ENSG1": 3, "ENSG2": 2}"#),
            ("m.json", br#"{"ENSG1": 0.1, "ENSG2": 7}"#),
            ("t.tsv", b"gene\ttoken\n<pad>\t0\n<mask>\t1\nENSG1\t3\r\nENSG2\t2\n"),
            ("m.tsv.gz", &gz(b"ENSG1\t0.1\nENSG2\t7\n")),
        ]);
        let path = |name: &str| folder.path().join(name);
        let a = GeneDictionary::read(&path("t.json"), &path("m.json")).unwrap();
        let b = GeneDictionary::read(&path("t.tsv"), &path("m.tsv.gz")).unwrap();
        assert_eq!(a.write_tsv(), b.write_tsv());
        let c = GeneDictionary::read_tsv(&gz(&a.write_tsv())).unwrap();
        assert_eq!(c.write_tsv(), a.write_tsv());
        assert_eq!(c.token_and_median("ENSG1.5"), Some((3, 0.1)));
        assert_eq!((c.token("ENSG3"), c.gene_of_token(2), c.gene_of_token(0)), (None, Some("ENSG2"), None));
        assert_eq!((c.len(), c.vocabulary_size(), c.special().cls), (2, 4, None));
    }

    #[test]
    fn geneformers_own_pickles_are_read() {
        let Some(folder) = shared_file("data/geneformer") else { return };
        let tokens = folder.join("token_dictionary.pkl");
        let dictionary = GeneDictionary::read(&tokens, &folder.join("gene_median_dictionary.pkl")).unwrap();
        assert_eq!((dictionary.len(), dictionary.vocabulary_size()), (25_424, 25_426));
        assert_eq!(dictionary.special(), &SpecialTokens { pad: 0, mask: 1, cls: None, eos: None });
        assert!(dictionary.token_and_median("ENSG00000156738").is_some());
        let again = GeneDictionary::read_tsv(&dictionary.write_tsv()).unwrap();
        assert_eq!(again.write_tsv(), dictionary.write_tsv());
        let swapped = GeneDictionary::read(&folder.join("gene_median_dictionary.pkl"), &tokens).unwrap_err();
        assert!(swapped.to_string().contains("median dictionary"), "{swapped}");
    }

    #[test]
    fn what_is_no_dictionary_is_said_to_be_none() {
        let cases: [(&[u8], &str); 8] = [
            (b"", "no gene"),
            (b"\xff\xfe", "no text"),
            (b"{\"a\": \"b\"}", "JSON"),
            (b"{\"a\": 1", "JSON"),
            (b"a\t1\nb\n", "line 2"),
            (b"<pad>\t0\n<mask>\t1\nA\t2\nB\t2\n", "the token 2"),
            (b"<pad>\t0\nA\t2\n", "<mask>"),
            (b"<pad>\t0\n<mask>\t1\nA\t-2\n", "token -2"),
        ];
        for (bytes, part) in cases {
            let folder = folder_with(&[("t", bytes), ("m", b"A\t1\n")]);
            let error = GeneDictionary::read(&folder.path().join("t"), &folder.path().join("m")).unwrap_err();
            assert!(matches!(error, Error::Tokens(_)) && error.to_string().contains(part), "{error}");
        }
        let folder = folder_with(&[("t", b"<pad>\t0\n<mask>\t1\nA\t2\n"), ("m", b"B\t1\n")]);
        assert!(GeneDictionary::read(&folder.path().join("t"), &folder.path().join("m")).is_err());
        assert!(GeneDictionary::read(&folder.path().join("none"), &folder.path().join("m")).is_err());
        assert!(GeneDictionary::read_tsv(b"ensembl_id\ttoken\tmedian\nA\t1\t0\n").is_err());
    }
}
