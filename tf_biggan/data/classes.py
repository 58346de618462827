"""Finds classes by index, name or WordNet ID, and lists the classes of ImageNet.

This module does not import TensorFlow.
"""

from __future__ import annotations

import collections
import difflib
import functools
import pathlib
import re
from collections.abc import Mapping, Sequence

from tf_biggan import checks

IMAGENET_FILE = pathlib.Path(__file__).with_name("imagenet_classes.txt")
ALL = "all"
BY_INDEX, BY_NAME = "index:", "name:"
UNNAMED = "unnamed"
MAX_NEAREST = 5
SIMILARITY = 0.6
_NUMBER = re.compile(r"-?\d+")
_RANGE = re.compile(r"(\d+)\s*-\s*(\d+)")


@functools.cache
def imagenet_classes() -> Mapping[str, str]:
    """Maps the WordNet IDs of ImageNet's 1,000 classes to names, in the order of class indices.

    A name lists the lemmas of WordNet's synset, separated by commas: "tench, Tinca tinca". Names
    are unique. Source: imagenet_attribution.txt.
    """
    lines = IMAGENET_FILE.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines)


def parse_classes(
    specification: str, class_names: Sequence[str], num_classes: int | None = None
) -> tuple[int, ...]:
    """Returns the indices of classes that a text names, such as "tench,n02123394,7".

    `ClassLookup` explains the accepted names. The indices have the order of the names in the text.
    A class that is named n times occurs n times in the result.

    Args:
      specification: Names separated by commas. Empty names are ignored.
      class_names: One name for each class; empty if the names are unknown.
      num_classes: Number of classes. May be None if `class_names` is not empty.

    Raises:
      ValueError: A name is unknown (the message lists similar names), ambiguous or out of range, or
        the text names no class.
    """
    return ClassLookup(class_names, num_classes).parse(specification)


