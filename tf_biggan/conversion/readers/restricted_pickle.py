"""Reads the pickles in PyTorch files without executing or importing anything.

A pickle is a program that can call any function by name. The interpreter below knows only the
operations that build plain values, and only the names in its tables. Training frameworks also store
bookkeeping objects next to the weights. If the name of a bookkeeping object is known, the object is
replaced by a placeholder, and its arguments, state and items are discarded. Every other name is
refused.

Python's own unpickler cannot be used. A pickle of a few bytes can make Python's unpickler allocate
gigabytes, with a memo of any length or a list that is copied repeatedly. With nested tuples as
dictionary keys, a small pickle can make it compute for years.
"""

from __future__ import annotations

import functools
import io
import pickletools
import sys
from collections.abc import Callable
from typing import Any

from tf_biggan.checks import require
from tf_biggan.conversion.readers.tensors import StoredTensor
from tf_biggan.files import input_bounds

# NumPy names of dtypes, by the name of PyTorch's storage class without "Storage".
DTYPES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
}

# Modules and names whose objects a conversion does not need.
INERT_MODULES = ("mmengine", "mmcv", "numpy")
ACTIVATIONS = ("ELU", "GELU", "LeakyReLU", "Mish", "PReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Tanh")
INERT_NAMES = frozenset(
    # BigGAN-PyTorch stores a run's activations among its flags.
    {("torch.nn.modules.activation", name) for name in ACTIVATIONS}
    | {
        ("argparse", "Namespace"),
        ("_codecs", "encode"),
        ("torch", "device"),
        ("pathlib", "PosixPath"),
        ("datetime", "datetime"),
    }
)
# Built-in names that stand for the inert object. mmengine's history of metrics refers to methods
# with `getattr`. As the inert object, `getattr` looks up nothing.
INERT_BUILTINS = frozenset(
    ("bytearray", "bytes", "complex", "dict", "float", "frozenset", "getattr", "int", "list")
    + ("object", "set", "slice", "str", "tuple")
)
BUILTINS = ("builtins", "__builtin__")
# Ends of error messages, which say what to do.
SAVE_STATE = "save only the network's state_dict() with torch.save"
COPY_AGAIN = "copy or download it again"
SMALL_INTEGER = 1 << 64


class Inert:
    """Placeholder for every object that a conversion does not need."""


INERT = Inert()
# Types that are kept as dictionary keys, because they are quick to hash and to compare.
KEYS = (str, bytes, bool, float, type(None), Inert)


class PickleFile(io.BufferedReader):
    """A file that raises ValueError if a text, number or line of its pickle is too long."""

    def read(self, size=-1):
        if size > input_bounds.PICKLE_PIECE_BYTES:
            raise ValueError(
                "the file is refused: a text or number in its pickle has more than"
                f" {input_bounds.PICKLE_PIECE_BYTES} bytes; {SAVE_STATE}. Received: {size}."
            )
        return super().read(size)

    def readline(self, size=-1):
        limit = input_bounds.PICKLE_KEPT_TEXT_BYTES
        line = super().readline(limit)
        if len(line) == limit:
            raise ValueError(
                f"the file is refused: a line of its pickle has more than {limit} bytes;"
                f" {SAVE_STATE}."
            )
        return line


