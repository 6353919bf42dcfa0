import torch

W = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
V = W + 0.3 * torch.randn(4, 64, generator=torch.Generator().manual_seed(1))


def linear(x):
    return ((x.flatten(1) - 0.5)[:, None] * W.to(x)).sum(2)


def net():
    made = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4))
    with torch.no_grad():
        made[1].weight.copy_(V)
        made[1].bias.copy_(-0.5 * V.sum(1))
    return made.eval()
