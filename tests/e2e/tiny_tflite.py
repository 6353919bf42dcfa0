"""Writes a TensorFlow Lite file of one fully connected layer, after the schema that LiteRT ships."""

from __future__ import annotations

from typing import Any

import numpy as np


def linear(weights: np.ndarray, bias: np.ndarray, shape: tuple[int, ...], quantised: bool = False) -> bytes:
    """The file of ``x W' + b`` for images of ``shape`` [1, h, w, c], W [C, d]; in int8, with steps of 1/255, where asked."""
    import ai_edge_litert.schema_py_generated as s
    import flatbuffers

    buffers = [s.BufferT()]

    def tensor(name: str, dims: tuple[int, ...], kind: int, scale: float = 0.0, zero: int = 0, values: Any = None) -> Any:
        made = s.TensorT()
        made.name, made.shape, made.type, made.buffer = name, list(dims), kind, len(buffers)
        if scale:
            made.quantization = s.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [scale], [zero]
        buffers.append(s.BufferT())
        if values is not None:
            buffers[-1].data = np.frombuffer(values.tobytes(), np.uint8)
        return made

    if quantised:
        w_scale, x_scale, out_scale = float(np.abs(weights).max() / 127), 1 / 255, 0.2
        tensors = [
            tensor("images", shape, s.TensorType.INT8, x_scale, -128),
            tensor("w", weights.shape, s.TensorType.INT8, w_scale, 0, np.rint(weights / w_scale).astype(np.int8)),
            tensor("b", bias.shape, s.TensorType.INT32, x_scale * w_scale, 0, np.rint(bias / x_scale / w_scale).astype(np.int32)),
            tensor("scores", (shape[0], len(bias)), s.TensorType.INT8, out_scale, 0),
        ]
    else:
        tensors = [
            tensor("images", shape, s.TensorType.FLOAT32),
            tensor("w", weights.shape, s.TensorType.FLOAT32, values=weights),
            tensor("b", bias.shape, s.TensorType.FLOAT32, values=bias),
            tensor("scores", (shape[0], len(bias)), s.TensorType.FLOAT32),
        ]
    operator, graph, model, code = s.OperatorT(), s.SubGraphT(), s.ModelT(), s.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = s.BuiltinOperator.FULLY_CONNECTED
    code.version = 4 if quantised else 1
    operator.inputs, operator.outputs = [0, 1, 2], [3]
    operator.builtinOptionsType, operator.builtinOptions = s.BuiltinOptions.FullyConnectedOptions, s.FullyConnectedOptionsT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = tensors, [0], [3], [operator]
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], buffers
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