class RestrictedUnpickler:
    """Reads one pickle of plain values, dictionaries and tensors.

    Args:
      file: File at the beginning of the pickle. After `load`, it is at the end of the pickle.
      storage: Function storage(dtype, key, size) that is called for each reference to a storage.
        Its result is passed to `tensor`.
      tensor: Function tensor(storage, offset, shape, strides) that returns a `StoredTensor`.

    Attributes:
      placed: Key and number of bytes of each tensor in a dictionary.
    """

    def __init__(self, file: PickleFile, storage: Callable, tensor: Callable):
        self._file = file
        self._storage = storage
        self._tensor = tensor
        self._stack, self._marks, self._memo = [], [], {}
        self._operations = self._kept_bytes = 0
        self.placed: list[tuple[str, int]] = []
        self._callables = {
            ("collections", "OrderedDict"): self._dictionary,
            ("collections", "defaultdict"): lambda *args: {},
            ("torch", "Size"): self._size,
            ("torch._utils", "_rebuild_tensor"): tensor,
            ("torch._utils", "_rebuild_tensor_v2"): self._rebuild,
            ("torch._utils", "_rebuild_parameter"): lambda data, *args: data,
        }

    def load(self) -> Any:
        """Reads the pickle and returns its value.

        Raises:
          ValueError: The pickle refers to a name that is not known, or exceeds a limit.
          Exception: The pickle is damaged. The type of error depends on the damage.
        """
        steps = {name: functools.partial(step, self) for name, step in STEPS.items()}
        for operation, argument, _ in self._read_operations():
            if operation.name == "STOP":
                _check_written_out(self._stack[-1])
                return self._stack.pop()
            self._count(1)
            step = steps.get(operation.name)
            if step is None:
                raise ValueError(
                    f"the file is refused: its pickle does more than store data; {SAVE_STATE}."
                    f" Received: the operation {operation.name}."
                )
            step(argument)
        raise ValueError(f"the file is incomplete: its pickle ends too early; {COPY_AGAIN}.")

    def _read_operations(self):
        try:
            yield from pickletools.genops(self._file)
        except ValueError as error:
            # Python refuses to parse long decimal numbers, because that takes quadratic time.
            if "set_int_max_str_digits" not in str(error):
                raise
            limit = sys.get_int_max_str_digits()
            raise ValueError(
                f"the file is refused: an integer in its pickle has more than {limit} digits;"
                f" {SAVE_STATE}."
            ) from error

    def _count(self, operations):
        self._operations += operations
        if self._operations > input_bounds.PICKLE_OPERATIONS:
            raise ValueError(
                "the file is refused: its pickle has more than"
                f" {input_bounds.PICKLE_OPERATIONS} operations; {SAVE_STATE}."
            )

    # One method for each operation of a pickle, called with the operation's argument.

    def push(self, value):
        self._stack.append(value)

    def text(self, value):
        """Pushes a text, bytes or an integer, or `INERT` if the value is too long."""
        size = sys.getsizeof(value)
        if size > input_bounds.PICKLE_KEPT_TEXT_BYTES:
            return self.push(INERT)
        self._kept_bytes += size
        if self._kept_bytes > input_bounds.PICKLE_KEPT_BYTES:
            raise ValueError(
                "the file is refused: all texts of its pickle together have more than"
                f" {input_bounds.PICKLE_KEPT_BYTES} bytes; {SAVE_STATE}."
            )
        return self.push(value)

    def old_text(self, value):
        """Pushes a text that Python 2 wrote as bytes."""
        self.text(value.encode("latin-1").decode("utf-8"))

    def mark(self, argument):
        self._marks.append(len(self._stack))

    def pop_mark(self, argument=None) -> list:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def pop(self, argument):
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._stack.pop()

    def take(self, count) -> tuple:
        """Removes the topmost `count` values from the stack and returns them."""
        if count > len(self._stack):
            raise ValueError(f"the file is incomplete: its pickle ends too early; {COPY_AGAIN}.")
        items = tuple(self._stack[len(self._stack) - count :])
        del self._stack[len(self._stack) - count :]
        return items

    def append(self, argument):
        self._extend(self.take(1))

    def appends(self, argument):
        self._extend(self.pop_mark())

    def _extend(self, items):
        if self._stack[-1] is not INERT:
            kind = type(self._stack[-1])
            require(
                kind is list,
                "the file is damaged: its pickle appends items to something other than a list;"
                f" {COPY_AGAIN}",
                to=kind.__name__,
            )
            self._stack[-1].extend(items)

    def set_item(self, argument):
        self._set_items(self.take(2))

    def set_items(self, argument):
        self._set_items(self.pop_mark())

    def _set_items(self, items):
        self._fill(self._stack[-1], zip(items[::2], items[1::2], strict=True))

    def to_dictionary(self, argument):
        items = self.pop_mark()
        self.push(self._fill({}, zip(items[::2], items[1::2], strict=True)))

    def put(self, place):
        self._memo[place] = self._stack[-1]

    def memoize(self, argument):
        self._memo[len(self._memo)] = self._stack[-1]

    def get(self, place):
        self.push(self._memo[place])

    def drop_state(self, argument):
        _, owner = self.take(1), self._stack[-1]
        plain = owner is INERT or type(owner) is dict
        require(
            plain,
            "the file is refused: its pickle sets the state of something other than a dictionary;"
            f" {SAVE_STATE}",
            owner=type(owner).__name__,
        )

    def call(self, argument):
        function, arguments = self.take(2)
        self.push(self._called(function, arguments))

    def call_with_names(self, argument):
        function, arguments, _ = self.take(3)
        self.push(self._called(function, arguments))

    def call_marked(self, argument):
        function, *arguments = self.pop_mark()
        self.push(self._called(function, arguments))

    def call_named(self, argument):
        self.push(self._called(self._named(*argument.split(" ", 1)), self.pop_mark()))

    def _called(self, function, arguments):
        if function is INERT:
            return INERT
        require(
            callable(function),
            "the file is refused: its pickle calls something other than a known function;"
            f" {SAVE_STATE}",
            called=type(function),
        )
        return function(*arguments)

    def name(self, argument):
        self.push(self._named(*argument.split(" ", 1)))

    def stacked_name(self, argument):
        module, name = self.take(2)
        plain = isinstance(module, str) and isinstance(name, str)
        require(
            plain,
            f"the file is damaged: a name in its pickle is not a text; {COPY_AGAIN}",
            module=type(module),
            name=type(name),
        )
        self.push(self._named(module, name))

    def _named(self, module: str, name: str) -> Any:
        if (module, name) in self._callables:
            return self._callables[module, name]
        if module == "torch" and name.removesuffix("Storage") in DTYPES:
            return name.removesuffix("Storage")
        if module == "torch" and name in DTYPES.values():
            return name
        if _is_inert(module, name):
            return INERT
        raise ValueError(
            f"the file refers to {module[:80]}.{name[:80]}. This reader accepts only tensors, plain"
            " values, and known objects that it ignores, such as argparse.Namespace. Nothing was"
            " executed. If the file holds a whole network, save the network's state_dict() instead."
        )

    def stored(self, argument):
        """Pushes the storage that the value on the stack describes."""
        (description,) = self.take(1)
        whole = isinstance(description, tuple) and len(description) > 1
        require(
            whole,
            f"the file is damaged: its pickle describes a storage wrongly; {COPY_AGAIN}",
            by=type(description).__name__,
        )
        if description[0] == "module":
            # Before PyTorch 1.6, the description could also be the class of a layer with its source
            # code.
            return self.push(description[1])
        kind, dtype, key, _, size, *view = (*description, *[None] * 5)[: max(5, len(description))]
        plain = isinstance(dtype, str) and isinstance(key, (str, int)) and isinstance(size, int)
        require(
            plain and kind == "storage" and dtype in DTYPES and size >= 0 and not any(view),
            f"the file is refused: the storage of a tensor has an unknown type; {SAVE_STATE}",
            dtype=dtype[:80] if isinstance(dtype, str) else type(dtype).__name__,
        )
        return self.push(self._storage(DTYPES[dtype], str(key), size))

    def _fill(self, dictionary, pairs):
        """Sets items of a dictionary and returns it. Items without a plain key are dropped."""
        if dictionary is INERT:
            return dictionary
        kind = type(dictionary)
        require(
            kind is dict,
            "the file is damaged: its pickle sets items of something other than a dictionary;"
            f" {COPY_AGAIN}",
            **{"in": kind.__name__},
        )
        for key, value in pairs:
            if isinstance(key, KEYS) or (type(key) is int and abs(key) < SMALL_INTEGER):
                dictionary[key] = value
                if isinstance(value, StoredTensor):
                    self.placed.append((str(key), value.num_bytes))
        return dictionary

    # One method for each known name that a pickle calls.

    def _dictionary(self, items=()):
        self._count(len(items))
        return self._fill({}, items.items() if isinstance(items, dict) else items)

    def _size(self, sizes=()):
        limit = input_bounds.TENSOR_AXES
        require(
            len(sizes) <= limit,
            f"the file is refused: a torch.Size in it has more than {limit} axes; {SAVE_STATE}",
            axes=len(sizes),
        )
        return tuple(sizes)

    def _rebuild(self, storage, offset, shape, strides, *rest):
        return self._tensor(storage, offset, shape, strides)


