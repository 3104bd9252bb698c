"""Tiny ONNX files written byte by byte: the package `onnx`, which would make them, is not a dependency."""

from __future__ import annotations

FLOAT, INTS = 1, 7


def average_pooling(shape: tuple[int | str, ...], output: tuple[int | str, ...], *, elem_type: int = FLOAT) -> bytes:
    """A network that averages squares of 28x28 and flattens what is left; `shape` and `output` are what it declares."""
    pool = _node("AveragePool", "x", "pooled", _ints("kernel_shape", 28, 28) + _ints("strides", 28, 28))
    flatten = _node("Flatten", "pooled", "y", b"")
    graph = _part(1, pool) + _part(1, flatten) + _part(2, b"tiny")
    graph += _part(11, _value("x", shape, elem_type)) + _part(12, _value("y", output, elem_type))
    return _number(1, 8) + _part(7, graph) + _part(8, _number(2, 13))


def _varint(value: int) -> bytes:
    done = b""
    while value > 127:
        done += bytes([value & 127 | 128])
        value >>= 7
    return done + bytes([value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _part(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _ints(name: str, *values: int) -> bytes:
    """A NodeProto's attribute that is a list of integers."""
    listed = b"".join(_number(8, value) for value in values)
    return _part(5, _part(1, name.encode()) + listed + _number(20, INTS))


def _node(kind: str, taken: str, given: str, attributes: bytes) -> bytes:
    return _part(1, taken.encode()) + _part(2, given.encode()) + _part(4, kind.encode()) + attributes


def _value(name: str, shape: tuple[int | str, ...], elem_type: int) -> bytes:
    """A ValueInfoProto: dimensions are numbers, or names where any number will do."""
    dims = b"".join(_part(1, _number(1, size) if isinstance(size, int) else _part(2, size.encode())) for size in shape)
    tensor = _number(1, elem_type) + _part(2, dims)
    return _part(1, name.encode()) + _part(2, _part(1, tensor))
