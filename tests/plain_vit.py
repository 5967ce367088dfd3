"""A vision transformer as timm lays it out, written from its papers (Dosovitskiy 2021, Touvron 2021, Oquab 2023)."""

import json

import torch
from safetensors.torch import save_file
from torch import nn

DIM, HEADS, PATCH, SIDE = 32, 2, 8, 32
CONFIG = {
    "architecture": "vit_tiny_patch16_224",
    "num_classes": 3,
    "global_pool": "token",
    "model_args": {"img_size": SIDE, "patch_size": PATCH, "embed_dim": DIM, "depth": 2, "num_heads": HEADS},
    "pretrained_cfg": {"tag": "lab", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "license": "cc-by-4.0"},
}


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, HEADS, DIM // HEADS).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(q @ k.transpose(-1, -2) / (DIM // HEADS) ** 0.5, dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, DIM))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(DIM, 4 * DIM), nn.Linear(4 * DIM, DIM)

    def forward(self, x):
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.gamma = nn.Parameter(torch.rand(DIM))

    def forward(self, x):
        return x * self.gamma


class Block(nn.Module):
    def __init__(self, scaled):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(DIM, eps=1e-6), Attention()
        self.norm2, self.mlp = nn.LayerNorm(DIM, eps=1e-6), Mlp()
        if scaled:
            self.ls1, self.ls2 = Scale(), Scale()
        self.scaled = scaled

    def forward(self, x):
        attended = self.attn(self.norm1(x))
        x = x + (self.ls1(attended) if self.scaled else attended)
        thought = self.mlp(self.norm2(x))
        return x + (self.ls2(thought) if self.scaled else thought)


class PlainViT(nn.Module):
    """`classes` logits, or without classes the [CLS] state after the norm."""

    def __init__(self, classes=3, distilled=False, registers=0, scaled=False, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, DIM, PATCH, PATCH)
        own = 0 if registers else 1 + distilled  # with registers, only the patches have positions
        self.cls_token = nn.Parameter(torch.randn(1, 1, DIM))
        self.pos_embed = nn.Parameter(torch.randn(1, (SIDE // PATCH) ** 2 + own, DIM))
        if distilled:
            self.dist_token = nn.Parameter(torch.randn(1, 1, DIM))
        if registers:
            self.reg_token = nn.Parameter(torch.randn(1, registers, DIM))
        self.blocks = nn.ModuleList([Block(scaled) for _ in range(2)])
        self.norm = nn.LayerNorm(DIM, eps=1e-6)
        if classes:
            self.head = nn.Linear(DIM, classes)
            if distilled:
                self.head_dist = nn.Linear(DIM, classes)
        self.classes, self.distilled, self.registers = classes, distilled, registers
        with torch.no_grad():
            for p in self.parameters():
                p += 0.1 * torch.randn_like(p)

    def forward(self, x):
        x = self.patch_embed.proj(x).flatten(2).transpose(1, 2)
        first = [self.cls_token.expand(len(x), -1, -1)]
        if self.distilled:
            first.append(self.dist_token.expand(len(x), -1, -1))
        if self.registers:
            x = torch.cat([*first, self.reg_token.expand(len(x), -1, -1), x + self.pos_embed], 1)
        else:
            x = torch.cat([*first, x], 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        if not self.classes:
            return x[:, 0]
        return (self.head(x[:, 0]) + self.head_dist(x[:, 1])) / 2 if self.distilled else self.head(x[:, 0])


def save_as_timm(folder, model, **changes):
    """A folder as timm saves it: config.json and model.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(model.state_dict()), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**CONFIG, "num_classes": model.classes, **changes}))
    return folder


def normalised(images, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4)):
    return (images / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