class ClassLookup:
    """Finds the classes of a model by name, WordNet ID or index.

    A class can be given by
    - its name. Case is ignored, and underscores count as spaces.
    - a part of its name between commas, such as "Tinca tinca", if no other class has this part. A
      class with this text as its whole name takes precedence: "missile" is class 657, although
      class 744 is "projectile, missile".
    - its WordNet ID, if the model calls the class by its name in ImageNet.
    - its name in ImageNet, if the model calls the class by its WordNet ID.
    - its index, counted from 0, or a range of indices such as 3-7, which includes both ends.
    - "all" for every class.
    A name that contains commas takes precedence over its parts: "tench, Tinca tinca" is one class.
    A number that is the index of one class and the name of another class is refused. Write
    "index:7", "index:3-7" or "name:7" in this case.

    Args:
      class_names: One name for each class; empty if the names are unknown.
      num_classes: Number of classes. May be None if `class_names` is not empty.

    Raises:
      ValueError: The number of class names differs from `num_classes`.
    """

    def __init__(self, class_names: Sequence[str], num_classes: int | None = None):
        self.num_classes = len(class_names) if num_classes is None else num_classes
        checks.require(
            not class_names or len(class_names) == self.num_classes,
            "`class_names` must hold one name for each class, or be empty",
            class_names=len(class_names),
            num_classes=self.num_classes,
        )
        self.class_names = tuple(class_names)
        self._levels = tuple(collections.defaultdict(set) for _ in range(3))
        self._spelled: dict[str, str] = {}
        self._numbered: dict[int, tuple[int, ...]] = {}
        self._most_parts = max((1 + name.count(",") for name in class_names), default=1)
        for index, name in enumerate(class_names):
            self._add(index, name)

    def _add(self, index, name):
        literal, whole, parts = self._levels
        literal[name].add(index)
        if _NUMBER.fullmatch(name):
            self._numbered[int(name)] = (*self._numbered.get(int(name), ()), index)
        for alias in _aliases(name):
            whole[_normal(alias)].add(index)
            for part in (alias, *alias.split(",")):
                parts[_normal(part)].add(index)
                self._spelled.setdefault(_normal(part), part.strip())

    def parse(self, specification: str) -> tuple[int, ...]:
        """Returns the indices of classes that a text names; see `parse_classes`."""
        parts = [part.strip() for part in specification.split(",") if part.strip()]
        checks.require(bool(parts), "`classes` must name at least one class", classes=specification)
        found, start = [], 0
        while start < len(parts):
            indices, taken = self._longest(parts[start:])
            found += indices
            start += taken
        return tuple(found)

    def _longest(self, parts):
        """Returns (classes, number of parts used) for the longest name that `parts` begin with."""
        for count in range(min(len(parts), self._most_parts), 1, -1):
            found = self.named(", ".join(parts[:count]))
            if len(found) == 1:
                return found, count
        return self._of_one(parts[0]), 1

    def named(self, name: str) -> tuple[int, ...]:
        """Returns the indices of all classes called `name`, which is never read as an index."""
        for level, key in zip(self._levels, (name, _normal(name), _normal(name)), strict=True):
            if key in level:
                return tuple(sorted(level[key]))
        return ()

    def spellings(self) -> dict[str, int]:
        """Maps every name that belongs to a single class to the index of the class.

        Names are in lower case with single spaces. As in `named`, whole names take precedence over
        parts of names.
        """
        parts, whole = self._levels[2], self._levels[1]
        classes = {**parts, **whole}
        return {name: min(found) for name, found in classes.items() if len(found) == 1 and name}

    def _of_one(self, text) -> tuple[int, ...]:
        if text.startswith(BY_INDEX):
            return self._of_indices(text.removeprefix(BY_INDEX).strip(), text)
        if text.startswith(BY_NAME):
            return self._of_name(text.removeprefix(BY_NAME))
        if text.lower() == ALL:
            return tuple(range(self.num_classes))
        if _NUMBER.fullmatch(text):
            return self._of_number(text)
        if _RANGE.fullmatch(text) and not self.named(text):
            return self._of_range(text)
        return self._of_name(text)

    def _of_number(self, text):
        named = self.named(text)
        if 0 <= int(text) < self.num_classes:
            self._require_one_meaning(int(text), text)
        return self._of_name(text) if named else self._of_indices(text, text)

    def _of_range(self, text):
        found = self._of_indices(text, text)
        for index in found:
            self._require_one_meaning(index, text)
        return found

    def _require_one_meaning(self, index, text):
        """Raises ValueError if a number is the index of one class and the name of another class.

        The class name "01" counts as the number 1.
        """
        named = self.named(str(index)) or self._numbered.get(index, (index,))
        if named == (index,):
            return
        others = ", ".join(str(other) for other in named if other != index)
        raise ValueError(
            f"{index} is the index of class {self.class_names[index]!r} and also the name of"
            f" the class with index {others}; write {BY_INDEX}{text} for the index or"
            f" {BY_NAME}{self.class_names[named[0]]} for the name. Received: classes={text!r}."
        )

    def _of_indices(self, numbers, text):
        """Returns the class with an index, or all classes of a range, including both ends."""
        ends = _RANGE.fullmatch(numbers)
        if ends:
            first, last = int(ends[1]), int(ends[2])
            rule = "a range of classes must begin with its smaller index, and both indices must be"
        else:
            first = last = int(numbers) if numbers.isdecimal() else -1
            rule = "class indices must be"
        checks.require(
            0 <= first <= last < self.num_classes,
            f"{rule} from 0 to {self.num_classes - 1}",
            classes=text,
        )
        return tuple(range(first, last + 1))

    def _of_name(self, name):
        found = self.named(name)
        if len(found) == 1:
            return found
        if found:
            several = "; ".join(self.label(index) for index in found)
            rule = (
                "several classes have this name; give the index or WordNet ID of one of"
                f" them: {several}"
            )
        elif not self.class_names:
            rule = f"this model has no class names; give an index from 0 to {self.num_classes - 1}"
        else:
            rule = f"no class has this name; {self._nearest(name)}"
        raise ValueError(f"{rule[0].upper()}{rule[1:]}. Received: classes={name!r}.")

    def _nearest(self, name):
        wanted, known = _normal(name), self._spelled
        word = re.compile(rf"\b{re.escape(wanted)}\b")
        containing = sorted(filter(word.search, known), key=len)
        similar = difflib.get_close_matches(wanted, known, MAX_NEAREST, SIMILARITY)
        nearest = list(dict.fromkeys([*containing, *similar]))[:MAX_NEAREST]
        if not nearest:
            shown = "; ".join(self.class_names[:MAX_NEAREST])
            return f"the first classes are {shown}"
        places = (", ".join(map(str, self.named(name))) for name in nearest)
        pairs = (f"{known[n]} ({place})" for n, place in zip(nearest, places, strict=True))
        return f"the most similar names are {', '.join(pairs)}"

    def label(self, index: int) -> str:
        """Returns index, WordNet ID (if there is one) and name of a class, for messages."""
        if not self.class_names or self.class_names[index] == str(index):
            return str(index)
        # Sorted so that the WordNet ID comes before the name.
        aliases = sorted(_aliases(self.class_names[index]), key=lambda a: a in imagenet_classes())
        return " ".join((str(index), *reversed(aliases)))


