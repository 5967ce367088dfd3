"""In what precision a training computes."""

import torch

from gazetune.training.settings import Precision


def resolved_precision(wanted: Precision, device: torch.device) -> Precision:
    """`auto` as what it means on this device: bf16 where its matrix products have it in hardware, else fp32."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16") else "fp32"


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Matrix products in bf16 where asked for; weights, softmax, rollout and losses stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=resolved_precision(precision, device) == "bf16")
