"""PURE: words of an inventory that are near to one that matters: what is misspelt is passed over by whoever reads it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

NEAR, VERY_NEAR = 0.7, 0.8
"""How alike two words are, as difflib measures it: where every unknown word is told anyway, and where only these are."""


def nearest(word: str, meant: Iterable[str], *, least: float = NEAR) -> str | None:
    """The word of `meant` that was probably meant; capitals, hyphens and underscores do not matter.

    >>> nearest("adress", ["user", "address"]), nearest("SSH-Key-Path", ["ssh_key_path"]), nearest("rack", ["user"])
    ('address', 'ssh_key_path', None)
    """
    plain: dict[str, str] = {}
    for each in meant:
        plain.setdefault(_plain(each), each)
    found = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=least)
    return plain[found[0]] if found else None


def unknown_words(words: Iterable[str], known: Sequence[str], what: str) -> list[str]:
    """A line for each word that is not known, with the one that was probably meant; `what` says what it is not."""
    return [passed_over(word, known, what) for word in words if word not in known]


def near_words(words: Iterable[str], matters: Sequence[str], known: Sequence[str], what: str) -> list[str]:
    """The same where most unknown words are somebody else's business: only for what is very near to one that `matters`."""
    odd = [word for word in words if word not in known and word not in matters]
    return [passed_over(word, matters, what) for word in odd if _very_near(word, matters)]


def passed_over(word: str, meant: Iterable[str], what: str) -> str:
    """That a word was passed over, and what it may have been meant to be."""
    near = nearest(word, meant)
    return f"`{word}` is {what}, and was passed over" + (f": is `{near}` meant?" if near is not None else "")


def _very_near(word: str, matters: Sequence[str]) -> bool:
    """Whether it is near as a whole, and, where both begin alike (`ansible_`), near in the rest, too."""
    near = nearest(word, matters, least=VERY_NEAR)
    if near is None:
        return False
    (head, _, rest), (wanted, _, other) = word.partition("_"), near.partition("_")
    return head != wanted or nearest(rest, [other]) is not None


def _plain(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")
