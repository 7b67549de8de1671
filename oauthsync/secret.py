"""One type for everything that must not be seen: tokens, client secrets, passphrases."""

import hmac
from typing import NoReturn


class Secret:
    """A string that shows itself only to `reveal()`: not in `repr`, logs, errors or pickles."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The string itself; call this only where it is put into a request or a sealed file."""
        return self.__value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self.__value), _bytes(other.reveal()))

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not serialisable")


def _bytes(value: str) -> bytes:
    # An environment variable that is not UTF-8 reaches Python as lone surrogates.
    return value.encode("utf-8", "surrogatepass")