def _check_written_out(value) -> None:
    """Raises ValueError if a value with all its references is too large or too deeply nested.

    A pickle can refer to the same list many times. A small file can hold sixty lists, each of which
    contains the previous list twice. Code that visits every element of the last list never ends.
    """
    # Number of values and depth of each container, by its id.
    sizes: dict[int, tuple[int, int]] = {}
    # Containers that are not measured yet, each with a flag: whether all its parts are measured.
    left, opened = [(value, False)] if _parts(value) else [], set()
    while left:
        one, parts_are_measured = left.pop()
        if id(one) in sizes:
            continue
        if not parts_are_measured:
            require(
                id(one) not in opened,
                f"the file is refused: a value of its pickle contains itself; {SAVE_STATE}",
                kind=type(one),
            )
            opened.add(id(one))
            left.append((one, True))
            left += [(part, False) for part in _parts(one) if _parts(part)]
            continue
        counts, depths = zip(*(sizes.get(id(part), (1, 0)) for part in _parts(one)), strict=True)
        count, depth = 1 + sum(counts), 1 + max(depths)
        opened.remove(id(one))
        sizes[id(one)] = count, depth
        if count > input_bounds.PICKLE_VALUES or depth > input_bounds.PICKLE_DEPTH:
            raise ValueError(
                f"the file is refused: its pickle has more than {input_bounds.PICKLE_VALUES}"
                f" values or {input_bounds.PICKLE_DEPTH} levels with all references; {SAVE_STATE}."
            )