def class_name(label: int, lookup: ClassLookup) -> str:
    """Returns the first name of a class, or its index as text if it has no name."""
    return lookup.class_names[label].split(",")[0] if lookup.class_names else str(label)


def match_classes(names: Sequence[str], others: Sequence[str]) -> tuple[int, ...]:
    """Matches the classes of two data sets or models by their names.

    A name of ImageNet also matches its WordNet ID, and a part of a name matches the whole name.

    Args:
      names: Class names of the first data set or model; not empty.
      others: Class names of the second data set or model; not empty.

    Returns:
      For each class of `names`, the index of the same class in `others`; -1 if there is no such
      class or if several classes match.
    """
    if tuple(names) == tuple(others):
        return tuple(range(len(names)))
    # A lookup finds "tench, Tinca tinca" by "tench", but not the reverse, so both sides are
    # searched.
    there, here = ClassLookup(others), ClassLookup(names)
    pairs = {(i, j) for i, name in enumerate(names) for j in there.named(name)}
    pairs |= {(i, j) for j, name in enumerate(others) for i in here.named(name)}
    of_names = collections.Counter(i for i, _ in pairs)
    of_others = collections.Counter(j for _, j in pairs)
    matched = {i: j for i, j in pairs if of_names[i] == of_others[j] == 1}
    return tuple(matched.get(i, -1) for i in range(len(names)))


def name_differences(
    names: Sequence[str], others: Sequence[str], where: str, elsewhere: str
) -> str | None:
    """Returns a text about the classes that only one of two models or data sets has.

    For each of the two, at most `MAX_NEAREST` classes are named, and the others are counted.

    Args:
      names, others: Class names of the two models or data sets; neither is empty.
      where, elsewhere: Words for the two in the text, such as "the run" and "the data".

    Returns:
      A text such as "only in the run: 'ant'; only in the data: 'zebra'"; None if all classes match.
    """
    parts = []
    for mine, theirs, place in ((names, others, where), (others, names, elsewhere)):
        alone = [name for name, i in zip(mine, match_classes(mine, theirs), strict=True) if i < 0]
        if alone:
            shown = ", ".join(map(repr, alone[:MAX_NEAREST]))
            more = len(alone) - MAX_NEAREST
            parts.append(f"only in {place}: {shown}" + (f" and {more:,} more" if more > 0 else ""))
    return "; ".join(parts) or None


def complete_names(names: Sequence[str], num_classes: int) -> tuple[str, ...]:
    """Returns one name for each class of a model whose data have more or fewer classes.

    Args:
      names: Class names of the data; empty if they are unknown.
      num_classes: Number of classes of the model.

    Returns:
      The first `num_classes` names, or () if the names are unknown. If the model has a class 7 and
      the data have none, this class is called "unnamed 7".
    """
    if not names:
        return ()
    unnamed = (f"{UNNAMED} {index}" for index in range(len(names), num_classes))
    return (*names[:num_classes], *unnamed)


@functools.cache
def _imagenet_ids() -> Mapping[str, str]:
    return {_normal(name): identifier for identifier, name in imagenet_classes().items()}


def _aliases(name: str) -> tuple[str, ...]:
    """Returns a class name, and its other name in ImageNet (WordNet ID or name) if it has one."""
    other = imagenet_classes().get(name) or _imagenet_ids().get(_normal(name))
    return (name,) if other is None else (name, other)


def _normal(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())
