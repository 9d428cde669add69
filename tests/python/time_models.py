"""Times what users would otherwise run, on models of true shapes with random weights. Prints one JSON line.

    python time_models.py gguf OUT.gguf --type q4_0 --layers 16    # writes a decoder of Llama 3.2 1B's shape
    python time_models.py decoder FILE.gguf --threads 2 --prompt 512 --new 48    # llama.cpp on it
    python time_models.py encoder --threads 2 --genes 2048 --layers 18    # torch on an encoder of Geneformer 316M's shape

Packages: time_models_requirements.txt. Each command imports only what it needs.
"""

import argparse
import json
import time


def write_gguf(a):
    import gguf
    import numpy as np

    width, inner, keys, vocabulary = 2048, 8192, 512, 128256
    kind = {"q4_0": gguf.GGMLQuantizationType.Q4_0, "q8_0": gguf.GGMLQuantizationType.Q8_0}[a.type]
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(a.out, "llama")
    writer.add_context_length(8192)
    writer.add_embedding_length(width)
    writer.add_block_count(a.layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(32)
    writer.add_head_count_kv(8)
    writer.add_rope_freq_base(500000.0)
    writer.add_rope_dimension_count(64)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)
    # Tokens are fed as numbers.
    writer.add_tokenizer_model("no_vocab")

    def matrix(name, rows, columns, kind=kind):
        values = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(0.02)
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    # Tables of tokens, which are the output matrix as well, have 8 bits here as they have there.
    matrix("token_embd.weight", vocabulary, width, gguf.GGMLQuantizationType.Q8_0)
    for layer in range(a.layers):
        block = f"blk.{layer}."
        for name, rows, columns in (
            ("attn_q", width, width),
            ("attn_k", keys, width),
            ("attn_v", keys, width),
            ("attn_output", width, width),
            ("ffn_gate", inner, width),
            ("ffn_up", inner, width),
            ("ffn_down", width, inner),
        ):
            matrix(f"{block}{name}.weight", rows, columns)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{block}{name}.weight", np.ones(width, np.float32))
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {"file": a.out, "type": a.type, "layers": a.layers}


def decoder(a):
    import llama_cpp

    model = llama_cpp.Llama(
        a.file,
        n_ctx=a.prompt + a.new + 16,
        n_threads=a.threads,
        n_threads_batch=a.threads,
        n_batch=512,
        n_gpu_layers=0,
        verbose=False,
    )
    model.eval([7, 8, 9, 10])
    model.reset()
    prompt = [i * 97 % 128000 for i in range(a.prompt)]
    start = time.perf_counter()
    model.eval(prompt)
    read = a.prompt / (time.perf_counter() - start)
    start = time.perf_counter()
    for i in range(a.new):
        model.eval([1000 + i])
    written = a.new / (time.perf_counter() - start)
    return {"read_tokens_per_sec": read, "written_tokens_per_sec": written}


def encoder(a):
    import torch
    import transformers

    torch.set_num_threads(a.threads)
    config = transformers.BertConfig(
        vocab_size=20275,
        hidden_size=1152,
        num_hidden_layers=a.layers,
        num_attention_heads=18,
        intermediate_size=4608,
        hidden_act="relu",
        max_position_embeddings=4096,
        layer_norm_eps=1e-12,
        pad_token_id=0,
        attn_implementation="sdpa",
    )
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    genes = torch.randint(4, 20275, (1, a.genes))
    seconds = []
    with torch.no_grad():
        for _ in range(2):
            start = time.perf_counter()
            model(input_ids=genes)
            seconds.append(time.perf_counter() - start)
    return {"cell_secs": seconds[-1]}


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)

    def command(name, work):
        sub = commands.add_parser(name)
        sub.set_defaults(work=work)
        return sub

    sub = command("gguf", write_gguf)
    sub.add_argument("out")
    sub.add_argument("--type", default="q4_0")
    sub.add_argument("--layers", type=int, default=16)
    sub = command("decoder", decoder)
    sub.add_argument("file")
    sub.add_argument("--prompt", type=int, default=512)
    sub.add_argument("--new", type=int, default=48)
    sub.add_argument("--threads", type=int, default=2)
    sub = command("encoder", encoder)
    sub.add_argument("--genes", type=int, default=2048)
    sub.add_argument("--layers", type=int, default=18)
    sub.add_argument("--threads", type=int, default=2)
    a = parser.parse_args()
    print(json.dumps(a.work(a)))


if __name__ == "__main__":
    main()
