"""Computes tests/expected/bert_score.json and tests/expected/tiny_bert/: BERTScore of made-up descriptions by the
bert-score package, with a small BERT of random weights that is made here too.

    pip install -r tests/python/bert_score_requirements.txt
    python tests/python/bert_score_expectations.py tests/expected
"""

import json
import sys
from pathlib import Path

import torch
from bert_score import BERTScorer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from text_pairs import PAIRS

LAYER = 2
EDGES = [
    ("T cell", "T cell"),
    ("monocyte", "This sample consists of a monocyte of the blood."),
]


def tokenizer_of(texts):
    """Word pieces: every character, every word of the texts but each third, so that some words fall apart."""
    words = sorted({w for t in texts for w in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(t.lower())}, key=str)
    words = sorted({w for w, _ in words})
    letters = sorted({c for w in words for c in w})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + letters + ["##" + c for c in letters]
    pieces += [w for i, w in enumerate(words) if i % 3 and w not in letters]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    return tokenizer, len(vocabulary)


def main(out):
    pairs = PAIRS + EDGES
    tokenizer, size = tokenizer_of([t for pair in pairs for t in pair])
    folder = out / "tiny_bert"
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=256,
    ).save_pretrained(folder)
    torch.manual_seed(11)
    config = BertConfig(
        vocab_size=size, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=256, initializer_range=0.5,
    )
    model = BertModel(config, add_pooling_layer=False)
    with torch.no_grad():
        # In half precision, as stored, so that the file is small and both sides read the same numbers.
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())
    model.save_pretrained(folder)
    scorer = BERTScorer(
        model_type=str(folder), num_layers=LAYER, idf=False, rescale_with_baseline=False, device="cpu",
        use_fast_tokenizer=True,
    )
    said, reference = [s for s, _ in pairs], [r for _, r in pairs]
    precision, recall, f1 = scorer.score(said, reference, batch_size=4)
    rows = [
        {"said": s, "reference": r, "scores": [float(p), float(q), float(f)]}
        for s, r, p, q, f in zip(said, reference, precision, recall, f1)
    ]
    text = json.dumps({"layer": LAYER, "pairs": rows}, indent=1)
    (out / "bert_score.json").write_text(text + "\n")
    # Only these are read by the test.
    for file in folder.iterdir():
        if file.name not in ("config.json", "model.safetensors", "tokenizer.json"):
            file.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