def _parts(value):
    """Returns the values in a list, tuple or dictionary, or () for any other value."""
    if type(value) is dict:
        return value.values()
    return value if type(value) in (list, tuple) else ()


def _is_inert(module, name):
    if module in BUILTINS:
        return name in INERT_BUILTINS
    return (module, name) in INERT_NAMES or module.split(".")[0] in INERT_MODULES


def _constant(make):
    return lambda machine, argument: machine.push(make())


def _tuple(count):
    return lambda machine, argument: machine.push(machine.take(count))


def _nothing(machine, argument):
    pass


_push, _text, _put, _get = (
    RestrictedUnpickler.push,
    RestrictedUnpickler.text,
    RestrictedUnpickler.put,
    RestrictedUnpickler.get,
)
# Function for each operation of a pickle, by the operation's name in `pickletools`.
STEPS: dict[str, Callable[[RestrictedUnpickler, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), _nothing),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT"), _push),
    **dict.fromkeys(("INT", "LONG", "LONG1", "LONG4"), _text),
    **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING"), _text),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), _text),
    **dict.fromkeys(("BINSTRING", "SHORT_BINSTRING"), RestrictedUnpickler.old_text),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    "MEMOIZE": RestrictedUnpickler.memoize,
    "NONE": _constant(lambda: None),
    "NEWTRUE": _constant(lambda: True),
    "NEWFALSE": _constant(lambda: False),
    "EMPTY_TUPLE": _tuple(0),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "TUPLE": lambda machine, argument: machine.push(tuple(machine.pop_mark())),
    "EMPTY_LIST": _constant(list),
    "LIST": lambda machine, argument: machine.push(machine.pop_mark()),
    "APPEND": RestrictedUnpickler.append,
    "APPENDS": RestrictedUnpickler.appends,
    "EMPTY_DICT": _constant(dict),
    "DICT": RestrictedUnpickler.to_dictionary,
    "SETITEM": RestrictedUnpickler.set_item,
    "SETITEMS": RestrictedUnpickler.set_items,
    # A conversion does not need sets.
    "EMPTY_SET": _constant(lambda: INERT),
    "ADDITEMS": RestrictedUnpickler.appends,
    "FROZENSET": lambda machine, argument: (machine.pop_mark(), machine.push(INERT)),
    "MARK": RestrictedUnpickler.mark,
    "POP": RestrictedUnpickler.pop,
    "POP_MARK": RestrictedUnpickler.pop_mark,
    "DUP": lambda machine, argument: machine.push(machine._stack[-1]),
    "GLOBAL": RestrictedUnpickler.name,
    "STACK_GLOBAL": RestrictedUnpickler.stacked_name,
    "REDUCE": RestrictedUnpickler.call,
    "NEWOBJ": RestrictedUnpickler.call,
    "NEWOBJ_EX": RestrictedUnpickler.call_with_names,
    "OBJ": RestrictedUnpickler.call_marked,
    "INST": RestrictedUnpickler.call_named,
    "BUILD": RestrictedUnpickler.drop_state,
    "BINPERSID": RestrictedUnpickler.stored,
}
