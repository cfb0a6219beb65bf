"""How far can a pruned network be from the original, for every input of a space?"""

import torch
from torch import nn

import coreprune

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(16, 120), nn.GELU(), nn.Linear(120, 4))
result = coreprune.prune(net, torch.randn(1, 16), keep=0.5)

# Every result carries a fast certificate, for all inputs as large as the example.
radius = result.certificate_radius
print(f"fast: no output is off by more than {result.certificate:.3f} where ‖x‖ ≤ {radius:.2f}")

# `certify` takes longer, proves better, and attacks what it proved: the truth lies between.
for space in (coreprune.Ball(4.0), coreprune.Box(-1.0, 1.0)):
    proven = coreprune.certify(net, result.model, space)
    bound, found = proven.certificate.max(), proven.attack.max()
    print(f"{proven.space}: at most {bound:.3f}, and {found:.3f} is attained")
    assert proven.holds

# Which inputs provably keep their class, together with everything near them?
samples = torch.randn(100, 16)
proven = coreprune.certify(net, result.model, coreprune.Ball(0.01), samples=samples)
print(f"{proven.unchanged:.0%} of the samples keep their class within 0.01")

# Behind several layers bounds add up, and may say nothing; then they say so.
deep = nn.Sequential(nn.Linear(16, 80), nn.ReLU(), nn.Linear(80, 80), nn.ReLU(), nn.Linear(80, 4))
half = coreprune.prune(deep, torch.randn(1, 16), keep=0.5).model
print(coreprune.certify(deep, half, coreprune.Ball(4.0)).vacuous or "every bound says something")
