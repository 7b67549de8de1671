"""What an error gives away to whoever catches it, logs it or sends it to a collector."""

import traceback
from collections.abc import Iterator


def shown(error: BaseException) -> str:
    """All that an error says and holds, it and every error that can be reached from it."""
    told = (
        f"{each!r} {each.args!r} {vars(each)!r} " + " ".join(_attributes(each))
        for each in _reachable(error)
    )
    return "".join(traceback.format_exception(error)) + " ".join(told)


def _reachable(error: BaseException) -> Iterator[BaseException]:
    """Also the context that `from None` only hides."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            left += [each.__cause__, each.__context__]


def _attributes(error: BaseException) -> Iterator[str]:
    """What the standard library's errors hold outside of their `__dict__`."""
    for name in ("object", "doc", "filename", "filename2", "cmd", "output"):
        value = getattr(error, name, None)
        if value is not None:
            yield value.decode("latin-1") if isinstance(value, bytes) else str(value)
