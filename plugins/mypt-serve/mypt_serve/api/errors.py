"""Errors in the form of OpenAI's API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.plugins import MyptError

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
_TYPES |= {429: "rate_limit_error"}
CLOSE = {"Connection": "close"}
# Logit processors, and the parameters that ask for them.
_PARAMS = {"json_schema": "response_format", "logit_bias": "logit_bias"}


class ApiError(Exception):
    """What a request is refused with."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Say why.

        Args:
            status: The status of HTTP.
            message: For a person: what is wrong, and what to do.
            param: The parameter that is wrong.
            code: For a program, such as `context_length_exceeded`.
            headers: Further headers of the answer.
        """
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """The answer."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {
            "error": {
                "message": self.message,
                "type": _TYPES.get(self.status, kind),
                "param": self.param,
                "code": self.code,
            }
        }


def refuse(param: str, what: str, code: str = "invalid_value") -> NoReturn:
    """Refuse a parameter that is wrong.

    Raises:
        ApiError: Always.
    """
    raise ApiError(400, f"'{param}' {what}.", param=param, code=code)


def refuse_length(name: str, count: int, context: int) -> NoReturn:
    """Refuse a prompt that is longer than what a model sees.

    Args:
        name: The parameter.
        count: Number of its tokens, or a smaller one that is too many.
        context: Number of tokens that the model sees.

    Raises:
        ApiError: Always.
    """
    message = f"This model's context is {context} tokens; shorten your {name} of {count}."
    raise ApiError(400, message, param=name, code="context_length_exceeded")


def refuse_settings(error: MyptError) -> NoReturn:
    """Refuse how a text is to be made, by the name of the parameter that is wrong.

    Raises:
        ApiError: Always.
    """
    parts = [one.where.partition("/") for one in error.problems]
    param = _PARAMS.get(parts[0][0])
    begin = f"'{param}' cannot be met" if param else "The text cannot be made"
    said = "; ".join(
        f"{place} {one.what}; {one.fix}".lstrip()
        for (_, _, place), one in zip(parts, error.problems, strict=True)
    )
    raise ApiError(400, f"{begin}: {said}.", param=param, code="invalid_value") from error


def explain(error: MyptError) -> str:
    """Return what an error of mypt says, without the file that it says it of."""
    return "; ".join(f"{one.what}; {one.fix}" for one in error.problems)
