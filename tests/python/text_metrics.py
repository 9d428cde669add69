"""Computes tests/expected/text_metrics.json: BLEU and ROUGE of made-up descriptions by the field's packages.

    pip install -r tests/python/evaluation_requirements.txt
    python tests/python/text_metrics.py > tests/expected/text_metrics.json

`evaluate` gets the code of its metrics from the Hugging Face hub; where that cannot be reached, EVALUATE_METRICS names a
folder with a copy of them (metrics/ of its repository). Its ROUGE and its exact match are the rouge-score package and
`==`, so that only its BLEU is asked here.
"""

import json
import os
import sys

import evaluate
import nltk.translate.bleu_score as nltk_bleu
import sacrebleu
from rouge_score import rouge_scorer
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from text_pairs import PAIRS

TOKENIZE = Tokenizer13a()


def bleu_of(metric, said, reference):
    """evaluate's BLEU over runs of up to 2 and up to 4 words."""
    return {
        f"bleu_{order}": metric.compute(predictions=said, references=[[r] for r in reference], max_order=order)["bleu"]
        for order in (2, 4)
    }


def main():
    bleu = evaluate.load(os.path.join(os.environ.get("EVALUATE_METRICS", ""), "bleu"))
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    said, reference = [s for s, _ in PAIRS], [r for _, r in PAIRS]
    pairs = []
    for s, r in PAIRS:
        own = scorer.score(r, s)
        pairs.append(
            {
                "said": s,
                "reference": r,
                "exact_match": float(s == r),
                "rouge_score": {f"rouge_{k}": own[f"rouge{k.upper()}"].fmeasure for k in ("1", "2", "l")},
                "evaluate": bleu_of(bleu, [s], [r]),
            }
        )
    words = [([TOKENIZE(r).split()], TOKENIZE(s).split()) for s, r in PAIRS]
    references, hypotheses = [w[0] for w in words], [w[1] for w in words]
    corpus = {
        "evaluate": bleu_of(bleu, said, reference),
        "sacrebleu": {
            f"bleu_{order}": sacrebleu.BLEU(max_ngram_order=order, smooth_method="none", tokenize="13a")
            .corpus_score(said, [reference])
            .score
            / 100
            for order in (2, 4)
        },
        "nltk": {
            f"bleu_{order}": nltk_bleu.corpus_bleu(references, hypotheses, weights=[1 / order] * order)
            for order in (2, 4)
        },
    }
    json.dump({"pairs": pairs, "corpus": corpus}, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
