"""Edits of a transformer: its attention maps, what they are made of, and the ends of its branches.

Attention is found by its calls, `torch.nn.functional.scaled_dot_product_attention` (timm, transformers, `surrogates.build("vit")`),
`multi_head_attention_forward` (torch's own module, as torchvision's ViTs have it), or a softmax over an axis of three or more (nets
that multiply by the map themselves), so no names of layers are needed. Where a map is edited it is computed in full, which is equal up
to float rounding and needs the memory of the maps.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from surrogates.crafting.surgery.edits import Edit, GradientEdits, then
from surrogates.crafting.surgery.graph import Trace, name_of
from surrogates.crafting.surgery.mixing import Back, Changed, Mixed, same


class Attention(Edit):
    """Base class of edits of a net with attention: overwrite what is to be changed. ``layer`` counts the maps from 0.

    ``logits``: the map before its softmax, [m, heads, N, N]; ``maps``: the map; ``of_qkv``: the gradient of queries, keys and values
    [m, heads, N, d] before they meet (not where the net multiplies by the map itself). See `MapEdit` for what these return. ``ends``: the
    output of a residual branch, which holds attention or does not (``feeds``), [m, N, width].
    """

    name = "This"

    def logits(self, layer: int, z: Tensor) -> tuple[Tensor, Back]:
        return z, same

    def maps(self, layer: int, a: Tensor) -> tuple[Tensor, Back]:
        return a, same

    def of_qkv(self, layer: int, g: Tensor) -> Tensor:
        return g

    def ends(self, layer: int, feeds: bool, out: Tensor) -> Tensor:
        return out

    def add(self, trace: Trace, edits: GradientEdits) -> None:
        if not trace.attention:
            raise ValueError(
                f"Expected a net with attention for {self.name}, but its forward pass has none. Take a transformer, such as "
                f"surrogates.build('vit'), or leave {self.name} out."
            )
        self.layers = len(trace.attention)
        for layer, call in enumerate(trace.attention):
            if call in edits.calls:
                raise ValueError(f"Expected one part that edits the attention, but {self.name} and another one do. Leave one out.")
            edits.calls[call] = partial(self._call, layer)
        if type(self).ends is not Attention.ends:
            counts = [0, 0]
            for residual in trace.sums:
                feeds = not residual.inside & set(trace.attention)
                then(edits, residual.ends, partial(self.ends, counts[feeds], feeds))
                counts[feeds] += 1

    def _call(self, layer: int, func: Any, args: Any, kwargs: Any) -> Any:
        name = name_of(func)
        if name == "softmax":
            z = Changed.apply(args[0], partial(self.logits, layer))
            return Changed.apply(func(z, *args[1:], **kwargs), partial(self.maps, layer))
        if name == "multi_head_attention_forward":
            return self._module(layer, *args, **kwargs)
        return self._mixed(layer, *args, **kwargs)

    def _mixed(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
        is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
    ) -> Tensor:  # fmt: skip
        if enable_gqa:
            raise ValueError(f"Expected as many keys as queries for {self.name}, but the net shares them (enable_gqa). Leave it out.")
        if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:
            lead = torch.broadcast_shapes(*(t.shape[:-2] for t in (query, key, value)))
            query, key, value = (t.expand(*lead, *t.shape[-2:]) for t in (query, key, value))
        if is_causal:
            attn_mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
        out: Tensor = Mixed.apply(query, key, value, attn_mask, query.shape[-1] ** -0.5 if scale is None else scale, self, layer)
        return out

    def _module(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, embed_dim_to_check: int, num_heads: int,
        in_proj_weight: Tensor | None, in_proj_bias: Tensor | None, bias_k: Any, bias_v: Any, add_zero_attn: bool, dropout_p: float,
        out_proj_weight: Tensor, out_proj_bias: Tensor | None, **rest: Any,
    ) -> tuple[Tensor, None]:  # fmt: skip
        """torch's MultiheadAttention on tokens [N, m, width], in eval mode, as its module calls it."""
        odd = [name for name in ("key_padding_mask", "attn_mask", "q_proj_weight", "static_k") if rest.get(name) is not None]
        if in_proj_weight is None or query is not key or bias_k is not None or add_zero_attn or odd:
            raise ValueError(
                f"Expected plain self-attention of torch's MultiheadAttention for {self.name}, but it has {', '.join(odd) or 'more'}. "
                f"Leave {self.name} out."
            )
        n, m, width = query.shape
        parts = F.linear(query, in_proj_weight, in_proj_bias).view(n, m, 3, num_heads, width // num_heads).permute(2, 1, 3, 0, 4)
        out = self._mixed(layer, parts[0], parts[1], parts[2]).permute(2, 0, 1, 3).reshape(n, m, width)
        return F.linear(out, out_proj_weight, out_proj_bias), None
