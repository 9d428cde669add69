"""Writes the checkpoints that the reader of torch's files is tested with: python torch_checkpoint_expectations.py OUT

Needs torch (2.15 wrote those in tests/expected/torch).
"""

import collections
import pathlib
import sys

import torch

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

base = torch.arange(6, dtype=torch.float32).reshape(2, 3)
parameter = torch.nn.Parameter(base)
torch.save(
    collections.OrderedDict(
        {
            "parameter": parameter,
            "tied": parameter.data,
            "turned": base.t(),
            "slice": base[:, 1:],
            "half": torch.tensor([0.5, -2.0, 1024.0], dtype=torch.float16),
            "module.bf16.weight": torch.tensor([0.5, -3.0], dtype=torch.bfloat16),
            "double": torch.tensor([0.1], dtype=torch.float64),
            "scalar": torch.tensor(7.0),
            "whole": torch.tensor([1, 2]),
        }
    ),
    out / "plain.bin",
)

# As a training run saves itself: the model among the optimiser, the schedule and numbers.
model = torch.nn.Module()
model.fc1 = torch.nn.Linear(3, 2)
with torch.no_grad():
    model.fc1.bias.copy_(torch.tensor([1.0, 2.0]))
    model.fc1.weight.copy_(base)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
model.fc1(torch.ones(3)).sum().backward()
optimizer.step()
with torch.no_grad():
    model.fc1.bias.copy_(torch.tensor([1.0, 2.0]))
schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
torch.save(
    {
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "lr_scheduler_state_dict": schedule.state_dict(),
        "global_step": 12345678901234567890,
        "path": pathlib.PurePosixPath("somewhere"),
    },
    out / "nested.pt",
)
