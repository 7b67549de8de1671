"""What an answer means, and what of it may be shown."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from oauthsync import answers
from oauthsync.answers import MAX_WORDS, Answer
from oauthsync.errors import (
    ApiError,
    AuthenticationError,
    RateLimitedError,
    RefusedError,
    UnknownOutcomeError,
)
from oauthsync.secret import Secret
from tests import leaks

URL = "https://www.workato.com"
TOKEN = Secret("canary-token")
METHODS = ["GET", "POST"]
"""A read and a write: one of each, as all writes are alike here."""
PAGE = b"<!DOCTYPE html><title>Sign in</title>"
ROW = {"id": 321, "name": "Acme", "provider": "hubspot", "data": {"client_id": "c"}}


def made(
    status: int = 200, body: object = None, headers: Mapping[str, str] | None = None
) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, CaseInsensitiveDict(headers or {}), content)


def check(answer: Answer, method: str = "GET", *secrets: Secret) -> None:
    answers.check(answer, method, URL, secrets or (TOKEN,))


def failure(answer: Answer, method: str = "GET", *secrets: Secret) -> ApiError:
    with pytest.raises(ApiError) as caught:
        check(answer, method, *secrets)
    assert caught.value.__context__ is None
    return caught.value


# --- done, or not -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("body", [b"", b'{"result": {"success": true}}', b'{"x": "success"}'])
def test_a_2xx_without_success_false_passes(status: int, body: bytes) -> None:
    check(made(status, body))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"success": False, "errors": {"name": ["is taken"]}}, "name is taken"),
        ({"result": {"success": False}, "message": "in use"}, "in use"),
        ({"success": False}, "no reason given"),
    ],
)
def test_success_false_is_a_refusal(method: str, body: object, said: str) -> None:
    error = failure(made(200, body), method)
    assert isinstance(error, RefusedError)
    assert error.status == 200
    assert str(error) == f"the {method} request to {URL} was refused: {said}"


@pytest.mark.parametrize("body", [b'{"success": false', b'["success", false]'])
def test_half_a_refusal_is_unknown(body: bytes) -> None:
    with pytest.raises(UnknownOutcomeError):
        check(made(200, body), "POST")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("status", [400, 404, 409, 422, 499])
def test_a_4xx_in_the_apis_own_words_is_a_refusal(method: str, status: int) -> None:
    error = failure(made(status, {"message": "Not done"}), method)
    assert isinstance(error, RefusedError)
    assert error.status == status
    assert str(error) == f"the {method} request to {URL} was refused with {status}: Not done"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"message": "Not found"}, "Not found"),
        ({"errors": [{"code": "invalid", "title": "Not done"}]}, "Not done"),
        ({"errors": ["one", "two"]}, "one, two"),
        ({"error": "Bad"}, "Bad"),
        ({"errors": {"name": ["is long", "is odd"], "x": "no"}}, "name is long, is odd, x no"),
        ({"message": "Bad", "errors": {"name": ["is odd"]}}, "Bad; name is odd"),
        ({"errors": {"base": ["Not done"], "name": ["is odd"]}}, "Not done, name is odd"),
        ({"message": {"code": 7}}, "code 7"),
        ({"errors": [{"title": ["deep"]}, 1, None, True]}, "deep, 1, null, true"),
    ],
)
def test_the_apis_own_words_are_found_in_each_of_their_forms(body: object, said: str) -> None:
    error = failure(made(422, body), "POST")
    assert isinstance(error, RefusedError)
    assert str(error) == f"the POST request to {URL} was refused with 422: {said}"


WORDLESS = [PAGE, b"", b"{}", b"[]", b'{"message": ""}', b'{"mess']


@pytest.mark.parametrize(
    ("status", "body"),
    [*((422, body) for body in WORDLESS), *((status, PAGE) for status in (400, 401, 403, 404))],
)
def test_a_write_with_a_4xx_without_the_apis_words_is_unknown(status: int, body: bytes) -> None:
    error = failure(made(status, body), "POST")
    assert isinstance(error, UnknownOutcomeError)
    assert f"was answered with {status}" in str(error)
    assert ("an HTML page" in str(error)) == (body == PAGE)


@pytest.mark.parametrize("body", [PAGE, b"", b"{}"])
def test_a_read_with_a_4xx_is_refused_whoever_says_so(body: bytes) -> None:
    error = failure(made(404, body))
    assert isinstance(error, RefusedError)
    assert "proxy" in (error.hint or "")


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("method", METHODS)
def test_a_401_or_403_names_every_cause(status: int, method: str) -> None:
    error = failure(made(status, {"message": "Unauthorized"}), method)
    assert isinstance(error, AuthenticationError)
    assert str(error) == f"the {method} request to {URL} was refused with {status}: Unauthorized"
    for cause in ("token", "region", "role", "environment", "IP list"):
        assert cause in (error.hint or "")


@pytest.mark.parametrize("body", [PAGE, b"", b"{}"])
def test_a_read_with_a_401_is_an_authentication_error_whatever_its_body(body: bytes) -> None:
    assert isinstance(failure(made(401, body)), AuthenticationError)


OTHERS = [100, 103, 408, 425, 500, 501, 502, 503, 504, 599, 600, 999]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("status", "body"),
    [*((status, {"message": "Trouble"}) for status in OTHERS), (408, b""), (500, PAGE), (500, b"")],
)
def test_any_other_status_is_unknown(method: str, status: int, body: object) -> None:
    error = failure(made(status, body), method)
    assert isinstance(error, UnknownOutcomeError)
    assert str(status) in str(error)
    assert error.hint


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_with_its_location_and_leaves_a_write_unknown(status: int) -> None:
    answer = made(status, b"", {"Location": "https://evil.example/canary-token?x"})
    for method in METHODS:
        error = failure(answer, method)
        assert isinstance(error, UnknownOutcomeError) == (method != "GET")
        assert "redirected to https://evil.example/[masked]?x, which oauthsync does not" in str(
            error
        )
    assert "nowhere" in str(failure(made(status)))


# --- 429 ----------------------------------------------------------------------------------------

DATE = "Mon, 23 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"Retry-After": "9" * 400}, float("inf")),
        ({"Retry-After": "Mon, 23 Nov 2026 10:01:30 GMT", "Date": DATE}, 90.0),
        ({"Retry-After": "Mon, 23 Nov 2026 09:00:00 GMT", "Date": DATE}, 0.0),
        ({"Retry-After": "Mon, 23 Nov 2026 10:01:30 GMT"}, None),
        ({"Retry-After": "Mon, 23 Nov 2026 10:01:30 GMT", "Date": "now"}, None),
        ({"Retry-After": "Mon, 23 Nov 2026 10:01:30 -0000", "Date": DATE}, None),
        ({"Retry-After": f"Mon, 23 Nov {'9' * 30} 10:01:30 GMT", "Date": DATE}, None),
        ({"Retry-After": "Mon, 23 Nov 2026 10:01:30 +999999999999", "Date": DATE}, None),
        ({"Retry-After": "-5", "Date": DATE}, None),
        ({"Retry-After": "1.5", "Date": DATE}, None),
        ({"Retry-After": "soon", "Date": DATE}, None),
        ({"Retry-After": "²", "Date": DATE}, None),
    ],
)
def test_a_429_says_how_long_to_wait_where_its_retry_after_makes_sense(
    headers: dict[str, str], seconds: float | None
) -> None:
    error = failure(made(429, {"message": "Too many"}, headers), "POST")
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == seconds
    assert str(error).endswith(": Too many")
    assert ("asked for a pause" in str(error)) == (seconds is not None)


@given(st.text() | st.from_regex(r"\A[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d+ [\d:]+ [-+A-Z0-9]+\Z"))
def test_any_retry_after_is_seconds_or_nothing(text: str) -> None:
    error = failure(made(429, b"", {"Retry-After": text, "Date": DATE}))
    assert isinstance(error, RateLimitedError)
    assert error.retry_after is None or error.retry_after >= 0


# --- what may be shown --------------------------------------------------------------------------

SECRET = 'c&nary"s/ecret<ü>'
FORMS = [
    SECRET,
    SECRET.upper(),
    json.dumps(SECRET),
    json.dumps(SECRET, ensure_ascii=False),
    "c%26nary%22s%2Fecret%3C%C3%BC%3E",
    "c%26nary%22s/ecret%3c%c3%bc%3e",
    "c&amp;nary&quot;s/ecret&lt;ü&gt;",
]


@pytest.mark.parametrize(
    ("form", "status"),
    [*((form, 422) for form in FORMS), *((SECRET, status) for status in (200, 401, 429, 500))],
)
def test_a_secret_that_the_server_repeats_is_masked_in_every_form(form: str, status: int) -> None:
    body = {"success": False, "message": f"bad: {form}", "errors": {form: [{"title": form}, form]}}
    error = failure(made(status, body), "POST", TOKEN, Secret(SECRET))
    shown = f"{error!s}{error!r}{error.hint}".lower()
    assert "[masked]" in shown
    assert "ecret" not in shown
    assert "c&nary" not in shown
    assert "c%26nary" not in shown


LONG = "a8\\Qz'x0-Kf71Lm_" + "pq93Rt" * 4


@pytest.mark.parametrize(
    "told", [LONG[:12] + "...", "…" + LONG[-20:], LONG[5:13], repr(LONG), f"{LONG}{LONG[:7]}"]
)
def test_a_part_of_a_secret_that_the_server_repeats_is_masked_too(told: str) -> None:
    error = failure(made(422, {"message": f"is invalid: {told}"}), "POST", TOKEN, Secret(LONG))
    shown = str(error)
    assert "is invalid: " in shown
    assert "[masked]" in shown
    assert not any(LONG[at : at + 8] in shown for at in range(len(LONG) - 7))


def test_a_secret_in_another_case_is_masked_whatever_that_does_to_its_length() -> None:
    error = failure(
        made(422, {"message": "İSTANBUL-şifre, i̇stanbul-şifre"}), "POST", Secret("İstanbul-ŞİFRE")
    )
    assert "stanbul" not in str(error).lower()


def test_half_of_a_short_secret_is_masked() -> None:
    error = failure(made(422, {"message": "starts with hunt3r"}), "POST", Secret("hunt3r22"))
    assert str(error).endswith(": starts with [masked]")


def test_what_a_secret_has_in_common_with_ordinary_words_is_shown() -> None:
    error = failure(
        made(422, {"message": "name is blank"}), "POST", TOKEN, Secret("name-is-secret")
    )
    assert str(error).endswith(": name is blank")


SENT = 'POST / HTTP/1.1\r\nAuthorization: Bearer canary-token\r\n\r\n{"token": "canary-token"}'


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (422, {"errors": {SENT: [SENT], "b": {SENT: SENT}}}, {}),
        (422, {"errors": [{"code": SENT, "title": SENT}]}, {}),
        (302, SENT, {"Location": SENT}),
        (429, SENT, {"Retry-After": SENT}),
        (500, SENT.encode(), {}),
        (200, b"<html>" + SENT.encode(), {}),
        (200, json.dumps({"message": SENT}).encode()[:-2], {}),
        (200, {"message": SENT}, {}),
        (200, {"result": SENT}, {}),
        (200, {"result": {**ROW, "id": SENT}}, {}),
        (200, {"result": {**ROW, "name": 1, "provider": SENT}}, {}),
        (200, {"result": {SENT: 1}}, {}),
        (200, b'{"result": {"canary-token": 1, "canary-token": 2}}', {}),
    ],
)
def test_an_answer_that_repeats_the_request_is_not_quoted(
    status: int, body: object, headers: dict[str, str]
) -> None:
    def understand(answer: Answer) -> None:
        check(answer, "POST")
        answers.profile(answer.content)

    with pytest.raises(ApiError) as caught:
        understand(made(status, body, headers))
    assert "canary" not in leaks.shown(caught.value)


def test_the_representation_of_an_answer_repeats_nothing() -> None:
    assert repr(made(200, "canary", {"Location": "canary"})) == "Answer(status=200)"


def test_secrets_are_masked_whole_where_one_is_a_part_of_another() -> None:
    error = failure(made(422, {"message": "a-bc-d"}), "POST", Secret("bc"), Secret(" a-bc-d\n"))
    assert str(error).endswith(": [masked]")


def test_an_empty_secret_masks_nothing() -> None:
    assert str(failure(made(422, {"message": "ab"}), "POST", Secret(""))).endswith(": ab")


@pytest.mark.parametrize("kept", range(1, 12))
def test_a_cut_leaves_no_part_of_a_secret(kept: int) -> None:
    message = "x" * (MAX_WORDS - kept) + "canary-token" + "y" * 100
    error = failure(made(422, {"message": message}))
    assert "canary" not in str(error)
    assert "x[masked]"[:kept] in str(error)


def test_long_words_are_cut() -> None:
    assert str(failure(made(422, {"message": "x" * 501}))).endswith("x" * 500 + "…")
    assert str(failure(made(422, {"message": "x" * 500}))).endswith("x" * 500)


def test_control_and_direction_characters_are_shown_escaped() -> None:
    error = failure(made(422, {"message": "a\x1b[31mb\u202ec\nd\x9be é 漢 😀"}))
    assert str(error).endswith(": a\\u001b[31mb\\u202ec\\nd\\u009be é 漢 😀")


def test_the_deepest_error_body_is_shown_too() -> None:
    body = b'{"errors": ' + b'[{"a":' * 49 + b'"deep"' + b"}]" * 49 + b"}"
    assert str(failure(made(422, body))).endswith(" deep")


@given(st.binary(max_size=80) | st.builds(lambda text: json.dumps({"errors": text}), st.text()))
@pytest.mark.parametrize("status", [200, 302, 403, 429, 422, 500])
def test_any_body_passes_or_is_one_of_our_errors(status: int, body: bytes | str) -> None:
    answer = made(status, body if isinstance(body, bytes) else body.encode())
    for method in ("GET", "POST"):
        try:
            check(answer, method)
        except ApiError as error:
            assert str(error).startswith("the ")  # noqa: PT017 - it may pass as well


# --- bodies -------------------------------------------------------------------------------------


def test_a_profile_a_page_and_a_workspace_are_read() -> None:
    assert answers.profile(made(200, {"result": ROW}).content).id == 321
    page = answers.page(made(200, {"result": [ROW, {**ROW, "id": 5}]}).content, 2)
    assert [profile.id for profile in page] == [321, 5]
    assert answers.page(b'{"result": []}', 100) == ()
    assert answers.workspace(b'{"id": 7, "plan": 1.0}').keys() == {"id", "plan"}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (PAGE, "the API's answer is not usable JSON: .* (an HTML page)"),
        (b"", "not usable JSON"),
        (b'{"result": {"id', "not usable JSON"),
        (b'{"result": \xff}', "not UTF-8"),
        (b'{"result": NaN}', "NaN"),
        (b'{"result": 1, "result": 2}', "a key stands twice"),
        (b"[" * 100_000, "nested more than 100 deep"),
        (b"[]", "no JSON object"),
        (b"null", "no JSON object"),
        (b"{}", "no `result`"),
        (b'{"Result": []}', "no `result`"),
    ],
)
def test_what_is_no_answer_of_the_api_is_unknown(body: bytes, why: str) -> None:
    for read in (answers.profile, lambda content: answers.page(content, 100)):
        with pytest.raises(UnknownOutcomeError, match=why.replace("(", r"\(").replace(")", r"\)")):
            read(body)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": "321"}, "`id`"),
        ({"id": -1}, "`id`"),
        ({"id": 0}, "`id`"),
        ({"id": True}, "`id`"),
        ({"id": None}, "`id`"),
        ({"id": 2**63}, "`id`"),
        ({"id": 10**400}, "`id`"),
        ({"id": 3.0}, "`id`"),
        ({"name": None}, "`name`"),
        ({"name": ["canary"]}, "`name`"),
        ({"provider": 5}, "`provider`"),
        ({"data": "canary"}, "`data`"),
        ({"data": {"client_id": 5}}, "`data.client_id`"),
    ],
)
def test_a_row_that_is_no_profile_is_unknown_and_named_by_its_field(
    changes: dict[str, object], field: str
) -> None:
    row = {**ROW, **changes}
    with pytest.raises(UnknownOutcomeError, match=field) as caught:
        answers.profile(made(200, {"result": row}).content)
    assert "canary" not in str(caught.value)
    with pytest.raises(UnknownOutcomeError, match=field):
        answers.page(made(200, {"result": [ROW, row]}).content, 100)


@pytest.mark.parametrize("rows", [{"0": ROW}, "list", 5, None, True, [ROW, None], [[ROW]]])
def test_a_list_that_is_none_is_unknown(rows: object) -> None:
    with pytest.raises(UnknownOutcomeError):
        answers.page(made(200, {"result": rows}).content, 100)


def test_a_page_with_more_rows_than_asked_for_is_unknown() -> None:
    rows = [{**ROW, "id": number + 1} for number in range(10_000)]
    with pytest.raises(UnknownOutcomeError, match="a page of 10000 profiles, over 100"):
        answers.page(made(200, {"result": rows}).content, 100)


def test_a_deletion_is_followed_by_an_object_or_by_nothing() -> None:
    answers.deletion(made(200, {"result": {"success": True}}), [TOKEN])
    answers.deletion(made(200, {"errors": []}), [TOKEN])
    answers.deletion(made(204, b""), [TOKEN])
    answers.deletion(made(200, b"", {"Content-Length": "0"}), [TOKEN])
    for body in (PAGE, b"", b'{"result": {"succ', b"[]", b"ok"):
        with pytest.raises(UnknownOutcomeError):
            answers.deletion(made(200, body), [TOKEN])


def test_a_deletion_that_is_answered_with_errors_is_refused() -> None:
    with pytest.raises(RefusedError, match="refused: it is in use"):
        answers.deletion(made(200, {"errors": {"base": ["it is in use"]}}), [TOKEN])
