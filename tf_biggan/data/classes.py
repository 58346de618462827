"""Classes by index, name or WordNet id; ImageNet's 1,000 classes. Imports no framework."""

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
    """ImageNet's 1,000 classes in the usual order: WordNet id to name.

    A name is the lemmas of WordNet's synset with commas between them, such as "tench, Tinca tinca".
    Names are unique. Source: imagenet_attribution.txt.
    """
    lines = IMAGENET_FILE.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines)


def parse_classes(
    specification: str, class_names: Sequence[str], num_classes: int | None = None
) -> tuple[int, ...]:
    """Class indices, in the order named, of a text such as "tench,golden retriever,n02123394,7".

    See `ClassLookup` for what may be named. Repetitions stay.

    Args:
      specification: names with commas between them; empty ones are left out.
      class_names: one name a class; empty where none are known.
      num_classes: number of classes; may be left out where names are given.

    Raises:
      ValueError: a name is unknown (its nearest matches are listed), ambiguous or out of range; or
        nothing is named.
    """
    return ClassLookup(class_names, num_classes).parse(specification)


class ClassLookup:
    """Finds the classes of one model by what a user calls them.

    A class is named by
    - its name, in any case, spaces and underscores being the same;
    - one of its name's parts between commas ("Tinca tinca"), where no other class has it: a class
      whose whole name it is goes first ("missile" is 657, though 744 is "projectile, missile");
    - its WordNet id, where the name is one of ImageNet's; and by ImageNet's names, where the
      model's are WordNet ids;
    - its index, counted from 0, or a range of indices such as 3-7, both ends included.
    A name that has commas itself is taken before its parts ("tench, Tinca tinca" is one class).
    A number that is the index of one class and the name of another is refused, alone and within a
    range: "index:7", "index:3-7" and "name:7" say which. "all" is every class.

    Args:
      class_names: one name a class; empty where none are known.
      num_classes: number of classes; may be left out where names are given.

    Raises:
      ValueError: the two do not fit each other.
    """

    def __init__(self, class_names: Sequence[str], num_classes: int | None = None):
        self.num_classes = len(class_names) if num_classes is None else num_classes
        checks.require(
            not class_names or len(class_names) == self.num_classes,
            "there must be one class name for every class, or none",
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
        """See `parse_classes`."""
        parts = [part.strip() for part in specification.split(",") if part.strip()]
        checks.require(bool(parts), "at least one class must be named", classes=specification)
        found, start = [], 0
        while start < len(parts):
            indices, taken = self._longest(parts[start:])
            found += indices
            start += taken
        return tuple(found)

    def _longest(self, parts):
        """(classes, parts used) of the longest name at the start; names may have commas."""
        for count in range(min(len(parts), self._most_parts), 1, -1):
            found = self.named(", ".join(parts[:count]))
            if len(found) == 1:
                return found, count
        return self._of_one(parts[0]), 1

    def named(self, name: str) -> tuple[int, ...]:
        """Every class that bears the name; indices and ranges are no names."""
        for level, key in zip(self._levels, (name, _normal(name), _normal(name)), strict=True):
            if key in level:
                return tuple(sorted(level[key]))
        return ()

    def spellings(self) -> dict[str, int]:
        """Every name of one class alone, in lower case with single spaces, and the class.

        As `named`: whole names go before parts of names.
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
        """Refuses a number that is one class's index and another's name; "01" is a name of 1."""
        named = self.named(str(index)) or self._numbered.get(index, (index,))
        if named == (index,):
            return
        others = ", ".join(str(other) for other in named if other != index)
        raise ValueError(
            f"{index} is the index of class {self.class_names[index]!r} and the name of the class"
            f" with index {others}; write {BY_INDEX}{text} to mean the index, or"
            f" {BY_NAME}{self.class_names[named[0]]} to mean the name. Received: classes={text!r}."
        )

    def _of_indices(self, numbers, text):
        """Classes by index: one number, or a range with both ends."""
        ends = _RANGE.fullmatch(numbers)
        if ends:
            first, last = int(ends[1]), int(ends[2])
            rule = "a range of classes must rise and lie"
        else:
            first = last = int(numbers) if numbers.isdecimal() else -1
            rule = "class indices must lie"
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
            rule = f"a name must be one class's; write the index or WordNet id of one of: {several}"
        elif not self.class_names:
            rule = (
                "this model's classes have no names; they must be named by index, from 0 to"
                f" {self.num_classes - 1}"
            )
        else:
            rule = f"a class must be known; {self._nearest(name)}"
        raise ValueError(f"{rule[0].upper()}{rule[1:]}. Received: classes={name!r}.")

    def _nearest(self, name):
        wanted, known = _normal(name), self._spelled
        word = re.compile(rf"\b{re.escape(wanted)}\b")
        containing = sorted(filter(word.search, known), key=len)
        similar = difflib.get_close_matches(wanted, known, MAX_NEAREST, SIMILARITY)
        nearest = list(dict.fromkeys([*containing, *similar]))[:MAX_NEAREST]
        if not nearest:
            shown = "; ".join(self.class_names[:MAX_NEAREST])
            return f"none has a name like it; the first classes are {shown}"
        places = (", ".join(map(str, self.named(name))) for name in nearest)
        pairs = (f"{known[n]} ({place})" for n, place in zip(nearest, places, strict=True))
        return f"nearest: {', '.join(pairs)}"

    def label(self, index: int) -> str:
        """Index, WordNet id where there is one, and name of a class, for messages."""
        if not self.class_names or self.class_names[index] == str(index):
            return str(index)
        # An id and the name that it stands for, in this order.
        aliases = sorted(_aliases(self.class_names[index]), key=lambda a: a in imagenet_classes())
        return " ".join((str(index), *reversed(aliases)))


def match_classes(names: Sequence[str], others: Sequence[str]) -> tuple[int, ...]:
    """Finds the classes of one source of labels in another, by their names.

    A name of ImageNet also matches its WordNet id, and the first words of a name the whole name.

    Args:
      names: one name a class; not empty.
      others: one name a class, of the source that is searched; not empty.

    Returns:
      For every class of `names` the index of the same class in `others`; -1 where there is none, or
      where its name belongs to several.
    """
    if tuple(names) == tuple(others):
        return tuple(range(len(names)))
    # "tench" finds "tench, Tinca tinca" only among the names that are searched, so both are.
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
    """Names the first classes that only one of two sources of labels has.

    Args:
      names, others: one name a class, of each source; not empty.
      where, elsewhere: what messages call the sources, such as "the run" and "the data".

    Returns:
      A clause such as "only in the run: 'ant'; only in the data: 'zebra'"; None where every class
      has its match.
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
    """One name for each of a model's classes, which may be more or fewer than its data have.

    Args:
      names: of the classes of the data; empty where none are known.
      num_classes: of the model.

    Returns:
      The first `num_classes` names; classes without images are called "unnamed 7" by their index.
      () where no names are known.
    """
    if not names:
        return ()
    unnamed = (f"{UNNAMED} {index}" for index in range(len(names), num_classes))
    return (*names[:num_classes], *unnamed)


@functools.cache
def _imagenet_ids() -> Mapping[str, str]:
    return {_normal(name): identifier for identifier, name in imagenet_classes().items()}


def _aliases(name: str) -> tuple[str, ...]:
    """The name, and what ImageNet calls the class by another word: its id, or the id's name."""
    other = imagenet_classes().get(name) or _imagenet_ids().get(_normal(name))
    return (name,) if other is None else (name, other)


def _normal(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())
